"""Front hair: the cap over the skull, its fringe in twelve styles, the ring of light, locks beside the face."""

from __future__ import annotations

import math
from dataclasses import dataclass

import skia

from labeling.samples.dice import Dice
from labeling.samples.face import Face
from labeling.samples.palette import mix
from labeling.samples.parts.locks import lock
from labeling.samples.parts.pen import Cubic, Pen, Point, along, lens, part_of, spine_path

__all__ = ["FRINGES", "Fringe", "draw_ahoge", "draw_fringe", "draw_side_locks", "draw_tufts", "fringe"]

FRINGES = ("straight", "arc", "center", "side", "shaggy", "m", "wisps", "long_side", "open", "curtain", "spiky", "swept_up")
_FEMALE = (13, 11, 10, 14, 13, 15, 10, 8, 4, 8, 0, 0)
_MALE = (1, 0, 8, 14, 20, 16, 8, 6, 2, 6, 20, 8)
_PARTED = ("center", "curtain", "open")


@dataclass(frozen=True)
class Fringe:
    """The cap's outline: over the skull, then back along the fringe; and the points where its locks part and end."""

    path: skia.Path
    outline: skia.Path  # what of the path is drawn as a line: not where it meets the hair behind
    notches: tuple[Point, ...]
    tips: tuple[Point, ...]
    crown: Point
    half_width: float
    style: str

    def meridian(self, to: Point) -> Cubic:
        """The way a strand takes over the skull from the crown to a point."""
        (kx, ky), (x, y) = self.crown, to
        return (kx, ky), (kx + 0.62 * (x - kx), ky - 0.004), (x * 1.04, ky + 0.46 * (min(y, 0.0) - ky)), (x, y)


def fringe(face: Face) -> Fringe:
    """Geometry of the front hair."""
    d, h = face.dice("bangs"), face.head
    style = d.pick(FRINGES, _MALE if face.male else _FEMALE)
    w, shift = h.width + h.volume, 0.035 * face.pose.turn
    part = d.uniform(-0.02, 0.02) if style in _PARTED else d.sign() * d.uniform(0.04, 0.12)
    crown = (part * 0.7 + shift, h.top + 0.05)
    bottom = d.uniform(-0.04, 0.05)
    points = _parted(style, d, w, part) if style in _PARTED else _edge(style, d, w, part)
    points = [(x + shift * max(0.0, 1 - abs(x) / w), y) for x, y in [(-w, bottom), *points, (w, bottom)]]
    path, outline = skia.Path(), skia.Path()
    for p in (path, outline):
        p.moveTo(-w, bottom)
        p.cubicTo(-w * 1.02, h.top * 0.62, -w * 0.62, h.top, shift, h.top)
        p.cubicTo(w * 0.62, h.top, w * 1.02, h.top * 0.62, w, bottom)
    back = points[::-1]
    outline.moveTo(*back[1])
    for i in range(0, len(back) - 2, 2):  # notch, tip, notch: two sides of one lock
        (ax, ay), (px, py), (bx, by) = back[i], back[i + 1], back[i + 2]
        first = (ax + (px - ax) * 0.05, ay + (py - ay) * 0.5, px + (ax - px) * 0.2, py - abs(py - ay) * 0.25, px, py)
        second = (px + (bx - px) * 0.3, py - abs(py - by) * 0.22, bx + (px - bx) * 0.16, by + (py - by) * 0.45, bx, by)
        path.cubicTo(*first)
        path.cubicTo(*second)
        if i:
            outline.cubicTo(*first)
        if i < len(back) - 3:
            outline.cubicTo(*second)
    path.close()
    return Fringe(path, outline, tuple(points[2:-2:2]), tuple(points[1::2]), crown, w, style)


