"""Boxes of faces: overlapping ones merged, their order, and the square that is cut out about each.

A box is left, top, width, height in px of the upright picture; boxes are (n, 4) float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

__all__ = ["crop_square", "merge_boxes", "overlap", "reading_order", "square_about"]

_WHITE = 255
_AMPLE = 16  # px of a square that is padded, over those of the crop
_REDUCING_GAP = 3.0  # a box reduction first, LANCZOS for the last factor of 3


def overlap(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """((n, m) intersection over union, (n, m) intersection over the smaller box) of two sets of boxes."""
    a, b = np.asarray(first, np.float64)[:, None], np.asarray(second, np.float64)[None]
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    common = np.clip(high - low, 0, None).prod(axis=-1)
    one, other = a[..., 2:].prod(axis=-1), b[..., 2:].prod(axis=-1)
    tiny = np.finfo(np.float64).tiny
    return common / np.maximum(one + other - common, tiny), common / np.maximum(np.minimum(one, other), tiny)


def merge_boxes(boxes: np.ndarray, scores: np.ndarray, iou: float, inside: float) -> tuple[np.ndarray, np.ndarray]:
    """Non-maximum suppression: the best box of each face, best first.

    A box goes where it overlaps a better one by more than `iou` (intersection over union), or where more than the share
    `inside` of the smaller of the two lies in the other. Equal scores are ordered by place, so the order given never matters.
    """
    boxes, scores = np.asarray(boxes, np.float64).reshape(-1, 4), np.asarray(scores, np.float64)
    order = np.lexsort((boxes[:, 3], boxes[:, 2], boxes[:, 0], boxes[:, 1], -scores))
    boxes, scores = boxes[order], scores[order]
    kept: list[int] = []
    alive = np.ones(len(boxes), dtype=bool)
    for row in range(len(boxes)):
        if alive[row]:
            kept.append(row)
            union, contained = overlap(boxes[row : row + 1], boxes)
            alive &= ~((union[0] > iou) | (contained[0] > inside))
    return boxes[kept], scores[kept]


def reading_order(boxes: np.ndarray) -> np.ndarray:
    """(n,) int64: rows of `boxes` from top to bottom, then from left to right."""
    return np.lexsort((boxes[:, 3], boxes[:, 2], boxes[:, 0], boxes[:, 1]))


def square_about(box: Sequence[float], picture: tuple[int, int], zoom: float, shift: float) -> tuple[int, int, int]:
    """The square to cut out about a box: (left, top, side) in whole px.

    The longer side times `zoom`, centred on the box, `shift` sides lower (above 0) or higher. It is moved into the picture
    (width, height) where it fits; where its side is longer than the picture's it is centred, and stands out on both sides.
    """
    left, top, width, height = box
    side = max(1, math.floor(max(width, height) * zoom + 0.5))
    corner = (left + width / 2 - side / 2, top + height / 2 - side / 2 + shift * side)
    placed = [
        min(max(math.floor(at + 0.5), 0), length - side) if side <= length else -((side - length) // 2)
        for at, length in zip(corner, picture, strict=True)
    ]
    return placed[0], placed[1], side


def crop_square(image: Image.Image, square: tuple[int, int, int], size: int, pad: str) -> np.ndarray:
    """The square (left, top, side) of an RGB picture, resized with anti-aliasing to (size, size, 3) uint8.

    What stands out of the picture repeats its outermost pixels (pad "edge") or is white ("white"). Memory is bounded by the
    picture's own and `size`, however far the square stands out.
    """
    left, top, side = square
    inner = (max(left, 0), max(top, 0), min(left + side, image.width), min(top + side, image.height))
    part = image.crop(inner)
    if part.size != (side, side):
        step = max(side // (_AMPLE * size), 1)  # a square of gigabytes is shrunk before it is padded
        part, side = part.reduce(step), -(-side // step)
        before = (inner[1] - top) // step, (inner[0] - left) // step
        margins = *((low, side - low - length) for low, length in zip(before, part.size[::-1], strict=True)), (0, 0)
        fill: dict[str, Any] = {"mode": "edge"} if pad == "edge" else {"mode": "constant", "constant_values": _WHITE}
        part = Image.fromarray(np.pad(np.asarray(part), margins, **fill))
    if side == size:
        return np.asarray(part)
    return np.asarray(part.resize((size, size), Image.Resampling.LANCZOS, reducing_gap=_REDUCING_GAP))
