"""How good a detector is: found boxes against true ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from labeling.detection.boxes import overlap

__all__ = ["Scored", "match_boxes", "score_boxes"]


def match_boxes(found: np.ndarray, true: np.ndarray, iou: float = 0.5) -> np.ndarray:
    """(n,) int64: the true box that each found box is right about, -1 for none. found (n, 4) best first, true (m, 4).

    The rule of PASCAL VOC: from the best on, a found box counts for the free true box that it overlaps most, if intersection
    over union is at least `iou`. So a second box on one face is wrong, as is one of the wrong size.
    """
    taken, answers = set(), np.full(len(found), -1, dtype=np.int64)
    shares = overlap(np.reshape(found, (-1, 4)), np.reshape(true, (-1, 4)))[0]
    for row, share in enumerate(shares):
        free = [(float(share[at]), -at) for at in range(len(share)) if at not in taken and share[at] >= iou]
        if free:
            answers[row] = -max(free)[1]
            taken.add(answers[row])
    return answers


@dataclass(frozen=True)
class Scored:
    """Counts over a set of pictures."""

    right: int
    found: int
    true: int

    @property
    def recall(self) -> float:
        """Share of the true faces that were found; NaN without any."""
        return self.right / self.true if self.true else float("nan")

    @property
    def precision(self) -> float:
        """Share of the found boxes that are faces; NaN without any."""
        return self.right / self.found if self.found else float("nan")


def score_boxes(pictures: Iterable[tuple[np.ndarray, np.ndarray]], iou: float = 0.5) -> Scored:
    """Recall and precision over pictures, each (found boxes, best first; true boxes)."""
    right = found = true = 0
    for boxes, truth in pictures:
        right += int((match_boxes(boxes, truth, iou) >= 0).sum())
        found += len(boxes)
        true += len(truth)
    return Scored(right, found, true)