def _edge(style: str, d: Dice, w: float, part: float) -> list[Point]:
    """Tip, notch, tip, notch, …, tip from left to right."""
    n = {"straight": 8, "arc": 7, "side": 6, "shaggy": 7, "m": 5, "wisps": 9, "long_side": 6, "spiky": 7, "swept_up": 5}[style]
    n += d.integer(-1, 1) if style != "m" else 0
    spans = [d.uniform(0.65, 1.35) if style not in ("m", "straight") else d.uniform(0.9, 1.1) for _ in range(n)]
    away = 1 if part < 0 else -1
    lean = away * {"side": 0.5, "long_side": 0.45, "straight": 0.0, "m": 0.0, "arc": 0.1}.get(style, 0.3)
    cut = d.uniform(-0.105, -0.065)  # the height most tips reach, just over the eyes
    points: list[Point] = []
    a = -1.0
    for i, span in enumerate(spans):
        b = a + 2 * span / sum(spans)
        mid = (a + b) / 2 + (lean + d.uniform(-0.2, 0.2)) * (b - a) * (0.0 if i in (0, n - 1) else 1.0)
        depth, notch = _cut(style, d, mid, part, cut, w)
        points.append((max(-0.96, min(0.96, mid)) * w * 0.97, depth))
        if i < n - 1:
            points.append((b * w * 0.95, notch))
        a = b
    return points


def _cut(style: str, d: Dice, at: float, part: float, cut: float, w: float) -> Point:
    """Height of a lock's tip and of the notch after it, at a place in -1 … 1."""
    side = abs(at) ** 1.8
    if style == "straight":
        return cut + 0.02 + d.uniform(-0.008, 0.008) + 0.05 * (abs(at) > 0.8), cut - 0.015 - d.unit() * 0.02
    if style == "arc":
        return cut - 0.04 + 0.13 * side + d.uniform(-0.012, 0.012), cut - 0.1 + 0.1 * side
    if style in ("side", "long_side"):
        slope = (at - part / w) * (1 if part < 0 else -1)
        long = 0.07 if style == "long_side" and slope > 0.6 else 0.0
        return cut - 0.07 + 0.13 * max(0.0, slope) + 0.11 * side + long + d.uniform(-0.02, 0.02), cut - 0.15 + 0.07 * side
    if style == "m":
        tip = cut + (0.1 if abs(at) < 0.25 else 0.0) + 0.08 * side + d.uniform(-0.02, 0.02)
        return tip, cut - 0.15 + 0.1 * side + d.uniform(-0.02, 0.01)
    if style == "swept_up":
        return cut - 0.1 + 0.12 * side, cut - 0.16 + 0.08 * side
    reach = {"shaggy": 0.04, "wisps": 0.03, "spiky": 0.045}[style]
    return cut + d.uniform(-reach, reach) + 0.08 * side, cut - d.uniform(0.06, 0.14) + 0.05 * side


def _parted(style: str, d: Dice, w: float, part: float) -> list[Point]:
    """Hair falls to both sides of a parting and leaves an arch of forehead: tip, notch, tip, parting, tip, notch, tip."""
    peak = {"center": -0.25, "curtain": -0.265, "open": -0.285}[style] + d.uniform(-0.012, 0.012)
    inner = {"center": 0.42, "curtain": 0.6, "open": 0.8}[style]
    low = {"center": -0.075, "curtain": -0.01, "open": -0.1}[style]
    half = []
    for side in (-1, 1):
        jitter = d.uniform(-0.02, 0.02)
        outer_tip = (side * w * 0.93, low + 0.1 + jitter)
        notch = (side * w * (inner + 0.2), low - 0.03 + jitter)
        inner_tip = (part + side * w * inner, low + jitter)
        half.append([outer_tip, notch, inner_tip])
    return [*half[0], (part, peak), *half[1][::-1]]


