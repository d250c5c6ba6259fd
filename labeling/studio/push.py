"""Questions to a server: which project, what it has already, pictures, chunks, and newer answers of a model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.errors import StudioError, WorkspaceError
from labeling.predictions import Predictions
from labeling.schema import Attribute
from labeling.studio.client import StudioClient
from labeling.studio.interface import CELLS, build_interface, check_interface, check_result
from labeling.studio.pictures import Pictures
from labeling.studio.projects import (
    Layout,
    Project,
    Purpose,
    add_project,
    find_project,
    one_push,
    projects_of,
    remove_project,
)
from labeling.studio.tasks import Question, asked_in, build_prediction, build_tasks, shown_in, with_predictions
from labeling.workspace import Workspace

if TYPE_CHECKING:
    from label_studio_sdk.label_interface import LabelInterface

__all__ = [
    "PushReport",
    "ask_annotators",
    "asked_on",
    "project_page",
    "push",
    "refresh_predictions",
    "refresh_projects",
    "refresh_stale",
]

CHUNK = 1000
CHUNK_BYTES = 20 * 2**20
TITLE = 50  # characters, of Label Studio

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class PushReport:
    """url: the project's page; added: questions sent now; present: those that were there already; dropped: projects that the
    workspace knew and somebody deleted on the server."""

    project: Project
    url: str
    added: int
    present: int
    dropped: tuple[Project, ...] = ()


def push(
    client: StudioClient,
    space: Workspace,
    attribute: Attribute,
    questions: Sequence[Question],
    *,
    layout: Layout = "single",
    purpose: Purpose = "label",
    model_version: str | None = None,
    preannotate: bool = True,
    on_progress: Progress = lambda done, total: None,
) -> PushReport:
    """Put questions on a server, in their order, into the workspace's project for the attribute, purpose and layout.

    The project is made where there is none. A question whose key and round are there is not sent again, so after any
    interruption the same call goes on. model_version: names who predicted; preannotate=False: the page does not show it.
    on_progress: called with (questions on the server, questions in all).

    Raises:
        StudioError: the server is not there, refuses or breaks off, or its interface does not ask for the attribute's values.
        InputError: a prediction that is none of the attribute's values.
        WorkspaceError: a picture is missing.
    """
    with one_push(space):
        project, interface, dropped = _open_project(client, space, attribute, layout, purpose)
        present, versions = _there(client, project)
        wanted = {(question.key, question.round): question for question in questions}
        missing = [question for name, question in wanted.items() if name not in present]
        lost = [question.image for question in missing if not question.image.is_file()]
        if lost:
            raise WorkspaceError(
                f"Expected a picture at {lost[0]}, found none. Ingest the faces again: sga ingest PATH --workspace {space.root}"
            )
        picture = Pictures(client, project.id)

        def tasks() -> Iterator[dict[str, Any]]:
            size = CELLS if layout == "wall" else 1
            for start in range(0, len(missing), size):
                part = missing[start : start + size]
                for task in build_tasks(part, attribute, layout, model_version, picture, preannotate=preannotate):
                    for prediction in task.get("predictions", ()):
                        check_result(interface, prediction)
                    yield task

        done = len(wanted) - len(missing)
        on_progress(done, len(wanted))
        for chunk in _chunks(tasks()):
            _send(client, project, chunk, done, len(wanted))
            done += sum(len(asked_in(task["data"])) for task in chunk)
            versions |= {version for task in chunk for version in shown_in(task["data"])}
            on_progress(done, len(wanted))
        if preannotate and model_version in versions:
            _show(client, project, model_version)
        return PushReport(project, project_page(client, project), len(missing), len(wanted) - len(missing), dropped)


def ask_annotators(client: StudioClient, space: Workspace, attribute: str, annotators: int) -> None:
    """Have every face of the workspace's projects for an attribute's labels shown to so many people, also those that fewer have
    answered: kappa needs two who saw the same faces.

    Raises:
        StudioError: the server is not there, refuses or breaks off.
    """
    for project in projects_of(space, client.connection.server, attribute=attribute, purpose="label"):
        try:
            if client.project(project.id).get("maximum_annotations") != annotators:
                client.update_project(project.id, maximum_annotations=annotators)
        except StudioError as error:
            if not error.gone:
                raise


def asked_on(client: StudioClient, space: Workspace, attribute: str, *purposes: Purpose) -> dict[str, int]:
    """The newest round of each key that the workspace's projects on this server ask about, answered or not.

    purposes: of these projects; none named = label. A project that was deleted on the server asks nothing.
    """
    rounds: dict[str, int] = {}
    for project in projects_of(space, client.connection.server, attribute=attribute):
        if project.purpose not in (purposes or ("label",)):
            continue
        try:
            for _, data in client.tasks(project.id):
                for key, number in asked_in(data):
                    rounds[key] = max(number, rounds.get(key, 0))
        except StudioError as error:
            if not error.gone:
                raise
    return rounds


def refresh_stale(
    client: StudioClient,
    space: Workspace,
    attribute: Attribute,
    predictions: Predictions,
    on_progress: Progress = lambda done, total: None,
) -> int:
    """`refresh_predictions` with what the ensemble says now, in each project for labels that shows an earlier model's answers,
    or none because there were none yet.

    Raises:
        StudioError: the server is not there, refuses or breaks off.
    """
    told = predictions.suggestions(attribute.name, attribute.values)

    def questions() -> list[Question]:
        return [Question(face, Path(), "", predicted=value, confidence=share) for face, (value, share) in told.items()]

    return refresh_projects(client, space, attribute, "label", predictions.version, questions, on_progress)


def refresh_projects(
    client: StudioClient,
    space: Workspace,
    attribute: Attribute,
    purpose: Purpose,
    model_version: str,
    questions: Callable[[], Sequence[Question]],
    on_progress: Progress = lambda done, total: None,
) -> int:
    """`refresh_predictions` in each project for one purpose that does not show this model's answers yet. Returns how many tasks
    do now.

    questions: called once, and only where there is such a project.

    Raises:
        StudioError: the server is not there, refuses or breaks off.
    """
    asked: Sequence[Question] | None = None
    refreshed = 0
    for project in projects_of(space, client.connection.server, attribute=attribute.name, purpose=purpose):
        try:
            shown = client.project(project.id).get("model_version")
        except StudioError as error:
            if not error.gone:
                raise
            continue
        if shown != model_version:
            asked = questions() if asked is None else asked
            refreshed += refresh_predictions(client, project, asked, model_version=model_version, on_progress=on_progress)
    return refreshed


def refresh_predictions(
    client: StudioClient,
    project: Project,
    questions: Iterable[Question],
    *,
    model_version: str,
    on_progress: Progress = lambda done, total: None,
) -> int:
    """Show a newer model's pre-annotations beside the tasks that have no answer. Returns how many tasks have one.

    questions: their keys, predictions and confidences count; a task about other faces alone stays as it is, and one that was
    pushed not to show what a model says. on_progress: called with (tasks done, tasks in all). After an interruption the same
    call goes on; nothing is there twice.

    Raises:
        StudioError: the server is not there, refuses or breaks off.
    """
    predicted = {question.key: question for question in questions}
    interface = check_interface(str(client.project(project.id)["label_config"]))
    answered, there = set(client.changed_tasks(project.id, None)), client.predicted(project.id)
    wanted = []
    for number, data in client.tasks(project.id):
        if number not in answered and any(key in predicted for key, _ in asked_in(data)):
            prediction = build_prediction(with_predictions(data, predicted, model_version))
            if prediction is not None:
                check_result(interface, prediction)
                wanted.append({"task": number, **prediction})
    fresh = [prediction for prediction in wanted if (prediction["task"], model_version) not in there]
    done = len(wanted) - len(fresh)
    on_progress(done, len(wanted))
    for start in range(0, len(fresh), CHUNK):
        chunk = fresh[start : start + CHUNK]
        # Earlier predictions stay: who has the task open on the page could not submit if the one that is shown were gone.
        client.import_predictions(project.id, chunk)
        on_progress(done + start + len(chunk), len(wanted))
    if wanted:
        _show(client, project, model_version)
    return len(wanted)


def project_page(client: StudioClient, project: Project) -> str:
    """Where people label: one task after the other."""
    return f"{client.connection.url}/projects/{project.id}/data?labeling=1"


def _open_project(
    client: StudioClient, space: Workspace, attribute: Attribute, layout: Layout, purpose: Purpose
) -> tuple[Project, LabelInterface, tuple[Project, ...]]:
    """The workspace's project, its interface, and the records that turned out to be of deleted ones."""
    server, dropped = client.connection.server, []
    while (project := find_project(space, server, attribute.name, purpose, layout)) is not None:
        try:
            config = str(client.project(project.id)["label_config"])
        except StudioError as error:
            if not error.gone:
                raise
            remove_project(space, project)
            dropped.append(project)
            continue
        try:
            return project, check_interface(config, attribute, layout), tuple(dropped)
        except StudioError as error:
            page = f"{client.connection.url}/projects/{project.id}/settings/labeling"
            raise StudioError(f"{error} Its page: {page}") from error
    kind = "" if purpose in ("label", attribute.name) else f" {purpose}"
    title = f"SGA {attribute.name}{kind} · {layout} · {space.root.resolve().name}"[:TITLE].strip()
    config = build_interface(attribute, layout, review=purpose in ("review", "cleaning"))
    interface = check_interface(config, attribute, layout)
    project = Project(server, client.create_project(title, config), attribute.name, layout, purpose)
    add_project(space, project)
    return project, interface, tuple(dropped)


