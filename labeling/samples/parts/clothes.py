"""Twelve kinds of clothes, as far down as a portrait shows. `base`: y of the throat; `slope`: half width of the shoulders."""

from __future__ import annotations

from collections.abc import Callable

import skia

from labeling.samples.dice import Dice
from labeling.samples.face import Face
from labeling.samples.palette import CLOTH, Color, lighten, shade, vary
from labeling.samples.parts.cloth import cloth, collar, line, torso
from labeling.samples.parts.pen import Pen, curve, lens, oval

__all__ = ["CLOTHES", "MEN", "WOMEN"]

WOMEN = {
    "sailor": 20,
    "blouse": 14,
    "frill": 12,
    "tee": 10,
    "hoodie": 9,
    "kimono": 10,
    "turtleneck": 8,
    "bare": 12,
    "blazer": 10,
}
MEN = {"shirt": 20, "gakuran": 20, "blazer": 16, "hoodie": 14, "tee": 10, "turtleneck": 8, "kimono": 8, "armor": 6}


def _sailor(pen: Pen, face: Face, d: Dice, color: Color, base: float, slope: float) -> None:
    n = face.head.neck
    dark = d.pick([(0.17, 0.22, 0.42), (0.14, 0.14, 0.2), (0.55, 0.14, 0.2), (0.3, 0.5, 0.75)])
    white: Color = (0.97, 0.97, 0.99)
    cloth(pen, face, torso(face, base, slope, n + 0.01, 0.1), white, base)
    for s in (-1, 1):
        flap = curve(
            (s * (n + 0.002), base - 0.01),
            (s * slope * 0.8, base + 0.035, s * (slope + 0.06), base + 0.13),
            (s * 0.2, base + 0.2, s * 0.05, base + 0.26),
            (0, base + 0.24),
            (s * n * 0.8, base + 0.1, s * (n + 0.002), base - 0.01),
            close=True,
        )
        cloth(pen, face, flap, dark, base)
        stripe = curve((s * (n + 0.03), base + 0.02), (s * (n + 0.01), base + 0.13, s * 0.04, base + 0.215))
        pen.line(stripe, white, 0.008)
        pen.line(curve((s * (slope * 0.72), base + 0.06), (s * 0.2, base + 0.13, s * 0.07, base + 0.2)), white, 0.006, 0.9)
    scarf = d.pick([(0.86, 0.18, 0.24), (0.95, 0.75, 0.25), (0.97, 0.97, 0.98), (0.3, 0.42, 0.8)])
    knot = curve(
        (-0.035, base + 0.19), (0.035, base + 0.19), (0.06, base + 0.5), (0, base + 0.42), (-0.06, base + 0.5), close=True
    )
    cloth(pen, face, knot, scarf, base + 0.15)


def _shirt(pen: Pen, face: Face, d: Dice, color: Color, base: float, slope: float) -> None:
    white = lighten(color, 0.8) if d.chance(0.4) else (0.97, 0.97, 0.98)
    cloth(pen, face, torso(face, base, slope, face.head.neck * 0.98, 0.06), white, base)
    if d.chance(0.75):
        tie = color if sum(color) < 2.3 else (0.2, 0.25, 0.5)
        path = curve(
            (-0.028, base + 0.05),
            (0.028, base + 0.05),
            (0.02, base + 0.1),
            (0.05, base + 0.6),
            (-0.05, base + 0.6),
            (-0.02, base + 0.1),
            close=True,
        )
        cloth(pen, face, path, tie, base)
    collar(pen, face, white, base, face.head.neck, 0.075, 0.13)


def _blouse(pen: Pen, face: Face, d: Dice, color: Color, base: float, slope: float) -> None:
    body = lighten(color, 0.55)
    cloth(pen, face, torso(face, base, slope, face.head.neck * 0.98, 0.06), body, base)
    for s in (-1, 1):
        half = curve(
            (0, base + 0.055),
            (s * 0.05, base + 0.11, s * 0.15, base + 0.12, s * 0.17, base + 0.05),
            (s * 0.14, base + 0.01, s * face.head.neck, base - 0.03),
            (s * face.head.neck * 0.7, base + 0.035, 0, base + 0.055),
            close=True,
        )
        cloth(pen, face, half, (0.98, 0.98, 1.0), base)
    for k in (0.13, 0.22):
        pen.fill(oval(0, base + k, 0.012, 0.012), shade(body, 0.9))


