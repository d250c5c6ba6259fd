"""Answers from a real Label Studio into the store and the label table, whatever happens on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from configs.errors import InputError, StudioError
from labeling.answers import Answer, store_of
from labeling.provenance import Source
from labeling.schema import Schema
from labeling.studio import pull as stage
from labeling.studio.client import StudioClient
from labeling.studio.connection import Connection
from labeling.studio.projects import Project, read_projects
from labeling.studio.pull import PullReport, projects_to_pull, pull, take_in
from labeling.studio.push import push
from labeling.studio.server import LocalServer
from labeling.studio.tasks import Question, build_tasks
from labeling.studio.transport import Transport
from labeling.table import LabelTable
from labeling.workspace import Workspace, table_fingerprint

if TYPE_CHECKING:
    from label_studio_sdk import LabelStudio

ROOT = Path(__file__).parents[2]
GENDER = Schema.load("faces")["gender"]


@pytest.fixture
def client(studio_server: LocalServer) -> Iterator[StudioClient]:
    """The shared server, as one that runs elsewhere: it is named by its URL, and pictures travel inside the tasks."""
    with StudioClient(Connection(studio_server.connection.url, studio_server.connection.token)) as client:
        yield client


@pytest.fixture
def sdk(client: StudioClient) -> Iterator[LabelStudio]:
    """What people and other programs can do on that server."""
    import httpx
    from label_studio_sdk import LabelStudio

    with httpx.Client(trust_env=False) as http:
        yield LabelStudio(base_url=client.connection.url, api_key=client.connection.token, httpx_client=http)


@pytest.fixture
def space(tmp_path: Path, picture: Callable[..., Image.Image]) -> Workspace:
    """Thirty faces without labels."""
    place = Workspace(tmp_path / "workspace")
    faces = [f"{number:064x}" for number in range(30)]
    files = [f"faces/{face}.png" for face in faces]
    place.folder("faces").mkdir(parents=True)
    for number, file in enumerate(files):
        picture(number, 32).save(place.root / file)
    table = LabelTable.empty(Schema.load("faces"), faces, files, ["train"] * 30, faces)
    table.save(place.labels_path)
    place.finish("faces", table_fingerprint(table, completed=False), {})
    return place


def ask(client: StudioClient, space: Workspace, count: int, name: str = "gender", **more: Any) -> tuple[Project, list[int]]:
    """Push the first faces; the project and the ids of its tasks."""
    attribute = space.table().schema[name]
    frame = space.table().frame
    questions = [
        Question(face, space.root / file, file, "random", predicted=attribute.values[0], confidence=0.75)
        for face, file in zip(frame["face"][:count], frame["file"][:count], strict=True)
    ]
    project = push(client, space, attribute, questions, model_version="ensemble-1", **more).project
    return project, [number for number, _ in client.tasks(project.id)]


def choice(value: str, cell: int | None = None) -> dict[str, Any]:
    at = "" if cell is None else str(cell)
    names = {"from_name": f"label{at}", "to_name": f"img{at}" if at else "image"}
    return {**names, "type": "choices", "value": {"choices": [value]}}


def fetch(client: StudioClient, space: Workspace) -> PullReport:
    return pull(client, space, projects_to_pull(space, client.connection))


def faces(space: Workspace, name: str = "gender") -> dict[int, str]:
    """Number of a face → its human label."""
    table = space.table()
    values, human = table.schema[name].values, table.sources(name) == Source.HUMAN
    return {
        int(face, 16): values[code]
        for face, code, is_human in zip(table.faces, table.codes(name), human, strict=True)
        if is_human
    }


def answers(space: Workspace) -> dict[int, Answer]:
    return {int(answer.key, 16): answer for answer in store_of(space.root).all()}


def files(space: Workspace) -> dict[str, tuple[bytes, int]]:
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in space.root.rglob("*") if path.is_file()}


def command(client: StudioClient, monkeypatch: pytest.MonkeyPatch, *arguments: object, token: str | None = None) -> int:
    """`sga label pull …`; its exit code."""
    from sga.cli.main import main

    monkeypatch.setenv("LABEL_STUDIO_URL", client.connection.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", token or client.connection.token)
    with pytest.raises(SystemExit) as end:
        main(["label", "pull", *map(str, arguments)])
    return int(end.value.code or 0)


# -- what people do --------------------------------------------------------------------------------------------------------


def test_answers_skips_and_refusals_come_back_once(client: StudioClient, space: Workspace) -> None:
    project, tasks = ask(client, space, 6)
    first = client.annotate(tasks[0], [choice("female")], lead_time=2.5)
    client.annotate(tasks[1], [choice("male")], lead_time=1.5)
    client.annotate(tasks[2], [], was_cancelled=True)
    client.annotate(tasks[3], [choice("robot")])
    client.annotate(tasks[4], [choice("unclear")])
    report = fetch(client, space)
    told = answers(space)
    assert {number: (answer.state, answer.value) for number, answer in told.items()} == {
        0: ("answer", "female"),
        1: ("answer", "male"),
        2: ("skip", None),
        3: ("refused", None),
        4: ("answer", "unclear"),
    }
    one = told[0]
    assert (one.server, one.project, one.task, one.annotation) == (client.connection.url, project.id, tasks[0], first)
    assert (one.annotator, one.purpose, one.strategy, one.round) == (client.me(), "label", "random", 1)
    assert (one.lead_time, one.predicted, one.confidence, one.model_version) == (2.5, "female", 0.75, "ensemble-1")
    assert one.created <= one.updated
    assert one.updated.endswith("Z")
    (refused,) = report.refused
    assert refused.reason == "expected female, male, unclear; found 'robot'"
    assert f"{client.connection.url}/projects/{project.id}/data?task={tasks[3]}" in "\n".join(report.lines())
    taken = take_in(space)
    assert faces(space) == {0: "female", 1: "male"}
    assert taken.written["gender"] == {"female": 1, "male": 1}

    before = files(space)
    again = fetch(client, space)
    assert again.answers == []
    assert not take_in(space).changed
    assert files(space) == before


def test_only_what_changed_is_read(client: StudioClient, space: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    _, tasks = ask(client, space, 8)
    for task in tasks[:6]:
        client.annotate(task, [choice("female")])
    assert fetch(client, space).tasks == 6  # two have no answer
    monkeypatch.setattr("labeling.studio.client.OVERLAP", type(stage.OVERLAP)(0))
    assert fetch(client, space).tasks <= 1
    client.annotate(tasks[7], [choice("male")])
    report = fetch(client, space)
    assert [answer.task for answer in report.answers] == [tasks[7]]
    assert report.tasks <= 2


def test_rows_that_the_store_lost_are_read_again(
    client: StudioClient, space: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, tasks = ask(client, space, 4)
    for task in tasks:
        client.annotate(task, [choice("female")])
    fetch(client, space)
    store = store_of(space.root)
    before = store.all()
    store.path.write_text("".join(store.path.read_text().splitlines(keepends=True)[1:]))
    monkeypatch.setattr("labeling.studio.client.OVERLAP", type(stage.OVERLAP)(0))
    fetch(client, space)
    assert len(store.all()) == 3
    report = pull(client, space, projects_to_pull(space, client.connection), again=True)
    assert report.answers == [before[0]]
    assert {answer.identity for answer in store.all()} == {answer.identity for answer in before}


def test_answers_from_a_server_that_was_made_anew_stay(client: StudioClient, space: Workspace) -> None:
    """Its projects and tasks count from 1 again: the same numbers, other faces."""
    _, tasks = ask(client, space, 2)
    client.annotate(tasks[0], [choice("female")])
    (mine,) = fetch(client, space).answers
    other = replace(mine, annotation=mine.annotation + 10**6, key=f"{20:064x}")
    store_of(space.root).append([other])
    client.annotate(tasks[0], [choice("male")])
    fetch(client, space)
    take_in(space)
    assert answers(space)[20] == other
    assert faces(space)[20] == "female"


def test_edits_and_deletions_are_followed(client: StudioClient, sdk: LabelStudio, space: Workspace) -> None:
    _, tasks = ask(client, space, 3)
    ids = [client.annotate(task, [choice("female")]) for task in tasks]
    fetch(client, space)
    take_in(space)
    sdk.annotations.update(id=ids[0], result=[choice("male")])
    sdk.annotations.delete(id=ids[1])
    sdk.annotations.update(id=ids[2], result=[], was_cancelled=True)
    report = fetch(client, space)
    assert {answer.state for answer in report.answers} == {"answer", "withdrawn", "skip"}
    taken = take_in(space)
    assert faces(space) == {0: "male"}
    assert taken.restored["gender"] == 2
    assert answers(space)[1].value == "female"  # what was said is kept
    assert fetch(client, space).answers == []
    again = client.annotate(tasks[1], [choice("male")])
    assert [answer.annotation for answer in fetch(client, space).answers] == [again]
    take_in(space)
    assert faces(space) == {0: "male", 1: "male"}


def test_two_annotators_who_disagree(
    client: StudioClient, sdk: LabelStudio, space: Workspace, capsys: Any, monkeypatch: Any
) -> None:
    bob = sdk.users.create(username=f"bob-{time.time_ns()}", email=f"bob-{time.time_ns()}@example.com", password="long enough")
    _, tasks = ask(client, space, 4)
    for task, mine, his in zip(
        tasks, ("male", "male", "female", "female"), ("male", "female", "female", "female"), strict=True
    ):
        client.annotate(task, [choice(mine)], lead_time=3.0)
        sdk.annotations.create(id=task, result=[choice(his)], completed_by=bob.id)
    assert command(client, monkeypatch, "--workspace", space.root) == 0
    told = capsys.readouterr().out
    both = " and ".join(sorted([client.me(), bob.email]))
    assert f"Cohen's kappa of {both}: 0.500" in told
    assert "8 new answers (8 answer)" in told
    assert "cells written: female 2, male 1; 1 disputed (the next sga label push asks again)" in told
    assert "pre-annotation right: 0.667" in told
    assert "20.0 faces a minute" in told
    assert f"Next: sga complete --workspace {space.root}" in told
    assert faces(space) == {0: "male", 2: "female", 3: "female"}
    assert command(client, monkeypatch, "--workspace", space.root) == 0
    told = capsys.readouterr().out
    assert "0 new answers" in told
    assert "Next:" not in told


def test_a_wall(client: StudioClient, space: Workspace) -> None:
    _, tasks = ask(client, space, 26, layout="wall")
    assert len(tasks) == 2
    marked = [choice("male", cell) for cell in (3, 20)] + [choice("female", cell) for cell in range(3)]
    client.annotate(tasks[0], marked, lead_time=48.0)
    client.annotate(tasks[1], [choice("male", 1)])
    report = fetch(client, space)
    states = [answer.state for answer in report.answers]
    assert (states.count("answer"), states.count("open")) == (6, 20)
    assert answers(space)[3].lead_time == 48.0
    take_in(space)
    assert faces(space) == {0: "female", 1: "female", 2: "female", 3: "male", 20: "male", 25: "male"}


def test_an_annotation_made_by_hand_that_names_no_face(client: StudioClient, space: Workspace) -> None:
    project, _ = ask(client, space, 1)
    client.import_tasks(project.id, [{"data": {"image": "x.png"}, "annotations": [{"result": [choice("male")]}]}])
    report = fetch(client, space)
    assert [(answer.state, answer.key) for answer in report.answers] == [("refused", "")]
    assert "does not say which face" in report.lines()[1]
    assert fetch(client, space).answers == []
    take_in(space)
    assert faces(space) == {}


# -- what goes wrong -------------------------------------------------------------------------------------------------------


def test_a_deleted_project_stops_nothing(client: StudioClient, space: Workspace, capsys: Any, monkeypatch: Any) -> None:
    gone, tasks = ask(client, space, 2)
    client.annotate(tasks[0], [choice("male")])
    fetch(client, space)
    _, others = ask(client, space, 2, "hair_color")
    client.annotate(others[0], [choice("blue")])
    client.delete_project(gone.id)
    assert command(client, monkeypatch, "--workspace", space.root) == 0
    told = capsys.readouterr().out
    assert f"Warning: project {gone.id} (gender, single, label) is no longer at {client.connection.url}" in told
    assert faces(space) == {0: "male"}
    assert faces(space, "hair_color") == {0: "blue"}


def test_a_wrong_token_changes_nothing(client: StudioClient, space: Workspace, capsys: Any, monkeypatch: Any) -> None:
    _, tasks = ask(client, space, 1)
    client.annotate(tasks[0], [choice("male")])
    wrong = "0123456789" * 4
    assert command(client, monkeypatch, "--workspace", space.root, token=wrong) == 2
    told = capsys.readouterr()
    assert "Expected a token that" in told.err
    assert wrong not in told.out + told.err
    assert not store_of(space.root).all()
    assert faces(space) == {}


def test_nothing_to_pull_says_what_to_type(client: StudioClient, space: Workspace) -> None:
    with pytest.raises(StudioError, match="Type first: sga label push --attribute NAME --workspace"):
        projects_to_pull(space, client.connection)
    ask(client, space, 1)
    with pytest.raises(StudioError, match=r"about hair_color at .*, found none"):
        projects_to_pull(space, client.connection, "hair_color")
    with pytest.raises(InputError, match="Did you mean gender"):
        projects_to_pull(space, client.connection, "gendr")


def test_a_server_killed_in_mid_pull(
    space: Workspace, studio_executable: Path, studio_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "_CHUNK", 2)
    start = LocalServer.start(space, executable=studio_executable, template=studio_template)
    with start as server, StudioClient(server.connection) as client:
        project, tasks = ask(client, space, 6)
        _, others = ask(client, space, 2, "hair_color")
        client.annotate(others[0], [choice("blue")])
        for task in tasks:
            client.annotate(task, [choice("male")])
        seen = []

        def kill(done: int, total: int) -> None:
            seen.append((done, total))
            if done == 4:
                os.killpg(server.pid, signal.SIGKILL)

        with pytest.raises(StudioError, match=r"Expected (Label Studio at|the answers of project 1 from) http"):
            pull(client, space, projects_to_pull(space, client.connection), kill)
        assert seen[-1] == (4, 6)
        assert not answers(space)  # a project is stored whole: nobody can tell later which part of it came
    with LocalServer.start(space, executable=studio_executable) as server, StudioClient(server.connection) as client:
        assert len(fetch(client, space).answers) == 7
        take_in(space)
    assert faces(space) == dict.fromkeys(range(6), "male")
    assert faces(space, "hair_color") == {0: "blue"}
    assert read_projects(space)[0] == project


WAITING = """
import sys, time
from labeling import take_in
from labeling.answers import AnswerStore
from sga.cli.main import main

