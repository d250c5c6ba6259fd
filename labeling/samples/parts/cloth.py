"""What clothes are cut from: shaded cloth, a torso, a collar."""

from __future__ import annotations

import skia

from labeling.samples.face import Face
from labeling.samples.palette import Color, mix, shade
from labeling.samples.parts.pen import Pen, curve

__all__ = ["cloth", "collar", "line", "torso"]


def cloth(pen: Pen, face: Face, path: skia.Path, color: Color, y: float) -> None:
    """Fill with folds' shadow and outline."""
    pen.gradient(path, (0, y), (0, y + 0.4), [color, shade(color, 0.5) if face.look.detail else color])
    if face.look.detail:
        s = -face.look.light
        with pen.clipped(path):
            pen.fill(
                curve((s * 0.2, y + 0.05), (s * 0.3, y + 0.3), (s * 0.9, y + 0.6), (s * 0.9, y), close=True),
                shade(color, 0.7),
                0.7,
                0.012,
            )
    pen.line(path, line(color), face.look.line)


def line(color: Color) -> Color:
    return mix(shade(color, 1.0, (0.36, 0.28, 0.42)), (0.1, 0.08, 0.12), 0.3)


def torso(face: Face, base: float, slope: float, neck: float, dip: float) -> skia.Path:
    """Everything from the shoulders down; `neck` half width of its opening, `dip` depth of it."""
    y = base + 0.02
    return curve(
        (-neck, y + 0.005),
        (-slope * 0.7, y + 0.03, -slope, y + 0.065),
        (-slope - 0.16, y + 0.11, -slope - 0.18, y + 0.5, -slope - 0.2, y + 0.9),
        (slope + 0.2, y + 0.9),
        (slope + 0.18, y + 0.5, slope + 0.16, y + 0.11, slope, y + 0.065),
        (slope * 0.7, y + 0.03, neck, y + 0.005),
        (neck * 0.6, y + dip * 1.2, -neck * 0.6, y + dip * 1.2, -neck, y + 0.005),
        close=True,
    )


def collar(pen: Pen, face: Face, color: Color, base: float, n: float, spread: float, drop: float) -> None:
    """Two pointed halves that meet under the throat."""
    for s in (-1, 1):
        half = curve(
            (s * n, base - 0.035),
            (s * (n + spread), base + 0.02),
            (s * spread * 0.75, base + drop),
            (s * 0.004, base + 0.06),
            (s * n * 0.6, base + 0.04, s * n * 0.96, base - 0.01),
            close=True,
        )
        cloth(pen, face, half, color, base)