def _frill(pen: Pen, face: Face, d: Dice, color: Color, base: float, slope: float) -> None:
    n = face.head.neck
    cloth(pen, face, torso(face, base, slope, n + 0.02, 0.08), color, base)
    count = 7
    for i in range(count):
        t = (i + 0.5) / count * 2 - 1
        x, y = t * (n + 0.075), base + 0.085 - 0.075 * abs(t) ** 1.5
        petal = oval(x, y, 0.036, 0.042)
        pen.fill(petal, (0.98, 0.98, 1.0))
        pen.line(petal, line((0.9, 0.88, 0.95)), face.look.line * 0.8)
    pen.fill(oval(0, base + 0.075, 0.028, 0.032), color)
    pen.fill(oval(0, base + 0.072, 0.014, 0.016), lighten(color, 0.6))


def _tee(pen: Pen, face: Face, d: Dice, color: Color, base: float, slope: float) -> None:
    n = face.head.neck + 0.03
    body = torso(face, base, slope, n, 0.12)
    cloth(pen, face, body, color, base)
    hem = curve((-n, base + 0.025), (-n * 0.6, base + 0.16, n * 0.6, base + 0.16, n, base + 0.025))
    pen.line(hem, lighten(color, 0.35) if sum(color) < 2 else shade(color, 0.5), 0.016)


def _hoodie(pen: Pen, face: Face, d: Dice, color: Color, base: float, slope: float) -> None:
    n = face.head.neck
    for s in (-1, 1):
        hood = curve(
            (s * n * 0.7, base - 0.05),
            (s * (n + 0.14), base - 0.1, s * (n + 0.2), base + 0.03),
            (s * 0.2, base + 0.12, s * 0.02, base + 0.14),
            close=True,
        )
        cloth(pen, face, hood, shade(color, 0.35), base - 0.1)
    cloth(pen, face, torso(face, base + 0.02, slope, n + 0.045, 0.12), color, base)
    rim = curve((-n - 0.045, base + 0.03), (-n * 0.7, base + 0.19, n * 0.7, base + 0.19, n + 0.045, base + 0.03))
    pen.line(rim, line(color), 0.034)
    pen.line(rim, lighten(color, 0.2), 0.024)
    for s in (-1, 1):
        pen.line(curve((s * 0.045, base + 0.14), (s * 0.055, base + 0.24, s * 0.05, base + 0.34)), lighten(color, 0.85), 0.011)


def _kimono(pen: Pen, face: Face, d: Dice, color: Color, base: float, slope: float) -> None:
    n = face.head.neck
    body = torso(face, base, slope, n + 0.02, 0.1)
    cloth(pen, face, body, color, base)
    with pen.clipped(body):
        for _ in range(7):
            x, y, r = d.uniform(-0.5, 0.5), base + d.uniform(0.1, 0.4), d.uniform(0.02, 0.04)
            for k in range(5):
                with pen.moved(x, y, k * 72):
                    pen.fill(oval(0, -r * 0.6, r * 0.4, r * 0.6), lighten(color, 0.6), 0.85)
    trim = d.pick(CLOTH)
    for s, reach in ((1, -0.06), (-1, 0.1)):
        edge = curve(
            (s * (n - 0.004), base - 0.045),
            (s * (n + 0.05), base - 0.02),
            (s * n * 0.4 + 0.03 * s, base + 0.14, reach * s * -1, base + 0.32),
            (reach * s * -1 - 0.06 * s, base + 0.3),
            (s * n * 0.2, base + 0.1, s * (n - 0.004), base - 0.045),
            close=True,
        )
        cloth(pen, face, edge, lighten(trim, 0.5), base)


def _turtleneck(pen: Pen, face: Face, d: Dice, color: Color, base: float, slope: float) -> None:
    n = face.head.neck * 1.1
    cloth(pen, face, torso(face, base, slope, n, 0.02), color, base)
    tube = curve(
        (-n, base - 0.055),
        (0, base - 0.01, n, base - 0.055),
        (n * 1.12, base + 0.045),
        (0, base + 0.1, -n * 1.12, base + 0.045),
        close=True,
    )
    cloth(pen, face, tube, lighten(color, 0.1), base - 0.05)
    ribs = skia.Path()
    for i in range(7):
        x = (i / 6 * 2 - 1) * n * 0.9
        y = base + 0.005 - 0.045 * (x / n) ** 2
        lens(((x, y - 0.01), (x, y + 0.01), (x, y + 0.03), (x * 1.08, y + 0.055)), 0.006, ribs)
    pen.fill(ribs, line(color), 0.5)


