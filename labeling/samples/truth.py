"""The truth about a sample face: which tags it carries, drawn before a single line is."""

from __future__ import annotations

from functools import lru_cache

from labeling.samples.dice import Dice
from labeling.samples.settings import SampleSettings
from labeling.schema import Schema

__all__ = ["draw_hidden", "draw_truth", "sample_schema"]

_HAIR_WEIGHTS = {
    "blonde": 15, "brown": 17, "black": 14, "blue": 9, "pink": 9, "purple": 8, "green": 6,
    "red": 7, "silver": 5, "white": 4, "orange": 5, "aqua": 5, "gray": 4,
}  # fmt: skip
_EYE_WEIGHTS = {
    "blue": 18, "red": 14, "brown": 15, "green": 13, "purple": 11, "yellow": 8, "pink": 6, "aqua": 6, "black": 7, "orange": 5,
}  # fmt: skip
_RATES = {  # (female, male)
    "blush": (0.45, 0.12),
    "smile": (0.42, 0.3),
    "open_mouth": (0.3, 0.22),
    "hat": (0.14, 0.12),
    "ribbon": (0.3, 0.04),
    "glasses": (0.14, 0.17),
}


@lru_cache(maxsize=1)
def sample_schema() -> Schema:
    """The schema that sample faces are labelled with: gender, the 34 tags, quality."""
    return Schema.load("moe34")


def draw_truth(seed: int, index: int, settings: SampleSettings) -> dict[str, str]:
    """Value names by attribute of schema moe34, in order: a function of (seed, index), `quality` and `male`.

    Long and short hair exclude each other (a few faces have neither: medium length); twintails and ponytail do too.
    """
    dice = Dice((seed, index), "truth")
    male = dice.chance(settings.male)
    truth = {"gender": "male" if male else "female"}
    truth["hair_color"] = dice.pick(list(_HAIR_WEIGHTS), list(_HAIR_WEIGHTS.values()))
    truth["eye_color"] = dice.pick(list(_EYE_WEIGHTS), list(_EYE_WEIGHTS.values()))
    mix = settings.quality
    truth["quality"] = dice.pick(["low", "median", "high"], [mix.low, mix.median, mix.high])
    truth |= {name: _word(dice.chance(rates[male])) for name, rates in _RATES.items()}
    truth |= _hair_style(dice, male)
    return {name: truth[name] for name in sample_schema().names}


def _hair_style(dice: Dice, male: bool) -> dict[str, str]:
    gathered = dice.pick(["none", "twintails", "ponytail"], [0.92, 0.0, 0.08] if male else [0.62, 0.22, 0.16])
    drill = dice.chance(0.0 if male else 0.12)
    weights = [0.12, 0.78, 0.1] if male else [0.55, 0.35, 0.1]
    if gathered == "ponytail" or drill:
        weights = [0.85, 0.0, 0.15]  # a ponytail or ringlets take length; what hangs is at least medium
    elif gathered == "twintails":
        weights = [0.8, 0.2, 0.0]
    length = dice.pick(["long", "short", "medium"], weights)
    return {
        "long_hair": _word(length == "long"),
        "short_hair": _word(length == "short"),
        "twintails": _word(gathered == "twintails"),
        "ponytail": _word(gathered == "ponytail"),
        "drill_hair": _word(drill),
    }


def draw_hidden(seed: int, index: int, settings: SampleSettings) -> frozenset[str]:
    """The attributes of face `index` whose label is kept back, each independently at its rate."""
    dice = Dice((seed, index), "hidden")
    return frozenset([name for name in sample_schema().names if dice.unit() < settings.hidden_rate(name)])


def _word(yes: bool) -> str:
    return "yes" if yes else "no"
