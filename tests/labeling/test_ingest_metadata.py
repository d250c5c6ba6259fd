"""Metadata of pictures and `--where`: whose value is whose, numbers and text, what leaves, and names that stay unique."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from configs.errors import InputError
from labeling.detection import DetectionSettings
from labeling.ingest import IngestSettings, ingest
from labeling.ingest.decoded import face_identity
from labeling.metadata import read_metadata, read_sheet
from labeling.where import Condition
from labeling.workspace import Workspace

Folder = Callable[..., Path]
Picture = Callable[..., Image.Image]
TableFile = Callable[..., Path]

CASCADE = """<?xml version="1.0"?>
<opencv_storage><cascade type_id="opencv-cascade-classifier"><stageType>BOOST</stageType><featureType>HAAR</featureType>
<height>24</height><width>24</width><stageParams><maxWeakCount>1</maxWeakCount></stageParams>
<featureParams><maxCatCount>0</maxCatCount></featureParams><stageNum>1</stageNum>
<stages><_><maxWeakCount>1</maxWeakCount><stageThreshold>0.5</stageThreshold><weakClassifiers>
<_><internalNodes>0 -1 0 -0.6</internalNodes><leafValues>1. 0.</leafValues></_></weakClassifiers></_></stages>
<features><_><rects><_>0 0 24 24 -1.</_><_>6 6 12 12 4.</_></rects></_></features></cascade></opencv_storage>
"""
"""A cascade of one feature: a dark square in the middle of a bright one."""


def plain(**other: Any) -> IngestSettings:
    return IngestSettings(workers=1, **other)


@pytest.fixture
def looking(tmp_path: Path) -> Callable[..., IngestSettings]:
    """`looking(zoom=1.5, **settings)`: settings with a cascade that finds dark squares."""
    pytest.importorskip("cv2")
    path = tmp_path / "squares.xml"
    path.write_text(CASCADE)

    def make(zoom: float = 1.5, **other: Any) -> IngestSettings:
        how = DetectionSettings(cascade=str(path), zoom=zoom, rotate="never")
        return plain(detection=how, **other)

    return make


def page(path: Path, *lefts: int, seed: int = 0) -> None:
    """A bright page with dark squares of 48 px, side by side."""
    pixels = np.full((256, 512, 3), 240, np.uint8) - np.random.default_rng(seed).integers(0, 12, (256, 512, 3), np.uint8)
    for left in lefts:
        pixels[104:152, left : left + 48] = 10
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.fromarray(pixels).save(path)


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.reader(handle))[1:]


def names(space: Path) -> dict[str, str]:
    return {face: name for face, name, _ in rows(space / "faces/index.csv")}


def column(space: Path, name: str = "year") -> dict[str, Any]:
    """By face."""
    return dict(read_metadata(Workspace(space))[name])


def test_folders_of_one_name_keep_their_metadata(tmp_path: Path, picture: Picture, table_file: TableFile) -> None:
    space, faces = tmp_path / "w", []
    for number, year in ((1, "1999"), (2, "2020")):
        place = tmp_path / f"d{number}" / "art"
        place.mkdir(parents=True)
        picture(number).save(place / "1.png")
        faces.append(face_identity(np.asarray(picture(number))))
        sheet = table_file(["file", "year"], ["1.png", year], name=f"y{number}.csv")
        ingest([place], space, plain(metadata=str(sheet)))
    assert column(space) == {faces[0]: 1999, faces[1]: 2020}
    # What is stored of a picture decides about that picture, not about its namesake.
    report = ingest([tmp_path / "d2/art"], space, plain(where=("year>2005",)))
    assert (report.removed, report.faces, report.rejected) == (0, 2, 0)
    report = ingest([tmp_path / "d1/art"], space, plain(where=("year>2005",)))
    assert (report.removed, set(column(space))) == (1, {faces[1]})


def test_an_exact_copy_lends_its_metadata(tmp_path: Path, folder: Folder, picture: Picture, table_file: TableFile) -> None:
    place = folder([0, 1])
    picture(0).save(place / "copy.png")
    sheet = table_file(["file", "year"], ["copy.png", "2020"], ["001.png", "1990"], name="m.csv")
    ingest([place], tmp_path / "w", plain(metadata=str(sheet)))
    face = face_identity(np.asarray(picture(0)))
    assert column(tmp_path / "w")[face] == 2020
    report = ingest([], tmp_path / "w", plain(where=("year>2005",)))
    assert (report.removed, set(column(tmp_path / "w"))) == (1, {face})
    ingest([place], tmp_path / "w", plain(metadata=str(sheet), where=("year>2005",)))
    assert set(column(tmp_path / "w")) == {face}


def test_a_copy_is_known_by_its_name_without_the_path_too(
    tmp_path: Path, folder: Folder, picture: Picture, table_file: TableFile
) -> None:
    place = folder([0, 1])
    picture(0).save(place / "copy.png")
    ingest([place], tmp_path / "w", plain())
    sheet = table_file(["file", "year"], ["copy.png", "2020"], name="m.csv")
    report = ingest([], tmp_path / "w", plain(metadata=str(sheet), where=("year>2005",)))
    assert report.removed == 1
    assert column(tmp_path / "w") == {face_identity(np.asarray(picture(0))): 2020}


@pytest.mark.parametrize("again", ["zoom", "no detector", "where"])
def test_a_dropped_picture_leaves_whatever_the_settings(
    tmp_path: Path, looking: Callable[..., IngestSettings], table_file: TableFile, again: str
) -> None:
    page(tmp_path / "art/1.png", 64, 320, seed=1)
    page(tmp_path / "art/2.png", 192, seed=2)
    assert ingest([tmp_path / "art"], tmp_path / "w", looking()).added == 3
    drop = table_file(["file", "remark", "year"], ["1.png", "bad", "1990"], name="drop.csv")
    journals = set((tmp_path / "w/faces/detections").iterdir())
    if again == "where":
        sheet = table_file(["file", "year"], ["1.png", "1990"], ["2.png", "2010"], name="m.csv")
        settings, labels = looking(zoom=1.2, metadata=str(sheet), where=("year>2005",)), []
    else:
        made = looking if again == "zoom" else plain
        more = {"zoom": 1.2} if again == "zoom" else {"max_aspect": 3}
        settings, labels = made(drop=("remark=bad",), ignore=("year",), **more), [drop]
    report = ingest([tmp_path / "art"], tmp_path / "w", settings, labels)
    assert report.removed == 2
    assert set(read_metadata(Workspace(tmp_path / "w"))["picture"]) == {"art/2.png"}
    searched = [path.read_bytes() for path in set((tmp_path / "w/faces/detections").iterdir()) - journals]
    assert sum(one.count(b"\n") for one in searched) == (again != "no detector")  # the dropped one was not


def test_another_picture_of_its_name_does_not_leave(
    tmp_path: Path, looking: Callable[..., IngestSettings], table_file: TableFile
) -> None:
    page(tmp_path / "a/art/1.png", 64, seed=1)
    page(tmp_path / "b/art/1.png", 64, seed=2)
    page(tmp_path / "b/art/2.png", 64, seed=3)
    ingest([tmp_path / "a/art"], tmp_path / "w", looking())
    drop = table_file(["file", "remark"], ["1.png", "bad"], name="drop.csv")
    report = ingest([tmp_path / "b/art"], tmp_path / "w", looking(drop=("remark=bad",)), drop)
    assert (report.removed, report.faces) == (0, 2)


def test_names_stay_unique_with_other_settings(
    tmp_path: Path, looking: Callable[..., IngestSettings], table_file: TableFile
) -> None:
    page(tmp_path / "art/1.png", 192)
    space = tmp_path / "w"
    first = table_file(["file", "gender"], ["1.png", "male"], name="first.csv")
    ingest([tmp_path / "art"], space, looking(), first)
    (old,) = Workspace(space).table().faces
    ingest([tmp_path / "art"], space, looking(zoom=1.2))
    assert sorted(names(space).values()) == ["", "art/1.png#0"]
    assert names(space)[old] == ""
    for csv_file in (["art/1.png#0", "female"], ["art/1.png", "female"]):
        ingest([], space, plain(), table_file(["file", "gender"], csv_file))
        table = Workspace(space).table()
        told = dict(zip(table.faces, table.codes("gender"), strict=True))
        assert told.pop(old) == table.schema["gender"].code("male")  # nothing a person said of it is lost
        assert list(told.values()) == [table.schema["gender"].code("female")]
    ingest([tmp_path / "art"], space, looking())  # its settings again, and it has its name back
    assert names(space)[old] == "art/1.png#0"
    assert sorted(names(space).values()) == ["", "art/1.png#0"]
    report = ingest([], space, plain(drop=("remark=bad",)), table_file(["file", "remark"], ["x", "bad"]))
    assert report.faces == 2


def test_a_face_that_is_numbered_anew_or_replaced_has_one_name(tmp_path: Path, looking: Callable[..., IngestSettings]) -> None:
    space, place = tmp_path / "w", tmp_path / "art"
    page(place / "1.png", 192, seed=1)
    ingest([place], space, looking())
    (old,) = Workspace(space).table().faces
    page(place / "0.png", 64, seed=2)
    (place / "1.png").rename(place / "2.png")
    page(place / "1.png", 192, seed=3)
    ingest([place], space, looking())
    assert names(space)[old] == "art/2.png#0"
    assert sorted(names(space).values()) == ["art/0.png#0", "art/1.png#0", "art/2.png#0"]
    assert read_metadata(Workspace(space)).loc[old, "picture"] == "art/2.png"


def test_a_cropped_face_that_is_replaced(tmp_path: Path, folder: Folder, picture: Picture, table_file: TableFile) -> None:
    place, space = folder([0]), tmp_path / "w"
    ingest([place], space, plain())
    picture(1).save(place / "000.png")
    ingest([place], space, plain())
    ingest([], space, plain(), table_file(["file", "gender"], ["000.png", "male"]))
    table = Workspace(space).table()
    old, new = table.rows([face_identity(np.asarray(picture(seed))) for seed in (0, 1)])
    assert table.codes("gender")[[old, new]].tolist() == [-1, table.schema["gender"].code("male")]


def test_a_cell_that_is_no_number_has_no_value(tmp_path: Path, folder: Folder, table_file: TableFile) -> None:
    sheet = table_file(["file", "year"], ["000.png", "2010"], ["001.png", "n/a"], ["002.png", "1990"], name="m.csv")
    report = ingest([folder(range(3))], tmp_path / "w", plain(metadata=str(sheet), where=("year>2005",)))
    assert (report.added, report.rejected) == (1, 2)
    assert rows(tmp_path / "w/faces/rejected.csv") == [
        ["pictures/001.png", "no year, so not year>2005: 'n/a' is no number"],
        ["pictures/002.png", "year is 1990, not year>2005"],
    ]


@pytest.mark.parametrize(
    ("text", "value", "passes"),
    [
        *(("year>2005", 2006.0, True), ("year>2005", "2006", True), ("year>2005", "n/a", False), ("year!=2005", "n/a", False)),
        *(("year=2005", "2005.0", True), ("id=0012", "0012", True), ("id=0012", "12", False), ("id!=12", "0012", True)),
        *(("artist=ann", "ann", True), ("artist!=ann", "bob", True), ("year<=2005", None, False), ("id=12", 12.0, True)),
    ],
)
def test_what_a_condition_takes(text: str, value: float | str | None, passes: bool) -> None:
    sign = next(one for one in ("!=", "<=", ">=", "=", "<", ">") if one in text)
    column, _, wanted = text.partition(sign)
    assert (Condition(text, column, sign, wanted).failed(value) == "") == passes


def test_numbers_and_identifiers_are_not_rewritten(tmp_path: Path, folder: Folder, table_file: TableFile) -> None:
    place, space = folder(range(2)), tmp_path / "w"
    header = ["file", "id", "post", "long", "share"]
    sheet = table_file(header, ["000.png", "0012", "1234567", "12345678901234567", "0.25"], ["001.png", "7", "8", "9", "-1.5"])
    columns = read_sheet(sheet).columns
    assert columns["id"] == ["0012", "7"]
    assert columns["long"] == ["12345678901234567", "9"]
    assert (columns["post"], columns["share"]) == ([1234567.0, 8.0], [0.25, -1.5])
    ingest([place], space, plain(metadata=str(sheet)))
    ingest([place], space, plain(metadata=str(table_file(["file", "post", "share"], ["001.png", "lost", "half"]))))
    assert sorted(column(space, "post").values()) == ["1234567", "lost"]
    assert sorted(column(space, "share").values()) == ["0.25", "half"]
    assert sorted(column(space, "id").values()) == ["0012", "7"]


def test_metadata_of_one_face(tmp_path: Path, looking: Callable[..., IngestSettings], table_file: TableFile) -> None:
    page(tmp_path / "art/1.png", 64, 320)
    sheet = table_file(
        ["file", "year"], ["1.png", "2000"], ["1.png#1", "2010"], ["1.png#7", "1999"], ["gone.png#0", "1"], name="m.csv"
    )
    space = tmp_path / "w"
    ingest([tmp_path / "art"], space, looking(metadata=str(sheet)))
    assert {names(space)[face]: year for face, year in column(space).items()} == {"art/1.png#0": 2000, "art/1.png#1": 2010}
    assert rows(space / "faces/unmatched.csv") == [
        ["gone.png#0", "row 5 of m.csv: no such picture"],
        ["1.png#7", "row 4 of m.csv: no such face"],
    ]
    report = ingest([tmp_path / "art"], space, looking(metadata=str(sheet), where=("year>2005",)))
    assert report.removed == 1
    assert {names(space)[face] for face in column(space)} == {"art/1.png#1"}
    assert rows(space / "faces/rejected.csv")[0][0] == "art/1.png#0"


def test_words_where_numbers_are_compared(tmp_path: Path, folder: Folder, table_file: TableFile) -> None:
    sheet = table_file(["file", "year", "artist"], ["000.png", "2003", "ann"], name="m.csv")
    for where in ("year>old", "year=old", "artist>b"):
        with pytest.raises(InputError, match="Expected a number for"):
            ingest([folder([0])], tmp_path / "w", plain(metadata=str(sheet), where=(where,)))