def _bare(pen: Pen, face: Face, d: Dice, color: Color, base: float, slope: float) -> None:
    """Bare shoulders: a choker, straps, a dress."""
    n = face.head.neck
    if d.chance(0.6):
        choker = curve(
            (-n * 0.95, base - 0.05),
            (0, base - 0.005, n * 0.95, base - 0.05),
            (n * 0.95, base - 0.022),
            (0, base + 0.026, -n * 0.95, base - 0.022),
            close=True,
        )
        cloth(pen, face, choker, shade(color, 0.6), base - 0.05)
    for s in (-1, 1):
        pen.line(curve((s * 0.17, base + 0.06), (s * 0.16, base + 0.15, s * 0.15, base + 0.3)), line(color), 0.03)
        pen.line(curve((s * 0.17, base + 0.06), (s * 0.16, base + 0.15, s * 0.15, base + 0.3)), color, 0.02)
    cloth(
        pen,
        face,
        curve(
            (-0.4, base + 0.24),
            (-0.2, base + 0.16, 0, base + 0.26),
            (0.2, base + 0.16, 0.4, base + 0.24),
            (0.5, base + 0.9),
            (-0.5, base + 0.9),
            close=True,
        ),
        color,
        base + 0.2,
    )


def _blazer(pen: Pen, face: Face, d: Dice, color: Color, base: float, slope: float) -> None:
    _shirt(pen, face, d, d.pick(CLOTH), base, slope)
    jacket = shade(color, 0.35) if sum(color) > 2.2 else color
    n = face.head.neck
    for s in (-1, 1):
        side = curve(
            (s * (n + 0.015), base + 0.0),
            (s * slope * 0.8, base + 0.04, s * (slope + 0.01), base + 0.085),
            (s * (slope + 0.16), base + 0.14, s * 0.6, base + 0.6),
            (s * 0.02, base + 0.6),
            (s * 0.06, base + 0.3, s * (n + 0.015), base),
            close=True,
        )
        cloth(pen, face, side, jacket, base)
        lapel = curve(
            (s * (n + 0.015), base),
            (s * (n + 0.1), base + 0.08),
            (s * (n + 0.06), base + 0.12),
            (s * (n + 0.1), base + 0.16),
            (s * 0.03, base + 0.45),
            (s * 0.07, base + 0.2, s * (n + 0.015), base),
            close=True,
        )
        cloth(pen, face, lapel, lighten(jacket, 0.1), base)


def _gakuran(pen: Pen, face: Face, d: Dice, color: Color, base: float, slope: float) -> None:
    dark = d.pick([(0.16, 0.16, 0.22), (0.14, 0.18, 0.32), (0.3, 0.3, 0.36), (0.92, 0.92, 0.96)])
    n = face.head.neck
    cloth(pen, face, torso(face, base, slope, n * 1.05, 0.04), dark, base)
    for s in (-1, 1):
        half = curve(
            (s * n * 1.02, base - 0.06),
            (s * n * 1.15, base + 0.03),
            (s * 0.012, base + 0.085),
            (s * 0.02, base + 0.02),
            (s * n * 0.7, base - 0.01, s * n * 1.02, base - 0.06),
            close=True,
        )
        cloth(pen, face, half, dark, base - 0.05)
    gold: Color = (0.95, 0.78, 0.32)
    pen.line(curve((0, base + 0.08), (0, base + 0.6)), line(dark), face.look.line)
    for k in (0.14, 0.26):
        pen.fill(oval(0.0, base + k, 0.016, 0.016), gold)
    pen.line(curve((-slope * 0.95, base + 0.085), (-n * 1.3, base + 0.05)), lighten(dark, 0.25), 0.006, 0.8)


def _armor(pen: Pen, face: Face, d: Dice, color: Color, base: float, slope: float) -> None:
    """A high metal collar and a cape."""
    n, steel = face.head.neck, vary((0.66, 0.7, 0.78), d, 0.1, 0.1, 0.1)
    cloth(pen, face, torso(face, base, slope, n * 1.3, 0.02), color, base)
    guard = curve(
        (-n * 1.25, base - 0.05),
        (0, base + 0.01, n * 1.25, base - 0.05),
        (n * 1.6, base + 0.07),
        (0, base + 0.17, -n * 1.6, base + 0.07),
        close=True,
    )
    pen.gradient(guard, (-n * 1.5, 0), (n * 1.5, 0), [shade(steel, 0.8), steel, lighten(steel, 0.8), steel, shade(steel, 0.9)])
    pen.line(guard, line(steel), face.look.line * 1.2)


CLOTHES: dict[str, Callable[[Pen, Face, Dice, Color, float, float], None]] = {
    "sailor": _sailor,
    "shirt": _shirt,
    "blouse": _blouse,
    "frill": _frill,
    "tee": _tee,
    "hoodie": _hoodie,
    "kimono": _kimono,
    "turtleneck": _turtleneck,
    "bare": _bare,
    "blazer": _blazer,
    "gakuran": _gakuran,
    "armor": _armor,
}
