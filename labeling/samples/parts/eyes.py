"""Eyes and brows: whites, layered irises, lashes, lids."""

from __future__ import annotations

import math
from dataclasses import dataclass

import skia

from labeling.samples.face import Face
from labeling.samples.palette import Color, lighten, mix, shade
from labeling.samples.parts.pen import Cubic, Pen, curve, lens, oval, part_of, spine_path

__all__ = ["draw_brows", "draw_eyes"]


@dataclass(frozen=True)
class EyeShape:
    """One shape for both eyes, drawn as the right one of the picture: x grows outwards, units of the head."""

    width: float  # half width of the lid opening
    height: float  # of the upper lid over the middle line
    depth: float  # of the lower lid under it
    slant: float  # outer corner up (tsurime) or down (tareme)
    spacing: float  # of the eye's middle from the face's
    iris: float  # half width
    iris_height: float
    peak: float  # where the upper lid is highest, -1 inner … 1 outer
    lash: float  # thickness of the upper lash
    flick: float  # length of its outer end
    look_x: float
    wink: int  # the side that is closed, 0 for none
    catchlights: int
    pupil: float  # size, share of the iris; 0: no pupil


def _shape(face: Face) -> EyeShape:
    d, male = face.dice("eyes"), face.male
    if male:
        width, height, depth = d.bell(0.062, 0.077), d.bell(0.038, 0.06), d.bell(0.018, 0.03)
    else:
        width, height, depth = d.bell(0.07, 0.094), d.bell(0.066, 0.108), d.bell(0.038, 0.06)
    total = height + depth
    return EyeShape(
        width=width,
        height=height,
        depth=depth,
        slant=d.bell(-0.006, 0.034) if male else d.bell(-0.034, 0.034),
        spacing=d.bell(0.106, 0.122) if male else d.bell(0.126, 0.15),
        iris=min(width * d.uniform(0.52, 0.6), total * 0.56) if male else width * d.uniform(0.6, 0.76),
        iris_height=total * (d.uniform(0.62, 0.72) if male else d.uniform(0.54, 0.64)),
        peak=d.uniform(-0.35, 0.15),
        lash=d.uniform(0.01, 0.015) if male else d.uniform(0.015, 0.025),
        flick=d.uniform(0.0, 0.012) if male else d.uniform(0.008, 0.028),
        look_x=d.bell(-0.012, 0.012) + 0.012 * face.pose.turn,
        wink=d.sign() if d.chance(0.04) else 0,
        catchlights=d.integer(1, 3),
        pupil=d.pick([0.0, 0.4, 0.5, 0.55], [0.12, 0.3, 0.4, 0.18]),
    )


def _upper(s: EyeShape) -> tuple[Cubic, Cubic]:
    """The upper lid, inner corner to peak and peak to outer corner."""
    w, top = s.width, -s.height
    inner, outer, px = (-w, 0.012), (w, -s.slant), s.peak * w
    return (
        (inner, (-w * 0.96, top * 0.55), (px - w * 0.5, top), (px, top)),
        ((px, top), (px + w * 0.45, top), (w * 0.96, -s.slant + top * 0.5), outer),
    )


def _white(s: EyeShape) -> skia.Path:
    first, second = _upper(s)
    w = s.width
    return curve(
        first[0],
        (*first[1], *first[2], *first[3]),
        (*second[1], *second[2], *second[3]),
        (w * 0.98, -s.slant * 0.4 + s.depth * 0.7, w * 0.45, s.depth - s.slant * 0.3, w * 0.0, s.depth),
        (-w * 0.45, s.depth, -w * 0.85, s.depth * 0.75, -w, 0.012),
        close=True,
    )


def draw_eyes(pen: Pen, face: Face) -> None:
    """Both eyes; defects of low quality move, scale or lose one."""
    s, flaws = _shape(face), face.defects
    lash = mix(shade(face.hair.line, 0.4), (0.1, 0.06, 0.09), 0.35 + 0.6 * face.look.darkness)
    for side in (-1, 1):
        if flaws.lost_eye == side:
            continue
        x0 = side * s.spacing
        drop = flaws.eye_drop if side == 1 else 0.0
        scale = flaws.eye_scale if side == 1 else 1.0
        squeeze = min(1.12, max(0.55, face.squeeze(x0)))
        with pen.moved(face.turned(x0), drop, 0, side * squeeze * scale, scale):
            if s.wink == side:
                _wink(pen, face, s, lash)
            else:
                _eye(pen, face, s, side, lash)


