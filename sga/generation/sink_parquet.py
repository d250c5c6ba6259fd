"""A parquet table of faces, a row a face."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from configs.errors import MissingExtra
from sga.generation.sink import read_back, read_note
from sga.generation.sink_archive import Archive, Record

__all__ = ["ParquetSink"]

_ROWS = 256
"""Faces of a row group."""


class ParquetSink(Archive):
    """A parquet table, a row a face: name, image (the PNG), and what its metadata say."""

    def __init__(
        self, path: Path, expected: Mapping[str, str], *, overwrite: bool = False, gaps: bool = True, best: bool = True
    ) -> None:
        """See `open_sink`."""
        try:
            import pyarrow.parquet  # noqa: F401
        except ModuleNotFoundError as error:
            raise MissingExtra("pyarrow", "tables") from error
        super().__init__(path, expected, overwrite=overwrite, gaps=gaps, best=best)

    def _note(self) -> dict[str, Any] | None:
        import pyarrow
        import pyarrow.parquet

        try:
            stored = pyarrow.parquet.read_schema(self.path).metadata or {}
            return read_note(stored[b"sga"])
        except (pyarrow.ArrowInvalid, OSError, KeyError, ValueError):
            return None

    def _read_all(self) -> Iterator[Record]:
        import pyarrow.parquet

        with pyarrow.parquet.ParquetFile(self.path) as file:
            for batch in file.iter_batches(_ROWS, columns=["name", "image"]):
                yield from zip(batch.column("name").to_pylist(), batch.column("image").to_pylist(), strict=True)

    def _write_all(self, path: Path, note: dict[str, Any], records: Iterator[Record]) -> None:
        import pyarrow
        import pyarrow.parquet

        schema = _schema().with_metadata({"sga": json.dumps(note, sort_keys=True)})
        plain = [name for name in schema.names if name not in ("image", "name")]
        with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd", use_dictionary=plain) as writer:
            for rows in _grouped(map(_row, records), _ROWS):
                writer.write_table(pyarrow.Table.from_pylist(rows, schema))


def _schema() -> Any:
    import pyarrow

    whole, text = pyarrow.int64(), pyarrow.string()
    types = {
        **{"name": text, "image": pyarrow.binary(), "seed": pyarrow.uint64(), "index": whole, "attempt": whole},
        **{"gender": text, "quality": pyarrow.float32(), "accepted": pyarrow.bool_(), "avatar": text, "model": text},
        "style": pyarrow.list_(pyarrow.float32()),
    }
    return pyarrow.schema([pyarrow.field(name, kind) for name, kind in types.items()])


def _row(record: Record) -> dict[str, Any]:
    """A row of the table, from what the PNG says; null what it does not say."""
    name, content = record
    text = read_back(content) or {}

    def number(key: str, kind: type) -> Any:
        return kind(text[key]) if key in text else None

    return {
        "name": name,
        "image": content,
        **{key: number(key, int) for key in ("seed", "index", "attempt")},
        "quality": number("quality", float),
        "accepted": {"true": True, "false": False}.get(text.get("accepted", "")),
        **{key: text.get(key) for key in ("gender", "avatar", "model")},
        "style": [float(value) for value in text.get("style", "").split()],
    }


def _grouped(rows: Iterator[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    for row in rows:
        group.append(row)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
