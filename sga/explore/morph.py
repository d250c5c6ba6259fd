"""From one face to another: the ends, the faces between them, a strip, and frames that move."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from configs.errors import InputError
from sga.explore.animation import Timing
from sga.explore.canvas import Canvas, Cell, Row
from sga.explore.faces import Cast, Source, Take, score
from sga.explore.grids import check_numbers, edge, page_of
from sga.explore.path import Way, between, smooth
from sga.explore.picture import Picture
from sga.generation import Face, FaceModel, Latents

__all__ = ["Motion", "end", "frames", "strip"]

_MOST_FRAMES = 1000
_MOST_SECONDS = 600
_MOST_BYTES = 512 << 20


@dataclass(frozen=True)
class Motion:
    """How faces follow one another.

    frames: from a face to the next, both included; seconds: from a face to the next; hold: seconds for which each given face
    stands; ping_pong: run back to the first face; loop: begin again for ever.

    Raises:
        InputError: a number out of its range.
    """

    frames: int = 48
    seconds: float = 2.0
    hold: float = 0.5
    ping_pong: bool = True
    loop: bool = True

    def __post_init__(self) -> None:
        if not 2 <= self.frames <= _MOST_FRAMES:
            raise InputError(f"Expected 2 to {_MOST_FRAMES} frames, found {self.frames}. Type, for example: --frames 48")
        if not 0.1 <= self.seconds <= _MOST_SECONDS:
            raise InputError(f"Expected 0.1 to {_MOST_SECONDS} seconds, found {self.seconds:g}. Type, for example: --seconds 2")
        if not 0 <= self.hold <= _MOST_SECONDS:
            raise InputError(f"Expected a hold of 0 to {_MOST_SECONDS} seconds, found {self.hold:g}. Type: --hold 0.5")

    def order(self, faces: int) -> list[int]:
        """Numbers of the pictures in the order in which they are shown, of the way through so many given faces."""
        there = list(range((faces - 1) * (self.frames - 1) + 1))
        return there + there[-2:0:-1] if self.ping_pong else there

    def timing(self, faces: int) -> Timing:
        """How long each of `order` is shown."""
        step = 1000 * self.seconds / (self.frames - 1)
        held = max(1, round(1000 * self.hold / step))
        stands = [held if place % (self.frames - 1) == 0 else 1 for place in self.order(faces)]
        return Timing(step, stands, self.loop)


def end(model: FaceModel, text: str, gender: str | None = None) -> tuple[Source, str]:
    """A given face and its name on the picture.

    text: "seed:7" or "seed:7:3" = face 0 or 3 of a seed as `sga generate` draws it; "id:user-42" = an avatar, named by its
    digest alone; else the path of a PNG that this model drew, which has a gender already. gender: of the others.

    Raises:
        InputError: none of these, or a PNG without the latents.
        ModelError: a PNG of another model.
    """
    kind, _, rest = text.partition(":")
    if kind == "id":
        face = model.avatar(rest, gender)
        return _source(face, {"avatar": face.identity}), f"avatar {(face.identity or '')[:6]}"
    if kind == "seed":
        numbers = re.fullmatch(r"(\d+)(?::(\d{1,4}))?", rest)
        if not numbers:
            raise InputError(f"Expected a seed such as seed:7, or seed:7:3 for its face 3, found {text!r}.")
        seed, index = int(numbers[1]), int(numbers[2] or 0)
        face = model.stream(gender, index + 1, seed).only(index)
        told = {"seed": seed, "index": index, "attempt": face.attempt}
        return _source(face, told), f"seed {seed}" + (f" face {index}" if numbers[2] else "")
    path = Path(text)
    if not path.is_file():
        raise InputError(f"Expected seed:7, id:user-42 or a PNG that sga wrote, found {text!r}.")
    return _source(model.again(path), {"file": path.name}), path.stem


def strip(
    model: FaceModel,
    ends: Sequence[tuple[Source, str]],
    *,
    steps: int = 9,
    way: Way = "spherical",
    size: int | None = None,
) -> Picture:
    """The way from each given face to the next in a row of `steps` faces, both included.

    Raises:
        InputError: fewer than two faces, the same twice in a row, or a number out of its range.
    """
    _check_ends([source for source, _ in ends])
    check_numbers(steps * (len(ends) - 1), steps=steps)
    if steps < 2:
        raise InputError(f"Expected at least 2 steps, found {steps}. Type, for example: --steps 9")
    places = [number / (steps - 1) for number in range(steps)]
    cast = _cast(model, [source for source, _ in ends], [(leg, at) for leg in range(len(ends) - 1) for at in places], way)
    images = cast.images()
    names = [name for _, name in ends]
    labels = [(one, f"to {other}") if len(ends) > 2 else ("", "") for one, other in pairwise(names)]
    lines = [images[start : start + steps] for start in range(0, len(images), steps)]
    rows = [Row([Cell(image) for image in line], *label) for line, label in zip(lines, labels, strict=True)]
    genders = {source.latents.gender for source, _ in ends}
    told = (
        "Noise on a great circle of its prior, style on a line."
        if way == "spherical"
        else "Noise and style on straight lines; halfway the noise is shorter than any that was trained with."
    )
    if len(genders) > 1:
        told += " A gender is a code without a between: in the middle third the faces of both are laid over one another."
    headings = [f"{100 * at:.0f} %" for at in places]
    page, boxes = page_of(Canvas(edge(model, size)), f"From {' to '.join(names)}", told, rows, headings)
    alt = f"{steps} faces from {' to '.join(names)}. {told}"
    shown = [box for line in boxes for box in line]
    scores = score(model, images, [take.gender for take in cast.takes])
    return Picture.of(page, cast, shown, scores, "between", alt, way=way, between=names)


def frames(
    model: FaceModel, ends: Sequence[Source], motion: Motion, *, way: Way = "spherical", size: int | None = None
) -> list[Image.Image]:
    """The pictures of the way through all given faces, in the order in which they are shown; of size × size pixels.

    size: None = the model's, enlarged to 256 at least.

    Raises:
        InputError: fewer than two faces, the same twice in a row, too many frames, or a size out of its range.
    """
    _check_ends(ends)
    order = motion.order(len(ends))
    if len(order) > _MOST_FRAMES:
        raise InputError(f"Expected at most {_MOST_FRAMES} frames in all, found {len(order)}. Lower --frames.")
    wide = max(256, model.size) if size is None else edge(model, size)
    if 3 * wide * wide * (max(order) + 1) > _MOST_BYTES:
        raise InputError(f"Expected frames that fit into {_MOST_BYTES >> 20} MiB, found more. Lower --frames or --size.")
    steps = motion.frames - 1
    places = [(min(number // steps, len(ends) - 2), number) for number in range(max(order) + 1)]
    images = _cast(model, ends, [(leg, (number - leg * steps) / steps) for leg, number in places], way).images()
    large = [_enlarged(image, wide) for image in images]
    return [large[number] for number in order]


def _check_ends(ends: Sequence[Source]) -> None:
    if len(ends) < 2:
        raise InputError(f"Expected at least two faces, found {len(ends)}. Type, for example: seed:7 seed:8")
    if any(one.latents.digest == other.latents.digest for one, other in pairwise(ends)):
        raise InputError("Expected faces that differ from the one before, found the same twice. Name another one.")


def _source(face: Face, told: dict[str, Any]) -> Source:
    if face.latents is None:
        raise InputError("Expected a face with its latents, found one without. Draw it again.")
    return Source(face.latents, told)


def _cast(model: FaceModel, ends: Sequence[Source], places: Sequence[tuple[int, float]], way: Way) -> Cast:
    """Faces at places: (number of the face from which the way leads to the next, how far)."""
    sources, takes = [], []
    for number, (leg, at) in enumerate(places):
        one, other = ends[leg].latents, ends[leg + 1].latents
        noise, style = between(one, other, at, way)
        weight = smooth(at) if one.gender != other.gender else 0.0
        near = other.gender if weight >= 1 else one.gender
        told = {"from": dict(ends[leg].told), "to": dict(ends[leg + 1].told), "at": at}
        sources.append(Source(Latents(noise, near, style), told))
        takes.append(Take(number, number, near, other.gender, weight) if 0 < weight < 1 else Take(number, number, near))
    return Cast(model, sources, takes)


def _enlarged(image: np.ndarray, size: int) -> Image.Image:
    picture = Image.fromarray(image)
    return picture if picture.size == (size, size) else picture.resize((size, size), Image.Resampling.LANCZOS)
