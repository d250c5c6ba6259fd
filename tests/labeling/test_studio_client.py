"""Calls to a real Label Studio: projects, tasks, pictures, and every change that people make."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from configs.errors import StudioError
from labeling.studio import client as module
from labeling.studio.client import StudioClient
from labeling.studio.connection import Connection
from labeling.studio.credentials import document_root
from labeling.studio.pictures import Pictures
from labeling.studio.server import TESTED_VERSION, LocalServer

httpx = pytest.importorskip("httpx")

CONFIG = """<View><Image name="image" value="$image"/><Choices name="label" toName="image">
<Choice value="female"/><Choice value="male"/></Choices></View>"""
PIXELS = "data:image/png;base64,iVBORw0KGgo="


def says(value: str) -> list[dict[str, Any]]:
    return [{"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": [value]}}]


def task(number: int, **more: Any) -> dict[str, Any]:
    return {"data": {"image": PIXELS, "key": f"{number:064}"}, **more}


def now() -> str:
    time.sleep(0.02)
    moment = datetime.now(UTC).isoformat()
    time.sleep(0.02)
    return moment


@pytest.fixture
def project(studio: StudioClient) -> int:
    """A project with seven tasks."""
    pid = studio.create_project("tests of the client", CONFIG)
    assert studio.import_tasks(pid, [task(number) for number in range(7)]) == 7
    return pid


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the overlap, so that a test sees what a moment alone finds."""
    monkeypatch.setattr(module, "OVERLAP", module.OVERLAP * 0)


def test_who_and_what(studio: StudioClient, studio_server: LocalServer) -> None:
    assert studio.version() == TESTED_VERSION
    assert studio.me() == studio_server.username
    assert studio_server.username in studio.users().values()


def test_a_project_is_made_changed_and_deleted(studio: StudioClient) -> None:
    pid = studio.create_project("a project", CONFIG, "said", model_version="ensemble-1")
    told = studio.project(pid)
    assert (told["id"], told["title"], told["description"], told["task_number"]) == (pid, "a project", "said", 0)
    assert told["model_version"] == "ensemble-1"
    assert "Choices" in told["label_config"]
    studio.update_project(pid, title="renamed", sampling="Uncertainty sampling")
    assert (studio.project(pid)["title"], studio.project(pid)["sampling"]) == ("renamed", "Uncertainty sampling")
    studio.delete_project(pid)
    with pytest.raises(StudioError) as gone:
        studio.project(pid)
    assert gone.value.gone


def test_predictions_are_replaced(studio: StudioClient, project: int) -> None:
    ids = [number for number, _ in studio.tasks(project)]
    made = [{"task": number, "model_version": "m2", "score": 0.75, "result": says("male")} for number in ids]
    assert studio.import_predictions(project, made) == 7
    studio.update_project(project, model_version="m2")
    (first,) = studio._sdk.predictions.list(task=ids[0])
    assert (first.model_version, first.score, first.result) == ("m2", 0.75, says("male"))
    studio.annotate(ids[0], says("female"))
    chosen = {"all": True, "excluded": []}
    studio._sdk.actions.create(project=project, id="delete_tasks_predictions", selected_items=chosen)
    tasks = studio.export(project, ids)
    assert [one["predictions"] for one in tasks] == [[]] * 7
    assert tasks[0]["annotations"][0]["prediction"]["result"] == says("male")  # what the person saw is kept


def test_all_tasks_are_listed_page_by_page(studio: StudioClient, project: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 3)
    listed = list(studio.tasks(project))
    assert [data["key"] for _, data in listed] == [f"{number:064}" for number in range(7)]
    assert [number for number, _ in listed] == sorted({number for number, _ in listed})
    assert list(studio.tasks(studio.create_project("empty", CONFIG))) == []


