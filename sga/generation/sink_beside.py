"""Writing beside drawing: to encode a PNG takes about a tenth of the time of drawing the face."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

from sga.generation.face import Face
from sga.generation.sink import Sink

__all__ = ["BesideSink"]

_WRITERS = 2
_WAITING = 16
"""Faces that wait to be written, at most: a kill loses them, and they fill the memory where the disk is slow."""


class BesideSink:
    """A sink in whose place threads write to another one. An error comes up with a later face, or at the end."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self._pool = ThreadPoolExecutor(_WRITERS, thread_name_prefix="sink")
        self._running: deque[Future[None]] = deque()

    def has(self, name: str) -> bool:
        """See `Sink`."""
        return self.sink.has(name)

    def write(self, face: Face, name: str) -> None:
        """See `Sink`."""
        self._submit(self.sink.write, face, name)

    def leave_out(self, name: str) -> None:
        """See `Sink`."""
        self._submit(self.sink.leave_out, name)

    def read(self, name: str) -> bytes | None:
        """See `Sink`. What is being written is written first."""
        while self._running:
            self._running.popleft().result()
        return self.sink.read(name)

    def __enter__(self) -> Self:
        self.sink.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._pool.shutdown()  # what is drawn is written, whatever has happened
        late = next((failed for future in self._running if (failed := future.exception()) is not None), None)
        if error is not None or late is None:
            return self.sink.__exit__(kind, error, trace)
        self.sink.__exit__(type(late), late, late.__traceback__)
        raise late

    def _submit(self, work: Callable[..., None], *arguments: Any) -> None:
        self._running.append(self._pool.submit(work, *arguments))
        while len(self._running) > _WAITING or (self._running and self._running[0].done()):
            self._running.popleft().result()
