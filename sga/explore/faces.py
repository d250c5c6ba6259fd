"""What stands on a picture: noise of one face, style of this or another, a gender; drawn, judged, and told as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from configs.errors import InputError
from sga.generation import FaceModel, Latents
from sga.generation.criterion import Criterion
from sga.model_folder import ModelSpec

__all__ = ["Cast", "Score", "Source", "Take", "genders_of", "score", "sources"]


@dataclass(frozen=True, eq=False)
class Source:
    """Latents and where they are from: seed, index, attempt and gender; or an avatar's digest; or two faces between which they
    lie. `told` holds it as JSON does, without the latents themselves."""

    latents: Latents
    told: Mapping[str, Any]

    def to_json(self, spec: ModelSpec) -> dict[str, Any]:
        """All that draws it again."""
        gender = spec.gender.values[self.latents.gender]
        return {**self.told, "gender": gender, "latents": self.latents.to_text()}

    @classmethod
    def from_json(cls, spec: ModelSpec, told: Mapping[str, Any]) -> Source:
        """The inverse of `to_json`."""
        gender = spec.gender.code(told["gender"])
        return cls(Latents.from_text(told["latents"], gender, spec.noise_size, spec.style_size), told)


@dataclass(frozen=True)
class Take:
    """One face on a picture. noise, style: which sources; gender: code; other: a second gender whose face of the same noise and
    style is laid over it with a weight in [0, 1]."""

    noise: int
    style: int
    gender: int
    other: int | None = None
    weight: float = 0.0


class Cast:
    """Sources and the faces that are made of them."""

    def __init__(self, model: FaceModel, sources: Sequence[Source], takes: Sequence[Take]) -> None:
        self.model, self.sources, self.takes = model, list(sources), list(takes)

    def images(self) -> np.ndarray:
        """(takes, size, size, 3) uint8 RGB."""
        shown = self._render([take.gender for take in self.takes])
        mixed = [place for place, take in enumerate(self.takes) if take.other is not None and take.weight > 0]
        if mixed:
            others = Cast(self.model, self.sources, [self.takes[place] for place in mixed])
            over = others._render([int(take.other or 0) for take in others.takes])
            for place, image in zip(mixed, over, strict=True):
                weight = self.takes[place].weight
                blend = (1 - weight) * shown[place].astype(np.float64) + weight * image.astype(np.float64)
                shown[place] = np.rint(blend).astype(np.uint8)
        return shown

    def _render(self, genders: Sequence[int]) -> np.ndarray:
        noise = np.stack([self.sources[take.noise].latents.noise for take in self.takes])
        style = np.stack([self.sources[take.style].latents.style for take in self.takes])
        return self.model.render(noise, genders, style).copy()

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads."""
        spec = self.model.spec
        return {
            "sources": [source.to_json(spec) for source in self.sources],
            "faces": [_take_to_json(spec, take) for take in self.takes],
        }

    @classmethod
    def from_json(cls, model: FaceModel, told: Mapping[str, Any]) -> Cast:
        """The faces of a picture from the JSON beside it.

        Raises:
            InputError: the JSON is of another model, or of something else.
        """
        try:
            if told["model"]["drawing"] != model.folder.drawing_hash:
                raise InputError(
                    f"Expected a picture of the model {model.spec.name} ({model.hash}), found one of {told['model']['name']} "
                    f"({told['model']['hash']}). Load that one."
                )
            genders = model.spec.gender
            takes = [
                Take(
                    face["noise"],
                    face["style"],
                    genders.code(face["gender"]),
                    genders.code(face["over"]["gender"]) if "over" in face else None,
                    face["over"]["weight"] if "over" in face else 0.0,
                )
                for face in told["faces"]
            ]
            found = [Source.from_json(model.spec, source) for source in told["sources"]]
        except (KeyError, TypeError) as error:
            raise InputError(f"Expected the JSON beside a picture of sga explore, found no {error} in it.") from error
        if any(not 0 <= place < len(found) for take in takes for place in (take.noise, take.style)):
            raise InputError("Expected faces that name their sources in the JSON beside a picture, found others. Draw it anew.")
        return cls(model, found, takes)


@dataclass(frozen=True, eq=False)
class Score:
    """What the judge says of one face. gender: probability of the asked one; seen: the most probable value by attribute;
    failed: as of a Face."""

    gender: float
    quality: float
    seen: Mapping[str, str]
    failed: tuple[str, ...]

    @property
    def accepted(self) -> bool:
        """True where `sga generate` would have kept the face."""
        return not self.failed

    def to_json(self) -> dict[str, Any]:
        """Rounded to four digits."""
        return {
            "accepted": self.accepted,
            "failed": list(self.failed),
            "gender_probability": round(self.gender, 4),
            "quality": round(self.quality, 4),
            "seen": dict(self.seen),
        }


def score(model: FaceModel, images: np.ndarray, genders: Sequence[int], where: Mapping[str, str] | None = None) -> list[Score]:
    """The judge's word on faces. images: (n, size, size, 3) uint8; genders: n asked codes; where: further asked values."""
    verdict = model.judge(images)
    spec = model.spec
    criterion = Criterion.of(spec, None, {name: spec.attributes[name].code(value) for name, value in (where or {}).items()})
    scores = []
    for row, gender in enumerate(genders):
        told = {name: values[row] for name, values in verdict.probabilities.items()}
        seen = {name: spec.attributes[name].values[_most_probable(value)] for name, value in told.items()}
        quality = float(verdict.quality[row])
        chance = float(told[spec.gender.name][gender])
        scores.append(Score(chance, quality, seen, criterion.failed(told, quality, gender)))
    return scores


def sources(
    model: FaceModel,
    gender: str | None,
    count: int,
    seed: int,
    *,
    unselected: bool = False,
    where: Mapping[str, str] | None = None,
) -> list[Source]:
    """Latents of faces 0 … count - 1 of a seed: of those that the judge accepted (the best attempt where none passed), as `sga
    generate` draws them, or of their first attempts.

    Raises:
        InputError: as FaceModel.generate.
    """
    if unselected:
        drawn = [(index, 0, model.draw(seed, index, 0, gender, where)) for index in range(count)]
    else:
        faces = model.generate(gender, count, seed, where=where)
        drawn = [(face.index, face.attempt, face.latents) for face in faces if face.latents is not None]
    more = {"where": dict(where)} if where else {}
    return [Source(latents, {"seed": seed, "index": index, "attempt": at, **more}) for index, at, latents in drawn]


def genders_of(spec: ModelSpec, gender: str | None) -> list[int]:
    """Codes of the genders that are shown: the asked one, or all.

    Raises:
        InputError: no such gender.
    """
    return [spec.gender.code(gender)] if gender not in (None, "any") else list(range(spec.gender.size))


def _take_to_json(spec: ModelSpec, take: Take) -> dict[str, Any]:
    told: dict[str, Any] = {"noise": take.noise, "style": take.style, "gender": spec.gender.values[take.gender]}
    if take.other is not None and take.weight > 0:
        told["over"] = {"gender": spec.gender.values[take.other], "weight": take.weight}
    return told


def _most_probable(probability: np.ndarray) -> int:
    """The code of (values,) probabilities, or of a single one of "yes"."""
    return int(probability.argmax() if probability.ndim else probability >= 0.5)
