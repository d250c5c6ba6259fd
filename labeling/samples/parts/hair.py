"""Hair behind the face: short, medium, long, twintails, ponytail, ringlets."""

from __future__ import annotations

import math

import skia

from labeling.samples.dice import Dice
from labeling.samples.face import Face
from labeling.samples.palette import CLOTH, Color, lighten, mix, shade
from labeling.samples.parts.locks import lock
from labeling.samples.parts.pen import Cubic, Pen, Point, curve, lens, oval, spine_path

__all__ = ["draw_back_hair", "draw_drills", "draw_front_hair", "draw_tails", "tie_points"]


def tie_points(face: Face) -> tuple[Point, Point]:
    """Where twintails are tied, left and right."""
    d, h = face.dice("tie"), face.head
    y = d.uniform(-0.3, -0.2)
    x = (h.width + h.volume) * math.sqrt(max(0.0, 1 - (y / h.top) ** 2)) + 0.012
    return (-x, y), (x, y)


def _gathered(face: Face) -> bool:
    return face.has("twintails") or face.has("ponytail") or (face.has("drill_hair") and face.dice("drills").chance(0.5))


def draw_back_hair(pen: Pen, face: Face) -> None:
    """The mass behind head and neck; its length is the tag. Gathered hair leaves the neck free."""
    d, h = face.dice("back hair"), face.head
    w = h.width + h.volume
    if _gathered(face):
        end, spread, tips = 0.16, -0.06, 5
    elif face.length == "short":
        end = d.uniform(0.12, 0.2) if face.male else d.uniform(0.18, 0.29)
        spread, tips = d.uniform(-0.11, -0.05) if face.male else d.uniform(-0.06, 0.04), d.integer(6, 9)
    elif face.length == "medium":
        end, spread, tips = d.uniform(0.36, 0.42), d.uniform(-0.03, 0.05), d.integer(6, 9)
    else:
        end, spread, tips = d.uniform(0.72, 0.9), d.uniform(0.03, 0.14), d.integer(6, 9)
    jag = d.uniform(0.03, 0.06) if face.length != "long" else 0.05
    path = _mass(d, w, h.top, end, spread, tips, jag, wave=d.uniform(0, 0.03) if end > 0.3 else 0.0)
    hair, look = face.hair, face.look
    if not look.detail:
        pen.fill(path, mix(hair.base, hair.shadow, 0.35))
        pen.line(path, hair.line, look.line)
        return
    pen.gradient(path, (0, h.top), (0, min(end, 0.6)), [hair.base, mix(hair.base, hair.shadow, 0.35), hair.shadow])
    with pen.clipped(path):
        pen.fill(oval(0, 0.12, w * 0.86, max(0.3, end * 0.7)), hair.deep, 0.7, 0.025)
        _back_strands(pen, face, d, w, spread, end)
    pen.line(path, hair.line, look.line)


def _mass(d: Dice, w: float, top: float, end: float, spread: float, tips: int, jag: float, wave: float) -> skia.Path:
    path = skia.Path()
    out = w + spread
    path.moveTo(-w, -0.15)
    path.cubicTo(-w * 1.02, top * 0.64, -w * 0.62, top, 0, top)
    path.cubicTo(w * 0.62, top, w * 1.02, top * 0.64, w, -0.15)
    middle = end * 0.45
    path.cubicTo(w + 0.012 + wave, -0.02, w + spread * 0.5 - wave, middle * 0.6, w + spread * 0.6 + wave, middle)
    path.cubicTo(w + spread * 0.7 + wave * 2, end * 0.7, out - wave, end * 0.85, out, end)
    x0 = out
    for i in range(tips):
        x1 = out - 2 * out * (i + 1) / tips
        tip = x0 + (x1 - x0) * d.uniform(0.35, 0.65)
        deep = end + jag * d.uniform(0.4, 1.0)
        up = end - jag * d.uniform(0.3, 1.0) if i < tips - 1 else end
        path.quadTo(x0 + (tip - x0) * 0.2, end + jag * 0.2, tip, deep)
        path.quadTo(x1 + (tip - x1) * 0.5, end + jag * 0.1, x1, up)
        x0 = x1
    path.cubicTo(-out + wave, end * 0.85, -(w + spread * 0.7 + wave * 2), end * 0.7, -(w + spread * 0.6 + wave), middle)
    path.cubicTo(-(w + spread * 0.5 - wave), middle * 0.6, -(w + 0.012 + wave), -0.02, -w, -0.15)
    path.close()
    return path


