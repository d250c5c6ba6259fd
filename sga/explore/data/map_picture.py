"""t-SNE as pictures: the faces themselves, at their place with air between groups, and in a full square."""

from __future__ import annotations

import numpy as np
from PIL import Image

from sga.explore.canvas import PAPER, Canvas
from sga.explore.data.embedding import Embedding
from sga.explore.data.exhibit import Exhibit, picture_of
from sga.explore.data.faces import DataFaces

__all__ = ["about", "tsne_pictures"]

_AIRY, _GRID, _GAP = 48, 56, 2


def about(faces: DataFaces, told: Embedding) -> str:
    """What a map shows, in sentences."""
    number = len(told.features.rows)
    which = "all faces" if number == len(faces) else f"{number:,} of {len(faces):,} faces"
    left = f" {faces.left_out:,} that cleaning left out are not shown." if faces.left_out else ""
    text = f"t-SNE of {which} by the {told.features.name}: near one another stand faces that these find alike."
    return f"{text} {told.features.note}".strip() + left


def tsne_pictures(faces: DataFaces, told: Embedding, pixels: np.ndarray, seed: int) -> list[Exhibit]:
    """pixels: (k, size, size, 3) uint8 of the embedding's faces."""
    airy = _draw(faces, told, pixels, told.airy, told.airy_side, _AIRY, "tsne", seed)
    grid = _draw(faces, told, pixels, told.grid, told.grid_side, _GRID, "tsne-grid", seed)
    return [airy, grid]


def _draw(
    faces: DataFaces, told: Embedding, pixels: np.ndarray, cells: np.ndarray, side: int, edge: int, name: str, seed: int
) -> Exhibit:
    pitch, grid = edge + _GAP, name.endswith("grid")
    title = "Faces by likeness, in a square" if grid else "Faces by likeness"
    block = Image.new("RGB", (side * pitch - _GAP, side * pitch - _GAP), PAPER)
    for (column, row), face in zip(cells.tolist(), pixels, strict=True):
        small = Image.fromarray(face).resize((edge, edge), Image.Resampling.LANCZOS)
        block.paste(small, (column * pitch, row * pitch))
    canvas = Canvas(max(96, 96 * block.width // 1400))  # the text grows with the picture
    how = "Each was moved to the nearest free place" + (" of a full square." if grid else ", so none covers another.")
    text = f"{about(faces, told)} {how}"
    page, corners = canvas.page([canvas.heading(title, text, max(block.width, canvas.px(560))), block])
    left, top = corners[1]
    boxes = [[left + x * pitch, top + y * pitch, left + x * pitch + edge, top + y * pitch + edge] for x, y in cells.tolist()]
    record = [
        {"face": str(face), "place": [round(float(part), 5) for part in place], "box": box}
        for face, place, box in zip(faces.table.faces[told.features.rows], told.places, boxes, strict=True)
    ]
    facts = {"seed": seed, "features": told.features.name, "note": told.features.note, "faces": record}
    return Exhibit(name, title, picture_of(faces, page, name, text, **facts))