def _there(client: StudioClient, project: Project) -> tuple[set[tuple[str, int]], set[str]]:
    """(key, round) of the questions that a project has, and the models whose answers were pushed beside them."""
    present: set[tuple[str, int]] = set()
    versions: set[str] = set()
    for _, data in client.tasks(project.id):
        present.update(asked_in(data))
        versions |= shown_in(data)
    return present, versions


def _chunks(tasks: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Lists of at most `CHUNK` tasks and `CHUNK_BYTES` of JSON."""
    chunk: list[dict[str, Any]] = []
    held = 0
    for task in tasks:
        size = len(json.dumps(task))
        if chunk and (len(chunk) == CHUNK or held + size > CHUNK_BYTES):
            yield chunk
            chunk, held = [], 0
        chunk.append(task)
        held += size
    if chunk:
        yield chunk


def _send(client: StudioClient, project: Project, chunk: list[dict[str, Any]], done: int, total: int) -> None:
    """Send a chunk once. When that fails nobody knows whether it arrived: the next push reads what is there first."""
    try:
        count = client.import_tasks(project.id, chunk)
    except StudioError as error:
        raise StudioError(
            f"{error} {done} of {total} questions are there for certain. The same command again looks which others arrived, "
            "and sends the rest.",
            gone=error.gone,
        ) from error
    if count != len(chunk):
        raise StudioError(
            f"Expected Label Studio to take {len(chunk)} tasks into project {project.id}, found that it took {count}. "
            "Type the same command again: it looks which arrived, and sends the rest."
        )


def _show(client: StudioClient, project: Project, model_version: str | None) -> None:
    """Let the page show this model's answers, and order by them where its "Uncertainty sampling" is chosen."""
    if client.project(project.id).get("model_version") != model_version:
        client.update_project(project.id, model_version=model_version)
