"""The CSVs of partial labels: read and checked whole before any picture is, then matched to pictures by name."""

from __future__ import annotations

import csv
import difflib
import os
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from configs.errors import InputError
from labeling.ingest.settings import IngestSettings
from labeling.ingest.sources import Picture
from labeling.ingest.tables import is_table, read_table
from labeling.provenance import Source
from labeling.schema import Schema
from labeling.table import UNKNOWN, LabelTable

__all__ = ["LabelRow", "Labels", "match", "match_all", "normal_file", "read_labels"]

Line = tuple[int, list[str]]
"""Line number and cells of a CSV's row."""


@dataclass
class LabelRow:
    """What the CSV says of one file.

    codes: attribute → code, known ones only; group: what it shares a split with, or empty; dropped: why it is left out;
    confidence: attribute → how sure in [0, 1], 1 where absent; clashes: attribute → values that exclude each other, of which
    none is taken.
    """

    file: str
    line: int
    codes: dict[str, int] = field(default_factory=dict)
    group: str = ""
    dropped: str = ""
    confidence: dict[str, float] = field(default_factory=dict)
    clashes: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Labels:
    """A CSV of pictures: rows by file, and who said what each column says."""

    path: Path
    rows: dict[str, LabelRow]
    sources: dict[str, Source]


def read_labels(paths: Sequence[Path], schema: Schema, settings: IngestSettings) -> tuple[list[Labels], dict[Path, LabelTable]]:
    """Read CSVs: those of pictures, and label tables (as `sga status --labels-csv` writes them) by path.

    A CSV of pictures has a column `file`, one column an attribute (value names; empty or `unknown` = unknown), others by
    settings; a column that the settings name must be in one of the CSVs.

    Raises:
        InputError: no such file, not CSV in UTF-8, no `file` column, an unknown column or value, or two rows that contradict.
    """
    files = {path: _read(path) for path in paths}
    tables = {path for path, (header, _) in files.items() if is_table(header)}
    _check_options({path: header for path, (header, _) in files.items()}, tables, schema, settings)
    said = [_labels(path, *file, schema, settings) for path, file in files.items() if path not in tables]
    return said, {path: read_table(path, files[path][0], schema, settings.ignore) for path in files if path in tables}


