"""Questions to a real Label Studio: sent once whatever happens, with pictures and predictions that the page can show."""

from __future__ import annotations

import base64
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from typer.testing import CliRunner

from configs.errors import InputError, StudioError, WorkspaceError
from labeling.predictions import Predictions
from labeling.schema import Schema
from labeling.studio import push as module
from labeling.studio.interface import build_interface
from labeling.studio.projects import Project, read_projects
from labeling.studio.push import asked_on, push, refresh_predictions, refresh_stale
from labeling.studio.tasks import Question, asked_in, blank_picture, read_task
from labeling.workspace import Workspace

if TYPE_CHECKING:
    from labeling.studio.client import StudioClient

pytest.importorskip("label_studio_sdk")
pytest.importorskip("httpx")

GENDER = Schema.load("faces")["gender"]


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    """Where the records of projects go; the pictures are those of `faces_workspace`."""
    return Workspace(tmp_path)


@pytest.fixture(scope="session")
def pictures(faces_workspace: Path) -> list[Path]:
    return sorted(faces_workspace.glob("faces/*/*.png"))


@pytest.fixture(scope="session")
def asked(pictures: list[Path]) -> Any:
    """`asked(count, start=0, **fields)`: questions with keys of their own; the pictures come again and again."""

    def make(count: int, start: int = 0, **fields: Any) -> list[Question]:
        shown = {number: pictures[number % len(pictures)] for number in range(start, start + count)}
        return [Question(f"{number:064x}", path, path.name, strategy="random", **fields) for number, path in shown.items()]

    return make


def keys_on(client: StudioClient, pid: int) -> list[tuple[str, int]]:
    return [one for _, data in client.tasks(pid) for one in asked_in(data)]


def ask(client: StudioClient, path: str, **params: Any) -> Any:
    """The JSON at a path, by a client of nobody's making."""
    import httpx

    token = {"Authorization": f"Token {client.connection.token}"}
    answer = httpx.get(client.connection.url + path, params=params, headers=token, trust_env=False)
    answer.raise_for_status()
    return answer.json()


def predictions_on(client: StudioClient, pid: int) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {number: [] for number, _ in client.tasks(pid)}
    for prediction in ask(client, "/api/predictions/", project=pid):
        if prediction["task"] in found:
            found[prediction["task"]].append(prediction)
    return found


def says(keys: Iterable[str], men: float = 0.5) -> Predictions:
    """An ensemble that would call each face male at 0.75, were men as frequent as women. men: their share of the unlabelled."""
    faces = np.asarray(list(keys), dtype="U64")
    told = {"gender": np.tile(np.array([0.25, 0.75], np.float32), (len(faces), 1, 1))}
    decision, shares = ({"gender": np.array([1 - share, share])} for share in (0.5, men))
    return Predictions(faces, ("a",), told, np.zeros(len(faces), bool), decision, shares)


def chosen(value: str, index: int | None = None) -> dict[str, Any]:
    number = "" if index is None else str(index)
    to_name = "image" if index is None else f"img{index}"
    return {"from_name": f"label{number}", "to_name": to_name, "type": "choices", "value": {"choices": [value]}}


# --- sent once --------------------------------------------------------------------------------------------------------


