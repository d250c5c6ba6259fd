"""Found faces into the label table: new rows with their group and split, and the labels that may be written."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
import pandas as pd

from labeling.ingest.groups import assign_groups, split_of
from labeling.ingest.index import Index
from labeling.ingest.labels import LabelRow
from labeling.ingest.report import Conflict
from labeling.ingest.settings import IngestSettings
from labeling.ingest.store import Decoded, face_file
from labeling.provenance import Source
from labeling.table import LEFT_OUT, UNKNOWN, LabelTable

__all__ = ["LEFT", "Found", "extend_table", "list_duplicates", "rows_of_faces", "write_labels"]

LEFT = "; it left the workspace, its labels are in removed.csv"
"""What stands behind the reason why a picture is not taken whose face was there."""


@dataclass
class Found:
    """What the pictures were, in the order of their names."""

    faces: dict[str, Decoded] = field(default_factory=dict)  # identity → its first picture
    copies: dict[str, list[str]] = field(default_factory=dict)  # identity → names of all its pictures
    rejected: list[tuple[str, str]] = field(default_factory=list)
    removed: dict[str, str] = field(default_factory=dict)  # identity of a face that leaves the workspace → its picture
    framed: dict[str, int] = field(default_factory=dict)  # pictures of several frames, of which the first was taken
    pictures: dict[str, str] = field(default_factory=dict)  # a face's name in `copies` → its picture's, where they differ

    def refuse(self, name: str, reason: str, face: str = "") -> None:
        """Note why a picture is not taken, and that its `face` leaves the workspace, if it is there and no copy was taken."""
        if face and face not in self.faces:
            self.removed[face] = name
            reason += LEFT
        self.rejected.append((name, reason))


def extend_table(
    table: LabelTable,
    found: Found,
    rows: dict[str, LabelRow],
    index: Index,
    settings: IngestSettings,
    former: Mapping[str, str] = MappingProxyType({}),
) -> tuple[LabelTable, list[tuple[str, tuple[str, ...]]]]:
    """The table with the new faces behind, grouped and split. former: face → the split of a face that is left out, had it not
    been: a new face of its group shares that."""
    new = [face for face in found.faces if face not in index]
    known = dict(zip(table.faces, table.frame["group"], strict=True))
    faces = [*table.faces, *new]
    hashes = [index[face][1] if face in index else found.faces[face].hash for face in faces]
    together = {
        face: rows[name].group for face, names in found.copies.items() for name in names if name in rows and rows[name].group
    }
    groups, between = assign_groups(faces, hashes, known, settings.radius, together if settings.group else None)
    split = dict(zip(table.frame["group"], _splits(table, former), strict=True))
    parts = [groups[face] for face in new]
    splits = [split.get(group) or split_of(group, settings.test, settings.validation) for group in parts]
    fresh = LabelTable.empty(table.schema, new, [face_file(face) for face in new], splits, parts)
    if not len(table):
        return fresh, between
    return LabelTable(table.schema, pd.concat([table.frame, fresh.frame], ignore_index=True)), between


def _splits(table: LabelTable, former: Mapping[str, str]) -> list[str]:
    """The split of each face, had none been left out; "" where nobody knows."""
    splits = zip(table.faces, table.frame["split"], strict=True)
    return [former.get(face, "") if split == LEFT_OUT else split for face, split in splits]


def rows_of_faces(rows: Mapping[str, LabelRow], found: Found) -> tuple[dict[str, LabelRow], list[tuple[str, str]]]:
    """Rows by the name of their face, and (file, why) of those that name none.

    rows: by the name of their picture, or of one face of it (`<picture>#<k>`), whose word counts more. A picture's row is its
    face's where it has one; where it has several, they share its group alone.
    """
    faces: dict[str, list[str]] = {}
    for names in found.copies.values():
        for name in names:
            faces.setdefault(found.pictures.get(name, name), []).append(name)
    own = {name for names in faces.values() for name in names} - faces.keys()
    given: dict[str, LabelRow] = {}
    loose: list[tuple[str, str]] = []
    for name, row in rows.items():
        if name not in faces:
            continue
        if len(faces[name]) == 1:
            given[faces[name][0]] = row
            continue
        if row.codes or row.clashes:
            loose.append((row.file, f"{len(faces[name])} faces: which one is meant? Name it {row.file}#0, #1 … in a CSV"))
        given |= {face: LabelRow(row.file, row.line, group=row.group) for face in faces[name] if row.group}
    for name, row in rows.items():
        picture, _, _ = name.rpartition("#")
        if name in own:
            given[name] = _over(row, given[name]) if name in given else row
        elif picture in faces and name not in faces:
            loose.append((row.file, f"no such face: its picture has {len(faces[picture])}"))
    return given, loose


def _over(row: LabelRow, below: LabelRow) -> LabelRow:
    """`row`, and what `below` says where it is silent."""
    silent = below.codes.keys() - row.codes.keys() - row.clashes.keys()
    return replace(
        row,
        codes={name: code for name, code in below.codes.items() if name in silent} | row.codes,
        confidence={name: value for name, value in below.confidence.items() if name in silent} | row.confidence,
        group=row.group or below.group,
        dropped=row.dropped or below.dropped,
    )


def write_labels(
    table: LabelTable,
    found: Found,
    rows: Mapping[str, LabelRow],
    sources_of: Mapping[str, Source],
    index: Index,
    beside: Collection[LabelTable] = (),
    earlier: Mapping[str, LabelRow] = MappingProxyType({}),
    correctable: Callable[[np.ndarray], np.ndarray] = lambda confidence: np.ones(len(confidence), bool),
) -> list[Conflict]:
    """Write the labels, with their confidence. rows: by the face's name.

    beside, earlier: label tables and rows of the same ingest, written already: what they say is not corrected. correctable:
    which labels of an earlier ingest may be, by their confidence: (n,) bool of (n,) float32.

    Returns (file, face, attribute, kept, refused value) of the labels that contradict a stronger or earlier one, or each other,
    and of the estimates (labels of tags, by their confidence below 1) that a certain label replaces.
    """
    conflicts: list[Conflict] = []
    place = dict(zip(table.faces, range(len(table)), strict=True))
    for name, source in sources_of.items():
        values = (*table.schema[name].values, UNKNOWN)  # code -1 reads the last
        codes, sources = table.codes(name), table.sources(name)
        open_to = correctable(table.confidence(name))
        estimates = table.labelled(name) & (table.confidence(name) < 1)
        written: dict[int, tuple[int, float]] = {}
        told = {face for one in beside for face in one.faces[one.sources(name) == source]}
        for face, pictures in found.copies.items():
            row, home = place[face], index[face][0]
            fixed = face in told or any(picture in earlier and name in earlier[picture].codes for picture in pictures)
            for picture in sorted((one for one in pictures if one in rows), key=lambda picture: (picture != home, picture)):
                said = rows[picture]
                confidence = said.confidence.get(name, 1.0)
                if name in said.codes:
                    corrects = picture == home and sources[row] == source and not fixed and open_to[row]
                    if row not in written and (sources[row] < source or corrects):
                        written[row] = said.codes[name], confidence
                        if estimates[row] and confidence == 1 and codes[row] != said.codes[name]:
                            conflicts.append((picture, face, name, values[said.codes[name]], values[codes[row]]))
                standing = values[written[row][0] if row in written else codes[row]]
                if name in said.clashes:
                    conflicts.append((picture, face, name, standing, " and ".join(said.clashes[name])))
                elif name in said.codes and values[said.codes[name]] != standing:
                    conflicts.append((picture, face, name, standing, values[said.codes[name]]))
        chosen, certainty = np.array(list(written.values()), dtype=np.float64).reshape(-1, 2).T
        table.fill(name, np.fromiter(written, np.int64), chosen.astype(np.int64), source, certainty)
    return conflicts


def list_duplicates(found: Found, index: Index) -> list[tuple[str, str, str]]:
    """(file, face, the picture that was kept) of every further copy."""
    kept = {face: index[face][0] for face in found.copies}
    return sorted(
        (picture, face, kept[face]) for face, names in found.copies.items() for picture in names if picture != kept[face]
    )
