"""Ingest: list, read the labels, decode, drop duplicates, group, split, fill the table. Nothing counts before the table is saved."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from configs.errors import InputError, WorkspaceError
from configs.files import check_space
from labeling.ingest.groups import assign_groups, difference_hash, split_of
from labeling.ingest.labels import LabelRow, Labels, match, read_labels
from labeling.ingest.report import IngestReport, merge_csv, write_csv
from labeling.ingest.settings import IngestSettings
from labeling.ingest.sources import Listing, list_pictures, read_pictures
from labeling.ingest.store import Decoded, decode_all, face_file
from labeling.provenance import MISSING_CODE, Source
from labeling.schema import Schema
from labeling.table import SPLITS, UNKNOWN, LabelTable
from labeling.workspace import Workspace, table_fingerprint

__all__ = ["ingest"]

Progress = Callable[[int, int], None]


@dataclass
class _Found:
    """What the pictures were: decoded ones in the order of their names, rejected ones with reasons, duplicates with what was kept."""

    faces: dict[str, Decoded] = field(default_factory=dict)  # identity → its first picture
    copies: dict[str, list[str]] = field(default_factory=dict)  # identity → names of all its pictures
    rejected: list[tuple[str, str]] = field(default_factory=list)


def ingest(
    paths: Sequence[str | Path],
    workspace: str | Path,
    settings: IngestSettings | None = None,
    labels: str | Path | None = None,
    progress: Progress = lambda done, total: None,
) -> IngestReport:
    """Add the cropped faces in folders and tar files to a workspace, with the partial labels of a CSV.

    paths: folders (with all below them), tar files, single pictures; labels: see `read_labels`; progress: called with (files done,
    files in all). A face that is there already keeps its group and split; labels are written where their source overrules, or
    equals and comes from the same picture. Run it again after an interruption: the result is the same as without one.

    Raises:
        InputError: paths, labels or the disk; nothing is changed in the label table then.
        WorkspaceError: the workspace holds another schema or size, or is damaged.
    """
    started = time.monotonic()
    settings = settings or IngestSettings()
    schema = Schema.load(settings.schema_name)
    space = Workspace(workspace)
    table = _open(space, schema, settings)
    said = None if labels is None else read_labels(labels, schema, settings)
    if said is None and (settings.human or settings.drop or settings.ignore):
        raise InputError("Expected a CSV of labels with --human, --ignore or --drop, found none. Type --labels FILE.")
    listing = list_pictures(paths, skip=[space.root] + ([] if labels is None else [Path(labels)]))
    rows, loose = ({}, []) if said is None else match(said, listing.pictures)
    check_space(space.root, len(listing.pictures) * settings.size**2 + 2**24)
    _sweep(space)
    found = _decode(listing, rows, space, settings, progress)
    if not found.faces:
        name, reason = (found.rejected or [("", "")])[0]
        raise InputError(f"Expected usable pictures of faces, found none in {len(listing.pictures)} files ({name}: {reason}). Name others.")
    index = _read_index(space, table)
    before = len(table)
    table, between = _extend(table, found, index, settings)
    index = {**{face: (one.name, one.hash) for face, one in found.faces.items()}, **index}
    conflicts = [] if said is None else _fill(table, found, rows, said, index)
    duplicates = _duplicates(found, index)
    _write(space, table, index, found, duplicates, conflicts, None if said is None else (rows, loose))
    counts = table.frame["group"].value_counts()
    report = IngestReport(
        workspace=space.root,
        pictures=len(listing.pictures) + len(listing.rejected),
        added=len(table) - before,
        present=len(found.faces) - (len(table) - before),
        duplicates=len(duplicates),
        rejected=len(found.rejected),
        conflicts=len(conflicts),
        unmatched_rows=len(loose),
        unlabelled=0 if said is None else len(listing.pictures) - len(rows),
        between=len(between),
        faces=len(table),
        groups=int((counts > 1).sum()),
        grouped=int(counts[counts > 1].sum()),
        splits={split: int(table.in_split(split).sum()) for split in SPLITS},
        histograms=tuple(table.histograms()),
        seconds=time.monotonic() - started,
    )
    space.finish("faces", table_fingerprint(table, completed=False), settings.model_dump(mode="json"), schema=schema.hash, **report.counts())
    return report


def _open(space: Workspace, schema: Schema, settings: IngestSettings) -> LabelTable:
    """The workspace's table, or an empty one."""
    if space.root.exists() and not space.root.is_dir():
        raise WorkspaceError(f"Expected a folder for the workspace at {space.root}, found a file. Name another with --workspace.")
    if not space.labels_path.is_file():
        return LabelTable.empty(schema, [], [], [], [])
    table = space.table()
    if table.schema.hash != schema.hash:
        raise WorkspaceError(
            f"Expected a workspace of schema {schema.name} ({schema.hash}), found one of {table.schema.name} ({table.schema.hash}) in "
            f"{space.root}. Name another with --workspace, or type --schema {table.schema.name}."
        )
    if len(table):
        path = space.root / str(table.frame["file"].iloc[0])
        try:
            with Image.open(path) as image:
                side = image.size
        except OSError as error:
            raise WorkspaceError(f"Expected a face at {path}, found none that opens. Ingest into a new workspace.") from error
        if side != (settings.size, settings.size):
            raise WorkspaceError(
                f"Expected a workspace of {settings.size}×{settings.size} px faces, found {side[0]}×{side[1]} in {space.root}. "
                f"Name another with --workspace, or type --size {side[0]}."
            )
    return table


def _sweep(space: Workspace) -> None:
    """Remove what an interrupted ingest left half-written."""
    for path in space.folder("faces").glob("*/.*.tmp"):
        path.unlink(missing_ok=True)


