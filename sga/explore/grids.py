"""Fixed noise with varied style and gender, fixed style with varied noise, and the difference that the gender makes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from PIL import Image

from configs.errors import InputError
from sga.explore.canvas import MUTED, Box, Canvas, Cell, Row
from sga.explore.faces import Cast, Score, Source, Take, genders_of, score, sources
from sga.explore.picture import Picture
from sga.generation import FaceModel

__all__ = ["check_numbers", "edge", "gender", "noise", "page_of", "styles"]

_LARGEST = 400
"""Faces on one picture."""
_FULL = 96
"""The mean difference of red, green and blue, of 255, that is drawn as the darkest colour."""


def styles(
    model: FaceModel,
    *,
    seed: int = 0,
    gender: str | None = None,
    rows: int = 3,
    columns: int = 10,
    unselected: bool = False,
    size: int | None = None,
) -> Picture:
    """One noise a row, one style a column, each as every gender (or the asked one alone).

    Noises are those of faces 0 … rows - 1 of the seed, styles those of the faces after them: of faces that the judge accepts,
    or, with `unselected`, of first attempts. size: edge of a face in pixels; None = the model's.

    Raises:
        InputError: an unknown gender, or a number out of its range.
    """
    codes = genders_of(model.spec, gender)
    check_numbers(rows=rows, columns=columns, faces=rows * columns * len(codes))
    if not model.spec.style_size:
        raise InputError("Expected a model whose generator reads a style, found one without. Type: sga explore noise")
    found = sources(model, gender, rows + columns, seed, unselected=unselected)
    takes = [[Take(row, rows + column, code) for column in range(columns)] for row in range(rows) for code in codes]
    labels = [(f"noise {row + 1}", model.spec.gender.values[code], code == codes[0]) for row in range(rows) for code in codes]
    return _table(
        Cast(model, found, [take for line in takes for take in line]),
        labels,
        [f"style {column + 1}" for column in range(columns)],
        ("styles", "The same noise in other styles", f"A row is one noise, a column one style. {_chosen(unselected)}"),
        {"seed": seed, "unselected": unselected},
        size,
    )


def noise(
    model: FaceModel,
    *,
    seed: int = 0,
    gender: str | None = None,
    rows: int = 3,
    columns: int = 10,
    unselected: bool = False,
    size: int | None = None,
) -> Picture:
    """One style a row, one noise a column; `rows` styles of each gender (or of the asked one alone), drawn as that gender.

    Styles are those of faces 0 … rows - 1 of the seed and gender, noises those of the faces after them; else as `styles`.
    """
    codes = genders_of(model.spec, gender)
    check_numbers(rows=rows, columns=columns, faces=rows * columns * len(codes))
    found: list[Source] = []
    takes: list[Take] = []
    labels: list[tuple[str, str, bool]] = []
    for code in codes:
        value, first = model.spec.gender.values[code], len(found)
        found += sources(model, value, rows + columns, seed, unselected=unselected)
        takes += [Take(first + rows + column, first + row, code) for row in range(rows) for column in range(columns)]
        labels += [(f"style {row + 1}", value, row == 0) for row in range(rows)]
    return _table(
        Cast(model, found, takes),
        labels,
        [f"noise {column + 1}" for column in range(columns)],
        (
            "noise",
            "The same style with other noise",
            f"A row is one style, a column one noise; each gender has its own. {_chosen(unselected)}",
        ),
        {"seed": seed, "unselected": unselected},
        size,
    )


def gender(
    model: FaceModel,
    *,
    seed: int = 0,
    gender: str | None = None,
    columns: int = 9,
    unselected: bool = False,
    size: int | None = None,
) -> Picture:
    """The same noise and style as each gender, and what changes (SGA-GAN, Fig. 1a); the last column is the mean of the others.

    gender: whose faces of the seed lend noise and style; None = each face draws its own. The record holds `difference`, the
    mean absolute difference of a value of red, green or blue between the first gender and the others, in [0, 255], and beside
    it `between_faces`, the same between neighbouring faces of one gender.
    """
    check_numbers(columns=columns, faces=columns * model.spec.gender.size)
    genders_of(model.spec, gender)
    values = model.spec.gender.values
    cast = Cast(
        model,
        sources(model, gender, columns, seed, unselected=unselected),
        [Take(column, column, code) for code in range(len(values)) for column in range(columns)],
    )
    images = cast.images()
    scores = score(model, images, [take.gender for take in cast.takes])
    lines = images.reshape(len(values), columns, *images.shape[1:])
    change = np.abs(lines[:1].astype(np.float64) - lines[1:])  # (others, columns, size, size, 3)
    by_face, apart = change.mean(axis=(0, 2, 3, 4)), _between(lines)

    rows = [Row([Cell(one) for one in [*line, _mean(line)]], values[code], begins=not code) for code, line in enumerate(lines)]
    for code, line in enumerate(change):
        name = "difference" if len(values) == 2 else f"to {values[code + 1]}"
        cells = [Cell(_heat(one), [(f"{one.mean():.1f}", MUTED)]) for one in [*line, line.mean(axis=0)]]
        rows.append(Row(cells, name, "of 255"))
    total = float(change.mean())
    told = (
        f"Same noise and style, only the gender changed. On average it moves a value of red, green or blue by {total:.1f} of "
        f"255; two different faces of one gender are {apart:.1f} apart. White: no difference; darkest: {_FULL} or more. "
        f"{_chosen(unselected)}"
    )
    headings = [*(f"face {column + 1}" for column in range(columns)), "mean"]
    canvas = Canvas(edge(model, size))
    picture, boxes = page_of(canvas, "What the gender changes", told, rows, headings)
    shown = [box for line in boxes[: len(values)] for box in line[:columns]]
    settings = {
        "seed": seed,
        "unselected": unselected,
        "difference": round(total, 3),
        "difference_by_face": [round(float(one), 3) for one in by_face],
        "between_faces": round(apart, 3),
    }
    alt = f"{columns} faces of the same noise and style as {' and '.join(values)}, and their pixel difference. {told}"
    return Picture.of(picture, cast, shown, scores, "gender", alt, **settings)


# -- shared ------------------------------------------------------------------------------------------------------------------


def edge(model: FaceModel, size: int | None) -> int:
    """The edge of a face on the picture: as asked, or the model's, 64 at least.

    Raises:
        InputError: outside 16 … 1024.
    """
    if size is not None and not 16 <= size <= 1024:
        raise InputError(f"Expected a size from 16 to 1024 pixels, found {size}. Type, for example: --size 192")
    return max(64, model.size) if size is None else size


def check_numbers(faces: int, **numbers: int) -> None:
    """Refuse a number below 1, and more faces than a picture takes.

    Raises:
        InputError: such a number.
    """
    for name, number in numbers.items():
        if number < 1:
            raise InputError(f"Expected at least 1 as --{name}, found {number}. Type, for example: --{name} 4")
    if faces > _LARGEST:
        names = " or ".join(f"--{name}" for name in numbers)
        raise InputError(f"Expected at most {_LARGEST} faces on a picture, found {faces}. Lower {names}.")


def _table(
    cast: Cast,
    labels: Sequence[tuple[str, str, bool]],
    headings: Sequence[str],
    words: tuple[str, str, str],
    settings: dict[str, Any],
    size: int | None,
) -> Picture:
    """Takes in rows of equal length. labels: label, note and whether a group begins, by row; words: kind, title, subtitle."""
    images = cast.images()
    scores: list[Score] = score(cast.model, images, [take.gender for take in cast.takes])
    columns = len(headings)
    lines = [images[start : start + columns] for start in range(0, len(images), columns)]
    rows = [Row([Cell(one) for one in line], *label) for line, label in zip(lines, labels, strict=True)]
    kind, title, subtitle = words
    picture, boxes = page_of(Canvas(edge(cast.model, size)), title, subtitle, rows, headings)
    alt = f"{len(images)} faces in {len(rows)} rows and {columns} columns. {subtitle}"
    return Picture.of(picture, cast, [box for line in boxes for box in line], scores, kind, alt, **settings)


def page_of(
    canvas: Canvas, title: str, subtitle: str, rows: Sequence[Row], headings: Sequence[str]
) -> tuple[Image.Image, list[list[Box]]]:
    """A title over a grid, and where each of its cells stands."""
    grid, boxes = canvas.grid(rows, headings)
    heading = canvas.heading(title, subtitle, max(grid.width, canvas.px(360)))
    page, (_, (x, y)) = canvas.page([heading, grid])
    return page, [[(a + x, b + y, c + x, d + y) for a, b, c, d in line] for line in boxes]


def _chosen(unselected: bool) -> str:
    return (
        "First attempts, nothing picked."
        if unselected
        else "Noises and styles are those of faces that passed the judge, or came closest."
    )


def _mean(images: np.ndarray) -> np.ndarray:
    """(size, size, 3) uint8: the average of (n, size, size, 3)."""
    return np.rint(images.astype(np.float64).mean(axis=0)).astype(np.uint8)


def _between(lines: np.ndarray) -> float:
    """The mean absolute difference between neighbours of (genders, columns, …) uint8; 0 where there is one column."""
    pairs = [np.abs(one.astype(np.float64) - other).mean() for line in lines for one, other in pairwise(line)]
    return float(np.mean(pairs)) if pairs else 0.0


_STOPS = np.array([[255, 255, 255], [253, 219, 163], [240, 120, 80], [178, 24, 75], [66, 10, 90]], dtype=np.float64)


def _heat(difference: np.ndarray) -> np.ndarray:
    """(size, size, 3) absolute differences to white … orange … violet, by their mean over red, green and blue."""
    level = np.clip(difference.mean(axis=2) / _FULL, 0, 1) * (len(_STOPS) - 1)
    below = np.minimum(level.astype(np.int64), len(_STOPS) - 2)
    part = (level - below)[..., None]
    return np.rint(_STOPS[below] * (1 - part) + _STOPS[below + 1] * part).astype(np.uint8)
