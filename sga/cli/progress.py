"""A bar on stderr for work that counts things."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["drawing", "progress_of"]


@contextmanager
def progress_of(things: str) -> Iterator[Callable[[int, int], None]]:
    """A function (done, total) that moves the bar; shown on a terminal only. things: what is counted."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn(things), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(things, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def drawing(total: int, unit: str = "faces/s") -> Iterator[Callable[[int, float], None]]:
    """A function (done, rate) that moves the bar of a drawing: so many of `total` faces are there, at a rate in `unit`."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    rate_column = TextColumn("{task.fields[rate]:.1f} " + unit)
    columns = (TextColumn("faces"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), rate_column)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("faces", total=total, rate=0.0)
        yield lambda done, rate: bar.update(task, completed=done, rate=rate)
