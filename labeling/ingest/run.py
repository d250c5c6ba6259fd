"""Ingest: list, read the labels, decode, drop duplicates, group, split, fill the table. Nothing counts before that is saved."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from PIL import Image

from configs.errors import InputError, WorkspaceError
from labeling.answers import table_lock
from labeling.cleaning.record import follow_marks, former_splits, read_record, record_path
from labeling.detection import make_detector
from labeling.ingest.index import Index, read_index, write_index
from labeling.ingest.labels import match_all, read_labels
from labeling.ingest.merge import Found, extend_table, list_duplicates, rows_of_faces, write_labels
from labeling.ingest.pictures import (
    decode_pictures,
    known_copies,
    known_pictures,
    names_of,
    present_faces,
    retire_names,
    with_copies,
)
from labeling.ingest.report import Conflict, IngestReport, merge_csv, write_csv
from labeling.ingest.settings import IngestSettings
from labeling.ingest.sources import Listing, list_pictures
from labeling.ingest.tables import check_match, keep_removed, loose_faces, read_removed, write_table
from labeling.ingest.taken import taken_with
from labeling.metadata import pictures_of, read_sheet, write_metadata
from labeling.schema import Schema
from labeling.table import LabelTable
from labeling.tags.ingesting import TagIngest
from labeling.take_in import take_in_stored
from labeling.where import Where
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
    """Add the faces in folders and tar files to a workspace, with the partial labels of CSVs.

    The pictures are cropped faces, or, where `settings.detection` names a cascade or detector, illustrations: their faces are
    found, cut out (Jin et al. 2017, section 3) and named `<picture>#<k>`; faces that other settings found before stay.

    paths: folders (with all below them), tar files, single pictures; none = the CSVs label the faces that are there already;
    labels: one CSV or several, see `read_labels` and `match`; label tables as `sga status --labels-csv` writes them are matched
    by the faces' identity and give their original and human cells; progress: called with (files done, files in all).

    A face that is there already keeps its group and split; a label is written where its source overrules what stands there,
    or equals it and comes from the same picture. A face that is there and that a CSV says to drop leaves the table; its
    labels stay in removed.csv and come back with it. One that cleaning left out stays so, also when it comes back, and so
    does one that a label table says is left out. Run it again after an interruption: the result is the same as without one.
    What was not taken is named in `<workspace>/faces/`: rejected.csv, duplicates.csv, conflicts.csv (labels), unmatched.csv
    (labels without a picture, pictures without labels). What tags say (`settings.tags`, `settings.tagger`) is weaker than any
    label that a CSV gave, whenever it did; `tags.csv` tells of every tag what it means.

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
    tags = TagIngest(schema, settings)
    sheet = read_sheet(Path(settings.metadata)) if settings.metadata else None
    tables_named = [*files, *settings.tag_files, *([sheet.path] if sheet else [])]
    if settings.detection.on:
        make_detector(settings.detection)  # a file that is none is told of before any picture is read
    taken = taken_with(space, paths, [*tables_named, *settings.other_files])
    said, tables = read_labels(files, schema, settings)
    index, removed = read_index(space, table), read_removed(space, schema)
    homes = pictures_of(space, index)
    alone = not paths and bool(tables_named or settings.where or settings.tagger.model) and len(table) > 0
    if alone:
        listing = known_pictures(index, homes, space, said, settings)
    else:
        listing = list_pictures(paths, [space.root, *tables_named], sidecars=settings.sidecars)
    copies = known_copies(index, space) if alone and sheet else {}
    rows, loose = match_all(said, listing.pictures, schema)
    sheet, unused = sheet.matched(with_copies(listing, copies)) if sheet else (None, [])
    where = Where(settings.where, sheet, space)
    tags.gather(listing)
    dropped = {name: row.dropped for name, row in rows.items() if row.dropped}
    if alone:
        found = present_faces(index, homes, copies, dropped, where)
    else:
        found = decode_pictures(listing, dropped, where, index, homes, space, settings, progress)
        index = retire_names(index, homes, found)
    moved = {face for face, one in found.faces.items() if one.name and face in index and not index[face][0]}
    names = names_of(found, homes, copies)
    told = set(rows) | set(tags.rows)
    rows, ambiguous = rows_of_faces(rows, found)
    leaves = table.frame["face"].isin(found.removed).to_numpy()
    leaving, staying = table.select(leaves), table.select(~leaves)
    table, between = extend_table(staying, found, rows, index, settings, former_splits(read_record(space)))
    if not len(table):
        raise InputError(f"Expected faces to be left in {space.root}, found every one dropped. Correct --drop or the CSV.")
    check_match(tables, table)
    index |= {face: (one.name, one.hash) for face, one in found.faces.items() if face not in index or not index[face][0]}
    back = removed.select(staying.rows(removed.faces) < 0)
    conflicts = [conflict for one in (back, *tables.values()) for conflict in write_table(table, one, index)]
    sources = {name: source for labels in said for name, source in labels.sources.items()}
    conflicts += write_labels(table, found, rows, sources, index, tables.values())
    conflicts += tags.write(table, found, rows, index, tables.values(), space, progress)
    conflicts = list(dict.fromkeys(conflicts))  # a tag's label that was replaced, and is refused again
    marks = follow_marks(space, table, tables)
    duplicates = list_duplicates(found, index)
    without = _without_labels(listing, told, tables.values(), found) if files or settings.tags else []
    unmatched = [*((row.file, f"row {row.line}: no such picture") for row in loose), *loose_faces(tables, table)]
    unmatched += [*ambiguous, *tags.loose, *unused, *(sheet.loose(_named(names, found)) if sheet else ())]
    report = IngestReport.of(
        table,
        workspace=space.root,
        pictures=len(listing.pictures) + len(listing.rejected),
        added=len(table) - len(staying),
        present=len(found.faces) - (len(table) - len(staying)),
        duplicates=len(duplicates),
        rejected=len(found.rejected),
        framed=len(found.framed),
        removed=len(leaving),
        conflicts=len(conflicts),
        unmatched_rows=len(unmatched),
        unlabelled=len(without),
        between=len(between),
        seconds=time.monotonic() - started,
        **tags.facts(),
    )
    unmatched += [(name, "no row of labels") for name in without]
    met = {one.name for one in listing.sidecars}  # an ingest without tags took them for pictures
    _write_reports(space, index, found, met, duplicates, conflicts, unmatched if tables_named or settings.tags else None)
    tags.save(space.folder("faces"))
    keep_removed(space, removed, leaving, table)
    write_metadata(space, list(table.faces), found.faces, moved, sheet, names)
    with table_lock(space.root):
        if _stamp(space) != stamp:
            raise WorkspaceError(
                f"Expected {space.labels_path} as it was when this ingest began, found it changed by another command. "
                "Type the same command again."
            )
        if marks is not None:
            marks.save(space)
        table.save(space.labels_path)
        facts = {"schema": schema.hash, **report.counts(), **taken}
        space.finish("faces", table_fingerprint(table, completed=False), settings.model_dump(mode="json"), **facts)
    take_in_stored(space)  # what people answered stands beside what the CSVs say
    return report


