"""What an ingest is asked to do: everything but the pictures themselves, read and checked before the first is decoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from configs.errors import WorkspaceError
from labeling.cleaning.record import record_path
from labeling.detection import make_detector
from labeling.ingest.index import Index, read_index
from labeling.ingest.labels import LabelRow, match_all, read_labels
from labeling.ingest.pictures import known_copies, known_pictures, with_copies
from labeling.ingest.settings import IngestSettings
from labeling.ingest.sources import Listing, list_pictures
from labeling.ingest.tables import read_removed
from labeling.ingest.taken import taken_with
from labeling.metadata import Sheet, pictures_of, read_sheet
from labeling.provenance import Source
from labeling.schema import Schema
from labeling.table import LabelTable
from labeling.tags.ingesting import TagIngest
from labeling.where import Where
from labeling.workspace import Workspace

__all__ = ["Plan", "stamp_of"]


@dataclass(frozen=True)
class Plan:
    """The workspace as an ingest finds it, the pictures to look at, and what files say of them.

    table, removed, index: of the faces that are there, those that left, and where the former came from; homes: name of the
    picture by face; copies: what else a face is called, see `known_copies`, where no picture is looked at; stamp: see
    `stamp_of`, before anything was read.

    alone: no PATH was named, so the faces that are there stand in for pictures; files: CSVs of labels; rows: what those of
    pictures say, by the name of a picture or face; sources: who said so, by attribute; tables: label tables by path; loose:
    (file, why) of the rows that belong to no picture; taken: what the stage's record will say was read.
    """

    space: Workspace
    schema: Schema
    settings: IngestSettings
    stamp: list[tuple[int, int]]
    table: LabelTable
    removed: LabelTable
    index: Index
    homes: Mapping[str, str]
    alone: bool
    files: Sequence[Path]
    listing: Listing
    copies: Mapping[str, Sequence[str]]
    rows: Mapping[str, LabelRow]
    sources: Mapping[str, Source]
    tables: Mapping[Path, LabelTable]
    tags: TagIngest
    sheet: Sheet | None
    where: Where
    loose: Sequence[tuple[str, str]]
    taken: Mapping[str, Any]

    @classmethod
    def read(cls, paths: Sequence[str | Path], space: Workspace, settings: IngestSettings, files: Sequence[Path]) -> Plan:
        """paths: of pictures; files: CSVs of labels.

        Raises:
            InputError: paths, files or settings.
            WorkspaceError: the workspace holds another schema or size, or is damaged.
        """
        schema, stamp = Schema.load(settings.schema_name), stamp_of(space)
        table = _open(space, schema, settings)
        tags = TagIngest(schema, settings)
        sheet = read_sheet(Path(settings.metadata)) if settings.metadata else None
        if settings.detection.on:
            make_detector(settings.detection)  # a file that is none is told of before any picture is read
        named = [*files, *settings.tag_files, *([sheet.path] if sheet else [])]
        taken = taken_with(space, paths, [*named, *settings.other_files])
        said, tables = read_labels(files, schema, settings)
        index = read_index(space, table)
        homes = pictures_of(space, index)
        alone = not paths and bool(named or settings.where or settings.tagger.model) and len(table) > 0
        if alone:
            listing = known_pictures(index, homes, space, said, settings)
        else:
            listing = list_pictures(paths, [space.root, *named], sidecars=settings.sidecars)
        copies = known_copies(index, space) if alone and sheet else {}
        rows, unused = match_all(said, listing.pictures, schema)
        loose = [(row.file, f"row {row.line}: no such picture") for row in unused]
        if sheet:
            sheet, beside = sheet.matched(with_copies(listing, copies))
            loose += beside
        tags.gather(listing)
        return cls(
            space=space,
            schema=schema,
            settings=settings,
            stamp=stamp,
            table=table,
            removed=read_removed(space, schema),
            index=index,
            homes=homes,
            alone=alone,
            files=files,
            listing=listing,
            copies=copies,
            rows=rows,
            sources={name: source for labels in said for name, source in labels.sources.items()},
            tables=tables,
            tags=tags,
            sheet=sheet,
            where=Where(settings.where, sheet, space),
            loose=loose,
            taken=taken,
        )

    @property
    def dropped(self) -> dict[str, str]:
        """Why a picture, or a face of it, is left out by a CSV, by its name."""
        return {name: row.dropped for name, row in self.rows.items() if row.dropped}

    @property
    def labelled(self) -> bool:
        """Whether something says what pictures are, so that one of which nothing is said is worth naming."""
        return bool(self.files or self.settings.tags)


def stamp_of(space: Workspace) -> list[tuple[int, int]]:
    """Tells one state of labels and marks from another: what a person says meanwhile must not be overwritten."""
    found = []
    for path in (space.labels_path, record_path(space)):
        with suppress(FileNotFoundError, NotADirectoryError):
            state = path.stat()
            found.append((state.st_ino, state.st_mtime_ns))
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
