"""The list of a workspace's projects, and the lock around a push."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread

import pytest

from configs.errors import InputError, WorkspaceError
from labeling.studio.projects import (
    Project,
    add_project,
    find_project,
    one_push,
    projects_of,
    read_projects,
    remove_project,
)
from labeling.workspace import Workspace


def test_projects_are_kept_by_server_attribute_purpose_and_layout(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    assert read_projects(space) == []
    first = Project("local", 1, "gender", "single", "label")
    others = [Project("local", 2, "gender", "wall", "label"), Project("http://b", 1, "gender", "single", "review")]
    for project in (first, *others):
        add_project(space, project)
    assert read_projects(space) == [first, *others]
    assert find_project(space, "local", "gender", "label", "single") == first
    assert find_project(space, "local", "gender", "review", "single") is None
    assert projects_of(space, "local", attribute="gender", purpose="label") == [first, others[0]]
    changed = Project("local", 1, "gender", "single", "label", created="2026-11-21T08:00:00Z")
    add_project(space, changed)
    assert read_projects(space) == [changed, *others]
    remove_project(space, first)
    assert read_projects(space) == others


def test_a_list_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    row = {"server": "local", "id": 1, "attribute": "gender", "layout": "single", "purpose": "label", "created": "2026-11-20"}
    path = tmp_path / "labeling" / "projects.json"
    path.parent.mkdir()
    path.write_text(json.dumps([row | {"round": 2}]))
    assert read_projects(Workspace(tmp_path)) == [Project("local", 1, "gender", "single", "label", "2026-11-20")]


def test_a_push_waits_for_others_and_not_for_itself(tmp_path: Path) -> None:
    first, second = (Project("local", number, "gender", "single", "label") for number in (1, 2))

    def nested() -> None:
        with one_push(Workspace(tmp_path)):
            add_project(Workspace(tmp_path), first)

    thread = Thread(target=nested, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    with ThreadPoolExecutor(1) as pool:
        with one_push(Workspace(tmp_path)):
            other = pool.submit(add_project, Workspace(tmp_path), second)
            with pytest.raises(TimeoutError):
                other.result(0.3)
            assert read_projects(Workspace(tmp_path)) == [first]
        other.result(20)
    assert read_projects(Workspace(tmp_path)) == [first, second]


@pytest.mark.parametrize("text", ["{}", "[1]", '[{"server": "local"}]', "[", '[{"server": 1, "id": "x"}]'])
def test_a_damaged_list_of_projects_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labeling" / "projects.json"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises((WorkspaceError, InputError), match=r"projects\.json"):
        read_projects(Workspace(tmp_path))
