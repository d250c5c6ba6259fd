"""Where illustrations happen: a room, a street, a meadow, a plain page, what portraits have behind them; speech bubbles.

All in px of a canvas whose origin is the place's upper left corner.
"""

from __future__ import annotations

import colorsys
import math

import skia

from labeling.samples.dice import Dice
from labeling.samples.face import Face
from labeling.samples.palette import CLOTH, Color, lighten, mix, shade, vary
from labeling.samples.parts.pen import Pen, blob, curve, lens, oval, polygon
from labeling.samples.parts.scenery import draw_background

__all__ = ["draw_bubble", "draw_place"]


def draw_place(pen: Pen, kind: str, face: Face, d: Dice, width: float, height: float) -> None:
    """Fill a rectangle of width × height px."""
    if kind == "portrait":
        side = max(width, height)
        with pen.moved(0, 0, 0, side, side):
            draw_background(pen, face)
        return
    with pen.moved(0, 0, 0, width, width):
        {"plain": _plain, "room": _room, "street": _street, "meadow": _meadow}[kind](pen, d, height / width)


def _box(x: float, y: float, w: float, h: float) -> skia.Path:
    return polygon([(x, y), (x + w, y), (x + w, y + h), (x, y + h)])


def _tone(d: Dice, saturation: tuple[float, float], value: tuple[float, float], hue: float | None = None) -> Color:
    return colorsys.hsv_to_rgb(d.unit() if hue is None else hue, d.uniform(*saturation), d.uniform(*value))


def _plain(pen: Pen, d: Dice, high: float) -> None:
    color: Color = (1.0, 1.0, 1.0) if d.chance(0.6) else _tone(d, (0.05, 0.3), (0.85, 1.0))
    pen.fill(_box(-0.01, -0.01, 1.02, high + 0.02), color)
    if d.chance(0.4):
        x, y, r = d.uniform(0.2, 0.8), high * d.uniform(0.3, 0.7), d.uniform(0.2, 0.4)
        pen.fill(oval(x, y, r, r), _tone(d, (0.1, 0.35), (0.85, 1.0)), 0.8)


def _room(pen: Pen, d: Dice, high: float) -> None:
    wall, floor = _tone(d, (0.06, 0.3), (0.75, 0.98)), _tone(d, (0.25, 0.5), (0.5, 0.8), d.uniform(0.05, 0.12))
    ground = high * d.uniform(0.66, 0.8)
    edge = shade(wall, 0.8)
    pen.gradient(_box(-0.01, -0.01, 1.02, ground + 0.02), (0, 0), (0, ground), [lighten(wall, 0.2), wall])
    pen.gradient(_box(-0.01, ground, 1.02, high - ground + 0.01), (0, ground), (0, high), [shade(floor, 0.3), floor])
    for i in range(-6, 12):
        pen.line(curve((0.5 + (i - 2.5) * 0.09, ground), (0.5 + (i - 2.5) * 0.3, high)), shade(floor, 0.6), 0.002, 0.7)
    pen.fill(_box(-0.01, ground - 0.02, 1.02, 0.02), lighten(wall, 0.5))
    x, y, w, h = d.uniform(0.02, 0.6), ground * d.uniform(0.1, 0.25), d.uniform(0.25, 0.4), ground * d.uniform(0.35, 0.5)
    pen.gradient(_box(x, y, w, h), (x, y), (x, y + h), [(0.45, 0.7, 0.96), (0.9, 0.96, 1.0)])
    for k in (0.0, 0.5, 1.0):
        pen.line(curve((x + w * k, y), (x + w * k, y + h)), (0.97, 0.96, 0.93), 0.012)
        pen.line(curve((x, y + h * k), (x + w, y + h * k)), (0.97, 0.96, 0.93), 0.012)
    cloth = _tone(d, (0.2, 0.6), (0.6, 0.95))
    for s in (0, 1):
        fold = curve(
            (x + w * s, y - 0.02),
            (x + w * (0.28 if s == 0 else 0.72), y - 0.02),
            (x + w * s, y + h * 0.6, x + w * s, y + h * 1.1),
            close=True,
        )
        pen.fill(fold, cloth)
        pen.line(fold, shade(cloth, 0.8), 0.002)
    _shelf(pen, d, d.uniform(0.05, 0.7), ground * d.uniform(0.2, 0.7))
    if d.chance(0.5):
        cx, cy = d.uniform(0.1, 0.9), ground * 0.15
        pen.fill(oval(cx, cy, 0.045, 0.045), (0.99, 0.98, 0.95))
        pen.line(oval(cx, cy, 0.045, 0.045), edge, 0.008)
        pen.line(curve((cx, cy - 0.028), (cx, cy), (cx + 0.018, cy + 0.008)), (0.2, 0.2, 0.22), 0.004)
    if d.chance(0.35):
        _plush(pen, d, d.uniform(0.1, 0.9), ground + 0.02)
    if d.chance(0.5):
        _plant(pen, d, d.uniform(0.05, 0.95), ground + 0.05)


