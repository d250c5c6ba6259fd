"""What `sga generate --sheet` shows of its faces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    import numpy as np

    from sga.generation.sheet import Cell

__all__ = ["cell", "cell_of", "draw_sheet", "image_of"]


def cell(image: np.ndarray, edge: int, index: int, quality: float | None, *, accepted: bool) -> Cell:
    """A face of a seed, at an edge of so many px."""
    from sga.generation.sheet import Cell

    return Cell.of(image, edge, f"{index}  {quality or 0:.2f}{'' if accepted else ' best'}", accepted)


def cell_of(png: bytes | None, edge: int, index: int) -> Cell:
    """Of a face that an earlier run wrote; None = it was left out."""
    from sga.generation.sheet import Cell
    from sga.generation.sink import read_back

    if png is None:
        return Cell(None, f"{index} gap", accepted=False)
    text = read_back(png) or {}
    return cell(image_of(png), edge, index, float(text.get("quality", 0)), accepted=text.get("accepted") != "false")


def image_of(png: bytes) -> np.ndarray:
    """(h, w, 3) uint8 of a PNG of ours."""
    from io import BytesIO

    from sga.generation.pictures import read_rgb

    return read_rgb(BytesIO(png), "a face of an earlier run")


def draw_sheet(cells: Sequence[Cell], count: int, size: int, path: Path) -> Path:
    """Write the sheet of the first of `count` faces, in cells of `size` px."""
    from sga.generation.face import write_once
    from sga.generation.sheet import contact_sheet

    if count > len(cells):
        typer.echo(f"The sheet shows the first {len(cells)} of {count} faces.", err=True)
    return write_once(path, contact_sheet(cells, size), overwrite=True)
