"""Tag `hat`: seven of them, each covers the top of the head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import skia

from labeling.samples.dice import Dice
from labeling.samples.face import Face
from labeling.samples.palette import CLOTH, Color, lighten, mix, shade, vary
from labeling.samples.parts.pen import Pen, curve, lens, oval

__all__ = ["HATS", "draw_hat"]


@dataclass(frozen=True)
class _Felt:
    """The cloth of a hat and where it sits: half width and the height of the brow band."""

    color: Color
    band: Color
    w: float
    y: float
    top: float


def draw_hat(pen: Pen, face: Face) -> None:
    """One hat, if the face wears one."""
    if not face.has("hat"):
        return
    d, h = face.dice("hat"), face.head
    color = vary(d.pick(CLOTH), d, 0.02, 0.08, 0.05)
    far = [c for c in CLOTH if sum(abs(a - b) for a, b in zip(c, color, strict=True)) > 0.7]
    felt = _Felt(color, d.pick(far), h.width + h.volume + 0.022, -0.215, h.top)
    names = list(HATS)
    weights = [0.6 if face.male and name in ("witch", "bonnet", "straw") else 1.0 for name in names]
    with pen.moved(0.03 * face.pose.turn, 0, d.uniform(-4, 4)):
        HATS[d.pick(names, weights)](pen, face, d, felt)


def _solid(pen: Pen, face: Face, path: skia.Path, color: Color, top: float, bottom: float) -> None:
    """A rounded body of cloth: light from one side, shadow at the other, outline."""
    if face.look.detail:
        pen.gradient(path, (0, top), (0, bottom), [lighten(color, 0.2), color, shade(color, 0.45)])
        with pen.clipped(path):
            x = -face.look.light
            pen.fill(
                oval(x * 0.42, (top + bottom) / 2, 0.2, (bottom - top) * 0.75),
                shade(color, 0.75),
                0.6 * face.look.shading,
                0.02,
            )
    else:
        pen.fill(path, color)
    pen.line(path, _line(color), face.look.line * 1.15)


def _line(color: Color) -> Color:
    return mix(shade(color, 1.0, (0.3, 0.2, 0.34)), (0.08, 0.06, 0.1), 0.35)


def _dome(w: float, y: float, top: float, flat: float = 0.62) -> skia.Path:
    return curve(
        (-w, y),
        (-w * 1.04, y + (top - y) * 0.8, -w * flat, top, 0, top),
        (w * flat, top, w * 1.04, y + (top - y) * 0.8, w, y),
        (w * 0.5, y - 0.045, -w * 0.5, y - 0.045, -w, y),
        close=True,
    )


def _band(w: float, y: float, tall: float, arch: float = 0.045) -> skia.Path:
    return curve(
        (-w, y),
        (-w * 0.5, y - arch, w * 0.5, y - arch, w, y),
        (w * 0.995, y - tall),
        (w * 0.5, y - arch - tall, -w * 0.5, y - arch - tall, -w * 0.995, y - tall),
        close=True,
    )


def _brim(w: float, y: float, reach: float, drop: float, thick: float) -> skia.Path:
    out = w + reach
    return curve(
        (-out, y + drop),
        (-out * 0.6, y - 0.07, out * 0.6, y - 0.07, out, y + drop),
        (out * 0.75, y + thick + 0.01, out * 0.4, y + thick, 0, y + thick - 0.01),
        (-out * 0.4, y + thick, -out * 0.75, y + thick + 0.01, -out, y + drop),
        close=True,
    )


def _witch(pen: Pen, face: Face, d: Dice, f: _Felt) -> None:
    s, lean = d.sign(), d.uniform(0.08, 0.2)
    cone = curve(
        (-f.w * 0.88, f.y),
        (-f.w * 0.6, f.top, s * lean * 0.3 - 0.08, f.top - 0.16, s * lean, f.top - 0.26),
        (s * lean * 0.6 + 0.1, f.top - 0.1, f.w * 0.7, f.top + 0.02, f.w * 0.88, f.y),
        (0, f.y - 0.06, -f.w * 0.88, f.y),
        close=True,
    )
    _solid(pen, face, cone, f.color, f.top - 0.1, f.y)
    pen.fill(_band(f.w * 0.86, f.y - 0.01, 0.05), f.band)
    pen.line(_band(f.w * 0.86, f.y - 0.01, 0.05), _line(f.band), face.look.line)
    _solid(pen, face, _brim(f.w, f.y, 0.16, 0.03, 0.035), f.color, f.y - 0.08, f.y + 0.05)


def _beret(pen: Pen, face: Face, d: Dice, f: _Felt) -> None:
    s = d.sign()
    body = curve(
        (-f.w * 0.94, f.y - 0.03),
        (-f.w * 1.2, f.y - 0.2, -f.w * 0.7 + s * 0.05, f.top - 0.06, s * 0.08, f.top - 0.05),
        (f.w * 0.8 + s * 0.05, f.top - 0.05, f.w * 1.22, f.y - 0.16, f.w * 0.94, f.y - 0.03),
        (f.w * 0.4, f.y - 0.085, -f.w * 0.4, f.y - 0.085, -f.w * 0.94, f.y - 0.03),
        close=True,
    )
    _solid(pen, face, body, f.color, f.top - 0.05, f.y)
    pen.fill(
        lens(((s * 0.08, f.top - 0.05), (s * 0.085, f.top - 0.07), (s * 0.09, f.top - 0.08), (s * 0.11, f.top - 0.1)), 0.02),
        _line(f.color),
    )
    _solid(pen, face, _band(f.w * 0.96, f.y, 0.035), f.color, f.y - 0.08, f.y)


def _cap(pen: Pen, face: Face, d: Dice, f: _Felt) -> None:
    _solid(pen, face, _dome(f.w, f.y - 0.02, f.top - 0.03), f.color, f.top, f.y)
    seams = curve((0, f.top - 0.03), (-0.02, f.y - 0.15, 0, f.y - 0.06))
    pen.line(seams, shade(f.color, 0.8), face.look.line)
    pen.fill(oval(0, f.y - 0.13, 0.05, 0.045), f.band)
    x = 0.05 * face.pose.turn
    visor = curve(
        (-f.w * 0.9, f.y - 0.03),
        (-f.w * 0.5, f.y - 0.09, f.w * 0.5, f.y - 0.09, f.w * 0.9, f.y - 0.03),
        (f.w * 0.86 + x, f.y + 0.055, f.w * 0.4 + x, f.y + 0.07, x, f.y + 0.07),
        (-f.w * 0.4 + x, f.y + 0.07, -f.w * 0.86 + x, f.y + 0.055, -f.w * 0.9, f.y - 0.03),
        close=True,
    )
    _solid(pen, face, visor, f.band if d.chance(0.5) else f.color, f.y - 0.08, f.y + 0.08)


def _straw(pen: Pen, face: Face, d: Dice, f: _Felt) -> None:
    straw = vary((0.93, 0.79, 0.5), d, 0.01, 0.08, 0.04)
    dome = _dome(f.w * 0.92, f.y, f.top - 0.04, 0.72)
    _solid(pen, face, dome, straw, f.top, f.y)
    ribbon = f.color if sum(f.color) < 2.2 else f.band
    pen.fill(_band(f.w * 0.92, f.y, 0.06), ribbon)
    brim = _brim(f.w, f.y, 0.2, 0.045, 0.03)
    _solid(pen, face, brim, straw, f.y - 0.08, f.y + 0.06)
    weave = skia.Path()
    for i in range(14):
        x = (i / 13 * 2 - 1) * f.w * 1.5
        lens(((x * 0.7, f.y - 0.06), (x * 0.8, f.y - 0.03), (x * 0.9, f.y), (x, f.y + 0.03)), 0.004, weave)
    with pen.clipped(brim):
        pen.fill(weave, shade(straw, 0.8), 0.6)
    with pen.clipped(dome):
        for k in (0.25, 0.45, 0.65):
            y = f.y + (f.top - f.y) * k - 0.04
            pen.line(curve((-f.w, y + 0.03), (0, y - 0.02, f.w, y + 0.03)), shade(straw, 0.6), 0.003, 0.6)


def _knit(pen: Pen, face: Face, d: Dice, f: _Felt) -> None:
    dome = _dome(f.w, f.y - 0.03, f.top - 0.05, 0.7)
    _solid(pen, face, dome, f.color, f.top, f.y)
    ribs = skia.Path()
    for i in range(11):
        x = (i / 10 * 2 - 1) * f.w * 0.94
        lens(((x * 0.35, f.top - 0.03), (x * 0.8, f.top + 0.03), (x, f.y - 0.14), (x, f.y - 0.05)), 0.007, ribs)
    with pen.clipped(dome):
        pen.fill(ribs, shade(f.color, 0.7), 0.8)
    cuff = _band(f.w * 1.03, f.y + 0.01, 0.085)
    _solid(pen, face, cuff, f.band if d.chance(0.5) else lighten(f.color, 0.2), f.y - 0.13, f.y)
    if d.chance(0.7):
        puff = oval(0, f.top - 0.085, 0.075, 0.07)
        pen.fill(puff, lighten(f.band, 0.4), 1.0, 0.006)
        pen.glow(0.01, f.top - 0.07, 0.07, shade(f.band, 0.6), 0.5)


def _sailor(pen: Pen, face: Face, d: Dice, f: _Felt) -> None:
    white: Color = (0.97, 0.97, 0.99)
    crown = curve(
        (-f.w * 0.9, f.y - 0.06),
        (-f.w * 1.16, f.top + 0.05, -f.w * 0.8, f.top - 0.05, 0, f.top - 0.05),
        (f.w * 0.8, f.top - 0.05, f.w * 1.16, f.top + 0.05, f.w * 0.9, f.y - 0.06),
        (0, f.y - 0.1, -f.w * 0.9, f.y - 0.06),
        close=True,
    )
    navy = f.color if sum(f.color) < 1.5 else (0.17, 0.22, 0.4)
    _solid(pen, face, crown, white, f.top, f.y)
    _solid(pen, face, _band(f.w * 0.96, f.y, 0.075), navy, f.y - 0.12, f.y)
    pen.fill(oval(0, f.y - 0.082, 0.03, 0.026), (0.96, 0.8, 0.3))


def _bonnet(pen: Pen, face: Face, d: Dice, f: _Felt) -> None:
    """A small top hat, worn aslant, with a bow."""
    s = d.sign()
    with pen.moved(s * f.w * 0.35, f.top + 0.06, s * 16):
        top = curve(
            (-0.15, 0),
            (-0.13, -0.1, -0.145, -0.19),
            (0, -0.225, 0.145, -0.19),
            (0.13, -0.1, 0.15, 0),
            (0, 0.05, -0.15, 0),
            close=True,
        )
        _solid(pen, face, top, f.color, -0.2, 0.03)
        pen.fill(curve((-0.145, -0.05), (0, 0.0, 0.145, -0.05), (0.15, 0.0), (0, 0.05, -0.15, 0.0), close=True), f.band)
        brim = curve(
            (-0.245, -0.02), (-0.1, 0.03, 0.1, 0.03, 0.245, -0.02), (0.2, 0.075, -0.2, 0.075, -0.245, -0.02), close=True
        )
        _solid(pen, face, brim, f.color, -0.03, 0.07)


HATS: dict[str, Callable[[Pen, Face, Dice, _Felt], None]] = {
    "witch": _witch,
    "beret": _beret,
    "cap": _cap,
    "straw": _straw,
    "knit": _knit,
    "sailor": _sailor,
    "bonnet": _bonnet,
}
