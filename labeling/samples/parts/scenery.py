"""Backgrounds: plain, gradient, bokeh, sky, stripes, dots, petals, rays, a window's blur."""

from __future__ import annotations

import colorsys
import math

import skia

from labeling.samples.face import Face
from labeling.samples.palette import Color, lighten, mix, shade
from labeling.samples.parts.pen import Pen, curve, oval, polygon

__all__ = ["draw_background"]


def draw_background(pen: Pen, face: Face) -> None:
    """Fill the unit square."""
    d = face.dice("background")
    kind = d.pick(
        ["plain", "gradient", "bokeh", "sky", "stripes", "dots", "petals", "rays", "rooms"], [18, 24, 15, 6, 5, 5, 9, 5, 13]
    )
    dark = d.chance(0.2)
    hue, saturation = d.unit(), d.uniform(0.08, 0.55)
    first: Color = colorsys.hsv_to_rgb(hue, saturation, d.uniform(0.18, 0.4) if dark else d.uniform(0.75, 1.0))
    second: Color = colorsys.hsv_to_rgb(
        (hue + d.uniform(-0.18, 0.18)) % 1, saturation * 0.7, d.uniform(0.3, 0.6) if dark else 1.0
    )
    if kind == "plain" and d.chance(0.6):
        first = second = (0.99, 0.99, 0.99)
    page = polygon([(-0.02, -0.02), (1.02, -0.02), (1.02, 1.02), (-0.02, 1.02)])
    if kind == "plain" or not face.look.detail:
        pen.fill(page, first)
        return
    a = d.uniform(0, math.tau)
    pen.gradient(
        page,
        (0.5 - 0.6 * math.cos(a), 0.5 - 0.6 * math.sin(a)),
        (0.5 + 0.6 * math.cos(a), 0.5 + 0.6 * math.sin(a)),
        [first, second],
    )
    tint = lighten(second, 0.55)
    if kind == "bokeh":
        for _ in range(12):
            x, y, r = d.unit(), d.unit(), d.uniform(0.03, 0.13)
            pen.fill(oval(x, y, r, r), lighten(mix(first, second, d.unit()), 0.6), d.uniform(0.15, 0.5), 0.006)
    elif kind == "sky":
        pen.gradient(page, (0, 0), (0, 1), [(0.32, 0.6, 0.95), (0.82, 0.93, 1.0)])
        for _ in range(4):
            x, y = d.unit(), d.uniform(0.05, 0.7)
            for _ in range(5):
                pen.fill(
                    oval(x + d.uniform(-0.14, 0.14), y + d.uniform(-0.03, 0.03), d.uniform(0.05, 0.12), d.uniform(0.03, 0.06)),
                    (1, 1, 1),
                    0.75,
                    0.012,
                )
    elif kind == "stripes":
        with pen.moved(0.5, 0.5, d.uniform(0, 180)):
            for i in range(-8, 9):
                pen.fill(polygon([(i * 0.12, -1), (i * 0.12 + 0.06, -1), (i * 0.12 + 0.06, 1), (i * 0.12, 1)]), tint, 0.55)
    elif kind == "dots":
        dots, step = skia.Path(), d.uniform(0.09, 0.15)
        for i in range(int(1 / step) + 2):
            for j in range(int(1 / step) + 2):
                dots.addPath(oval((i + 0.5 * (j % 2)) * step, j * step, step * 0.24, step * 0.24))
        pen.fill(dots, tint, 0.7)
    elif kind == "petals":
        color = d.pick([(1.0, 0.72, 0.8), (1, 1, 1), (0.98, 0.86, 0.5)])
        for _ in range(14):
            with pen.moved(d.unit(), d.unit(), d.uniform(0, 360)):
                pen.fill(
                    oval(0, 0, d.uniform(0.012, 0.022), d.uniform(0.024, 0.05)),
                    color,
                    d.uniform(0.5, 0.95),
                    d.pick([0.0, 0.008]),
                )
    elif kind == "rays":
        x, y, n = d.unit(), d.uniform(-0.2, 0.3), 14
        for i in range(n):
            b, c = math.tau * i / n, math.tau * (i + 0.5) / n
            pen.fill(
                polygon([(x, y), (x + 2 * math.cos(b), y + 2 * math.sin(b)), (x + 2 * math.cos(c), y + 2 * math.sin(c))]),
                tint,
                0.4,
            )
    elif kind == "rooms":
        for _ in range(6):
            x, w = d.uniform(-0.1, 1), d.uniform(0.08, 0.35)
            y, h = d.uniform(-0.1, 0.8), d.uniform(0.2, 0.8)
            color = mix(shade(first, d.uniform(0, 0.8)), lighten(second, 0.4), d.unit())
            pen.fill(curve((x, y), (x + w, y + 0.02), (x + w, y + h), (x, y + h), close=True), color, 0.7, 0.012)
