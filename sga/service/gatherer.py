"""Requests that come close together are worked on together, by few threads.

One thread for each would be simpler. But preparing and encoding a face is Python, of which one thread runs at a time: the more
threads want to, the longer those that feed the networks wait for their turn.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from sga.service.batcher import Ticket, Tickets, working_for

__all__ = ["Gatherer"]

_LONGER, _LONGEST = 5, 25
"""As many times the patience."""

A = TypeVar("A")
R = TypeVar("R")


@dataclass(eq=False)
class _Job(Generic[A, R]):
    asked: A
    ticket: Ticket
    future: Future[R] = field(default_factory=Future)
    came: float = field(default_factory=time.monotonic)


class Gatherer(Generic[A, R]):
    """work: takes at most `most` requests and gives (place among them, result) as each is done, in any order.

    threads: that work at the same time; patience: seconds without another request after which those that came are worked on, be
    they fewer. Where more were open at a time lately, most of those are about to come again, and a group of few costs as much
    as one of many: so they are waited for half of the time that the last group took, between 5 and 25 times the patience,
    counted from the first of the group.
    """

    def __init__(
        self,
        work: Callable[[Sequence[A]], Iterable[tuple[int, R]]],
        most: int,
        threads: int,
        patience: float,
        name: str = "gatherer",
    ) -> None:
        self._work = work
        self._most = most
        self._patience = patience
        self._jobs: deque[_Job[A, R]] = deque()
        self._ready = threading.Condition()
        self._open = 0
        """Requests that came and are not answered."""
        self._expected = 0
        """How many there were at a time, until some of them did not come again."""
        self._took = 0.0
        """Seconds that the last group was worked on."""
        self._closed = False
        self._threads = [threading.Thread(target=self._loop, name=f"{name} {k}", daemon=True) for k in range(threads)]

    def start(self) -> None:
        """Begin to work."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Drop what waits, and end the threads behind what they are at."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        for job in self._jobs:
            job.future.cancel()

    def submit(self, asked: A, ticket: Ticket) -> Future[R]:
        """The result of a request, to come. A future that is cancelled before its turn is passed over."""
        job: _Job[A, R] = _Job(asked, ticket)
        job.future.add_done_callback(self._answered)
        with self._ready:
            self._jobs.append(job)
            self._open += 1
            self._expected = max(self._expected, self._open)
            # The first wakes a thread that begins to wait for others; the last that fits, or is expected, ends its waiting.
            if len(self._jobs) == 1 or len(self._jobs) >= self._most or self._open >= self._expected:
                self._ready.notify()
        return job.future

    def _answered(self, _: Future[R]) -> None:
        with self._ready:
            self._open -= 1

    def _loop(self) -> None:
        while jobs := self._take():
            running = [job for job in jobs if job.future.set_running_or_notify_cancel()]
            if running:
                started = time.monotonic()
                self._run(running)
                self._took = time.monotonic() - started

    def _take(self) -> list[_Job[A, R]]:
        """The jobs that came first, once they are many or nobody joins them; none when all is over."""
        with self._ready:
            while not self._closed:
                if not self._jobs:
                    self._ready.wait()
                    continue
                till = self._jobs[0].came + min(max(_LONGER * self._patience, self._took / 2), _LONGEST * self._patience)
                if self._open >= self._expected:
                    till = min(till, self._jobs[-1].came + self._patience)
                left = till - time.monotonic()
                if left <= 0 or len(self._jobs) >= self._most:
                    if left <= 0:
                        self._expected = self._open
                    taken = [self._jobs.popleft() for _ in range(min(self._most, len(self._jobs)))]
                    if self._jobs:
                        self._ready.notify()
                    return taken
                self._ready.wait(left)
        return []

    def _run(self, jobs: Sequence[_Job[A, R]]) -> None:
        waiting = dict(enumerate(jobs))
        try:
            with working_for(Tickets([job.ticket for job in jobs])):
                for place, result in self._work([job.asked for job in jobs]):
                    waiting.pop(place).future.set_result(result)
        except Exception as error:  # whatever it is, it belongs to the one who asked for it
            if len(jobs) == 1:
                jobs[0].future.set_exception(error)
                return
            for job in waiting.values():
                self._run([job])
