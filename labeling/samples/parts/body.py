"""Neck and shoulders. The body does not tilt with the head."""

from __future__ import annotations

from labeling.samples.face import Face
from labeling.samples.palette import CLOTH, vary
from labeling.samples.parts.clothes import CLOTHES, MEN, WOMEN
from labeling.samples.parts.pen import Pen, curve, lens

__all__ = ["draw_body"]


def draw_body(pen: Pen, face: Face, chin: float) -> None:
    """Neck with the chin's shadow, shoulders, clothes. chin: height of the chin in body units."""
    d, skin, look = face.dice("clothes"), face.skin, face.look
    n = face.head.neck
    base = chin + (0.085 if face.male else 0.075)
    slope = 0.4 if face.male else 0.33  # half width of the shoulders
    neck = curve(
        (-n, chin - 0.16),
        (-n * 0.94, base - 0.03),
        (-n * 1.05, base + 0.05, -slope * 0.7, base + 0.055, -slope, base + 0.1),
        (-slope - 0.14, base + 0.14, -slope - 0.16, base + 0.5, -slope - 0.16, base + 0.8),
        (slope + 0.16, base + 0.8),
        (slope + 0.16, base + 0.5, slope + 0.14, base + 0.14, slope, base + 0.1),
        (slope * 0.7, base + 0.055, n * 1.05, base + 0.05, n * 0.94, base - 0.03),
        (n, chin - 0.16),
        close=True,
    )
    pen.fill(neck, skin.base)
    if look.detail:
        with pen.clipped(neck):
            x = 0.085 * face.pose.turn * 0.5 - look.light * 0.02
            pen.fill(
                curve(
                    (-0.3, chin - 0.2),
                    (0.3, chin - 0.2),
                    (n * 1.3, chin + 0.0),
                    (x + 0.03, chin + 0.1, x - 0.03, chin + 0.09, -n * 1.3, chin),
                    close=True,
                ),
                skin.shadow,
                0.95,
                look.softness * 0.6,
            )
            for s in (-1, 1):  # collar bones
                pen.fill(
                    lens(
                        ((s * 0.03, base + 0.1), (s * 0.08, base + 0.085), (s * 0.14, base + 0.085), (s * 0.22, base + 0.075)),
                        0.007,
                    ),
                    skin.shadow,
                )
    pen.line(neck, skin.line, look.line)
    table = MEN if face.male else WOMEN
    color = vary(d.pick(CLOTH), d, 0.02, 0.08, 0.05)
    CLOTHES[d.pick(list(table), list(table.values()))](pen, face, d, color, base, slope)
