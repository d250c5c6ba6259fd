"""A light sheet: title, rows of faces with labels and captions, blocks stacked above one another. Pillow only.

All lengths are given for faces of 96 px and grow with the faces, so a picture of another size looks the same.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

__all__ = ["GOOD", "INK", "LINE", "MUTED", "PAPER", "POOR", "Box", "Canvas", "Cell", "Row", "png"]

PAPER, INK, MUTED, LINE = "#ffffff", "#1f2328", "#656d76", "#d0d7de"
GOOD, POOR = "#1a7f37", "#cf222e"

Box = tuple[int, int, int, int]
"""left, top, right, bottom in pixels; right and bottom are outside."""

_BASE = 96
_MARGIN, _GAP, _GROUP_GAP = 20, 4, 14
_CAPTION, _LEAST_FONT = 12, 8


@dataclass(frozen=True, eq=False)
class Cell:
    """A face on the sheet.

    image: (h, w, 3) uint8 RGB, or None for a gap; captions: (text, colour) by line.
    """

    image: np.ndarray | None
    captions: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, eq=False)
class Row:
    """Faces beside a label, None = nothing there; note: a smaller second line; begins: a wider gap above, for a new group."""

    cells: Sequence[Cell | None]
    label: str = ""
    note: str = ""
    begins: bool = False


class Canvas:
    """Draws blocks for faces of `size` × `size` pixels, and puts them together."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.unit = max(1.0, size / _BASE)

    def px(self, length: float) -> int:
        """A length of the 96-px design, in pixels of this picture."""
        return round(length * self.unit)

    def font(self, points: float = _CAPTION) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
        """Pillow's own font."""
        return ImageFont.load_default(self.px(points))

    def text(
        self, pen: ImageDraw.ImageDraw, place: tuple[float, float], text: str, colour: str, width: float, anchor: str = "lt"
    ) -> None:
        """One line in at most `width` pixels: set smaller where it is too long, then cut."""
        points = float(_CAPTION)
        while points > _LEAST_FONT and self.font(points).getlength(text) > width:
            points -= 0.5
        font = self.font(points)
        if font.getlength(text) > width:
            while text and font.getlength(text + "…") > width:
                text = text[:-1]
            text += "…"
        pen.text(place, text, fill=colour, font=font, anchor=anchor)

    # -- blocks ------------------------------------------------------------------------------------------------------------

    def heading(self, title: str, subtitle: str, width: int, points: float = 20, above: float = 0) -> Image.Image:
        """A title and, below it, a text in lines of at most `width` pixels; above: room over the title."""
        font, small = self.font(points), self.font(13)
        lines = self._wrapped(subtitle, small, width)
        line, top = self.px(18), self.px(above)
        block = Image.new("RGB", (width, top + self.px(points * 1.5) + line * len(lines)), PAPER)
        pen = ImageDraw.Draw(block)
        pen.text((0, top + self.px(points)), title, fill=INK, font=font, anchor="ls")
        for number, text in enumerate(lines):
            pen.text((0, top + self.px(points * 1.5) + line * number + self.px(12)), text, fill=MUTED, font=small, anchor="ls")
        return block

    def grid(self, rows: Sequence[Row], headings: Sequence[str] = (), title: str = "") -> tuple[Image.Image, list[list[Box]]]:
        """Rows of cells below a heading for each column or one title, and where the face of each cell stands in the block."""
        columns = max(len(row.cells) for row in rows)
        label = self._label_width(rows)
        gap, pitch = self.px(_GAP), self.size + self.px(_GAP)
        top = self.px(20) if title or any(headings) else 0
        heights = [self.size + gap + self._captions_height(row) for row in rows]
        extra = [self.px(_GROUP_GAP) if row.begins and number else 0 for number, row in enumerate(rows)]
        block = Image.new("RGB", (label + columns * pitch - gap, top + sum(heights) + sum(extra) - gap), PAPER)
        pen = ImageDraw.Draw(block)
        pen.text((label, self.px(12)), title, fill=INK, font=self.font(13), anchor="ls")
        for column, text in enumerate(headings):
            centre = label + column * pitch + self.size / 2
            self.text(pen, (centre, self.px(13)), text, MUTED, self.size, "ms")
        boxes, y = [], top
        for row, height, more in zip(rows, heights, extra, strict=True):
            y += more
            self._label(pen, row, label, y)
            places = [(cell, label + column * pitch) for column, cell in enumerate(row.cells) if cell is not None]
            boxes.append([self._cell(block, cell, x, y) for cell, x in places])
            y += height
        return block, boxes

    def beside(self, blocks: Sequence[Image.Image], gap: float = 28) -> tuple[Image.Image, list[int]]:
        """Blocks side by side, and the left edge of each."""
        lefts, x = [], 0
        for block in blocks:
            lefts.append(x)
            x += block.width + self.px(gap)
        joined = Image.new("RGB", (x - self.px(gap), max(block.height for block in blocks)), PAPER)
        for block, left in zip(blocks, lefts, strict=True):
            joined.paste(block, (left, 0))
        return joined, lefts

    def page(self, blocks: Sequence[Image.Image], gap: float = 16) -> tuple[Image.Image, list[tuple[int, int]]]:
        """Blocks above one another inside the margin, and the left upper corner of each."""
        margin = self.px(_MARGIN)
        corners, y = [], margin
        for block in blocks:
            corners.append((margin, y))
            y += block.height + self.px(gap)
        page = Image.new("RGB", (max(block.width for block in blocks) + 2 * margin, y - self.px(gap) + margin), PAPER)
        for block, corner in zip(blocks, corners, strict=True):
            page.paste(block, corner)
        return page, corners

    # -- parts -------------------------------------------------------------------------------------------------------------

    def _cell(self, block: Image.Image, cell: Cell, x: int, y: int) -> Box:
        pen, edge = ImageDraw.Draw(block), self.size
        box = (x, y, x + edge, y + edge)
        if cell.image is None:
            pen.rectangle((x, y, x + edge - 1, y + edge - 1), outline=LINE, fill="#f6f8fa")
            pen.line((x, y + edge - 1, x + edge - 1, y), fill=LINE)
        else:
            picture = Image.fromarray(cell.image)
            if picture.size != (edge, edge):
                picture = picture.resize((edge, edge), Image.Resampling.LANCZOS)
            block.paste(picture, (x, y))
        for number, (text, colour) in enumerate(cell.captions):
            self.text(pen, (x + edge / 2, y + edge + self.px(13 + 15 * number)), text, colour, edge, "ms")
        return box

    def _captions_height(self, row: Row) -> int:
        lines = max((len(cell.captions) for cell in row.cells if cell is not None), default=0)
        return self.px(15 * lines + 4) if lines else 0

    def _label(self, pen: ImageDraw.ImageDraw, row: Row, width: int, y: int) -> None:
        x, middle = width - self.px(12), y + self.size / 2
        if row.note:
            pen.text((x, middle - self.px(2)), row.label, fill=INK, font=self.font(13), anchor="rs")
            pen.text((x, middle + self.px(14)), row.note, fill=MUTED, font=self.font(), anchor="rs")
        elif row.label:
            pen.text((x, middle), row.label, fill=INK, font=self.font(13), anchor="rm")

    def _label_width(self, rows: Sequence[Row]) -> int:
        widths = [max(self.font(13).getlength(row.label), self.font().getlength(row.note)) for row in rows]
        return round(max(widths)) + self.px(14) if max(widths) else 0

    def _wrapped(self, text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
        lines: list[str] = []
        for word in text.split():
            longer = f"{lines[-1]} {word}" if lines else word
            if lines and font.getlength(longer) <= width:
                lines[-1] = longer
            else:
                lines.append(word)
        return lines


def png(image: Image.Image, text: Mapping[str, str] | None = None) -> bytes:
    """The same bytes each time: no date in them."""
    info = PngImagePlugin.PngInfo()
    for key, value in (text or {}).items():
        if value.isascii():
            info.add_text(key, value)
        else:
            info.add_itxt(key, value)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", pnginfo=info, compress_level=6)
    return buffer.getvalue()
