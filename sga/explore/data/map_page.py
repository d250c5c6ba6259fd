"""t-SNE as a page: one file with the faces in it, to zoom and ask."""

from __future__ import annotations

import base64
import io
import math
from typing import Any

import numpy as np
from PIL import Image

from labeling.provenance import Source
from labeling.table import UNKNOWN
from sga.explore.data.embedding import Embedding
from sga.explore.data.exhibit import Exhibit
from sga.explore.data.faces import DataFaces, Value, spoken
from sga.explore.data.map_picture import about
from sga.explore.data.pages import page

__all__ = ["tsne_page"]

_EDGE, _QUALITY = 96, 82
_MOST_SIDE = 16383  # WebP's limit, pixels


def tsne_page(faces: DataFaces, told: Embedding, pixels: np.ndarray, seed: int) -> Exhibit:
    """pixels: (k, size, size, 3) uint8 of the embedding's faces."""
    title, text = "Faces by likeness, to zoom", about(faces, told)
    sheet, columns, edge = _sheet(pixels)
    rows = told.features.rows
    layouts = {
        "Apart": (told.airy + 0.5).tolist(),
        "Square": (told.grid + 0.5).tolist(),
        "Exact": np.round(told.places * (told.airy_side - 1) + 0.5, 3).tolist(),
    }
    data = {
        "columns": columns,
        "edge": edge,
        "layouts": layouts,
        "attributes": [_attribute(faces, name, rows) for name in faces.table.schema.names],
        "sources": [source.name.lower() for source in sorted(Source)],
        "facts": _facts(faces, rows),
    }
    content = page(title, text, "map", data, sheet)
    record = {"kind": "tsne-map", "alt": f"{title}. {text}", **faces.facts(), "seed": seed, "faces_shown": len(rows)}
    return Exhibit("tsne-map", title, page=content, record=record)


def _sheet(pixels: np.ndarray) -> tuple[str, int, int]:
    """The faces row by row as one WebP in a data URL, how many stand in a row, and the edge of each."""
    columns = math.ceil(math.sqrt(len(pixels)))
    edge = min(pixels.shape[1], _EDGE, _MOST_SIDE // columns)
    sheet = Image.new("RGB", (columns * edge, math.ceil(len(pixels) / columns) * edge))
    for place, face in enumerate(pixels):
        small = Image.fromarray(face)
        if small.size != (edge, edge):
            small = small.resize((edge, edge), Image.Resampling.LANCZOS)
        sheet.paste(small, (place % columns * edge, place // columns * edge))
    buffer = io.BytesIO()
    sheet.save(buffer, format="WEBP", quality=_QUALITY, method=4)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}", columns, edge


def _attribute(faces: DataFaces, name: str, rows: np.ndarray) -> dict[str, Any]:
    """Values by name, and of each face the code (-1 unknown), the source's number and the confidence in hundredths."""
    attribute = faces.table.schema[name]
    confidence = np.nan_to_num(faces.table.confidence(name)[rows])
    return {
        "name": spoken(name),
        "values": [Value(attribute, code).name for code in range(attribute.size)],
        "unknown": UNKNOWN,
        "codes": faces.table.codes(name)[rows].tolist(),
        "sources": faces.table.sources(name)[rows].tolist(),
        "confidence": np.round(100 * confidence).astype(int).tolist(),
    }


def _facts(faces: DataFaces, rows: np.ndarray) -> list[dict[str, Any]]:
    """What else the tooltip says of each face."""
    years, edges = faces.numbers("year")[rows], faces.numbers("short_edge")[rows]
    pictures = faces.metadata["picture"].astype(str).to_numpy()[rows]
    told = []
    for face, picture, year, edge in zip(faces.table.faces[rows], pictures, years.tolist(), edges.tolist(), strict=True):
        one: dict[str, Any] = {"face": str(face)[:12]}
        if picture:
            one["picture"] = picture
        if year > 0:
            one["year"] = year
        if edge > 0:
            one["short edge"] = f"{edge} px"
        told.append(one)
    return told
