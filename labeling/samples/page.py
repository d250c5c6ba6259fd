"""An illustration before it is drawn: its size, year, panels, who stands where, and the true box of every face."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from labeling.samples.dice import Dice
from labeling.samples.face import PIVOT, Face, Look, make_face
from labeling.samples.settings import SampleSettings
from labeling.samples.truth import draw_truth

__all__ = ["Page", "Panel", "Person", "face_box", "plan_page"]

Box = tuple[float, float, float, float]
"""Left, top, width, height, px."""

KINDS = {"standing": 24, "thighs": 22, "bust": 10, "far": 14, "group": 17, "panels": 9, "crowd": 4, "scene": 6}
"""Compositions by weight."""

PLACES = {"portrait": 34, "plain": 12, "room": 20, "street": 16, "meadow": 18}
"""Places by weight; see labeling.samples.parts.places."""

_FIRST, _LAST = 1996, 2024
_SIDE, _CENTRE = 0.725, 0.056  # of a face's box, head units; its centre lies between the eyes and the mouth
_HEIGHT = 4.45  # of a figure, head units


@dataclass(frozen=True)
class Person:
    """One figure. x, y: px of the middle between the eyes of an untilted head; unit: px of a head unit; lean: degrees."""

    face: Face
    truth: Mapping[str, str]
    x: float
    y: float
    unit: float
    lean: float


@dataclass(frozen=True)
class Panel:
    """A rectangle of the page with a place and the people in it, those behind first.

    scene: lends the place its style; bubbles: boxes of speech bubbles.
    """

    number: int
    box: Box
    place: str
    scene: Face
    people: tuple[Person, ...]
    bubbles: tuple[Box, ...] = ()


@dataclass(frozen=True)
class Page:
    """An illustration. age in [0, 1]: 1 for the oldest style."""

    entropy: tuple[int, ...]
    width: int
    height: int
    year: int
    age: float
    kind: str
    panels: tuple[Panel, ...]

    def dice(self, part: str) -> Dice:
        """The part's own stream of random numbers."""
        return Dice(self.entropy, part)

    @property
    def people(self) -> list[Person]:
        """All people, by their faces' boxes from top to bottom, then left to right."""
        everybody = [person for panel in self.panels for person in panel.people]
        return sorted(everybody, key=lambda person: (face_box(person)[1], face_box(person)[0]))


def face_box(person: Person) -> Box:
    """The true box of a face: the upright square that a face cascade learns.

    As wide as the hair beside the cheeks (0.725 head units), from the fringe to a little under the chin, centred on the line
    between the eyes and the mouth; the head's tilt and the figure's lean move its centre.
    """
    pose = person.face.pose
    tilt, lean = math.radians(pose.tilt), math.radians(person.lean)
    x, y = math.sin(tilt) * PIVOT, PIVOT - math.cos(tilt) * PIVOT
    across, down = 0.07 * pose.turn, _CENTRE
    x, y = x + across * math.cos(tilt) - down * math.sin(tilt), y + across * math.sin(tilt) + down * math.cos(tilt)
    x, y = x * math.cos(lean) - y * math.sin(lean), x * math.sin(lean) + y * math.cos(lean)
    side = _SIDE * person.unit
    return person.x + x * person.unit - side / 2, person.y + y * person.unit - side / 2, side, side


def plan_page(seed: int, index: int, size: int, settings: SampleSettings) -> Page:
    """Page `index` of a seed; a function of its arguments alone. size: the longer side, px."""
    entropy = (seed, index, 0x1115)
    d = Dice(entropy, "page")
    age = d.unit()
    year = min(_LAST, max(_FIRST, _LAST - round(age * (_LAST - _FIRST) + d.bell(-4, 4))))
    kind = d.pick(list(KINDS), list(KINDS.values()))
    wide = kind in ("group", "crowd") or d.chance(0.25)
    ratio = d.uniform(0.62, 0.85) if not d.chance(0.15) else 1.0
    long = round(size * d.uniform(0.8, 1.0) * (1 - 0.25 * age))
    width, height = (long, round(long * ratio)) if wide else (round(long * ratio), long)
    whole: Box = (0, 0, width, height)
    cast = _Cast(entropy, seed, index, age, settings)
    if kind == "panels":
        panels = tuple(
            _panel(cast, d, i, box, d.pick(["bust", "thighs", "bust", "empty"])) for i, box in enumerate(_split(d, whole))
        )
    else:
        panels = (_panel(cast, d, 0, whole, kind),)
    return Page(entropy, width, height, year, age, kind, panels)


class _Cast:
    """Makes people one after the other, each from streams of their own."""

    def __init__(self, entropy: tuple[int, ...], seed: int, index: int, age: float, settings: SampleSettings) -> None:
        self.entropy, self.seed, self.index, self.age, self.settings = entropy, seed, index, age, settings
        self.count = 0

    def next(self) -> tuple[Face, Mapping[str, str]]:
        number = self.index * 4096 + self.count
        self.count += 1
        truth = draw_truth(self.seed + 0x5EED, number, self.settings)
        face = make_face(truth, (*self.entropy, number))
        if face.look.detail and truth["quality"] == "median":  # median is drawn as plain colours; this one came out shaded
            truth = truth | {"quality": "high"}
        look = _dated(face.look, self.age)
        return replace(face, truth=truth, look=look), truth


