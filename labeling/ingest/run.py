"""Ingest: list, read the labels, decode, drop duplicates, group, split, fill the table. Nothing counts before that is saved."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from PIL import Image

from configs.errors import InputError, WorkspaceError
from configs.files import check_space
from labeling.answers import table_lock
from labeling.ingest.decode import Rejected
from labeling.ingest.index import Index, read_index, write_index
from labeling.ingest.labels import LabelRow, Labels, match_all, read_labels
from labeling.ingest.merge import Found, extend_table, list_duplicates, write_labels
from labeling.ingest.report import Conflict, IngestReport, merge_csv, write_csv
from labeling.ingest.settings import IngestSettings
from labeling.ingest.sources import Listing, Picture, list_pictures, read_pictures
from labeling.ingest.store import Decoded, decode_all, decode_with, face_identity
from labeling.ingest.tables import check_match, keep_removed, loose_faces, read_removed, write_table
from labeling.ingest.taken import taken_with
from labeling.schema import Schema
from labeling.table import LabelTable
from labeling.take_in import take_in_stored
from labeling.workspace import Workspace, table_fingerprint

__all__ = ["ingest"]

Progress = Callable[[int, int], None]


def ingest(
    paths: Sequence[str | Path],
    workspace: str | Path,
    settings: IngestSettings | None = None,
    labels: str | Path | Sequence[str | Path] = (),
    progress: Progress = lambda done, total: None,
) -> IngestReport:
    """Add the cropped faces in folders and tar files to a workspace, with the partial labels of CSVs.

    paths: folders (with all below them), tar files, single pictures; none = the CSVs label the faces that are there already;
    labels: one CSV or several, see `read_labels` and `match`; label tables as `sga status --labels-csv` writes them are matched
    by the faces' identity and give their original and human cells; progress: called with (files done, files in all).

    A face that is there already keeps its group and split; a label is written where its source overrules what stands there, or
    equals it and comes from the same picture. A face that is there and that a CSV says to drop leaves the table; its labels
    stay in removed.csv and come back with it. Run it again after an interruption: the result is the same as without one. What
    was not taken is named in `<workspace>/faces/`: rejected.csv, duplicates.csv, conflicts.csv (labels), unmatched.csv (labels
    without a picture, pictures without labels).

    Raises:
        InputError: paths, labels or the disk; nothing is changed in the label table then.
        WorkspaceError: the workspace holds another schema or size, is damaged, or its labels changed meanwhile.
    """
    started = time.monotonic()
    settings = settings or IngestSettings()
    space, schema = Workspace(workspace), Schema.load(settings.schema_name)
    stamp = _stamp(space)
    table = _open(space, schema, settings)
    files = [Path(labels)] if isinstance(labels, str | Path) else [Path(path) for path in labels]
    taken = taken_with(space, paths, files)
    said, tables = read_labels(files, schema, settings)
    index, removed = read_index(space, table), read_removed(space, schema)
    alone = not paths and bool(files) and len(table) > 0
    listing = _known(index, space, said, settings) if alone else list_pictures(paths, [space.root, *files])
    rows, loose = match_all(said, listing.pictures, schema)
    found = _present(index, rows) if alone else _decode(listing, rows, index, space, settings, progress)
    leaves = table.frame["face"].isin(found.removed).to_numpy()
    leaving, staying = table.select(leaves), table.select(~leaves)
    table, between = extend_table(staying, found, rows, index, settings)
    if not len(table):
        raise InputError(f"Expected faces to be left in {space.root}, found every one dropped. Correct --drop or the CSV.")
    check_match(tables, table)
    index |= {face: (one.name, one.hash) for face, one in found.faces.items() if face not in index or not index[face][0]}
    back = removed.select(staying.rows(removed.faces) < 0)
    conflicts = [conflict for one in (back, *tables.values()) for conflict in write_table(table, one, index)]
    sources = {name: source for labels in said for name, source in labels.sources.items()}
    conflicts += write_labels(table, found, rows, sources, index, tables.values())
    duplicates = list_duplicates(found, index)
    without = _without_labels(listing, rows, tables.values(), found) if files else []
    unmatched = [*((row.file, f"row {row.line}: no such picture") for row in loose), *loose_faces(tables, table)]
    report = IngestReport.of(
        table,
        workspace=space.root,
        pictures=len(listing.pictures) + len(listing.rejected),
        added=len(table) - len(staying),
        present=len(found.faces) - (len(table) - len(staying)),
        duplicates=len(duplicates),
        rejected=len(found.rejected),
        removed=len(leaving),
        conflicts=len(conflicts),
        unmatched_rows=len(unmatched),
        unlabelled=len(without),
        between=len(between),
        seconds=time.monotonic() - started,
    )
    unmatched += [(name, "no row of labels") for name in without]
    _write_reports(space, index, found, duplicates, conflicts, unmatched if files else None)
    keep_removed(space, removed, leaving, table)
    with table_lock(space.root):
        if _stamp(space) != stamp:
            raise WorkspaceError(
                f"Expected {space.labels_path} as it was when this ingest began, found it changed by another command. "
                "Type the same command again."
            )
        table.save(space.labels_path)
        facts = {"schema": schema.hash, **report.counts(), **taken}
        space.finish("faces", table_fingerprint(table, completed=False), settings.model_dump(mode="json"), **facts)
    take_in_stored(space)  # what people answered stands beside what the CSVs say
    return report


def _without_labels(listing: Listing, rows: Collection[str], tables: Collection[LabelTable], found: Found) -> list[str]:
    """Names of the pictures that no CSV of pictures has a row for, and no label table their face, sorted."""
    told = {face for one in tables for face in one.faces}
    names = {name for face, copies in found.copies.items() if face in told for name in copies}
    return sorted({picture.name for picture in listing.pictures} - set(rows) - names)


def _known(index: Index, space: Workspace, said: Sequence[Labels], settings: IngestSettings) -> Listing:
    """The pictures that the workspace's faces came from.

    Raises:
        InputError: CSVs of pictures, whose names are lost; or a setting that is for new faces alone.
    """
    if settings.group:
        raise InputError(
            "Expected PATHs with --group, which groups new faces only, found none. "
            f"Name them, or type --ignore {settings.group}."
        )
    parts = [(name, *name.partition("/")) for name, _ in index.values() if name]
    if said and not parts:
        raise InputError(
            f"Expected the names of the pictures in {space.folder('faces') / 'index.csv'}, found none. Name their PATHs again: "
            f"sga ingest PATH --labels {said[0].path} --workspace {space.root}"
        )
    return Listing(tuple(Picture(name, base, inner or base, Path(), None) for name, base, _, inner in parts), ())


def _present(index: Index, rows: Mapping[str, LabelRow]) -> Found:
    """The workspace's own faces, as if they had been met again."""
    found = Found()
    for face, (name, bits) in index.items():
        if name in rows and rows[name].dropped:
            found.refuse(name, rows[name].dropped, face)
        else:
            found.faces[face], found.copies[face] = Decoded(name, face, bits), [name]
    return found


