"""Pictures of an evaluation: contact sheets, rows of asked values, closest pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from configs.files import atomic_path

__all__ = ["Album", "Row", "write_rows"]

_GAP, _CAPTION, _LETTER = 4, 14, 7


@dataclass(frozen=True, eq=False)
class Row:
    """Faces (size, size, 3) uint8 beside a label; captions: a text below each face, none = no place for them."""

    label: str
    images: Sequence[np.ndarray]
    captions: Sequence[str] = ()


@dataclass
class Album:
    """The pictures of an evaluation, by file name without its ending."""

    sheets: dict[str, list[Row]] = field(default_factory=dict)

    def faces(self, name: str, images: Sequence[np.ndarray], columns: int = 12) -> None:
        """A contact sheet without captions."""
        if images:
            self.sheets[name] = [Row("", images[start : start + columns]) for start in range(0, len(images), columns)]

    def pairs(self, name: str, pairs: Sequence[tuple[np.ndarray, np.ndarray, str]], columns: int = 8) -> None:
        """Generated faces above the training faces nearest to them, with a caption."""
        for start in range(0, len(pairs), columns):
            generated, training, captions = zip(*pairs[start : start + columns], strict=True)
            rows = [Row("generated", generated), Row("training", training, captions)]
            self.sheets.setdefault(name, []).extend(rows)

    def write(self, folder: Path, kinds: Sequence[str]) -> list[Path]:
        """Write all as PNG; pictures of an earlier evaluation, whose names begin with one of `kinds`, go."""
        shown = {folder / f"{name}.png": rows for name, rows in self.sheets.items() if any(len(row.images) for row in rows)}
        for path, rows in shown.items():
            write_rows(path, rows)
        for old in (path for kind in kinds for path in folder.glob(f"{kind}-*.png")):
            if old not in shown:
                old.unlink()
        return list(shown)


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write rows of faces of one size, labels at the left, whole or not at all."""
    size = next(len(image) for row in rows for image in row.images)
    font = ImageFont.load_default(11)
    margin = max(len(row.label) for row in rows) * _LETTER + _GAP if any(row.label for row in rows) else _GAP
    heights = [size + _GAP + (_CAPTION if row.captions else 0) for row in rows]
    width = margin + max(len(row.images) for row in rows) * (size + _GAP)
    sheet = Image.new("RGB", (width, sum(heights) + _GAP), "white")
    pen, top = ImageDraw.Draw(sheet), _GAP
    for row, height in zip(rows, heights, strict=True):
        pen.text((_GAP, top + size // 2 - 6), row.label, fill="#333333", font=font)
        for place, image in enumerate(row.images):
            left = margin + place * (size + _GAP)
            sheet.paste(Image.fromarray(image), (left, top))
            if row.captions:
                pen.text((left, top + size), row.captions[place], fill="#333333", font=font)
        top += height
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG")