def draw_tufts(pen: Pen, face: Face, f: Fringe) -> None:
    """Ends that stand off the silhouette, their roots melting into the cap. Spiky heads are made of them."""
    if face.has("hat"):
        return
    d, h = face.dice("tufts"), face.head
    w, wild = h.width + h.volume, f.style in ("spiky", "swept_up", "shaggy", "wisps")
    count = d.integer(8, 11) if f.style in ("spiky", "swept_up") else d.integer(5, 8) if wild else d.integer(0, 4)
    reach = {"spiky": 0.12, "swept_up": 0.13}.get(f.style, 0.055 if wild else 0.035)
    spiky = reach > 0.1

    def arc(angle: float, radius: float) -> Point:
        return math.sin(angle) * w * radius, -0.04 + math.cos(angle) * (h.top + 0.04) * radius

    order = sorted(range(count), key=lambda i: -abs(i - (count - 1) / 2))  # from the sides to the top
    for i in order:
        a = ((i + d.uniform(0.2, 0.8)) / count * 2 - 1) * (1.5 if spiky else 1.75)
        side = 1 if a > 0 else -1
        if not spiky:
            a = side * (0.45 + 0.74 * abs(a))  # no sprout on the top
        up = -0.1 if f.style == "swept_up" else 0.12  # ends follow the fall of the hair, or stand up against it
        out = reach * d.uniform(0.6, 1.0) / w
        fat = d.uniform(0.05, 0.075) if spiky else d.uniform(0.02, 0.032)
        spine = (
            arc(a - side * 0.6, 0.7),
            arc(a - side * 0.32, 0.95),
            arc(a - side * 0.1, 1.0 + out * 0.2),
            arc(a + side * up, 1.0 + out),
        )
        lock(pen, face, spine, (fat * 0.5, fat, fat * 0.85, 0.0), d, 0.05, 0.5)


def draw_fringe(pen: Pen, face: Face, f: Fringe) -> None:
    """Fill, shade, lay locks over it, then the ring of light and the lines."""
    hair, look, d = face.hair, face.look, face.dice("strands")
    if look.detail:
        colors = [hair.light, hair.base, mix(hair.base, hair.shadow, 0.12), mix(hair.base, hair.shadow, 0.6)]
        pen.gradient(f.path, (0, face.head.top), (0, 0.02), colors, stops=[0, 0.35, 0.65, 1])
        with pen.clipped(f.path):
            _shading(pen, face, f, d)
    else:
        pen.fill(f.path, hair.base)
    pen.line(f.outline, hair.line, look.line * 0.9)
    _overlay(pen, face, f, d)
    if look.detail:
        with pen.clipped(f.path):
            _ring(pen, face, f, d)


def _overlay(pen: Pen, face: Face, f: Fringe, d: Dice) -> None:
    """Locks over the fringe, sides first: they give it depth."""
    tips = sorted(f.tips, key=lambda p: -abs(p[0]))
    for x, y in tips:
        if abs(x) > f.half_width * 0.9 or d.chance(0.12):
            continue
        gap = min((abs(x - nx) for nx, _ in f.notches), default=0.04)
        fat = min(0.045, max(0.014, gap * d.uniform(0.7, 1.0)))
        spine = part_of(f.meridian((x + d.uniform(-0.006, 0.006), y + 0.008)), d.uniform(0.3, 0.45), 1.0)
        lock(pen, face, spine, (0.004, fat * 0.7, fat * 0.85, 0.0), d, 0.0, d.uniform(0.3, 0.5))


def _shading(pen: Pen, face: Face, f: Fringe, d: Dice) -> None:
    hair, look, w, s = face.hair, face.look, f.half_width, face.look.light
    top = face.head.top
    dark: Cubic = ((-s * w * 0.75, top), (-s * w * 1.15, -0.34), (-s * w * 1.08, -0.18), (-s * w * 1.0, 0.1))
    pen.fill(spine_path(dark, (0.03, 0.08, 0.09, 0.07)), hair.shadow, 0.6 * look.shading, max(0.01, look.softness))
    wedges, fine, lights = skia.Path(), skia.Path(), skia.Path()
    for x, y in f.notches:
        spine_path(part_of(f.meridian((x, y + 0.01)), d.uniform(0.3, 0.6), 1.0), (0.0, 0.005, 0.012, 0.02), wedges)
    pen.fill(wedges, hair.shadow, 0.85 * look.shading, look.softness * 0.4)
    for _ in range(22):
        x = d.uniform(-1, 1) * w
        start = d.uniform(0.02, 0.5)
        piece = part_of(f.meridian((x, -0.06 + 0.1 * abs(x) / w)), start, start + d.uniform(0.25, 0.5))
        lens(piece, d.uniform(0.003, 0.007), lights if d.chance(0.4) else fine)
    pen.fill(fine, mix(hair.shadow, hair.line, 0.35), 0.6)
    pen.fill(lights, hair.light, 0.75)


