"""What is known of each face's picture: where the face was in it, how large, and what a CSV says, such as its year.

`faces/metadata.parquet`, a row a face of the label table; `--where` picks pictures by it, see `labeling.where`.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from configs.errors import InputError, WorkspaceError
from configs.files import atomic_path, read_parquet
from labeling.ingest.decoded import Decoded
from labeling.ingest.labels import LabelRow, Labels, match, normal_file
from labeling.ingest.sources import Picture
from labeling.workspace import Workspace

__all__ = [
    "COLUMNS",
    "Sheet",
    "as_number",
    "as_text",
    "is_identifier",
    "pictures_of",
    "read_metadata",
    "read_sheet",
    "stored_metadata",
    "write_metadata",
]

COLUMNS = ("picture", "left", "top", "width", "height", "short_edge", "detection")
"""What ingest itself knows of a face, in order; the columns of `--metadata` follow."""

_NO_NUMBER = re.compile(r"[+-]?0\d|\D*(\d\D*){16}")
"""How the text of an identifier begins that a float would not give back: a leading zero, or more than 15 digits."""


def read_metadata(space: Workspace) -> pd.DataFrame:
    """One row a face of the label table, in its order; index: face.

    Columns: picture (name of the picture, "" where unknown), left, top, width, height (px of the upright picture; the crop's
    box, which may lie outside it, the whole picture where it is the face), short_edge (px of the crop before it was resized),
    detection (score in [0, 1], NaN where the picture is the face): float64, NaN where unknown; then the columns of
    `--metadata`, float64 with NaN or text with "". A workspace of an earlier version knows none of them.

    Raises:
        WorkspaceError: the file is damaged, or there is no label table.
    """
    return stored_metadata(space).reindex(pd.Index(space.table().faces, name="face")).pipe(_typed)


def pictures_of(space: Workspace, index: Mapping[str, tuple[str, bytes]]) -> dict[str, str]:
    """Name of the picture by face; "" where nobody knows. index: face → (its name, hash)."""
    pictures = stored_metadata(space)["picture"]
    return {face: pictures.get(face, "") or name for face, (name, _) in index.items()}


def stored_metadata(space: Workspace) -> pd.DataFrame:
    """`read_metadata` of the faces that the last ingest left, in its order.

    Raises:
        WorkspaceError: the file is damaged.
    """
    path = _path(space)
    if not path.is_file():
        return pd.DataFrame({name: [] for name in COLUMNS}, index=pd.Index([], name="face", dtype=object)).pipe(_typed)
    try:
        return read_parquet(path).to_pandas()
    except (OSError, ValueError) as error:
        raise WorkspaceError(
            f"Expected the faces' metadata in {path}, found a damaged file. Ingest the PATHs again."
        ) from error


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    """Numbers as float64 with NaN, text as object with ""."""
    text = {name for name in frame.columns if name == "picture" or (name not in COLUMNS and frame[name].dtype.kind != "f")}
    columns: dict[Any, Any] = {}
    for name in frame.columns:
        values = frame[name]
        columns[name] = values.astype(object).where(values.notna(), "") if name in text else values.astype(np.float64)
    return pd.DataFrame(columns, index=frame.index)


def _path(space: Workspace) -> Path:
    return space.folder("faces") / "metadata.parquet"


def write_metadata(
    space: Workspace,
    faces: Sequence[str],
    met: Mapping[str, Decoded],
    moved: Collection[str],
    sheet: Sheet | None,
    names: Mapping[str, Sequence[str]],
) -> None:
    """Write the metadata of `faces`, in their order: what was known, what was met anew, and what the sheet says.

    met: outcome by face; one that is known keeps its place, but for those that `moved` to another picture or name. names: what
    the sheet may call each face that it is about; what it says replaces what stands there.
    """
    known = stored_metadata(space)
    placed = set(known.index[known["short_edge"].notna()]) - set(moved)
    fresh = [face for face in met if face not in placed]
    rows = [
        (one.picture or one.name, *one.box, one.short_edge or math.nan, one.detection) for one in map(met.get, fresh) if one
    ]
    new = pd.DataFrame(rows, columns=list(COLUMNS), index=pd.Index(fresh, name="face", dtype=object))
    new = _typed(new.join(known.drop(columns=list(COLUMNS))))
    known = known.drop(index=known.index.intersection(fresh))
    frame = pd.concat([known, new]) if len(new) and len(known) else new if len(new) else known
    frame = _typed(frame.reindex(pd.Index(faces, name="face", dtype=object)))
    for name in sheet.columns if sheet is not None else ():
        said = [sheet.value(name, names.get(face, ())) if sheet is not None else None for face in faces]
        before = frame[name] if name in frame else pd.Series([None] * len(frame), index=frame.index, dtype=object)
        frame[name] = _column([old if new is None else new for new, old in zip(said, before, strict=True)])
    with atomic_path(_path(space)) as temporary:
        frame.to_parquet(temporary)


def _column(values: list[Any]) -> np.ndarray:
    """float64 where all that are there are numbers, otherwise text."""
    there = [value for value in values if value is not None and value != "" and value == value]
    if all(isinstance(value, float | int) for value in there):
        return np.array([math.nan if value is None or value == "" else value for value in values], dtype=np.float64)
    return np.array(["" if value is None or value != value else as_text(value) for value in values], dtype=object)


def as_text(value: float | str) -> str:
    """A value as a CSV would have it: 2003, not 2003.0."""
    if isinstance(value, str):
        return value
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))


# -- a CSV of metadata -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sheet:
    """A CSV of metadata: values by column, and the row of each picture once `matched`."""

    path: Path
    columns: dict[str, list[Any]]  # float where the whole column is numbers, otherwise text; "" where empty
    rows: dict[str, LabelRow]  # file → row; `line` counts from 0
    place: dict[str, int]

    def matched(self, pictures: Sequence[Picture]) -> tuple[Sheet, list[tuple[str, str]]]:
        """The sheet with its rows matched to the pictures as rows of labels are, and (file, why) of those that match none.

        Raises:
            InputError: one row fits several pictures, or no row fits any.
        """
        found, loose = match(Labels(self.path, self.rows, {}), pictures)
        place = {name: row.line for name, row in found.items()}
        unused = [(row.file, f"row {row.line + 2} of {self.path.name}: no such picture") for row in loose]
        return Sheet(self.path, self.columns, self.rows, place), unused

    def value(self, column: str, names: Iterable[str]) -> float | str | None:
        """Of what may be called any of `names`: what its first row says that has a value; None if none has."""
        for name in names:
            at = self.place.get(name)
            if at is not None and column in self.columns and self.columns[column][at] != "":
                found: float | str = self.columns[column][at]
                return found
        return None

    @property
    def of_faces(self) -> dict[str, str]:
        """Name of the picture by the name of its face, of the rows that name one face, `<picture>#<k>`."""
        parts = {name: name.rpartition("#") for name in self.place}
        return {name: picture for name, (picture, _, number) in parts.items() if number.isdecimal() and picture}

    def loose(self, names: Collection[str]) -> list[tuple[str, str]]:
        """(file, why) of the rows that name one face of a picture that was met, but no face. names: all that were met."""
        lines = {row.line: row.file for row in self.rows.values()}
        return [
            (lines[self.place[name]], f"row {self.place[name] + 2} of {self.path.name}: no such face")
            for name, picture in self.of_faces.items()
            if picture in names and name not in names
        ]


def read_sheet(path: Path) -> Sheet:
    """Read a CSV of metadata: a column `file` that names pictures as a CSV of labels does, and any others.

    Raises:
        InputError: no such file, not CSV in UTF-8, no column `file`, a column twice or of a name that is taken, a row of
            another length, a picture twice.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            header, *lines = [[cell.strip() for cell in row] for row in csv.reader(handle, strict=True)] or [[]]
    except OSError as error:
        raise InputError(f"Expected a CSV of metadata at {path}, found: {error.strerror}. Correct --metadata.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"Expected CSV in UTF-8 at {path}, found: {error}. Save it as CSV (UTF-8) and try again.") from error
    taken = sorted({*COLUMNS, "face"} & set(header)) or sorted({name for name in header if header.count(name) > 1})
    if "file" not in header or taken or "" in header:
        found = f"{taken[0]!r}, which is ingest's own or there twice" if taken else ", ".join(header) or "an empty file"
        raise InputError(
            f"Expected a column file and others with names of their own in {path}, found {found}. Rename the columns."
        )
    lines = [row for row in lines if any(row)]
    rows: dict[str, LabelRow] = {}
    for number, row in enumerate(lines):
        if len(row) != len(header):
            raise InputError(f"Expected {len(header)} cells in row {number + 2} of {path}, found {len(row)}. Correct that row.")
        file = normal_file(row[header.index("file")])
        if rows.setdefault(file, LabelRow(file, number)).line != number:
            raise InputError(f"Expected each picture once in {path}, found {file} again in row {number + 2}. Remove one row.")
    return Sheet(
        path, {name: _values([row[at] for row in lines]) for at, name in enumerate(header) if name != "file"}, rows, {}
    )


def _values(cells: list[str]) -> list[Any]:
    """Numbers where the whole column is; an identifier such as 0012 keeps its text, and so does its column."""
    numbers = [as_number(cell) for cell in cells if cell]
    if numbers and None not in numbers and not any(map(is_identifier, cells)):
        return [as_number(cell) if cell else "" for cell in cells]
    return list(cells)


def is_identifier(text: str) -> bool:
    """Whether text that reads as a number would not come back from one: a leading zero, or more than 15 digits."""
    return _NO_NUMBER.match(text) is not None


def as_number(value: float | str) -> float | None:
    """None if it is not a finite number."""
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