def wait(*arguments):
    print("here", flush=True)
    time.sleep(60)

if sys.argv[1] == "fetched":
    AnswerStore.append = wait
elif sys.argv[1] == "stored":
    take_in._write_ledger = wait
main(["label", "pull", "--workspace", sys.argv[2]])
"""


def process(client: StudioClient, space: Workspace, point: str) -> subprocess.Popen[str]:
    """`sga label pull` as a process of its own, which stops at a point."""
    environment = {**os.environ, "LABEL_STUDIO_URL": client.connection.url, "LABEL_STUDIO_API_KEY": client.connection.token}
    return subprocess.Popen(
        [sys.executable, "-c", WAITING, point, str(space.root)], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("point", ["fetched", "stored"])
def test_a_pull_killed_between_fetch_and_table(client: StudioClient, space: Workspace, point: str) -> None:
    _, tasks = ask(client, space, 3)
    for task in tasks:
        client.annotate(task, [choice("male")])
    with process(client, space, point) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == "here\n"
        victim.kill()
    assert victim.returncode == -signal.SIGKILL
    assert len(answers(space)) == (3 if point == "stored" else 0)
    assert faces(space) == {}
    fetch(client, space)  # the lock went with the process
    take_in(space)
    assert faces(space) == dict.fromkeys(range(3), "male")


def test_pulls_at_the_same_time(client: StudioClient, space: Workspace) -> None:
    _, tasks = ask(client, space, 5)
    for task in tasks:
        client.annotate(task, [choice("male")])
    pulls = [process(client, space, "nowhere") for _ in range(2)]
    told = [one.communicate(timeout=300)[0] for one in pulls]
    assert [one.returncode for one in pulls] == [0, 0]
    assert sorted(line.split(" ", 1)[0] for text in told for line in text.splitlines() if "new answers" in line) == ["0", "5"]
    rows = store_of(space.root).path.read_text().splitlines()
    assert len(rows) == 5
    assert {json.loads(row)["value"] for row in rows} == {"male"}
    assert faces(space) == dict.fromkeys(range(5), "male")


def test_an_answer_that_is_edited_during_a_slow_pull(
    client: StudioClient, sdk: LabelStudio, space: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It took longer than the overlap of two pulls, so it reads again what it began with."""
    _, tasks = ask(client, space, 2)
    ids = [client.annotate(task, [choice("female")]) for task in tasks]
    monkeypatch.setattr(stage, "OVERLAP", type(stage.OVERLAP)(0))
    monkeypatch.setattr(stage, "_CHUNK", 1)

    def edit(done: int, total: int) -> None:
        if (done, total) == (1, 2):
            sdk.annotations.update(id=ids[0], result=[choice("male")])

    report = pull(client, space, projects_to_pull(space, client.connection), edit)
    assert {answer.task: answer.value for answer in report.answers} == {tasks[0]: "male", tasks[1]: "female"}