def test_questions_arrive_in_their_order_and_once(studio: StudioClient, space: Workspace, asked: Any) -> None:
    first = push(studio, space, GENDER, [*asked(12)][::-1])
    assert (first.added, first.present, first.dropped) == (12, 0, ())
    assert first.url == f"{studio.connection.url}/projects/{first.project.id}/data?labeling=1"
    assert studio.project(first.project.id)["title"] == f"SGA gender · single · {space.root.name}"[:50]
    assert (
        read_projects(space)
        == [first.project]
        == [Project(studio.connection.server, first.project.id, "gender", "single", "label", first.project.created)]
    )
    assert keys_on(studio, first.project.id) == [(f"{number:064x}", 1) for number in range(11, -1, -1)]
    steps: list[tuple[int, int]] = []
    again = push(studio, space, GENDER, asked(12), on_progress=lambda *step: steps.append(step))
    assert (again.project, again.added, again.present) == (first.project, 0, 12)
    assert steps == [(12, 12)]
    more = push(studio, space, GENDER, [*asked(14), *asked(2), *asked(1, round=2)])
    assert (more.added, more.present) == (3, 12)
    assert read_projects(space) == [more.project] == [first.project]
    assert asked_on(studio, space, "gender") == {f"{number:064x}": 2 if number == 0 else 1 for number in range(14)}
    assert asked_on(studio, space, "gender", "review") == asked_on(studio, space, "hair_color") == {}
    reviews = [*asked(1, start=1, round=2, current="male"), *asked(1, start=20, round=3, current="male")]
    push(studio, space, GENDER, reviews, purpose="review")
    everywhere = asked_on(studio, space, "gender", "label", "review")
    assert [everywhere.get(f"{number:064x}") for number in (0, 1, 2, 20)] == [2, 2, 1, 3]


def test_each_attribute_purpose_and_layout_has_a_project_of_its_own(studio: StudioClient, space: Workspace, asked: Any) -> None:
    schema = Schema.load("faces")
    pushed = [
        push(studio, space, GENDER, asked(2)),
        push(studio, space, GENDER, asked(2), layout="wall"),
        push(studio, space, GENDER, asked(2, current="male"), purpose="review"),
        push(studio, space, schema["hair_color"], asked(2)),
        push(studio, space, schema["quality"], asked(2), purpose="quality"),
    ]
    assert {one.added for one in pushed} == {2}
    assert len({one.project.id for one in pushed}) == 5
    assert read_projects(space) == [one.project for one in pushed]
    review = studio.project(pushed[2].project.id)
    assert review["title"].startswith("SGA gender review · single")
    assert "now: $current" in review["label_config"]


def test_ten_thousand_questions(studio: StudioClient, space: Workspace, asked: Any, capsys: pytest.CaptureFixture[str]) -> None:
    questions = asked(10_000, predicted="female", confidence=0.5)
    steps: list[int] = []
    started = time.monotonic()
    report = push(studio, space, GENDER, questions, model_version="m-1", on_progress=lambda done, total: steps.append(done))
    sent = time.monotonic()
    assert report.added == 10_000
    assert steps == list(range(0, 10_001, 1000))
    assert studio.project(report.project.id)["task_number"] == 10_000
    again = push(studio, space, GENDER, questions, model_version="m-1")
    read = time.monotonic()
    assert (again.added, again.present) == (0, 10_000)
    with capsys.disabled():
        print(
            f"\n10,000 questions with predictions: {10_000 / (sent - started):,.0f} tasks/s sent; "
            f"pushed again: {10_000 / (read - sent):,.0f} tasks/s read"
        )


def test_a_server_killed_in_the_middle(
    tmp_path: Path, studio_executable: Path, studio_template: Path, pictures: list[Path]
) -> None:
    from labeling.studio.client import StudioClient
    from labeling.studio.server import LocalServer

    space = Workspace(tmp_path)
    face = tmp_path / "faces" / "face.png"
    face.parent.mkdir()
    face.write_bytes(pictures[0].read_bytes())
    questions = [Question(f"{number:064x}", face, face.name) for number in range(5000)]
    with LocalServer.start(space, executable=studio_executable, template=studio_template) as server:

        def kill_soon(done: int, total: int) -> None:
            if done == 2000:  # while the third chunk is on its way or worked off
                threading.Timer(0.15, os.killpg, (server.pid, signal.SIGKILL)).start()

        with (
            StudioClient(server.connection) as client,
            pytest.raises(StudioError, match=r"[234]000 of 5000 questions are there for certain\. The same command"),
        ):
            push(client, space, GENDER, questions, on_progress=kill_soon)
    (project,) = read_projects(space)
    with LocalServer.start(space, executable=studio_executable) as server, StudioClient(server.connection) as client:
        there = keys_on(client, project.id)
        assert 2000 <= len(there) < 5000
        report = push(client, space, GENDER, questions)
        assert (report.project, report.present, report.added) == (project, len(there), 5000 - len(there))
        assert Counter(keys_on(client, project.id)) == Counter({(one.key, 1): 1 for one in questions})