def test_a_list_that_shrinks_on_the_way_is_whole(studio: StudioClient, project: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [number for number, _ in studio.tasks(project)]
    monkeypatch.setattr(module, "PAGE", 3)
    pages = studio.tasks(project)
    read = [next(pages)[0]]
    for number in ids[:2]:
        studio._sdk.tasks.delete(str(number))
    assert studio.import_tasks(project, [task(7)]) == 1
    read += [number for number, _ in pages]
    assert read[:7] == ids
    assert len(read) == 8


def test_a_project_deleted_on_the_way_is_gone(studio: StudioClient, project: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 3)
    pages = studio.tasks(project)
    next(pages)
    studio.delete_project(project)
    with pytest.raises(StudioError) as gone:
        list(pages)
    assert gone.value.gone


def test_every_kind_of_change_is_seen(studio: StudioClient, project: int, exact: None) -> None:
    ids = [number for number, _ in studio.tasks(project)]
    assert studio.changed_tasks(project, None) == []
    assert studio.changed_tasks(project, "2020-01-01T00:00:00Z") == []  # nobody touched what was imported
    start = now()
    made, skipped = studio.annotate(ids[0], says("male"), lead_time=1.5), studio.annotate(ids[1], [], was_cancelled=True)
    other = studio.annotate(ids[2], says("female"))
    assert studio.changed_tasks(project, start) == studio.changed_tasks(project, None) == ids[:3]
    since = now()
    studio._sdk.annotations.update(made, result=says("female"))
    assert studio.changed_tasks(project, since) == ids[:1]
    since = now()
    studio._sdk.annotations.delete(other)
    assert studio.changed_tasks(project, since) == ids[2:3]
    since = now()
    studio._sdk.annotations.delete(skipped)
    assert studio.changed_tasks(project, since) == ids[1:2]
    since = now()
    chosen = {"all": False, "included": ids[:1]}
    studio._sdk.actions.create(project=project, id="delete_tasks_annotations", selected_items=chosen)  # in the data manager
    assert studio.changed_tasks(project, since) == ids[:1]
    assert studio.changed_tasks(project, now()) == []
    assert studio.changed_tasks(project, start) == ids[:3]


def test_the_minutes_before_are_told_again(studio: StudioClient, project: int) -> None:
    ids = [number for number, _ in studio.tasks(project)]
    studio.annotate(ids[3], says("male"))
    assert studio.changed_tasks(project, now()) == [ids[3]]


def test_an_import_with_answers_is_a_change(studio: StudioClient, project: int, exact: None) -> None:
    since = now()
    studio.import_tasks(project, [task(7), task(8, annotations=[{"result": says("male")}])])
    (changed,) = studio.changed_tasks(project, since)
    assert studio.export(project, [changed])[0]["data"]["key"] == f"{8:064}"


def test_an_export_has_skips_and_emptied_tasks(studio: StudioClient, project: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXPORT_CHUNK", 2)
    ids = [number for number, _ in studio.tasks(project)]
    studio.annotate(ids[0], [], was_cancelled=True)
    studio.annotate(ids[0], says("male"), lead_time=2.5)
    studio._sdk.annotations.delete(studio.annotate(ids[1], says("male")))
    asked = [ids[4], ids[1], ids[0], 10**9]
    found = studio.export(project, asked)
    assert [one["id"] for one in found] == asked[:3]
    assert [one["annotations"] for one in found[:2]] == [[], []]
    both = sorted(found[2]["annotations"], key=lambda one: one["id"])
    assert [(one["was_cancelled"], one["result"] == says("male")) for one in both] == [(True, False), (False, True)]
    assert both[1]["lead_time"] == 2.5
    assert studio.users()[both[1]["completed_by"]] == studio.me()
    assert studio.export(project, []) == []


def test_a_picture_comes_as_the_page_gets_it(studio: StudioClient, tmp_path: Path) -> None:
    root = studio.connection.files_at
    assert root is not None
    file = tmp_path / "workspace" / "faces" / "ab" / "face.png"
    file.parent.mkdir(parents=True)
    Image.new("RGB", (96, 96), (200, 30, 90)).save(file)
    path = f"/data/local-files/?d={file.resolve().relative_to(root)}"
    with pytest.raises(StudioError, match="found nothing"):
        studio.image(path)
    pid = studio.create_project("pictures", CONFIG)
    assert [Pictures(studio, pid)(file) for _ in range(2)] == [path] * 2
    assert len(studio.attached_files(pid)) == 1
    assert studio.image(path) == file.read_bytes()
    assert httpx.get(studio.connection.url + path, trust_env=False).status_code == 401
    with pytest.raises(StudioError):
        studio.image(f"{path}/../../../../../../../../../../../../etc/passwd")


def test_nobody_who_may_log_in_reads_the_rest_of_the_workspace(studio: StudioClient, studio_server: LocalServer) -> None:
    pid, folder = studio.create_project("pictures", CONFIG), studio_server.folder
    root = document_root(folder.parents[1])
    assert (folder / "server.json").is_file()
    for secret in (folder, folder.parent, folder.parents[1], root, root / "..", Path("/etc")):
        with pytest.raises(StudioError, match=r"Expected the folder .* to be taken"):
            studio.attach_files(pid, secret)
    for path in ("labeling/studio/server.json", "../server.json", str(folder / "server.json")):
        with pytest.raises(StudioError):
            studio.image(f"/data/local-files/?d={path}")
    Image.new("RGB", (8, 8)).save(folder / "picture.png")
    assert Pictures(studio, pid)(folder / "picture.png").startswith("data:image/png;base64,")
    assert studio.attached_files(pid) == []


def test_bad_data_are_refused_whole(studio: StudioClient, project: int) -> None:
    with pytest.raises(StudioError, match=r"Expected 2 tasks for project .* to be taken by .*, found it refused: .*image"):
        studio.import_tasks(project, [task(7), {"data": {"key": "x"}}])
    assert len(list(studio.tasks(project))) == 7
    with pytest.raises(StudioError, match="at least 3 characters"):
        studio.create_project("ab", CONFIG)
    with pytest.raises(StudioError, match="label_config"):
        studio.create_project("a project", "<View>")


def test_whatever_is_asked_of_a_deleted_project_says_so(studio: StudioClient, project: int, tmp_path: Path) -> None:
    (ids, *_) = [number for number, _ in studio.tasks(project)]
    studio.delete_project(project)
    asked: dict[str, Callable[[], object]] = {
        "project": lambda: studio.project(project),
        "update": lambda: studio.update_project(project, title="another"),
        "delete": lambda: studio.delete_project(project),
        "tasks": lambda: list(studio.tasks(project)),
        "import": lambda: studio.import_tasks(project, [task(0)]),
        "changed": lambda: studio.changed_tasks(project, None),
        "since": lambda: studio.changed_tasks(project, now()),
        "export": lambda: studio.export(project, [ids]),
        "files": lambda: studio.attach_files(project, tmp_path),
        "predictions": lambda: studio.import_predictions(project, [{"task": ids, "result": says("male")}]),
    }
    for name, ask in asked.items():
        with pytest.raises(StudioError, match="its project was deleted there") as gone:
            ask()
        assert gone.value.gone, name
    with pytest.raises(StudioError, match="found nothing") as refused:
        studio.annotate(ids, says("male"))
    assert not refused.value.gone


@pytest.mark.filterwarnings("ignore:The `parse_obj` method is deprecated")  # the SDK reads its access token with it
def test_a_personal_token_is_a_token(studio: StudioClient) -> None:
    personal = studio._sdk.tokens.create().token
    assert personal.count(".") == 2
    with StudioClient(Connection(studio.connection.url, personal)) as client:
        assert client.version() == TESTED_VERSION
        pid = client.create_project("with a personal token", CONFIG)
        assert client.import_tasks(pid, [task(0)]) == 1
        assert len(list(client.tasks(pid))) == 1