def _wink(pen: Pen, face: Face, s: EyeShape, lash: Color) -> None:
    w, sag = s.width, s.depth * 0.8
    pen.fill(
        spine_path(
            ((-w, 0.01), (-w * 0.5, sag + 0.02), (w * 0.5, sag + 0.02), (w * 1.1, -0.004)),
            (0.002, s.lash * 0.5, s.lash * 0.6, 0.001),
        ),
        lash,
    )
    for k in (0.5, 0.75):
        pen.fill(
            lens(
                ((w * k, sag * 0.8), (w * k + 0.006, sag + 0.012), (w * k + 0.014, sag + 0.018), (w * k + 0.02, sag + 0.02)),
                0.007,
            ),
            lash,
        )


def _eye(pen: Pen, face: Face, s: EyeShape, side: int, lash: Color) -> None:
    white, look = _white(s), face.look
    pen.fill(white, (0.995, 0.99, 0.995))
    with pen.clipped(white):
        ix, iy = s.look_x * side, (s.depth - s.height) * 0.5 + s.iris_height * 0.06
        _iris(pen, face, s, side, ix, iy)
        if look.detail:  # the lid's shadow on the ball
            pen.gradient(white, (0, -s.height), (0, -s.height * 0.1), [(0.32, 0.26, 0.44), (0.45, 0.4, 0.62)], [0.52, 0.0])
    if look.detail:
        for x, y, r in _lights(s, side * look.light, ix, iy):
            pen.fill(oval(x, y, r * 0.92, r * 1.12), (1, 1, 1), 0.97)
    _lashes(pen, face, s, lash)


def _lights(s: EyeShape, light: int, ix: float, iy: float) -> list[tuple[float, float, float]]:
    r, h = s.iris, s.iris_height
    lights = [(ix + light * r * 0.4, iy - h * 0.42, r * 0.34)]
    if s.catchlights > 1:
        lights.append((ix - light * r * 0.42, iy + h * 0.42, r * 0.19))
    if s.catchlights > 2:
        lights.append((ix + light * r * 0.62, iy - h * 0.02, r * 0.13))
    return lights


def _iris(pen: Pen, face: Face, s: EyeShape, side: int, ix: float, iy: float) -> None:
    eye, r, h = face.eye, s.iris, s.iris_height
    disc = oval(ix, iy, r, h)
    if not face.look.detail:
        pen.fill(disc, eye.base)
        pen.fill(oval(ix, iy, r * 0.42, h * 0.45), eye.deep)
        pen.line(disc, eye.deep, face.look.line)
        return
    pen.gradient(disc, (0, iy - h), (0, iy + h), [eye.deep, eye.shadow, eye.base, eye.light], stops=[0.0, 0.24, 0.5, 1.0])
    with pen.clipped(disc):
        pen.glow(ix, iy + h * 0.72, r * 0.95, eye.shine, 0.85, 0.6)  # light falls through and glows below
        rays = skia.Path()
        for i in range(9):
            a = math.pi * (0.08 + 0.84 * i / 8)
            c, n = math.cos(a), math.sin(a)
            lens(
                (
                    (ix + c * r * 0.5, iy + n * h * 0.5),
                    (ix + c * r * 0.6, iy + n * h * 0.6),
                    (ix + c * r * 0.7, iy + n * h * 0.7),
                    (ix + c * r * 0.92, iy + n * h * 0.92),
                ),
                0.004,
                rays,
            )
        pen.fill(rays, lighten(eye.light, 0.2), 0.5)
        if s.pupil:
            pen.fill(oval(ix, iy - h * 0.02, r * s.pupil * 0.9, h * s.pupil), shade(eye.deep, 0.6), 0.95)
            pen.fill(oval(ix, iy + h * s.pupil * 0.55, r * s.pupil * 0.5, h * s.pupil * 0.35), eye.shadow, 0.55)
        pen.fill(
            curve(
                (ix - r, iy - h),
                (ix + r, iy - h),
                (ix + r, iy - h * 0.3),
                (ix, iy - h * 0.05, ix - r, iy - h * 0.3),
                close=True,
            ),
            eye.deep,
            0.4,
        )
    pen.line(disc, eye.deep, 0.008 + face.look.line * 0.4, 0.9)


