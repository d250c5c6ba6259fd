"""`faces/cleaning.parquet`: what was measured of every face, why it is left out, who said so, and the split it has or would
have.

The record tells what is left out and the label table follows it, so a command that was interrupted between the two is made good
by the next one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from configs.errors import WorkspaceError
from configs.files import atomic_path, read_parquet
from labeling.cleaning.settings import LABEL_TABLE, REASONS
from labeling.ingest.groups import split_of
from labeling.table import LEFT_OUT, LabelTable
from labeling.workspace import Workspace

__all__ = [
    "KEEP",
    "LEAVE_OUT",
    "Record",
    "beside",
    "follow_marks",
    "former_splits",
    "read_record",
    "record_path",
    "with_former",
]

KEEP, LEAVE_OUT = "keep", "leave_out"
"""What a person may say of a face."""

_TEXTS = ("face", "reason", "duplicate_of", "former", "verdict", "by", "time")
_METADATA = b"sga.cleaning"
_FORMAT = 1


@dataclass
class Record:
    """frame: a row a face, of the label table and of those that left it, with the columns `face`; a score a reason (float32,
    NaN where nothing was measured; of near_duplicate the distance to `duplicate_of`); `reason` why scores leave it out, "" =
    they do not; `duplicate_of` the face in whose place it goes; `former` the split it has or would have; `verdict` what a
    person said, "" = nobody; `by` who, and `time` when.

    facts: the settings of the last marking and what it was made from.
    """

    frame: pd.DataFrame
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def empty(cls) -> Record:
        """Of no face."""
        columns: dict[str, Any] = {name: pd.Series([], dtype=object) for name in _TEXTS}
        return cls(pd.DataFrame(columns | {name: pd.Series([], dtype=np.float32) for name in REASONS}))

    def left_out(self) -> np.ndarray:
        """(n,) bool: a person's verdict, where there is none what the scores say; but no near duplicate of a face that itself
        is left out or gone: one of them stays."""
        verdict, other = self.frame["verdict"].to_numpy(), self.frame["duplicate_of"].to_numpy()
        said: np.ndarray = (verdict == LEAVE_OUT) | ((verdict == "") & (self.frame["reason"].to_numpy() != ""))
        alone = (other != "") & ~np.isin(other.astype(str), self.frame["face"].to_numpy()[~said].astype(str))
        return said & ~(alone & (verdict == ""))

    def of(self, table: LabelTable) -> Record:
        """Rows of exactly the table's faces, in its order; one that is not here yet has nothing measured and nobody's
        verdict."""
        frame = self.frame.set_index("face").reindex(table.faces).rename_axis("face").reset_index()
        frame[list(_TEXTS)] = frame[list(_TEXTS)].astype(object).where(frame[list(_TEXTS)].notna(), "")
        return Record(frame, self.facts)

    def apply(self, table: LabelTable) -> bool:
        """Let the table's splits follow; returns whether any changed. Faces of which nothing is known keep theirs."""
        mine = self.of(table)
        known, out = mine.frame["former"].to_numpy() != "", mine.left_out()
        split = table.frame["split"].to_numpy(dtype=object, copy=True)
        wanted = np.where(known, np.where(out, LEFT_OUT, mine.frame["former"].to_numpy()), split)
        changed = bool((wanted != split).any())
        if changed:
            table.frame["split"] = wanted
        return changed

    def save(self, space: Workspace) -> None:
        """Write it, whole or not at all."""
        data = pa.Table.from_pandas(self.frame[[*_TEXTS, *REASONS]], preserve_index=False)
        stamp = f"{_FORMAT}\n{json.dumps(self.facts, sort_keys=True)}".encode()
        with atomic_path(record_path(space)) as temporary:
            pq.write_table(data.replace_schema_metadata({**(data.schema.metadata or {}), _METADATA: stamp}), temporary)


def record_path(space: Workspace) -> Path:
    """Where the record of a workspace lies."""
    return space.folder("faces") / "cleaning.parquet"


def read_record(space: Workspace) -> Record:
    """What was written last; an empty one before the first marking.

    Raises:
        WorkspaceError: the file is damaged, or of another version.
    """
    path = record_path(space)
    if not path.is_file():
        return Record.empty()
    again = "Restore it from a copy: it alone knows which split the faces that are left out had, and what people said of them."
    try:
        stored = read_parquet(path)
        version, _, facts = (stored.schema.metadata or {}).get(_METADATA, b"").decode().partition("\n")
        if version != str(_FORMAT):
            raise WorkspaceError(f"Expected a record of cleaning in {path}, found another program's or version's. {again}")
        return Record(stored.to_pandas()[[*_TEXTS, *REASONS]], json.loads(facts))
    except (pa.ArrowInvalid, OSError, ValueError, KeyError) as error:
        raise WorkspaceError(f"Expected a record of cleaning in {path}, found a damaged file ({error}). {again}") from error


def with_former(space: Workspace, record: Record, table: LabelTable) -> Record:
    """A row for every face of the table, in its order, with its split: as the table says, for a face that is left out as the
    record says, else as its group has it."""
    mine = record.of(table)
    split = table.frame["split"].to_numpy(dtype=object)
    out, former = split == LEFT_OUT, mine.frame["former"].to_numpy(dtype=object, copy=True)
    if (out & (former == "")).any():
        groups, made = table.frame["group"].to_numpy(), (space.record("faces") or {}).get("settings", {})
        others = dict(zip(groups[~out], split[~out], strict=True))
        for row in np.flatnonzero(out & (former == "")):
            shares = (made.get("test", 0.0), made.get("validation", 0.0))
            former[row] = others.get(groups[row]) or split_of(str(groups[row]), *shares)
    mine.frame["former"] = np.where(out, former, split)
    return mine


def beside(mine: Record, before: Record) -> Record:
    """`mine` and the rows of `before` that are of other faces: those that left the table may come back."""
    absent = before.frame[~before.frame["face"].isin(set(mine.frame["face"]))]
    return Record(pd.concat([mine.frame, absent], ignore_index=True), mine.facts) if len(absent) else mine


def follow_marks(space: Workspace, table: LabelTable, tables: Mapping[Path, LabelTable]) -> Record | None:
    """Leave out, in a table that an ingest has put together, the faces that cleaning left out and those that label tables say
    are left out: of the latter those of which nothing was measured or said here, and until scores decide. Returns the record to
    save before the table, None = nothing is known.

    Raises:
        WorkspaceError: the record is damaged.
    """
    before = read_record(space)
    told = {face for one in tables.values() for face in one.faces[one.in_split(LEFT_OUT)]}
    if not len(before.frame) and not told:
        return None
    mine = with_former(space, before, table)
    frame = mine.frame
    # Whose marks they were, people's or scores', a label table does not tell.
    known = frame[list(REASONS)].notna().any(axis=1) | (frame[["reason", "verdict", "time"]] != "").any(axis=1)
    frame.loc[frame["face"].isin(told) & ~known, "reason"] = LABEL_TABLE
    mine.apply(table)
    return beside(mine, before)


def former_splits(record: Record) -> Mapping[str, str]:
    """face → the split it has or would have, of the faces in the record."""
    return dict(zip(record.frame["face"], record.frame["former"], strict=True))
