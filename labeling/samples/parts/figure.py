"""The figure below a face, in head units: torso, arms, skirt or trousers, legs. About six heads tall."""

from __future__ import annotations

import math

import numpy as np
import skia

from labeling.samples.dice import Dice
from labeling.samples.face import Face
from labeling.samples.palette import CLOTH, Color, lighten, mix, shade, vary
from labeling.samples.parts.body import draw_body
from labeling.samples.parts.cloth import line
from labeling.samples.parts.pen import Cubic, Pen, Point, blob, curve, lens, oval, spine_path

__all__ = ["FEET", "draw_figure_body"]

FEET = 3.95
"""Height of the ground below the eyes."""

_WAIST, _HIP, _KNEE = 1.16, 1.58, 2.75


def draw_figure_body(pen: Pen, face: Face) -> None:
    """Neck and clothes as in a portrait, narrowed to a waist, and all that a portrait does not show."""
    d = face.dice("figure")
    male, chin = face.male, face.head.chin
    base, slope = chin + (0.085 if male else 0.075), 0.4 if male else 0.33
    waist = d.uniform(0.29, 0.33) if male else d.uniform(0.215, 0.25)
    hip = waist + (0.02 if male else 0.1)
    color = vary(d.pick(CLOTH), d, 0.02, 0.1, 0.06)
    kind = d.pick(["trousers"] * 5 + ["robe"] if male else ["skirt"] * 4 + ["dress"] * 2 + ["trousers", "shorts"])
    _legs(pen, face, d, color if kind == "trousers" else None, hip)
    torso = _torso(base, slope, waist, hip)
    with pen.clipped(torso):
        draw_body(pen, face, chin)
    cloth_color = _seen(pen, face.look.light * (slope + 0.02), base + 0.2, color)
    hem = _HIP - 0.12 if kind == "trousers" else _WAIST
    with pen.clipped(torso, _band(base + 0.3, hem)):
        pen.fill(_band(_WAIST - 0.1, hem), shade(cloth_color, 0.3 if face.look.detail else 0.0))
        pen.fill(_side_shadow(face, waist, base), shade(cloth_color, 0.8), 0.45 if face.look.detail else 0.0, 0.02)
        pen.line(torso, line(cloth_color), face.look.line * 2)  # half of it is clipped
        pen.line(curve((-1, hem), (1, hem)), line(cloth_color), face.look.line * 2)
    lower = {"dress": cloth_color, "robe": cloth_color}.get(kind, color)
    if kind != "trousers":
        _skirt(pen, face, d, lower, kind, waist, hip)
    short = d.chance(0.1 if male else 0.35)
    for side in (-1, 1):
        _arm(pen, face, d, side, (side * (slope + 0.035), base + 0.2), cloth_color, short)


def _torso(base: float, slope: float, waist: float, hip: float) -> skia.Path:
    """The silhouette that clothes are cut to: open above the shoulders, where the portrait draws its own."""
    s = slope + 0.1
    return curve(
        (-s, base - 0.3),
        (s, base - 0.3),
        (s, base + 0.18),
        (s - 0.02, base + 0.36, s - 0.1, base + 0.4, s - 0.12, base + 0.5),
        (waist + 0.02, _WAIST - 0.14, waist, _WAIST - 0.05, waist, _WAIST),
        (waist + 0.02, _WAIST + 0.14, hip, _HIP - 0.2, hip, _HIP),
        (-hip, _HIP),
        (-hip, _HIP - 0.2, -waist - 0.02, _WAIST + 0.14, -waist, _WAIST),
        (-waist, _WAIST - 0.05, -waist - 0.02, _WAIST - 0.14, -s + 0.12, base + 0.5),
        (-s + 0.1, base + 0.4, -s + 0.02, base + 0.36, -s, base + 0.18),
        close=True,
    )


def _band(top: float, bottom: float) -> skia.Path:
    return curve((-1, top), (1, top), (1, bottom), (-1, bottom), close=True)


def _side_shadow(face: Face, waist: float, base: float) -> skia.Path:
    """The side away from the light."""
    s = -face.look.light
    return curve(
        (s * (waist - 0.02), base + 0.3),
        (s * (waist - 0.12), _WAIST, s * waist * 0.6, _HIP),
        (s, _HIP),
        (s, base + 0.3),
        close=True,
    )


def _seen(pen: Pen, x: float, y: float, otherwise: Color) -> Color:
    """The colour that is painted at a place already: a sleeve goes on in the colour of its shoulder."""
    place = pen.canvas.getTotalMatrix().mapXY(x, y)
    size = pen.canvas.getBaseLayerSize()
    if not (0 <= place.x() < size.width() and 0 <= place.y() < size.height()):
        return otherwise
    pixel = np.zeros((1, 1, 4), np.uint8)
    info = skia.ImageInfo.Make(1, 1, skia.kRGBA_8888_ColorType, skia.kUnpremul_AlphaType)
    pen.canvas.readPixels(info, pixel, 4, int(place.x()), int(place.y()))
    red, green, blue = (float(value) / 255 for value in pixel[0, 0, :3])
    return red, green, blue


