"""What a run writes while it runs: `stats.jsonl` (one flat object a tick, terms named as paths), TensorBoard, progress bar."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from configs.files import atomic_write_text
from configs.terminal import console

if TYPE_CHECKING:
    from rich.progress import Progress
    from torch.utils.tensorboard import SummaryWriter

__all__ = ["RunLog", "progress_bar"]


class RunLog:
    """Appends ticks; on resume, ticks behind the checkpoint are cut, so that the file reads as one run."""

    def __init__(self, folder: Path, *, seen: int, tensorboard: bool = True) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "stats.jsonl"
        kept = [line for line in self._lines() if self._images(line) <= seen]
        atomic_write_text(self.path, "".join(line + "\n" for line in kept))
        self._handle = self.path.open("a", encoding="utf-8")
        self._board: SummaryWriter | None = None
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ModuleNotFoundError:  # an optional viewer: its absence must not stop a training
                return
            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=seen + 1)

    def _lines(self) -> list[str]:
        return self.path.read_text(encoding="utf-8").splitlines() if self.path.is_file() else []

    @staticmethod
    def _images(line: str) -> float:
        try:
            return float(json.loads(line)["images"])
        except (ValueError, KeyError, TypeError):  # the torn last line of a killed run
            return math.inf

    def tick(self, images: int, values: Mapping[str, float]) -> None:
        """Write one tick. values: terms named as paths (`D/dragan`); a non-finite one is written as null."""
        clean = {name: (float(value) if math.isfinite(value) else None) for name, value in values.items()}
        self._handle.write(json.dumps({"images": images, **clean}, allow_nan=False) + "\n")
        self._handle.flush()
        if self._board:
            for name, value in clean.items():
                if value is not None:
                    self._board.add_scalar(name, value, images)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._handle.close()
        if self._board:
            self._board.close()


@contextmanager
def progress_bar(enabled: bool = True) -> Iterator[Progress]:
    """rich's bar with speed and time left, on stderr; silent where stderr is no terminal is rich's own choice."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console(stderr=True), disable=not enabled, refresh_per_second=2) as bar:
        yield bar
