"""What a picture gave: a face, its place in the picture, or the reason why there is none."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

__all__ = ["Decoded", "face_file", "face_identity"]


@dataclass(frozen=True)
class Decoded:
    """One face of a picture, or the reason why the picture gives none.

    name: the picture's, or `<picture>#<k>` of a face that was found in an illustration, k = 0, 1, … from top to bottom, then
    left to right; face: identity; hash: 256 bits, see `difference_hash`; picture: the picture's name; box: left, top, width,
    height of the crop in px of the upright picture, may lie outside it; short_edge: of the crop before it was resized, px;
    detection: the detector's score, NaN where the picture itself is the face; frames: of the file, whose first was taken;
    fault: "memory" or "detector" where not the picture is the reason, so that it is tried again another time.
    """

    name: str
    face: str = ""
    hash: bytes = b""
    reason: str = ""
    picture: str = ""
    box: tuple[float, float, float, float] = (math.nan,) * 4
    short_edge: int = 0
    detection: float = math.nan
    frames: int = 1
    fault: Literal["", "memory", "detector"] = ""


def face_identity(pixels: np.ndarray) -> str:
    """SHA-256 (64 hex digits) of (h, w, 3) uint8 RGB pixels, row by row."""
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()


def face_file(face: str) -> str:
    """Where a face lies, relative to the workspace."""
    return f"faces/{face[:2]}/{face}.png"