def _shaded(pen: Pen, face: Face, path: skia.Path, color: Color, across: tuple[Point, Point], edge: Color) -> None:
    """Fill lit from one side, with an outline."""
    dark = shade(color, 0.55) if face.look.detail else color
    colors = [color, color, mix(color, dark, face.look.shading)]
    pen.gradient(path, across[0], across[1], colors if face.look.light < 0 else colors[::-1], stops=[0.0, 0.45, 1.0])
    pen.line(path, edge, face.look.line)


def _limb(
    pen: Pen, face: Face, start: Point, end: Point, widths: tuple[float, float, float], color: Color, edge: Color
) -> None:
    """A slightly swelling band from joint to joint; widths: half widths at start, middle, end."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    spine: Cubic = (start, (start[0] + dx / 3, start[1] + dy / 3), (start[0] + dx * 2 / 3, start[1] + dy * 2 / 3), end)
    path = spine_path(spine, (widths[0], widths[1], widths[1], widths[2]))
    middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    wide = max(widths)
    _shaded(pen, face, path, color, ((middle[0] - wide, middle[1]), (middle[0] + wide, middle[1])), edge)


def _arm(pen: Pen, face: Face, d: Dice, side: int, shoulder: Point, sleeve: Color, short: bool) -> None:
    """Hanging, on the hip, raised or folded before the body."""
    pose = d.pick(["down", "hip", "raised", "before"], [6, 2, 1.5, 2])
    upper, fore = {
        "down": (d.uniform(4, 16), d.uniform(-2, 14)),
        "hip": (d.uniform(34, 46), d.uniform(-58, -46)),
        "raised": (d.uniform(95, 125), d.uniform(150, 185)),
        "before": (d.uniform(4, 14), d.uniform(-75, -55)),
    }[pose]
    skin, thick = face.skin, 0.1 if face.male else 0.078

    def towards(start: Point, degrees: float, length: float) -> Point:
        a = math.radians(degrees)
        return start[0] + side * math.sin(a) * length, start[1] + math.cos(a) * length

    elbow = towards(shoulder, upper, 0.56)
    wrist = towards(elbow, fore, 0.52)
    edge = line(sleeve)
    covered = skin.base if short else sleeve
    with pen.moved(*wrist, -side * fore):
        _hand(pen, face, side)
    _limb(
        pen,
        face,
        elbow,
        wrist,
        (thick * 0.86, thick * 0.82, thick * 0.5 if short else thick * 0.72),
        covered,
        skin.line if short else edge,
    )
    if short:
        _limb(pen, face, shoulder, elbow, (thick, thick * 0.9, thick * 0.82), skin.base, skin.line)
        middle = towards(shoulder, upper, 0.27)
        _limb(pen, face, shoulder, middle, (thick * 1.15, thick * 1.25, thick * 1.3), sleeve, edge)
    else:
        _limb(pen, face, shoulder, elbow, (thick * 1.12, thick * 1.05, thick * 0.9), sleeve, edge)
        pen.fill(oval(*elbow, thick * 0.8, thick * 0.8), sleeve)
    cap = oval(shoulder[0] - side * 0.012, shoulder[1] - 0.02, thick * 1.08, thick * 1.02)
    pen.fill(cap, sleeve)


def _hand(pen: Pen, face: Face, side: int) -> None:
    skin = face.skin
    hand = blob([(-0.045, -0.02), (0.045, -0.02), (0.06, 0.06), (0.04, 0.14), (0.0, 0.165), (-0.035, 0.14), (-0.055, 0.06)])
    pen.fill(hand, skin.base)
    pen.line(hand, skin.line, face.look.line)
    fingers = skia.Path()
    for x in (-0.018, 0.01, 0.032):
        lens(((x, 0.075), (x, 0.1), (x, 0.125), (x * 0.9, 0.15)), 0.006, fingers)
    pen.fill(fingers, skin.line, 0.7)
    thumb = blob([(-side * 0.05, 0.0), (-side * 0.085, 0.05), (-side * 0.07, 0.09), (-side * 0.04, 0.05)])
    pen.fill(thumb, skin.base)
    pen.line(thumb, skin.line, face.look.line * 0.8)


def _legs(pen: Pen, face: Face, d: Dice, trousers: Color | None, hip: float) -> None:
    """Two legs with socks or in trousers, and shoes."""
    stance, step = d.uniform(0.0, 0.14), d.sign() * d.uniform(0.0, 0.1)
    reach = d.pick([0.0, 0.25, 0.9, 1.6, 3.0])  # of the socks, from the ankle up
    sock = d.pick([(0.97, 0.97, 0.98), (0.14, 0.14, 0.18), (0.2, 0.22, 0.4), (0.55, 0.5, 0.48)])
    shoe = vary(d.pick([(0.3, 0.2, 0.16), (0.12, 0.12, 0.15), (0.75, 0.2, 0.25), (0.9, 0.9, 0.92)]), d, 0.02, 0.1, 0.05)
    for side in (-1, 1):
        x, y = side * (0.14 + stance) + step * (0.5 if side > 0 else 0.2), FEET - 0.1
        shoe_path = blob(
            [(x - 0.075, y - 0.03), (x + 0.075, y - 0.03), (x + side * 0.03 + 0.09, FEET), (x + side * 0.05, FEET + 0.02),
             (x + side * 0.03 - 0.09, FEET)]
        )  # fmt: skip
        pen.fill(shoe_path, shoe)
        pen.line(shoe_path, line(shoe), face.look.line)
        top, knee = (side * hip * 0.52, _HIP - 0.2), (side * (0.145 + stance * 0.5) + step * 0.4, _KNEE)
        widths = (hip * 0.55, 0.15, 0.13, 0.12) if trousers is not None else (hip * 0.5, 0.1, 0.1, 0.055)
        leg, paint = _leg(top, knee, (x, y), widths), face.skin.base if trousers is None else trousers
        across = ((knee[0] - 0.14, knee[1]), (knee[0] + 0.14, knee[1]))
        _shaded(pen, face, leg, paint, across, face.skin.line if trousers is None else line(trousers))
        if trousers is None and reach:
            with pen.clipped(_band(y - reach, FEET)):
                _shaded(pen, face, leg, sock, across, line(sock))
    if trousers is not None:
        pen.fill(curve((-hip, _HIP - 0.2), (hip, _HIP - 0.2), (0, _HIP + 0.3), close=True), trousers)
        pen.line(curve((0, _HIP), (0.015, _HIP + 0.1, 0, _HIP + 0.3)), line(trousers), face.look.line)


def _leg(top: Point, knee: Point, foot: Point, widths: tuple[float, float, float, float]) -> skia.Path:
    """Hip to ankle; widths: half widths at hip, knee, calf and ankle."""
    hip, bend, calf, ankle = widths
    low = (knee[1] * 0.65 + foot[1] * 0.35, knee[0] * 0.65 + foot[0] * 0.35)
    path = skia.Path()
    path.moveTo(top[0] - hip, top[1])
    for s in (-1, 1):
        points = [
            (top[0] + s * hip, top[1]), (top[0] + s * hip, top[1] + 0.5), (knee[0] + s * bend, knee[1] - 0.4),
            (knee[0] + s * bend, knee[1]), (knee[0] + s * bend, knee[1] + 0.15), (low[1] + s * calf, low[0] - 0.15),
            (low[1] + s * calf, low[0]), (low[1] + s * calf, low[0] + 0.2), (foot[0] + s * ankle, foot[1] - 0.25),
            (foot[0] + s * ankle, foot[1]),
        ]  # fmt: skip
        if s > 0:
            points.reverse()
            path.lineTo(*points[0])
        for i in (1, 4, 7):
            path.cubicTo(*points[i], *points[i + 1], *points[i + 2])
    path.close()
    return path


def _skirt(pen: Pen, face: Face, d: Dice, color: Color, kind: str, waist: float, hip: float) -> None:
    """A bell from the waist: skirt, dress, robe, or shorts."""
    hem = {"skirt": d.uniform(1.95, 2.5), "dress": d.uniform(2.3, 3.5), "robe": 3.7, "shorts": 1.95}[kind]
    wide = hip + (0.05 if kind in ("robe", "shorts") else d.uniform(0.16, 0.32))
    top = _WAIST - 0.05
    path = curve(
        (-waist, top),
        (0, top + 0.03, waist, top),
        (hip + 0.02, top + 0.25, wide, hem - 0.3, wide, hem),
        (wide * 0.4, hem + 0.08, -wide * 0.4, hem + 0.08, -wide, hem),
        (-wide, hem - 0.3, -hip - 0.02, top + 0.25, -waist, top),
        close=True,
    )
    _shaded(pen, face, path, color, ((-wide, hem), (wide, hem)), line(color))
    folds = skia.Path()
    count = 7 if kind == "skirt" else 4
    for i in range(count):
        t = ((i + 0.5) / count * 2 - 1) * 0.92
        lens(((waist * t, top + 0.08), (hip * t, top + 0.3), (wide * t, hem - 0.3), (wide * t, hem + 0.03)), 0.016, folds)
    with pen.clipped(path):
        pen.fill(folds, shade(color, 0.75), 0.7 if face.look.detail else 0.3)
        if d.chance(0.4):
            trim = lighten(color, 0.6) if sum(color) < 2 else shade(color, 0.6)
            pen.line(curve((-wide, hem - 0.1), (-wide * 0.4, hem - 0.02, wide * 0.4, hem - 0.02, wide, hem - 0.1)), trim, 0.03)
    _belt(pen, face, shade(color, 0.6), waist)


def _belt(pen: Pen, face: Face, color: Color, waist: float) -> None:
    w, y = waist + 0.006, _WAIST
    belt = curve(
        (-w, y - 0.07), (0, y - 0.04, w, y - 0.07), (w + 0.01, y + 0.02), (0, y + 0.05, -w - 0.01, y + 0.02), close=True
    )
    pen.fill(belt, color)
    pen.line(belt, line(color), face.look.line)
