"""How many faces there are by year, by short edge and by label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from labeling.provenance import Source
from labeling.table import UNKNOWN
from sga.explore.canvas import Canvas
from sga.explore.data.drawing import BLUE, Line, Series, bars, columns, label_width, legend, round_step
from sga.explore.data.exhibit import Exhibit, picture_of
from sga.explore.data.faces import DataFaces, Value, spoken

__all__ = ["SOURCES", "count_by_edge", "count_by_label", "count_by_year"]

SOURCES = {
    Source.HUMAN: Series("human", BLUE),
    Source.ORIGINAL: Series("original", "#009e73"),
    Source.COMPLETED: Series("completed", "#e69f00"),
    Source.MISSING: Series("missing", "#b8bdc4"),
}
"""From the surest to none, in colours of Okabe and Ito, which the colour-blind tell apart."""

_WIDTH, _MOST_YEARS, _MOST_EDGES = 1000, 60, 40


def count_by_year(faces: DataFaces) -> Exhibit:
    """Faces by the `year` of their metadata (Jin et al. 2017, Section 2)."""
    years, title = faces.numbers("year"), "Faces by year"
    known = years[years > 0]
    if not len(known):
        return Exhibit("count-years", title, sentence=no_years(faces))
    step = round_step(int(known.max() - known.min()) + 1, _MOST_YEARS)
    starts, counts = _binned(known, step)
    labels = [str(start) if step == 1 else f"{start}-{start + step - 1}" for start in starts]
    return _columns(faces, "count-years", title, labels, counts, len(years) - len(known), "year")


def count_by_edge(faces: DataFaces) -> Exhibit:
    """Faces by the shorter side of their crop in the source picture (Jin et al. 2017, Section 2)."""
    edges, title = faces.numbers("short_edge"), "Faces by short edge"
    known = edges[edges > 0]
    if not len(known):
        return Exhibit(
            "count-edges",
            title,
            sentence="No face's short edge in its source picture is known: the faces were ingested by an earlier version. "
            f"Type, to have it noted: sga ingest PATH --workspace {faces.space.root}",
        )
    last = int(np.quantile(known, 0.99))  # a few huge pictures must not press the others into one bar
    step = round_step(last - int(known.min()) + 1, _MOST_EDGES)
    starts, counts = _binned(np.minimum(known, last // step * step), step)
    labels = [str(start) for start in starts]
    if known.max() >= starts[-1] + step:
        labels[-1] += "+"
    axis = f"short edge of the crop before it was resized, px ({step} px a bar)"
    return _columns(faces, "count-edges", title, labels, counts, len(edges) - len(known), axis)


def no_years(faces: DataFaces) -> str:
    """What to type where no face has a year."""
    return (
        "No face has a year: hand in a CSV with the columns file and year. "
        f"Type: sga ingest PATH --metadata FILE.csv --workspace {faces.space.root}"
    )


def _binned(numbers: np.ndarray, step: int) -> tuple[list[int], list[int]]:
    """Where each bin of `step` starts, from the first number's to the last one's, and the numbers in it."""
    bins = numbers // step
    counts = np.bincount(bins - bins.min())
    return [int(bins.min() + place) * step for place in range(len(counts))], counts.tolist()


def _columns(
    faces: DataFaces, name: str, title: str, labels: Sequence[str], counts: Sequence[int], unknown: int, axis: str
) -> Exhibit:
    canvas = Canvas(96)
    told = faces.told + (f" Of {unknown:,} it is unknown." if unknown else "")
    heading = canvas.heading(title, told, _WIDTH)
    page, _ = canvas.page([heading, columns(canvas, labels, counts, _WIDTH, axis)])
    most = int(np.argmax(counts))
    alt = f"{title}: from {labels[0]} to {labels[-1]}, most ({counts[most]:,}) at {labels[most]}. {told}"
    picture = picture_of(faces, page, name, alt, labels=list(labels), counts=list(counts), unknown=unknown)
    return Exhibit(name, title, picture)


def count_by_label(faces: DataFaces) -> Exhibit:
    """Faces by value of every attribute, stacked by who said so; below them those without a label."""
    canvas, title = Canvas(96), "Faces by label"
    told = f"{faces.told} Bars of one attribute share a scale."
    series = list(SOURCES.values())
    charts, record, known = {}, {}, []
    for attribute in faces.table.schema:
        codes, sources = faces.table.codes(attribute.name), faces.table.sources(attribute.name)
        counts = {
            Value(attribute, code).name: [int(((codes == code) & (sources == source)).sum()) for source in SOURCES]
            for code in range(attribute.size)
        }
        counts[UNKNOWN] = [0, 0, 0, int((codes < 0).sum())]
        charts[attribute.name] = [Line(name, parts, _share(sum(parts), len(faces))) for name, parts in counts.items()]
        names = [one.name for one in series]
        record[attribute.name] = {name: dict(zip(names, parts, strict=True)) for name, parts in counts.items()}
        known.append(f"{spoken(attribute.name)} {_percent(sum(sum(parts[:2]) for parts in counts.values()), len(faces))}")
    left = max(label_width(canvas, lines) for lines in charts.values())
    blocks = [canvas.heading(title, told, _WIDTH), legend(canvas, series, _WIDTH)]
    blocks += [bars(canvas, spoken(name), lines, series, _WIDTH, left) for name, lines in charts.items()]
    page, _ = canvas.page(blocks)
    alt = f"{title}, stacked by source. Known from people or with the pictures: {', '.join(known)}. {told}"
    return Exhibit("count-labels", title, picture_of(faces, page, "count-labels", alt, counts=record))


def _share(number: int, total: int) -> str:
    return f"{number:,} ({_percent(number, total)})"


def _percent(number: int, total: int) -> str:
    return f"{100 * number / total:.3g} %"
