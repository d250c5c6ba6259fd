"""One face before it is drawn: its tags, the artist's taste, the geometry of the head and the pose."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labeling.samples.dice import Dice
from labeling.samples.palette import Ramp, eye_ramp, hair_ramp, skin_ramp

__all__ = ["PIVOT", "Defects", "Face", "Head", "Look", "Pose", "make_face"]

PIVOT = 0.2
"""Height of the throat, about which the head tilts, in head units below the eyes."""


@dataclass(frozen=True)
class Look:
    """The artist's taste. `detail` off: flat colours without shading (quality median)."""

    line: float  # width of outlines, picture units
    darkness: float  # of outlines, 0 … 1
    shading: float  # strength of shadows, 0 … 1
    softness: float  # blur of shadow edges, picture units
    light: int  # side the light comes from: -1 left, 1 right
    gloss: float  # strength of highlights, 0 … 1
    detail: bool


@dataclass(frozen=True)
class Pose:
    """Where the head is: turned about its axis, tilted, placed and sized."""

    turn: float  # -1 … 1; -1 looks to the left of the picture
    tilt: float  # degrees, clockwise
    x: float
    y: float
    zoom: float


@dataclass(frozen=True)
class Head:
    """Geometry in head units: the eyes lie on y = 0, y grows downwards, the picture is 1 / zoom wide."""

    width: float  # half width at the cheeks
    jaw: float  # width of the jaw, share of `width`
    jaw_y: float
    chin: float  # y of the chin
    chin_width: float
    corner: float  # how sharply the jaw turns
    top: float  # y of the hair's highest point
    volume: float  # of the hair beside the skull
    neck: float  # half width


@dataclass(frozen=True)
class Defects:
    """What is wrong with a face of low quality; all off for others."""

    warp: float = 0.0
    lost_eye: int = 0
    eye_drop: float = 0.0  # the eyes' difference in height
    eye_scale: float = 1.0
    mouth_x: float = 0.0
    mouth_y: float = 0.0
    lost_mouth: bool = False
    jaw_slip: float = 0.0
    smear: float = 0.0


@dataclass(frozen=True)
class Face:
    """Everything the parts agree on."""

    truth: Mapping[str, str]
    entropy: tuple[int, ...]
    look: Look
    pose: Pose
    head: Head
    defects: Defects
    hair: Ramp
    eye: Ramp
    skin: Ramp

    def dice(self, part: str) -> Dice:
        """The part's own stream of random numbers."""
        return Dice(self.entropy, part)

    def has(self, tag: str) -> bool:
        """Whether an independent tag is set."""
        return self.truth[tag] == "yes"

    @property
    def male(self) -> bool:
        return self.truth["gender"] == "male"

    @property
    def length(self) -> str:
        """short, medium or long."""
        return "long" if self.has("long_hair") else "short" if self.has("short_hair") else "medium"

    def turned(self, x: float, depth: float = 0.0) -> float:
        """Where a point of the face's front lands when the head turns; `depth` lifts it off the surface."""
        radius = self.head.width * 1.1
        angle = math.asin(min(max(x / radius, -0.99), 0.99)) + 0.36 * self.pose.turn
        return (radius + depth) * math.sin(angle)

    def squeeze(self, x: float) -> float:
        """How much narrower something at x looks from the turned head."""
        radius = self.head.width * 1.1
        angle = math.asin(min(max(x / radius, -0.99), 0.99))
        return math.cos(angle + 0.36 * self.pose.turn) / math.cos(angle)


def make_face(truth: Mapping[str, str], entropy: Sequence[int]) -> Face:
    """Draw everything the parts agree on from the face's own streams."""
    entropy = tuple(entropy)
    plain = truth["quality"] == "median" and Dice(entropy, "plain").chance(0.5)
    look = _look(Dice(entropy, "look"), plain)
    colors = Dice(entropy, "colors")
    skin = skin_ramp(colors, look.darkness)
    hair = hair_ramp(truth["hair_color"], Dice(entropy, "hair color"), look.darkness)
    eye = eye_ramp(truth["eye_color"], Dice(entropy, "eye color"))
    head = _head(Dice(entropy, "head"), truth["gender"] == "male")
    defects = _defects(Dice(entropy, "defects")) if truth["quality"] == "low" else Defects()
    return Face(truth, entropy, look, _pose(Dice(entropy, "pose"), truth, head), head, defects, hair, eye, skin)


