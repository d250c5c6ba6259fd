"""Found faces into the label table: new rows with their group and split, and the labels that may be written."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from labeling.ingest.groups import assign_groups, split_of
from labeling.ingest.index import Index
from labeling.ingest.labels import LabelRow
from labeling.ingest.report import Conflict
from labeling.ingest.settings import IngestSettings
from labeling.ingest.store import Decoded, face_file
from labeling.provenance import Source
from labeling.table import LabelTable

__all__ = ["Found", "extend_table", "list_duplicates", "write_labels"]


@dataclass
class Found:
    """What the pictures were, in the order of their names."""

    faces: dict[str, Decoded] = field(default_factory=dict)  # identity → its first picture
    copies: dict[str, list[str]] = field(default_factory=dict)  # identity → names of all its pictures
    rejected: list[tuple[str, str]] = field(default_factory=list)
    removed: dict[str, str] = field(default_factory=dict)  # identity of a face that leaves the workspace → its picture

    def refuse(self, name: str, reason: str, face: str = "") -> None:
        """Note why a picture is not taken, and that its `face` leaves the workspace, if it is there and no copy was taken."""
        if face and face not in self.faces:
            self.removed[face] = name
            reason += "; it left the workspace, its labels are in removed.csv"
        self.rejected.append((name, reason))


def extend_table(
    table: LabelTable, found: Found, rows: dict[str, LabelRow], index: Index, settings: IngestSettings
) -> tuple[LabelTable, list[tuple[str, tuple[str, ...]]]]:
    """The table with the new faces behind, grouped and split."""
    new = [face for face in found.faces if face not in index]
    known = dict(zip(table.faces, table.frame["group"], strict=True))
    faces = [*table.faces, *new]
    hashes = [index[face][1] if face in index else found.faces[face].hash for face in faces]
    together = {
        face: rows[name].group for face, names in found.copies.items() for name in names if name in rows and rows[name].group
    }
    groups, between = assign_groups(faces, hashes, known, settings.radius, together if settings.group else None)
    split = dict(zip(table.frame["group"], table.frame["split"], strict=True))
    parts = [groups[face] for face in new]
    splits = [split.get(group) or split_of(group, settings.test, settings.validation) for group in parts]
    fresh = LabelTable.empty(table.schema, new, [face_file(face) for face in new], splits, parts)
    if not len(table):
        return fresh, between
    return LabelTable(table.schema, pd.concat([table.frame, fresh.frame], ignore_index=True)), between


def write_labels(
    table: LabelTable,
    found: Found,
    rows: dict[str, LabelRow],
    sources_of: dict[str, Source],
    index: Index,
    beside: Collection[LabelTable] = (),
) -> list[Conflict]:
    """Write the labels; returns (file, face, attribute, kept, refused value) of those that contradict a stronger or earlier.

    beside: label tables of the same ingest, written already: what they say is not corrected.
    """
    conflicts = []
    place = dict(zip(table.faces, range(len(table)), strict=True))
    for name, source in sources_of.items():
        values = table.schema[name].values
        codes, sources = table.codes(name), table.sources(name)
        written: dict[int, int] = {}
        told = {face for one in beside for face in one.faces[one.sources(name) == source]}
        for face, pictures in found.copies.items():
            row, home = place[face], index[face][0]
            for picture in sorted(pictures, key=lambda picture: (picture != home, picture)):
                code = rows[picture].codes.get(name) if picture in rows else None
                if code is None:
                    continue
                corrects = picture == home and sources[row] == source and face not in told
                if row not in written and (sources[row] < source or corrects):
                    written[row] = code
                standing = written.get(row, int(codes[row]))
                if code != standing:
                    conflicts.append((picture, face, name, values[standing], values[code]))
        table.fill(name, np.fromiter(written, np.int64), np.fromiter(written.values(), np.int64), source)
    return conflicts


def list_duplicates(found: Found, index: Index) -> list[tuple[str, str, str]]:
    """(file, face, the picture that was kept) of every further copy."""
    kept = {face: index[face][0] for face in found.copies}
    return sorted(
        (picture, face, kept[face]) for face, names in found.copies.items() for picture in names if picture != kept[face]
    )
