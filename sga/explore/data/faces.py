"""The faces that pictures of the data show: all but those that cleaning left out, with labels, metadata and pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from configs.errors import WorkspaceError
from labeling.provenance import MISSING_CODE
from labeling.schema import Attribute

if TYPE_CHECKING:
    import pandas as pd

    from labeling.table import LabelTable
    from labeling.workspace import Workspace

__all__ = ["DataFaces", "Value", "spoken"]

_CHUNK = 256  # faces in memory at a time; 256 · 255 is exact in float32, so a sum of pixels is as well


@dataclass(frozen=True)
class Value:
    """One value of one attribute."""

    attribute: Attribute
    code: int

    @property
    def name(self) -> str:
        """The value, in words: of an attribute that is there or not, what it is or is not."""
        if self.attribute.kind == "independent":
            return spoken(self.attribute.name) if self.code else f"no {spoken(self.attribute.name)}"
        return spoken(self.attribute.values[self.code])

    @property
    def full_name(self) -> str:
        """The value with its attribute."""
        return self.name if self.attribute.kind == "independent" else f"{spoken(self.attribute.name)}: {self.name}"


def spoken(name: str) -> str:
    """A name as people write it."""
    return name.replace("_", " ")


@dataclass(frozen=True, eq=False)
class DataFaces:
    """table: one row a face that is shown; metadata: a row each, as `labeling.metadata` gives it; left_out: how many faces
    cleaning left out; completed: whether completed labels count as known ones."""

    space: Workspace
    table: LabelTable
    metadata: pd.DataFrame
    left_out: int
    completed: bool = False

    @classmethod
    def load(cls, space: Workspace, *, completed: bool = False) -> DataFaces:
        """The faces of a workspace.

        Raises:
            WorkspaceError: no label table, a damaged file, or no face in it.
        """
        from labeling.metadata import read_metadata

        table, metadata = space.table(), read_metadata(space)
        keep = table.kept()
        if not keep.any():
            found = f"all {len(table):,} left out by cleaning" if len(table) else "none"
            raise WorkspaceError(
                f"Expected faces in {space.root}, found {found}. Type: sga ingest PATH --workspace {space.root}"
            )
        return cls(space, table.select(keep), metadata[keep], int((~keep).sum()), completed)

    def __len__(self) -> int:
        return len(self.table)

    # -- labels and metadata -----------------------------------------------------------------------------------------------

    def known(self, name: str) -> np.ndarray:
        """(n,) int64 codes of an attribute where somebody said so (or completion, with `completed`), else -1."""
        codes = self.table.codes(name)
        return codes if self.completed else np.where(self.table.labelled(name), codes, MISSING_CODE)

    def values(self) -> list[Value]:
        """Every value of every attribute, in the schema's order."""
        return [Value(attribute, code) for attribute in self.table.schema for code in range(attribute.size)]

    def numbers(self, column: str) -> np.ndarray:
        """(n,) int64 of a column of the metadata, -1 where there is no number from 1 up; all -1 without the column."""
        import pandas as pd

        if column not in self.metadata.columns:
            return np.full(len(self), -1, np.int64)
        values = pd.to_numeric(self.metadata[column], errors="coerce").to_numpy(dtype=np.float64)
        usable = np.isfinite(values) & (values >= 1) & (values < 2**31)
        return np.where(usable, np.where(usable, values, 0), -1).astype(np.int64)

    @property
    def told(self) -> str:
        """How many faces there are, in a sentence."""
        more = f" {self.left_out:,} that cleaning left out are not among them." if self.left_out else ""
        return f"{len(self):,} faces.{more}"

    def facts(self) -> dict[str, Any]:
        """What the record of every picture says of the data."""
        return {
            "schema": self.table.schema.name,
            "faces_in_all": len(self),
            "left_out": self.left_out,
            "completed_count": self.completed,
        }

    # -- pixels ------------------------------------------------------------------------------------------------------------

    @cached_property
    def size(self) -> int:
        """Edge of the first stored face; the others are read at this size."""
        return len(self._read(0))

    def read(self, rows: np.ndarray) -> np.ndarray:
        """(k, size, size, 3) uint8 RGB of (k,) rows.

        Raises:
            WorkspaceError: a face's file is missing or damaged.
        """
        size = self.size
        with ThreadPoolExecutor() as pool:
            pictures = list(pool.map(lambda row: _resized(self._read(row), size), rows.tolist()))
        return np.stack(pictures) if pictures else np.empty((0, size, size, 3), np.uint8)

    def sums(self, groups: np.ndarray, progress: Callable[[int, int], None]) -> np.ndarray:
        """(g, size, size, 3) float64: summed pixels of the faces of each group. groups: (g, n) bool. No face is read that is
        in none, none twice, and only a few hundred are in memory at a time."""
        rows = np.flatnonzero(groups.any(axis=0))
        total = np.zeros((len(groups), self.size * self.size * 3))
        for pixels, part in self._chunks(rows, progress):
            total += groups[:, part].astype(np.float32) @ pixels.reshape(len(part), -1).astype(np.float32)
        return total.reshape(len(groups), self.size, self.size, 3)

    def _chunks(self, rows: np.ndarray, progress: Callable[[int, int], None]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(rows), _CHUNK):
            part = rows[start : start + _CHUNK]
            yield self.read(part), part
            progress(start + len(part), len(rows))

    def _read(self, row: int) -> np.ndarray:
        from labeling.cleaning.scores import read_face

        return read_face(self.space, str(self.table.frame["file"].iat[row]))


def _resized(face: np.ndarray, size: int) -> np.ndarray:
    if face.shape == (size, size, 3):
        return face
    return np.asarray(Image.fromarray(face).resize((size, size), Image.Resampling.LANCZOS))
