"""How long a run has trained, over all calls: what recipes are compared by."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal, TypeAlias

import torch

__all__ = ["Clock", "Measure"]

Measure: TypeAlias = Literal["seconds", "cpu_seconds", "images"]
"""What a training's length is measured by: time, this process's CPU time (all threads), or images seen."""


class Clock:
    """Seconds of training, on the wall and on the processors. Stands until it is started; a pause does not count.

    Loading, previews and checkpoints are left out: they are no part of a recipe. Time of a warm start is.
    """

    def __init__(self, before: Mapping[str, float] | None = None) -> None:
        """before: `totals` of earlier calls."""
        self._before = {"seconds": 0.0, "cpu_seconds": 0.0, **(before or {})}
        self._started: tuple[float, float] | None = None
        self._paused: tuple[float, float] | None = None
        self._saved = 0.0

    def start(self) -> Clock:
        """Begin to count; the clock itself."""
        self._started, self._saved = _now(), time.monotonic()
        return self

    @contextmanager
    def paused(self, device: torch.device) -> Iterator[None]:
        """Stand still while the block is at work, once `device` has done what it was given before."""
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        self._paused = wall, cpu = _now()
        try:
            yield
        finally:
            after = _now()
            if self._started is not None:
                self._started = self._started[0] + after[0] - wall, self._started[1] + after[1] - cpu
            self._paused = None

    def stop(self) -> None:
        """Count no more."""
        self._paused = _now()

    def _spent(self) -> tuple[float, float]:
        """Seconds on the wall and of the processors in this call."""
        if self._started is None:
            return 0.0, 0.0
        wall, cpu = self._paused or _now()
        return wall - self._started[0], cpu - self._started[1]

    def now(self) -> float:
        """Seconds of training in this call."""
        return self._spent()[0]

    def totals(self) -> dict[str, float]:
        """seconds and cpu_seconds over all calls, for a checkpoint."""
        wall, cpu = self._spent()
        return {"seconds": self._before["seconds"] + wall, "cpu_seconds": self._before["cpu_seconds"] + cpu}

    def saved(self) -> None:
        """A checkpoint was written just now."""
        self._saved = time.monotonic()

    def since_save(self) -> float:
        """Seconds since the last checkpoint, or since the start."""
        return time.monotonic() - self._saved


def _now() -> tuple[float, float]:
    return time.monotonic(), time.process_time()
