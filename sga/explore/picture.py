"""A picture with the JSON that says what is on it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from configs.errors import InputError
from configs.files import atomic_path, read_json
from sga.explore.canvas import Box, png
from sga.explore.faces import Cast, Score
from sga.generation import FaceModel

__all__ = ["Picture", "again", "json_bytes", "save_all"]


@dataclass(frozen=True, eq=False)
class Picture:
    """image: the picture; record: what was drawn, ready for JSON: `alt` says it in a sentence, `faces` name their `sources` and
    where they stand (`box`: left, top, right, bottom), `sources` hold the latents; texts: what the PNG carries."""

    image: Image.Image
    record: dict[str, Any]
    texts: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        image: Image.Image,
        cast: Cast,
        boxes: list[Box],
        scores: list[Score] | None,
        kind: str,
        alt: str,
        **settings: Any,
    ) -> Picture:
        """boxes: of each take; scores: of each take, where it was judged; settings: further fields of the record."""
        spec, told = cast.model.spec, cast.to_json()
        for place, (face, box) in enumerate(zip(told["faces"], boxes, strict=True)):
            face["box"] = list(box)
            if scores is not None:
                face["judge"] = scores[place].to_json()
        model = {"name": spec.name, "hash": cast.model.hash, "drawing": cast.model.folder.drawing_hash}
        record = {"kind": kind, "alt": alt, "model": model, "licence": spec.licence, **settings, **told}
        texts = {"Software": "sga-gan", "Description": alt, "model": cast.model.hash, "licence": spec.licence}
        return cls(image, record, texts)

    def png(self) -> bytes:
        """The same bytes each time."""
        return png(self.image, self.texts)

    def json(self) -> bytes:
        """The record as UTF-8."""
        return json_bytes(self.record)

    def save(self, path: str | Path, *, overwrite: bool = False) -> list[Path]:
        """Write the PNG and, beside it, the JSON of the same name.

        Raises:
            InputError: no .png, other files stand there already, or they cannot be written.
        """
        path = Path(path)
        if path.suffix.lower() != ".png":
            raise InputError(
                f"Expected a file name that ends in .png, found {path.name!r}. Type, for example: --out picture.png"
            )
        return save_all({path: self.png(), path.with_suffix(".json"): self.json()}, overwrite=overwrite)


def json_bytes(record: Mapping[str, Any]) -> bytes:
    """A record as indented UTF-8."""
    return (json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def again(model: FaceModel, record: Mapping[str, Any] | str | Path) -> np.ndarray:
    """The faces of a picture, drawn anew from its record or from the path of its JSON: (n, size, size, 3) uint8, in the order
    of the record's `faces`.

    Raises:
        InputError: another model's, or no such JSON.
    """
    told = read_json(record) if isinstance(record, str | Path) else record
    return Cast.from_json(model, told).images()


def save_all(contents: Mapping[Path, bytes], *, overwrite: bool) -> list[Path]:
    """Write files that belong together, each whole or not at all; none where one would replace another file.

    Raises:
        InputError: a different file stands there and `overwrite` is False, or the place cannot be written.
    """
    new = {}
    for path, content in contents.items():
        if path.is_dir():
            raise InputError(f"Expected to write the file {path}, found a folder of that name. Name another with --out.")
        if path.is_file():
            same = path.stat().st_size == len(content) and path.read_bytes() == content
            if not same and not overwrite:
                raise InputError(f"Expected no other file at {path}, found one. Name another with --out, or add --overwrite.")
            if same:
                continue
        new[path] = content
    for path, content in new.items():
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
    return list(contents)
