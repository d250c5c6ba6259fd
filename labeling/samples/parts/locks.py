"""The lock, of which all hair is made: a band about a spine with its own light, shadow, strands and outline."""

from __future__ import annotations

from collections.abc import Sequence

import skia

from labeling.samples.dice import Dice
from labeling.samples.face import Face
from labeling.samples.palette import mix
from labeling.samples.parts.pen import Cubic, Pen, lens, part_of, ribbon_edges, spine_path

__all__ = ["lock"]


def lock(
    pen: Pen,
    face: Face,
    spine: Cubic,
    widths: Sequence[float],
    d: Dice,
    dark: float = 0.0,
    fade: float = 0.0,
    line: float = 1.0,
) -> None:
    """Draw one lock from root to tip.

    widths: half widths at the spine's four control points. dark in [0, 1] shades all of it (hair that lies behind).
    fade: share of the length over which the root melts into the hair below it. line: strength of the outline.
    """
    hair, look = face.hair, face.look
    path = spine_path(spine, widths)
    base, shadow = mix(hair.base, hair.shadow, dark), mix(hair.shadow, hair.deep, dark)
    left, right = ribbon_edges(spine, widths)
    if not look.detail:
        pen.fill(path, base)
    else:
        light = mix(base, hair.light, 0.7 * (1 - dark))
        alphas = [0.0 if fade else 1.0, 1.0, 1.0, 1.0]
        stops = [0.0, max(fade, 0.2), 0.62, 1.0]
        pen.gradient(path, spine[0], spine[3], [base, light, base, mix(base, shadow, 0.75)], alphas, stops)
        _inside(pen, face, path, (left, right), widths, d, dark, fade)
    start = fade * 0.8
    lines = (part_of(left, start, 1.0), part_of(right, start, 1.0)) if start else (left, right)
    edges, w = skia.Path(), look.line * 0.5
    for edge in lines:
        spine_path(edge, (w if not fade else 0.0, w, w, w * 0.7), edges)
    pen.fill(edges, hair.line, 0.92 * line)


def _inside(
    pen: Pen,
    face: Face,
    path: skia.Path,
    edges: tuple[Cubic, Cubic],
    widths: Sequence[float],
    d: Dice,
    dark: float,
    fade: float,
) -> None:
    """Cel shadow along the edge away from the light, fine strands, a streak of gloss."""
    hair, look, (left, right) = face.hair, face.look, edges
    shadow, widest = mix(hair.shadow, hair.deep, dark), max(widths)
    away = left if (left[1][0] - right[1][0]) * look.light < 0 else right
    with pen.clipped(path):
        part = part_of(away, max(fade, 0.05), 1.0)
        pen.fill(
            spine_path(part, (0.0, widths[1] * 0.7, widths[2] * 0.85, widths[3] * 0.8)),
            shadow,
            0.8 * look.shading,
            look.softness * 0.4,
        )
        fine, shine = skia.Path(), skia.Path()
        for _ in range(2 + int(widest * 70)):
            f, start = d.uniform(0.1, 0.9), d.uniform(fade, 0.6)
            lens(part_of(_between(left, right, f), start, min(1.0, start + d.uniform(0.3, 0.5))), 0.0042, fine)
            if d.chance(0.45):
                g = d.uniform(max(fade, 0.16), max(fade, 0.16) + 0.2)
                lens(part_of(_between(left, right, f), g, g + d.uniform(0.12, 0.25)), widest * 0.26, shine)
        pen.fill(fine, mix(shadow, hair.line, 0.45), 0.6)
        pen.fill(shine, hair.shine, 0.6 * look.gloss * (1 - 0.6 * dark))


def _between(left: Cubic, right: Cubic, f: float) -> Cubic:
    a, b, c, e = ((p[0] + (q[0] - p[0]) * f, p[1] + (q[1] - p[1]) * f) for p, q in zip(left, right, strict=True))
    return a, b, c, e
