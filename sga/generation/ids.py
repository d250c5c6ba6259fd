"""A CSV of IDs: read once and checked to the end before anything is drawn, for it may be a pipe or be replaced meanwhile."""

from __future__ import annotations

import csv
import hashlib
import weakref
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import tee
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING

from configs.errors import InputError, did_you_mean
from configs.files import explain_os_error
from sga.generation.conditions import ANY, resolve
from sga.generation.rng import id_subject
from sga.model_folder import ModelSpec

if TYPE_CHECKING:
    from _csv import Reader

__all__ = ["IdTable", "read_ids"]

_DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True, eq=False)
class IdTable:
    """A checked CSV of IDs. Iterating gives (ID, gender) in the order of the file, each pair once; one iteration at a time.

    count: different (ID, gender) pairs; duplicates: rows that repeat one; ignored: names of columns that are not read; spaced:
    IDs that begin or end with a space, which is part of the ID; pairs: a temporary file of them, which goes with the table.
    """

    path: Path
    count: int
    duplicates: int
    ignored: tuple[str, ...]
    spaced: int
    pairs: IO[str] = field(repr=False)

    def __post_init__(self) -> None:
        weakref.finalize(self, self.pairs.close)

    def __iter__(self) -> Iterator[tuple[str, str | None]]:
        self.pairs.seek(0)
        for identity, gender in csv.reader(self.pairs):
            yield identity, gender or None

    def __len__(self) -> int:
        return self.count


def read_ids(path: str | Path, spec: ModelSpec, gender: str | None = None) -> IdTable:
    """Check a CSV of IDs in UTF-8, with or without a byte order mark, parted by commas, semicolons or tabs; a pipe will do.

    Its header names a column `id`, and may name `gender`; an empty gender means `gender`, the argument (None: the ID decides).
    IDs are taken as they are, character by character. Of each pair 16 bytes are kept in memory, of rows nothing.

    Raises:
        InputError: no such file or column, an empty ID, an unknown gender, a quote that is not closed (all with the line), or
            no ID at all.
    """
    path = Path(path)
    resolve(spec, gender)
    try:
        with ExitStack() as held:
            table = _checked(path, spec, gender, held.enter_context(TemporaryFile("w+", encoding="utf-8", newline="")))
            held.pop_all()  # from now on the table closes it
            return table
    except OSError as error:
        raise explain_os_error(error, Path(f"a temporary copy of {path}")) from error


def _checked(path: Path, spec: ModelSpec, gender: str | None, pairs: IO[str]) -> IdTable:
    """Check all rows; the different ones are written to `pairs`."""
    delimiter, header, lines = _dialect(path)
    writer, seen = csv.writer(pairs), set[bytes]()
    rows = spaced = 0
    known: set[str | None] = {gender}
    for identity, asked, line in _rows(path, header, csv.reader(lines, delimiter=delimiter, strict=True), gender):
        _check(path, line, identity)
        if asked not in known:
            _check_gender(spec, path, line, str(asked))
            known.add(asked)
        rows += 1
        spaced += identity != identity.strip()
        key = _key(identity, asked)
        if key not in seen:
            seen.add(key)
            writer.writerow((identity, asked))
    if not rows:
        raise InputError(f"Expected at least one ID below the header of {path}, found none. Add a row.")
    pairs.flush()
    ignored = tuple(name for name in header if _column(name) not in ("id", "gender"))
    return IdTable(path, len(seen), rows - len(seen), ignored, spaced, pairs)


def _rows(path: Path, header: list[str], reader: Reader, default: str | None) -> Iterator[tuple[str, str | None, int]]:
    """ID, gender and line of each row below the header."""
    columns = [_column(name) for name in header]
    at = columns.index("id")
    gender_at = columns.index("gender") if "gender" in columns else None
    records = _records(path, reader)
    next(records, None)
    for row in records:
        if not row:
            continue
        if len(row) > len(header):
            raise InputError(
                f"Expected {len(header)} columns in line {reader.line_num} of {path}, found {len(row)}. "
                'Put quotes around an ID that holds a separator: "a,b"'
            )
        identity = row[at] if at < len(row) else ""
        gender = row[gender_at].strip() if gender_at is not None and gender_at < len(row) else ""
        yield identity, gender or default, reader.line_num


def _dialect(path: Path) -> tuple[str, list[str], Iterator[str]]:
    """The separator, the header, and all lines, the header's among them."""
    lines = _lines(path)
    for delimiter in _DELIMITERS:
        lines, ahead = tee(lines)
        header = next(_records(path, csv.reader(ahead, delimiter=delimiter)), [])
        columns = [_column(name) for name in header]
        if columns.count("id") == 1 and columns.count("gender") <= 1:
            return delimiter, header, lines
    found = next(lines, "an empty file")[:200].strip() or "an empty line"
    raise InputError(
        f"Expected one column id, and at most one column gender, in the header of {path}, found: {found}. "
        "Write id into its first line, and an ID into each of the others."
    )


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            yield from handle
    except FileNotFoundError as error:
        raise InputError(f"Expected a CSV of IDs at {path}, found no such file. Check the path.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"Expected a CSV in UTF-8 at {path}, found: {error}. Save it as CSV UTF-8.") from error
    except OSError as error:
        raise InputError(f"Expected a CSV of IDs at {path}, found: {error.strerror}. Name a file that can be read.") from error


def _records(path: Path, reader: Reader) -> Iterator[list[str]]:
    """The rows of a reader."""
    begin = 1
    try:
        for row in reader:
            yield row
            begin = reader.line_num + 1
    except csv.Error as error:
        end = reader.line_num
        where = f"line {end}" if end <= begin else f"lines {begin} to {end}"
        raise InputError(
            f"Expected a CSV in UTF-8 at {path}, found in {where}: {error}. "
            'Close each quote there, and write one that belongs to an ID twice, in quotes: "a ""b"""'
        ) from error


def _column(name: str) -> str:
    return name.strip().lower()


def _check(path: Path, line: int, identity: str) -> None:
    if not identity.strip():
        raise InputError(f"Expected an ID in line {line} of {path}, found an empty one. Fill it in or delete the line.")
    id_subject(identity)


def _check_gender(spec: ModelSpec, path: Path, line: int, gender: str) -> None:
    try:
        resolve(spec, gender)
    except InputError:
        known = (*spec.gender.values, ANY)
        raise InputError(
            f"Expected a gender ({', '.join(known)} or empty) in line {line} of {path}, found {gender!r}."
            + (did_you_mean(gender, known) or " Write one of those.")
        ) from None


def _key(identity: str, gender: str | None) -> bytes:
    """16 bytes that stand for a face. None and "any" are the same question."""
    asked = "" if gender in (None, "any") else str(gender)
    return hashlib.blake2b(f"{asked}\n{identity}".encode(), digest_size=16).digest()