def _ring(pen: Pen, face: Face, f: Fringe, d: Dice) -> None:
    """The angel ring: gloss at one height of the skull, broken into strands."""
    style = d.pick(["ring", "patch", "soft"], [0.5, 0.3, 0.2])
    w, s, top = f.half_width, face.look.light, face.head.top
    height, arch = d.uniform(0.56, 0.66), d.uniform(0.06, 0.13)
    band, core = skia.Path(), skia.Path()
    u = -0.86
    while u < 0.86:
        step = d.uniform(0.05, 0.1)
        strength = 1.0 if style != "patch" else max(0.0, 1 - abs(u - s * 0.4) / 0.45)
        if strength > 0.1 and not d.chance(0.1):
            m = f.meridian((u * w * 1.02, -0.05))
            t = _at_height(m, top * height + arch * u * u)
            long = d.uniform(0.08, 0.17) * strength * (1.15 - u * u)
            lens(part_of(m, max(0.02, t - long), min(0.98, t + long * 0.7)), step * w * 0.95, band)
            if d.chance(0.5):
                lens(part_of(m, max(0.02, t - long * 0.5), min(0.98, t + long * 0.3)), step * w * 0.5, core)
        u += step
    pen.fill(band, face.hair.shine, (0.3 + 0.4 * face.look.gloss), 0.007 if style == "soft" else 0.0)
    pen.fill(core, mix(face.hair.shine, (1, 1, 1), 0.5), 0.65 * face.look.gloss)


def _at_height(c: Cubic, y: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(6):
        middle = (low + high) / 2
        low, high = (middle, high) if along(c, middle)[1] < y else (low, middle)
    return (low + high) / 2


def draw_side_locks(pen: Pen, face: Face, f: Fringe) -> None:
    """Locks that fall from the temples before the ears: to the cheek, the chin or past it."""
    d, h = face.dice("side locks"), face.head
    longest = {"short": 0.24, "medium": 0.34, "long": 0.62}[face.length]
    if face.male:
        longest = 0.15 if face.length == "short" else longest * 0.8
    style = d.pick(["cheek", "chin", "full"], [0.4, 0.35, 0.25])
    longest *= {"cheek": 0.55, "chin": 0.8, "full": 1.0}[style]
    longest = max(longest, 0.12)
    count = d.integer(2, 3)
    for side in (-1, 1):
        near, far = max(0.0, -face.pose.turn * side), max(0.0, face.pose.turn * side)
        outer = f.half_width - 0.012 - 0.05 * near
        for i in range(count):
            reach = longest * d.uniform(0.75, 1.05) * (1 - 0.25 * i)
            x = side * (outer - i * 0.024)
            end = side * (h.width * d.uniform(0.84, 1.02) - i * 0.028 - 0.02 * far) + 0.015 * face.pose.turn
            bow = side * d.uniform(-0.005, 0.03)
            spine = ((x * 0.93, -0.26), (x + side * 0.004, -0.14), (x + bow, reach * 0.35), (end, reach))
            lock(pen, face, spine, (0.006, d.uniform(0.024, 0.036), d.uniform(0.022, 0.034), 0.0), d, 0.0, 0.3)


def draw_ahoge(pen: Pen, face: Face) -> None:
    """A stray lock that stands up from the crown."""
    d = face.dice("ahoge")
    if face.has("hat") or not d.chance(0.25):
        return
    s, top = d.sign(), face.head.top
    high = d.uniform(0.04, 0.09)
    spine = (
        (0.02 * s, top + 0.04),
        (0.0, top - high * 0.7),
        (s * 0.05, top - high),
        (s * d.uniform(0.09, 0.15), top - high * d.uniform(0.1, 0.6)),
    )
    lock(pen, face, spine, (0.01, 0.014, 0.011, 0.0), d)
