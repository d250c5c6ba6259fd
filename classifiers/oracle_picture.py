"""Label-efficiency curves as a picture: a mean line and a 95 % band a strategy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from classifiers.oracle_report import Curve
from configs.files import atomic_path

__all__ = ["draw_curves"]

WIDTH, HEIGHT = 900, 560
_LEFT, _RIGHT, _TOP, _BOTTOM = 74, 24, 78, 62
_SCALE = 3  # drawn larger and shrunk: Pillow's lines have hard edges
_INK, _FAINT, _PAPER = (31, 41, 55), (226, 230, 235), (255, 255, 255)
_COLOURS = ((220, 38, 38), (107, 114, 128), (37, 99, 235), (5, 150, 105), (217, 119, 6), (124, 58, 237))
_BAND = 46  # opacity of 255


def draw_curves(path: str | Path, curves: dict[str, Curve], title: str, subtitle: str) -> None:
    """Write a PNG of 900×560 px: balanced accuracy over labels.

    Raises:
        InputError: the file cannot be written.
    """
    labels = next(iter(curves.values())).labels
    bands = {name: curve.band() for name, curve in curves.items()}
    across = _ticks(0, float(labels[-1]), 8)
    up = _ticks(*_span(bands), 7)
    image = Image.new("RGB", (WIDTH * _SCALE, HEIGHT * _SCALE), _PAPER)

    def x(value: float) -> float:
        return _SCALE * (_LEFT + (value - across[0]) / (across[-1] - across[0]) * (WIDTH - _LEFT - _RIGHT))

    def y(value: float) -> float:
        return _SCALE * (HEIGHT - _BOTTOM - (value - up[0]) / (up[-1] - up[0]) * (HEIGHT - _TOP - _BOTTOM))

    _axes(ImageDraw.Draw(image), across, up, x, y)
    for (name, (_, low, high)), colour in zip(bands.items(), _colours(list(bands)), strict=True):
        edge = [(x(place), y(value)) for place, value in zip(labels, low, strict=True)]
        edge += [(x(place), y(value)) for place, value in zip(labels[::-1], high[::-1], strict=True)]
        if len(curves[name].scores) > 1:
            veil = Image.new("RGBA", image.size)
            ImageDraw.Draw(veil).polygon(edge, fill=(*colour, _BAND))
            image.paste(veil, mask=veil)
    draw = ImageDraw.Draw(image)
    for (mean, _, _), colour in zip(bands.values(), _colours(list(bands)), strict=True):
        line = [(x(place), y(value)) for place, value in zip(labels, mean, strict=True)]
        draw.line(line, fill=colour, width=round(2.4 * _SCALE), joint="curve")
    _write(draw, (_LEFT, 16), title, 19, "lt")
    _write(draw, (_LEFT, 44), subtitle, 14, "lt")
    _legend(draw, list(bands))
    with atomic_path(path) as temporary:
        image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS).save(temporary, format="PNG", optimize=True)


def _axes(
    draw: ImageDraw.ImageDraw,
    across: np.ndarray,
    up: np.ndarray,
    x: Callable[[float], float],
    y: Callable[[float], float],
) -> None:
    thin = _SCALE
    for value in up:
        draw.line([(x(across[0]), y(value)), (x(across[-1]), y(value))], fill=_FAINT, width=thin)
        _write(draw, (_LEFT - 10, y(value) / _SCALE), f"{100 * value:.3g} %", 14, "rm")
    for value in across:
        draw.line([(x(value), y(up[0])), (x(value), y(up[0]) + 6 * _SCALE)], fill=_INK, width=thin)
        _write(draw, (x(value) / _SCALE, HEIGHT - _BOTTOM + 12), f"{value:,.0f}", 14, "mt")
    corner = [(x(across[0]), y(up[-1])), (x(across[0]), y(up[0])), (x(across[-1]), y(up[0]))]
    draw.line(corner, fill=_INK, width=thin)
    _write(draw, ((_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 12), "labels given by the oracle", 14, "mb")


def _legend(draw: ImageDraw.ImageDraw, names: list[str]) -> None:
    """At the lower right, which curves that rise leave free."""
    for place, (name, colour) in enumerate(zip(names, _colours(names), strict=True)):
        middle = HEIGHT - _BOTTOM - 22 - 24 * (len(names) - 1 - place)
        left = WIDTH - _RIGHT - 170
        draw.line(
            [(left * _SCALE, middle * _SCALE), ((left + 30) * _SCALE, middle * _SCALE)], fill=colour, width=round(3 * _SCALE)
        )
        _write(draw, (left + 40, middle), name, 16, "lm")


def _write(draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, size: int, anchor: str) -> None:
    font = ImageFont.load_default(size * _SCALE)
    draw.text((at[0] * _SCALE, at[1] * _SCALE), text, fill=_INK, font=font, anchor=anchor)


def _colours(names: list[str]) -> list[tuple[int, int, int]]:
    """One a strategy, the same in every picture: by its place in the register."""
    from labeling.picking import STRATEGIES

    order = list(STRATEGIES)
    return [_COLOURS[order.index(name) % len(_COLOURS)] if name in order else _INK for name in names]


def _span(bands: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]) -> tuple[float, float]:
    values = np.concatenate([part[np.isfinite(part)] for band in bands.values() for part in band])
    return float(values.min()), float(values.max())


def _ticks(low: float, high: float, most: int) -> np.ndarray:
    """At most `most` round numbers in equal steps from below `low` to above `high`."""
    high = max(high, low + 1e-3)
    power = 10 ** np.floor(np.log10((high - low) / most))
    for step in (1, 2, 2.5, 5, 10, 20):
        first, last = np.floor(low / (step * power) + 1e-9), np.ceil(high / (step * power) - 1e-9)
        if last - first < most:
            break
    ticks: np.ndarray = np.arange(first, last + 1) * step * power
    return ticks
