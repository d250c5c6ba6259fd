"""One face on one canvas: the order in which the parts are painted."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable

import skia

from labeling.samples.face import PIVOT, Face
from labeling.samples.palette import mix
from labeling.samples.parts.bangs import Fringe, draw_ahoge, draw_fringe, draw_side_locks, draw_tufts, fringe
from labeling.samples.parts.body import draw_body
from labeling.samples.parts.eyes import draw_brows, draw_eyes
from labeling.samples.parts.hair import draw_back_hair, draw_drills, draw_front_hair, draw_tails
from labeling.samples.parts.hats import draw_hat
from labeling.samples.parts.head import draw_blush, draw_ears, draw_face, draw_mouth, draw_nose, face_path
from labeling.samples.parts.pen import Pen, polygon
from labeling.samples.parts.scenery import draw_background
from labeling.samples.parts.wear import draw_glasses, draw_ribbon

__all__ = ["paint", "paint_person"]


def paint(canvas: skia.Canvas, face: Face, size: int) -> None:
    """Paint a face over the whole canvas of `size` × `size` pixels."""
    pen, pose = Pen(canvas), face.pose
    canvas.scale(size, size)
    draw_background(pen, face)
    with pen.moved(pose.x, pose.y, 0, pose.zoom, pose.zoom):
        paint_person(pen, face, lambda: draw_body(pen, face, face.head.chin))
    _ambience(pen, face)


def paint_person(pen: Pen, face: Face, body: Callable[[], None]) -> None:
    """Paint hair and head in head units, and `body` where it lies between the hair behind it and the hair before it."""
    tilt = face.pose.tilt
    f = fringe(face)
    with _tilted(pen, tilt * 0.7, PIVOT):
        draw_tails(pen, face)
    with _tilted(pen, tilt * 0.85, PIVOT):
        draw_back_hair(pen, face)
    with pen.moved(math.sin(math.radians(-tilt)) * 0.06, 0, tilt * 0.2):
        body()
    with _tilted(pen, tilt * 0.6, PIVOT):
        draw_front_hair(pen, face)
    with _tilted(pen, tilt, PIVOT):
        _head(pen, face, f)


def _tilted(pen: Pen, degrees: float, pivot: float):  # type: ignore[no-untyped-def]
    a = math.radians(degrees)
    return pen.moved(math.sin(a) * pivot, pivot - math.cos(a) * pivot, degrees)


def _head(pen: Pen, face: Face, f: Fringe) -> None:
    outline = face_path(face)
    draw_ears(pen, face)
    draw_face(pen, face, outline)
    draw_blush(pen, face)
    if face.look.detail:
        with pen.clipped(outline), pen.moved(-0.008 * face.look.light, 0.03):
            pen.fill(f.path, mix(face.skin.shadow, face.skin.deep, 0.2), 0.95 * face.look.shading, face.look.softness * 0.7)
    draw_nose(pen, face)
    draw_mouth(pen, face)
    draw_eyes(pen, face)
    draw_side_locks(pen, face, f)
    draw_brows(pen, face, 0.95)
    draw_fringe(pen, face, f)
    draw_tufts(pen, face, f)
    draw_brows(pen, face, 0.5)
    draw_drills(pen, face)
    draw_glasses(pen, face)
    draw_ahoge(pen, face)
    draw_hat(pen, face)
    draw_ribbon(pen, face)


def _ambience(pen: Pen, face: Face) -> None:
    """Coloured light over everything: one gradient, and a bloom in the corner the light comes from."""
    d = face.dice("ambience")
    if not face.look.detail or d.chance(0.25):
        return
    hue, x = d.unit(), 0.5 + 0.6 * face.look.light
    warm, cold = colorsys.hsv_to_rgb(hue, 0.5, 1.0), colorsys.hsv_to_rgb((hue + 0.5) % 1, 0.6, 0.55)
    strength = d.uniform(0.05, 0.22)
    page = polygon([(0, 0), (1, 0), (1, 1), (0, 1)])
    pen.gradient(page, (x, 0), (1 - x, 1), [warm, cold], [strength, strength], mode="soft")
    if d.chance(0.4):
        pen.glow(x, -0.05, 0.8, (1.0, 0.97, 0.9), d.uniform(0.15, 0.4), mode="screen")
