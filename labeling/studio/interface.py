"""The page on which people answer, as Label Studio's XML, and the check of what stands on a server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from configs.errors import InputError, MissingExtra, StudioError
from labeling.schema import Attribute
from labeling.studio.projects import Layout

if TYPE_CHECKING:
    from label_studio_sdk.label_interface import LabelInterface

__all__ = [
    "CELLS",
    "UNCLEAR",
    "build_interface",
    "check_interface",
    "check_result",
    "hotkeys",
    "names",
    "possible_choices",
    "read_interface",
]

UNCLEAR = "unclear"
"""A choice beside an attribute's values: a person looked and cannot tell."""

CELLS = 24
"""Faces on a wall: 6 in a row, 4 rows."""

_UNCLEAR_TEXT = "cannot tell"
_SELECT = 5  # so many choices beside each of 24 faces are folded into a menu
_RESERVED = frozenset("u")
"""Keys without Ctrl, Alt or Shift that the page keeps for itself (`u`: unselect the region; the others are no letters).

A tool of a picture has a letter too, so the pictures have no tools.
"""

_MEANINGS = {
    "low": "distorted, or no face",
    "median": "a regular face, but blurry or plain",
    "high": "a clear, good-looking, regular face",
}
"""What the levels of quality mean."""

_KEYS = "Ctrl+Enter sends what is chosen, Ctrl+Space skips. A key chooses; the key of what is chosen takes it back."

_NO_KEY = "f19"
"""The page gives a key to each choice without one, and a slip of the hand then changes an answer on a wall unseen."""

_STYLE = """
.face { width: 384px; }
.wall { display: grid; grid-template-columns: repeat(auto-fill, 152px); gap: 8px 16px; max-width: 992px; }
.face .lsf-toolbar, .wall .lsf-toolbar, .wall .lsf-hint { display: none; }
.wall .cell .lsf-choices { margin: 4px 0; }
.wall .cell .lsf-choice { line-height: 24px; }
"""
"""Pixels: a face alone is 384 wide, one on a wall 152. An empty toolbar would take 34 of them away."""


def names(layout: Layout, index: int = 0) -> tuple[str, str]:
    """from_name and to_name of the choices of a face: label → image; label0 → img0 and so on wherever a wall has its cells."""
    return (f"label{index}", f"img{index}") if layout == "wall" else ("label", "image")


def possible_choices(attribute: Attribute) -> tuple[str, ...]:
    """What may be answered: the values, and `UNCLEAR` unless they are levels."""
    return attribute.values if attribute.kind == "ordinal" else (*attribute.values, UNCLEAR)


def build_interface(
    attribute: Attribute, layout: Layout, *, unclear: bool | None = None, review: bool = False, cells: int = CELLS
) -> str:
    """The interface's XML. unclear: offer `UNCLEAR` (None: unless the values are levels); review: show the label there is.

    `single` demands a choice, by mouse or by its own key; a wall's cells may stay empty and have no keys. Six faces stand in
    a row where there is room for them.

    Raises:
        InputError: the attribute has a value of the name that `UNCLEAR` needs.
    """
    if UNCLEAR in attribute.values or _UNCLEAR_TEXT in attribute.values:
        raise InputError(
            f"Expected no value {UNCLEAR!r} or {_UNCLEAR_TEXT!r} of {attribute.name}: the page offers it beside the values. "
            "Give the value another name in the schema."
        )
    unclear = attribute.kind != "ordinal" if unclear is None else unclear
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Style").text = _STYLE
    title = attribute.name.replace("_", " ").capitalize()
    _header(view, f"{title}?" if attribute.kind == "independent" else title, size=4)
    for value in attribute.values if attribute.kind == "ordinal" else ():
        if value in _MEANINGS:
            _header(view, f"{value.capitalize()}: {_MEANINGS[value]}", size=5)
    if layout == "single":
        _header(view, _KEYS, size=5)
        face = ElementTree.SubElement(view, "View", className="face")
        _face(face, attribute, layout, 0, unclear=unclear, review=review)
    else:
        wall = ElementTree.SubElement(view, "View", className="wall")
        for index in range(cells):
            cell = ElementTree.SubElement(wall, "View", className="cell")
            _face(cell, attribute, layout, index, unclear=unclear, review=review)
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode")


def hotkeys(choices: Iterable[str]) -> dict[str, str]:
    """A key of its own for each choice: the first letter of it that is free, then a digit, then any letter."""
    keys: dict[str, str] = {}
    free = [key for key in (*"1234567890", *ascii_lowercase) if key not in _RESERVED]
    for choice in choices:
        letters = [letter for letter in choice.lower() if letter in ascii_lowercase and letter in free]
        if not letters and not free:
            break
        keys[choice] = (letters or free)[0]
        free.remove(keys[choice])
    return keys


