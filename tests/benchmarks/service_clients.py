"""Clients of the service, in a process of their own: python service_clients.py URL CLIENTS SECONDS RATE FIRST [FACES]

Each client keeps one connection, a raw socket, and asks for one avatar after the other, each ID once; with FACES for so many at
a time from /generate, each seed once and one attempt a face. RATE 0: as fast as answers come. Else so
many requests a second in all, at fixed times: an answer's time counts from when it was due, so that a stall shows in full.
Prints JSON: answers by status, seconds, bytes, the time of each answer in seconds, and the CPU seconds of all clients.
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

    def __init__(self, url: str, seconds: float, rate: float, first: int, faces: int) -> None:
        self.host = urlsplit(url).hostname or ""
        self.port = urlsplit(url).port
        self.seconds = seconds
        self.rate = rate
        self.numbers = count()
        self.first = first
        self.faces = faces
        self.statuses: Counter[str] = Counter()
        self.times: list[float] = []
        self.bytes = 0

    def request(self, number: int) -> bytes:
        """The bytes of a request."""
        if not self.faces:
            return f"GET /avatar/load-{number}.png HTTP/1.1\r\nHost: load\r\n\r\n".encode()
        body = json.dumps({"count": self.faces, "seed": number, "max_attempts": 1}).encode()
        head = f"POST /generate HTTP/1.1\r\nHost: load\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body

    async def client(self, started: float) -> None:
        reader, writer = await asyncio.open_connection(self.host, self.port)
        while True:
            number = next(self.numbers)
            due = started + number / self.rate if self.rate else time.perf_counter()
            if due >= started + self.seconds:
                break
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            writer.write(self.request(self.first + number))
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            self.bytes += len(await reader.readexactly(length))
            self.times.append(time.perf_counter() - due)
            self.statuses[head[9:12].decode()] += 1
        writer.close()


async def main(url: str, clients: str, seconds: str, rate: str, first: str, faces: str = "0") -> None:
    """Run the clients and print what they saw."""
    load = Load(url, float(seconds), float(rate), int(first), int(faces))
    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(load.client(started) for _ in range(int(clients))))
    took = time.perf_counter() - started
    told = {"statuses": load.statuses, "seconds": took, "bytes": load.bytes, "times": load.times}
    print(json.dumps({**told, "cpu": time.process_time() - cpu}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
