"""Clients of the service, in a process of their own: python service_clients.py URL CLIENTS SECONDS RATE FIRST

Each client keeps one connection and asks for one avatar after the other, each ID once. RATE 0: as fast as answers come. Else so
many requests a second in all, at fixed times: an answer's time counts from when it was due, so that a stall shows in full.
Prints JSON: answers by status, seconds, bytes, and the time of each answer in seconds.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from itertools import count
from urllib.parse import urlsplit


class Load:
    """What all clients share."""

    def __init__(self, url: str, seconds: float, rate: float, first: int) -> None:
        self.host = urlsplit(url).hostname or ""
        self.port = urlsplit(url).port
        self.seconds = seconds
        self.rate = rate
        self.numbers = count()
        self.first = first
        self.statuses: Counter[str] = Counter()
        self.times: list[float] = []
        self.bytes = 0

    async def client(self, started: float) -> None:
        reader, writer = await asyncio.open_connection(self.host, self.port)
        while True:
            number = next(self.numbers)
            due = started + number / self.rate if self.rate else time.perf_counter()
            if due >= started + self.seconds:
                break
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            writer.write(f"GET /avatar/load-{self.first + number}.png HTTP/1.1\r\nHost: load\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            self.bytes += len(await reader.readexactly(length))
            self.times.append(time.perf_counter() - due)
            self.statuses[head[9:12].decode()] += 1
        writer.close()


async def main(url: str, clients: str, seconds: str, rate: str, first: str) -> None:
    """Run the clients and print what they saw."""
    load = Load(url, float(seconds), float(rate), int(first))
    started = time.perf_counter()
    await asyncio.gather(*(load.client(started) for _ in range(int(clients))))
    took = time.perf_counter() - started
    print(json.dumps({"statuses": load.statuses, "seconds": took, "bytes": load.bytes, "times": load.times}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