def _look(dice: Dice, plain: bool) -> Look:
    look = Look(
        line=dice.uniform(0.0036, 0.0068),
        darkness=dice.uniform(0.15, 0.95),
        shading=dice.uniform(0.6, 1.0),
        softness=dice.pick([0.0, 0.004, 0.012], [0.45, 0.3, 0.25]),
        light=dice.sign(),
        gloss=dice.uniform(0.55, 1.0),
        detail=True,
    )
    if plain:
        return Look(look.line * 0.8, look.darkness, 0.0, 0.0, look.light, 0.0, detail=False)
    return look


def _head(dice: Dice, male: bool) -> Head:
    if male:
        return Head(
            width=dice.bell(0.225, 0.252),
            jaw=dice.bell(0.78, 0.88),
            jaw_y=dice.bell(0.19, 0.22),
            chin=dice.bell(0.315, 0.355),
            chin_width=dice.bell(0.05, 0.085),
            corner=dice.bell(0.0, 0.4),
            top=-dice.bell(0.405, 0.465),
            volume=dice.bell(0.03, 0.06),
            neck=dice.bell(0.115, 0.145),
        )
    return Head(
        width=dice.bell(0.255, 0.295),
        jaw=dice.bell(0.58, 0.78),
        jaw_y=dice.bell(0.18, 0.215),
        chin=dice.bell(0.265, 0.31),
        chin_width=dice.bell(0.02, 0.06),
        corner=dice.bell(0.6, 1.0),
        top=-dice.bell(0.405, 0.47),
        volume=dice.bell(0.035, 0.075),
        neck=dice.bell(0.072, 0.092),
    )


def _pose(dice: Dice, truth: Mapping[str, str], head: Head) -> Pose:
    turn = dice.uniform(-1, 1) * dice.uniform(0.2, 0.9)
    tilt = dice.bell(-20, 20)
    zoom = dice.bell(0.92, 1.14)
    x, y = 0.5 - turn * 0.03 + dice.uniform(-0.02, 0.02), dice.uniform(0.485, 0.525)
    wide = "yes" in (truth["twintails"], truth["drill_hair"], truth["ponytail"])
    if truth["hat"] == "yes":
        zoom, y = min(zoom, 0.97), y + 0.045
    if wide:
        zoom, tilt = min(zoom, dice.uniform(0.86, 0.94)), tilt * 0.6
    return Pose(turn, tilt, x, min(y, 0.9 - head.chin * zoom), zoom)


def _defects(dice: Dice) -> Defects:
    kinds = ["warp", "eye", "drop", "mouth", "jaw", "smear"]
    chosen = {dice.pick(kinds, [4, 2, 2, 2, 1, 1]) for _ in range(3)} | {"warp"}
    return Defects(
        warp=dice.uniform(0.035, 0.075) if "warp" in chosen else 0.0,
        lost_eye=dice.sign() if "eye" in chosen else 0,
        eye_drop=dice.sign() * dice.uniform(0.05, 0.12) if "drop" in chosen else 0.0,
        eye_scale=dice.pick([dice.uniform(0.35, 0.6), dice.uniform(1.4, 1.7)]) if "drop" in chosen else 1.0,
        mouth_x=dice.sign() * dice.uniform(0.06, 0.16) if "mouth" in chosen else 0.0,
        mouth_y=dice.uniform(-0.1, 0.05) if "mouth" in chosen else 0.0,
        lost_mouth="mouth" in chosen and dice.chance(0.35),
        jaw_slip=dice.sign() * dice.uniform(0.07, 0.15) if "jaw" in chosen else 0.0,
        smear=dice.uniform(0.5, 1.0) if "smear" in chosen else 0.0,
    )
