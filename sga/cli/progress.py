"""A bar on stderr for work that counts things."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from configs.terminal import console

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

__all__ = ["drawing", "progress_of"]


@contextmanager
def progress_of(things: str) -> Iterator[Callable[[int, int], None]]:
    """A function (done, total) that moves the bar; shown on a terminal only. things: what is counted."""
    with _bar(things) as bar:
        task = bar.add_task(things, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def drawing(total: int, unit: str = "faces/s") -> Iterator[Callable[[int, float], None]]:
    """A function (done, rate) that moves the bar of a drawing: so many of `total` faces are there, at a rate in `unit`."""
    from rich.progress import TextColumn

    with _bar("faces", TextColumn("{task.fields[rate]:.1f} " + unit)) as bar:
        task = bar.add_task("faces", total=total, rate=0.0)
        yield lambda done, rate: bar.update(task, completed=done, rate=rate)


def _bar(things: str, *more: ProgressColumn) -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    screen = console(stderr=True)
    columns = (TextColumn(things), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), *more)
    return Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal)