def _decode(listing: Listing, rows: dict[str, LabelRow], space: Workspace, settings: IngestSettings, progress: Progress) -> _Found:
    """Decode all; of copies of one face the first by name counts, so the order of PATHs and files never matters."""
    found = _Found(rejected=list(listing.rejected))
    dropped = {name: row.dropped for name, row in rows.items() if row.dropped}
    pictures = ((picture.name, dropped.get(picture.name) or data) for picture, data in read_pictures(listing))
    done = list(decode_all(pictures, len(listing.pictures), space.root, settings, progress))
    for one in sorted(done, key=lambda one: one.name):
        if one.reason:
            found.rejected.append((one.name, one.reason))
        else:
            found.faces.setdefault(one.face, one)
            found.copies.setdefault(one.face, []).append(one.name)
    found.rejected.sort()
    return found


def _read_index(space: Workspace, table: LabelTable) -> dict[str, tuple[str, bytes]]:
    """Face → (name of its picture, hash) for the table's faces; what the file lacks is computed from the faces."""
    index: dict[str, tuple[str, bytes]] = {}
    path = space.folder("faces") / "index.csv"
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as handle:
            index = {row[0]: (row[1], bytes.fromhex(row[2])) for row in list(csv.reader(handle))[1:]}
    known: dict[str, tuple[str, bytes]] = {}
    for face in table.faces:
        if face not in index:
            with Image.open(space.root / face_file(face)) as image:
                index[face] = ("", difference_hash(np.asarray(image.convert("RGB"))))
        known[face] = index[face]
    return known


def _extend(
    table: LabelTable, found: _Found, index: dict[str, tuple[str, bytes]], settings: IngestSettings
) -> tuple[LabelTable, list[tuple[str, tuple[str, ...]]]]:
    """The table with the new faces behind, grouped and split."""
    new = [face for face in found.faces if face not in index]
    known = dict(zip(table.faces, table.frame["group"], strict=True))
    faces = [*table.faces, *new]
    hashes = [index[face][1] if face in index else found.faces[face].hash for face in faces]
    groups, between = assign_groups(faces, hashes, known, settings.radius)
    split = dict(zip(table.frame["group"], table.frame["split"], strict=True))
    parts = [groups[face] for face in new]
    splits = [split.get(group) or split_of(group, settings.test, settings.validation) for group in parts]
    fresh = LabelTable.empty(table.schema, new, [face_file(face) for face in new], splits, parts)
    if not len(table):
        return fresh, between
    return LabelTable(table.schema, pd.concat([table.frame, fresh.frame], ignore_index=True)), between


def _fill(
    table: LabelTable, found: _Found, rows: dict[str, LabelRow], said: Labels, index: dict[str, tuple[str, bytes]]
) -> list[tuple[str, str, str, str, str]]:
    """Write the labels; returns (file, face, attribute, kept value, refused value) of those that contradict a stronger or earlier one."""
    conflicts = []
    place = dict(zip(table.faces, range(len(table)), strict=True))
    for name, source in said.sources.items():
        values = (*table.schema[name].values, UNKNOWN)
        codes, sources = table.codes(name), table.sources(name)
        written: dict[int, int] = {}
        for face, pictures in found.copies.items():
            row = place[face]
            for picture in sorted(pictures, key=lambda picture: picture != index[face][0]):
                code = rows[picture].codes.get(name, MISSING_CODE) if picture in rows else MISSING_CODE
                standing = written.get(row, int(codes[row]))
                own = picture == index[face][0] and sources[row] == source
                if code in (MISSING_CODE, standing) and not (code != MISSING_CODE and sources[row] < source and row not in written):
                    continue
                if row not in written and (sources[row] < source or own):
                    written[row] = code
                else:
                    conflicts.append((picture, face, name, values[standing], values[code]))
        table.fill(name, np.fromiter(written, np.int64), np.fromiter(written.values(), np.int64), source)
    return conflicts


def _duplicates(found: _Found, index: dict[str, tuple[str, bytes]]) -> list[tuple[str, str, str]]:
    """(file, face, the picture that was kept) of every further copy."""
    copies = []
    for face, pictures in found.copies.items():
        kept = index[face][0]
        first = kept if kept in pictures else None
        for picture in pictures:
            if picture == first:
                first = None
            else:
                copies.append((picture, face, kept))
    return sorted(copies)


def _write(
    space: Workspace,
    table: LabelTable,
    index: dict[str, tuple[str, bytes]],
    found: _Found,
    duplicates: list[tuple[str, str, str]],
    conflicts: list[tuple[str, str, str, str, str]],
    matched: tuple[dict[str, LabelRow], list[LabelRow]] | None,
) -> None:
    folder = space.folder("faces")
    seen = {name for name, _ in found.rejected} | {name for names in found.copies.values() for name in names}
    os.sync()  # the faces reach the disk before the table that names them
    write_csv(folder / "index.csv", ("face", "file", "hash"), ((face, name, bits.hex()) for face, (name, bits) in index.items()))
    merge_csv(folder / "rejected.csv", ("file", "reason"), found.rejected, seen)
    merge_csv(folder / "duplicates.csv", ("file", "face", "kept"), duplicates, seen)
    merge_csv(folder / "conflicts.csv", ("file", "face", "attribute", "kept", "refused"), conflicts, seen)
    if matched is not None:
        rows, loose = matched
        without = sorted(seen - set(rows))
        write_csv(
            folder / "unmatched.csv",
            ("file", "what"),
            [*((row.file, f"row {row.line}: no such picture") for row in loose), *((name, "no row of labels") for name in without)],
        )
    table.save(space.labels_path)
