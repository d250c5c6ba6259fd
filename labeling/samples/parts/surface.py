"""The canvas that faces are painted on, in memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from labeling.samples.parts.pen import skia

__all__ = ["rasterise"]


def rasterise(paint: Callable[[skia.Canvas], None], size: int) -> NDArray[np.uint8]:
    """Run `paint` on a new opaque canvas; uint8 RGB (size, size, 3)."""
    buffer = np.zeros((size, size, 4), dtype=np.uint8)
    surface = skia.Surface(buffer, colorType=skia.kRGBA_8888_ColorType)
    paint(surface.getCanvas())
    surface.flushAndSubmit()
    return np.ascontiguousarray(buffer[..., :3])
