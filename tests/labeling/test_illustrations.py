"""Composed illustrations: deterministic, true boxes, tags, years; and how well a real cascade finds their faces."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from configs.errors import InputError
from labeling.detection import DetectionSettings, find_faces, make_detector, overlap, score_boxes
from labeling.samples.illustrations import (
    IllustrationSettings,
    illustration_tags,
    page_of,
    render_illustration,
    write_illustrations,
)
from labeling.samples.page import KINDS, PLACES, Person, face_box
from labeling.schema import Schema
from sga.cli.main import main

pytest.importorskip("skia")

SMALL = IllustrationSettings(count=12, size=320, seed=5)


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def test_what_is_written(tmp_path: Path) -> None:
    report = write_illustrations(SMALL, tmp_path / "out")
    boxes, labels, metadata = rows(report.boxes), rows(report.labels), rows(report.metadata)
    names = Schema.load("moe34").names
    assert tuple(boxes[0]) == ("file", "left", "top", "width", "height", *names)
    assert tuple(labels[0]) == ("file", *names)
    assert [row["file"] for row in metadata] == [f"illustrations/{index:05d}.jpg" for index in range(12)]
    for index, row in enumerate(metadata):
        page = page_of(index, SMALL)
        own = [box for box in boxes if box["file"] == row["file"]]
        assert len(own) == len(page.people)
        assert int(row["year"]) == page.year
        assert row["composition"] in KINDS
        with Image.open(tmp_path / "out" / row["file"]) as image:
            assert image.size == (page.width, page.height)
            for box in own:
                left, top, width, height = (float(box[name]) for name in ("left", "top", "width", "height"))
                assert left >= -0.1
                assert top >= -0.1
                assert left + width <= page.width + 0.1
                assert top + height <= page.height + 0.1
        sidecar = (tmp_path / "out" / row["file"]).with_suffix(".txt")
        assert sidecar.is_file() == (len(own) == 1)
        if len(own) == 1:
            tags = sidecar.read_text().strip().split(", ")
            assert tags[0] == ("1boy" if own[0]["gender"] == "male" else "1girl")
            assert f"{own[0]['hair_color']}_hair" in tags
            assert ("glasses" in tags) == (own[0]["glasses"] == "yes")
    assert [row["file"] for row in labels] == [
        row["file"] for row in metadata if sum(b["file"] == row["file"] for b in boxes) == 1
    ]
    truth = {box["file"]: box for box in boxes}
    told = [(row[name], truth[row["file"]][name]) for row in labels for name in names]
    assert all(one in ("", other) for one, other in told)
    assert 0 < sum(one == "" for one, _ in told) < len(told)
    assert (report.faces, report.single) == (len(boxes), len(labels))


def test_the_same_bytes_again_whatever_the_workers(tmp_path: Path) -> None:
    write_illustrations(SMALL, tmp_path / "one")
    first = digest(tmp_path / "one")
    (tmp_path / "one/illustrations/00003.jpg").write_bytes(b"half a picture")
    write_illustrations(SMALL, tmp_path / "one")
    write_illustrations(SMALL.model_copy(update={"workers": 2}), tmp_path / "two")
    assert digest(tmp_path / "one") == first == digest(tmp_path / "two")
    write_illustrations(SMALL.model_copy(update={"count": 14}), tmp_path / "more")
    more = digest(tmp_path / "more")
    assert all(more[name] == value for name, value in first.items() if name.endswith((".jpg", ".txt")))


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    write_illustrations(SMALL, tmp_path / "out")
    with pytest.raises(InputError, match="samples of the same settings"):
        write_illustrations(SMALL.model_copy(update={"seed": 6}), tmp_path / "out")
    (tmp_path / "out/illustrations/mine.jpg").touch()
    with pytest.raises(InputError, match="found mine"):
        write_illustrations(SMALL, tmp_path / "out")


def test_every_composition_and_place_is_drawn() -> None:
    settings = IllustrationSettings(size=256)
    pages = [page_of(index, settings) for index in range(150)]
    assert {page.kind for page in pages} == set(KINDS)
    assert {panel.place for page in pages for panel in page.panels} == set(PLACES)
    assert {len(page.people) for page in pages} >= {0, 1, 2, 3}
    drawn = {page.kind: index for index, page in enumerate(pages)}
    for index in drawn.values():
        pixels = render_illustration(index, settings)
        assert pixels.dtype == np.uint8
        assert pixels.shape[2] == 3


def test_style_follows_the_year() -> None:
    pages = [page_of(index, IllustrationSettings(size=256)) for index in range(150)]
    people = [(page.year, person.face.look.line) for page in pages for person in page.people if person.face.look.detail]
    years, lines = np.array(people).T
    assert np.corrcoef(years, lines)[0, 1] < -0.4
    assert np.corrcoef([page.year for page in pages], [max(page.width, page.height) for page in pages])[0, 1] > 0.4
    assert {page.year // 10 for page in pages} == {199, 200, 201, 202}


def test_no_face_covers_another() -> None:
    for index in range(150):
        boxes = np.array([face_box(person) for person in page_of(index, IllustrationSettings()).people]).reshape(-1, 4)
        shares = overlap(boxes, boxes)[0]
        assert (shares[~np.eye(len(boxes), dtype=bool)] == 0).all()


def test_the_box_follows_a_lean() -> None:
    """The box of a figure that leans is where its eyes are: they differ from an upright one's by the lean about its place."""
    person = next(one for index in range(50) for one in page_of(index, IllustrationSettings()).people)
    upright = Person(person.face, person.truth, 0, 0, 100, 0)
    leaning = Person(person.face, person.truth, 0, 0, 100, 90)
    (x, y), (u, v) = (np.array(face_box(one)[:2]) + face_box(one)[2] / 2 for one in (upright, leaning))
    assert (u, v) == pytest.approx((-y, x))


