"""`faces/index.csv`: which picture each face came from, and its hash. A lost hash is computed from the face; a lost name is not
known before the picture is met again."""

from __future__ import annotations

import csv
from contextlib import suppress

import numpy as np
from PIL import Image

from configs.errors import WorkspaceError
from labeling.ingest.groups import difference_hash
from labeling.ingest.report import write_csv
from labeling.ingest.store import face_file
from labeling.table import LabelTable
from labeling.workspace import Workspace

__all__ = ["Index", "read_index", "write_index"]

Index = dict[str, tuple[str, bytes]]
"""Face → (name of its picture, 32-byte hash)."""


def read_index(space: Workspace, table: LabelTable) -> Index:
    """The index of the table's faces, in its order. A face whose line is lost has the name "".

    Raises:
        WorkspaceError: a face is not there.
    """
    index: Index = {}
    path = space.folder("faces") / "index.csv"
    if path.is_file():
        with suppress(ValueError, csv.Error), path.open(encoding="utf-8", newline="") as handle:
            index = {face: (name, bytes.fromhex(bits)) for face, name, bits in list(csv.reader(handle))[1:] if len(bits) == 64}
    return {face: index.get(face) or ("", _stored_hash(space, face)) for face in table.faces}


def _stored_hash(space: Workspace, face: str) -> bytes:
    path = space.root / face_file(face)
    try:
        with Image.open(path) as image:
            return difference_hash(np.asarray(image.convert("RGB")))
    except OSError as error:
        raise WorkspaceError(f"Expected a face at {path}, found none that opens. Ingest into a new workspace.") from error


def write_index(space: Workspace, index: Index) -> None:
    """Write the index, whole or not at all."""
    rows = ((face, name, bits.hex()) for face, (name, bits) in index.items())
    write_csv(space.folder("faces") / "index.csv", ("face", "file", "hash"), rows)
