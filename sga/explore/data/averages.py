"""The average face of each year and of each value of each attribute."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from sga.explore.canvas import INK, MUTED, Canvas, Cell, Row
from sga.explore.data.counts import no_years
from sga.explore.data.drawing import wrapped
from sga.explore.data.exhibit import Exhibit, picture_of
from sga.explore.data.faces import DataFaces, Value, spoken

__all__ = ["averages", "year_groups"]

_COLUMNS, _FEWEST = 13, 20
Progress = Callable[[int, int], None]


def averages(faces: DataFaces, *, years: bool, labels: bool, progress: Progress) -> list[Exhibit]:
    """Average faces by year, by label, or both in one pass over the pixels: faces as they are stored, mean of sRGB values.

    By label only known values count, those of people and those that came with the pictures (`completed` faces too, where the
    data says so). By year as Jin et al. 2017 (Section 2): neighbouring years are pooled until they hold 20 faces.
    """
    values = faces.values() if labels else []
    groups = [faces.known(value.attribute.name) == value.code for value in values]
    pools = year_groups(faces.numbers("year"), _FEWEST) if years else []
    groups += [mask for _, mask in pools]
    if not groups:
        return [Exhibit("average-years", "Average face by year", sentence=no_years(faces))]
    members = np.stack([*groups, np.ones(len(faces), bool)])
    counts = members.sum(axis=1).tolist()
    means = [
        np.rint(total / number).astype(np.uint8) if number else None
        for total, number in zip(faces.sums(members, progress), counts, strict=True)
    ]
    cells = list(zip(means, counts, strict=True))
    made = [_by_year(faces, [label for label, _ in pools], cells[len(values) :])] if years else []
    return made + ([_by_label(faces, values, [*cells[: len(values)], cells[-1]])] if labels else [])


def year_groups(years: np.ndarray, fewest: int) -> list[tuple[str, np.ndarray]]:
    """Neighbouring years pooled, from the first on, until they hold `fewest` faces: labels and (n,) bool masks. What is left
    over at the end joins the last group. years: (n,) int64, -1 unknown."""
    groups: list[list[int]] = [[]]
    held = 0
    for year in np.unique(years[years > 0]).tolist():
        groups[-1].append(year)
        held += int((years == year).sum())
        if held >= fewest:
            groups.append([])
            held = 0
    rest = groups.pop()
    if rest and groups:
        groups[-1] += rest
    elif rest:
        groups = [rest]
    labels = [str(group[0]) if len(group) == 1 else f"{group[0]}-{group[-1]}" for group in groups]
    return [(label, np.isin(years, group)) for label, group in zip(labels, groups, strict=True)]


Mean = tuple["np.ndarray | None", int]


def _by_year(faces: DataFaces, labels: Sequence[str], cells: Sequence[Mean]) -> Exhibit:
    """cells: of each group of years, then of all faces."""
    title = "Average face by year"
    if not labels:
        return Exhibit("average-years", title, sentence=no_years(faces))
    canvas = Canvas(96)
    unknown = len(faces) - sum(number for _, number in cells[:-1])
    told = faces.told + (f" Of {unknown:,} the year is unknown; they are in the average of all alone." if unknown else "")
    if any("-" in label for label in labels):
        told += f" Neighbouring years are pooled until they hold {_FEWEST} faces."
    every = [_cell(canvas, name, *mean) for name, mean in zip((*labels, "all"), cells, strict=True)]
    return _exhibit(faces, canvas, "average-years", title, told, _lines(every), dict(zip(labels, cells, strict=False)))


def _by_label(faces: DataFaces, values: Sequence[Value], cells: Sequence[Mean]) -> Exhibit:
    """cells: of each value, then of all faces."""
    canvas, title = Canvas(96), "Average face by label"
    who = "people, the pictures' sources and completion" if faces.completed else "people and the pictures' sources"
    told = f"{faces.told} Labels from {who}; below each face, how many are in it."
    rows = _lines([_cell(canvas, "all faces", *cells[-1])])
    single = [place for place, value in enumerate(values) if value.attribute.kind == "independent"]
    for attribute in faces.table.schema:
        places = [place for place, value in enumerate(values) if value.attribute is attribute and place not in single]
        if places:
            row = [_cell(canvas, values[place].name, *cells[place]) for place in places]
            rows += _lines(row, spoken(attribute.name))
    for start in range(0, len(single), 2 * _COLUMNS):  # with below without, so that one look compares them
        pair = single[start : start + 2 * _COLUMNS]
        for code, label in ((1, "with"), (0, "without")):
            row = [_cell(canvas, values[place].name, *cells[place]) for place in pair if values[place].code == code]
            rows += _lines(row, label)
    named = {value.full_name: mean for value, mean in zip(values, cells, strict=False)}
    return _exhibit(faces, canvas, "average-labels", title, told, rows, named)


def _exhibit(
    faces: DataFaces, canvas: Canvas, name: str, title: str, told: str, rows: Sequence[Row], means: dict[str, Mean]
) -> Exhibit:
    grid, _ = canvas.grid(rows)
    page, _ = canvas.page([canvas.heading(title, told, max(grid.width, 640)), grid])
    alt = f"{title}: {', '.join(f'{label} ({number:,})' for label, (_, number) in means.items())}. {told}"
    counts = {label: number for label, (_, number) in means.items()}
    return Exhibit(name, title, picture_of(faces, page, name, alt, counts=counts))


def _cell(canvas: Canvas, name: str, image: np.ndarray | None, number: int) -> Cell:
    captions = [(line, INK) for line in wrapped(canvas, name, canvas.size)]
    return Cell(image, [*captions, (f"{number:,}", MUTED)])


def _lines(cells: Sequence[Cell], label: str = "") -> list[Row]:
    """Cells in rows of so many, the first with the label."""
    parts = [cells[start : start + _COLUMNS] for start in range(0, len(cells), _COLUMNS)]
    return [Row(part, "" if number else label, begins=not number) for number, part in enumerate(parts)]
