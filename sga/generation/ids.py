"""A CSV of IDs: read twice, first to refuse what is wrong before anything is drawn, then row by row to draw."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from configs.errors import InputError
from sga.generation.conditions import resolve
from sga.generation.rng import id_subject
from sga.model_folder import ModelSpec

__all__ = ["IdTable", "read_ids"]

_DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True)
class IdTable:
    """A checked CSV of IDs.

    count: different (ID, gender) pairs; duplicates: rows that repeat one; ignored: names of columns that are not read; spaced:
    IDs that begin or end with a space, which is part of the ID.
    """

    path: Path
    gender: str | None
    count: int
    duplicates: int
    ignored: tuple[str, ...]
    spaced: int

    def __iter__(self) -> Iterator[tuple[str, str | None]]:
        """(ID, gender) in the order of the file, each pair once. Of each pair 16 bytes are kept, no row is."""
        seen: set[bytes] = set()
        for identity, gender, _ in _rows(self.path, self.gender):
            key = _key(identity, gender)
            if key not in seen:
                seen.add(key)
                yield identity, gender

    def __len__(self) -> int:
        return self.count


def read_ids(path: str | Path, spec: ModelSpec, gender: str | None = None) -> IdTable:
    """Check a CSV of IDs in UTF-8, with or without a byte order mark, parted by commas, semicolons or tabs.

    Its header names a column `id`, and may name `gender`; an empty gender means `gender`, the argument (None: the ID decides).
    IDs are taken as they are, character by character.

    Raises:
        InputError: no such file or column, an empty ID, an unknown gender (both with the line), or no ID at all.
    """
    path = Path(path)
    resolve(spec, gender)
    seen: set[bytes] = set()
    rows = spaced = 0
    known: set[str | None] = {gender}
    for identity, asked, line in _rows(path, gender):
        _check(path, line, identity)
        if asked not in known:
            _check_gender(spec, path, line, asked)
            known.add(asked)
        rows += 1
        spaced += identity != identity.strip()
        seen.add(_key(identity, asked))
    if not rows:
        raise InputError(f"Expected at least one ID below the header of {path}, found none. Add a row.")
    _, header = _dialect(path)
    ignored = tuple(name for name in header if _column(name) not in ("id", "gender"))
    return IdTable(path, gender, len(seen), rows - len(seen), ignored, spaced)


def _rows(path: Path, default: str | None) -> Iterator[tuple[str, str | None, int]]:
    """ID, gender and line of each row."""
    delimiter, header = _dialect(path)
    columns = [_column(name) for name in header]
    at = columns.index("id")
    gender_at = columns.index("gender") if "gender" in columns else None
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.reader(handle, delimiter=delimiter, strict=True)
            next(reader)
            for row in reader:
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
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"Expected a CSV in UTF-8 at {path}, found: {error}. Save it as CSV UTF-8.") from error


def _dialect(path: Path) -> tuple[str, list[str]]:
    """The separator and the header."""
    header: list[str] = []
    try:
        for delimiter in _DELIMITERS:
            with path.open(encoding="utf-8-sig", newline="") as handle:
                header = next(csv.reader(handle, delimiter=delimiter), [])
            columns = [_column(name) for name in header]
            if columns.count("id") == 1 and columns.count("gender") <= 1:
                return delimiter, header
    except FileNotFoundError as error:
        raise InputError(f"Expected a CSV of IDs at {path}, found no such file. Check the path.") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"Expected a CSV in UTF-8 at {path}, found: {error}. Save it as CSV UTF-8.") from error
    with path.open(encoding="utf-8-sig", newline="") as handle:
        found = handle.readline(200).strip() or "an empty file"
    raise InputError(
        f"Expected one column id, and at most one column gender, in the header of {path}, found: {found}. "
        "Write id into its first line, and an ID into each of the others."
    )


def _column(name: str) -> str:
    return name.strip().lower()


def _check(path: Path, line: int, identity: str) -> None:
    if not identity.strip():
        raise InputError(f"Expected an ID in line {line} of {path}, found an empty one. Fill it in or delete the line.")
    id_subject(identity)


def _check_gender(spec: ModelSpec, path: Path, line: int, gender: str | None) -> None:
    try:
        resolve(spec, gender)
    except InputError:
        raise InputError(
            f"Expected a gender ({', '.join(spec.gender.values)}, any or empty) in line {line} of {path}, found {gender!r}."
        ) from None


def _key(identity: str, gender: str | None) -> bytes:
    """16 bytes that stand for a face. None and "any" are the same question."""
    asked = "" if gender in (None, "any") else str(gender)
    return hashlib.blake2b(f"{asked}\n{identity}".encode(), digest_size=16).digest()
