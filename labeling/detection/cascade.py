"""An OpenCV face cascade in two looks: a coarse one over the whole picture, a fine one about every place it points at.

A cascade's windows are cheap and uncertain: one alone is often wrong, many that agree seldom are. The first look, over a small
gray picture in large steps of size, keeps even single windows, so that it misses little; the second searches the surroundings
of each place, enlarged or reduced to one size and equalised by themselves, in fine steps, as they are and mirrored. The number
of windows that agree there is the score.

A large picture shrunk to the working size would hide its smaller faces. There the first look also goes over tiles of that size
at larger scales, each half the one before, and looks at each for faces of one or two windows: time grows with the picture's
area, memory hardly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from configs.errors import InputError, MissingExtra
from labeling.detection.boxes import merge_boxes, overlap
from labeling.detection.settings import DetectionSettings

__all__ = ["CascadeDetector"]

_SIDE = 56  # px of a face in the second look
_AROUND = 1.7  # side of what is looked at again, in boxes
_FINE = 1.05
_SAME = 0.4  # intersection over union from which the second look confirms the first
_HALF = 20.0  # windows that give a score of 0.5
_LARGEST = 2.0  # how much a small picture is enlarged at most
_MISSED = 1.25  # least face that the working size shows, over `min_face`, up to which no tiles are searched
_OCTAVE = 2.4  # largest face over the cascade's window in a tile: those of the next scale begin at 2


class CascadeDetector:
    """`Detector` by an OpenCV cascade. score = n / (n + 20) where n windows agree in the second look, mirrored ones too."""

    min_score = 0.3

    def __init__(self, settings: DetectionSettings) -> None:
        try:
            import cv2
        except ImportError as error:
            raise MissingExtra("opencv-python-headless", "train") from error
        self._cv2, self._settings = cv2, settings
        cv2.setNumThreads(1)  # ingest runs a process a core
        self._cascade = _load(cv2, settings.cascade)
        self._window = max(self._cascade.getOriginalWindowSize())

    def detect(self, pixels: np.ndarray, longest: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """See `Detector`."""
        settings = self._settings
        gray = self._cv2.cvtColor(pixels, self._cv2.COLOR_RGB2GRAY)
        looks = [self._first_look(gray, min(_LARGEST, settings.working_size / max(gray.shape)))]
        looks += [
            (boxes + np.array([left, top, 0, 0]), counts)
            for scale in self._scales(longest or max(gray.shape))
            for left, top, part in self._tiles(gray, scale)
            for boxes, counts in (self._first_look(part, scale, math.ceil(self._window * _OCTAVE)),)
        ]
        boxes, counts = (np.concatenate(part) for part in zip(*looks, strict=True))
        boxes, _ = merge_boxes(boxes, counts, settings.iou, settings.inside)
        seen = [self._look_again(gray, box) for box in boxes]
        return np.array([box for box, _ in seen]).reshape(-1, 4), np.array([score for _, score in seen])

    def _first_look(self, gray: np.ndarray, scale: float, most: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Boxes in px of `gray`, searched at `scale` for faces of up to `most` px there, and how many windows agree on each."""
        settings = self._settings
        small = self._resized(gray, scale)
        least = max(round(settings.min_face * scale * 0.9), 1)
        if min(small.shape) < least:
            return np.empty((0, 4)), np.empty(0)
        boxes, counts = self._search(
            self._cv2.equalizeHist(small), settings.scale_factor, settings.neighbors, (least, most or max(small.shape))
        )
        return boxes / scale, counts

    def _scales(self, longest: int) -> Iterator[float]:
        """The scales of tiles: from that at which `min_face` fills the window down to the whole picture's."""
        whole = min(_LARGEST, self._settings.working_size / longest)
        scale = min(_LARGEST, self._window / self._settings.min_face)
        if self._window / whole <= _MISSED * self._settings.min_face:
            return
        while scale > whole:
            yield scale
            scale /= 2

    def _tiles(self, gray: np.ndarray, scale: float) -> Iterator[tuple[int, int, np.ndarray]]:
        """Left, top and pixels of parts of the working size at `scale`; a face of a tile's sizes is whole in one of them."""
        side = max(math.ceil(max(self._settings.working_size, 4 * self._window) / scale), 1)
        step = side - math.ceil(self._window * _OCTAVE / scale)
        for top in range(0, max(gray.shape[0] - side, 0) + step, step):
            for left in range(0, max(gray.shape[1] - side, 0) + step, step):
                yield left, top, gray[top : top + side, left : left + side]

    def _look_again(self, gray: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, float]:
        """The box and score of the place that the first look pointed at; score 0 where the second sees nothing there."""
        side = float(box[2]) * _AROUND
        left, top = box[0] + box[2] / 2 - side / 2, box[1] + box[3] / 2 - side / 2
        low = max(math.floor(left), 0), max(math.floor(top), 0)
        part = gray[low[1] : max(math.ceil(top + side), 0), low[0] : max(math.ceil(left + side), 0)]
        scale = _SIDE / float(box[2])
        part = self._cv2.equalizeHist(self._resized(part, scale))
        here = (box - [*low, 0, 0]) * scale
        total, best, most = 0.0, box, 0.0
        for mirrored in (False, True):
            sizes = (round(_SIDE * 0.65), round(_SIDE * 1.45))
            boxes, counts = self._search(part[:, ::-1] if mirrored else part, _FINE, 1, sizes)
            if mirrored:
                boxes[:, 0] = part.shape[1] - boxes[:, 0] - boxes[:, 2]
            counts = counts * (overlap(here[None], boxes)[0][0] >= _SAME)
            total += counts.sum()
            if not total:
                break  # mirrored it hardly ever is one either
            if counts.max(initial=0) > most:
                most, best = counts.max(), boxes[counts.argmax()] / scale + [*low, 0, 0]
        return best, float(total / (total + _HALF))

    def _search(self, gray: np.ndarray, step: float, neighbors: int, sizes: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (n, 4) and how many windows agree on each."""
        boxes, counts = self._cascade.detectMultiScale2(
            np.ascontiguousarray(gray),
            scaleFactor=step,
            minNeighbors=neighbors,
            minSize=(sizes[0],) * 2,
            maxSize=(sizes[1],) * 2,
        )
        return np.asarray(boxes, np.float64).reshape(-1, 4), np.asarray(counts, np.float64).reshape(-1)

    def _resized(self, gray: np.ndarray, scale: float) -> np.ndarray:
        if not gray.size:
            return gray
        size = tuple(max(1, round(length * scale)) for length in gray.shape[::-1])
        method = self._cv2.INTER_AREA if scale < 1 else self._cv2.INTER_LINEAR
        return np.asarray(self._cv2.resize(gray, size, interpolation=method))


def _load(cv2: Any, path: str) -> Any:
    """The cascade of an XML file.

    Raises:
        InputError: no such file, or no cascade.
    """
    if not Path(path).is_file():
        raise InputError(f"Expected a face cascade at {path}, found nothing. Name an OpenCV cascade XML with --cascade.")
    try:
        text = Path(path).read_text(encoding="utf-8")
        storage = cv2.FileStorage(text, cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
        cascade = cv2.CascadeClassifier()
        known = cascade.read(storage.getFirstTopLevelNode()) and not cascade.empty()
    except (cv2.error, UnicodeDecodeError, OSError):
        known = False
    if not known:
        raise InputError(f"Expected an OpenCV cascade (XML) at {path}, found something else. Name another with --cascade.")
    return cascade
