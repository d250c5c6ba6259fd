"""`FaceModel`: a model folder, ready to draw."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from sga.generation.avatar import Avatars
from sga.generation.conditions import ANY, draw, resolve
from sga.generation.control import Control
from sga.generation.criterion import Criterion
from sga.generation.engines import AUTO
from sga.generation.face import Face
from sga.generation.face_stream import FaceStream
from sga.generation.until_good import OnExhausted, Report
from sga.model_folder import ModelFolder

__all__ = ["FaceModel"]


class FaceModel(Avatars, Control):
    """Draws and judges faces with the networks of one model folder.

    By seed: `generate`, `stream`. By ID: `avatar`, `avatars`, `stream_avatars`. From pictures: `like`, `mix`, `variations`,
    `again`. Parts: `draw`, `render`, `judge`. At another size: `resized`, `at_size`.

    >>> model = FaceModel.load()
    >>> faces = model.generate(gender="female", count=16, seed=7)
    >>> faces[0].save("face.png")
    """

    @classmethod
    def load(cls, path: str | Path | None = None, engine: str = AUTO, threads: int | None = None) -> Self:
        """Load a model: None = the one that ships; the name of one (see `known_models`), its hash, or a folder.

        engine: "onnxruntime", "openvino" (extra openvino), or "auto" = OpenVINO where it is installed. Pixels of the two differ
            by 1/255 at most; with one engine they are the same bit for bit.
        threads: None = all cores; pixels do not depend on it.

        Raises:
            InputError: no such engine, or fewer than 1 thread.
            MissingExtra: OpenVINO is asked for and is not installed.
            ModelError: there is no such model, or a file is missing, was changed since the export, or is of another version.
        """
        return cls(ModelFolder.load(path), engine=engine, threads=threads)

    def generate(
        self,
        gender: str | None = None,
        count: int = 1,
        seed: int = 0,
        min_quality: float | str | None = None,
        max_attempts: int | None = None,
        on_exhausted: OnExhausted = "best",
        where: Mapping[str, str] | None = None,
        report: Report | None = None,
        truncation: float = 1.0,
        size: int | None = None,
    ) -> list[Face]:
        """`count` faces, each drawn again until the judge agrees on gender, attributes and quality; sorted by index.

        gender: a value of the schema's gender; None or "any" = each face draws its own.
        seed: 0 … 2**64 - 1. Face i of a seed is the same whatever `count` is.
        min_quality: in [0, 1], or a level by name ("low", "median", "high"); None = the model's calibrated threshold of each
            gender, which the highest level is never below.
        max_attempts: draws a face may take; None = the model's default.
        on_exhausted: what becomes of a face that never passed: "best" = its best attempt, with `accepted` False; "gap" = it is
            left out; "error" = ExhaustedError.
        where: further values by attribute, such as {"hair_color": "blue"}: the judge must see them. Where the model's
            style_prior is "empirical", styles come from real faces that have them; else it takes more attempts.
        report: filled in with what was done, where given.
        truncation: in [0, 1], what the noise and the jitter of the style are multiplied by: less varied, more typical faces.
        size: edge of the pictures in px, 16 … 4096; None = as drawn. See `resized`.

        The judge sees pixels, and these differ by up to 2/255 between machines: a face whose score is very close to a threshold
        may take another attempt elsewhere (`attempt` tells which). `avatar` rules that out.

        Raises:
            InputError: a count below 1, an unknown gender, attribute, value or level, or a number out of its range or of
                another type.
            ExhaustedError: see on_exhausted.
        """
        faces = self.stream(gender, count, seed, min_quality, max_attempts, on_exhausted, where, report, truncation, size)
        return sorted(faces, key=lambda face: face.index)

    def stream(
        self,
        gender: str | None = None,
        count: int = 1,
        seed: int = 0,
        min_quality: float | str | None = None,
        max_attempts: int | None = None,
        on_exhausted: OnExhausted = "best",
        where: Mapping[str, str] | None = None,
        report: Report | None = None,
        truncation: float = 1.0,
        size: int | None = None,
    ) -> FaceStream:
        """As `generate`, one face at a time as they are done: memory does not grow with `count`. Arguments are checked now.

        Iterate over it, or have the faces written by `FaceStream.into`, which goes on where an interrupted run was.
        """
        loop = self._loop(count, seed, max_attempts, on_exhausted, report)
        conditions = resolve(self.spec, gender, where, truncation)
        for code in range(self.spec.gender.size) if conditions.gender is None else [conditions.gender]:
            self._prior.rows(code, conditions.where)
        criterion = Criterion.of(self.spec, min_quality, conditions.where)
        how = {"made": "seed", "asked": gender or ANY}
        if where:
            how["where"] = " ".join(f"{name}={value}" for name, value in where.items())
        if truncation != 1:
            how["truncation"] = str(conditions.truncation)
        return self.at_size(
            self._until_good(loop, lambda position: draw(self._prior, conditions, position), criterion, how), size
        )