def _open(space: Workspace, schema: Schema, settings: IngestSettings) -> LabelTable:
    """The workspace's table, or an empty one."""
    if space.root.exists() and not space.root.is_dir():
        raise WorkspaceError(
            f"Expected a folder for the workspace at {space.root}, found a file. Name another with --workspace."
        )
    if not space.labels_path.is_file():
        return LabelTable.empty(schema, [], [], [], [])
    table = space.table()
    if table.schema.hash != schema.hash:
        raise WorkspaceError(
            f"Expected a workspace of schema {schema.name} ({schema.hash}), found one of {table.schema.name} "
            f"({table.schema.hash}) in {space.root}. Name another with --workspace, or type --schema {table.schema.name}."
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


def _stamp(space: Workspace) -> tuple[int, int] | None:
    """Tells one state of the label table from another: labels a person makes meanwhile must not be overwritten."""
    with suppress(FileNotFoundError, NotADirectoryError):
        state = space.labels_path.stat()
        return state.st_ino, state.st_mtime_ns
    return None


def _sweep(space: Workspace) -> None:
    """Remove what an interrupted ingest left half-written."""
    for path in space.folder("faces").glob("*/.*.tmp"):
        path.unlink(missing_ok=True)


def _decode(
    listing: Listing,
    rows: Mapping[str, LabelRow],
    index: Index,
    space: Workspace,
    settings: IngestSettings,
    progress: Progress,
) -> Found:
    """Decode all; of copies of one face the first by name counts, so the order of PATHs and files never matters."""
    check_space(space.root, len(listing.pictures) * settings.size**2 + 2**24)
    _sweep(space)
    found = Found(rejected=list(listing.rejected))
    dropped = {name: row.dropped for name, row in rows.items() if row.dropped}
    known = {name for name, _ in index.values()}
    there: dict[str, str] = {}  # dropped picture → its face in the workspace

    def pictures() -> Iterator[tuple[str, bytes | str]]:
        for picture, data in read_pictures(listing):
            if picture.name in dropped and known & {picture.name, ""}:
                there[picture.name] = _face_of(picture.name, data, index, settings)
            yield picture.name, dropped.get(picture.name) or data

    done = sorted(decode_all(pictures(), len(listing.pictures), space.root, settings, progress), key=lambda one: one.name)
    for one in done:
        if not one.reason:
            found.faces.setdefault(one.face, one)
            found.copies.setdefault(one.face, []).append(one.name)
    for one in done:
        if one.reason:
            found.refuse(one.name, one.reason, there.get(one.name, ""))
    found.rejected.sort()
    if not found.faces and not found.removed:
        name, reason = found.rejected[0]
        raise InputError(
            f"Expected usable pictures of faces, found none in {len(listing.pictures)} files ({name}: {reason}). Name others."
        )
    return found


def _face_of(name: str, data: bytes | str, index: Index, settings: IngestSettings) -> str:
    """The workspace's face that came from this picture, or "". By its pixels: folders may share their names."""
    with suppress(Rejected):
        face = "" if isinstance(data, str) else face_identity(decode_with(data, settings))
        return face if index.get(face, (None, b""))[0] in (name, "") else ""
    return ""


def _write_reports(
    space: Workspace,
    index: Index,
    found: Found,
    duplicates: list[tuple[str, str, str]],
    conflicts: list[Conflict],
    unmatched: list[tuple[str, str]] | None,
) -> None:
    folder = space.folder("faces")
    seen = {name for name, _ in found.rejected} | {name for names in found.copies.values() for name in names}
    os.sync()  # the faces reach the disk before the table that names them
    write_index(space, index)
    merge_csv(folder / "rejected.csv", ("file", "reason"), found.rejected, seen)
    merge_csv(folder / "duplicates.csv", ("file", "face", "kept"), duplicates, seen)
    merge_csv(folder / "conflicts.csv", ("file", "face", "attribute", "kept", "refused"), conflicts, seen)
    if unmatched is not None:
        write_csv(folder / "unmatched.csv", ("file", "what"), unmatched)