def test_ten_thousand_tasks(
    client: StudioClient,
    space: Workspace,
    record_property: Callable[[str, object], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, request = list[str](), Transport._request

    def counted(self: Transport, path: str, **params: Any) -> Any:
        asked.append(path)
        return request(self, path, **params)

    monkeypatch.setattr(Transport, "_request", counted)
    project, _ = ask(client, space, 1)
    questions = [
        Question(f"{number:064x}", Path(), f"{number}.png", predicted="male", confidence=0.5) for number in range(1, 10_000)
    ]
    tasks = build_tasks(questions, GENDER, "single", "ensemble-1", lambda path: "/static/x.png", preannotate=False)
    for task in tasks[::20]:
        task["annotations"] = [{"result": [choice("female")], "lead_time": 1.0}]
    for start in range(0, len(tasks), 2000):
        client.import_tasks(project.id, tasks[start : start + 2000])
    asked.clear()
    first = fetch(client, space)
    assert len(asked) < 20  # in lists, not one by one
    started = time.monotonic()
    taken = take_in(space)
    seconds = time.monotonic() - started
    again = fetch(client, space)
    print(f"10,000 tasks, 500 answered: pull {first.seconds:.2f} s, again {again.seconds:.2f} s, take_in {seconds:.2f} s")
    record_property("seconds", first.seconds)
    assert (len(first.answers), first.tasks, again.answers) == (500, 500, [])
    assert faces(space) == {1: "female", 21: "female"}
    assert taken.absent == 498
