"""Marked faces to a real Label Studio, and what people say of them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from labeling.cleaning.mark import mark
from labeling.cleaning.record import KEEP, LEAVE_OUT, read_record
from labeling.cleaning.review import keep_faces, questions, read_review, set_verdicts, take_in_verdicts
from labeling.cleaning.settings import CleanSettings
from labeling.ingest import IngestSettings, ingest
from labeling.studio.attributes import CLEANING
from labeling.studio.client import StudioClient
from labeling.studio.projects import projects_of
from labeling.studio.pull import pull
from labeling.studio.push import PushReport, asked_on, push
from labeling.table import LEFT_OUT
from labeling.workspace import Workspace

Picture = Callable[..., Image.Image]


@pytest.fixture
def space(tmp_path: Path, picture: Picture) -> Workspace:
    """Thirty pictures, five of them twice (a JPEG), three of them flat: eight are left out."""
    faces = tmp_path / "faces"
    faces.mkdir()
    for seed in range(30):
        picture(seed).save(faces / f"{seed:02}.png")
    for seed in range(5):
        picture(seed).save(faces / f"{seed:02}-again.jpg", quality=60)
    for seed in range(40, 43):
        picture(seed).point(lambda value: 128 + value // 40).save(faces / f"{seed}-flat.png")
    ingest([faces], tmp_path / "workspace", IngestSettings(workers=1))
    place = Workspace(tmp_path / "workspace")
    report, _, _ = mark(place, SETTINGS)
    assert report.marked == {"flat": 3, "near_duplicate": 5}
    return place


SETTINGS = CleanSettings(blur=None, gray=None)  # the pictures are smooth


def sent(studio: StudioClient, space: Workspace, count: int, **more: Any) -> PushReport | None:
    asked = questions(space, count, asked_on(studio, space, CLEANING.name, "cleaning"))
    return push(studio, space, CLEANING, asked, purpose="cleaning", preannotate=False, **more) if asked else None


def tasks_of(studio: StudioClient, space: Workspace) -> dict[str, tuple[int, dict[str, Any]]]:
    found = {}
    for project in projects_of(space, studio.connection.server, purpose="cleaning"):
        for number, data in studio.tasks(project.id):
            found |= {cell["key"]: (number, data) for cell in data.get("cells", [data])}
    return found


def say(studio: StudioClient, task: int, value: str) -> dict[str, Any]:
    choice = {"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": [value]}}
    told: dict[str, Any] = studio.annotate(task, [choice], lead_time=2.0)
    return told


def fetch(studio: StudioClient, space: Workspace) -> None:
    pull(studio, space, projects_of(space, studio.connection.server, purpose="cleaning"))


def test_marks_are_sent_once_and_answers_decide(studio: StudioClient, space: Workspace) -> None:
    first = sent(studio, space, 6)
    assert first is not None
    assert (first.added, first.present) == (6, 0)
    again = sent(studio, space, 6)
    assert again is None
    more = sent(studio, space, 50)
    assert more is not None
    assert more.added == 2
    tasks = tasks_of(studio, space)
    table = space.table()
    assert set(tasks) == set(table.faces[table.in_split(LEFT_OUT)])
    assert sent(studio, space, 50) is None

    keys = sorted(tasks)
    for key, value in zip(keys, (KEEP, LEAVE_OUT, KEEP, "unclear"), strict=False):
        say(studio, tasks[key][0], value)
    fetch(studio, space)
    report, counts, disputed = take_in_verdicts(space)
    assert (report.back, report.kept, report.by_people, disputed) == (2, 2, 1, 0)
    assert counts == {KEEP: 2, LEAVE_OUT: 1, "unclear": 1}
    frame = read_record(space).frame.set_index("face")
    assert frame.loc[keys[0], "verdict"] == KEEP
    assert frame.loc[keys[0], "by"].startswith("Label Studio: ")
    assert frame.loc[keys[0], "time"]
    assert frame.loc[keys[3], "verdict"] == ""

    labels = space.labels_path.read_bytes()
    fetch(studio, space)
    take_in_verdicts(space)
    assert space.labels_path.read_bytes() == labels  # nothing new
    mark(space, SETTINGS)
    table = space.table()
    assert table.kept()[table.rows([keys[0], keys[2]])].all()


def test_the_majority_decides_a_tie_is_asked_again_and_an_answer_can_be_taken_back(
    studio: StudioClient, space: Workspace
) -> None:
    from dataclasses import replace

    from labeling.answers import store_of

    sent(studio, space, 3)
    tasks = tasks_of(studio, space)
    key = sorted(tasks)[0]
    say(studio, tasks[key][0], KEEP)
    fetch(studio, space)
    assert take_in_verdicts(space)[0].kept == 1
    mine = next(one for one in store_of(space.root).all() if one.key == key)
    # A second and a third annotator, as another server's users would come in.
    second = replace(mine, annotation=mine.annotation + 1000, annotator="ben", value=LEAVE_OUT)
    store_of(space.root).append([second])
    report, _, disputed = take_in_verdicts(space)
    assert (report.kept, disputed) == (0, 1)
    asked = questions(space, 50, asked_on(studio, space, CLEANING.name, "cleaning"))
    assert (asked[0].key, asked[0].round) == (key, 2)
    store_of(space.root).append([replace(second, annotation=mine.annotation + 2000, annotator="cat")])
    report, _, _ = take_in_verdicts(space)
    assert (report.kept, report.by_people) == (0, 1)
    assert {"ben", "cat"} <= set(read_record(space).frame.set_index("face").loc[key, "by"].split(": ")[1].split(", "))


def test_what_is_typed_later_stands_above_an_earlier_answer(studio: StudioClient, space: Workspace) -> None:
    sent(studio, space, 3)
    tasks = tasks_of(studio, space)
    key = sorted(tasks)[0]
    say(studio, tasks[key][0], LEAVE_OUT)
    fetch(studio, space)
    take_in_verdicts(space)
    keep_faces(space, [key])
    take_in_verdicts(space)
    assert read_record(space).frame.set_index("face").loc[key, "verdict"] == KEEP


def test_leaving_it_to_the_scores_later_stands_above_an_earlier_answer(
    studio: StudioClient, space: Workspace, tmp_path: Path
) -> None:
    sent(studio, space, 3)
    tasks = tasks_of(studio, space)
    key = sorted(tasks)[0]
    say(studio, tasks[key][0], KEEP)
    fetch(studio, space)
    take_in_verdicts(space)
    (tmp_path / "review.csv").write_text(f"face,verdict\n{key},scores\n")
    set_verdicts(space, read_review(space, tmp_path / "review.csv"))
    report, _, _ = take_in_verdicts(space)
    assert (report.kept, report.back) == (0, 0)
    assert read_record(space).frame.set_index("face").loc[key, ["verdict", "by"]].tolist() == ["", "review.csv"]


def test_the_page_shows_the_face_the_reason_and_its_twin(studio: StudioClient, space: Workspace) -> None:
    report = sent(studio, space, 50)
    assert report is not None
    config = str(studio.project(report.project.id)["label_config"])
    assert 'value="leave_out"' in config
    assert "$current" in config
    frame, table = read_record(space).frame.set_index("face"), space.table()
    for key, (_, data) in tasks_of(studio, space).items():
        assert data["current"].startswith(frame.loc[key, "reason"])
        with Image.open(io.BytesIO(studio.image(data["image"]))) as image:
            shown = np.asarray(image.convert("RGB"))
        twin = frame.loc[key, "duplicate_of"]
        assert shown.shape == (192, 388 if twin else 192, 3)
        for place, face in enumerate([key, *([twin] if twin else [])]):
            with Image.open(space.root / table.frame["file"].iat[int(table.rows([face])[0])]) as stored:
                wanted = np.asarray(stored.resize((192, 192), Image.Resampling.LANCZOS))
            assert np.array_equal(shown[:, 196 * place : 196 * place + 192], wanted)


def test_a_wall_and_the_labels_own_projects_stay_apart(studio: StudioClient, space: Workspace) -> None:
    sent(studio, space, 50, layout="wall")
    ((task, data),) = dict(tasks_of(studio, space).values()).items()
    cells = [cell["key"] for cell in data["cells"]]
    assert len(cells) == 8
    studio.annotate(
        task, [{"from_name": "label0", "to_name": "img0", "type": "choices", "value": {"choices": [KEEP]}}], lead_time=1.0
    )
    pull(studio, space, projects_of(space, studio.connection.server))  # as sga label pull does
    from labeling.take_in import take_in

    assert not take_in(space).changed  # no label comes of it
    report, counts, _ = take_in_verdicts(space)
    assert counts == {KEEP: 1}
    assert report.kept == 1
    assert asked_on(studio, space, CLEANING.name, "label") == {}
