"""Composed illustrations: whole pictures with people in them, the true box and labels of every face, a year, tags."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from pydantic import Field

from configs.files import atomic_write_text, check_space
from configs.settings import Settings
from labeling.samples.page import Page, face_box, plan_page
from labeling.samples.settings import QualityMix, SampleSettings
from labeling.samples.truth import draw_hidden, sample_schema
from labeling.samples.writer import claim, csv_text, draw_all, put

__all__ = [
    "IllustrationReport",
    "IllustrationSettings",
    "illustration_tags",
    "page_of",
    "render_illustration",
    "write_illustrations",
]

_SETTINGS = "illustrations.json"
_TABLES = ("boxes.csv", "labels.csv", "metadata.csv")
_FOLDER = "illustrations"
_BOX = ("left", "top", "width", "height")


class IllustrationSettings(Settings):
    """Settings of `sga samples --illustrations`. Picture i depends on `seed`, i, `size` and `male` alone."""

    count: int = Field(200, ge=1, le=1_000_000, description="pictures to draw")
    size: int = Field(1000, ge=256, le=4096, description="longer side of the largest pictures, px")
    seed: int = Field(0, ge=0, description="another seed, other pictures")
    hidden: float = Field(0.5, ge=0, le=1, description="rate at which a label is hidden in labels.csv, each cell on its own")
    male: float = Field(0.3, ge=0, le=1, description="share of male faces")
    workers: int = Field(1, ge=1, le=256, description="processes that draw")

    @property
    def faces(self) -> SampleSettings:
        """How the faces are drawn: clean ones, some in plain colours; a distorted face has no place in an illustration."""
        return SampleSettings(
            seed=self.seed, hidden=self.hidden, male=self.male, quality=QualityMix(low=0, median=0.15, high=0.85)
        )


@dataclass(frozen=True)
class IllustrationReport:
    """What `write_illustrations` wrote."""

    out: Path
    count: int
    faces: int
    single: int  # pictures with exactly one face
    empty: int  # pictures without a face

    @property
    def pictures(self) -> Path:
        return self.out / _FOLDER

    @property
    def labels(self) -> Path:
        return self.out / "labels.csv"

    @property
    def boxes(self) -> Path:
        return self.out / "boxes.csv"

    @property
    def metadata(self) -> Path:
        return self.out / "metadata.csv"


def page_of(index: int, settings: IllustrationSettings) -> Page:
    """The plan of picture `index`: who stands where; `face_box` tells the true box of each."""
    return plan_page(settings.seed, index, settings.size, settings.faces)


def render_illustration(index: int, settings: IllustrationSettings) -> np.ndarray:
    """Draw picture `index`, (height, width, 3) uint8 RGB: a function of its arguments alone.

    Raises:
        MissingExtra: skia-python is not installed.
    """
    from labeling.samples.parts.page import render_page

    return render_page(page_of(index, settings))


def illustration_tags(truth: Mapping[str, str]) -> str:
    """The tags of a picture with one face, as image boards write them: `1girl, solo, blonde_hair, blue_eyes, smile`."""
    tags = ["1boy" if truth["gender"] == "male" else "1girl", "solo"]
    tags += [f"{truth['hair_color']}_hair", f"{truth['eye_color']}_eyes"]
    tags += [
        attribute.name for attribute in sample_schema() if attribute.kind == "independent" and truth[attribute.name] == "yes"
    ]
    return ", ".join(tags)


def write_illustrations(
    settings: IllustrationSettings, out: str | Path, progress: Callable[[int], None] | None = None
) -> IllustrationReport:
    """Write `out/illustrations/NNNNN.jpg`, beside each with one face its tags in `NNNNN.txt`, and three tables.

    boxes.csv: file, left, top, width, height (px) and all labels of every face, from top to bottom; labels.csv: the labels of
    pictures with one face, hidden cells empty; metadata.csv: file, year (the style's), composition. The same settings again
    give the same bytes. `progress` is called with the number of pictures drawn since the last call.

    Raises:
        InputError: `out` holds something else, or the disk is full or cannot be written.
        MissingExtra: skia-python is not installed.
    """
    out = Path(out)
    marker = settings.model_dump_json(exclude={"workers"}, indent=1) + "\n"
    names = [picture_name(index, settings.count) for index in range(settings.count)]
    claim(out, _SETTINGS, marker, _TABLES, _FOLDER, [name + end for name in names for end in (".jpg", ".txt")])
    check_space(out, settings.count * settings.size**2)
    if not (out / _SETTINGS).is_file():
        atomic_write_text(out / _SETTINGS, marker)
    for drawn in draw_all(partial(_draw_chunk, settings, out / _FOLDER), settings.count, 8, settings.workers):
        if progress is not None:
            progress(drawn)
    return _write_tables(settings, out)


def picture_name(index: int, count: int) -> str:
    """File name of picture `index` without its ending: five digits, more where the count needs them."""
    return f"{index:0{max(5, len(str(count - 1)))}d}"


def _draw_chunk(settings: IllustrationSettings, folder: Path, start: int, end: int) -> int:
    for index in range(start, end):
        data = io.BytesIO()
        Image.fromarray(render_illustration(index, settings)).save(data, format="JPEG", quality=92)
        name, people = picture_name(index, settings.count), page_of(index, settings).people
        put(folder / f"{name}.jpg", data.getvalue())
        if len(people) == 1:
            put(folder / f"{name}.txt", (illustration_tags(people[0].truth) + "\n").encode())
    return end - start


def _write_tables(settings: IllustrationSettings, out: Path) -> IllustrationReport:
    boxes: list[dict[str, object]] = []
    labels: list[dict[str, object]] = []
    metadata: list[dict[str, object]] = []
    names, empty = sample_schema().names, 0
    for index in range(settings.count):
        page = page_of(index, settings)
        file = f"{_FOLDER}/{picture_name(index, settings.count)}.jpg"
        metadata.append({"file": file, "year": page.year, "composition": page.kind})
        people = page.people
        empty += not people
        for person in people:
            place = dict(zip(_BOX, (round(value, 1) for value in face_box(person)), strict=True))
            boxes.append({"file": file, **place, **person.truth})
        if len(people) == 1:
            hidden = draw_hidden(settings.seed, index, settings.faces)
            labels.append({"file": file, **{k: "" if k in hidden else v for k, v in people[0].truth.items()}})
    atomic_write_text(out / "boxes.csv", csv_text(("file", *_BOX, *names), boxes))
    atomic_write_text(out / "labels.csv", csv_text(("file", *names), labels))
    atomic_write_text(out / "metadata.csv", csv_text(("file", "year", "composition"), metadata))
    return IllustrationReport(out, settings.count, len(boxes), len(labels), empty)
