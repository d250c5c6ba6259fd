"""Accepted faces beside rejected ones with what the judge said of them, and how the scores are spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from configs.errors import InputError
from sga.explore.canvas import MUTED, POOR, Box, Canvas, Cell, Row
from sga.explore.chart import Mark, histogram
from sga.explore.faces import Cast, Score, Source, Take, genders_of, score, sources
from sga.explore.grids import check_numbers, edge
from sga.explore.picture import Picture
from sga.generation import FaceModel
from sga.model_folder import ModelSpec

__all__ = ["judged"]

_MOST = 5000


@dataclass(frozen=True, eq=False)
class _Part:
    """First attempts of one gender."""

    code: int
    gender: str
    sources: list[Source]
    images: np.ndarray
    scores: list[Score]

    def places(self, accepted: bool, most: int) -> list[int]:
        """At most so many of one kind from the highest quality to the lowest, evenly spread."""
        kind = [place for place, one in enumerate(self.scores) if one.accepted == accepted]
        kind.sort(key=lambda place: -self.scores[place].quality)
        if len(kind) <= most:
            return kind
        return [kind[place] for place in np.linspace(0, len(kind) - 1, most).round().astype(int).tolist()]


@dataclass(frozen=True, eq=False)
class _Shown:
    """One face on the picture. block: the number of its block; box: where it stands there."""

    part: _Part
    place: int
    block: int
    box: Box


def judged(
    model: FaceModel,
    *,
    seed: int = 0,
    gender: str | None = None,
    count: int = 160,
    rows: int = 3,
    columns: int = 6,
    size: int | None = None,
) -> Picture:
    """Of `count` first attempts a gender, rows × columns accepted ones beside as many rejected ones, and histograms of all.

    Both are sorted by quality and spread evenly from the best to the worst. Captions: quality and probability of the asked
    gender, red where the judge turned the face down for it. The record holds every score (`rates`) beside the faces shown.

    Raises:
        InputError: an unknown gender, or a number out of its range.
    """
    codes = genders_of(model.spec, gender)
    check_numbers(2 * rows * columns * len(codes), rows=rows, columns=columns)
    if not 1 <= count <= _MOST:
        raise InputError(f"Expected a count from 1 to {_MOST}, found {count}. Type, for example: --count 160")
    canvas = Canvas(edge(model, size))
    parts = [_draw(model, code, count, seed) for code in codes]
    told = (
        f"{count} first attempts a gender, sorted by quality. Below a face: its quality and the probability of the asked "
        "gender, red where the judge turned it down for that."
    )
    blocks: list[Image.Image] = []
    shown: list[_Shown] = []
    for part in parts:
        grid, here = _faces(canvas, model.spec, part, rows, columns, block=len(blocks) + 2)
        shown += here
        blocks += [_head(canvas, part, grid.width), grid, _charts(canvas, model.spec, part, grid.width)]
    title = canvas.heading("What the judge accepts", told, blocks[1].width)
    page, corners = canvas.page([title, *blocks])
    boxes = [_moved(one.box, corners[one.block]) for one in shown]
    takes = [Take(number, number, one.part.code) for number, one in enumerate(shown)]
    cast = Cast(model, [one.part.sources[one.place] for one in shown], takes)
    rates = {part.gender: _summary(model.spec, part) for part in parts}
    accepted = ", ".join(f"{one['accepted']} of {count} ({name})" for name, one in rates.items())
    alt = f"Accepted beside rejected faces, and histograms of their scores. The judge accepted {accepted}. {told}"
    scores = [one.part.scores[one.place] for one in shown]
    return Picture.of(page, cast, boxes, scores, "judged", alt, seed=seed, count=count, rates=rates)


def _draw(model: FaceModel, code: int, count: int, seed: int) -> _Part:
    gender = model.spec.gender.values[code]
    found = sources(model, gender, count, seed, unselected=True)
    images = Cast(model, found, [Take(place, place, code) for place in range(count)]).images()
    return _Part(code, gender, found, images, score(model, images, [code] * count))


def _head(canvas: Canvas, part: _Part, width: int) -> Image.Image:
    good, count = sum(one.accepted for one in part.scores), len(part.scores)
    return canvas.heading(part.gender, f"{good} of {count} accepted ({100 * good / count:.0f} %)", width, points=16, above=10)


def _faces(
    canvas: Canvas, spec: ModelSpec, part: _Part, rows: int, columns: int, block: int
) -> tuple[Image.Image, list[_Shown]]:
    """Accepted ones at the left, rejected ones at the right."""
    halves, boxes, kept = [], [], []
    for accepted in (True, False):
        places = part.places(accepted, rows * columns)
        cells: list[Cell | None] = [_cell(spec, part, place) for place in places]
        cells += [None] * (rows * columns - len(cells))
        lines = [Row(cells[start : start + columns]) for start in range(0, len(cells), columns)]
        grid, where = canvas.grid(lines, title="accepted" if accepted else "rejected")
        halves.append(grid)
        boxes.append([box for line in where for box in line][: len(places)])
        kept.append(places)
    joined, lefts = canvas.beside(halves)
    shown = [
        _Shown(part, place, block, _moved(box, (left, 0)))
        for left, places, found in zip(lefts, kept, boxes, strict=True)
        for place, box in zip(places, found, strict=True)
    ]
    return joined, shown


def _cell(spec: ModelSpec, part: _Part, place: int) -> Cell:
    one = part.scores[place]
    captions = [
        (f"{spec.quality.name} {one.quality:.2f}", spec.quality.name),
        (f"{part.gender} {one.gender:.2f}", spec.gender.name),
    ]
    return Cell(part.images[place], [(text, POOR if name in one.failed else MUTED) for text, name in captions])


def _charts(canvas: Canvas, spec: ModelSpec, part: _Part, width: int) -> Image.Image:
    each = (width - canvas.px(28)) // 2
    accepted = np.array([one.accepted for one in part.scores])
    quality = np.array([one.quality for one in part.scores])
    chance = np.array([one.gender for one in part.scores])
    marks = [Mark("accepted from", spec.accepted_from(part.gender), strong=True)]
    marks += [Mark(level, spec.level(level, part.gender)) for level in spec.quality.values[1:]]
    gender = [Mark("accepted from", spec.thresholds.gender, strong=True)]
    charts = [
        histogram(canvas, "faces by quality", quality, accepted, each, marks),
        histogram(canvas, f"faces by probability of {part.gender}", chance, accepted, each, gender),
    ]
    return canvas.beside(charts)[0]


def _summary(spec: ModelSpec, part: _Part) -> dict[str, Any]:
    """Every score, and from where it counts."""
    return {
        "accepted": sum(one.accepted for one in part.scores),
        "quality_from": spec.accepted_from(part.gender),
        "gender_from": spec.thresholds.gender,
        "levels": {level: spec.level(level, part.gender) for level in spec.quality.values},
        "quality": [round(one.quality, 4) for one in part.scores],
        "gender_probability": [round(one.gender, 4) for one in part.scores],
    }


def _moved(box: Box, by: tuple[int, int]) -> Box:
    left, top, right, bottom = box
    return left + by[0], top + by[1], right + by[0], bottom + by[1]
