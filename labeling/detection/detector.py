"""What finds faces: one protocol, an OpenCV cascade or an ONNX model behind it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Protocol

import numpy as np

from configs.errors import InputError
from labeling.detection.settings import DetectionSettings

__all__ = ["Detector", "DetectorError", "content_hash", "make_detector"]


class DetectorError(InputError):
    """A detector that runs and gives nonsense: for this picture alone, if it has been understood for others."""


class Detector(Protocol):
    """Finds faces in one picture; a function of the picture and of the detector's file and settings alone."""

    min_score: float
    """Score from which a detection counts unless the settings say otherwise."""

    def detect(self, pixels: np.ndarray, longest: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(h, w, 3) uint8 RGB → (boxes, scores): (n, 4) float64 left, top, width, height in px, (n,) float64 in [0, 1].

        Boxes of one face may overlap, in any order; they may stand out of the picture. longest: longer side of the picture
        before it was rotated, px, if it was: its detail is that of the picture upright.

        Raises:
            DetectorError: what came out makes no sense.
        """
        ...


def make_detector(settings: DetectionSettings) -> Detector:
    """The detector that the settings name.

    Raises:
        InputError: no such file, or it is no detector that is understood.
        MissingExtra: OpenCV is not installed.
    """
    if settings.cascade:
        from labeling.detection.cascade import CascadeDetector

        return CascadeDetector(settings)
    from labeling.detection.onnx import OnnxDetector

    return OnnxDetector(settings)


def content_hash(path: str | Path, option: str) -> str:
    """16 hex digits of a detector's bytes.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return hashlib.blake2b(Path(path).read_bytes(), digest_size=8).hexdigest()
    except OSError as error:
        raise InputError(f"Expected a file at {path}, found: {error.strerror}. Correct {option}.") from error
