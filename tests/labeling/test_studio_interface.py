"""The page on which people answer: its XML, and the check of what stands on a server."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from configs.errors import InputError, StudioError
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
)

GENDER = Schema.load("faces")["gender"]
QUALITY = Schema.load("faces")["quality"]
SMILE = Schema.load("moe34")["smile"]
ATTRIBUTES = [
    pytest.param(attribute, id=f"{schema}-{attribute.name}")
    for schema in ("faces", "moe34")
    for attribute in Schema.load(schema)
]
ODD = Attribute(name="odd", kind="exclusive", role="style", values=('a "b" <c>', "x & y", "name='image'", "ü", "$key"))


def chosen(choice: str) -> dict[str, Any]:
    return {"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": [choice]}}


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
