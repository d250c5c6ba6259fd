"""The contact sheet: many faces on one picture, each with its number, quality and whether it was accepted."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sga.generation.enlarge import resample

__all__ = ["MAX_CELLS", "Cell", "contact_sheet"]

MAX_CELLS = 1024
_CAPTION = 14
_GAP = 4


@dataclass(frozen=True, eq=False)
class Cell:
    """A place on the sheet. image: (size, size, 3) uint8 RGB, or None for a gap."""

    image: np.ndarray | None
    caption: str
    accepted: bool = True

    @classmethod
    def of(cls, image: np.ndarray, edge: int, caption: str, accepted: bool = True) -> Self:
        """A cell of a picture of any size, kept at the edge of the cell: large ones would fill the memory."""
        return cls(resample(image, edge, edge), caption, accepted)


def contact_sheet(cells: Sequence[Cell], size: int) -> bytes:
    """PNG of at most `MAX_CELLS` cells in a nearly square grid; captions of faces that were not accepted are red."""
    cells = cells[:MAX_CELLS]
    columns = max(1, math.ceil(math.sqrt(len(cells))))
    rows = max(1, math.ceil(len(cells) / columns))
    pitch_x, pitch_y = size + _GAP, size + _CAPTION + _GAP
    sheet = Image.new("RGB", (columns * pitch_x + _GAP, rows * pitch_y + _GAP), "white")
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(10)
    for place, cell in enumerate(cells):
        x, y = _GAP + place % columns * pitch_x, _GAP + place // columns * pitch_y
        if cell.image is None:
            pen.rectangle((x, y, x + size - 1, y + size - 1), outline="#bbbbbb", fill="#f4f4f4")
            pen.line((x, y, x + size - 1, y + size - 1), fill="#bbbbbb")
        else:
            sheet.paste(Image.fromarray(cell.image), (x, y))
        pen.text((x, y + size), cell.caption, fill="#333333" if cell.accepted else "#c00000", font=font)
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()
