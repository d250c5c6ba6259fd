"""The workspace: a folder, a stage a sub-folder. Each stage checks that it belongs to what it reads, and says what to type
next."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from configs.errors import WorkspaceError
from configs.files import read_json, write_json
from labeling.table import LabelTable

__all__ = ["STAGES", "Stage", "Workspace", "fingerprint"]


@dataclass(frozen=True)
class Stage:
    """A stage: its folder, its command and the stages it reads."""

    name: str
    command: str
    needs: tuple[str, ...]


STAGES: dict[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage("faces", "ingest PATH", ()),
        Stage("ensemble", "complete", ("faces",)),
        Stage("sfn", "sfn", ("ensemble",)),
        Stage("gan", "train", ("sfn",)),
        Stage("quality", "quality tune", ("gan",)),
        Stage("model", "export", ("gan", "quality")),
    )
}


def fingerprint(*parts: Any) -> str:
    """16 hex digits of the text of `parts`."""
    return hashlib.blake2b("\x1f".join(str(part) for part in parts).encode(), digest_size=8).hexdigest()


class Workspace:
    """Paths and the record of what each stage was made from."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self._begun: dict[str, dict[str, Any]] = {}

    @property
    def labels_path(self) -> Path:
        """The label table."""
        return self.root / "labels.parquet"

    def table(self) -> LabelTable:
        """The label table; WorkspaceError tells how to make it."""
        return LabelTable.load(self.labels_path)

    def folder(self, stage: str) -> Path:
        """The folder of a stage."""
        return self.root / STAGES[stage].name

    def record(self, stage: str) -> dict[str, Any] | None:
        """What `finish` wrote, or None while the stage is not done."""
        path = self.folder(stage) / "stage.json"
        if not path.is_file():
            return None
        record: dict[str, Any] = read_json(path)
        if not isinstance(record, dict) or not {"output", "inputs", "finished"} <= record.keys():
            raise WorkspaceError(
                f"Expected the record of a stage in {path}, found another JSON. Remove it and run the stage again."
            )
        return record

    def begin(self, stage: str) -> None:
        """Note what the stage reads and take back its record: from here on its files are being overwritten."""
        self._begun[stage] = {"started": _now(), "inputs": self._inputs(stage)}
        (self.folder(stage) / "stage.json").unlink(missing_ok=True)

    def finish(self, stage: str, output: str, settings: dict[str, Any], **facts: Any) -> None:
        """Mark a stage done. output: fingerprint of what it made; settings: resolved; facts: whatever a reader wants to
        know."""
        write_json(
            self.folder(stage) / "stage.json",
            {
                "stage": stage,
                "output": output,
                "inputs": self._inputs(stage),
                "settings": settings,
                "finished": _now(),
                # When it began, this time, and the inputs as they were then: an earlier stage may have been done again since.
                **self._begun.pop(stage, {}),
                **facts,
            },
        )

    def relabelled(self, table: LabelTable) -> bool:
        """Save labels that people changed, and renew the record of the faces, so that the stages made from other labels show
        stale. Returns whether anything was written: the same table again changes no byte."""
        changed = not table.frame.equals(self.table().frame)
        if changed:
            table.save(self.labels_path)
        record, output = self.record("faces"), table_fingerprint(table, completed=False)
        stale = record is not None and record["output"] != output  # also after a crash between the two files
        if record is not None and stale:
            write_json(self.folder("faces") / "stage.json", {**record, "output": output, "relabelled": _now()})
        return changed or stale

    def _inputs(self, stage: str) -> dict[str, str]:
        return {need: (self.record(need) or {}).get("output", "") for need in STAGES[stage].needs}

    def require(self, stage: str) -> dict[str, Any]:
        """The record of a stage that must be done, from inputs that are still here.

        Raises:
            WorkspaceError: it is not; says what to type.
        """
        record = self.record(stage)
        if record is None:
            raise WorkspaceError(
                f"Expected the stage {stage} to be done in {self.root}, found no {self.folder(stage) / 'stage.json'}. "
                f"Type first: sga {STAGES[stage].command} --workspace {self.root}"
            )
        if self.state(stage) == "stale":
            raise WorkspaceError(
                f"Expected the stage {stage} of {self.root} to be made from what is there now, found it made from earlier "
                f"inputs. Type: sga status --workspace {self.root}, and run the stale stages again."
            )
        return record

    def state(self, stage: str) -> Literal["done", "stale", "started", "missing"]:
        """done, stale (made from other inputs than are here now, directly or further up), started or missing."""
        record = self.record(stage)
        if record is None:
            return "started" if self.folder(stage).is_dir() and any(self.folder(stage).iterdir()) else "missing"
        if record["inputs"] != self._inputs(stage) or any(self.state(need) == "stale" for need in STAGES[stage].needs):
            return "stale"
        return "done"


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def table_fingerprint(table: LabelTable, *, completed: bool) -> str:
    """Names the faces, splits and labels of a table; `completed=False` leaves completed cells out."""
    digest = hashlib.blake2b(table.schema.hash.encode(), digest_size=8)
    digest.update("".join(table.faces).encode())
    digest.update("".join(table.frame["split"]).encode())
    for name in table.schema.names:
        codes = table.codes(name)
        digest.update(np.where(table.labelled(name) | completed, codes, -1).astype(np.int8).tobytes())
        if completed:  # a completed cell that a person confirms keeps its value and gains weight
            digest.update(table.labelled(name).tobytes())
    return digest.hexdigest()
