"""Avatars of many IDs, written one after the other with an index beside them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from configs.errors import InputError
from configs.files import atomic_path
from sga.generation.avatar import HOW
from sga.generation.face import Face
from sga.generation.face_model import FaceModel
from sga.generation.names import avatar_name
from sga.generation.registry import AvatarRegistry
from sga.generation.sink import Sink

__all__ = ["COLUMNS", "Drawn", "draw_avatars", "write_index"]

COLUMNS = ("id", "gender", "file", "attempt", "latents")


@dataclass(frozen=True, eq=False)
class Drawn:
    """An avatar of a run. gender: the value drawn; latents: their digest; face: None where an earlier run has written it."""

    identity: str
    gender: str
    file: str
    attempt: int
    latents: str
    face: Face | None

    @property
    def row(self) -> tuple[str, str, str, int, str]:
        """As in the index; see `COLUMNS`."""
        return self.identity, self.gender, self.file, self.attempt, self.latents


def draw_avatars(
    model: FaceModel,
    asked: Iterable[tuple[str, str | None]],
    sink: Sink,
    registry: AvatarRegistry | None = None,
    size: int | None = None,
) -> Iterator[Drawn]:
    """Draw (ID, gender) pairs, write what the open sink lacks, and hand each on in their order; memory does not grow with them,
    but for a registry's fingerprints. Each pair must come once. size: edge of the pictures, px; None = as drawn."""
    pairs = iter(asked)
    rows, how = (model.rows, HOW) if registry is None else (registry.batch, registry.how)
    while part := list(islice(pairs, rows)):
        faces: dict[int, Face] = {}
        if registry is None:
            chosen = [(*pair, model.avatar_attempt(*pair)) for pair in part]
        else:
            taken = registry.register(part)
            chosen = [(*pair, one.attempt) for pair, one in zip(part, taken, strict=True)]
            faces = {row: one.face for row, one in enumerate(taken) if one.face is not None}
        names = [avatar_name(*pair) for pair in part]
        missing = [row for row, name in enumerate(names) if not sink.has(name)]
        undrawn = [row for row in missing if row not in faces]
        faces |= zip(undrawn, model.draw_avatars([chosen[row] for row in undrawn], how=how), strict=True)
        for row in missing:
            faces[row] = model.resized(faces[row], size)
            sink.write(faces[row], names[row])
        for row, one in enumerate(chosen):
            latents = model.avatar_latents(*one)
            gender = model.spec.gender.values[latents.gender]
            yield Drawn(one[0], gender, names[row], one[2], latents.digest, faces[row] if row in missing else None)


def write_index(path: Path, drawn: Iterable[Drawn], *, overwrite: bool = False) -> Iterator[Drawn]:
    """Write a row for each avatar as it comes, and hand it on. The file is there when the last has come.

    Raises:
        InputError: a file that is no index stands there.
    """
    check_index(path, overwrite=overwrite)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(COLUMNS)
        for one in drawn:
            writer.writerow(one.row)
            yield one


def check_index(path: Path, *, overwrite: bool) -> None:
    """Refuse to replace a file that is no index, before anything is drawn."""
    if overwrite or not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace", newline="") as handle:
        header = handle.readline(200).strip()
    if header != ",".join(COLUMNS):
        raise InputError(
            f"Expected no file at {path} or an index that sga wrote, found another. "
            "Name another place with --out or --to, or add --overwrite."
        )
