"""The faces of one picture: detected, merged, leaning ones too, each with the square that is cut out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from labeling.detection.boxes import merge_boxes, reading_order, square_about
from labeling.detection.detector import Detector
from labeling.detection.settings import DetectionSettings

__all__ = ["FoundFace", "find_faces"]


@dataclass(frozen=True)
class FoundFace:
    """box: left, top, width, height in px of the upright picture; score in [0, 1]; square: (left, top, side) to cut out."""

    box: tuple[float, float, float, float]
    score: float
    square: tuple[int, int, int]


def find_faces(image: Image.Image, detector: Detector, settings: DetectionSettings) -> list[FoundFace]:
    """The faces of an RGB picture, from top to bottom, then left to right.

    Where `settings.rotate` says so the picture is searched rotated too; a box found there keeps its centre and size, upright.
    Detections under the least score, under `min_face` px, over twice the picture's longer side or with their centre outside
    the picture do not count.

    Raises:
        DetectorError: see `Detector`.
    """
    least = detector.min_score if settings.min_score is None else settings.min_score
    found = _kept(*detector.detect(np.asarray(image)), image.size, least, settings)
    if settings.rotate == "always" or (settings.rotate == "empty" and not len(found[0])):
        turns = [found]
        for degrees in settings.rotations:
            turned = _turned(image, degrees)
            boxes, scores = detector.detect(turned, max(image.size))
            boxes = _back(boxes, image.size, turned.shape[1::-1], degrees)
            turns.append(_kept(boxes, scores, image.size, least, settings))
        found = tuple(np.concatenate(part) for part in zip(*turns, strict=True))  # type: ignore[assignment]
    boxes, scores = merge_boxes(*found, settings.iou, settings.inside)
    order = reading_order(boxes)
    return [
        FoundFace((*map(float, box),), float(score), square_about(box, image.size, settings.zoom, settings.shift))  # type: ignore[arg-type]
        for box, score in zip(boxes[order], scores[order], strict=True)
    ]


def _kept(
    boxes: np.ndarray, scores: np.ndarray, size: tuple[int, int], least: float, settings: DetectionSettings
) -> tuple[np.ndarray, np.ndarray]:
    centres = boxes[:, :2] + boxes[:, 2:] / 2
    inside = (centres >= 0).all(axis=1) & (centres < size).all(axis=1)
    side = boxes[:, 2:].max(axis=1, initial=0)
    good = inside & (scores >= least) & (side >= settings.min_face) & (side <= 2 * max(size))
    return boxes[good], scores[good]


def _back(boxes: np.ndarray, size: tuple[int, int], turned: tuple[int, int], degrees: float) -> np.ndarray:
    """Boxes of a picture rotated anticlockwise by `degrees`, upright about their centres in the picture as it was."""
    angle = math.radians(degrees)
    matrix = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    centres = (boxes[:, :2] + boxes[:, 2:] / 2 - np.array(turned) / 2) @ matrix.T + np.array(size) / 2
    return np.concatenate([centres - boxes[:, 2:] / 2, boxes[:, 2:]], axis=1)


_WIDEST = 2**15 - 2
"""Longest side that OpenCV turns, px."""


def _turned(image: Image.Image, degrees: float) -> np.ndarray:
    """(h, w, 3) uint8: the picture rotated anticlockwise about its centre, whole, on its mean colour: corners that a rotation
    opens shall not look like edges."""
    import cv2  # ten times as fast as Pillow here

    angle = math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    width, height = image.size
    wide, high = (math.ceil(a * abs(cos) + b * abs(sin)) for a, b in ((width, height), (height, width)))
    mean = image.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    if max(width, height, wide, high) > _WIDEST:
        return np.asarray(image.rotate(degrees, Image.Resampling.BILINEAR, expand=True, fillcolor=mean))
    turn = np.array([[cos, sin], [-sin, cos]])
    to, of = (np.array([w - 1, h - 1]) / 2 for w, h in ((wide, high), (width, height)))  # the middles of pixels count
    matrix = np.column_stack([turn, to - turn @ of])
    return cv2.warpAffine(np.asarray(image), matrix, (wide, high), flags=cv2.INTER_LINEAR, borderValue=mean)