def _dated(look: Look, age: float) -> Look:
    """Lines grow finer, shadows softer and hair glossier with the years."""
    return replace(
        look,
        line=look.line * (0.85 + 0.7 * age),
        darkness=min(1.0, 0.25 + 0.5 * look.darkness + 0.5 * age),
        softness=look.softness * (1 - age),
        gloss=look.gloss * (1 - 0.6 * age),
    )


def _panel(cast: _Cast, d: Dice, number: int, box: Box, kind: str) -> Panel:
    left, top, width, height = box
    place = d.pick(list(PLACES), list(PLACES.values()))
    scene, _ = cast.next()
    people: list[Person] = []
    for x, y, unit in _stands(d, kind, box):
        lean = d.sign() * d.uniform(15, 35) if d.chance(0.07) else d.bell(-6, 6)
        person = Person(*cast.next(), x, y, unit, lean)
        if _fits(person, box) and not any(_hides(person, other) for other in people):
            people.append(person)
    people.sort(key=lambda person: person.unit)
    people = [one for i, one in enumerate(people) if not any(_hides(later, one) for later in people[i + 1 :])]
    bubbles: tuple[Box, ...] = ()
    if kind in ("bust", "thighs", "empty") and d.chance(0.6 if number or kind == "empty" else 0.1):
        bubble = (left + width * d.pick([0.05, 0.65]), top + height * 0.06, width * 0.3, height * 0.24)
        if not any(_meets(bubble, face_box(person), 0.1) for person in people):
            bubbles = (bubble,)
    return Panel(number, box, place, scene, tuple(people), bubbles)


def _stands(d: Dice, kind: str, box: Box) -> list[tuple[float, float, float]]:
    """(x, y, unit) of the heads that a composition asks for."""
    left, top, width, height = box
    if kind in ("empty", "scene"):
        return []
    if kind in ("group", "crowd"):
        return _rows(d, box, d.integer(2, 4) if kind == "group" else d.integer(6, 14), 1 if kind == "group" else 3)
    if kind == "far":
        unit = min(height / (_HEIGHT * d.uniform(1.5, 2.6)), width / 3)
        return [
            (left + width * d.uniform(0.15, 0.85), top + height * d.uniform(0.92, 0.98) - 3.95 * unit, unit)
            for _ in range(d.integer(1, 2))
        ]
    shown = {"standing": _HEIGHT + d.uniform(0.15, 0.6), "thighs": d.uniform(2.4, 3.2), "bust": d.uniform(1.25, 1.8)}[kind]
    unit = min(height / shown, width / d.uniform(1.3, 1.7))
    return [(left + width * d.bell(0.3, 0.7), top + unit * d.uniform(0.56, 0.72), unit)]


def _rows(d: Dice, box: Box, count: int, rows: int) -> list[tuple[float, float, float]]:
    left, top, width, height = box
    places = []
    each = math.ceil(count / rows)
    unit = min(width / (each * 1.25), height / (2.6 if rows == 1 else 3.4)) * d.uniform(0.75, 1.0)
    for row in range(rows):
        scale = unit * (0.7 + 0.3 * (row + 1) / rows)
        for i in range(each):
            x = left + width * (i + 0.5 + d.uniform(-0.1, 0.1) + 0.25 * (row % 2)) / (each + 0.25 * (rows > 1))
            y = top + scale * 0.65 + (height - 1.3 * unit) * (row / max(rows, 1)) + d.uniform(0, 0.3) * scale
            places.append((x, y, scale * d.uniform(0.9, 1.05)))
    return places[:count]


def _split(d: Dice, whole: Box) -> list[Box]:
    """Two to five panels with gutters."""
    left, top, width, height = whole
    gap = 0.015 * max(width, height)
    boxes: list[Box] = []
    rows = d.integer(2, 3) if height >= width else 1
    y = top + gap
    for _ in range(rows):
        high = (height - gap * (rows + 1)) / rows
        columns = d.integer(1, 2) if rows > 1 else d.integer(2, 3)
        cut = d.uniform(0.4, 0.6) if columns == 2 else 1 / columns
        x = left + gap
        for column in range(columns):
            share = (cut if column == 0 else 1 - cut) if columns == 2 else 1 / columns
            wide = (width - gap * (columns + 1)) * share
            boxes.append((x, y, wide, high))
            x += wide + gap
        y += high + gap
    return boxes


def _meets(a: Box, b: Box, grow: float = 0.0) -> bool:
    gx, gy = b[2] * grow, b[3] * grow
    return a[0] < b[0] + b[2] + gx and b[0] - gx < a[0] + a[2] and a[1] < b[1] + b[3] + gy and b[1] - gy < a[1] + a[3]


def _fits(person: Person, box: Box) -> bool:
    left, top, side, _ = face_box(person)
    return left >= box[0] and top >= box[1] and left + side <= box[0] + box[2] and top + side <= box[1] + box[3]


def _hides(front: Person, behind: Person) -> bool:
    """Whether a figure that is drawn later covers a face: head and hair, and all that is below it."""
    unit = front.unit
    covered = (front.x - 0.6 * unit, front.y - 0.6 * unit, 1.2 * unit, 5 * unit)
    return _meets(covered, face_box(behind)) or _meets(face_box(front), face_box(behind), 0.3)
