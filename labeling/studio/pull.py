"""What people said, from a Label Studio into the store of answers. Nothing here writes to the server."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from configs.errors import StudioError
from labeling.answers import Answer, AnswerStore, Identity, instant, store_of
from labeling.schema import Attribute
from labeling.studio.attributes import attribute_of
from labeling.studio.client import OVERLAP, StudioClient
from labeling.studio.connection import Connection
from labeling.studio.projects import Project, projects_of
from labeling.studio.tasks import Told, asked_in, read_task
from labeling.take_in import Taken, take_in
from labeling.workspace import Workspace

__all__ = ["PullReport", "Taken", "projects_to_pull", "pull", "take_in"]

Progress = Callable[[int, int], None]
_CHUNK = 250
_SHOWN = 10


@dataclass(frozen=True)
class PullReport:
    """answers: the rows that are new in the store (edits and withdrawals too); tasks: read from the server; gone: projects that
    were deleted there, whose answers stay; seconds: it took; url: of the server."""

    answers: list[Answer]
    tasks: int
    gone: list[Project]
    seconds: float
    url: str

    @property
    def refused(self) -> list[Answer]:
        """The new rows that hold no valid choice."""
        return [answer for answer in self.answers if answer.state == "refused"]

    def address(self, answer: Answer) -> str:
        """Where a person finds the answer's task."""
        return f"{self.url}/projects/{answer.project}/data?task={answer.task}"

    def lines(self) -> list[str]:
        """One line a fact, for people."""
        states = Counter(answer.state for answer in self.answers)
        told = ", ".join(f"{count:,} {state}" for state, count in sorted(states.items()))
        new = f"{len(self.answers):,} new answers" + (f" ({told})" if told else "")
        lines = [f"{new}; {self.tasks:,} tasks read in {self.seconds:.1f} s."]
        lines += [
            f"Refused: {answer.reason} (by {answer.annotator}). Correct it at {self.address(answer)}"
            for answer in self.refused[:_SHOWN]
        ]
        if len(self.refused) > _SHOWN:
            lines.append(f"… and {len(self.refused) - _SHOWN:,} more refused; all are in answers.jsonl.")
        lines += [
            f"Warning: project {project.id} ({project.attribute}, {project.layout}, {project.purpose}) is no longer at "
            f"{self.url}. What was pulled from it stays."
            for project in self.gone
        ]
        return lines


def projects_to_pull(space: Workspace, connection: Connection, attribute: str | None = None) -> list[Project]:
    """The workspace's projects on that server, of one attribute where it is given.

    Raises:
        InputError: no such attribute.
        StudioError: there is no project.
    """
    if attribute is not None:
        space.table().schema[attribute]
    projects = projects_of(space, connection.server, attribute=attribute)
    if not projects:
        about = "" if attribute is None else f" about {attribute}"
        raise StudioError(
            f"Expected projects of {space.root}{about} at {connection.url}, found none. "
            f"Type first: sga label push --attribute {attribute or 'NAME'} --workspace {space.root}"
        )
    return projects


def pull(
    client: StudioClient,
    space: Workspace,
    projects: Sequence[Project],
    on_progress: Progress = lambda done, total: None,
    *,
    again: bool = False,
) -> PullReport:
    """Fetch what changed in the projects since the last pull and add it to the workspace's `labeling/answers.jsonl`.

    projects: those of the client's server; on_progress: called with (tasks read, tasks in all, as far as known); again: read
    everything, not what changed alone, for a store that lost rows. A project is stored when all of it was read, oldest answer
    first: whatever ends the pull, the next one begins at the newest that is stored and misses nothing. Another pull of the same
    workspace waits for this one.

    Raises:
        StudioError: the server; what was stored before stays. A project that was deleted there is told in the report.
    """
    began = time.monotonic()
    schema, store = space.table().schema, store_of(space.root)
    users = client.users() if projects else {}
    answers: list[Answer] = []
    gone: list[Project] = []
    count = _Count(on_progress)
    with store.locked():
        for project in projects:
            try:
                found = _read_project(client, project, attribute_of(project, schema), store, users, count, again)
            except StudioError as error:
                if not error.gone:
                    raise
                gone.append(project)
            else:
                answers += store.append(sorted(found, key=lambda answer: (answer.updated, answer.annotation)))
    return PullReport(answers, count.done, gone, time.monotonic() - began, client.connection.url)


class _Count:
    """Of the tasks: the total grows as the projects tell what changed in them."""

    def __init__(self, on_progress: Progress) -> None:
        self.done = self.total = 0
        self._on_progress = on_progress

    def add(self, total: int = 0, done: int = 0) -> None:
        self.total += total
        self.done += done
        self._on_progress(self.done, self.total)


def _read_project(
    client: StudioClient,
    project: Project,
    attribute: Attribute,
    store: AnswerStore,
    users: Mapping[int, str],
    count: _Count,
    again: bool,
) -> list[Answer]:
    """The answers in all tasks that changed since the newest that is stored, and what was withdrawn in them."""
    stored: dict[int, list[Answer]] = {}
    since = ""
    for answer in store.all():
        if (answer.server, answer.project) == (project.server, project.id):
            stored.setdefault(answer.task, []).append(answer)
            since = "" if again else max(since, answer.updated)
    found: dict[Identity, Answer] = {}
    while True:
        began, before, found = time.monotonic(), found, {}
        for task in _export(client, project, since or None, count):
            said = _answers(task, project, attribute, users)
            found |= said
            asked = {key for key, _ in asked_in(task["data"])}  # a server that was made anew counts its tasks from 1 again
            withdrawn = (row for row in stored.get(int(task["id"]), ()) if row.identity not in said and row.key in asked)
            found |= {row.identity: replace(row, state="withdrawn") for row in withdrawn}
        # The next pull reads again what changed `OVERLAP` before the newest answer: an answer that was edited while later ones
        # were being read is in there, unless this took longer.
        if time.monotonic() - began < OVERLAP.total_seconds() or found == before:
            return list(found.values())


def _export(client: StudioClient, project: Project, since: str | None, count: _Count) -> Iterator[dict[str, Any]]:
    ids = client.changed_tasks(project.id, since)
    count.add(total=len(ids))
    for start in range(0, len(ids), _CHUNK):
        chunk = ids[start : start + _CHUNK]
        yield from client.export(project.id, chunk)
        count.add(done=len(chunk))


def _answers(task: dict[str, Any], project: Project, attribute: Attribute, users: Mapping[int, str]) -> dict[Identity, Answer]:
    answers: dict[Identity, Answer] = {}
    for told in read_task(task, attribute):
        answer = _answer(told, int(task["id"]), project, users)
        answers.setdefault(answer.identity, answer)  # a face that a hand-made wall shows twice is answered once
    return answers


def _answer(told: Told, task: int, project: Project, users: Mapping[int, str]) -> Answer:
    who = told.annotator
    return Answer(
        server=project.server,
        project=project.id,
        task=task,
        annotation=told.annotation,
        key=told.key,
        attribute=project.attribute,
        purpose=project.purpose,
        state=told.state,
        value=told.value,
        reason=told.reason,
        annotator="unknown" if who is None else users.get(who, f"user {who} of {project.server}"),
        created=instant(told.created),
        updated=instant(told.updated),
        lead_time=told.lead_time,
        predicted=told.predicted,
        confidence=told.confidence,
        model_version=told.model_version,
        strategy=told.strategy,
        round=told.round,
    )
