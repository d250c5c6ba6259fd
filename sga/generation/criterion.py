"""When a face is accepted, and what a face that is not lacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from configs.errors import InputError
from sga.generation.conditions import is_share
from sga.generation.face import Face
from sga.model_folder import ModelSpec

__all__ = ["Criterion"]


@dataclass(frozen=True)
class Criterion:
    """The judge must see the asked gender, surely enough, every asked attribute, and quality enough.

    quality: in [0, 1], by code of the gender; where: code by name of an asked attribute.
    """

    spec: ModelSpec
    quality: tuple[float, ...]
    where: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, spec: ModelSpec, min_quality: float | str | None = None, where: Mapping[str, int] | None = None) -> Criterion:
        """min_quality: in [0, 1], a level by name, or None = as the model was calibrated.

        Raises:
            InputError: no such level, or a number out of its range.
        """
        return cls(spec, _quality(spec, min_quality), where or {})

    def to_text(self, gender: str) -> str:
        """Short and exact, for the metadata of faces of an asked gender; of any other text, thresholds of all genders."""
        values = self.spec.gender.values
        limits = [self.quality[values.index(gender)]] if gender in values else self.quality
        quality = "/".join(str(limit) for limit in limits)
        where = "".join(f" {name}={self.spec.attributes[name].values[code]}" for name, code in self.where.items())
        return f"quality>={quality} gender>={self.spec.thresholds.gender}{where}"

    def failed(self, probabilities: Mapping[str, np.ndarray], quality: float, gender: int) -> tuple[str, ...]:
        """Names of the attributes by which a face fails: gender first, then those asked for, then quality.

        probabilities: the judge's of one face, by attribute; gender: the asked code.
        """
        failed = []
        seen = probabilities[self.spec.gender.name]
        if seen.argmax() != gender or seen[gender] < self.spec.thresholds.gender:
            failed.append(self.spec.gender.name)
        failed += [name for name, code in self.where.items() if _most_probable(probabilities[name]) != code]
        if not quality >= self.quality[gender]:
            failed.append(self.spec.quality.name)
        return tuple(failed)

    def found(self, face: Face) -> str:
        """What a face was asked to be and is not: the end of a sentence."""
        found, asked = [], self.spec.gender.code(face.gender)
        for name in face.failed:
            if name == self.spec.gender.name:
                chance, least = face.probabilities[name][asked], self.spec.thresholds.gender
                found.append(f"{name} {face.gender} at probability {chance:.2f} (asked: the highest, at least {least:.2f})")
            elif name == self.spec.quality.name:
                found.append(f"{name} {face.quality:.2f} (asked: at least {self.quality[asked]:.2f})")
            else:
                values = self.spec.attributes[name].values
                found.append(f"{name} {values[_most_probable(face.probabilities[name])]} (asked: {values[self.where[name]]})")
        return ", ".join(found)

    def explain(self, face: Face) -> str:
        """What a face was asked to be and is not, and which option helps: the ends of two sentences."""
        ways = ["raise --max-attempts"]
        if self.spec.quality.name in face.failed:
            ways.append("lower --min-quality")
        if set(face.failed) & set(self.where):
            ways.append("leave out a --where")
        ways.append("take --on-exhausted best")
        advice = f"{', '.join(ways[:-1])} or {ways[-1]}."
        return f"in its best attempt {self.found(face)}. {advice[0].upper()}{advice[1:]}"


def _most_probable(probability: np.ndarray) -> int:
    """The code of (values,) probabilities, or of a single one of "yes"."""
    return int(probability.argmax() if probability.ndim else probability >= 0.5)


def _quality(spec: ModelSpec, asked: float | str | None) -> tuple[float, ...]:
    """The quality from which a face is accepted, by code of the gender."""
    if asked is None:
        return tuple(spec.accepted_from(gender) for gender in spec.gender.values)
    if isinstance(asked, str):
        try:
            asked = float(asked)
        except ValueError:
            return tuple(spec.level(str(asked), gender) for gender in spec.gender.values)
    if not is_share(asked):
        raise InputError(
            f"Expected a quality from 0 to 1 or {', '.join(spec.quality.values)}, found {asked!r}. "
            "Type, for example: --min-quality high"
        )
    return (asked,) * spec.gender.size