def test_tags_are_those_of_image_boards() -> None:
    truth = dict.fromkeys(Schema.load("moe34").names, "no") | {
        "gender": "female", "hair_color": "blonde", "eye_color": "blue", "quality": "high", "smile": "yes", "long_hair": "yes",
    }  # fmt: skip
    assert illustration_tags(truth) == "1girl, solo, blonde_hair, blue_eyes, long_hair, smile"


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["samples", str(tmp_path / "out"), "--illustrations", "--count", "3", "--page", "256"])
    assert not end.value.code
    assert "3 illustrations with" in capsys.readouterr().out
    assert len(list((tmp_path / "out/illustrations").glob("*.jpg"))) == 3


def test_a_real_cascade_finds_the_faces(real_data: Path) -> None:
    cascade = real_data / "lbpcascade_animeface.xml"
    if not cascade.is_file():
        pytest.skip(f"needs the face cascade at {cascade}")
    how = DetectionSettings(cascade=str(cascade))
    detector, settings = make_detector(how), IllustrationSettings(seed=77)
    results = []
    for index in range(24):
        found = find_faces(Image.fromarray(render_illustration(index, settings)), detector, how)
        best = sorted(found, key=lambda one: -one.score)
        true = [face_box(person) for person in page_of(index, settings).people]
        results.append((np.array([one.box for one in best]).reshape(-1, 4), np.array(true).reshape(-1, 4)))
        assert [one.box[1] for one in found] == sorted(one.box[1] for one in found)
    scored = score_boxes(results)
    assert scored.true > 20
    assert scored.recall >= 0.85
    assert scored.precision >= 0.95


def test_a_leaning_face_is_found_where_rotations_are_searched(real_data: Path) -> None:
    cascade = real_data / "lbpcascade_animeface.xml"
    if not cascade.is_file():
        pytest.skip(f"needs the face cascade at {cascade}")
    settings = IllustrationSettings(seed=100, size=700)
    index = next(i for i in range(50) if page_of(i, settings).kind == "bust" and len(page_of(i, settings).people) == 1)
    upright = Image.fromarray(render_illustration(index, settings))
    (person,) = page_of(index, settings).people
    turned = upright.rotate(40, Image.Resampling.BICUBIC, expand=True, fillcolor=(200, 200, 200))
    left, top, side, _ = face_box(person)
    angle = np.radians(40)
    x, y = left + side / 2 - upright.width / 2, top + side / 2 - upright.height / 2
    centre = turned.width / 2 + x * np.cos(angle) + y * np.sin(angle), turned.height / 2 - x * np.sin(angle) + y * np.cos(angle)
    true = np.array([[centre[0] - side / 2, centre[1] - side / 2, side, side]])
    for rotate, found in (("never", 0), ("empty", 1), ("always", 1)):
        how = DetectionSettings(cascade=str(cascade), rotate=rotate)  # type: ignore[arg-type]
        boxes = np.array([one.box for one in find_faces(turned, make_detector(how), how)]).reshape(-1, 4)
        assert int((overlap(boxes, true)[0] >= 0.5).sum()) == found
