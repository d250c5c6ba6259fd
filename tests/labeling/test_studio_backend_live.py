"""The ML backend and a real Label Studio: what the page gets, what the backend is told, and what is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from configs.errors import InputError, StudioError
from labeling.predictions import Predictions
from labeling.studio.backend import HEADER
from labeling.studio.client import StudioClient
from labeling.studio.connection import Connection
from labeling.studio.projects import Layout, Project
from labeling.studio.push import push
from labeling.studio.serving import Backend, run_backend
from labeling.studio.tasks import Question
from labeling.workspace import Workspace

NAMES = ("gender", "hair_color", "smile")
RETRAIN = """
import sys
from pathlib import Path
from labeling.predictions import Predictions
path = Path(sys.argv[1])
old = Predictions.load(path)
turned = {name: value[..., ::-1].copy() for name, value in old.probabilities.items()}
Predictions(old.faces, old.members, turned, old.out_of_fold, old.decision, old.shares).save(path)
print("turned around")
"""
"""What the ensemble says, turned around: every face gets another answer."""


def place_of(space: Workspace) -> Path:
    return space.folder("ensemble") / "predictions.npz"


def predict(space: Workspace, seed: int = 5) -> Predictions:
    """Write what an ensemble could have said of every face."""
    table, rng = space.table(), np.random.default_rng(seed)
    told = {name: rng.dirichlet(np.ones(table.schema[name].size), size=(len(table), 2)).astype(np.float32) for name in NAMES}
    even = {name: np.full(value.shape[2], 1 / value.shape[2]) for name, value in told.items()}
    Predictions(table.faces, ("resnet", "densenet"), told, np.zeros(len(table), bool), even, even).save(place_of(space))
    return Predictions.load(place_of(space))


@pytest.fixture
def space(faces_workspace: Path, copy_of: Callable[[Path], Path]) -> Workspace:
    return Workspace(copy_of(faces_workspace))


def pushed(client: StudioClient, space: Workspace, attribute: str, layout: Layout, count: int) -> Project:
    """A project with the first faces of the table, without pre-annotations."""
    table = space.table()
    rows = zip(table.faces[:count], table.frame["file"], strict=False)
    questions = [Question(face, space.root / file, file) for face, file in rows]
    return push(client, space, table.schema[attribute], questions, layout=layout).project


def next_task(client: StudioClient, project: Project) -> dict[str, Any]:
    """As the page asks for what comes next."""
    task: dict[str, Any] = client._get(f"/api/projects/{project.id}/next", "the next task")
    return task


def connected(client: StudioClient, project: Project) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Backends and webhooks of a project, as the server tells them."""
    return (
        client._get("/api/ml/", "the backends", project=project.id),
        client._get("/api/webhooks/", "the webhooks", project=project.id),
    )


def choice(value: str) -> list[dict[str, Any]]:
    return [{"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": [value]}}]


