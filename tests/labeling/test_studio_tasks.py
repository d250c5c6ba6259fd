"""Questions as tasks of Label Studio, and exported tasks as people and other programs may have left them."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from configs.errors import InputError
from labeling.schema import Attribute, Schema
from labeling.studio.interface import (
    CELLS,
    UNCLEAR,
    build_interface,
    check_result,
    possible_choices,
    read_interface,
)
from labeling.studio.projects import (
    Layout,
)
from labeling.studio.tasks import (
    Question,
    Told,
    asked_in,
    blank_picture,
    build_prediction,
    build_tasks,
    read_task,
    shown_in,
    with_predictions,
)

GENDER = Schema.load("faces")["gender"]
QUALITY = Schema.load("faces")["quality"]

# --- questions to tasks -----------------------------------------------------------------------------------------------


def question(index: int, **fields: Any) -> Question:
    return Question(f"{index:064x}", Path(f"faces/{index}.png"), f"faces/{index}.png", **fields)


def picture(path: Path) -> str:
    return f"/data/local-files/?d={path.as_posix()}"


def test_a_single_task_says_what_is_asked_and_why() -> None:
    asked = question(7, strategy="uncertainty", utility=0.25, predicted="male", confidence=0.75, round=2)
    (task,) = build_tasks([asked], GENDER, "single", "ensemble-1", picture)
    assert task["data"] == {
        "image": "/data/local-files/?d=faces/7.png",
        "key": f"{7:064x}",
        "file": "faces/7.png",
        "strategy": "uncertainty",
        "utility": 0.25,
        "round": 2,
        "predicted": "male",
        "confidence": 0.75,
        "model_version": "ensemble-1",
        "shown": True,
    }
    assert task["predictions"] == [{"model_version": "ensemble-1", "score": 0.75, "result": [chosen("male")]}]
    check_result(read_interface(build_interface(GENDER, "single")), task["predictions"][0])
    assert asked_in(task["data"]) == [(asked.key, 2)]
    assert shown_in(task["data"]) == {"ensemble-1"}


def test_the_label_under_review_is_told_to_the_page() -> None:
    (single,) = build_tasks([question(1, current="male")], GENDER, "single", None, picture)
    assert single["data"]["current"] == "male"
    (wall,) = build_tasks([question(1, current="male"), question(2)], GENDER, "wall", None, picture)
    assert [wall["data"][f"current{index}"] for index in range(CELLS)] == ["male", *[""] * 23]


def test_what_is_not_to_be_shown_travels_along() -> None:
    (task,) = build_tasks([question(1, predicted="male", confidence=0.6)], GENDER, "single", "m", picture, preannotate=False)
    assert "predictions" not in task
    assert (task["data"]["predicted"], task["data"]["shown"]) == ("male", False)
    assert shown_in(task["data"]) == set()


def test_walls_have_24_faces_and_the_last_one_blank_cells() -> None:
    asked = [question(index, predicted="female" if index % 2 else None, confidence=1 - index / 100) for index in range(30)]
    full, rest = build_tasks(asked, GENDER, "wall", "m", picture)
    assert [cell["key"] for cell in full["data"]["cells"]] == [one.key for one in asked[:24]]
    assert [cell["key"] for cell in rest["data"]["cells"]] == [one.key for one in asked[24:]]
    assert rest["data"]["img5"] == picture(asked[29].image)
    assert [rest["data"][f"img{index}"] for index in range(6, 24)] == [blank_picture()] * 18
    (prediction,) = rest["predictions"]
    assert prediction["score"] == pytest.approx(0.71)  # the face it is least sure of
    assert [region["from_name"] for region in prediction["result"]] == ["label1", "label3", "label5"]
    check_result(read_interface(build_interface(GENDER, "wall")), prediction)
    assert asked_in(rest["data"]) == [(one.key, 1) for one in asked[24:]]


def test_a_blank_cell_is_a_picture() -> None:
    head, _, body = blank_picture().partition(",")
    assert head == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(body))) as image:
        assert image.size == (48, 48)


def test_a_prediction_must_be_a_value() -> None:
    with pytest.raises(InputError, match="Did you mean male"):
        build_tasks([question(1, predicted="mael")], GENDER, "single", "m", picture)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 2.0, None])
def test_numbers_that_json_or_the_server_refuse_are_left_out(number: float | None) -> None:
    (task,) = build_tasks([question(1, predicted="male", confidence=number)], GENDER, "single", "m", picture)
    assert task["data"]["confidence"] is None
    assert task["predictions"][0]["score"] is None


def test_newer_answers_take_the_place_of_those_in_a_task() -> None:
    single, wall = (
        build_tasks([question(1), question(2)], GENDER, layout, "old", picture)[0]["data"] for layout in ("single", "wall")
    )
    newer = {f"{1:064x}": question(1, predicted="male", confidence=0.9)}
    assert build_prediction(with_predictions(single, newer, "new")) == {
        "model_version": "new",
        "score": 0.9,
        "result": [chosen("male")],
    }
    prediction = build_prediction(with_predictions(wall, newer, "new"))
    assert prediction is not None
    assert [region["from_name"] for region in prediction["result"]] == ["label0"]
    assert build_prediction(with_predictions(single, {}, "new")) is None


@pytest.mark.parametrize("layout", ["single", "wall"])
def test_a_face_that_was_pushed_to_be_asked_blind_stays_so(layout: Layout) -> None:
    newer = {f"{1:064x}": question(1, predicted="male", confidence=0.9)}
    for one in (question(1), question(1, predicted="female", confidence=0.6)):
        (task,) = build_tasks([one], GENDER, layout, "old", picture, preannotate=False)
        assert shown_in(task["data"]) == set()
        assert build_prediction(with_predictions(task["data"], newer, "new")) is None
        (task,) = build_tasks([one], GENDER, layout, "old", picture)
        assert shown_in(task["data"]) == ({"old"} if one.predicted else set())
        assert build_prediction(with_predictions(task["data"], newer, "new")) is not None


# --- and back ---------------------------------------------------------------------------------------------------------


def chosen(choice: Any, name: str = "label", to_name: str = "image", **fields: Any) -> dict[str, Any]:
    return {"from_name": name, "to_name": to_name, "type": "choices", "value": {"choices": [choice]}} | fields


DATA = build_tasks(
    [question(7, strategy="random", predicted="female", confidence=0.75)], GENDER, "single", "ensemble-1", picture
)[0]["data"]
WALL = build_tasks([question(index) for index in range(3)], GENDER, "wall", None, picture)[0]["data"]


def annotation(result: Any, **fields: Any) -> dict[str, Any]:
    return {
        "id": 5,
        "result": result,
        "completed_by": 3,
        "created_at": "2026-11-21T09:00:00.000000Z",
        "updated_at": "2026-11-21T09:00:01.000000Z",
        "lead_time": 4.5,
        "was_cancelled": False,
        "prediction": None,
    } | fields


def read(result: Any, data: Any = DATA, attribute: Attribute = GENDER, **fields: Any) -> list[Told]:
    return read_task({"id": 1, "data": data, "annotations": [annotation(result, **fields)]}, attribute)


def test_an_answer_comes_back_with_all_that_is_known_of_it() -> None:
    assert read([chosen("male")]) == [
        Told(
            annotation=5,
            key=f"{7:064x}",
            state="answer",
            value="male",
            reason="",
            annotator=3,
            created="2026-11-21T09:00:00.000000Z",
            updated="2026-11-21T09:00:01.000000Z",
            lead_time=4.5,
            predicted="female",
            confidence=0.75,
            model_version="ensemble-1",
            strategy="random",
            round=1,
        )
    ]


@pytest.mark.parametrize("value", possible_choices(GENDER))
def test_each_choice_is_an_answer(value: str) -> None:
    (told,) = read([chosen(value)])
    assert (told.state, told.value) == ("answer", value)


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ([], "no choice"),
        ([chosen("robot")], "found 'robot'"),
        ([chosen("cannot tell")], "found 'cannot tell'"),
        ([chosen("male"), chosen("female")], "found 2: male, female"),
        ([chosen("male"), chosen("male")], "found 2"),
        ([chosen("male", value={"choices": ["male", "female"]})], "found 2"),
        ([chosen("male", value={"choices": []})], "no choice"),
        ([chosen("male", name="gender")], "found one of gender"),
        ([chosen("male", name="label0")], "no choice"),
        ([chosen("male", to_name="img0")], "img0"),
        ([chosen("male", type="labels")], "labels"),
        ([chosen("male", value="male")], "found 'None'"),
        ([chosen("male", value={"choices": "male"})], "found 'None'"),
        ([chosen(["male"])], r"found .\['male'\]"),
        ([chosen(None)], "found 'None'"),
        ([{}], "no choice"),
        (["male"], "found one of no name"),
        ("male", "no list of results"),
        (None, "no list of results"),
        ({"choices": ["male"]}, "no list of results"),
    ],
)
def test_what_is_no_valid_choice_is_refused_with_a_reason(result: Any, reason: str) -> None:
    (told,) = read(result)
    assert (told.state, told.value, told.key) == ("refused", None, f"{7:064x}")
    assert re.search(reason, told.reason), told.reason


def test_a_remark_beside_the_choice_is_passed_over() -> None:
    remark = {"from_name": "remark", "to_name": "image", "type": "textarea", "value": {"text": ["a hat"]}}
    (told,) = read([remark, chosen("male")])
    assert (told.state, told.value) == ("answer", "male")
    assert read([remark])[0].state == "refused"


def test_levels_cannot_be_unclear() -> None:
    (told,) = read([chosen(UNCLEAR)], attribute=QUALITY)
    assert told.state == "refused"


def test_a_skip_is_a_skip_whatever_was_chosen() -> None:
    assert [told.state for told in read([chosen("male")], was_cancelled=True)] == ["skip"]
    assert [told.state for told in read([], WALL, was_cancelled=True)] == ["skip"] * 3


def test_a_wall_is_read_cell_by_cell() -> None:
    result = [chosen("male", "label0", "img0"), chosen("robot", "label2", "img2"), chosen("male", "label9", "img9")]
    told = read(result, WALL)
    assert [(one.key, one.state, one.value) for one in told] == [
        (f"{0:064x}", "answer", "male"),
        (f"{1:064x}", "open", None),
        (f"{2:064x}", "refused", None),
    ]
    assert {one.lead_time for one in told} == {4.5}
    assert [one.state for one in read([], WALL)] == ["open"] * 3
    strange = read([chosen("male", "label0", "img0"), chosen("male", "who", "img1")], WALL)
    assert [one.state for one in strange] == [
        "answer",
        "refused",
        "refused",
    ]  # one of them was answered, and nobody knows which


def test_what_was_shown_is_what_the_server_noted() -> None:
    newer = {"model_version": "ensemble-2", "score": 0.9, "result": [chosen("male")]}
    (told,) = read([chosen("male")], prediction=newer)
    assert (told.predicted, told.confidence, told.model_version) == ("male", 0.9, "ensemble-2")
    (told,) = read([chosen("male")], prediction={**newer, "model_version": "ensemble-1"})
    assert (told.predicted, told.confidence, told.model_version) == ("male", 0.75, "ensemble-1")
    (told,) = read([chosen("male")], prediction={})
    assert (told.predicted, told.confidence, told.model_version) == (None, None, None)
    (told,) = read([chosen("male")], {**DATA, "shown": False})
    assert told.predicted is None


@pytest.mark.parametrize("key", ["absent", None, 5, ""])
def test_a_task_without_a_key_is_refused(key: Any) -> None:
    data: Mapping[str, Any] = {name: value for name, value in DATA.items() if name != "key"}
    (told,) = read([chosen("male")], data if key == "absent" else {**data, "key": key})
    assert (told.state, told.key) == ("refused", "")
    assert "which face" in told.reason


@pytest.mark.parametrize(
    "task",
    [
        None,
        [],
        "task",
        {},
        {"annotations": None},
        {"data": DATA, "annotations": {"id": 1}},
        {"data": DATA, "annotations": [None, 3, [], {}, {"id": None}, {"id": "5"}, {"id": True}]},
    ],
)
def test_what_is_no_annotation_says_nothing(task: Any) -> None:
    assert read_task(task, GENDER) == []


@pytest.mark.parametrize(
    "data", [None, [], "x", {}, {"cells": None}, {"cells": []}, {"cells": [None, 3]}, {"cells": {"key": 1}}, {"key": {}}]
)
def test_odd_data_is_refused_and_never_raises(data: Any) -> None:
    told = read([chosen("male")], data)
    assert told
    assert {one.state for one in told} == {"refused"}


@pytest.mark.parametrize("odd", [None, "x", [], {}, True, float("nan"), -1, 1e400])
def test_odd_fields_never_raise(odd: Any) -> None:
    fields = dict.fromkeys(("completed_by", "created_at", "updated_at", "lead_time", "prediction"), odd)
    data = {**DATA, **dict.fromkeys(("round", "confidence", "predicted", "model_version", "strategy", "shown"), odd)}
    (told,) = read([chosen("male")], data, **fields)
    assert (told.state, told.value, told.round) == ("answer", "male", 1)
    assert told.created == told.updated == "1970-01-01T00:00:00Z"
    assert told.annotator in (None, -1)
    assert told.confidence is None


def test_an_annotator_may_be_written_out() -> None:
    assert read([chosen("male")], completed_by={"id": 4, "email": "a@b.c"})[0].annotator == 4
