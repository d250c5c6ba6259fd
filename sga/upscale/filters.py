"""The plain filters that an upscaler is compared with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from PIL import Image

__all__ = ["FILTERS", "Enlarge", "enlarge_by"]

Enlarge: TypeAlias = Callable[[np.ndarray, int], np.ndarray]
"""(h, w, 3) uint8 and a factor to (factor·h, factor·w, 3) uint8."""
FILTERS = {"bicubic": Image.Resampling.BICUBIC, "Lanczos": Image.Resampling.LANCZOS}


def enlarge_by(kernel: Image.Resampling) -> Enlarge:
    """A filter of Pillow's."""

    def enlarge(image: np.ndarray, factor: int) -> np.ndarray:
        height, width, _ = image.shape
        return np.asarray(Image.fromarray(image).resize((width * factor, height * factor), kernel))

    return enlarge
