"""Parts of charts of counts: wrapped names, legends, stacked bars across and up. Pillow only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from sga.explore.canvas import INK, LINE, MUTED, PAPER, Canvas

__all__ = ["BLUE", "Line", "Series", "bars", "columns", "count", "label_width", "legend", "rotated", "round_step", "wrapped"]

BLUE = "#0072b2"

_ROW, _BAR, _LABEL, _HEIGHT, _WIDEST = 20, 14, 240, 220, 90


@dataclass(frozen=True)
class Series:
    """What is stacked, and its colour."""

    name: str
    colour: str


@dataclass(frozen=True)
class Line:
    """One bar: its label, the count of each series, and what stands behind it."""

    label: str
    counts: Sequence[int]
    note: str


def count(number: int) -> str:
    """A count that fits a small place."""
    return f"{number:,}" if number < 100_000 else f"{number / 1000:,.0f}k"


def round_step(span: float, most: int) -> int:
    """The smallest of 1, 2, 5, 10, 20 … that cuts `span` into at most `most` parts."""
    step, place = 1, 0
    while span / step > most:
        place += 1
        step = (1, 2, 5)[place % 3] * 10 ** (place // 3)
    return step


def wrapped(canvas: Canvas, text: str, width: float, points: float = 12) -> list[str]:
    """Lines of at most `width` pixels, broken at spaces, and within a word that is longer. Nothing is left out."""
    font = canvas.font(points)
    lines = [""]
    for word in text.split() or [""]:
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width:
            lines[-1] = longer
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:
            if lines[-1] and font.getlength(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    return lines


def legend(canvas: Canvas, series: Sequence[Series], width: int) -> Image.Image:
    """A square of its colour before each name, in as many lines as it takes."""
    px, font = canvas.px, canvas.font(13)
    places, x, y = [], 0, 0
    for one in series:
        room = px(18) + round(font.getlength(one.name)) + px(20)
        if x and x + room > width:
            x, y = 0, y + px(20)
        places.append((x, y))
        x += room
    block = Image.new("RGB", (width, y + px(20)), PAPER)
    pen = ImageDraw.Draw(block)
    for one, (left, top) in zip(series, places, strict=True):
        pen.rectangle((left, top + px(3), left + px(12), top + px(15)), fill=one.colour, outline=INK)
        pen.text((left + px(18), top + px(9)), one.name, fill=INK, font=font, anchor="lm")
    return block


def bars(canvas: Canvas, title: str, lines: Sequence[Line], series: Sequence[Series], width: int, left: int = 0) -> Image.Image:
    """Bars across, the longest as wide as there is room; beside each its label, behind it its note. left: room for labels that
    several charts share, pixels; less than they need is as if it were none."""
    px, font = canvas.px, canvas.font(12)
    labels = [wrapped(canvas, line.label, px(_LABEL)) for line in lines]
    left = max(left, label_width(canvas, lines))
    right = width - max(round(font.getlength(line.note)) for line in lines) - px(10)
    most = max(1, *(sum(line.counts) for line in lines))
    heights = [max(px(_ROW), px(15) * len(texts) + px(4)) for texts in labels]
    block = Image.new("RGB", (width, px(22) + sum(heights)), PAPER)
    pen = ImageDraw.Draw(block)
    pen.text((0, px(14)), title, fill=INK, font=canvas.font(14), anchor="ls")
    y = px(22)
    for line, texts, height in zip(lines, labels, heights, strict=True):
        middle = y + height // 2
        for number, text in enumerate(texts):
            at = middle + px(15) * (number - (len(texts) - 1) / 2)
            pen.text((left - px(8), at), text, fill=INK, font=font, anchor="rm")
        edges = [left + round(part / most * (right - left)) for part in np.cumsum([0, *line.counts])]
        for start, end, one in zip(edges[:-1], edges[1:], series, strict=True):
            if end > start:
                pen.rectangle((start, middle - px(_BAR) // 2, end - 1, middle + px(_BAR) // 2), fill=one.colour)
        pen.line((left, y, left, y + height), fill=MUTED)
        pen.text((edges[-1] + px(6), middle), line.note, fill=MUTED, font=font, anchor="lm")
        y += height
    return block


def label_width(canvas: Canvas, lines: Sequence[Line]) -> int:
    """Pixels that the labels of bars take."""
    texts = [text for line in lines for text in wrapped(canvas, line.label, canvas.px(_LABEL))]
    return max(round(canvas.font(12).getlength(text)) for text in texts) + canvas.px(10)


def columns(canvas: Canvas, labels: Sequence[str], counts: Sequence[int], width: int, axis: str) -> Image.Image:
    """Bars up, a label below each, or below every so many where they have no room; axis: what the labels are."""
    px, small = canvas.px, canvas.font(11)
    most = max(1, *counts)
    step = round_step(most, 5)
    left = px(14) + round(small.getlength(count(most // step * step)))
    floor, right = px(18 + _HEIGHT), width - px(8)
    block = Image.new("RGB", (width, floor + px(42)), PAPER)
    pen = ImageDraw.Draw(block)
    for value in range(0, most + 1, step):
        y = floor - round(value / most * px(_HEIGHT))
        pen.line((left, y, right, y), fill=LINE)
        pen.text((left - px(6), y), count(value), fill=MUTED, font=small, anchor="rm")
    pitch = min((right - left) / len(counts), px(_WIDEST))
    widest = max(small.getlength(text) for text in (*labels, *map(count, counts)))
    every = int(np.ceil((widest + px(8)) / pitch))
    for place, (label, number) in enumerate(zip(labels, counts, strict=True)):
        start, end = left + round(place * pitch), left + round((place + 1) * pitch)
        high = floor - round(number / most * px(_HEIGHT))
        if high < floor:
            pen.rectangle((start + px(1), high, max(end - px(1) - 1, start + px(1)), floor - 1), fill=BLUE)
        middle = (start + end) / 2
        if every == 1:
            pen.text((middle, high - px(4)), count(number), fill=INK, font=small, anchor="ms")
        if place % every == 0:
            pen.text((middle, floor + px(6)), label, fill=MUTED, font=small, anchor="mt")
    pen.line((left, floor, right, floor), fill=MUTED)
    pen.text(((left + right) / 2, floor + px(36)), axis, fill=INK, font=canvas.font(12), anchor="ms")
    return block


def rotated(canvas: Canvas, lines: Sequence[str], points: float = 12) -> Image.Image:
    """Lines of text that read upwards."""
    font, pitch = canvas.font(points), canvas.px(points + 3)
    block = Image.new("RGB", (max(1, round(max(font.getlength(line) for line in lines))), pitch * len(lines)), PAPER)
    pen = ImageDraw.Draw(block)
    for number, line in enumerate(lines):
        pen.text((0, pitch * number + pitch / 2), line, fill=INK, font=font, anchor="lm")
    return block.transpose(Image.Transpose.ROTATE_90)