def _read(path: Path) -> tuple[list[str], list[Line]]:
    """Header and lines, without the empty ones."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.reader(handle, strict=True)
            header = [name.strip() for name in next(reader, [])]
            return header, [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except OSError as error:
        raise InputError(f"Expected a CSV of labels at {path}, found: {error.strerror}. Check the path.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"Expected CSV in UTF-8 at {path}, found: {error}. Save it as CSV (UTF-8) and try again.") from error


def _check_options(
    headers: Mapping[Path, list[str]], tables: Container[Path], schema: Schema, settings: IngestSettings
) -> None:
    """Every column that an option names is in one CSV of pictures at least; --ignore may name one of a label table too.

    Raises:
        InputError: it is in none, or --human names no attribute.
    """
    plain = {path: header for path, header in headers.items() if path not in tables}
    dropping = {column for column, _ in settings.drops}
    for option, named, files in (
        ("--human", set(settings.human), plain),
        ("--drop", dropping, plain),
        ("--group", {settings.group} - {""}, plain),
        ("--ignore", set(settings.ignore), headers),
    ):
        columns = list(dict.fromkeys(name for header in files.values() for name in header))
        absent = sorted(named - set(columns))
        if absent and files:
            where, found = " or ".join(str(path) for path in files), ", ".join(columns) or "an empty file"
            raise InputError(
                f"Expected the column {absent[0]} that {option} names in {where}, found {found}. Correct {option}."
            )
        if absent:
            none = "label tables alone, which say themselves who said what" if headers else "none"
            raise InputError(
                f"Expected a CSV of labels with a column {absent[0]} for {option}, found {none}. "
                f"Type --labels FILE, or leave out {option}."
            )
    idle = sorted(set(settings.human) - (set(schema.names) - set(settings.ignore)))
    if idle:
        raise InputError(
            f"Expected --human to name attributes ({', '.join(schema.names)}), found {idle[0]!r}. Correct --human."
        )


def _labels(path: Path, header: list[str], lines: list[Line], schema: Schema, settings: IngestSettings) -> Labels:
    attributes = _check_header(header, path, schema, settings)
    rows: dict[str, LabelRow] = {}
    for line, cells in lines:
        _add(rows, _row(cells, header, line, path, schema, attributes, settings), path, schema)
    sources = {name: Source.HUMAN if name in settings.human else Source[settings.source.upper()] for name in attributes}
    return Labels(path, rows, sources)


def _check_header(header: list[str], path: Path, schema: Schema, settings: IngestSettings) -> list[str]:
    """The attribute columns."""
    columns = ", ".join(header) or "an empty file"
    if "file" not in header:
        raise InputError(
            f"Expected a column named file in {path}, found {columns}. Name the column of the pictures' paths file."
        )
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise InputError(f"Expected each column of {path} once, found {', '.join(twice)} more than once. Remove or rename one.")
    others = {*settings.ignore, *(column for column, _ in settings.drops), *({settings.group} - {""})}
    for name in header:
        if name not in {"file", *schema.names, *others}:
            close = difflib.get_close_matches(name, schema.names, n=1)
            hint = f" or rename it to {close[0]}" if close else ""
            raise InputError(
                f"Expected columns of schema {schema.name} (file, {', '.join(schema.names)}) in {path}, found {name!r}. "
                f"Type --ignore {name} to leave it out{hint}."
            )
    return [name for name in header if name in schema and name not in settings.ignore]


def _row(
    cells: list[str], header: list[str], line: int, path: Path, schema: Schema, attributes: list[str], settings: IngestSettings
) -> LabelRow:
    if len(cells) != len(header):
        raise InputError(f"Expected {len(header)} cells in row {line} of {path}, found {len(cells)}. Correct that row.")
    values = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
    if not values["file"]:
        raise InputError(f"Expected the path of a picture under file in row {line} of {path}, found nothing. Correct that row.")
    row = LabelRow(normal_file(values["file"]), line)
    for name in attributes:
        if values[name] not in ("", UNKNOWN):
            try:
                row.codes[name] = schema[name].code(values[name])
            except InputError as error:
                raise InputError(f"Row {line} of {path}: {error}") from None
    row.group = values.get(settings.group, "")
    row.dropped = next((f"{column} is {value}" for column, value in settings.drops if values.get(column) == value), "")
    return row


def _add(rows: dict[str, LabelRow], row: LabelRow, path: Path, schema: Schema) -> None:
    first = rows.setdefault(row.file, row)
    for name, code in row.codes.items():
        if first.codes.setdefault(name, code) != code:
            values = schema[name].values
            raise InputError(
                f"Expected one {name} for {row.file} in {path}, found {values[first.codes[name]]} in row {first.line} and "
                f"{values[code]} in row {row.line}. Correct or remove one of them."
            )
    first.group = first.group or row.group
    first.dropped = first.dropped or row.dropped


def normal_file(file: str) -> str:
    """A path as the rows are kept by: with slashes, without `./`."""
    return PurePosixPath(file.replace("\\", "/")).as_posix()


def match(labels: Labels, pictures: Sequence[Picture]) -> tuple[dict[str, LabelRow], list[LabelRow]]:
    """Which row belongs to which picture (by `Picture.name`), and the rows that belong to none.

    A row's `file` may be the picture's absolute path, its path from the CSV's folder, `<PATH's last part>/<path below PATH>`,
    or the path below PATH (a tar member's name): the first of these that is in the CSV counts. Behind any of them `#k` names
    one face of the picture; such a row is found as `<Picture.name>#k`.

    Raises:
        InputError: one row fits several pictures, or no row fits any picture (rows to drop may: they are gone already).
    """
    base = labels.path.resolve().parent
    of_faces = _rows_of_faces(labels.rows)
    found: dict[str, LabelRow] = {}
    users: dict[str, str] = {}
    for picture in pictures:
        keys = list(_keys(picture, base))
        whole = [(key, "") for key in keys if key in labels.rows][:1]
        part = next((key for key in keys if key in of_faces), "")
        for key, face in [*whole, *((part + face, face) for face in of_faces.get(part, ()))]:
            if key in users:
                raise InputError(
                    f"Expected one picture for {key} (row {labels.rows[key].line} of {labels.path}), found {users[key]} and "
                    f"{picture.name}. Write the longer names into the CSV."
                )
            users[key], found[picture.name + face] = picture.name, labels.rows[key]
    row = next((row for row in labels.rows.values() if not row.dropped), None)
    if row is not None and not found:
        there = repr(pictures[0].inner) if pictures else "none"
        raise InputError(
            f"Expected the file column of {labels.path} to name the pictures, found {row.file!r} there and "
            f"{there} among the pictures: no row fits. Write the paths below PATH into the CSV."
        )
    return found, [row for file, row in labels.rows.items() if file not in users]


def _rows_of_faces(files: Iterable[str]) -> dict[str, list[str]]:
    """A picture's file → the `#k` of those of `files` that name one of its faces."""
    faces: dict[str, list[str]] = {}
    for file in files:
        picture, mark, number = file.rpartition("#")
        if mark and number.isdecimal():
            faces.setdefault(picture, []).append(mark + number)
    return faces


def match_all(
    said: Sequence[Labels], pictures: Sequence[Picture], schema: Schema
) -> tuple[dict[str, LabelRow], list[LabelRow]]:
    """`match` of several CSVs, their rows put together.

    Raises:
        InputError: as `match`, or two CSVs contradict each other about a picture.
    """
    together: dict[str, LabelRow] = {}
    by: dict[str, Labels] = {}
    loose: list[LabelRow] = []
    for labels in said:
        found, unused = match(labels, pictures)
        loose += unused
        for name, row in found.items():
            first, where = together.setdefault(name, row), by.setdefault(name, labels)
            for attribute, code in row.codes.items():
                if first.codes.setdefault(attribute, code) != code:
                    values = schema[attribute].values
                    raise InputError(
                        f"Expected one {attribute} for {name}, found {values[first.codes[attribute]]} in row {first.line} of "
                        f"{where.path} and {values[code]} in row {row.line} of {labels.path}. Correct or remove one of them."
                    )
            first.group, first.dropped = first.group or row.group, first.dropped or row.dropped
    return together, loose


def _keys(picture: Picture, base: Path) -> Iterable[str]:
    if picture.path is not None:
        whole = picture.path.absolute()
        yield whole.as_posix()
        yield normal_file(os.path.relpath(whole.parent.resolve() / whole.name, base))
    yield picture.name
    yield f"{picture.base}/{picture.inner}"
    yield picture.inner
