"""What a face is asked to be, and the latents that follow from it and a position."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from configs.errors import InputError, ModelError
from sga.generation.rng import Position, below, truncated_normal
from sga.model_folder import ModelSpec

__all__ = ["ANY", "Conditions", "Latents", "StylePrior", "draw", "resolve"]

ANY = "any"
"""Asked for as a gender: each face draws its own."""


@dataclass(frozen=True)
class Conditions:
    """What is asked for, as codes. gender: None = each face draws its own; where: code by attribute name."""

    gender: int | None
    where: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Latents:
    """All that the generator reads, and hence all that decides a face.

    noise: (noise_size,) float32; gender: code; style: (style_size,) float32, standardised features, or tags of -1 and 1.
    """

    noise: np.ndarray
    gender: int
    style: np.ndarray


def resolve(spec: ModelSpec, gender: str | None, where: Mapping[str, str] | None = None) -> Conditions:
    """Value names to codes.

    gender: a value of the schema's gender, or "any" (as None); where: value by attribute name, neither gender nor quality.

    Raises:
        InputError: an unknown attribute or value.
    """
    if gender is not None and gender != ANY and gender not in spec.gender.values:
        raise InputError(
            f"Expected a gender ({', '.join(spec.gender.values)} or {ANY}), found {gender!r}. "
            f"Type, for example: --gender {spec.gender.values[0]}"
        )
    codes = {}
    for name, value in (where or {}).items():
        attribute = spec.attributes[name]
        if attribute.role != "style":
            own = "--gender" if attribute.role == "gender" else "--min-quality"
            raise InputError(f"Expected an attribute of style to choose faces by, found {name!r}. Type {own} for that one.")
        codes[name] = attribute.code(value)
    return Conditions(None if gender in (None, ANY) else spec.gender.code(str(gender)), codes)


class StylePrior:
    """Where styles come from: rows of real styles of the asked kind plus jitter, or a truncated normal."""

    def __init__(self, spec: ModelSpec, arrays: Mapping[str, np.ndarray]):
        """arrays: what styles.npz holds.

        Raises:
            ModelError: an empirical prior without fitting arrays.
        """
        self.spec = spec
        self.empirical = spec.style_prior == "empirical" and spec.style_size > 0
        self._rows: dict[tuple[tuple[str, int], ...], np.ndarray] = {}
        if not self.empirical:
            return
        style = arrays.get("style")
        if style is None or style.ndim != 2 or style.shape[1] != spec.style_size:
            found = "no such array" if style is None else f"shape {style.shape}"
            raise ModelError(f"Expected style (m, {spec.style_size}) in styles.npz, found {found}. Export the model anew.")
        self.style = style.astype(np.float32)
        self.codes = {attribute.name: arrays[attribute.name] for attribute in spec.judged if attribute.name in arrays}
        if any(codes.shape != (len(style),) for codes in self.codes.values()) or spec.gender.name not in self.codes:
            raise ModelError(
                f"Expected {spec.gender.name} (m,) beside style (m, …) in styles.npz, found other shapes. Export anew."
            )

    def rows(self, gender: int, where: Mapping[str, int]) -> np.ndarray:
        """(k,) int64: the rows of real faces that have the gender and the asked values; empty where the prior has no rows.

        Raises:
            InputError: no real face has all of them.
        """
        if not self.empirical:
            return np.zeros(0, dtype=np.int64)
        wanted = {self.spec.gender.name: gender, **where}
        key = tuple(sorted(wanted.items()))
        if key not in self._rows:
            self._rows[key] = self._find(wanted)
        return self._rows[key]

    def _find(self, wanted: Mapping[str, int]) -> np.ndarray:
        absent = [name for name in wanted if name not in self.codes]
        if absent:
            raise InputError(
                f"Expected an attribute that this model's styles are labelled with ({', '.join(self.codes)}), "
                f"found {', '.join(absent)}. Leave it out."
            )
        mask = np.logical_and.reduce([self.codes[name] == code for name, code in wanted.items()])
        if not mask.any():
            asked = ", ".join(f"{name}={self.spec.attributes[name].values[code]}" for name, code in wanted.items())
            raise InputError(f"Expected styles of real faces with {asked}, found none in this model. Ask for fewer at once.")
        return np.flatnonzero(mask)

    def draw(self, position: Position, rows: np.ndarray) -> np.ndarray:
        """(style_size,) float32 at a position: one of `rows` plus jitter, or truncated normal."""
        size = self.spec.style_size
        if not self.empirical:
            return truncated_normal("style", position, size)
        style = self.style[rows[below("row", position, len(rows))]]
        if self.spec.style_jitter == 0:
            return style.copy()
        # One product and one sum, rounded each: IEEE 754 leaves no freedom in them.
        return style + np.float32(self.spec.style_jitter) * truncated_normal("style", position, size)


def draw(prior: StylePrior, conditions: Conditions, position: Position) -> Latents:
    """The latents of an attempt. A face that draws its own gender draws it once for all its attempts."""
    gender = conditions.gender
    if gender is None:
        gender = below("gender", Position(position.subject, position.index, 0), prior.spec.gender.size)
    style = prior.draw(position, prior.rows(gender, conditions.where))
    return Latents(truncated_normal("noise", position, prior.spec.noise_size), gender, style)
