"""Pictures enlarged by plain filters and by the upscaler, side by side, to be looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from sga.explore.canvas import MUTED, Canvas, Cell, Row, png
from sga.generation.enlarge import Enlarger
from sga.upscale.filters import FILTERS, enlarge_by

__all__ = ["comparison", "crop_middle"]


def crop_middle(image: np.ndarray, edge: int) -> np.ndarray:
    """(edge, edge, 3) from the middle of (h, w, 3), or all of the square that fits."""
    height, width, _ = image.shape
    edge = min(edge, height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    return image[top : top + edge, left : left + edge]


def comparison(
    upscaler: Enlarger,
    images: Mapping[str, np.ndarray],
    scale: int,
    crop: int = 96,
    others: Mapping[str, Sequence[np.ndarray]] | None = None,
) -> bytes:
    """PNG: a row a picture, a column a way; pixels stand as they are, none is resampled for the page.

    images: (h, w, 3) uint8 by name, of which the middle of `crop` px is shown; others: further columns, (scale·crop,
    scale·crop, 3) a picture each.
    """
    parts = [crop_middle(image, crop) for image in images.values()]
    ways = {"nearest": Image.Resampling.NEAREST, **FILTERS}
    columns = {way: [enlarge_by(kernel)(part, scale) for part in parts] for way, kernel in ways.items()}
    columns |= {way: list(pictures) for way, pictures in (others or {}).items()}
    columns["ours"] = [upscaler.times(part, scale) for part in parts]
    canvas = Canvas(scale * crop)
    rows = [
        Row([Cell(pictures[place], [(name, MUTED)] if way == "nearest" else ()) for way, pictures in columns.items()])
        for place, name in enumerate(images)
    ]
    grid, _ = canvas.grid(rows, list(columns))
    page, _ = canvas.page([grid])
    return png(page)
