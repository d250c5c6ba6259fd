"""A drawn face, and what the judge says of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from configs.errors import InputError
from configs.files import atomic_path
from sga.generation.latents import Latents
from sga.generation.png import encode_png

__all__ = ["Face", "Origin", "Verdict", "write_once"]


@dataclass(frozen=True)
class Origin:
    """Which model drew a face. model: hash of the model folder; algorithm: version of the latents; licence: a note; name: of
    the model; drawing: hash of what decides its faces."""

    model: str
    algorithm: int
    licence: str
    name: str = ""
    drawing: str = ""


@dataclass(frozen=True, eq=False)
class Verdict:
    """What the judge says of n pictures.

    probabilities: by attribute, (n, values) float32 for an exclusive one, (n,) for an independent one, in [0, 1];
    style: (n, features) float32, standardised, also where the generator reads tags; quality: (n,) float32 in [0, 1]; gender: n
    names, the most probable.
    """

    probabilities: dict[str, np.ndarray]
    style: np.ndarray
    quality: np.ndarray
    gender: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.quality)


@dataclass(frozen=True, eq=False)
class Face:
    """A face and how it came about.

    image: (size, size, 3) uint8 RGB; gender: the asked value; style: (style_size,) float32 it was drawn from; quality: the
    judge's, in [0, 1], None where nobody judged, as of an avatar; probabilities: the judge's, by attribute, empty where nobody
    judged; failed: names of the attributes by which the judge turns it down, none of an accepted face; seed: None for an
    avatar; index: its number under that seed; attempt: the one taken, from 0; attempts: how many were tried; identity: digest
    of an avatar's ID; latents: what the generator read; how: further notes of how it was made, by key, as text.
    """

    image: np.ndarray
    gender: str
    style: np.ndarray
    quality: float | None
    probabilities: dict[str, np.ndarray]
    failed: tuple[str, ...]
    index: int
    attempt: int
    attempts: int
    origin: Origin
    seed: int | None = None
    identity: str | None = None
    merit: tuple[float, ...] = field(default=(), repr=False)
    latents: Latents | None = field(default=None, repr=False)
    how: Mapping[str, str] = field(default_factory=dict)

    @property
    def judged(self) -> bool:
        """False where the judge was not asked: `quality` is None then."""
        return self.quality is not None

    @property
    def accepted(self) -> bool:
        """False where the judge turned it down. A face that was not judged was not turned down."""
        return not self.failed

    def metadata(self) -> dict[str, str]:
        """What the PNG carries as text: how the face was made, and all that redraws it with the model folder alone.

        An avatar's ID is not in it, only its digest; the latents redraw the face. Who has an ID and the model can tell whether
        a picture is that ID's, by either of the two.
        """
        subject = {} if self.seed is None else {"seed": str(self.seed), "index": str(self.index)}
        if self.identity is not None:
            subject = {"avatar": self.identity}
        verdict = {}
        if self.quality is not None:
            verdict = {"quality": f"{self.quality:.4f}", "accepted": "true" if self.accepted else "false"}
            verdict |= {} if self.accepted else {"failed": " ".join(self.failed)}
        return {
            "Software": "sga-gan",
            **self.how,
            **subject,
            "attempt": str(self.attempt),
            "gender": self.gender,
            "style": " ".join(str(value) for value in self.style),
            **verdict,
            "model": self.origin.model,
            "model_name": self.origin.name,
            "drawing": self.origin.drawing,
            "algorithm": str(self.origin.algorithm),
            "licence": self.origin.licence,
            **({} if self.latents is None else {"latents": self.latents.to_text()}),
        }

    def png(self) -> bytes:
        """The face as PNG with `metadata`: the same bytes each time, no date in them."""
        return encode_png(self.image, self.metadata())

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the PNG, whole or not at all.

        Raises:
            InputError: another file stands there already, the disk is full or the folder cannot be written.
        """
        return write_once(Path(path), self.png(), overwrite=overwrite)


def write_once(path: Path, content: bytes, *, overwrite: bool) -> Path:
    """Write `content` to `path`, whole or not at all; a file of the same bytes is left alone.

    Raises:
        InputError: a different file stands there and `overwrite` is False, or the place cannot be written.
    """
    if path.is_dir():
        raise InputError(f"Expected to write the file {path}, found a folder of that name. Name another.")
    if path.is_file():
        same = path.stat().st_size == len(content) and path.read_bytes() == content
        if same:
            return path
        if not overwrite:
            raise InputError(f"Expected no other picture at {path}, found one. Name another with --out, or add --overwrite.")
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return path
