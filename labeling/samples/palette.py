"""Colours: what each colour name looks like, and the ramp from deep shadow to highlight that paints it."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

from labeling.samples.dice import Dice

__all__ = ["CLOTH", "EYES", "HAIR", "Color", "Ramp", "eye_ramp", "hair_ramp", "lighten", "mix", "shade", "skin_ramp", "vary"]

Color = tuple[float, float, float]
"""Red, green, blue in [0, 1], sRGB."""


def _rgb(red: int, green: int, blue: int) -> Color:
    return red / 255, green / 255, blue / 255


HAIR: dict[str, Color] = {
    "blonde": _rgb(248, 218, 128),
    "brown": _rgb(138, 90, 60),
    "black": _rgb(56, 52, 64),
    "blue": _rgb(72, 110, 206),
    "pink": _rgb(248, 160, 190),
    "purple": _rgb(148, 104, 198),
    "green": _rgb(96, 178, 106),
    "red": _rgb(204, 54, 56),
    "silver": _rgb(200, 208, 226),
    "white": _rgb(247, 246, 249),
    "orange": _rgb(243, 146, 62),
    "aqua": _rgb(112, 214, 218),
    "gray": _rgb(140, 142, 150),
}
EYES: dict[str, Color] = {
    "blue": _rgb(56, 116, 226),
    "red": _rgb(212, 40, 50),
    "brown": _rgb(142, 86, 50),
    "green": _rgb(52, 164, 84),
    "purple": _rgb(142, 76, 200),
    "yellow": _rgb(240, 194, 44),
    "pink": _rgb(242, 104, 166),
    "aqua": _rgb(58, 200, 208),
    "black": _rgb(58, 54, 62),
    "orange": _rgb(242, 126, 36),
}
CLOTH: tuple[Color, ...] = (
    _rgb(250, 250, 252), _rgb(44, 52, 92), _rgb(60, 58, 66), _rgb(176, 44, 56), _rgb(108, 152, 206), _rgb(240, 196, 208),
    _rgb(120, 150, 112), _rgb(232, 214, 170), _rgb(96, 76, 128), _rgb(212, 120, 72), _rgb(150, 154, 164), _rgb(92, 60, 52),
    _rgb(96, 190, 186), _rgb(236, 190, 80),
)  # fmt: skip
_SHADES: dict[str, Color] = {  # what the shadows of a hair colour turn towards
    "blonde": (0.82, 0.52, 0.3), "brown": (0.6, 0.38, 0.38), "orange": (0.74, 0.38, 0.24), "red": (0.6, 0.24, 0.36),
    "pink": (0.78, 0.44, 0.62), "purple": (0.46, 0.34, 0.66), "blue": (0.34, 0.36, 0.68),
    "aqua": (0.3, 0.52, 0.68), "green": (0.26, 0.5, 0.52),
}  # fmt: skip
_SKIN: tuple[Color, ...] = (
    _rgb(255, 238, 226), _rgb(255, 230, 214), _rgb(254, 222, 200), _rgb(250, 226, 218), _rgb(240, 200, 170),
    _rgb(206, 158, 124),
)  # fmt: skip
_SKIN_WEIGHTS = (30, 30, 22, 10, 6, 3)


@dataclass(frozen=True)
class Ramp:
    """One material from its darkest to its lightest paint, and the colour of its outlines."""

    deep: Color
    shadow: Color
    base: Color
    light: Color
    shine: Color
    line: Color


def mix(first: Color, second: Color, amount: float) -> Color:
    """`first` at amount 0, `second` at 1."""
    rest = 1 - amount
    return (first[0] * rest + second[0] * amount, first[1] * rest + second[1] * amount, first[2] * rest + second[2] * amount)


def shade(color: Color, amount: float, tint: Color = (0.45, 0.36, 0.58)) -> Color:
    """Multiply by `tint` at `amount`: shadows turn towards violet, as painters let them."""
    return (
        color[0] * (1 - amount + amount * tint[0]),
        color[1] * (1 - amount + amount * tint[1]),
        color[2] * (1 - amount + amount * tint[2]),
    )


def lighten(color: Color, amount: float) -> Color:
    """Towards white."""
    return mix(color, (1.0, 1.0, 1.0), amount)


def vary(color: Color, dice: Dice, hue: float, saturation: float, value: float) -> Color:
    """Nearby colour: hue, saturation and value moved by at most the given amounts."""
    h, s, v = colorsys.rgb_to_hsv(*color)
    s = min(max(s + dice.uniform(-saturation, saturation) * min(1.0, s * 3), 0), 1)
    v = min(max(v + dice.uniform(-value, value), 0), 1)
    return colorsys.hsv_to_rgb((h + dice.uniform(-hue, hue)) % 1, s, v)


def _dark_line(color: Color, darkness: float) -> Color:
    h, s, v = colorsys.rgb_to_hsv(*color)
    return colorsys.hsv_to_rgb(h, min(1.0, s * 0.7 + 0.22), min(v, 0.8) * (0.62 - 0.42 * darkness))


def hair_ramp(name: str, dice: Dice, darkness: float) -> Ramp:
    """Paints of a hair colour. darkness in [0, 1]: how dark the artist's lines are."""
    base = vary(HAIR[name], dice, 0.012, 0.08, 0.03 if name in ("white", "black", "silver", "gray") else 0.05)
    pale = name in ("white", "silver")
    tint = (0.62, 0.64, 0.82) if pale else _SHADES.get(name, (0.52, 0.42, 0.6))
    strength = dice.uniform(0.45, 0.65) if pale else dice.uniform(0.5, 0.7)
    shadow = shade(base, strength, tint)
    light = lighten(base, 0.16 if name == "black" else 0.26)
    shine = lighten(base, 0.42 if name == "black" else 0.72)
    if name == "black":
        shine = mix(shine, (0.55, 0.62, 0.85), 0.45)
    return Ramp(shade(shadow, 0.55, tint), shadow, base, light, shine, _dark_line(shadow if pale else base, darkness))


def eye_ramp(name: str, dice: Dice) -> Ramp:
    """Paints of an iris: the top is dark, the bottom glows."""
    base = vary(EYES[name], dice, 0.01, 0.08, 0.06)
    warm = name in ("yellow", "orange")
    deep = shade(base, 0.9, (0.5, 0.26, 0.2) if warm else (0.34, 0.26, 0.38))
    glow = lighten(base, 0.18 if name == "black" else 0.42)
    return Ramp(
        deep,
        shade(base, 0.5, (0.7, 0.44, 0.3) if warm else (0.5, 0.42, 0.55)),
        base,
        glow,
        lighten(base, 0.4 if name == "black" else 0.7),
        deep,
    )


def skin_ramp(dice: Dice, darkness: float) -> Ramp:
    """Paints of skin; the shadow is warm, cool or violet by the artist's taste."""
    base = vary(dice.pick(_SKIN, _SKIN_WEIGHTS), dice, 0.008, 0.03, 0.01)
    tint = dice.pick([(0.9, 0.62, 0.58), (0.82, 0.64, 0.72), (0.92, 0.68, 0.54)])
    shadow = shade(base, dice.uniform(0.5, 0.72), tint)
    line = mix(shade(base, 1.0, (0.66, 0.4, 0.38)), (0.22, 0.11, 0.12), darkness * 0.85)
    return Ramp(shade(shadow, 0.5, tint), shadow, base, lighten(base, 0.35), lighten(base, 0.7), line)