def versions(client: StudioClient, project: Project) -> list[set[str]]:
    """The model versions of the predictions that each task has that nobody answered."""
    answered = set(client.changed_tasks(project.id, None))
    found: dict[int, set[str]] = {number: set() for number, _ in client.tasks(project.id) if number not in answered}
    for one in client._get("/api/predictions/", "the predictions", project=project.id):
        found.get(one["task"], set()).add(one["model_version"])
    return list(found.values())


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    """Until it holds; fails after that many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def answers(backend: Backend) -> int:
    return backend._retrainer.state.answers


def test_people_label_and_the_page_shows_what_was_learnt(studio: StudioClient, space: Workspace) -> None:
    first = predict(space)
    project = pushed(studio, space, "gender", "single", 8)
    studio.update_project(project.id, sampling="Uncertainty sampling")
    values, said = space.table().schema["gender"].values, list[str]()
    command = [sys.executable, "-c", RETRAIN, str(place_of(space))]

    def shown(predictions: Predictions) -> tuple[int, float]:
        """The next task, which has to show what these predictions say of its face; its id and score."""
        task = next_task(studio, project)
        (prediction,) = task["predictions"]
        row = predictions.faces.tolist().index(task["data"]["key"])
        share = predictions.natural("gender")[row]
        assert prediction["model_version"] == predictions.version
        assert prediction["result"][0]["value"]["choices"] == [values[int(share.argmax())]]
        assert prediction["score"] == pytest.approx(float(share.max()), abs=1e-3)
        return int(task["id"]), float(prediction["score"])

    with run_backend(space, studio.connection, [command], 2, say=said.append) as backend:
        (there,), (webhook,) = connected(studio, project)
        assert (there["readable_state"], there["title"], there["model_version"]) == ("Connected", first.version, first.version)
        assert (webhook["url"], webhook["headers"]) == (f"{backend.url}/webhook", {HEADER: backend.secret})
        assert studio.project(project.id)["model_version"] == first.version
        assert versions(studio, project) == [{first.version}] * 8
        task, score = shown(first)
        assert score == pytest.approx(float(first.natural("gender")[:8].max(axis=1).min()), abs=1e-3)  # least certain first

        studio.annotate(task, choice("female"))
        wait_for(lambda: answers(backend) == 1)
        task, _ = shown(first)
        studio.annotate(task, [], was_cancelled=True)
        assert answers(backend) == 1
        assert backend._retrainer.state.runs == 0
        task, _ = shown(first)
        studio.annotate(task, choice("male"))
        wait_for(lambda: backend._retrainer.state.state == "done")
        assert (space.root / "labeling" / "retrain.log").read_text() == "turned around\n"
        second = Predictions.load(place_of(space))
        assert second.version != first.version
        shown(second)  # before anybody has told the server

        backend.look()
        (there,), _ = connected(studio, project)
        assert there["title"] == studio.project(project.id)["model_version"] == second.version
        assert all(second.version in one for one in versions(studio, project))
        shown(second)
        backend.look()
        assert (backend._retrainer.state.runs, answers(backend)) == (1, 0)
    assert connected(studio, project) == ([], [])
    assert studio.project(project.id)["model_version"] == second.version
    shown(second)  # without any backend
    assert said == [
        "Connecting 1 project: each task that waits is looked at …",
        f"Retrain 1 runs; its output: {space.root / 'labeling' / 'retrain.log'}",
        "Retrain 1 is done.",
    ]


def test_a_wall_is_shown_what_the_model_says_of_each_face(studio: StudioClient, space: Workspace) -> None:
    project = pushed(studio, space, "hair_color", "wall", 30)
    with run_backend(space, studio.connection, [], 5) as backend:
        assert connected(studio, project)[0] == []  # nothing to show yet
        assert next_task(studio, project)["predictions"] == []
        predictions = predict(space)
        backend.look()
        task = next_task(studio, project)
        (prediction,) = task["predictions"]
        rows = [predictions.faces.tolist().index(cell["key"]) for cell in task["data"]["cells"]]
        shares, values = predictions.natural("hair_color")[rows], space.table().schema["hair_color"].values
        told = {one["from_name"]: one["value"]["choices"] for one in prediction["result"]}
        assert told == {f"label{index}": [values[int(share.argmax())]] for index, share in enumerate(shares)}
        assert prediction["score"] == pytest.approx(float(shares.max(axis=1).min()), abs=1e-3)
        marked = [{**one, "from_name": f"label{i}", "to_name": f"img{i}"} for i in range(3) for one in choice(values[0])]
        studio.annotate(int(task["id"]), marked)
        wait_for(lambda: answers(backend) == 3)


def test_who_has_a_task_on_the_page_meanwhile_can_send_it(studio: StudioClient, space: Workspace) -> None:
    predict(space)
    project = pushed(studio, space, "gender", "single", 2)
    with run_backend(space, studio.connection, [], 0, say=lambda text: None) as backend:
        begun = next_task(studio, project)
        second = predict(space, seed=6)
        backend.look()
        assert {one["model_version"] for one in next_task(studio, project)["predictions"]} == {second.version}
        with studio._asking("an answer, as the page sends it") as sdk:
            sdk.annotations.create(id=begun["id"], result=choice("male"), parent_prediction=begun["predictions"][0]["id"])
        assert studio.project(project.id)["total_annotations_number"] == 1


def test_what_people_remove_on_the_page_comes_back_and_is_not_missed(studio: StudioClient, space: Workspace) -> None:
    predict(space)
    project, said = pushed(studio, space, "gender", "single", 2), list[str]()
    with run_backend(space, studio.connection, [], 0, say=said.append) as backend:
        (first,), _ = connected(studio, project)
        with studio._asking("the end of the backend") as sdk:
            sdk.ml.delete(first["id"])
        second = predict(space, seed=6)
        backend.look()
        (there,), (webhook,) = connected(studio, project)
        assert there["title"] == studio.project(project.id)["model_version"] == second.version
        with studio._asking("the end of both") as sdk:
            sdk.ml.delete(there["id"])
            sdk.webhooks.delete(webhook["id"])
    assert connected(studio, project) == ([], [])
    assert studio.project(project.id)["model_version"] == second.version
    assert len(said) == 1  # that it is being connected: nothing failed


def test_projects_come_and_go_while_it_runs(studio: StudioClient, space: Workspace) -> None:
    predict(space)
    said = list[str]()
    with run_backend(space, studio.connection, [], 5, say=said.append) as backend:
        assert backend.projects == 0
        project = pushed(studio, space, "gender", "single", 3)
        backend.look()
        assert backend.projects == 1
        assert len(next_task(studio, project)["predictions"]) == 1
        studio.delete_project(project.id)
        backend.look()
        assert backend.projects == 0
        assert not said


def test_a_webhook_that_was_lost_is_made_up_for_and_the_page_can_ask(studio: StudioClient, space: Workspace) -> None:
    predict(space)
    project = pushed(studio, space, "gender", "single", 4)
    with run_backend(space, studio.connection, [[sys.executable, "-c", "pass"]], 2, say=lambda text: None) as backend:
        (there,), (webhook,) = connected(studio, project)
        with studio._asking("the end of the webhook") as sdk:
            sdk.webhooks.delete(webhook["id"])
        numbers = [number for number, _ in studio.tasks(project.id)]
        for number in numbers[:2]:
            studio.annotate(number, choice("male"))
        assert answers(backend) == 0
        backend.look()
        wait_for(lambda: backend._retrainer.state.state == "done")
        with studio._asking("training, as the page's button does") as sdk:
            sdk.ml.train(there["id"])
        wait_for(lambda: backend._retrainer.state.runs == 2 and backend._retrainer.state.state == "done")


@contextmanager
def command(space: Workspace, connection: Connection, *options: str) -> Iterator[subprocess.Popen[str]]:
    """`sga label backend`, once it serves."""
    environment = {**os.environ, "LABEL_STUDIO_URL": connection.url, "LABEL_STUDIO_API_KEY": connection.token}
    words = [sys.executable, "-u", "-m", "sga.cli.main", "label", "backend", "--workspace", str(space.root), *options]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(process: subprocess.Popen[str], word: str) -> str:
    """What a process prints up to the line with that word."""
    printed = ""
    assert process.stdout is not None
    for line in process.stdout:
        printed += line
        if word in line:
            return printed
    raise AssertionError(f"no {word!r} in {printed!r}")


def test_the_command_and_its_death(studio: StudioClient, space: Workspace) -> None:
    connection = replace(studio.connection, server=studio.connection.url, files_at=None)
    predictions = predict(space)
    with StudioClient(connection) as client:
        project = pushed(client, space, "gender", "single", 3)
        with command(space, connection, "--retrain-after", "0") as process:
            printed = until(process, "Ctrl-C")
            assert "serves 1 project of" in printed
            assert "when the page asks" in printed
            assert len(next_task(client, project)["predictions"]) == 1
            with pytest.raises(StudioError, match="Stop that one"), run_backend(space, connection, [], 5):
                pass
            assert [len(there) for there in connected(client, project)] == [1, 1]
            process.kill()
            process.wait()
        began = time.monotonic()
        task = next_task(client, project)
        assert task["data"]["key"]
        client.annotate(int(task["id"]), choice("female"))
        assert next_task(client, project)["id"] != task["id"]
        assert client.project(project.id)["total_annotations_number"] == 1
        assert time.monotonic() - began < 30  # nobody is kept waiting for the dead

        with command(space, connection) as process:
            printed = until(process, "Ctrl-C")
            assert "after every 50 answers" in printed
            (there,), (webhook,) = connected(client, project)
            assert webhook["url"] == f"{there['url']}/webhook"
            assert there["readable_state"] == "Connected"
            (prediction,) = next_task(client, project)["predictions"]
            assert prediction["model_version"] == predictions.version
            process.send_signal(signal.SIGTERM)
            rest = process.communicate(timeout=30)[0]
        assert process.returncode == 0
        assert "stopped" in rest
        assert connected(client, project) == ([], [])
        assert connection.token not in printed + rest
        assert not [path for path in space.root.rglob("*") if path.is_file() and connection.token.encode() in path.read_bytes()]
        assert len(next_task(client, project)["predictions"]) == 1


def test_a_server_that_is_not_there_is_told(space: Workspace) -> None:
    predict(space)
    with (
        pytest.raises(StudioError, match="nobody there"),
        run_backend(space, Connection("http://127.0.0.1:9", "0" * 40), [], 5),
    ):
        pass


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "::1", "::"])
def test_a_server_elsewhere_has_to_reach_this_machine(host: str, faces_workspace: Path) -> None:
    elsewhere = Connection("http://labels.example.com", "0" * 40)
    with (
        pytest.raises(InputError, match=rf"found {host}, .*--host ADDRESS"),
        run_backend(Workspace(faces_workspace), elsewhere, [], 5, host=host),
    ):
        pass
