"""Things worn: ribbons and glasses."""

from __future__ import annotations

import skia

from labeling.samples.dice import Dice
from labeling.samples.face import Face
from labeling.samples.palette import Color, lighten, shade, vary
from labeling.samples.parts.hair import tie_points
from labeling.samples.parts.pen import Pen, curve, lens, oval

__all__ = ["bow", "draw_glasses", "draw_ribbon"]

_RIBBONS: tuple[Color, ...] = (
    (0.86, 0.14, 0.2), (0.94, 0.42, 0.56), (0.22, 0.34, 0.78), (0.98, 0.97, 0.98), (0.16, 0.15, 0.2), (0.98, 0.8, 0.26),
    (0.56, 0.3, 0.72), (0.24, 0.62, 0.44), (0.5, 0.8, 0.92),
)  # fmt: skip
_FRAMES: tuple[Color, ...] = ((0.12, 0.11, 0.14), (0.7, 0.12, 0.16), (0.2, 0.24, 0.5), (0.4, 0.22, 0.14), (0.34, 0.34, 0.4))


def _contrast(face: Face, colors: tuple[Color, ...], dice: Dice) -> Color:
    """One of `colors` that stands off the hair."""
    hair = face.hair.base
    far = [c for c in colors if sum(abs(a - b) for a, b in zip(c, hair, strict=True)) > 0.6]
    return vary(dice.pick(far or list(colors)), dice, 0.015, 0.06, 0.04)


def bow(pen: Pen, face: Face, size: float, color: Color, d: Dice, tails: bool = True) -> None:
    """A bow about the origin, `size` half its width: two loops with folds, a knot, two tails."""
    line, dark, light = shade(color, 0.95, (0.3, 0.18, 0.3)), shade(color, 0.7), lighten(color, 0.35)
    width = face.look.line
    pinch, droop = d.uniform(0.5, 0.66), d.uniform(0.0, 0.2)
    for s in (-1, 1):
        if tails:
            tail = curve(
                (0, 0),
                (s * size * 0.3, size * 0.3, s * size * 0.42, size * 1.05),
                (s * size * 0.62, size * 0.86),
                (s * size * 0.84, size * 0.98),
                (s * size * 0.6, size * 0.4, s * size * 0.12, 0.0),
                close=True,
            )
            pen.gradient(tail, (0, 0), (0, size), [dark, color])
            pen.line(tail, line, width)
        loop = curve(
            (0, 0),
            (s * size * 0.3, -size * pinch, s * size * 0.9, -size * pinch * 1.15, s * size, -size * 0.42),
            (s * size * 1.04, 0, s * size * 1.02, size * (0.2 + droop), s * size * 0.92, size * (0.34 + droop)),
            (s * size * 0.6, size * 0.42, s * size * 0.25, size * 0.2, 0, 0),
            close=True,
        )
        pen.gradient(
            loop,
            (0, -size * 0.5),
            (0, size * 0.45),
            [light if face.look.detail else color, color, dark if face.look.detail else color],
        )
        if face.look.detail:
            folds = skia.Path()
            for k in (-0.12, 0.05, 0.18):
                lens(
                    (
                        (s * size * 0.12, size * k * 0.4),
                        (s * size * 0.3, size * k),
                        (s * size * 0.5, size * k * 1.4),
                        (s * size * 0.72, size * k * 1.3),
                    ),
                    size * 0.07,
                    folds,
                )
            inner = curve(
                (s * size * 0.97, -size * 0.36),
                (s * size * 0.7, -size * 0.1, s * size * 0.9, size * 0.26 + droop * size),
                (s * size * 1.03, size * 0.05, s * size * 0.97, -size * 0.36),
                close=True,
            )
            pen.fill(folds, dark, 0.9)
            pen.fill(inner, dark, 0.75)
        pen.line(loop, line, width)
    knot = oval(0, size * 0.02, size * 0.17, size * 0.22)
    pen.gradient(knot, (0, -size * 0.2), (0, size * 0.25), [light, color, dark])
    pen.line(knot, line, width)


