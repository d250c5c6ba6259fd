"""The workspace: each stage knows what it was made from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from configs.errors import UserError, WorkspaceError
from labeling.provenance import Source
from labeling.schema import Schema
from labeling.table import LabelTable
from labeling.workspace import STAGES, Workspace, fingerprint, table_fingerprint


def test_stages_read_earlier_ones_only() -> None:
    earlier: set[str] = set()
    for stage in STAGES.values():
        assert set(stage.needs) <= earlier
        earlier.add(stage.name)


def test_a_stage_goes_from_missing_to_stale(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    assert space.state("faces") == "missing"
    space.folder("faces").mkdir()
    assert space.state("faces") == "missing"
    (space.folder("faces") / "x.png").write_bytes(b"x")
    assert space.state("faces") == "started"
    with pytest.raises(WorkspaceError, match="Type first: sga ingest PATH --workspace"):
        space.require("faces")
    for stage in ("faces", "ensemble", "sfn"):
        space.finish(stage, f"{stage}-1", {"a": 1}, faces=3)
    assert [space.state(stage) for stage in STAGES][:4] == ["done", "done", "done", "missing"]
    assert space.require("sfn")["inputs"] == {"ensemble": "ensemble-1"}
    assert space.require("faces")["faces"] == 3
    space.finish("faces", "faces-2", {})
    assert [space.state(stage) for stage in STAGES][:3] == ["done", "stale", "stale"]
    space.finish("ensemble", "ensemble-1", {})
    assert space.state("sfn") == "done"  # made from the same


def test_a_damaged_record_is_a_users_error(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    space.finish("faces", "f", {})
    (space.folder("faces") / "stage.json").write_text("{half")
    with pytest.raises(UserError, match="Expected JSON in"):
        space.state("faces")


def test_fingerprints_tell_labels_apart() -> None:
    table = LabelTable.empty(Schema.load("faces"), ["a", "b"], ["", ""], ["train", "test"], ["a", "b"])
    empty = table_fingerprint(table, completed=False)
    table.fill("gender", np.array([0]), np.array([1]), Source.COMPLETED)
    assert table_fingerprint(table, completed=False) == empty
    assert table_fingerprint(table, completed=True) != empty
    table.fill("gender", np.array([0]), np.array([1]), Source.HUMAN)
    assert table_fingerprint(table, completed=False) != empty
    other = LabelTable.empty(Schema.load("faces"), ["a", "b"], ["", ""], ["test", "train"], ["a", "b"])
    assert table_fingerprint(other, completed=False) != empty
    assert fingerprint("a", "b") != fingerprint("ab")
    assert len(fingerprint()) == 16


def test_a_workspace_without_labels_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="Type first: sga ingest"):
        Workspace(tmp_path).table()
