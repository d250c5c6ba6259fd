"""When to stop: at a signal or when the time is up. What trains asks between two steps, saves what it has and stops."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from lightning.fabric import Fabric

__all__ = ["Stopped", "agree", "stop_after", "stop_requests", "time_is_up"]

_DEADLINE: ContextVar[float | None] = ContextVar("deadline", default=None)
"""On the clock of time.monotonic; None = no limit."""


class Stopped(KeyboardInterrupt):
    """A training was asked to stop and has saved: the same call goes on. As an interruption it is none of the errors."""


@contextmanager
def stop_after(seconds: float | None, *, begun: float | None = None) -> Iterator[None]:
    """What trains inside the block stops once `seconds` are over. None = no limit; of two limits the nearer one counts.

    begun: when the time began, by time.monotonic; None = now.
    """
    limits = [] if seconds is None else [(time.monotonic() if begun is None else begun) + seconds]
    outer = _DEADLINE.get()
    limits += [] if outer is None else [outer]
    token = _DEADLINE.set(min(limits, default=None))
    try:
        yield
    finally:
        _DEADLINE.reset(token)


def time_is_up() -> bool:
    """Whether the limit of `stop_after` is reached."""
    deadline = _DEADLINE.get()
    return deadline is not None and time.monotonic() >= deadline


@contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """A function that tells whether to stop now: SIGINT or SIGTERM came, or the time is up.

    The first time it is asked a signal alone counts, so that the shortest time brings a training one step further. A second
    signal acts at once. The old handlers are put back.
    """
    stop, begun = threading.Event(), False
    old = {}
    if threading.current_thread() is threading.main_thread():  # only it may set handlers
        old = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, old[signal.Signals(number)])

    def asked() -> bool:
        nonlocal begun
        late, begun = begun and time_is_up(), True
        return stop.is_set() or late

    for number in old:
        signal.signal(number, handle)
    try:
        yield asked
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def agree(fabric: Fabric, *flags: bool) -> list[bool]:
    """Each flag as true on all processes if it is on one: they stop and save at the same step."""
    if fabric.world_size == 1:
        return list(flags)
    summed = fabric.all_reduce(torch.tensor(flags, dtype=torch.float32, device=fabric.device), reduce_op="sum")
    return [bool(flag > 0) for flag in summed]