def _back_strands(pen: Pen, face: Face, d: Dice, w: float, spread: float, end: float) -> None:
    dark, light = skia.Path(), skia.Path()
    for _ in range(22):
        t = d.uniform(0.55, 1.02) * d.sign()
        x0, x1 = w * t, (w + spread) * t
        y0 = d.uniform(-0.2, 0.1)
        strand: Cubic = ((x0, y0), (x0 * 1.03, y0 + 0.1), (x1 * 0.98, end * 0.6), (x1, end * d.uniform(0.7, 1.0)))
        lens(strand, d.uniform(0.004, 0.01), light if d.chance(0.4) else dark)
    pen.fill(dark, face.hair.deep, 0.6)
    pen.fill(light, face.hair.light, 0.45 * face.look.gloss)


def draw_front_hair(pen: Pen, face: Face) -> None:
    """Long hair also falls before the shoulders."""
    d = face.dice("front hair")
    if _gathered(face):
        return
    if face.length != "long":
        _layers(pen, face, d)
        return
    w = face.head.width + face.head.volume
    for side in (-1, 1):
        for i in range(d.integer(1, 2)):
            x = side * (w - 0.035 + 0.03 * i)
            end = side * (w + d.uniform(-0.07, 0.06))
            wave = side * d.uniform(-0.03, 0.05)
            lock(
                pen,
                face,
                ((x * 0.96, -0.22), (x + side * 0.02, 0.0), (x + wave, 0.35), (end, 0.85)),
                (0.004, 0.045, 0.055, 0.0),
                d,
                0.1,
                0.25,
            )


def _layers(pen: Pen, face: Face, d: Dice) -> None:
    """Short and medium hair end in layers of locks beside the cheeks and on the nape."""
    w = face.head.width + face.head.volume
    end = (0.14 if face.male else 0.24) if face.length == "short" else 0.4
    flip = d.uniform(-0.06, 0.05)
    for side in (-1, 1):
        for i in range(3):
            low = end * d.uniform(0.8, 1.1) - i * 0.05
            x = side * (w - 0.02 - 0.012 * i)
            tip = side * (w - 0.02 + flip + d.uniform(-0.03, 0.02) - 0.02 * (2 - i))
            out = side * d.uniform(0.0, 0.03)
            lock(
                pen,
                face,
                ((x * 0.97, -0.2), (x + side * 0.02, -0.06), (x + out, low * 0.55), (tip, low)),
                (0.004, 0.04, 0.042, 0.0),
                d,
                0.3,
                0.25,
            )


def draw_tails(pen: Pen, face: Face) -> None:
    """Tags `twintails` and `ponytail`, with their ties."""
    if face.has("twintails"):
        d = face.dice("twintails")
        end = d.uniform(0.16, 0.26) if face.length == "short" else d.uniform(0.6, 0.8)
        swing, fat = d.uniform(0.1, 0.2), d.uniform(0.055, 0.08)
        for side, (x, y) in zip((-1, 1), tie_points(face), strict=True):
            _tail(pen, face, d, (x, y), side, swing, end, fat)
            _tie(pen, face, x, y, side * 28)
    if face.has("ponytail"):
        d = face.dice("ponytail")
        side = d.sign()
        x, y = side * d.uniform(0.12, 0.19), face.head.top + 0.05
        end = d.uniform(0.55, 0.75) if face.length == "long" else d.uniform(0.3, 0.4)
        _tail(pen, face, d, (x, y), side, d.uniform(0.3, 0.37), end, d.uniform(0.06, 0.08), high=True)
        _tie(pen, face, x + side * 0.02, y - 0.03, side * -32, 1.35)


def _tail(
    pen: Pen, face: Face, d: Dice, at: Point, side: int, swing: float, end: float, fat: float, high: bool = False
) -> None:
    """A bundle of locks that leaves `at`, swings out and hangs to `end`."""
    x, y = at
    up = 0.15 if high else 0.05
    for i in range(4):
        spread = (i - 1.5) / 1.5
        out = swing + spread * 0.05
        reach = end * (1 - 0.12 * abs(spread)) + d.uniform(-0.03, 0.03)
        far = x + side * (out * d.uniform(0.75, 1.0))
        spine: Cubic = (
            (x, y),
            (x + side * out * 0.85, y - up),
            (x + side * out * 1.25, y + (reach - y) * 0.45),
            (far - side * 0.04, reach),
        )
        lock(pen, face, spine, (0.014, fat, fat * 0.9, 0.0), d, 0.35 - 0.3 * (i / 3))