@contextmanager
def proxy(client: StudioClient, fail: list[str]) -> Iterator[tuple[str, list[str]]]:
    """A proxy before the server. fail: what becomes of the next imports: "before" or "after" the server took it, a 503."""
    import httpx

    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(f"{self.command} {self.path.partition('?')[0]}")
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            how = (
                fail.pop(0)
                if self.command == "POST" and "/import" in self.path and "storages" not in self.path and fail
                else ""
            )
            if how != "before":
                headers = {name: self.headers[name] for name in ("authorization", "content-type") if name in self.headers}
                answer = httpx.request(
                    self.command, client.connection.url + self.path, content=body, headers=headers, trust_env=False, timeout=60
                )
            status, content = (503, b"busy") if how in ("before", "after") else (answer.status_code, answer.content)
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_PATCH = do_GET  # noqa: N815 - what the base class calls

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", seen
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("how", "there"), [("before", 20), ("after", 30)])
def test_a_chunk_that_failed_is_not_sent_blindly(
    studio: StudioClient, space: Workspace, asked: Any, monkeypatch: pytest.MonkeyPatch, how: str, there: int
) -> None:
    from labeling.studio.client import StudioClient

    monkeypatch.setattr(module, "CHUNK", 10)
    with proxy(studio, fail=["", "", how]) as (url, seen), StudioClient(replace(studio.connection, url=url)) as client:
        with pytest.raises(StudioError, match=r"503.* 20 of 50 questions are there for certain"):
            push(client, space, GENDER, asked(50))
        (project,) = read_projects(space)
        assert seen.count(f"POST /api/projects/{project.id}/import") == 3
        assert len(keys_on(studio, project.id)) == there
        report = push(client, space, GENDER, asked(50))
    assert (report.present, report.added) == (there, 50 - there)
    assert Counter(keys_on(studio, project.id)) == Counter({(one.key, 1): 1 for one in asked(50)})


def test_two_pushes_at_a_time_send_nothing_twice(studio: StudioClient, space: Workspace, asked: Any) -> None:
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda _: push(studio, space, GENDER, asked(200)), range(2)))
    assert sorted((one.added, one.present) for one in reports) == [(0, 200), (200, 0)]
    assert len(keys_on(studio, read_projects(space)[0].id)) == 200
    assert len(read_projects(space)) == 1


def test_a_project_deleted_on_the_server_is_made_anew(studio: StudioClient, space: Workspace, asked: Any) -> None:
    first = push(studio, space, GENDER, asked(3))
    other = push(studio, space, GENDER, asked(3), layout="wall")
    studio.delete_project(first.project.id)
    assert asked_on(studio, space, "gender") == {one.key: 1 for one in asked(3)}  # on the wall
    assert refresh_stale(studio, space, GENDER, says(one.key for one in asked(2, start=50))) == 0
    report = push(studio, space, GENDER, asked(3))
    assert (report.added, report.present, report.dropped) == (3, 0, (first.project,))
    assert read_projects(space) == [other.project, report.project]


def test_an_interface_changed_on_the_page(studio: StudioClient, space: Workspace, asked: Any) -> None:
    pid = push(studio, space, GENDER, asked(1)).project.id
    config = build_interface(GENDER, "single")
    studio.update_project(pid, label_config=config.replace("<Choices", '<Header value="Look twice." /><Choices'))
    assert push(studio, space, GENDER, asked(2)).added == 1
    studio.update_project(pid, label_config=config.replace('value="male"', 'value="man"'))
    with pytest.raises(StudioError, match=r"without male.*Put it right under Settings") as caught:
        push(studio, space, GENDER, asked(3))
    assert f"/projects/{pid}/settings/labeling" in str(caught.value)
    assert len(keys_on(studio, pid)) == 2


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_the_page_loads_the_very_bytes(studio: StudioClient, space: Workspace, asked: Any) -> None:
    questions = asked(3)
    pid = push(studio, space, GENDER, questions).project.id
    for (_, data), question in zip(studio.tasks(pid), questions, strict=True):
        assert data["image"].startswith("/data/local-files/?d=")
        assert studio.image(data["image"]) == question.image.read_bytes()
    assert len(ask(studio, "/api/storages/localfiles/", project=pid)) == 1


