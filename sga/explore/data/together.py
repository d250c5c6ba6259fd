"""Which labels come together: how often faces with one value have another, and how much oftener than all faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from sga.explore.canvas import INK, LINE, MUTED, PAPER, Canvas
from sga.explore.data.drawing import count, rotated, wrapped
from sga.explore.data.exhibit import Exhibit, picture_of
from sga.explore.data.faces import DataFaces, Value

__all__ = ["Together", "co_occurrence", "together"]

_WIDE, _HIGH, _NAME = 46, 34, 200
_OCTAVES, _EXPECTED = 3, 5.0
_MORE, _LESS, _OFTEN, _SAME = (0, 68, 136), (187, 85, 0), (0, 90, 50), (246, 248, 250)


@dataclass(frozen=True, eq=False)
class Together:
    """values: k of them; both: (k, k) int64 faces that have the values of row and column; frequency: (k, k) float64 in [0, 1],
    of the faces with the row's value whose column's attribute is known, those with the column's value; expected: (k, k)
    float64, how many faces would have both if the two were independent; lift: (k, k) float64, `both` / `expected`.

    NaN where it has no meaning: two values of one attribute, an attribute known never together with the other, or one of which
    a single value was ever told (tags without their absence).
    """

    values: list[Value]
    both: np.ndarray
    frequency: np.ndarray
    expected: np.ndarray
    lift: np.ndarray


def together(faces: DataFaces) -> Together:
    """Counts of pairs of values over the faces for which both attributes are known. Of an independent attribute its presence
    stands alone; one of which nothing is known is left out."""
    codes = {attribute.name: faces.known(attribute.name) for attribute in faces.table.schema}
    values = [
        value
        for value in faces.values()
        if (value.attribute.kind != "independent" or value.code) and (codes[value.attribute.name] >= 0).any()
    ]
    has, known = np.zeros((2, len(faces), len(values)), np.float32)
    for place, value in enumerate(values):
        has[:, place] = codes[value.attribute.name] == value.code
        known[:, place] = codes[value.attribute.name] >= 0
    both = (has.T @ has).astype(np.float64)  # exact: counts below 2^24
    row, column = (has.T @ known).astype(np.float64), (known.T @ has).astype(np.float64)
    pairs = (known.T @ known).astype(np.float64)
    attributes = np.array([list(codes).index(value.attribute.name) for value in values], dtype=np.int64)
    told_once = np.array([len(np.unique(told[told >= 0])) < 2 for told in codes.values()])[attributes]
    senseless = (attributes[:, None] == attributes) | told_once | told_once[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        frequency = np.where(senseless, np.nan, both / row)
        expected = np.where(senseless, np.nan, row * column / pairs)
        lift = both / expected
    return Together(values, both.astype(np.int64), frequency, expected, np.where(np.isfinite(lift), lift, np.nan))


def co_occurrence(faces: DataFaces) -> list[Exhibit]:
    """Two heat maps: conditional frequency, and lift."""
    told = together(faces)
    if np.isnan(told.lift).all():
        sentence = (
            "No two attributes are known of the same faces, so nothing can be said of labels that come together. "
            f"Labels come with sga ingest --labels FILE.csv --workspace {faces.space.root}, or completed ones with --completed."
        )
        return [Exhibit("together-frequency", "Labels that come together", sentence=sentence)]
    who = "Completed labels count." if faces.completed else "Only what people or the pictures' sources said counts."
    frequency = (
        f"{faces.told} {who} In percent: of the faces with the row's value, those with the column's; below, how many have "
        "both. Gray: one attribute, or one of which only a single value is known."
    )
    lift = (
        f"{faces.told} {who} How many times as many faces have both values as if the two were independent; below, how many "
        f"have both. Blue: oftener; orange: more rarely; white: as often, or fewer than {_EXPECTED:.0f} expected."
    )
    pairs = _strongest(told)
    return [
        _exhibit(faces, told, "together-frequency", "Labels that come together", frequency, pairs),
        _exhibit(faces, told, "together-lift", "Labels that attract and avoid each other", lift, pairs),
    ]


def _strongest(told: Together, most: int = 5) -> list[str]:
    """The pairs of the highest lift among those of which enough faces are expected."""
    upper = np.triu(np.where(told.expected >= _EXPECTED, np.nan_to_num(told.lift), 0), 1)
    order = np.argsort(-upper, axis=None, kind="stable")[:most]
    places = [divmod(int(place), len(upper)) for place in order if upper.flat[place] > 0]
    return [f"{told.values[a].full_name} with {told.values[b].full_name} ({upper[a, b]:.1f} times)" for a, b in places]


def _exhibit(faces: DataFaces, told: Together, name: str, title: str, text: str, pairs: list[str]) -> Exhibit:
    canvas, lift = Canvas(96), name.endswith("lift")
    map_ = _heat_map(canvas, told, lift)
    scale = _scale(canvas, lift)
    page, _ = canvas.page([canvas.heading(title, text, max(map_.width, 640)), scale, map_])
    alt = f"{title}: heat map of {len(told.values)} values. {text}"
    if pairs:
        alt += f" Most often together against chance: {'; '.join(pairs)}."
    facts: dict[str, Any] = {
        "values": [value.full_name for value in told.values],
        "both": told.both.tolist(),
        "frequency": _numbers(told.frequency),
        "lift": _numbers(told.lift),
    }
    return Exhibit(name, title, picture_of(faces, page, name, alt, **facts))


def _numbers(matrix: np.ndarray) -> list[list[float | None]]:
    return [[None if np.isnan(value) else round(float(value), 4) for value in row] for row in matrix]


def _heat_map(canvas: Canvas, told: Together, lift: bool) -> Image.Image:
    px = canvas.px
    names = [value.full_name for value in told.values]
    rows = [wrapped(canvas, name, px(_NAME)) for name in names]
    heads = [rotated(canvas, lines) for lines in rows]
    left = max(round(canvas.font().getlength(line)) for lines in rows for line in lines) + px(10)
    top = max(head.height for head in heads) + px(8)
    wide = max(px(_WIDE), *(head.width for head in heads))
    high = max(px(_HIGH), *(px(15) * len(lines) for lines in rows))
    block = Image.new("RGB", (left + wide * len(names) + 1, top + high * len(names) + 1), PAPER)
    pen = ImageDraw.Draw(block)
    for place, (lines, head) in enumerate(zip(rows, heads, strict=True)):
        for number, line in enumerate(lines):
            middle = top + high * place + high / 2 + px(15) * (number - (len(lines) - 1) / 2)
            pen.text((left - px(6), middle), line, fill=INK, font=canvas.font(), anchor="rm")
        block.paste(head, (left + wide * place + (wide - head.width) // 2, top - px(6) - head.height))
    for y, x in np.ndindex(len(names), len(names)):
        box = (left + wide * x, top + high * y, left + wide * (x + 1), top + high * (y + 1))
        _cell(canvas, pen, box, told, (y, x), lift)
    _separate(pen, told, (left, top, wide, high))
    return block


def _cell(
    canvas: Canvas,
    pen: ImageDraw.ImageDraw,
    box: tuple[int, int, int, int],
    told: Together,
    place: tuple[int, int],
    lift: bool,
) -> None:
    """The number and, below it, how many faces; on the diagonal how many have the value."""
    left, top, right, bottom = box
    value = float((told.lift if lift else told.frequency)[place])
    middle, width = (left + right) / 2, right - left - canvas.px(4)
    if np.isnan(value):
        pen.rectangle(box, fill="#e4e7eb", outline=PAPER)
        if told.both[place]:
            canvas.text(pen, (middle, (top + bottom) / 2), count(int(told.both[place])), MUTED, width, "mm")
        return
    few = told.expected[place] < _EXPECTED
    colour = _colour(value, lift) if not (lift and few) else (255, 255, 255)
    pen.rectangle(box, fill=colour, outline=PAPER)
    luminance = np.dot((np.asarray(colour) / 255) ** 2.2, (0.2126, 0.7152, 0.0722))
    dark = luminance < 0.21  # where white is the ink of more contrast
    ink = "#ffffff" if dark else MUTED if lift and few else INK
    text = f"{value:.1f}" if lift else f"{100 * value:.0f}"
    pen.text((middle, top + canvas.px(13)), text, fill=ink, font=canvas.font(13), anchor="mm")
    pen.text((middle, bottom - canvas.px(8)), count(int(told.both[place])), fill=ink, font=canvas.font(10), anchor="mm")


def _colour(value: float, lift: bool) -> tuple[int, int, int]:
    """Frequency: from pale to deep green. Lift: blue above 1, orange below, by octaves. All are told apart by the
    colour-blind, the numbers by everybody."""
    if lift:
        part = np.clip(np.log2(max(value, 2.0**-_OCTAVES)) / _OCTAVES, -1, 1)
        end, part = (_MORE, part) if part > 0 else (_LESS, -part)
        start: tuple[int, int, int] = (255, 255, 255)
    else:
        start, end, part = _SAME, _OFTEN, np.sqrt(value)
    red, green, blue = (round(a + float(part) * (b - a)) for a, b in zip(start, end, strict=True))
    return red, green, blue


def _separate(pen: ImageDraw.ImageDraw, told: Together, frame: tuple[int, int, int, int]) -> None:
    """Lines between the attributes that have several values, and around all."""
    left, top, wide, high = frame
    size = len(told.values)
    places = [0, size]
    for place in range(1, size):
        one, other = told.values[place - 1].attribute, told.values[place].attribute
        if one is not other and not one.kind == other.kind == "independent":
            places.append(place)
    for place in places:
        pen.line((left, top + high * place, left + wide * size, top + high * place), fill=MUTED)
        pen.line((left + wide * place, top, left + wide * place, top + high * size), fill=MUTED)


def _scale(canvas: Canvas, lift: bool) -> Image.Image:
    """What the colours mean."""
    px, width = canvas.px, canvas.px(320)
    block = Image.new("RGB", (width + px(80), px(40)), PAPER)
    pen = ImageDraw.Draw(block)
    for x in range(width):
        part = x / (width - 1)
        value = 2.0 ** (_OCTAVES * (2 * part - 1)) if lift else part
        pen.line((px(40) + x, 0, px(40) + x, px(16)), fill=_colour(value, lift))
    pen.rectangle((px(40), 0, px(40) + width - 1, px(16)), outline=LINE)
    if lift:
        marks = [(0.0, f"1/{2**_OCTAVES} or less"), (1 / 3, "1/2"), (0.5, "1"), (2 / 3, "2"), (1.0, f"{2**_OCTAVES} or more")]
    else:
        marks = [(part / 4, f"{25 * part} %") for part in range(5)]
    for part, text in marks:
        pen.text((px(40) + part * (width - 1), px(20)), text, fill=MUTED, font=canvas.font(11), anchor="mt")
    return block