def _lashes(pen: Pen, face: Face, s: EyeShape, lash: Color) -> None:
    first, second = _upper(s)
    w, k, top = s.width, s.lash, -s.height
    path = spine_path(first, (0.0015, k * 0.32, k * 0.5, k * 0.5))
    end = (w + s.flick * 1.3, -s.slant - s.flick * 0.5 + 0.004)
    tail: Cubic = (second[0], second[1], (second[2][0] + 0.004, second[2][1]), end)
    spine_path(tail, (k * 0.5, k * 0.58, k * 0.75, 0.0), path)
    if not face.male:  # small points leave the outer end
        for at, reach in ((0.62, 0.55), (0.86, 0.8)):
            x, y = part_of(tail, 0, at)[3]
            lens(
                (
                    (x - 0.01, y + 0.006),
                    (x, y),
                    (x + s.flick * 0.5, y - s.flick * 0.5 * reach),
                    (x + s.flick * 1.1, y - s.flick * reach),
                ),
                0.009,
                path,
            )
    pen.fill(path, lash)
    if face.look.detail:  # lashes catch the light's colour in the middle
        warm = mix(lash, face.hair.base, 0.4)
        pen.fill(lens(part_of(second, 0.0, 0.5), k * 0.5), warm, 0.5)
    lower: Cubic = (
        (-w * 0.3, s.depth + 0.002),
        (w * 0.2, s.depth + 0.002),
        (w * 0.7, s.depth * 0.8 - s.slant * 0.3),
        (w * 0.98, -s.slant * 0.6 + 0.012),
    )
    pen.fill(spine_path(lower, (0.0, 0.0022, 0.003, 0.0028)), lash, 0.9)
    pen.fill(
        lens(((-w * 0.95, 0.014), (-w * 0.85, s.depth * 0.7), (-w * 0.5, s.depth), (-w * 0.2, s.depth + 0.001)), 0.0035),
        face.skin.line,
        0.8,
    )
    crease = -0.018 - s.lash * 0.5
    pen.fill(
        lens(
            (
                (-w * 0.75, top * 0.62 + crease),
                (-w * 0.3, top + crease * 1.25),
                (w * 0.45, top + crease * 1.2),
                (w * 1.0, -s.slant + top * 0.42 + crease * 0.6),
            ),
            0.0055,
        ),
        face.skin.line,
        0.85,
    )


def draw_brows(pen: Pen, face: Face, alpha: float) -> None:
    """Thin for women, thick for men; the mood turns them. Drawn twice: under the hair and, fainter, over it, as anime does."""
    d, s = face.dice("brows"), _shape(face)
    if face.male:
        thick, raise_, mood = d.uniform(0.009, 0.015), d.uniform(0.036, 0.05), d.bell(-0.01, 0.026)
    else:
        thick, raise_, mood = d.uniform(0.004, 0.0075), d.uniform(0.05, 0.075), d.bell(-0.022, 0.014)
    if face.has("smile"):
        mood, raise_ = min(mood, 0.004), raise_ + 0.008
    color = mix(face.hair.line, shade(face.hair.shadow, 0.5), 0.3)
    y = -s.height - raise_
    for side in (-1, 1):
        x0 = side * s.spacing
        with pen.moved(face.turned(x0), y + d.bell(-0.004, 0.004), 0, side * max(0.55, face.squeeze(x0)), 1):
            w = s.width * d.uniform(0.88, 1.0)
            spine: Cubic = (
                (-w, mood),
                (-w * 0.4, mood * 0.5 - 0.018),
                (w * 0.4, -mood * 0.6 - 0.022),
                (w * 1.05, -mood + 0.008),
            )
            pen.fill(spine_path(spine, (thick * 0.7, thick, thick * 0.8, 0.0)), color, alpha)
