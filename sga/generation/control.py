"""Faces after pictures: like one, mixed of two, variations of one, and one again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from configs.errors import ExhaustedError, InputError
from sga.generation.conditions import draw, is_share, resolve, scaled
from sga.generation.core import Core, Loop
from sga.generation.criterion import Criterion
from sga.generation.face import Face, Verdict
from sga.generation.face_stream import FaceStream
from sga.generation.latents import Latents
from sga.generation.metadata import Metadata, read_metadata
from sga.generation.pictures import Picture, as_path
from sga.generation.rng import Position, truncated_normal
from sga.generation.until_good import OnExhausted, Outcome, Report

__all__ = ["DEFAULT_STRENGTH", "Control"]

DEFAULT_STRENGTH = 0.5
"""Of `variations`."""
_STYLE_STEP = 0.25
"""What a style moves while noise moves 1: pictures change with style the most, and a variation keeps its colours."""


@dataclass(frozen=True, eq=False)
class _Seen:
    """What a picture gives: the judge's verdict on it, the style to draw with, a gender's code, a digest that names it, and the
    latents where it is a face of this model."""

    verdict: Verdict
    style: np.ndarray
    gender: int
    digest: str
    latents: Latents | None


class Control(Core):
    """What a model draws after pictures."""

    def like(
        self,
        picture: Picture,
        count: int = 1,
        seed: int = 0,
        gender: str | None = None,
        min_quality: float | str | None = None,
        max_attempts: int | None = None,
        on_exhausted: OnExhausted = "best",
        report: Report | None = None,
        truncation: float = 1.0,
    ) -> FaceStream:
        """Faces in the style of a picture, one at a time as they are done: style from the picture, noise from the seed.

        picture: a path, a face, or (size, size, 3) uint8 RGB. Its style is the one it was drawn from where it is a face of this
            model or the PNG of one, else what the judge reads from it; see `style_of`.
        gender: None = the one that the judge sees in the picture; "any" = each face draws its own.
        The rest as in `FaceModel.generate`; the judge must agree on gender and quality. Arguments are checked now.

        Raises:
            InputError: no picture, a generator without style, or what `generate` refuses.
        """
        loop = self._loop(count, seed, max_attempts, on_exhausted, report)
        criterion = Criterion.of(self.spec, min_quality)
        seen = self._look(picture)
        asked = self.spec.gender.values[seen.gender] if gender is None else gender
        how = {"made": "like", "like": seen.digest, **({} if truncation == 1 else {"truncation": str(float(truncation))})}
        return self._with_style(loop, seen.style, asked, truncation, criterion, how)

    def mix(
        self,
        style: Picture,
        noise: Picture,
        count: int = 1,
        seed: int = 0,
        gender: str | None = None,
        min_quality: float | str | None = None,
        max_attempts: int | None = None,
        on_exhausted: OnExhausted = "best",
        report: Report | None = None,
        truncation: float = 1.0,
    ) -> FaceStream:
        """A face of two pictures; `how["made"]` of the face tells which of the two ways was taken.

        "mix": both are faces of this model, or PNGs of such. Style and gender of the first, noise of the second: one face and
        one attempt, nothing is left to chance. count, seed, max_attempts and truncation have no meaning then.
        "blend": one of them is not. The styles of both, half and half, and noise from the seed, drawn until the judge agrees;
        the gender is that of the first. Tags are blended by averaging the judge's probabilities of them.

        gender: None = as said, or another one. The rest as in `like`.

        Raises:
            InputError: no picture, a generator without style, more than one face of two of this model, or what `generate`
                refuses.
            ExhaustedError: while iterating; see `generate`.
        """
        loop = self._loop(count, seed, max_attempts, on_exhausted, report)
        criterion = Criterion.of(self.spec, min_quality)
        first, second = self._look(style), self._look(noise)
        own = self.spec.gender.values[first.gender]
        asked = own if gender is None else gender
        if first.latents is None or second.latents is None:
            how = {"made": "blend", "blend_of": f"{first.digest} {second.digest}"}
            if truncation != 1:
                how["truncation"] = str(float(truncation))
            return self._with_style(loop, self._blend(first, second), asked, truncation, criterion, how)
        if count != 1:
            raise InputError(
                f"Expected a count of 1, for two faces of this model have one mix; found {count}. Leave --count out."
            )
        code = resolve(self.spec, asked).gender
        latents = Latents(second.latents.noise, first.gender if code is None else code, first.latents.style)
        how = {"made": "mix", "style_of": first.digest, "noise_of": second.digest}
        face = replace(self._faces([Position("mix", 0, 0)], [latents], criterion)[0], how=how)

        def end(face: Face, left_out: Callable[[int], None]) -> Iterator[Face]:
            if report is not None:
                report.add(Outcome(0, face, 1))
            if face.accepted or on_exhausted == "best":
                yield face
            elif on_exhausted == "gap":
                left_out(0)
            else:
                raise ExhaustedError(
                    f"Expected the mix of {first.digest} and {second.digest} to pass the judge, "
                    f"found {criterion.found(face)}. Name other pictures, or take --on-exhausted best."
                )

        return FaceStream.of(face, end)

    def variations(
        self,
        picture: str | Path | Face | Latents,
        count: int = 8,
        seed: int = 0,
        strength: float = DEFAULT_STRENGTH,
        min_quality: float | str | None = None,
        max_attempts: int | None = None,
        on_exhausted: OnExhausted = "best",
        report: Report | None = None,
    ) -> FaceStream:
        """Faces a small step away from one, as they are done: noise and style features move, gender and tags stay.

        picture: a PNG of this model, or a face, or its latents.
        strength: in [0, 1]; noise becomes noise + strength x step, clipped to [-1, 1], and style features a quarter as much,
            where steps are drawn from the seed as noise is. 0 gives the face itself.
        The rest as in `generate`; the judge must agree on gender and quality.

        Raises:
            InputError: a picture without latents, a strength out of its range, or what `generate` refuses.
            ModelError: a PNG of another model; says which to name.
        """
        if not is_share(strength):
            raise InputError(f"Expected a strength from 0 to 1, found {strength!r}. Type, for example: --strength 0.2")
        loop = self._loop(count, seed, max_attempts, on_exhausted, report)
        criterion = Criterion.of(self.spec, min_quality)
        centre = self._latents_of(picture)

        def sample(position: Position) -> Latents:
            noise = centre.noise + scaled(truncated_normal("noise step", position, len(centre.noise)), strength)
            style = centre.style
            if self.spec.style_source == "features":
                style = style + scaled(truncated_normal("style step", position, len(style)), _STYLE_STEP * strength)
            return Latents(noise.clip(-1, 1), centre.gender, style)

        asked = self.spec.gender.values[centre.gender]
        how = {"made": "variation", "asked": asked, "variation_of": centre.digest, "strength": str(float(strength))}
        return self._until_good(loop, sample, criterion, how)

    def again(self, picture: str | Path) -> Face:
        """The face of a PNG, drawn again from its metadata, at its size: the same file bit for bit on the same machine and
        engine, pixels within 2/255 elsewhere; a larger one as the upscaler of this folder makes it. The judge is not asked: the
        verdict is the one in the PNG.

        Raises:
            InputError: a picture that sga did not write, or of an old format that holds too little.
            ModelError: a PNG of another model; says which to name.
        """
        metadata = _metadata(picture)
        metadata.check_model(self.folder)
        text = metadata.text
        latents = self._redrawn(metadata)
        seed, index = (metadata.number("seed"), metadata.number("index")) if "seed" in text else (None, 0)
        face = self._faces([Position("again", index, metadata.number("attempt"))], [latents])[0]
        failed = tuple(text.get("failed", "").split()) or (("unknown",) if text.get("accepted") == "false" else ())
        quality = float(text["quality"]) if "quality" in text else None
        how = {key: value for key, value in metadata.how.items() if key not in ("size", "upscaler")}
        face = replace(face, seed=seed, identity=text.get("avatar"), how=how, quality=quality, failed=failed)
        return self.resized(face, metadata.number("size") if "size" in text else None)

    # -- parts -------------------------------------------------------------------------------------------------------------

    def style_of(self, picture: Picture) -> np.ndarray:
        """(style_size,) float32: the style that the judge reads from a picture, as the generator takes it.

        Standardised features, each within the range of the model's real faces; or where the generator reads tags, 1 for the
        most probable value of each attribute and -1 for the others.

        Raises:
            InputError: no picture, or a generator without style.
        """
        return self._style(self.judge(_one(picture)))

    def _with_style(
        self, loop: Loop, style: np.ndarray, gender: str, truncation: float, criterion: Criterion, how: Mapping[str, str]
    ) -> FaceStream:
        """Faces of one style; noise and, where it is open, gender are those of `draw`."""
        conditions = resolve(self.spec, gender, None, truncation)

        def sample(position: Position) -> Latents:
            return replace(draw(self._prior, conditions, position), style=style)

        return self._until_good(loop, sample, criterion, {**how, "asked": gender})

    def _look(self, picture: Picture) -> _Seen:
        verdict = self.judge(_one(picture))
        style = self._style(verdict)
        if isinstance(picture, Face):
            metadata: Metadata | None = Metadata(Path("the face"), picture.metadata())
        else:
            metadata = None if isinstance(picture, np.ndarray) else read_metadata(picture)
        latents = metadata.latents(self.folder) if metadata and metadata.drawn_by(self.folder) else None
        if latents is not None:
            return _Seen(verdict, latents.style, latents.gender, latents.digest, latents)
        pixels = picture.image if isinstance(picture, Face) else picture
        content = pixels.tobytes() if isinstance(pixels, np.ndarray) else Path(pixels).read_bytes()
        digest = hashlib.blake2b(content, digest_size=8).hexdigest()
        return _Seen(verdict, style, self.spec.gender.code(verdict.gender[0]), digest, None)

    def _style(self, verdict: Verdict) -> np.ndarray:
        """The first picture's style as the generator reads it."""
        if not self.spec.style_size:
            raise InputError(
                f"Expected a model that draws by style, found {self.spec.name} without. Name another with --model."
            )
        if self.spec.style_source == "tags":
            return self._tags({name: values[0] for name, values in verdict.probabilities.items()})
        low, high = self._prior.bounds()
        return verdict.style[0].astype(np.float32).clip(low, high)

    def _blend(self, first: _Seen, second: _Seen) -> np.ndarray:
        if self.spec.style_source == "features":
            return (first.style + second.style) * np.float32(0.5)
        one, other = first.verdict.probabilities, second.verdict.probabilities
        return self._tags({name: (one[name][0] + other[name][0]) / 2 for name in one})

    def _tags(self, probabilities: Mapping[str, np.ndarray]) -> np.ndarray:
        """(style_size,) float32: 1 for the most probable value of each attribute of style, -1 for the others."""
        tags: list[float] = []
        for attribute in self.spec.attributes.with_role("style"):
            seen = probabilities[attribute.name]
            exclusive = attribute.kind == "exclusive"
            on = np.arange(attribute.size) == seen.argmax() if exclusive else np.array([seen >= 0.5])
            tags += np.where(on, 1.0, -1.0).tolist()
        return np.array(tags, dtype=np.float32)

    def _latents_of(self, picture: str | Path | Face | Latents) -> Latents:
        if isinstance(picture, Latents):
            return picture
        if isinstance(picture, Face):
            if picture.latents is None:
                raise InputError("Expected a face with its latents, found one without. Draw it again.")
            return picture.latents
        metadata = _metadata(picture)
        metadata.check_model(self.folder)
        return self._redrawn(metadata)

    def _redrawn(self, metadata: Metadata) -> Latents:
        """The latents of a PNG: those it holds, or of a seed's face before it held any those of its position."""
        latents = metadata.latents(self.folder)
        if latents is not None:
            return latents
        if "seed" in metadata.text:
            seed, index, attempt = (metadata.number(key) for key in ("seed", "index", "attempt"))
            latents = self.draw(seed, index, attempt, metadata.text.get("gender"))
            if np.array_equal(latents.style, metadata.style()):
                return latents
        raise InputError(
            f"Expected {metadata.path} to hold its latents, found a picture of an older version without. "
            "Draw it anew from its seed and --where, or its ID."
        )


def _one(picture: Picture) -> list[Picture]:
    return [picture]


def _metadata(picture: str | Path) -> Metadata:
    metadata = read_metadata(as_path(picture))
    if metadata is None:
        raise InputError(
            f"Expected a PNG that sga wrote, with its metadata, found another picture at {picture}. Type: --like {picture}"
        )
    return metadata
