"""The label table: one row a face; for each attribute a nullable code, a confidence and a source. Absence is data."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from configs.errors import InputError, WorkspaceError
from configs.files import atomic_path, read_parquet
from labeling.provenance import MISSING_CODE, Source
from labeling.schema import Schema

__all__ = ["LEFT_OUT", "SPLITS", "UNKNOWN", "Histogram", "LabelTable"]

UNKNOWN = "unknown"
"""How a missing cell is written for people. In CSV input the empty text means the same."""

SPLITS = ("train", "validation", "test")
LEFT_OUT = "left_out"
"""What stands in the place of the split of a face that cleaning marked: nothing is learnt from it, nothing measured on it."""

_FORMAT = 1
_METADATA = b"sga.labels"


@dataclass(frozen=True)
class Histogram:
    """Counts of one attribute: `counts[value]` (the last key is `unknown`) and `sources[source]`, of the faces that were not
    left out; left_out: how many were."""

    attribute: str
    counts: dict[str, int]
    sources: dict[str, int]
    left_out: int = 0


class LabelTable:
    """Faces in rows, attributes in columns.

    `frame` has the columns `face` (64 hex digits: SHA-256 of the decoded RGB pixels), `file` (path relative to the workspace),
    `split` (train, validation, test, or `LEFT_OUT`), `group` (faces of one group are near duplicates and share a split) and, an
    attribute, NAME (Int8, <NA> where unknown), NAME_confidence (float32 in [0, 1], NaN where unknown) and NAME_source (int8, a
    `Source`).
    """

    def __init__(self, schema: Schema, frame: pd.DataFrame) -> None:
        self.schema = schema
        self.frame = frame.reset_index(drop=True)
        expected = self.columns(schema)
        missing = [name for name in expected if name not in self.frame.columns]
        if missing:
            raise WorkspaceError(
                f"Expected the columns of schema {schema.name} in the label table, found none named {', '.join(missing)}. "
                "Ingest the faces again with this schema: sga ingest PATH --schema NAME"
            )
        if self.frame["face"].duplicated().any():
            raise WorkspaceError("Expected every face once in the label table, found duplicates. Ingest the faces again.")
        self._rows = pd.Index(self.frame["face"])

    # -- making ------------------------------------------------------------------------------------------------------------

    @staticmethod
    def columns(schema: Schema) -> list[str]:
        """The columns of `frame` and of the CSV, in order."""
        columns = ["face", "file", "split", "group"]
        for name in schema.names:
            columns += [name, f"{name}_confidence", f"{name}_source"]
        return columns

    @classmethod
    def empty(
        cls, schema: Schema, faces: Sequence[str], files: Sequence[str], splits: Sequence[str], groups: Sequence[str]
    ) -> LabelTable:
        """A table of faces nobody has said anything about."""
        frame = pd.DataFrame(
            {
                "face": np.asarray(faces, dtype=object),
                "file": np.asarray(files, dtype=object),
                "split": np.asarray(splits, dtype=object),
                "group": np.asarray(groups, dtype=object),
            }
        )
        for name in schema.names:
            frame[name] = pd.array([pd.NA] * len(frame), dtype="Int8")
            frame[f"{name}_confidence"] = np.full(len(frame), np.nan, dtype=np.float32)
            frame[f"{name}_source"] = np.full(len(frame), Source.MISSING, dtype=np.int8)
        return cls(schema, frame)

    def select(self, rows: Any) -> LabelTable:
        """The rows of a boolean mask or of integer positions, as a table of its own."""
        return LabelTable(self.schema, self.frame.iloc[np.flatnonzero(rows) if np.asarray(rows).dtype == bool else rows])

    # -- reading -----------------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def faces(self) -> np.ndarray:
        """(n,) object: the identity of each face."""
        return self.frame["face"].to_numpy()

    def rows(self, faces: Iterable[str]) -> np.ndarray:
        """(k,) int64 row of each face, -1 for a face that is not here."""
        return self._rows.get_indexer(pd.Index(list(faces)))

    def codes(self, name: str) -> np.ndarray:
        """(n,) int64 codes of an attribute, -1 where unknown."""
        self.schema[name]
        return self.frame[name].fillna(MISSING_CODE).to_numpy(dtype=np.int64)

    def confidence(self, name: str) -> np.ndarray:
        """(n,) float32 in [0, 1], NaN where unknown."""
        self.schema[name]
        return self.frame[f"{name}_confidence"].to_numpy(dtype=np.float32)

    def sources(self, name: str) -> np.ndarray:
        """(n,) int64, each a `Source`."""
        self.schema[name]
        return self.frame[f"{name}_source"].to_numpy(dtype=np.int64)

    def labelled(self, name: str) -> np.ndarray:
        """(n,) bool: original or human, that is, neither missing nor completed. The mask of the masked losses."""
        return self.sources(name) >= Source.ORIGINAL

    def in_split(self, split: str) -> np.ndarray:
        """(n,) bool."""
        return self.frame["split"].to_numpy() == split

    def kept(self) -> np.ndarray:
        """(n,) bool: the faces that cleaning did not leave out."""
        return ~self.in_split(LEFT_OUT)

    def trainable(self) -> np.ndarray:
        """(n,) bool: the faces that may be learnt from, neither of the split test nor left out."""
        return self.kept() & ~self.in_split("test")

    def histogram(self, name: str) -> Histogram:
        """Counts of every value of an attribute, unknown included."""
        kept = self.kept()
        codes, attribute, sources = self.codes(name)[kept], self.schema[name], self.sources(name)[kept]
        counts = {value: int((codes == code).sum()) for code, value in enumerate(attribute.values)}
        counts[UNKNOWN] = int((codes == MISSING_CODE).sum())
        said = {source.name.lower(): int((sources == source).sum()) for source in Source}
        return Histogram(name, counts, said, int((~kept).sum()))

    def histograms(self) -> list[Histogram]:
        """One histogram an attribute, in the schema's order."""
        return [self.histogram(name) for name in self.schema.names]

    # -- writing cells -----------------------------------------------------------------------------------------------------

    def fill(self, name: str, rows: np.ndarray, codes: np.ndarray, source: Source, confidence: np.ndarray | float = 1.0) -> int:
        """Write cells of one attribute where `source` overrules, or equals, what stands there; returns how many were written.

        rows: (k,) int64; codes: (k,) int64 in [0, size), or -1, which with source MISSING empties completed cells and with any
        other source is skipped; confidence: float or (k,) in [0, 1]. Completion can therefore only ever touch missing and
        completed cells.

        Raises:
            InputError: a code outside the attribute's values.
        """
        attribute = self.schema[name]
        rows, codes = np.asarray(rows, dtype=np.int64), np.asarray(codes, dtype=np.int64)
        if codes.size and (codes.max() >= attribute.size or codes.min() < MISSING_CODE):
            raise InputError(f"Expected codes of {name} in 0 … {attribute.size - 1}, found {codes.min()} … {codes.max()}.")
        present = self.sources(name)[rows]
        if source is Source.MISSING:
            writable = present <= Source.COMPLETED
        else:
            writable = (present <= source) & (codes != MISSING_CODE)
        rows, codes = rows[writable], codes[writable]
        values = pd.array(codes, dtype="Int8")
        values[codes == MISSING_CODE] = pd.NA
        certainty = np.broadcast_to(np.asarray(confidence, dtype=np.float32), writable.shape)[writable].copy()
        certainty[codes == MISSING_CODE] = np.nan
        self.frame.loc[rows, name] = values
        self.frame.loc[rows, f"{name}_confidence"] = certainty
        self.frame.loc[rows, f"{name}_source"] = np.int8(source)
        return len(rows)

    def clear(self, name: str, rows: np.ndarray) -> None:
        """Empty cells of one attribute, whoever filled them: for a label that was taken back. rows: (k,) int64."""
        self.schema[name]
        self.frame.loc[rows, name] = pd.NA
        self.frame.loc[rows, f"{name}_confidence"] = np.float32(np.nan)
        self.frame.loc[rows, f"{name}_source"] = np.int8(Source.MISSING)

    # -- files -------------------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write parquet, whole or not at all. The schema travels inside the file."""
        table = pa.Table.from_pandas(self.frame[self.columns(self.schema)], preserve_index=False)
        metadata = {**(table.schema.metadata or {}), _METADATA: f"{_FORMAT}\n{self.schema.to_json()}".encode()}
        with atomic_path(path) as temporary:
            pq.write_table(table.replace_schema_metadata(metadata), temporary, compression="zstd")

    @classmethod
    def load(cls, path: str | Path) -> LabelTable:
        """Read what `save` wrote.

        Raises:
            WorkspaceError: no such file, no label table, or one of another format.
        """
        path = Path(path)
        if not path.is_file():
            raise WorkspaceError(
                f"Expected a label table at {path}, found none. Type first: sga ingest PATH --workspace {path.parent}"
            )
        try:
            table = read_parquet(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise WorkspaceError(
                f"Expected a label table (parquet) at {path}, found a damaged file ({error}). Ingest the faces again."
            ) from error
        stamp = (table.schema.metadata or {}).get(_METADATA, b"").decode()
        version, _, schema = stamp.partition("\n")
        if version != str(_FORMAT):
            raise WorkspaceError(
                f"Expected a label table of format {_FORMAT} at {path}, found {version or 'another program’s parquet'}. "
                "Ingest the faces into a new workspace."
            )
        return cls(Schema.from_json(schema), table.to_pandas())

    def to_csv(self, path: str | Path) -> None:
        """Write CSV for people: value names (`unknown` where missing), confidences, and sources by name."""
        out = self.frame[["face", "file", "split", "group"]].copy()
        for attribute in self.schema:
            names = np.array([*attribute.values, UNKNOWN], dtype=object)
            out[attribute.name] = names[self.codes(attribute.name)]  # code -1 reads the last name
            out[f"{attribute.name}_confidence"] = self.confidence(attribute.name)
            out[f"{attribute.name}_source"] = [Source(code).name.lower() for code in self.sources(attribute.name)]
        with atomic_path(path) as temporary:
            out.to_csv(temporary, index=False, float_format="%.9g", quoting=csv.QUOTE_MINIMAL)

    @classmethod
    def from_csv(cls, path: str | Path, schema: Schema) -> LabelTable:
        """Read what `to_csv` wrote, and what people made of it: other columns are passed over, an empty confidence is 1.

        Raises:
            InputError: a column is missing, a value is not one of the schema's, a source or confidence does not go with its
                value, or a face is there twice.
        """
        try:
            raw = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig").fillna("")
        except (OSError, ValueError) as error:  # pandas' parser errors are ValueErrors
            raise InputError(f"Expected a label table as CSV at {path}, found none that can be read ({error}).") from error
        needed = [name for name in cls.columns(schema) if name not in raw.columns]
        if needed:
            raise InputError(
                f"Expected the columns {', '.join(needed)} in {path}, found {', '.join(raw.columns)}. "
                f"Write it with sga status --labels-csv, from a workspace of schema {schema.name}."
            )
        twice = raw["face"][raw["face"].duplicated()]
        if len(twice):
            raise InputError(f"Expected every face once in {path}, found {twice.iloc[0]!r} twice. Remove one of the rows.")
        table = cls.empty(schema, *(raw[name].tolist() for name in ("face", "file", "split", "group")))
        for attribute in schema:
            table._read_cells(attribute.name, raw, path)
        return table

    def _read_cells(self, name: str, raw: pd.DataFrame, path: str | Path) -> None:
        """One attribute of a CSV. raw: its text cells, in the order of this table's rows."""
        codes = encode(name, raw[name], self.schema)
        sources = raw[f"{name}_source"].str.upper()
        unknown = sorted(set(sources) - set(Source.__members__))
        if unknown:
            names = ", ".join(source.name.lower() for source in Source)
            raise InputError(f"Expected sources {names} in {path}, found {unknown[0].lower()!r}. Correct {name}_source.")
        levels = sources.map(lambda source: int(Source[source])).to_numpy(dtype=np.int64)
        apart = np.flatnonzero((levels == Source.MISSING) != (codes == MISSING_CODE))
        if len(apart):
            row = int(apart[0])
            raise InputError(
                f"Expected a source beside each known {name} in {path}, and missing beside {UNKNOWN}; found {raw[name][row]!r} "
                f"with {sources[row].lower()!r} for {raw['file'][row]}. Write human where a person looked."
            )
        try:
            confidence = pd.to_numeric(raw[f"{name}_confidence"].replace("", "1")).to_numpy(dtype=np.float32)
        except ValueError as error:
            raise InputError(f"Expected numbers in {name}_confidence of {path}, found: {error}. Correct it.") from error
        if not ((confidence >= 0) & (confidence <= 1)).all():
            raise InputError(f"Expected {name}_confidence of {path} in 0 … 1, found other numbers. Correct it.")
        for source in (Source.COMPLETED, Source.ORIGINAL, Source.HUMAN):
            rows = np.flatnonzero(levels == source)
            self.fill(name, rows, codes[rows], source, confidence[rows])


def encode(name: str, values: Iterable[str], schema: Schema) -> np.ndarray:
    """(n,) int64 codes of value names; -1 for the empty text and `unknown`.

    Raises:
        InputError: a value that the attribute does not have; names it and the nearest.
    """
    attribute = schema[name]
    lookup = {"": MISSING_CODE, UNKNOWN: MISSING_CODE}
    codes = []
    for value in values:
        if value not in lookup:
            lookup[value] = attribute.code(value)
        codes.append(lookup[value])
    return np.asarray(codes, dtype=np.int64)
