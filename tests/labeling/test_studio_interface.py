"""The interface's XML, and exported tasks as people and other programs may have left them."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image

from configs.errors import InputError, StudioError, WorkspaceError
from labeling.schema import Attribute, Schema
from labeling.studio.interface import (
    CELLS,
    UNCLEAR,
    build_interface,
    check_interface,
    check_result,
    hotkeys,
    names,
    possible_choices,
    read_interface,
)
from labeling.studio.projects import (
    Layout,
    Project,
    add_project,
    find_project,
    one_push,
    projects_of,
    read_projects,
    remove_project,
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
from labeling.workspace import Workspace

GENDER = Schema.load("faces")["gender"]
QUALITY = Schema.load("faces")["quality"]
SMILE = Schema.load("moe34")["smile"]
ATTRIBUTES = [
    pytest.param(attribute, id=f"{schema}-{attribute.name}")
    for schema in ("faces", "moe34")
    for attribute in Schema.load(schema)
]
ODD = Attribute(name="odd", kind="exclusive", role="style", values=('a "b" <c>', "x & y", "name='image'", "ü", "$key"))


def choices_of(config: str, name: str = "label") -> list[dict[str, str]]:
    tree = ElementTree.fromstring(config)
    (control,) = [tag for tag in tree.iter("Choices") if tag.get("name") == name]
    return [dict(choice.attrib) for choice in control.iter("Choice")]


# --- the page ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attribute", ATTRIBUTES)
@pytest.mark.parametrize("review", [False, True])
def test_every_choice_of_a_single_face_has_a_key_of_its_own(attribute: Attribute, review: bool) -> None:
    config = build_interface(attribute, "single", review=review)
    choices = choices_of(config)
    assert tuple(choice.get("alias", choice["value"]) for choice in choices) == possible_choices(attribute)
    keys = [choice["hotkey"] for choice in choices]
    assert len(set(keys)) == len(keys)
    assert all(len(key) == 1 and key.isascii() and (key.isdigit() or key.islower()) for key in keys)
    assert "u" not in keys  # the page unselects a region with it
    assert ("$current" in config) == review
    check_interface(config, attribute, "single")


@pytest.mark.parametrize("attribute", [*ATTRIBUTES, pytest.param(ODD, id="odd")])
def test_a_wall_has_24_faces_without_keys_and_may_stay_empty(attribute: Attribute) -> None:
    config = build_interface(attribute, "wall")
    tree = ElementTree.fromstring(config)
    assert [tag.get("value") for tag in tree.iter("Image")] == [f"$img{index}" for index in range(CELLS)]
    controls = list(tree.iter("Choices"))
    assert [(tag.get("name"), tag.get("toName")) for tag in controls] == [names("wall", index) for index in range(CELLS)]
    assert not any("required" in tag.attrib for tag in controls)
    assert {tag.get("hotkey") for tag in tree.iter("Choice")} == {"f19"}  # without one the page would give them letters
    check_interface(config, attribute, "wall")


def test_a_single_face_demands_a_choice() -> None:
    (control,) = ElementTree.fromstring(build_interface(GENDER, "single")).iter("Choices")
    assert control.get("required") == "true"


def test_a_single_face_says_by_which_keys_one_goes_on() -> None:
    def headers(layout: Layout) -> list[str]:
        return [tag.get("value", "") for tag in ElementTree.fromstring(build_interface(GENDER, layout)).iter("Header")]

    title, keys = headers("single")
    assert title == "Gender"
    assert keys.startswith("Ctrl+Enter sends what is chosen, Ctrl+Space skips.")
    assert headers("wall") == ["Gender"]


def test_keys_are_letters_of_the_value_and_then_digits() -> None:
    assert hotkeys(["female", "male", "cannot tell"]) == {"female": "f", "male": "m", "cannot tell": "c"}
    assert hotkeys(["blue", "bl", "b"]) == {"blue": "b", "bl": "l", "b": "1"}
    assert hotkeys(["u", "üü"]) == {"u": "1", "üü": "2"}
    many = hotkeys([f"{number}" for number in range(50)])
    assert len(many) == 35 == len(set(many.values()))  # ten digits, 25 letters, and then the mouse


@pytest.mark.parametrize(("attribute", "key"), [(GENDER, "c"), (SMILE, "c"), (Schema.load("faces")["hair_color"], "c")])
def test_cannot_tell_has_the_same_key_everywhere(attribute: Attribute, key: str) -> None:
    (unsure,) = [choice for choice in choices_of(build_interface(attribute, "single")) if choice.get("alias") == UNCLEAR]
    assert unsure == {"value": "cannot tell", "alias": UNCLEAR, "hotkey": key}


def test_levels_say_what_they_mean_and_have_no_unclear() -> None:
    config = build_interface(QUALITY, "single")
    assert [choice["value"] for choice in choices_of(config)] == ["low", "median", "high"]
    assert all(text in config for text in ("distorted, or no face", "blurry or plain", "clear, good-looking, regular face"))
    assert UNCLEAR not in possible_choices(QUALITY)


def test_values_are_escaped() -> None:
    config = build_interface(ODD, "single")
    assert [choice["value"] for choice in choices_of(config)][: len(ODD.values)] == list(ODD.values)
    check_interface(config, ODD)


@pytest.mark.parametrize("value", [UNCLEAR, "cannot tell"])
def test_a_value_may_not_have_the_name_of_the_choice_beside_them(value: str) -> None:
    with pytest.raises(InputError, match="Give the value another name"):
        build_interface(Attribute(name="hat", kind="exclusive", role="style", values=("yes", value)), "single")


# --- what stands on a server ------------------------------------------------------------------------------------------


def test_what_people_add_to_an_interface_is_fine() -> None:
    config = build_interface(GENDER, "single").replace(
        "</View>\n</View>", '</View><Header value="Zoom in."/><TextArea name="remark" toName="image"/></View>'
    )
    assert "remark" in config
    interface = check_interface(config, GENDER)
    check_result(interface, {"result": [chosen("female")]})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('value="male"', 'value="man"', "without male"),
        ('value="cannot tell" alias="unclear"', 'value="robot"', "with robot besides"),
        ('name="label"', 'name="gender"', 'Choices name="label"'),
        ('toName="image"', 'toName="picture"', "Expected the XML"),
        ("<Choices", "<Rating", 'Choices name="label"'),
        ("</Choices>", "", "Expected the XML"),
        ('name="image"', 'name="label"', "Expected the XML"),
    ],
)
def test_an_interface_that_lacks_something_is_told(old: str, new: str, message: str) -> None:
    config = build_interface(GENDER, "single")
    assert old in config
    broken = config.replace(old, new)
    if new == "<Rating":
        broken = broken.replace("</Choices>", "</Rating>")
    with pytest.raises(StudioError, match=message) as caught:
        check_interface(broken, GENDER)
    assert "Settings, Labeling Interface" in str(caught.value)


def test_a_wall_with_a_cell_too_few_is_told() -> None:
    with pytest.raises(StudioError, match="label23"):
        check_interface(build_interface(GENDER, "wall", cells=23), GENDER, "wall")


def test_the_choice_beside_the_values_may_be_taken_away() -> None:
    check_interface(build_interface(GENDER, "single", unclear=False), GENDER)


@pytest.mark.parametrize(
    "result",
    [
        [{"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": ["robot"]}}],
        [{"from_name": "lable", "to_name": "image", "type": "choices", "value": {"choices": ["male"]}}],
        [{"from_name": "label", "to_name": "img0", "type": "choices", "value": {"choices": ["male"]}}],
        [{"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": "male"}}],
        "male",
    ],
)
def test_a_result_that_the_interface_does_not_offer_is_refused(result: Any) -> None:
    interface = read_interface(build_interface(GENDER, "single"))
    check_result(interface, {"result": [chosen("male")], "score": 0.5})
    with pytest.raises(InputError, match="results that the interface offers"):
        check_result(interface, {"result": result})


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


# --- the list of projects ---------------------------------------------------------------------------------------------


def test_projects_are_kept_by_server_attribute_purpose_and_layout(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    assert read_projects(space) == []
    first = Project("local", 1, "gender", "single", "label")
    others = [Project("local", 2, "gender", "wall", "label"), Project("http://b", 1, "gender", "single", "review")]
    for project in (first, *others):
        add_project(space, project)
    assert read_projects(space) == [first, *others]
    assert find_project(space, "local", "gender", "label", "single") == first
    assert find_project(space, "local", "gender", "review", "single") is None
    assert projects_of(space, "local", attribute="gender", purpose="label") == [first, others[0]]
    changed = Project("local", 1, "gender", "single", "label", created="2026-11-21T08:00:00Z")
    add_project(space, changed)
    assert read_projects(space) == [changed, *others]
    remove_project(space, first)
    assert read_projects(space) == others


def test_a_list_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    row = {"server": "local", "id": 1, "attribute": "gender", "layout": "single", "purpose": "label", "created": "2026-11-20"}
    path = tmp_path / "labeling" / "projects.json"
    path.parent.mkdir()
    path.write_text(json.dumps([row | {"round": 2}]))
    assert read_projects(Workspace(tmp_path)) == [Project("local", 1, "gender", "single", "label", "2026-11-20")]


def test_a_push_waits_for_others_and_not_for_itself(tmp_path: Path) -> None:
    first, second = (Project("local", number, "gender", "single", "label") for number in (1, 2))

    def nested() -> None:
        with one_push(Workspace(tmp_path)):
            add_project(Workspace(tmp_path), first)

    thread = Thread(target=nested, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    with ThreadPoolExecutor(1) as pool:
        with one_push(Workspace(tmp_path)):
            other = pool.submit(add_project, Workspace(tmp_path), second)
            with pytest.raises(TimeoutError):
                other.result(0.3)
            assert read_projects(Workspace(tmp_path)) == [first]
        other.result(20)
    assert read_projects(Workspace(tmp_path)) == [first, second]


@pytest.mark.parametrize("text", ["{}", "[1]", '[{"server": "local"}]', "[", '[{"server": 1, "id": "x"}]'])
def test_a_damaged_list_of_projects_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labeling" / "projects.json"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises((WorkspaceError, InputError), match=r"projects\.json"):
        read_projects(Workspace(tmp_path))
