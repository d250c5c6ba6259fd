"""`labeling/projects.json`: which projects of which Label Studio belong to a workspace. No token ever stands there."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from threading import local
from typing import Any, Literal, TypeAlias

from configs.errors import WorkspaceError
from configs.files import hold, read_json, write_json
from labeling.workspace import Workspace

__all__ = [
    "Layout",
    "Project",
    "Purpose",
    "add_project",
    "find_project",
    "one_push",
    "projects_of",
    "read_projects",
    "remove_project",
]

Layout: TypeAlias = Literal["single", "wall"]
Purpose: TypeAlias = Literal["label", "review", "quality", "cleaning"]
_LAYOUTS, _PURPOSES = ("single", "wall"), ("label", "review", "quality", "cleaning")


@dataclass(frozen=True)
class Project:
    """A project of a workspace. server: `Connection.server`; id: its number there; created: when, UTC."""

    server: str
    id: int
    attribute: str
    layout: Layout
    purpose: Purpose
    created: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))


def read_projects(space: Workspace) -> list[Project]:
    """The projects of a workspace on all servers, oldest first; none where nothing was pushed.

    Raises:
        WorkspaceError: the file is no list of projects.
    """
    path = _path(space)
    if not path.is_file():
        return []
    rows = read_json(path)
    if not isinstance(rows, list):
        raise WorkspaceError(f"Expected a list of projects in {path}, found other JSON. {_REPAIR}")
    return [_project(row, path) for row in rows]


def projects_of(space: Workspace, server: str, *, attribute: str | None = None, purpose: str | None = None) -> list[Project]:
    """The projects of a workspace on one server; of one attribute and for one purpose where they are given."""
    return [
        project
        for project in read_projects(space)
        if project.server == server and attribute in (None, project.attribute) and purpose in (None, project.purpose)
    ]


def find_project(space: Workspace, server: str, attribute: str, purpose: Purpose, layout: Layout) -> Project | None:
    """The project to push to, or None while there is none. The newest, should there be several."""
    return next(
        (
            project
            for project in reversed(projects_of(space, server, attribute=attribute, purpose=purpose))
            if project.layout == layout
        ),
        None,
    )


def add_project(space: Workspace, project: Project) -> None:
    """Write a project down, in the place of an earlier record of it."""
    with one_push(space):
        kept = read_projects(space)
        same = [index for index, one in enumerate(kept) if (one.server, one.id) == (project.server, project.id)]
        for index in same:
            kept[index] = project
        _write(space, kept if same else [*kept, project])


def remove_project(space: Workspace, project: Project) -> None:
    """Forget a project that is no longer on its server. What people answered there stays in the store of answers."""
    with one_push(space):
        _write(space, [one for one in read_projects(space) if (one.server, one.id) != (project.server, project.id)])


class _Held(local):
    """Locks that this thread holds."""

    def __init__(self) -> None:
        self.paths: set[Path] = set()


_HELD = _Held()


@contextmanager
def one_push(space: Workspace) -> Iterator[None]:
    """Wait while another command pushes for this workspace: each would make a project and pick faces on its own.

    To be held from the look at what waits to the last question; may be entered again inside.
    """
    path = (space.root / "labeling" / "push.lock").resolve()
    if path in _HELD.paths:
        yield
        return
    with hold(path):
        _HELD.paths.add(path)
        try:
            yield
        finally:
            _HELD.paths.remove(path)


_REPAIR = "Restore the file, or move it away: the next sga label push then makes new projects."


def _path(space: Workspace) -> Path:
    return space.root / "labeling" / "projects.json"


def _write(space: Workspace, projects: Sequence[Project]) -> None:
    write_json(_path(space), [asdict(project) for project in projects])


def _project(row: Any, path: Path) -> Project:
    names = {one.name: int if one.name == "id" else str for one in fields(Project)}
    sound = isinstance(row, dict) and all(isinstance(row.get(name), kind) for name, kind in names.items())
    if not sound or row["layout"] not in _LAYOUTS or row["purpose"] not in _PURPOSES:
        raise WorkspaceError(f"Expected {', '.join(names)} of each project in {path}, found {row!r}. {_REPAIR}")
    return Project(**{name: row[name] for name in names})  # an earlier version wrote more
