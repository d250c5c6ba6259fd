"""A histogram of scores with the lines from which they count, drawn with Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from sga.explore.canvas import GOOD, INK, LINE, MUTED, PAPER, Canvas

__all__ = ["BINS", "Mark", "counts", "histogram"]

BINS = 50
"""Bins over [0, 1]."""

_REST = "#e5989b"
_PLOT, _TIER, _TIERS = 120, 16, 2


@dataclass(frozen=True)
class Mark:
    """A vertical line. at: its score in [0, 1]; strong: solid, else dashed."""

    name: str
    at: float
    strong: bool = False

    @property
    def label(self) -> str:
        """Its name and score."""
        return f"{self.name} {self.at:.2f}"


def counts(scores: np.ndarray, accepted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Accepted and rejected faces by bin, (BINS,) int64 each. scores: (n,) in [0, 1]; accepted: (n,) bool."""
    place = np.minimum((scores * BINS).astype(np.int64), BINS - 1)
    return np.bincount(place[accepted], minlength=BINS), np.bincount(place[~accepted], minlength=BINS)


def histogram(
    canvas: Canvas, title: str, scores: np.ndarray, accepted: np.ndarray, width: int, marks: Sequence[Mark]
) -> Image.Image:
    """Bars of accepted faces (green) with the rejected ones (pale red) upon them, and lines with their labels above.

    scores: (n,) in [0, 1]; accepted: (n,) bool; width: of the block, pixels.
    """
    px = canvas.px
    left, right, floor = px(34), width - px(14), px(26 + _TIER * _TIERS + _PLOT)
    block = Image.new("RGB", (width, floor + px(20)), PAPER)
    pen = ImageDraw.Draw(block)
    pen.text((0, px(13)), title, fill=INK, font=canvas.font(13), anchor="ls")
    _bars(canvas, pen, counts(scores, accepted), (left, right, floor))
    for tick in range(6):
        x = left + tick / 5 * (right - left)
        pen.text((x, floor + px(6)), f"{tick / 5:.1f}", fill=MUTED, font=canvas.font(11), anchor="mt")
    places = [round(left + mark.at * (right - left)) for mark in marks]
    for mark, x, (tier, start) in zip(marks, places, _labels(canvas, marks, places, (left, right)), strict=True):
        top, dash, colour = px(26 + _TIER * tier), px(4), INK if mark.strong else MUTED
        for y in range(top, floor, floor - top if mark.strong else 2 * dash):
            end = floor if mark.strong else min(y + dash, floor)
            pen.line((x, y, x, end), fill=colour, width=px(2 if mark.strong else 1))
        pen.text((start, top + px(11)), mark.label, fill=colour, font=canvas.font(), anchor="ls")
    return block


def _bars(canvas: Canvas, pen: ImageDraw.ImageDraw, bars: tuple[np.ndarray, np.ndarray], frame: tuple[int, int, int]) -> None:
    left, right, floor = frame
    most, height = max(1, int((bars[0] + bars[1]).max())), canvas.px(_PLOT)
    for number in (most, most // 2) if most > 1 else (most,):
        y = floor - round(number / most * height)
        pen.line((left, y, right, y), fill=LINE)
        pen.text((left - canvas.px(6), y), str(number), fill=MUTED, font=canvas.font(11), anchor="rm")
    edges = [round(left + bin_ / BINS * (right - left)) for bin_ in range(BINS + 1)]
    for bin_, (good, rest) in enumerate(zip(*bars, strict=True)):
        levels = [floor - round(number / most * height) for number in (0, good, good + rest)]
        for (low, high), colour in zip(((levels[0], levels[1]), (levels[1], levels[2])), (GOOD, _REST), strict=True):
            if high < low:
                pen.rectangle((edges[bin_], high, edges[bin_ + 1] - canvas.px(1) - 1, low - 1), fill=colour)
    pen.line((left, floor, right, floor), fill=MUTED)


def _labels(canvas: Canvas, marks: Sequence[Mark], places: Sequence[int], room: tuple[int, int]) -> list[tuple[int, int]]:
    """Tier and left edge of each label: the highest where, right or left of its line, it meets no other label or line."""
    gap, taken = canvas.px(5), list[tuple[int, int, int]]()
    for mark, x in zip(marks, places, strict=True):
        length = round(canvas.font().getlength(mark.label))
        ways = [(tier, start) for tier in range(_TIERS) for start in (x + gap, x - gap - length)]

        def free(way: tuple[int, int], x: int = x, length: int = length) -> bool:
            tier, start = way
            inside = room[0] <= start and start + length <= room[1]
            crossed = any(start - gap < other < start + length + gap for other in places if other != x)
            met = any(tier == at and start < end + gap and begin < start + length + gap for at, begin, end in taken)
            return inside and not crossed and not met

        tier, start = next(filter(free, ways), ways[-2])
        taken.append((tier, start, start + length))
    return [(tier, start) for tier, start, _ in taken]
