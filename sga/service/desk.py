"""Which work is taken on, who waits for it, and when nobody does any more."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar

from starlette.requests import Request

from sga.service.batcher import Batcher, Ticket
from sga.service.metrics import Metrics
from sga.service.problems import ClientGone, Problem
from sga.service.settings import ServiceSettings

__all__ = ["Desk"]

T = TypeVar("T")
_FORGET = 0.98


class _Job:
    """Work that was taken on, and how many requests wait for it."""

    def __init__(self, future: asyncio.Future[Any], ticket: Ticket) -> None:
        self.future = future
        self.ticket = ticket
        self.waiting = 0


class _Rate:
    """Seconds per finished face while there was work, later faces counting more."""

    def __init__(self) -> None:
        self._seconds = self._faces = 0.0
        self._since: float | None = None

    def begin(self) -> None:
        """There is work from now on."""
        self._since = time.monotonic()

    def finished(self, faces: int, *, idle: bool) -> None:
        """So many are done; idle: nothing is left."""
        now = time.monotonic()
        if self._since is not None:
            self._seconds = _FORGET * self._seconds + now - self._since
            self._faces = _FORGET * self._faces + faces
        self._since = None if idle else now

    def seconds(self, faces: int) -> float:
        """How long so many will take; 1 s where nothing was measured yet."""
        return faces * self._seconds / self._faces if self._faces else 1.0


class Desk:
    """Takes work on while the queue has room, and drops it when its last client has gone."""

    def __init__(self, settings: ServiceSettings, batcher: Batcher, metrics: Metrics) -> None:
        self._settings = settings
        self._batcher = batcher
        self._metrics = metrics
        self._jobs: dict[Hashable, _Job] = {}
        self._lock = threading.Lock()
        self._rate = _Rate()
        self._faces = 0

    @property
    def faces(self) -> int:
        """Faces taken on and not finished."""
        return self._faces

    async def do(
        self,
        request: Request,
        faces: int,
        begin: Callable[[Ticket], Future[T]],
        key: Hashable = None,
        keep: Callable[[T], None] = lambda result: None,
    ) -> T:
        """The result of what `begin` hands to other threads, if there is room for so many faces.

        key: requests of one wait for the same work; keep: told of the result before the next request of the key is looked at.

        Raises:
            Problem: the queue is full (429); or it took too long, or the service stops before it is done (503).
            ClientGone: nobody waits for the answer any more.
        """
        job = self._jobs.get(key)
        if job is None:
            job = self._take_on(faces, begin)
            if key is not None:
                self._remember(key, job, keep)
        job.waiting += 1
        gone = asyncio.ensure_future(_gone(request))
        try:
            await asyncio.wait((job.future, gone), timeout=self._settings.timeout, return_when=asyncio.FIRST_COMPLETED)
            if job.future.done():
                return job.future.result()
            if gone.done():
                self._metrics.refused.labels("client gone").inc()
                raise ClientGone
            self._metrics.refused.labels("timeout").inc()
            raise self._too_late()
        except asyncio.CancelledError:  # by the server, whose time to stop is up, or with the work that nobody begins any more
            raise self._stopping() from None
        finally:
            gone.cancel()
            job.waiting -= 1
            if not job.waiting and not job.future.done():
                self._forget(key, job)
                self._batcher.cancel(job.ticket)
                job.future.cancel()

    def _remember(self, key: Hashable, job: _Job, keep: Callable[[Any], None]) -> None:
        def done(future: asyncio.Future[Any]) -> None:
            if not future.cancelled() and future.exception() is None:
                keep(future.result())
            self._forget(key, job)

        self._jobs[key] = job
        job.future.add_done_callback(done)

    def _forget(self, key: Hashable, job: _Job) -> None:
        if self._jobs.get(key) is job:  # not a later one of the same key
            del self._jobs[key]

    def _take_on(self, faces: int, begin: Callable[[Ticket], Future[T]]) -> _Job:
        with self._lock:
            if self._faces + faces > self._settings.queue:
                self._metrics.refused.labels("queue full").inc()
                raise self._full(faces)
            if not self._faces:
                self._rate.begin()
            self._faces += faces
        ticket = Ticket()
        future = begin(ticket)
        future.add_done_callback(lambda done: self._finished(faces, done))
        job = asyncio.wrap_future(future)
        job.add_done_callback(lambda done: done.cancelled() or done.exception())  # of work that nobody waits for, too
        return _Job(job, ticket)

    def _finished(self, faces: int, done: Future[Any]) -> None:
        drawn = faces if not done.cancelled() and done.exception() is None else 0
        with self._lock:
            self._faces -= faces
            self._rate.finished(drawn, idle=not self._faces)

    def _full(self, faces: int) -> Problem:
        return self._later(
            429, f"Expected room for {faces} more in the queue of {self._settings.queue} faces, found {self._faces} waiting."
        )

    def _too_late(self) -> Problem:
        return self._later(503, f"Expected an answer within {self._settings.timeout:g} s, found {self._faces} faces waiting.")

    def _stopping(self) -> Problem:
        left = self._settings.stop_timeout
        return self._later(503, f"Expected to finish this before the service stops, found its {left:g} s for that over.")

    def _later(self, status: int, found: str) -> Problem:
        """The problem, with the whole seconds until what waits now is drawn."""
        seconds = str(max(1, min(math.ceil(self._rate.seconds(self._faces)), 3600)))
        return Problem(status, f"{found} Ask again in {seconds} s.", {"Retry-After": seconds})


async def _gone(request: Request) -> None:
    """Returns when the client has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
