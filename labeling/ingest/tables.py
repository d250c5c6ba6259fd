"""Label tables as CSV, matched by the faces' identity: those of other workspaces, and that of the faces that were dropped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from configs.errors import InputError
from labeling.ingest.index import Index
from labeling.ingest.report import Conflict
from labeling.provenance import Source
from labeling.schema import Schema
from labeling.table import LabelTable
from labeling.workspace import Workspace

__all__ = ["check_match", "is_table", "keep_removed", "loose_faces", "read_removed", "read_table", "write_table"]

_LABELS = (Source.ORIGINAL, Source.HUMAN)


def is_table(header: Sequence[str]) -> bool:
    """Whether these are the columns of a label table, as `sga status --labels-csv` writes it."""
    return {"face", "file", "split", "group"} <= set(header)


def read_table(path: Path, header: Sequence[str], schema: Schema, ignore: Iterable[str] = ()) -> LabelTable:
    """A label table from CSV, to be matched by its column face. `ignore`: attributes left out.

    Raises:
        InputError: as `LabelTable.from_csv`, or a column that the schema does not have.
    """
    own, left_out = set(LabelTable.columns(schema)), set(ignore)
    for name in header:
        if name not in own and not {name, name.removesuffix("_confidence").removesuffix("_source")} & left_out:
            raise InputError(
                f"Expected columns of schema {schema.name} in {path}, found {name!r}. Type --ignore {name} to leave it out."
            )
    table = LabelTable.from_csv(path, schema)
    for name in left_out & set(schema.names):
        table.frame[name] = pd.array([pd.NA] * len(table), dtype="Int8")
        table.frame[f"{name}_confidence"] = np.full(len(table), np.nan, dtype=np.float32)
        table.frame[f"{name}_source"] = np.full(len(table), Source.MISSING, dtype=np.int8)
    return table


def check_match(tables: Mapping[Path, LabelTable], table: LabelTable) -> None:
    """Refuse label tables of other faces, and two that contradict each other.

    Raises:
        InputError: none of a table's faces is in the workspace; or a label differs where the sources are equal.
    """
    for path, one in tables.items():
        if len(one) and not (table.rows(one.faces) >= 0).any():
            raise InputError(
                f"Expected faces of this workspace in {path}, found none of its {len(one):,} here: a face keeps its identity "
                "only from the same picture at the same --size and --fit. Name the PATH of its pictures too."
            )
    for (first, a), (second, b) in combinations(tables.items(), 2):
        rows = a.rows(b.faces)
        both = np.flatnonzero(rows >= 0)
        for name in a.schema.names:
            mine, theirs = a.codes(name)[rows[both]], b.codes(name)[both]
            apart = both[(mine != theirs) & b.labelled(name)[both] & (a.sources(name)[rows[both]] == b.sources(name)[both])]
            if len(apart):
                raise InputError(
                    f"Expected one {name} for the face {b.faces[apart[0]]}, found different ones in {first} and {second}. "
                    "Correct or remove one of them."
                )


def write_table(table: LabelTable, labels: LabelTable, index: Index) -> list[Conflict]:
    """Write the original and human cells of `labels` where they overrule or equal what stands in `table`.

    A completed cell is no label: it is inferred anew.

    Returns (file, face, attribute, kept, refused value) of those that contradict a stronger one.
    """
    conflicts: list[Conflict] = []
    rows = table.rows(labels.faces)
    for attribute in table.schema:
        name = attribute.name
        for source in _LABELS:
            chosen = np.flatnonzero((rows >= 0) & (labels.sources(name) == source))
            here, codes = rows[chosen], labels.codes(name)[chosen]
            standing = table.codes(name)[here]
            for at in np.flatnonzero((table.sources(name)[here] > source) & (standing != codes)):
                face = str(table.faces[here[at]])
                conflicts.append((index[face][0], face, name, attribute.values[standing[at]], attribute.values[codes[at]]))
            table.fill(name, here, codes, source, labels.confidence(name)[chosen])
    return conflicts


def loose_faces(tables: Mapping[Path, LabelTable], table: LabelTable) -> list[tuple[str, str]]:
    """(file, why) of every labelled face of the tables that the workspace does not have."""
    loose: list[tuple[str, str]] = []
    for path, one in tables.items():
        labelled = np.any([one.labelled(name) for name in one.schema.names], axis=0)
        files = one.frame["file"][labelled & (table.rows(one.faces) < 0)]
        loose += [(file, f"no such face here, labelled in {path.name}") for file in files]
    return loose


def read_removed(space: Workspace, schema: Schema) -> LabelTable:
    """The rows of the faces that left the workspace, with their labels: `faces/removed.csv`.

    Raises:
        InputError: the file is damaged.
    """
    path = _removed_path(space)
    return LabelTable.from_csv(path, schema) if path.is_file() else LabelTable.empty(schema, [], [], [], [])


def keep_removed(space: Workspace, removed: LabelTable, leaving: LabelTable, table: LabelTable) -> None:
    """Write the rows of the faces that left earlier and leave now, but for those that are in `table` (again)."""
    parts = [part for part in (removed.select(leaving.rows(removed.faces) < 0), leaving) if len(part)]
    rows = LabelTable(table.schema, pd.concat([part.frame for part in parts])) if parts else removed
    rows = rows.select(table.rows(rows.faces) < 0)
    if len(rows):
        rows.to_csv(_removed_path(space))
    else:
        _removed_path(space).unlink(missing_ok=True)


def _removed_path(space: Workspace) -> Path:
    return space.folder("faces") / "removed.csv"
