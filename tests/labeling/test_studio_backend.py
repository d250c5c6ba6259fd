"""The ML backend: what it answers to whom, fresh predictions, nothing leaked; with a real Label Studio, the whole round."""

from __future__ import annotations

import json
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from configs.errors import InputError
from labeling.predictions import Predictions
from labeling.studio.backend import HEADER, LIMIT, USER, build_app, mask
from labeling.studio.projects import Project, add_project
from labeling.studio.retrain import Retrainer
from labeling.studio.serving import serving
from labeling.workspace import Workspace

SECRET = "the-secret-of-this-test"
TOKEN = "0123456789abcdef0123456789abcdef01234567"
MEMBERS = ("resnet", "densenet")
GENDER, WALL, QUALITY, REVIEW = 7, 8, 9, 10
GENERATED = "0123456789abcdef/7/3/male"


def predict(space: Workspace, seed: int) -> Predictions:
    """Write what an ensemble could have said of every face (gender, hair colour and smile); first values are more frequent than
    it decides by."""
    table = space.table()
    rng = np.random.default_rng(seed)
    told = {
        name: rng.dirichlet(np.ones(table.schema[name].size), size=(len(table), len(MEMBERS))).astype(np.float32)
        for name in ("gender", "hair_color", "smile")
    }
    even = {name: np.full(value.shape[2], 1 / value.shape[2]) for name, value in told.items()}
    shares = {name: np.r_[0.7, np.full(len(value) - 1, 0.3 / (len(value) - 1))] for name, value in even.items()}
    predictions = Predictions(table.faces, MEMBERS, told, np.zeros(len(table), bool), even, shares)
    predictions.save(space.folder("ensemble") / "predictions.npz")
    return predictions


def furnish(root: Path) -> Workspace:
    """Faces, predictions and a project of each kind."""
    place = Workspace(root)
    predict(place, 0)
    add_project(place, Project("here", GENDER, "gender", "single", "label"))
    add_project(place, Project("here", WALL, "hair_color", "wall", "label"))
    add_project(place, Project("here", QUALITY, "quality", "single", "quality"))
    add_project(place, Project("here", REVIEW, "gender", "single", "review"))
    add_project(place, Project("elsewhere", 70, "gender", "single", "label"))
    return place


@pytest.fixture
def space(faces_workspace: Path, copy_of: Callable[[Path], Path]) -> Workspace:
    """A workspace to be changed."""
    return furnish(copy_of(faces_workspace))


