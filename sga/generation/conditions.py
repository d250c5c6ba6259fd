"""What a face is asked to be, and the latents that follow from it and a position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real

import numpy as np

from configs.errors import InputError, ModelError
from sga.generation.latents import Latents
from sga.generation.rng import Position, below, each_below, truncated_normals
from sga.model_folder import ModelSpec

__all__ = [
    "ANY",
    "Conditions",
    "Latents",
    "StylePrior",
    "draw",
    "draw_attempts",
    "draw_rows",
    "is_share",
    "own_gender",
    "resolve",
    "scaled",
]

ANY = "any"
"""Asked for as a gender: each face draws its own."""


@dataclass(frozen=True)
class Conditions:
    """What is asked for, as codes. gender: None = each face draws its own; where: code by attribute name; truncation: in
    [0, 1], what noise and jitter of the style are multiplied by."""

    gender: int | None
    where: Mapping[str, int] = field(default_factory=dict)
    truncation: float = 1.0


def resolve(spec: ModelSpec, gender: str | None, where: Mapping[str, str] | None = None, truncation: float = 1.0) -> Conditions:
    """Value names to codes.

    gender: a value of the schema's gender, or "any" (as None); where: value by attribute name, neither gender nor quality;
    truncation: 0 … 1, where 1 changes nothing and 0 takes the noise and the jitter of the style away.

    Raises:
        InputError: an unknown attribute or value, another thing than names of them, or a truncation out of its range.
    """
    if not is_share(truncation):
        raise InputError(f"Expected a truncation from 0 to 1, found {truncation!r}. Type, for example: --truncation 0.7")
    where = {} if where is None else where
    if not isinstance(where, Mapping) or not all(isinstance(one, str) for pair in where.items() for one in pair):
        raise InputError(
            f"Expected values by attribute as texts, found {where!r}. Write, for example: where={{'hair_color': 'blue'}}"
        )
    if gender is not None and gender != ANY and gender not in spec.gender.values:
        raise InputError(
            f"Expected a gender ({', '.join(spec.gender.values)} or {ANY}), found {gender!r}. "
            f"Type, for example: --gender {spec.gender.values[0]}"
        )
    codes = {}
    for name, value in where.items():
        attribute = spec.attributes[name]
        if attribute.role != "style":
            own = "--gender" if attribute.role == "gender" else "--min-quality"
            raise InputError(f"Expected an attribute of style to choose faces by, found {name!r}. Type {own} for that one.")
        codes[name] = attribute.code(value)
    return Conditions(None if gender in (None, ANY) else spec.gender.code(str(gender)), codes, float(truncation))


def is_share(value: object) -> bool:
    """Whether it is a number in [0, 1]."""
    return isinstance(value, Real) and 0 <= float(value) <= 1


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

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Least and greatest value of each feature: (style_size,) float32 each."""
        if not self.empirical:
            return (-np.ones(self.spec.style_size, np.float32), np.ones(self.spec.style_size, np.float32))
        return self.style.min(axis=0), self.style.max(axis=0)

    def draw(self, positions: Sequence[Position], rows: np.ndarray, truncation: float = 1.0) -> np.ndarray:
        """(n, style_size) float32 at n positions: one of `rows` plus jitter, or truncated normal; the random part scaled."""
        size = self.spec.style_size
        if not self.empirical:
            return scaled(truncated_normals("style", positions, size), truncation)
        style = self.style[rows[each_below("row", positions, len(rows))]]
        if self.spec.style_jitter == 0:
            return style
        # One product and one sum, rounded each: IEEE 754 leaves no freedom in them.
        return style + np.float32(self.spec.style_jitter) * scaled(truncated_normals("style", positions, size), truncation)


def scaled(values: np.ndarray, factor: float) -> np.ndarray:
    """float32 values times a factor that is rounded to float32 first: one product each, which IEEE 754 rounds the same way
    everywhere. Times 1 they are the values bit for bit."""
    return values if factor == 1 else values * np.float32(factor)


def draw(prior: StylePrior, conditions: Conditions, position: Position) -> Latents:
    """The latents of an attempt. A face that draws its own gender draws it once for all its attempts."""
    return draw_attempts(prior, conditions, position, [position.attempt])[0]


def draw_attempts(prior: StylePrior, conditions: Conditions, position: Position, attempts: Sequence[int]) -> list[Latents]:
    """`draw` for several attempts of one face, whatever the attempt in `position`; several times faster than one by one."""
    noise, gender, style = draw_rows(prior, conditions, position, attempts)
    return [Latents(one, gender, other) for one, other in zip(noise, style, strict=True)]


def draw_rows(
    prior: StylePrior, conditions: Conditions, position: Position, attempts: Sequence[int]
) -> tuple[np.ndarray, int, np.ndarray]:
    """As `draw_attempts`, in arrays: noise (n, noise_size) float32, the gender's code, style (n, style_size) float32."""
    gender = own_gender(prior.spec, conditions, position)
    positions = [Position(position.subject, position.index, attempt) for attempt in attempts]
    style = prior.draw(positions, prior.rows(gender, conditions.where), conditions.truncation)
    noise = scaled(truncated_normals("noise", positions, prior.spec.noise_size), conditions.truncation)
    return noise, gender, style


def own_gender(spec: ModelSpec, conditions: Conditions, position: Position) -> int:
    """The code of the asked gender, or of the one that a face draws for itself."""
    if conditions.gender is not None:
        return conditions.gender
    return below("gender", Position(position.subject, position.index, 0), spec.gender.size)
