"""Is there a face in a crop at all? The detector of `sga ingest`, looking again at the crop, enlarged and with margins."""

from __future__ import annotations

from threading import local

import numpy as np
from PIL import Image

from labeling.cleaning.scores import FaceFinder
from labeling.detection.detector import content_hash, make_detector
from labeling.detection.settings import DetectionSettings
from labeling.workspace import fingerprint

__all__ = ["make_finder"]

_SIDE = 192  # px to which a smaller crop is enlarged
_MARGIN = 0.25  # of the side, on each side: a detector wants to see what is around a face


def make_finder(cascade: str = "", detector: str = "") -> FaceFinder | None:
    """Of an OpenCV cascade (XML) or a detector (ONNX); None where neither is named.

    Raises:
        ConfigError: both are named.
        InputError: no such file, or none that is understood.
        MissingExtra: OpenCV is not installed.
    """
    from configs.loader import make_settings

    settings = make_settings(DetectionSettings, {"cascade": cascade, "detector": detector, "rotate": "empty"})
    if not settings.on:
        return None
    option = "--cascade" if cascade else "--detector"
    name = fingerprint(content_hash(cascade or detector, option), settings.model_dump_json(exclude={"cascade", "detector"}))
    make_detector(settings)  # refuses before anything is measured
    kept = local()  # a cascade must not be asked by two threads at once

    def best(face: np.ndarray) -> float:
        if not hasattr(kept, "detector"):
            kept.detector = make_detector(settings)
        _, scores = kept.detector.detect(_with_margins(face))
        return float(scores.max(initial=0.0))

    return FaceFinder(name, best)


def _with_margins(face: np.ndarray) -> np.ndarray:
    """(s, s, 3) uint8 → the same with its outermost pixels repeated around it, enlarged where it is small."""
    if face.shape[0] < _SIDE:
        face = np.asarray(Image.fromarray(face).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC))
    margin = round(_MARGIN * face.shape[0])
    return np.pad(face, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