def _tie(pen: Pen, face: Face, x: float, y: float, degrees: float, scale: float = 1.0) -> None:
    """A band or beads where hair is tied (a ribbon, when the face has one, is drawn over it)."""
    d = face.dice("tie color")
    color = d.pick(CLOTH)
    with pen.moved(x, y, degrees, scale, scale):
        if d.chance(0.4):
            for s in (-1, 1):
                pen.fill(oval(0, s * 0.022, 0.022, 0.022), color)
                pen.line(oval(0, s * 0.022, 0.022, 0.022), shade(color, 0.8), face.look.line)
                pen.fill(oval(-0.006, s * 0.022 - 0.006, 0.006, 0.005), lighten(color, 0.75))
        else:
            band = curve(
                (-0.014, -0.034),
                (0.014, -0.034),
                (0.022, 0, 0.014, 0.034),
                (-0.014, 0.034),
                (-0.004, 0, -0.014, -0.034),
                close=True,
            )
            pen.fill(band, color)
            pen.line(band, shade(color, 0.8), face.look.line)


def draw_drills(pen: Pen, face: Face) -> None:
    """Tag `drill_hair`: ringlets that hang beside the face, turn by turn narrower."""
    if not face.has("drill_hair"):
        return
    d = face.dice("drill shape")
    turns, fat = d.integer(5, 7), d.uniform(0.062, 0.08)
    w = face.head.width + face.head.volume
    top, length = d.uniform(-0.06, 0.02), d.uniform(0.5, 0.6)
    x0, lean = w + fat * 0.25, d.uniform(0.0, 0.05)
    for side in (-1, 1):
        with pen.moved(sx=side):
            for i in range(turns - 1, -1, -1):
                t = i / turns
                r = fat * (1 - 0.8 * t**1.7)
                _turn(pen, face, x0 + lean * t, top + length * t, r, length / turns * 1.3, face.look.light * side)


def _turn(pen: Pen, face: Face, x: float, y: float, r: float, height: float, light: int) -> None:
    """One turn of a ringlet: a slanted band, bright in the middle, dark at both ends."""
    hair, look, slant = face.hair, face.look, height * 0.35
    path = curve(
        (x - r, y - slant),
        (x - r * 0.9, y + height * 0.25 - slant, x + r * 0.9, y + height * 0.25 + slant * 0.2, x + r, y + slant * 0.6),
        (x + r * 1.06, y + height * 0.55 + slant * 0.6),
        (x + r * 0.6, y + height * 1.05 + slant, x - r * 0.7, y + height * 0.98, x - r * 0.98, y + height * 0.5 - slant),
        close=True,
    )
    if look.detail:
        colors: list[Color] = [hair.shadow, hair.base, hair.shine, hair.base, hair.deep]
        at = [0.0, 0.25, 0.42, 0.62, 1.0] if light < 0 else [0.0, 0.38, 0.58, 0.75, 1.0]
        if light > 0:
            colors = colors[::-1]
        pen.gradient(path, (x - r, y), (x + r, y), colors, stops=at)
        strands = skia.Path()
        for k in (0.3, 0.55, 0.8):
            lens(
                (
                    (x - r, y + height * k * 0.6 - slant),
                    (x - r * 0.5, y + height * (0.2 + k * 0.7)),
                    (x + r * 0.5, y + height * (0.2 + k * 0.7)),
                    (x + r, y + height * k * 0.6 + slant),
                ),
                0.005,
                strands,
            )
        with pen.clipped(path):
            pen.fill(strands, hair.line, 0.45)
            pen.fill(
                spine_path(
                    ((x - r, y - slant), (x - r * 0.5, y + height * 0.2), (x + r * 0.5, y + height * 0.2), (x + r, y + slant)),
                    (0.006, 0.012, 0.012, 0.006),
                ),
                hair.deep,
                0.6,
                0.006,
            )
    else:
        pen.fill(path, hair.base)
    pen.line(path, hair.line, look.line)