@pytest.fixture(scope="module")
def still(faces_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace that nothing changes."""
    return furnish(Path(shutil.copytree(faces_workspace, tmp_path_factory.mktemp("still") / "workspace")))


class Asked:
    """A backend that is served, and how to ask it."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, trust_env=False, verify=False, timeout=20.0)
        self.signed = {HEADER: SECRET}

    def post(self, path: str, payload: Any) -> dict[str, Any]:
        answer = self.http.post(path, json=payload, headers=self.signed)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def predict(self, project: int, *tasks: Any) -> list[dict[str, Any]]:
        """As the server asks: the project with the time at which it was made."""
        told = self.post("/predict", {"tasks": list(tasks), "project": f"{project}.1700000000", "label_config": "<View/>"})
        results: list[dict[str, Any]] = told["results"]
        assert len(results) == len(tasks)
        return results


@contextmanager
def asking(space: Workspace, retrainer: Retrainer | None = None) -> Iterator[Asked]:
    with serving(build_app(space, SECRET, retrainer, server="here")) as url:
        asked = Asked(url)
        with asked.http:
            yield asked


@pytest.fixture
def changed(space: Workspace) -> Iterator[Asked]:
    """The backend of `space`."""
    with asking(space) as asked:
        yield asked


@pytest.fixture(scope="module")
def asked(still: Workspace) -> Iterator[Asked]:
    """The backend of `still`."""
    with asking(still) as asked:
        yield asked


def single(key: Any, **more: Any) -> dict[str, Any]:
    return {"id": 1, "data": {"image": "/data/local-files/?d=x.png", "key": key, **more}, "project": GENDER}


def test_a_face_gets_what_completion_would_fill_in(still: Workspace, asked: Asked) -> None:
    predictions = Predictions.load(still.folder("ensemble") / "predictions.npz")
    told = asked.predict(GENDER, *(single(face) for face in predictions.faces.tolist()))
    shares, values = predictions.natural("gender"), still.table().schema["gender"].values
    assert (shares.argmax(axis=1) != predictions.mean("gender").argmax(axis=1)).any()
    assert {one["result"][0]["value"]["choices"][0] for one in told} == set(values)
    for one, share in zip(told, shares, strict=True):
        assert one["model_version"] == predictions.version
        assert one["score"] == pytest.approx(float(share.max()), abs=1e-5)
        value = {"choices": [values[int(share.argmax())]]}
        assert one["result"] == [{"from_name": "label", "to_name": "image", "type": "choices", "value": value}]


def test_a_wall_gets_an_answer_for_each_face_that_is_known(still: Workspace, asked: Asked) -> None:
    predictions = Predictions.load(still.folder("ensemble") / "predictions.npz")
    faces = predictions.faces.tolist()[:5]
    cells: list[Any] = [{"key": face} for face in faces]
    cells[1], cells[3] = {"key": "f" * 64}, "no cell"
    (told,) = asked.predict(WALL, {"id": 1, "data": {"img0": "/x.png", "cells": cells}})
    known, shares = [0, 2, 4], predictions.natural("hair_color")
    values = still.table().schema["hair_color"].values
    assert [(one["from_name"], one["to_name"]) for one in told["result"]] == [(f"label{i}", f"img{i}") for i in known]
    assert [one["value"]["choices"] for one in told["result"]] == [[values[int(shares[i].argmax())]] for i in known]
    assert told["score"] == pytest.approx(min(float(shares[i].max()) for i in known), abs=1e-5)


@pytest.mark.parametrize(
    "task",
    [
        single("f" * 64),
        single(GENERATED),
        single(None),
        single(7),
        single(["a"]),
        {"id": 1},
        {"id": 1, "data": "text"},
        {"id": 1, "data": {"cells": "none"}},
        {"id": 1, "data": {"cells": [None, 3, {"key": {}}]}},
        "no task",
        None,
    ],
)
def test_an_unknown_face_gets_no_answer(task: Any, still: Workspace, asked: Asked) -> None:
    known = single(still.table().faces[0])
    told = asked.predict(GENDER, task, known)
    assert told[0]["result"] == []
    assert told[0]["score"] == 0
    assert told[1]["result"]


@pytest.mark.parametrize("project", [QUALITY, 70, 999, -1, "", None, [], {}, "²", "9" * 5000])
def test_another_project_gets_no_answer(project: Any, still: Workspace, asked: Asked) -> None:
    for named in (project, f"{project}.17", {"id": project}):
        told = asked.post("/predict", {"tasks": [single(still.table().faces[0])], "project": named})
        assert [one["result"] for one in told["results"]] == [[]]


def test_a_face_that_was_pushed_without_showing_the_answer_stays_so(still: Workspace, asked: Asked) -> None:
    face, other = still.table().faces[:2]
    hidden, shown = asked.predict(
        GENDER, single(face, predicted="male", shown=False), single(other, predicted="male", shown=True)
    )
    assert hidden["result"] == []
    assert shown["result"]
    blind, late = (single(face, predicted=None, shown=shown) for shown in (False, True))  # pushed before there was an ensemble
    assert [bool(one["result"]) for one in asked.predict(GENDER, blind, late)] == [False, True]
    cells = [{"key": face, "predicted": "blue", "shown": False}, {"key": other, "predicted": None, "shown": True}]
    (wall,) = asked.predict(WALL, {"data": {"cells": cells}})
    assert [one["from_name"] for one in wall["result"]] == ["label1"]


def test_predictions_are_those_of_the_newest_file(space: Workspace, changed: Asked) -> None:
    path = space.folder("ensemble") / "predictions.npz"
    task = single(space.table().faces[0])
    for seed in (1, 2):
        newest = predict(space, seed)
        (told,) = changed.predict(GENDER, task)
        assert told["model_version"] == newest.version
        assert told["score"] == pytest.approx(float(newest.natural("gender")[0].max()), abs=1e-3)
        assert changed.post("/setup", {"project": "7.1"}) == {"model_version": newest.version}
        assert changed.http.get("/versions", headers=changed.signed).json() == {"versions": [newest.version]}
        assert changed.http.get("/health").json()["model_version"] == newest.version
    path.write_bytes(b"damaged")
    assert changed.predict(GENDER, task)[0]["model_version"] == newest.version
    path.unlink()
    assert changed.predict(GENDER, task) == [[]]  # nothing that the server would keep
    assert changed.post("/setup", {}) == {"model_version": ""}
    assert changed.http.get("/versions", headers=changed.signed).json() == {"versions": []}


def test_the_version_names_the_content(space: Workspace) -> None:
    one, other = predict(space, 1), predict(space, 2)
    assert one.version != other.version
    assert one.version == predict(space, 1).version == Predictions.load(space.folder("ensemble") / "predictions.npz").version
    assert len(one.version.removeprefix("ensemble-")) == 8


# --- who may ask, and with what ---------------------------------------------------------------------------------------

GUARDED = [("POST", "/setup"), ("POST", "/predict"), ("GET", "/versions"), ("POST", "/webhook")]


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_the_secret_is_needed(method: str, path: str, asked: Asked) -> None:
    body = None if method == "GET" else b'{"tasks": []}'
    wrong: list[dict[str, str | bytes]] = [
        {},
        {HEADER: ""},
        {HEADER: SECRET + "x"},
        {HEADER: SECRET[:-1]},
        {HEADER: "ä".encode()},
        {"Authorization": f"Basic {SECRET}"},
        {"Authorization": "Basic ====="},
        {"Authorization": "Basic /w=="},
        {"Authorization": f"Token {SECRET}"},
        {"Authorization": b"\xff\xfe"},
    ]
    for headers in wrong:
        answer = asked.http.request(method, path, content=body, headers=headers)
        assert answer.status_code == 401, headers
        assert SECRET not in answer.text
    assert asked.http.request(method, path, content=body, auth=(USER, "wrong")).status_code == 401
    assert asked.http.request(method, path, content=body, auth=(USER, SECRET)).status_code == 200
    assert asked.http.request(method, path, content=body, headers=asked.signed).status_code == 200


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/", "/labeling/answers.jsonl", "/../labels.parquet"])
def test_there_is_nothing_else(path: str, asked: Asked) -> None:
    assert asked.http.get(path, headers=asked.signed).status_code == 404


def test_another_method_is_refused(asked: Asked) -> None:
    assert asked.http.get("/predict", headers=asked.signed).status_code == 405
    assert asked.http.delete("/health").status_code == 405


BAD = {
    "empty": b"",
    "cut": b'{"tasks": [',
    "no object": b"[1, 2]",
    "no text": b"\xff\xfe\x00",
    "deep": b"[" * 200_000,
    "deep objects": b'{"a":' * 200_000,
    "a long number": b'{"tasks": ' + b"9" * 10_000 + b"}",
    "a form": b"tasks=1&project=2",
}


@pytest.mark.parametrize("path", ["/setup", "/predict", "/webhook"])
@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
def test_a_body_that_is_no_json_is_refused(path: str, body: bytes, asked: Asked) -> None:
    answer = asked.http.post(path, content=body, headers={**asked.signed, "Content-Type": "application/json"})
    assert answer.status_code == 400
    assert set(answer.json()) == {"detail"}


@pytest.mark.parametrize("tasks", [None, {}, "all", 3])
def test_tasks_have_to_be_a_list(tasks: Any, asked: Asked) -> None:
    assert asked.http.post("/predict", json={"tasks": tasks}, headers=asked.signed).status_code == 400


@pytest.mark.parametrize("path", ["/setup", "/predict", "/webhook"])
def test_a_huge_body_is_refused(path: str, asked: Asked) -> None:
    def without_a_length(size: int) -> Iterator[bytes]:
        for _ in range(size // 2**20):
            yield b" " * 2**20
        yield b" " * (size % 2**20)

    for body in (b" " * (LIMIT + 1), without_a_length(LIMIT + 1)):
        assert asked.http.post(path, content=body, headers=asked.signed).status_code == 413
    assert asked.http.post(path, content=without_a_length(LIMIT), headers=asked.signed).status_code == 400  # taken, and no JSON


def test_tokens_are_found_nowhere(space: Workspace, changed: Asked, capfd: pytest.CaptureFixture[str]) -> None:
    """As the server sends it: the token of the project's creator, in clear."""
    setup = {
        "project": "7.17",
        "schema": "<View/>",
        "hostname": "http://localhost",
        "access_token": TOKEN,
        "extra_params": None,
    }
    bodies = [
        setup,
        {"tasks": TOKEN},
        {"tasks": [TOKEN, single(TOKEN)], "project": TOKEN},
        {"action": TOKEN, "annotation": TOKEN},
    ]
    for path in ("/setup", "/predict", "/webhook", f"/{TOKEN}", f"/setup?access_token={TOKEN}"):
        for body in bodies:
            answer = changed.http.post(path, json=body, headers=changed.signed)
            assert TOKEN not in answer.text
            assert TOKEN not in str(answer.headers)
    assert changed.http.post("/setup", content=f'{{"access_token": "{TOKEN}"', headers=changed.signed).status_code == 400
    assert TOKEN not in "".join(capfd.readouterr())
    files = [path for path in space.root.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if TOKEN.encode() in path.read_bytes()]


def test_an_internal_error_is_told_by_number_alone(space: Workspace, changed: Asked, capfd: pytest.CaptureFixture[str]) -> None:
    path = space.root / "labeling" / "projects.json"
    path.write_text(json.dumps([{"token": TOKEN, "secret": SECRET}]))  # its error quotes what it found
    answer = changed.http.post("/predict", json={"tasks": [single("f" * 64)]}, headers=changed.signed)
    assert answer.status_code == 500
    assert answer.json()["detail"] == "internal error"
    number = answer.json()["id"]
    assert set(answer.json()) == {"detail", "id"}
    log = space.root / "labeling" / "backend.log"
    written = log.read_text()
    assert number in written
    assert "Traceback" in written
    assert "WorkspaceError" in written
    assert "[secret]" in written
    assert TOKEN not in written
    assert SECRET not in written
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert "Traceback" not in "".join(capfd.readouterr())
    path.unlink()
    assert changed.predict(GENDER, single("f" * 64))


def test_what_looks_like_a_token_is_masked() -> None:
    personal = "eyJhbGciOiJI.eyJ0b2tlbl90eXBl.c2lnbmF0dXJl"
    text = mask(f"Token {TOKEN}, Bearer abc, {personal}, {SECRET} for {'a' * 64}", SECRET, "")
    assert text == f"Token [secret], Bearer [secret] [secret], [secret] for {'a' * 64}"


def test_a_taken_port_is_told(still: Workspace, asked: Asked) -> None:
    port = httpx.URL(str(asked.http.base_url)).port
    with pytest.raises(InputError, match="--port"), serving(build_app(still, SECRET), port=port or 0):
        pass


# --- what people answer -----------------------------------------------------------------------------------------------


def answer(*names: str, skipped: bool = False) -> dict[str, Any]:
    regions = [{"from_name": name, "to_name": "image", "type": "choices", "value": {"choices": ["male"]}} for name in names]
    return {"id": 5, "was_cancelled": skipped, "result": regions}


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    """Until it holds; fails after that many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_events_are_counted_and_start_a_retrain(space: Workspace, tmp_path: Path) -> None:
    mark = [sys.executable, "-c", f"open({str(tmp_path / 'trace')!r}, 'a').write('x')"]
    one = Retrainer([mark], space.root / "labeling" / "retrain.log", 8)
    with asking(space, one) as asked:

        def event(action: Any, annotation: Any, project: int = GENDER) -> str:
            payload = {"action": action, "annotation": annotation, "task": {"data": {}}, "project": {"id": project}}
            return str(asked.post("/webhook", payload)["status"])

        assert event("ANNOTATION_CREATED", answer("label")) == "counted"
        assert event("ANNOTATION_CREATED", answer("label0", "label3", "label3"), WALL) == "counted"
        assert event("ANNOTATION_CREATED", answer("label"), REVIEW) == "counted"
        assert event("ANNOTATIONS_CREATED", [answer("label"), answer("label")]) == "counted"
        assert asked.http.get("/health").json()["retrain"]["answers"] == 6
        assert event("ANNOTATION_CREATED", answer("label", skipped=True)) == "counted"
        assert event("ANNOTATION_CREATED", answer()) == "counted"
        for broken in (None, 3, "x", {"result": "x"}, {"result": [None, 3]}, [[]]):
            assert event("ANNOTATION_CREATED", broken) == "counted"
        for project in (QUALITY, 70, 999):
            assert event("ANNOTATION_CREATED", answer("label"), project) == "ignored"
        for action in ("ANNOTATION_UPDATED", "PROJECT_UPDATED", "", None, 3, {}, []):
            assert event(action, answer("label")) == "ignored"
        assert (one.state.state, one.state.answers) == ("waiting", 6)
        unsigned = asked.http.post("/webhook", json={"action": "START_TRAINING", "project": {"id": GENDER}})
        assert unsigned.status_code == 401
        assert one.state.runs == 0
        event("ANNOTATION_CREATED", answer("label0", "label1"), WALL)
        wait_for(lambda: one.state.state == "done")
        assert event("START_TRAINING", None) == "started"
        wait_for(lambda: one.state.runs == 2 and one.state.state == "done")
        health = asked.http.get("/health").json()
        assert health["status"] == "UP"
        assert (health["retrain"]["state"], health["retrain"]["runs"]) == ("done", 2)
        assert "error" not in health["retrain"]
    assert (tmp_path / "trace").read_text() == "xx"