def _without_labels(listing: Listing, rows: Collection[str], tables: Collection[LabelTable], found: Found) -> list[str]:
    """Names of the pictures that no CSV of pictures has a row for, and no label table their face, sorted."""
    told = {face for one in tables for face in one.faces}
    names = {name for face, copies in found.copies.items() if face in told for name in copies} | set(rows)
    with_faces = {found.pictures.get(name, name) for name in names}
    return sorted(
        {picture.name for picture in listing.pictures} - names - with_faces - {name.rpartition("#")[0] for name in rows}
    )


def _named(names: Mapping[str, Collection[str]], found: Found) -> set[str]:
    """All that a CSV may call the faces that were met, and those that were rejected."""
    return {name for several in names.values() for name in several} | {name for name, _ in found.rejected}


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


def _stamp(space: Workspace) -> list[tuple[int, int]]:
    """Tells one state of labels and marks from another: what a person says meanwhile must not be overwritten."""
    found = []
    for path in (space.labels_path, record_path(space)):
        with suppress(FileNotFoundError, NotADirectoryError):
            state = path.stat()
            found.append((state.st_ino, state.st_mtime_ns))
    return found


def _write_reports(
    space: Workspace,
    index: Index,
    found: Found,
    met: set[str],
    duplicates: list[tuple[str, str, str]],
    conflicts: list[Conflict],
    unmatched: list[tuple[str, str]] | None,
) -> None:
    folder = space.folder("faces")
    seen = met | {name for name, _ in found.rejected} | {name for names in found.copies.values() for name in names}
    seen |= set(found.pictures.values())
    seen.discard("")  # of faces whose name is lost
    os.sync()  # the faces reach the disk before the table that names them
    write_index(space, index)
    merge_csv(folder / "rejected.csv", ("file", "reason"), found.rejected, seen)
    framed = [(name, str(count)) for name, count in found.framed.items()]
    if framed or (folder / "frames.csv").is_file():
        merge_csv(folder / "frames.csv", ("file", "frames"), framed, seen)
    merge_csv(folder / "duplicates.csv", ("file", "face", "kept"), duplicates, seen)
    merge_csv(folder / "conflicts.csv", ("file", "face", "attribute", "kept", "refused"), conflicts, seen)
    if unmatched is not None:
        write_csv(folder / "unmatched.csv", ("file", "what"), unmatched)