def draw_ribbon(pen: Pen, face: Face) -> None:
    """Tag `ribbon`: a bow at the temple, two bows, one on top with a band, or bows on the tails."""
    if not face.has("ribbon"):
        return
    d, h = face.dice("ribbon"), face.head
    color = _contrast(face, _RIBBONS, d)
    w = h.width + h.volume
    kind = d.pick(["side", "pair", "top"], [0.5, 0.25, 0.25])
    if face.has("twintails") and d.chance(0.75):
        for side, (x, y) in zip((-1, 1), tie_points(face), strict=True):
            with pen.moved(x, y, side * 30):
                bow(pen, face, d.uniform(0.095, 0.125), color, d)
        return
    if kind == "top" and not face.has("hat"):
        shift = 0.03 * face.pose.turn
        band = curve(
            (-w * 0.96, -0.1),
            (-w * 0.92, h.top * 0.86, -w * 0.4 + shift, h.top * 0.97, shift, h.top * 0.97),
            (w * 0.4 + shift, h.top * 0.97, w * 0.92, h.top * 0.86, w * 0.96, -0.1),
        )
        pen.line(band, shade(color, 0.95, (0.3, 0.18, 0.3)), 0.034)
        pen.line(band, color, 0.024)
        with pen.moved(shift + d.uniform(-0.12, 0.12), h.top * 0.95, d.uniform(-12, 12)):
            bow(pen, face, d.uniform(0.13, 0.17), color, d, tails=False)
        return
    size = d.uniform(0.1, 0.14)
    low = face.has("hat")
    y = -0.1 if low else d.uniform(-0.29, -0.2)
    x = w * (0.96 if low else 0.86)
    for side in (-1, 1) if kind == "pair" else (d.sign(),):
        with pen.moved(side * x, y, side * d.uniform(15, 40)):
            bow(pen, face, size, color, d, tails=d.chance(0.7))


def draw_glasses(pen: Pen, face: Face) -> None:
    """Tag `glasses`: round, square, oval or half-rimmed frames with a glint."""
    if not face.has("glasses"):
        return
    d = face.dice("glasses")
    kind = d.pick(["round", "square", "oval", "under"])
    color, thick = d.pick(_FRAMES), d.uniform(0.0095, 0.0135)
    space = 0.115 if face.male else 0.134
    rx = (0.105 if kind != "round" else 0.112) * (0.88 if face.male else 1.0)
    ry = {"round": 0.1, "square": 0.072, "oval": 0.076, "under": 0.07}[kind] * (0.85 if face.male else 1.0)
    y = 0.014
    xs = {side: face.turned(side * space, 0.02) for side in (-1, 1)}
    sq = {side: min(1.08, max(0.6, face.squeeze(side * space))) for side in (-1, 1)}
    pen.line(
        curve((xs[-1] + rx * sq[-1], y - 0.01), (sum(xs.values()) / 2, y - 0.035, xs[1] - rx * sq[1], y - 0.01)), color, thick
    )
    for side in (-1, 1):
        arm = (side * (face.head.width + 0.02), y - 0.035)
        pen.line(curve((xs[side] + side * rx * sq[side], y - 0.02), arm), color, thick * 0.9)
        with pen.moved(xs[side], y, 0, side * sq[side], 1):
            full = _lens_path(kind, rx, ry)
            pen.fill(full, (0.86, 0.93, 1.0), 0.07)
            if face.look.detail:
                with pen.clipped(full):
                    g = -face.look.light * side * rx * 0.2
                    glint = curve((g - 0.05, ry), (g + 0.03, -ry), (g + 0.065, -ry), (g - 0.015, ry), close=True)
                    pen.fill(glint, (1, 1, 1), 0.16)
            frame = (
                full
                if kind != "under"
                else curve((-rx, -ry * 0.5), (-rx, ry * 0.9, -rx * 0.6, ry, 0, ry), (rx * 0.6, ry, rx, ry * 0.9, rx, -ry * 0.5))
            )
            pen.line(frame, color, thick)


def _lens_path(kind: str, rx: float, ry: float) -> skia.Path:
    if kind in ("round", "oval"):
        return oval(0, 0, rx, ry)
    path = skia.Path()
    path.addRoundRect(skia.Rect.MakeLTRB(-rx, -ry, rx, ry), rx * 0.32, ry * 0.5)
    return path