def _header(parent: ElementTree.Element, text: str, size: int) -> None:
    ElementTree.SubElement(parent, "Header", value=text, size=str(size), style="margin: 4px 0")


def _face(
    parent: ElementTree.Element, attribute: Attribute, layout: Layout, index: int, *, unclear: bool, review: bool
) -> None:
    """One picture, the label under review and the choices."""
    name, to_name = names(layout, index)
    ElementTree.SubElement(
        parent, "Image", name=to_name, value=f"${to_name}", zoom="false", zoomControl="false", selectionControl="false"
    )
    if review:
        _header(parent, f"now: ${'current' if layout == 'single' else f'current{index}'}", size=5)
    choices = ElementTree.SubElement(parent, "Choices", name=name, toName=to_name, choice="single")
    if layout == "single":
        choices.attrib |= {"required": "true", "requiredMessage": "Choose one, or skip this face.", "showInline": "true"}
    else:
        choices.attrib |= {"layout": "select" if attribute.size > _SELECT else "inline"}
    unsure = (_UNCLEAR_TEXT,) if unclear else ()
    keys = hotkeys((*unsure, *attribute.values)) if layout == "single" else {}  # first, so that its key is always the same
    for text in (*attribute.values, *unsure):
        choice = ElementTree.SubElement(choices, "Choice", value=text)
        if text in unsure:
            choice.set("alias", UNCLEAR)
        if layout == "wall":
            choice.set("hotkey", _NO_KEY)
        elif text in keys:
            choice.set("hotkey", keys[text])


# --- what stands on a server ------------------------------------------------------------------------------------------


def read_interface(config: str) -> LabelInterface:
    """An interface's XML as the SDK understands it, checked by its rules.

    Raises:
        StudioError: it breaks them.
    """
    try:
        from label_studio_sdk.label_interface import LabelInterface
    except ModuleNotFoundError as error:
        raise MissingExtra("label-studio-sdk", "studio") from error
    try:
        interface = LabelInterface(config)
        interface.validate()
    except Exception as error:  # of the SDK, of its XML and schema packages, and plain ones
        found = " ".join(str(error).split())[:200]
        raise StudioError(f"Expected the XML of a labelling interface, found: {found}. {_REPAIR}") from error
    return interface


def check_interface(config: str, attribute: Attribute | None = None, layout: Layout = "single") -> LabelInterface:
    """An interface that asks for an attribute; None = for anything. Texts and other tags that people added are fine.

    Raises:
        StudioError: it breaks the SDK's rules, lacks a face's choices or one of the values, or offers a value of its own.
    """
    interface = read_interface(config)
    controls = {control.name: control for control in interface.controls}
    if attribute is not None:
        for index in range(CELLS if layout == "wall" else 1):
            _check_choices(controls, attribute, *names(layout, index))
    return interface


def _check_choices(controls: Mapping[str, Any], attribute: Attribute, name: str, to_name: str) -> None:
    """The choices of one face. controls: the interface's by name."""
    control = controls.get(name)
    if control is None or control.tag.lower() != "choices" or control.to_name != [to_name]:
        raise StudioError(
            f'Expected <Choices name="{name}" toName="{to_name}"> in the interface of {attribute.name}, found none. {_REPAIR}'
        )
    found = list(control.labels or ())
    lost = [value for value in attribute.values if value not in found]
    extra = [value for value in found if value not in possible_choices(attribute)]
    if lost or extra:
        what = f"without {', '.join(lost)}" if lost else f"with {', '.join(extra)} besides, which {attribute.name} has not"
        raise StudioError(
            f"Expected the choices {', '.join(attribute.values)} at {name} in the interface of {attribute.name}, found them "
            f"{what}. {_REPAIR}"
        )


def check_result(interface: LabelInterface, annotation: Mapping[str, Any]) -> None:
    """Refuse an annotation or a prediction that does not fit the interface; the server stores it unseen.

    Raises:
        InputError: it names the first thing that is wrong.
    """
    errors = interface.validate_prediction(annotation, return_errors=True)  # annotations have the same rules
    if errors:
        raise InputError(f"Expected results that the interface offers, found: {str(errors[0])[:300]}.")


_REPAIR = (
    "Put it right under Settings, Labeling Interface, or delete the project in Label Studio: the next sga label push makes a "
    "new one, and answers that were pulled stay."
)