def test_names_that_a_url_cannot_hold(studio: StudioClient, space: Workspace, pictures: list[Path]) -> None:
    odd = space.root / "a b&c" / "ü#1+2%20?.png"
    odd.parent.mkdir()
    odd.write_bytes(pictures[0].read_bytes())
    pid = push(studio, space, GENDER, [Question("k", odd, "odd")]).project.id
    ((_, data),) = studio.tasks(pid)
    assert studio.image(data["image"]) == odd.read_bytes()


def test_pictures_travel_inside_where_the_server_has_not_the_disk(
    studio: StudioClient, space: Workspace, asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labeling.studio.client import StudioClient

    monkeypatch.setattr(module, "CHUNK_BYTES", 60_000)
    steps: list[int] = []
    with StudioClient(replace(studio.connection, files_at=None)) as client:
        report = push(client, space, GENDER, asked(40), on_progress=lambda done, total: steps.append(done))
    assert len(steps) > 3  # several requests
    for (_, data), question in zip(studio.tasks(report.project.id), asked(40), strict=True):
        head, _, body = data["image"].partition(",")
        assert head == "data:image/png;base64"
        assert base64.b64decode(body) == question.image.read_bytes()
    assert ask(studio, "/api/storages/localfiles/", project=report.project.id) == []


def test_a_picture_beside_the_servers_folders_travels_inside(
    studio: StudioClient, space: Workspace, pictures: list[Path]
) -> None:
    from labeling.studio.client import StudioClient

    alone = space.root / "face.png"
    alone.write_bytes(pictures[0].read_bytes())
    with StudioClient(replace(studio.connection, files_at=space.root)) as client:  # the root itself is never served
        pid = push(client, space, GENDER, [Question("k", alone, "face.png")]).project.id
    ((_, data),) = studio.tasks(pid)
    assert data["image"].startswith("data:image/png;base64,")


def test_a_missing_picture_is_told_and_nothing_sent(studio: StudioClient, space: Workspace, asked: Any) -> None:
    missing = Question("k", space.root / "faces" / "none.png", "none.png")
    with pytest.raises(WorkspaceError, match=r"none\.png, found none"):
        push(studio, space, GENDER, [*asked(2), missing])
    assert keys_on(studio, read_projects(space)[0].id) == []


# --- predictions ------------------------------------------------------------------------------------------------------


def test_predictions_order_the_queue_and_are_shown(studio: StudioClient, space: Workspace, asked: Any) -> None:
    sure = [0.9, 0.5, 0.7, None]
    questions = [
        replace(one, predicted=None if confidence is None else "male", confidence=confidence)
        for one, confidence in zip(asked(4), sure, strict=True)
    ]
    report = push(studio, space, GENDER, questions, model_version="ensemble-1")
    pid = report.project.id
    assert studio.project(pid)["model_version"] == "ensemble-1"
    there = list(predictions_on(studio, pid).values())
    assert [[(one["score"], one["model_version"]) for one in task] for task in there] == [
        [(0.9, "ensemble-1")],
        [(0.5, "ensemble-1")],
        [(0.7, "ensemble-1")],
        [],
    ]
    assert there[0][0]["result"] == [chosen("male")]
    studio.update_project(pid, sampling="Uncertainty sampling")
    served = []
    for _ in range(3):
        task = ask(studio, f"/api/projects/{pid}/next")
        served.append(task["data"]["confidence"])
        studio.annotate(task["id"], [chosen("male")])
    assert served == [0.5, 0.7, 0.9]


def test_predictions_may_stay_unseen(studio: StudioClient, space: Workspace, asked: Any) -> None:
    report = push(studio, space, GENDER, asked(2, predicted="male", confidence=0.5), model_version="m", preannotate=False)
    assert set(map(len, predictions_on(studio, report.project.id).values())) == {0}
    assert not studio.project(report.project.id)["model_version"]
    task, data = next(studio.tasks(report.project.id))
    assert data["predicted"] == "male"
    studio.annotate(task, [chosen("male")])
    (told,) = read_task(studio.export(report.project.id, [task])[0], GENDER)
    assert (told.value, told.predicted, told.model_version) == ("male", None, None)
    newer = says(one.key for one in asked(4))
    assert refresh_stale(studio, space, GENDER, newer) == 0
    more = push(studio, space, GENDER, asked(2, start=2, predicted="male", confidence=0.5), model_version="m")
    assert more.project == report.project
    assert refresh_stale(studio, space, GENDER, newer) == 2  # in the same project, those that show something
    versions = [[one["model_version"] for one in task] for task in predictions_on(studio, report.project.id).values()]
    assert versions == [[], [], ["m", newer.version], ["m", newer.version]]


def test_a_prediction_of_another_attribute_is_refused(studio: StudioClient, space: Workspace, asked: Any) -> None:
    with pytest.raises(InputError, match="found 'blonde'"):
        push(studio, space, GENDER, asked(1, predicted="blonde"))


@pytest.mark.parametrize("layout", ["single", "wall"])
def test_a_newer_model_takes_over_where_nobody_answered(
    studio: StudioClient, space: Workspace, asked: Any, monkeypatch: pytest.MonkeyPatch, layout: Any
) -> None:
    count = 6 if layout == "single" else 100
    questions = asked(count, predicted="female", confidence=0.6)
    report = push(studio, space, GENDER, questions, layout=layout, model_version="old")
    pid, index = report.project.id, None if layout == "single" else 0
    tasks = [number for number, _ in studio.tasks(pid)]
    studio.annotate(tasks[0], [chosen("male", index)])
    studio.annotate(tasks[1], [], was_cancelled=True)
    newer = [replace(one, predicted="male", confidence=0.8) for one in questions[:-1]]
    monkeypatch.setattr(module, "CHUNK", 2)
    waiting = len(tasks) - 2
    changed = waiting - 1 if layout == "single" else waiting  # the last face's answer is not known any more
    steps: list[tuple[int, int]] = []
    for _ in range(2):  # nothing is there twice
        done = refresh_predictions(
            studio, report.project, newer, model_version="new", on_progress=lambda *one: steps.append(one)
        )
        assert done == changed
        assert (steps[0], steps[-1]) == ((0, changed), (changed, changed))
        there = predictions_on(studio, pid)
        versions = [sorted(one["model_version"] for one in there[number]) for number in tasks]
        assert versions == [["old"], ["old"], *[["new", "old"]] * changed, *[["old"]] * (waiting - changed)]
        assert {one["score"] for number in tasks for one in there[number] if one["model_version"] == "new"} == {0.8}
    assert studio.project(pid)["model_version"] == "new"
    studio.annotate(tasks[2], [chosen("male", index)])
    first, second, third = (read_task(task, GENDER)[0] for task in studio.export(pid, tasks[:3]))
    assert (first.state, first.predicted, first.confidence, first.model_version) == ("answer", "female", 0.6, "old")
    assert second.state == "skip"
    assert (third.value, third.predicted, third.model_version) == ("male", "male", "new")
    assert third.confidence == (0.8 if layout == "single" else None)  # a wall's score is that of its doubtful face


def test_what_the_ensemble_says_now_is_shown_where_an_earlier_one_was(
    studio: StudioClient, space: Workspace, asked: Any
) -> None:
    report = push(studio, space, GENDER, asked(3, predicted="male", confidence=0.6), model_version="old")
    unseen = push(studio, space, GENDER, asked(3), layout="wall", model_version="old", preannotate=False)
    newest = says((one.key for one in asked(2)), men=0.1)
    assert refresh_stale(studio, space, GENDER, newest) == 2
    there = [
        [(one["model_version"], one["score"], one["result"]) for one in task]
        for task in predictions_on(studio, report.project.id).values()
    ]
    old = ("old", 0.6, [chosen("male")])
    told = (newest.version, 0.75, [chosen("female")])  # as completion fills it in, where men are rare
    assert there == [[old, told], [old, told], [old]]
    assert refresh_stale(studio, space, GENDER, newest) == 0
    assert set(map(len, predictions_on(studio, unseen.project.id).values())) == {0}


@pytest.mark.parametrize("layout", ["single", "wall"])
def test_what_waits_since_a_cold_start_shows_what_the_first_ensemble_says(
    studio: StudioClient, space: Workspace, asked: Any, layout: Any
) -> None:
    project = push(studio, space, GENDER, asked(2), layout=layout).project
    assert not studio.project(project.id)["model_version"]
    first = says(one.key for one in asked(2))
    tasks = 2 if layout == "single" else 1
    assert refresh_stale(studio, space, GENDER, first) == tasks
    assert studio.project(project.id)["model_version"] == first.version
    there = list(predictions_on(studio, project.id).values())
    assert [[(one["model_version"], one["score"]) for one in task] for task in there] == [[(first.version, 0.75)]] * tasks
    assert refresh_stale(studio, space, GENDER, first) == 0


# --- walls ------------------------------------------------------------------------------------------------------------


def test_walls_there_and_back(studio: StudioClient, space: Workspace, asked: Any) -> None:
    report = push(studio, space, GENDER, asked(30, predicted="female", confidence=0.9), layout="wall", model_version="m")
    pid = report.project.id
    (full, _), (rest, data) = studio.tasks(pid)
    assert [data[f"img{index}"] == blank_picture() for index in range(24)] == [False] * 6 + [True] * 18
    assert studio.image(data["img5"]) == asked(1, start=29)[0].image.read_bytes()
    assert [len(task[0]["result"]) for task in predictions_on(studio, pid).values()] == [24, 6]
    assert push(studio, space, GENDER, asked(30), layout="wall").added == 0
    assert push(studio, space, GENDER, asked(34), layout="wall").added == 4
    assert Counter(keys_on(studio, pid)) == Counter({(one.key, 1): 1 for one in asked(34)})

    studio.annotate(rest, [chosen("male", 0), chosen("unclear", 5), chosen("male", 9)], lead_time=12.0)
    studio.annotate(full, [], was_cancelled=True)
    skipped, told = (read_task(task, GENDER) for task in studio.export(pid, [full, rest]))
    assert [one.state for one in skipped] == ["skip"] * 24
    assert [(one.key, one.state, one.value) for one in told] == [
        (f"{24 + index:064x}", *said)
        for index, said in enumerate([("answer", "male"), *[("open", None)] * 4, ("answer", "unclear")])
    ]
    assert {(one.predicted, one.confidence, one.lead_time) for one in told} == {("female", 0.9, 12.0)}
    assert {one.annotator for one in told} <= set(studio.users())


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_sends_and_then_has_nothing_to_send(studio: StudioClient, copy_of: Any, faces_workspace: Path) -> None:
    from sga.cli.main import app

    root = copy_of(faces_workspace)
    words = ["label", "push", "--count", "10", "--strategy", "random", "--workspace", str(root), "--url", studio.connection.url]
    environment = {"LABEL_STUDIO_API_KEY": studio.connection.token}
    done = CliRunner().invoke(app, words, env=environment, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    (project,) = read_projects(Workspace(root))
    page = f"{studio.connection.url}/projects/{project.id}/data?labeling=1"
    assert f"10 questions about gender sent, 0 were there. Label them at {page}" in done.output
    assert studio.connection.token not in done.output
    again = CliRunner().invoke(app, words, env=environment, catch_exceptions=False)
    assert "as far as was pulled" in again.output
    assert "nothing to send" in again.output
    assert f"sga label pull --workspace {root}" in again.output
    there = keys_on(studio, project.id)
    table = Workspace(root).table()
    rows = table.rows(key for key, _ in there)
    assert len(set(rows)) == 10
    assert (rows >= 0).all()
    assert not table.labelled("gender")[rows].any()  # nobody has said it yet
    more = CliRunner().invoke(app, [*words[:3], "12", *words[4:]], env=environment, catch_exceptions=False)
    assert "2 questions about gender sent" in more.output
    assert len(keys_on(studio, project.id)) == 12


def test_a_label_that_measures_the_model_is_asked_for_without_its_answer(
    studio: StudioClient, copy_of: Any, faces_workspace: Path
) -> None:
    from sga.cli.main import app

    space = Workspace(copy_of(faces_workspace))
    says(space.table().faces).save(space.folder("ensemble") / "predictions.npz")
    words = ["label", "push", "--count", "5", "--strategy", "random", "--workspace", str(space.root)]
    words += ["--url", studio.connection.url, "--token", studio.connection.token]
    for more in (["--split", "test"], []):
        done = CliRunner().invoke(app, [*words, *more], catch_exceptions=False)
        assert done.exit_code == 0, done.output
    (project,) = read_projects(space)
    table, shown = space.table(), predictions_on(studio, project.id)
    measures = {number: table.in_split("test")[table.rows([data["key"]])[0]] for number, data in studio.tasks(project.id)}
    assert set(measures.values()) == {True, False}
    assert {number: not told for number, told in shown.items()} == measures


def test_two_commands_at_a_time_ask_no_more_than_one(studio: StudioClient, copy_of: Any, faces_workspace: Path) -> None:
    from sga.cli.label_push import push as command

    space = Workspace(copy_of(faces_workspace))

    def run(seed: int) -> None:
        """Each seed picks other faces."""
        there: dict[str, Any] = {"url": studio.connection.url, "token": studio.connection.token}
        command(count=10, strategy="random", split=None, seed=seed, annotators=None, workspace=space.root, **there)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, (1, 2)))
    (project,) = read_projects(space)
    assert len(keys_on(studio, project.id)) == 10


