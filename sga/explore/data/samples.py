"""Faces of each value, from the surest to the least sure, and who said so."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labeling.provenance import Source
from labeling.schema import Attribute
from sga.explore.canvas import INK, MUTED, Box, Canvas, Cell, Row
from sga.explore.data.exhibit import Exhibit, picture_of
from sga.explore.data.faces import DataFaces, Value, spoken

__all__ = ["samples"]

_COLUMNS = 12
_SOURCES = (Source.HUMAN, Source.ORIGINAL, Source.COMPLETED)


def samples(faces: DataFaces, seed: int) -> list[Exhibit]:
    """One picture an attribute with several values, one for all independent ones: a row a value, left those that a person
    named, then those that came so, then completed ones; in each part spread evenly from the most to the least confident."""
    groups: list[tuple[str, str, list[Attribute]]] = [
        (attribute.name, spoken(attribute.name), [attribute])
        for attribute in faces.table.schema
        if attribute.kind != "independent"
    ]
    single = [attribute for attribute in faces.table.schema if attribute.kind == "independent"]
    if single:
        groups.append(("tags", "tags", single))
    return [_exhibit(faces, f"samples-{name}", title, attributes, seed) for name, title, attributes in groups]


def _exhibit(faces: DataFaces, name: str, title: str, attributes: Sequence[Attribute], seed: int) -> Exhibit:
    title, canvas = f"Faces by {title}, with confidence", Canvas(96)
    values = [Value(attribute, code) for attribute in attributes for code in reversed(range(attribute.size))]
    if attributes[0].kind != "independent":
        values.reverse()
    chosen = [_chosen(faces, value, seed) for value in values]
    if not any(len(rows) for rows in chosen):
        sentence = f"No face has a label of {', '.join(spoken(attribute.name) for attribute in attributes)}."
        return Exhibit(name, title, sentence=f"{sentence} Type: sga status --workspace {faces.space.root}")
    told = f"{faces.told} Below a face: who said so, and how sure; each part is spread from the surest to the least sure."
    rows = [row for value, places in zip(values, chosen, strict=True) for row in _rows(faces, value, places)]
    grid, boxes = canvas.grid(rows)
    page, corners = canvas.page([canvas.heading(title, told, max(grid.width, 640)), grid])
    counts = {value.full_name: len(places) for value, places in zip(values, chosen, strict=True)}
    alt = f"{title}: up to {_COLUMNS} faces each of {', '.join(value.full_name for value in values)}. {told}"
    where = [box for row, line in zip(rows, boxes, strict=True) for box in line if row.cells]
    record = _records(faces, values, chosen, where, corners[1])
    return Exhibit(name, title, picture_of(faces, page, name, alt, seed=seed, shown=counts, faces=record))


def _chosen(faces: DataFaces, value: Value, seed: int) -> np.ndarray:
    """(k,) rows to show of a value, in their order; among equally sure ones the seed decides."""
    name = value.attribute.name
    has, sources, confidence = faces.table.codes(name) == value.code, faces.table.sources(name), faces.table.confidence(name)
    shuffled = np.random.default_rng((seed, *value.full_name.encode())).permutation(len(faces))
    parts = []
    for source in _SOURCES:
        rows = shuffled[(has & (sources == source))[shuffled]]
        parts.append(rows[np.argsort(-confidence[rows], kind="stable")])
    room = _shared(_COLUMNS, [len(part) for part in parts])
    return np.concatenate([_spread(part, number) for part, number in zip(parts, room, strict=True)])


def _shared(places: int, wanted: Sequence[int]) -> list[int]:
    """So many places dealt in turns to those who want some."""
    given = [0] * len(wanted)
    while sum(given) < min(places, sum(wanted)):
        for one, number in enumerate(wanted):
            if given[one] < number and sum(given) < places:
                given[one] += 1
    return given


def _spread(rows: np.ndarray, number: int) -> np.ndarray:
    return rows[np.linspace(0, len(rows) - 1, number).round().astype(np.int64)] if number else rows[:0]


def _rows(faces: DataFaces, value: Value, places: np.ndarray) -> list[Row]:
    """The faces of a value beside its name, or a gap where it has none."""
    total = int((faces.table.codes(value.attribute.name) == value.code).sum())
    cells = [
        Cell(image, [(source, INK), (f"{confidence:.2f}", MUTED)])
        for image, (source, confidence) in zip(faces.read(places), _told(faces, value, places), strict=True)
    ]
    return [Row(cells or [Cell(None, [("none", MUTED), ("", MUTED)])], value.name, f"{total:,} faces")]


def _told(faces: DataFaces, value: Value, places: np.ndarray) -> list[tuple[str, float]]:
    sources = faces.table.sources(value.attribute.name)[places]
    confidence = faces.table.confidence(value.attribute.name)[places]
    return [(Source(one).name.lower(), float(sure)) for one, sure in zip(sources, confidence, strict=True)]


def _records(
    faces: DataFaces, values: Sequence[Value], chosen: Sequence[np.ndarray], boxes: Sequence[Box], corner: tuple[int, int]
) -> list[dict[str, object]]:
    """What each face is, and where it stands."""
    told, place = [], 0
    for value, rows in zip(values, chosen, strict=True):
        for row, (source, confidence) in zip(rows.tolist(), _told(faces, value, rows), strict=True):
            left, top, right, bottom = boxes[place]
            box = [left + corner[0], top + corner[1], right + corner[0], bottom + corner[1]]
            place += 1
            one = {"face": str(faces.table.faces[row]), "value": value.full_name, "source": source}
            told.append({**one, "confidence": round(confidence, 4), "box": box})
        place += not len(rows)  # the gap of a value that no face has
    return told
