"""Generated faces to a real Label Studio, what people say of them, and a judge that learns it."""

from __future__ import annotations

import csv
import io
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from classifiers.quality import QualitySettings
from configs.errors import InputError, StudioError, WorkspaceError
from labeling.provenance import Source
from labeling.studio.client import StudioClient
from labeling.studio.projects import Project, projects_of, read_projects
from labeling.studio.pull import pull
from labeling.workspace import Workspace
from sga.cli.main import main
from sga.quality import draft_model, draw_faces, labels_taken_in, tune_judge
from sga.quality_asked import Pulled, Sample, pulled
from sga.quality_faces import face_of
from sga.quality_judge import Judge, judge_version
from sga.quality_labels import gather, of_other_generators
from sga.quality_queue import Pushed, push_faces

if TYPE_CHECKING:
    from label_studio_sdk import LabelStudio

LEVELS = ("low", "median", "high")


@pytest.fixture(scope="module")
def settings(tiny_settings: dict[str, dict[str, Any]]) -> QualitySettings:
    wanted = QualitySettings.model_validate(tiny_settings["quality"])
    return wanted.model_copy(update={"fit": wanted.fit.model_copy(update={"images": 32})})


@pytest.fixture(scope="module")
def drafted(gan_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose generator can draw."""
    import shutil

    root = Path(shutil.copytree(gan_workspace, tmp_path_factory.mktemp("drafted") / "workspace"))
    draft_model(Workspace(root))
    return root


@pytest.fixture
def space(drafted: Path, copy_of: Callable[[Path], Path]) -> Workspace:
    return Workspace(copy_of(drafted))


@pytest.fixture
def sdk(studio: StudioClient) -> Iterator[LabelStudio]:
    """What people and other programs can do on that server."""
    import httpx
    from label_studio_sdk import LabelStudio

    with httpx.Client() as http:
        yield LabelStudio(base_url=studio.connection.url, api_key=studio.connection.token, httpx_client=http)


def tasks_of(studio: StudioClient, project: Project) -> dict[str, tuple[int, dict[str, Any]]]:
    """Task and its data by key, the newest round's."""
    return {data["key"]: (number, data) for number, data in studio.tasks(project.id)}


def sent(
    studio: StudioClient, space: Workspace, count: int, **more: Any
) -> tuple[Pushed, dict[str, tuple[int, dict[str, Any]]]]:
    pushed = push_faces(studio, space, count, **more)
    assert pushed.report is not None
    return pushed, tasks_of(studio, pushed.report.project)


def choice(level: str, name: str = "label", to_name: str = "image") -> dict[str, Any]:
    return {"from_name": name, "to_name": to_name, "type": "choices", "value": {"choices": [level]}}


def answered(studio: StudioClient, tasks: dict[str, tuple[int, dict[str, Any]]], count: int) -> dict[str, str]:
    """What is said of the first tasks: level by key, all levels in turn."""
    said = {key: LEVELS[place % 3] for place, key in enumerate(list(tasks)[:count])}
    for key, level in said.items():
        studio.annotate(tasks[key][0], [choice(level)], lead_time=2.0)
    return said


def fetched(studio: StudioClient, space: Workspace) -> Pulled:
    pull(studio, space, projects_of(space, studio.connection.server, purpose="quality"))
    return pulled(space)


def table_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def another_generator(space: Workspace) -> str:
    """As if `sga train` had gone on: the same seeds draw other faces."""
    record = space.record("gan")
    assert record is not None
    space.finish("gan", "feedbeef", record["settings"], images=record["images"])
    return str(record["output"])


def test_faces_are_sent_once(studio: StudioClient, space: Workspace) -> None:
    pushed, tasks = sent(studio, space, 20)
    assert (pushed.waiting, pushed.drawn, pushed.judged) == (0, 20, False)
    made = space.require("gan")["output"]
    assert len(tasks) == 20
    assert {tuple(key.split("/")[:2]) for key in tasks} == {(made, "0")}
    assert Counter(data["strategy"] for _, data in tasks.values()) == {"styles": 17, "random": 3}
    assert min(Counter(key.split("/")[3] for key in tasks).values()) >= 4
    assert {data["predicted"] for _, data in tasks.values()} == {None}
    again = push_faces(studio, space, 20)
    assert (again.waiting, again.drawn, again.report) == (20, 0, None)
    more, tasks = sent(studio, space, 23)
    assert (more.waiting, more.drawn, len(tasks)) == (20, 3, 23)
    _, tasks = sent(studio, space, 25, seed=9)
    assert Counter(key.split("/")[1] for key in tasks) == {"0": 23, "9": 2}
    assert len(read_projects(space)) == 1


def test_the_page_shows_the_face_that_the_key_names(studio: StudioClient, space: Workspace) -> None:
    _, tasks = sent(studio, space, 3)
    for key, (_, data) in tasks.items():
        named = face_of(key)
        assert named is not None
        with Image.open(io.BytesIO(studio.image(data["image"]))) as image:
            shown = np.asarray(image)
        assert np.array_equal(shown, draw_faces(draft_model(space), [named[1]])[0])
        assert (space.root / data["file"]).read_bytes() == studio.image(data["image"])


def test_what_people_say_becomes_labels(studio: StudioClient, sdk: LabelStudio, space: Workspace) -> None:
    _, tasks = sent(studio, space, 12)
    keys = list(tasks)
    said = answered(studio, tasks, 9)
    studio.annotate(tasks[keys[9]][0], [], was_cancelled=True)
    name = f"bob-{time.time_ns()}"
    bob = sdk.users.create(username=name, email=f"{name}@example.com", password="long enough")
    for key in keys[:4]:  # he agrees but for the first
        sdk.annotations.create(id=tasks[key][0], result=[choice(said[key] if key != keys[0] else "high")], completed_by=bob.id)
    told = fetched(studio, space)
    assert (told.labels, told.disputed, told.again, told.others) == (8, 1, 1, 0)
    rows = table_of(told.file)
    made, sample = space.require("gan")["output"], Sample.load(space, space.require("gan")["output"])
    found = {"/".join((row["generator"], row["seed"], row["index"], row["gender"])): row for row in rows}
    assert {key: row["quality"] for key, row in found.items()} == {key: said[key] for key in keys[1:9]}
    for key, row in found.items():
        asked = sample.faces[face_of(key)[1]]  # type: ignore[index]
        assert (row["strategy"], float(row["weight"])) == (asked.strategy, pytest.approx(asked.weight, rel=1e-4))
    for gender, levels in told.counts.items():
        assert levels == {level: sum(row["quality"] == level and row["gender"] == gender for row in rows) for level in LEVELS}
    lines = "\n".join(told.lines())
    assert "Cohen's kappa" in lines
    assert "Open: 1 on which people disagree, 1 skipped" in lines
    before = told.file.read_bytes()
    assert fetched(studio, space).file.read_bytes() == before

    pushed, tasks = sent(studio, space, 5)  # two wait: what is disputed, what was skipped, and one more
    assert (pushed.waiting, pushed.drawn) == (2, 1)
    assert {key: data["round"] for key, (_, data) in tasks.items() if data["round"] > 1} == {keys[0]: 2, keys[9]: 2}
    studio.annotate(tasks[keys[0]][0], [choice("high")])  # the annotator follows him
    told = fetched(studio, space)
    assert (told.labels, told.disputed) == (9, 0)
    assert gather(space)[face_of(f"{made}/{keys[0].partition('/')[2]}")[1]].level == "high"  # type: ignore[index]


def test_the_judge_learns_from_what_was_pulled(
    studio: StudioClient, sdk: LabelStudio, space: Workspace, settings: QualitySettings
) -> None:
    labels = space.table().histogram("quality")
    _, tasks = sent(studio, space, 12)
    answered(studio, tasks, 9)
    told = fetched(studio, space)
    told.file.unlink()  # as if the pull had ended between fetching and writing
    assert not labels_taken_in(space, [])
    report = tune_judge(space, settings, [], progress=False)
    assert labels_taken_in(space, [])
    kept = table_of(space.folder("quality") / "labels.csv")
    assert Counter(row["quality"] for row in kept) == dict.fromkeys(LEVELS, 3)
    assert {row["strategy"] for row in kept} <= {"styles", "random"}
    real = (space.table().labelled("quality") & ~space.table().in_split("test")).sum()
    assert sum(report.acceptance.labels.values()) == real + 9
    assert labels.sources == space.table().histogram("quality").sources  # the label table is of real faces

    version = judge_version(space)
    assert version is not None
    pushed, tasks = sent(studio, space, 12)
    assert (pushed.waiting, pushed.drawn, pushed.refreshed, pushed.judged) == (3, 9, 3, True)
    shown = {key: [one.model_version for one in sdk.predictions.list(task=number)] for key, (number, _) in tasks.items()}
    assert Counter(map(tuple, shown.values())) == {(): 9, (version,): 12}  # the nine were answered without one
    judge, model = Judge(space), draft_model(space)
    fresh = {key: data for key, (_, data) in tasks.items() if data["model_version"] == version}
    assert Counter(data["strategy"] for data in fresh.values()) == {"threshold": 7, "random": 2}
    for key, data in fresh.items():
        face = face_of(key)[1]  # type: ignore[index]
        score, _ = judge.look(draw_faces(model, [face]))
        [(level, sure)] = judge.levels(score, np.array([judge.gender.code(face[2])]))
        assert (data["predicted"], data["confidence"]) == (level, pytest.approx(sure, abs=1e-5))
    said = answered(studio, {key: tasks[key] for key in fresh}, 9)
    right = sum(fresh[key]["predicted"] == level for key, level in said.items())
    agreement = fetched(studio, space).agreement
    assert agreement.predicted is not None
    assert (agreement.predicted.value, agreement.predicted.n) == (pytest.approx(right / 9), 9)


def test_the_judges_levels_and_how_sure_it_is(space: Workspace, settings: QualitySettings) -> None:
    tune_judge(space, settings, [], progress=False)
    path = space.folder("quality") / "calibration.json"
    told = json.loads(path.read_text())
    women, men = {"median": 0.4, "high": 0.8}, {"median": 0.2, "high": 0.6}
    told["by_gender"], told["levels_by_gender"] = (
        {"female": 0.5, "male": 0.3},
        {level: {"female": women.get(level, 0.0), "male": men.get(level, 0.0)} for level in LEVELS},
    )
    path.write_text(json.dumps(told))
    judge = Judge(space)
    assert judge.thresholds.tolist() == [0.5, 0.3]
    score = np.array([0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 1.0])
    found = judge.levels(score, np.zeros(7, np.int64))
    assert [level for level, _ in found] == ["low", "low", "median", "median", "median", "high", "high"]
    np.testing.assert_allclose([sure for _, sure in found], [1, 0.75, 0.5, 1, 0.75, 0.5, 1])
    assert [level for level, _ in judge.levels(score, np.ones(7, np.int64))] == ["low", *["median"] * 2, *["high"] * 4]


def test_labels_of_another_generator_are_kept_and_not_used(
    studio: StudioClient, space: Workspace, settings: QualitySettings
) -> None:
    first, tasks = sent(studio, space, 8)
    answered(studio, tasks, 6)
    fetched(studio, space)
    earlier = another_generator(space)
    second, tasks = sent(studio, space, 4)
    assert second.others == 2
    assert first.report is not None
    assert second.report is not None
    assert second.report.project.id != first.report.project.id  # nobody meets the earlier faces there
    assert {key.split("/")[0] for key in tasks} == {"feedbeef"}
    answered(studio, tasks, 2)
    told = fetched(studio, space)
    assert (told.labels, told.others) == (2, 6)
    assert Counter(row["generator"] for row in table_of(told.file)) == {earlier: 6, "feedbeef": 2}
    assert of_other_generators(space) == 6
    report = tune_judge(space, settings, [], progress=False)
    real = (space.table().labelled("quality") & ~space.table().in_split("test")).sum()
    assert sum(report.acceptance.labels.values()) == real + 2
    assert len(table_of(space.folder("quality") / "labels.csv")) == 2
    assert "2 faces of another generator still wait." in second.lines()[0]
    assert "6 labels are of another generator: kept, not used." in told.lines()


class Breaking(StudioClient):
    """The server goes away when the tasks are being sent."""

    def import_tasks(self, pid: int, tasks: list[dict[str, Any]]) -> int:
        raise StudioError("Expected a Label Studio, found none.")


def test_an_interrupted_push_goes_on_with_the_same_faces(studio: StudioClient, space: Workspace) -> None:
    with Breaking(studio.connection) as broken, pytest.raises(StudioError):
        push_faces(broken, space, 10)
    sample = Sample.load(space, space.require("gan")["output"])
    assert len(sample.faces) == 10
    pushed, tasks = sent(studio, space, 10)
    assert pushed.drawn == 0
    assert {face_of(key)[1] for key in tasks} == set(sample.faces)  # type: ignore[index]
    assert Sample.load(space, sample.generator) == sample
    assert len(read_projects(space)) == 1


def test_the_next_candidates_are_drawn_behind_the_last(studio: StudioClient, space: Workspace) -> None:
    """Else those that were looked at and left over would come again: the random ones were no sample of all faces."""
    sent(studio, space, 4)
    made = space.require("gan")["output"]
    assert Sample.load(space, made).drawn == {0: 64}
    sent(studio, space, 16)
    sample = Sample.load(space, made)
    assert sample.drawn == {0: 64 + 12 * 8}
    assert all(face.index >= 64 for face in list(sample.faces.values())[4:])
    (space.folder("quality") / f"asked-{made}.json").write_text("[]")
    with pytest.raises(WorkspaceError, match="other JSON"):
        push_faces(studio, space, 20)


def test_a_deleted_project_is_made_again(studio: StudioClient, space: Workspace) -> None:
    first, tasks = sent(studio, space, 6)
    said = answered(studio, tasks, 4)
    fetched(studio, space)
    assert first.report is not None
    studio.delete_project(first.report.project.id)
    second, again = sent(studio, space, 3)
    assert second.report is not None
    assert second.report.dropped == (first.report.project,)
    assert (second.drawn, len(again)) == (1, 3)  # the two that waited, and one more
    assert not said.keys() & again.keys()
    assert fetched(studio, space).labels == 4


def test_a_wall_of_faces(studio: StudioClient, space: Workspace) -> None:
    pushed = push_faces(studio, space, 30, layout="wall")
    assert pushed.report is not None
    walls = dict(studio.tasks(pushed.report.project.id))
    assert [len(data["cells"]) for data in walls.values()] == [24, 6]
    number, data = max(walls.items())
    studio.annotate(number, [choice("high", f"label{cell}", f"img{cell}") for cell in (1, 4)])
    told = fetched(studio, space)
    assert (told.labels, told.again) == (2, 4)
    named = [face_of(data["cells"][cell]["key"]) for cell in (1, 4)]
    assert set(gather(space)) == {one[1] for one in named if one is not None}
    assert push_faces(studio, space, 24, layout="wall").report is None  # the other wall waits
    assert push_faces(studio, space, 28, layout="wall").drawn == 0  # the four that were left empty come again


def given(studio: StudioClient) -> list[str]:
    return ["--url", studio.connection.url, "--token", studio.connection.token]


def test_the_commands(studio: StudioClient, space: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    def typed(*words: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["quality", *words, "--workspace", str(space.root), *given(studio)])
        out, err = capsys.readouterr()
        assert ended.value.code == 0, err
        assert studio.connection.token not in out + err
        return str(out)

    assert "Next: label some" in typed("pull")
    out = typed("push", "--count", "5")
    assert "5 faces sent, 5 of them picked anew: of all styles (no tuned judge yet), and some at random." in out
    assert f"sga quality pull --workspace {space.root}" in out
    assert "5 faces wait for an answer, as far as was pulled: nothing was sent." in typed("push", "--count", "5")
    [project] = read_projects(space)
    answered(studio, tasks_of(studio, project), 3)
    out = typed("pull")
    assert "3 generated faces labelled" in out
    assert "faces a minute" in out
    assert f"Next: sga quality tune --workspace {space.root}" in out


def test_the_commands_when_labels_changed(
    studio: StudioClient, space: Workspace, settings: QualitySettings, capsys: pytest.CaptureFixture[str]
) -> None:
    """A gender label that was pulled makes the generator stale; its faces and what people say of them stay what they are."""

    def typed(*words: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["quality", *words, "--workspace", str(space.root), *given(studio)])
        out, err = capsys.readouterr()
        assert ended.value.code == 0, err
        return str(out)

    typed("push", "--count", "6")
    [project] = read_projects(space)
    tasks = tasks_of(studio, project)
    answered(studio, tasks, 3)
    studio.annotate(tasks[list(tasks)[3]][0], [choice("good")])
    table = space.table()
    table.fill("gender", np.flatnonzero(~table.labelled("gender"))[:1], np.zeros(1, np.int64), Source.HUMAN)
    space.relabelled(table)
    assert space.state("gan") == "stale"
    out = typed("pull")
    assert "Refused: expected low, median, high; found 'good'" in out
    assert "3 generated faces labelled" in out
    assert "Since the generator was trained, faces, labels or a stage before it changed" in out
    out = typed("push", "--count", "6")
    assert out.startswith("Since the generator was trained")
    assert "4 faces sent, 3 of them picked anew" in out  # the refused one comes again
    tune_judge(space, settings, [], progress=False)
    assert push_faces(studio, space, 7).judged
    studio.delete_project(project.id)
    assert f"Warning: project {project.id} (quality, single, quality) is no longer at" in typed("pull")


def test_a_pull_without_a_generator(studio: StudioClient, space: Workspace) -> None:
    """While one is being trained there is none."""
    _, tasks = sent(studio, space, 4)
    answered(studio, tasks, 2)
    space.begin("gan")
    told = fetched(studio, space)
    assert (told.labels, told.others) == (0, 2)
    assert len(table_of(told.file)) == 2
    with pytest.raises(WorkspaceError, match="sga train"):
        push_faces(studio, space, 4)


def test_wrong_counts_and_seeds_and_no_generator(studio: StudioClient, space: Workspace, sfn_workspace: Path) -> None:
    with pytest.raises(InputError, match="--count 200"):
        push_faces(studio, space, 0)
    with pytest.raises(InputError, match="seed"):
        push_faces(studio, space, 1, seed=2**64)
    with pytest.raises(WorkspaceError, match="sga train"):
        push_faces(studio, Workspace(sfn_workspace), 1)