def _shelf(pen: Pen, d: Dice, x: float, y: float) -> None:
    at, wide = x, d.uniform(0.16, 0.28)
    while at < x + wide:
        w, h = d.uniform(0.012, 0.024), d.uniform(0.06, 0.09)
        color = vary(d.pick(CLOTH), d, 0.05, 0.2, 0.1)
        pen.fill(_box(at, y - h, w, h), color)
        pen.line(_box(at, y - h, w, h), shade(color, 0.8), 0.0015)
        at += w
    pen.fill(_box(x - 0.01, y, wide + 0.04, 0.012), (0.5, 0.34, 0.22))


def _plush(pen: Pen, d: Dice, x: float, y: float) -> None:
    """A stuffed bear: round, two eyes, and no face that counts."""
    color, r = _tone(d, (0.2, 0.5), (0.6, 0.95), d.uniform(0.03, 0.12)), d.uniform(0.03, 0.05)
    for at, ry in ((0.0, 1.2), (-1.9, 0.9)):
        if at < 0:
            for s in (-1, 1):
                pen.fill(oval(x + s * r * 0.75, y + r * (at - 0.75), r * 0.36, r * 0.36), shade(color, 0.3))
        pen.fill(oval(x, y + at * r, r, r * ry), color)
        pen.line(oval(x, y + at * r, r, r * ry), shade(color, 0.9), 0.0018)
    for s in (-1, 1):
        pen.fill(oval(x + s * r * 0.38, y - r * 2.0, r * 0.1, r * 0.1), (0.1, 0.08, 0.08))
    pen.fill(oval(x, y - r * 1.7, r * 0.28, r * 0.2), lighten(color, 0.6))
    pen.fill(oval(x, y - r * 1.76, r * 0.1, r * 0.07), (0.15, 0.1, 0.1))


def _plant(pen: Pen, d: Dice, x: float, y: float) -> None:
    green = _tone(d, (0.4, 0.7), (0.4, 0.7), d.uniform(0.25, 0.4))
    for _ in range(9):
        a, length = d.uniform(-1.0, 1.0), d.uniform(0.1, 0.18)
        tip = (x + math.sin(a) * length, y - 0.05 - math.cos(a) * length)
        leaf = ((x, y - 0.05), (x + a * 0.03, y - 0.1), ((x + tip[0]) / 2, tip[1]), tip)
        pen.fill(lens(leaf, 0.03), vary(green, d, 0.03, 0.1, 0.1))
    pen.fill(polygon([(x - 0.04, y - 0.06), (x + 0.04, y - 0.06), (x + 0.03, y), (x - 0.03, y)]), (0.72, 0.42, 0.3))


def _clouds(pen: Pen, d: Dice, top: float, bottom: float) -> None:
    for _ in range(d.integer(2, 5)):
        x, y, r = d.unit(), d.uniform(top, bottom), d.uniform(0.03, 0.07)
        for _ in range(6):
            pen.fill(
                oval(x + d.uniform(-2, 2) * r, y + d.uniform(-0.4, 0.4) * r, r * d.uniform(0.7, 1.3), r * 0.7), (1, 1, 1), 0.85
            )


def _sky(pen: Pen, d: Dice, high: float) -> None:
    above, below = d.pick(
        [((0.3, 0.58, 0.95), (0.85, 0.94, 1.0)), ((0.98, 0.62, 0.4), (1.0, 0.9, 0.7)), ((0.1, 0.12, 0.3), (0.4, 0.35, 0.6))]
    )
    pen.gradient(_box(-0.01, -0.01, 1.02, high + 0.02), (0, 0), (0, high), [above, below])


