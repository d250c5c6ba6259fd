"""Files of tags: what they say of each picture, whatever their form. A tag that is simply there has probability 1."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from reprlib import repr as shown
from typing import Any

from configs.errors import InputError, MissingExtra
from labeling.tags.spelling import parse_tags, spell, valid_text

__all__ = ["Tags", "join", "read_tags", "tags_of_json", "tags_of_text"]

Tags = dict[str, float]
"""Tag, in its one spelling → probability in [0, 1]."""

_WHOLE = ("tags", "tag_string")
_PARTS = tuple(before + kind for before in ("", "tags_", "tag_string_") for kind in ("general", "character", "copyright"))
"""Where JSON keeps tags: all in one of the first, or in several of the second (Illustration2Vec, boorus)."""


def join(into: Tags, tags: Iterable[tuple[str, float]]) -> Tags:
    """`into` with more tags; of one tag the highest probability counts."""
    for tag, probability in tags:
        into[tag] = max(probability, into.get(tag, 0.0))
    return into


def tags_of_text(text: str) -> Tags:
    """The tags of a plain list, as `parse_tags` reads it."""
    return dict.fromkeys(parse_tags(text), 1.0)


def tags_of_json(value: Any) -> Tags:
    """Tags of parsed JSON: text as in a plain list, a list of tags or of [tag, probability], {tag: probability}, or an object
    that holds one of these under `tags`, or under `general`, `character` …

    Raises:
        ValueError: it is none of these, or a probability is not in 0 … 1.
    """
    if isinstance(value, str):
        return tags_of_text(value)
    if isinstance(value, list):
        return join({}, (_pair(item) for item in value))
    if not isinstance(value, dict):
        raise ValueError(f"a {type(value).__name__}")
    whole, parts = ([value[key] for key in keys if isinstance(value.get(key), str | list | dict)] for keys in (_WHOLE, _PARTS))
    if whole or parts:
        held = [part for part in whole if part][:1] or parts
        return join({}, (pair for part in held for pair in tags_of_json(part).items()))
    other = next((key for key, item in value.items() if not isinstance(item, int | float)), None)
    if other is not None:
        raise ValueError(f"an object without tags, {shown(value[other])} under {shown(other)}")
    return join({}, ((spell(tag), _probability(item, tag)) for tag, item in value.items()))


def _pair(item: Any) -> tuple[str, float]:
    if isinstance(item, str):
        return spell(item), 1.0
    if isinstance(item, list | tuple) and len(item) == 2 and isinstance(item[0], str):
        return spell(item[0]), _probability(item[1], item[0])
    raise ValueError(f"{shown(item)} instead of a tag or [tag, probability]")


def _probability(value: Any, tag: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):  # null, a date, a word, an integer of 400 digits
        raise ValueError(f"{shown(value)} as the probability of {tag}") from None
    if not 0 <= number <= 1:
        raise ValueError(f"{number:g} as the probability of {tag}")
    return number


def read_tags(path: Path) -> dict[str, tuple[int, Tags]]:
    """A file of tags: file → (line, tags).

    `.csv` with columns `file` and `tags` (a plain list), or `file` and a column of probabilities a tag (empty = not known);
    `.parquet` likewise; `.jsonl`, `.ndjson` and `.json` (one object a line, or a list of them): `file`, and what `tags_of_json`
    reads. Several lines about a file are put together.

    Raises:
        InputError: no such file, another form, or a probability outside 0 … 1; names the line.
        MissingExtra: a parquet table without pyarrow.
    """
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise InputError(f"Expected tags in a file ({', '.join(_READERS)}) or the word sidecar, found {path}. Correct --tags.")
    found: dict[str, tuple[int, Tags]] = {}
    try:
        for line, file, tags in read(path):
            if not file:
                raise InputError(f"Expected a picture's path under file in row {line} of {path}, found nothing. Correct it.")
            join(found.setdefault(file, (line, {}))[1], tags.items())
    except OSError as error:
        raise InputError(f"Expected a file of tags at {path}, found: {error.strerror or error}. Check the path.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"Expected text in UTF-8 in {path}, found: {error}. Save it anew and try again.") from error
    return found


def _csv(path: Path) -> Iterator[tuple[int, str, Tags]]:
    with path.open(encoding="utf-8-sig", newline="") as handle:
        reader = csv.reader(handle, strict=True)
        header = [name.strip() for name in next(reader, [])]
        parse = _columns(path, header)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise InputError(f"Expected {len(header)} cells in row {reader.line_num} of {path}, found {len(cells)}.")
            yield reader.line_num, *parse(reader.line_num, cells)


def _parquet(path: Path) -> Iterator[tuple[int, str, Tags]]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise MissingExtra("pyarrow", "tables") from error
    try:
        table = pq.ParquetFile(path)
        parse, line = _columns(path, table.schema_arrow.names), 0
        for batch in table.iter_batches(batch_size=1024):
            for cells in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                line += 1
                yield line, *parse(line, cells)
    except pa.ArrowException as error:
        raise InputError(f"Expected a parquet table in {path}, found: {error}. Write it anew.") from error


def _columns(path: Path, header: list[str]) -> Callable[[int, Any], tuple[str, Tags]]:
    """What turns a row's cells into its file and tags.

    Raises:
        InputError: no column file, or nothing beside it.
    """
    if "file" not in header or len(header) < 2 or len(set(header)) < len(header):
        raise InputError(
            f"Expected a column file in {path}, and tags or a column a tag, each once; found {', '.join(header) or 'nothing'}."
        )
    file = header.index("file")
    listed = header.index("tags") if "tags" in header else -1
    wide = [(column, spell(name)) for column, name in enumerate(header) if column != file]

    def parse(line: int, cells: Any) -> tuple[str, Tags]:
        try:
            tags = tags_of_json(cells[listed] or "") if listed >= 0 else join({}, _known(cells, wide))
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"Expected tags, or probabilities in 0 … 1, in row {line} of {path}, found {error}. Correct that row."
            ) from None
        return "" if cells[file] is None else str(cells[file]).strip(), tags

    return parse


def _known(cells: Any, tags: list[tuple[int, str]]) -> Iterator[tuple[str, float]]:
    for column, tag in tags:
        cell = cells[column]
        if cell is not None and str(cell).strip() and not (isinstance(cell, float) and math.isnan(cell)):
            yield tag, _probability(cell, tag)


def _json(path: Path) -> Iterator[tuple[int, str, Tags]]:
    for line, item in _objects(path):
        if not isinstance(item, dict) or not isinstance(item.get("file"), str):
            raise InputError(f'Expected objects with a "file" in {path}, found another in line {line}. Correct it.')
        try:
            tags = tags_of_json({key: value for key, value in item.items() if key != "file"})
        except (ValueError, RecursionError) as error:
            raise InputError(f"Expected tags in line {line} of {path}, found {error}. Correct it.") from error
        yield line, valid_text(item["file"].strip()), tags


def _objects(path: Path) -> Iterator[tuple[int, Any]]:
    """(line, object) of JSON lines, or (number, object) of one list."""
    text = path.read_text(encoding="utf-8-sig")
    line = 0
    try:
        if text.lstrip().startswith("["):
            yield from enumerate(json.loads(text), start=1)
            return
        for line, part in enumerate(text.split("\n"), start=1):
            if part.strip():
                yield line, json.loads(part)
    except (ValueError, RecursionError) as error:  # integers of thousands of digits too
        raise InputError(f"Expected JSON in {path}, one object a line; found: {error} (line {line}). Correct it.") from error


_READERS: dict[str, Callable[[Path], Iterator[tuple[int, str, Tags]]]] = {
    ".csv": _csv,
    ".parquet": _parquet,
    ".jsonl": _json,
    ".ndjson": _json,
    ".json": _json,
}