def test_every_face_is_shown_to_as_many_people_as_asked(studio: StudioClient, copy_of: Any, faces_workspace: Path) -> None:
    import httpx

    from sga.cli.main import app

    root = copy_of(faces_workspace)
    words = ["label", "push", "--count", "3", "--strategy", "random", "--workspace", str(root)]
    words += ["--url", studio.connection.url, "--token", studio.connection.token]

    def said(*more: str) -> str:
        done = CliRunner().invoke(app, [*words, *more], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    def answered() -> list[bool]:
        return [bool(ask(studio, f"/api/tasks/{number}/")["is_labeled"]) for number, _ in studio.tasks(project.id)]

    said("--annotators", "2")
    (project,) = read_projects(Workspace(root))
    mine, both, nobody = (number for number, _ in studio.tasks(project.id))
    token = {"Authorization": f"Token {studio.connection.token}"}
    name = f"bea-{time.time_ns()}"
    told = {"username": name, "email": f"{name}@example.com", "password": "long enough"}
    bea = httpx.post(f"{studio.connection.url}/api/users/", json=told, headers=token, trust_env=False).json()["id"]
    for number in (mine, both):
        studio.annotate(number, [chosen("male")])
    hers = {"result": [chosen("female")], "completed_by": bea}
    url = f"{studio.connection.url}/api/tasks/{both}/annotations/"
    httpx.post(url, json=hers, headers=token, trust_env=False).raise_for_status()
    assert answered() == [False, True, False]
    assert nobody
    assert "nothing to send" in said()  # without the option a project stays as it was
    assert answered() == [False, True, False]
    assert "nothing to send" in said("--annotators", "1")
    assert answered() == [True, True, False]
