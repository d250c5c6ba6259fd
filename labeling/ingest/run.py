"""Ingest: list, read the labels, decode, drop duplicates, group, split, fill the table. Nothing counts before that is saved."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from PIL import Image

from configs.errors import InputError, WorkspaceError
from configs.files import check_space
from labeling.ingest.index import Index, read_index, write_index
from labeling.ingest.labels import LabelRow, match_all, read_labels
from labeling.ingest.merge import Conflict, Found, extend_table, list_duplicates, write_labels
from labeling.ingest.report import IngestReport, merge_csv, write_csv
from labeling.ingest.settings import IngestSettings
from labeling.ingest.sources import Listing, Picture, list_pictures, read_pictures
from labeling.ingest.store import Decoded, decode_all
from labeling.schema import Schema
from labeling.table import LabelTable
from labeling.workspace import Workspace, fingerprint, table_fingerprint

__all__ = ["ingest", "labels_taken_in"]

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
    labels: one CSV or several, see `read_labels` and `match`; progress: called with (files done, files in all). A face that is
    there already keeps its group and split; a label is written where its source overrules what stands there, or equals it and
    comes from the same picture. Run it again after an interruption: the result is the same as without one. Files that were not
    taken are named in `<workspace>/faces/`: rejected.csv, duplicates.csv, conflicts.csv (labels), unmatched.csv (labels without
    a picture, pictures without labels).

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
    hashes = {_hash_of(path) for path in files}
    said = [read_labels(path, schema, settings) for path in files]
    if not said and (settings.human or settings.drop or settings.ignore or settings.group):
        raise InputError("Expected a CSV of labels with --human, --ignore, --group or --drop, found none. Type --labels FILE.")
    index = read_index(space, table)
    alone = not paths and bool(said) and len(table) > 0
    listing = _known(index) if alone else list_pictures(paths, [space.root, *files])
    rows, loose = match_all(said, listing.pictures, schema)
    found = _present(index) if alone else _decode(listing, rows, space, settings, progress)
    before = len(table)
    table, between = extend_table(table, found, rows, index, settings)
    index |= {face: (one.name, one.hash) for face, one in found.faces.items() if face not in index or not index[face][0]}
    sources = {name: source for labels in said for name, source in labels.sources.items()}
    conflicts = write_labels(table, found, rows, sources, index)
    duplicates = list_duplicates(found, index)
    report = IngestReport.of(
        table,
        workspace=space.root,
        pictures=len(listing.pictures) + len(listing.rejected),
        added=len(table) - before,
        present=len(found.faces) - (len(table) - before),
        duplicates=len(duplicates),
        rejected=len(found.rejected),
        conflicts=len(conflicts),
        unmatched_rows=len(loose),
        unlabelled=0 if not said else len(listing.pictures) - len(rows),
        between=len(between),
        seconds=time.monotonic() - started,
    )
    _write_reports(space, index, found, duplicates, conflicts, (rows, loose) if said else None)
    if _stamp(space) != stamp:
        raise WorkspaceError(
            f"Expected {space.labels_path} as it was when this ingest began, found it changed by another command. "
            "Type the same command again."
        )
    table.save(space.labels_path)
    facts = {"schema": schema.hash, **report.counts(), "label_files": sorted(hashes | set(_labels_taken(space)))}
    space.finish("faces", table_fingerprint(table, completed=False), settings.model_dump(mode="json"), **facts)
    return report


def labels_taken_in(workspace: Workspace, labels: Sequence[Path]) -> bool:
    """Whether every one of these CSVs, as it is now, has been ingested."""
    return {_hash_of(path) for path in labels} <= set(_labels_taken(workspace))


def _labels_taken(space: Workspace) -> list[str]:
    return list((space.record("faces") or {}).get("label_files", []))


def _hash_of(path: Path) -> str:
    try:
        return fingerprint(path.read_bytes())
    except OSError as error:
        raise InputError(f"Expected a CSV of labels at {path}, found: {error.strerror}. Check the path.") from error


def _known(index: Index) -> Listing:
    """The pictures that the workspace's faces came from."""
    parts = ((name, *name.partition("/")) for name, _ in index.values() if name)
    return Listing(tuple(Picture(name, base, inner or base, Path(), None) for name, base, _, inner in parts), ())


def _present(index: Index) -> Found:
    """The workspace's own faces, as if they had been met again."""
    faces = {face: Decoded(name, face, bits) for face, (name, bits) in index.items()}
    return Found(faces, {face: [one.name] for face, one in faces.items()})


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
    listing: Listing, rows: dict[str, LabelRow], space: Workspace, settings: IngestSettings, progress: Progress
) -> Found:
    """Decode all; of copies of one face the first by name counts, so the order of PATHs and files never matters."""
    check_space(space.root, len(listing.pictures) * settings.size**2 + 2**24)
    _sweep(space)
    found = Found(rejected=list(listing.rejected))
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
    if not found.faces:
        name, reason = found.rejected[0]
        raise InputError(
            f"Expected usable pictures of faces, found none in {len(listing.pictures)} files ({name}: {reason}). Name others."
        )
    return found


def _write_reports(
    space: Workspace,
    index: Index,
    found: Found,
    duplicates: list[tuple[str, str, str]],
    conflicts: list[Conflict],
    matched: tuple[dict[str, LabelRow], list[LabelRow]] | None,
) -> None:
    folder = space.folder("faces")
    seen = {name for name, _ in found.rejected} | {name for names in found.copies.values() for name in names}
    os.sync()  # the faces reach the disk before the table that names them
    write_index(space, index)
    merge_csv(folder / "rejected.csv", ("file", "reason"), found.rejected, seen)
    merge_csv(folder / "duplicates.csv", ("file", "face", "kept"), duplicates, seen)
    merge_csv(folder / "conflicts.csv", ("file", "face", "attribute", "kept", "refused"), conflicts, seen)
    if matched is not None:
        rows, loose = matched
        without = sorted(seen - set(rows))
        write_csv(
            folder / "unmatched.csv",
            ("file", "what"),
            [
                *((row.file, f"row {row.line}: no such picture") for row in loose),
                *((name, "no row of labels") for name in without),
            ],
        )