def _street(pen: Pen, d: Dice, high: float) -> None:
    ground = high * d.uniform(0.7, 0.82)
    _sky(pen, d, ground)
    _clouds(pen, d, 0.02, ground * 0.4)
    x = -0.05
    while x < 1.05:
        w, top = d.uniform(0.12, 0.3), ground * d.uniform(0.1, 0.6)
        color = _tone(d, (0.05, 0.4), (0.5, 0.95))
        pen.gradient(_box(x, top, w, ground - top), (x, top), (x + w, ground), [color, shade(color, 0.35)])
        pen.line(_box(x, top, w, ground - top), shade(color, 0.8), 0.002)
        columns, glass = max(2, int(w / 0.05)), d.pick([(0.6, 0.75, 0.9), (1.0, 0.92, 0.65), (0.35, 0.42, 0.55)])
        step = w / (columns + 0.5)
        for i in range(columns):
            for j in range(int((ground - top) / step * 0.7)):
                pane = _box(x + step * (i + 0.4), top + step * (j * 1.3 + 0.4), step * 0.6, step * 0.8)
                pen.fill(pane, vary(glass, d, 0.01, 0.1, 0.12))
        x += w + d.uniform(0.0, 0.04)
    road = _tone(d, (0.02, 0.1), (0.45, 0.75))
    pen.gradient(_box(-0.01, ground, 1.02, high - ground + 0.01), (0, ground), (0, high), [shade(road, 0.3), road])
    pen.fill(_box(-0.01, ground, 1.02, 0.015), lighten(road, 0.5))
    for i in range(5):
        x, y = i * 0.25, ground + 0.1
        pen.fill(polygon([(x, y), (x + 0.12, y), (x + 0.1, y + 0.02), (x - 0.02, y + 0.02)]), (0.95, 0.95, 0.95), 0.8)
    if d.chance(0.6):
        _tree(pen, d, d.unit(), ground + 0.03, d.uniform(0.3, 0.5) * high)


def _tree(pen: Pen, d: Dice, x: float, y: float, size: float) -> None:
    low, high = size * 0.05, size * 0.02
    trunk = polygon([(x - low, y), (x - high, y - size * 0.5), (x + high, y - size * 0.5), (x + low, y)])
    pen.fill(trunk, (0.42, 0.3, 0.22))
    green = _tone(d, (0.3, 0.7), (0.45, 0.8), d.pick([0.3, 0.36, 0.95, 0.1]))
    for _ in range(14):
        r = size * d.uniform(0.1, 0.18)
        at = (x + size * d.uniform(-0.25, 0.25), y - size * d.uniform(0.45, 0.9))
        pen.fill(oval(*at, r, r * 0.85), vary(green, d, 0.02, 0.1, 0.12))


def _meadow(pen: Pen, d: Dice, high: float) -> None:
    ground = high * d.uniform(0.5, 0.72)
    _sky(pen, d, ground)
    _clouds(pen, d, 0.03, ground * 0.6)
    for i in range(3):
        y = ground - 0.12 * (2 - i) * high
        hill = blob(
            [
                (-0.2, high + 0.1),
                (-0.2, y + 0.05),
                *((k * 0.25, y + d.uniform(-0.06, 0.06) * high) for k in range(6)),
                (1.3, high + 0.1),
            ]
        )
        pen.fill(hill, mix(_tone(d, (0.3, 0.55), (0.55, 0.8), d.uniform(0.22, 0.38)), (0.7, 0.82, 0.95), 0.5 - 0.25 * i))
    for _ in range(d.integer(0, 3)):
        _tree(pen, d, d.unit(), ground + d.uniform(0.0, 0.1) * high, d.uniform(0.25, 0.5) * high)
    petals = d.pick([(1.0, 0.75, 0.82), (1, 1, 1), (1.0, 0.88, 0.4), (0.7, 0.6, 0.95)])
    for _ in range(40):
        x, y = d.unit(), d.uniform(ground + 0.05, high)
        r = 0.004 + 0.008 * (y - ground) / max(high - ground, 1e-6)
        for k in range(5):
            a = math.tau * k / 5
            pen.fill(oval(x + math.cos(a) * r, y + math.sin(a) * r, r * 0.7, r * 0.7), petals)
        pen.fill(oval(x, y, r * 0.6, r * 0.6), (0.98, 0.8, 0.3))


def draw_bubble(pen: Pen, d: Dice, x: float, y: float, width: float, height: float) -> None:
    """A speech bubble with lines of unreadable writing in a box whose upper left corner is (x, y)."""
    x, y = x + width / 2, y + height / 2
    pen.fill(oval(x, y, width / 2, height / 2), (1, 1, 1))
    pen.line(oval(x, y, width / 2, height / 2), (0.1, 0.1, 0.12), width * 0.015)
    rows = d.integer(2, 4)
    for row in range(rows):
        at = y + (row - (rows - 1) / 2) * height * 0.17
        left, right = x - width * d.uniform(0.22, 0.32), x + width * d.uniform(0.15, 0.32)
        while left < right:
            w = width * d.uniform(0.03, 0.07)
            pen.fill(_box(left, at - height * 0.05, w, height * d.uniform(0.06, 0.1)), (0.12, 0.12, 0.15))
            left += w + width * 0.02
