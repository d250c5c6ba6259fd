"""The points of the learning curves outlive an interruption, and none is there twice."""

from dataclasses import replace
from pathlib import Path

from labeling.history import Round, append_rounds, read_rounds
from labeling.workspace import Workspace

POINT = Round("gender", 500, 40, "balanced", 0.75, 0.7, 0.8, 329, settings="a", test="b", time="2026-11-21T08:00:00Z")


def test_points_are_added_once(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    assert read_rounds(space) == []
    append_rounds(space, [POINT])
    append_rounds(space, [replace(POINT, time="later", human=41), replace(POINT, labels=600)])
    assert read_rounds(space) == [POINT, replace(POINT, labels=600)]


def test_a_torn_line_costs_its_point_alone(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    append_rounds(space, [POINT, replace(POINT, labels=600)])
    path = tmp_path / "labeling" / "history.jsonl"
    path.write_bytes(path.read_bytes()[:-30])
    assert read_rounds(space) == [POINT]
    append_rounds(space, [replace(POINT, labels=700)])
    assert read_rounds(space) == [POINT, replace(POINT, labels=700)]
