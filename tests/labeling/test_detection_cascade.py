"""The real cascade on pictures that are far larger than what it searches at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labeling.detection import DetectionSettings, Scored, find_faces, make_detector, score_boxes
from labeling.samples.illustrations import IllustrationSettings, page_of, render_illustration
from labeling.samples.page import face_box

PAGE = 712


@pytest.fixture
def settings(real_data: Path) -> DetectionSettings:
    pytest.importorskip("cv2")
    path = real_data / "lbpcascade_animeface.xml"
    if not path.is_file():
        pytest.skip(f"no cascade at {path}")
    return DetectionSettings(cascade=str(path))


def sheet(columns: int, rows: int) -> tuple[Image.Image, np.ndarray]:
    """Pages of 712 px side by side, and their true boxes."""
    how = IllustrationSettings(seed=7, size=PAGE)
    canvas, boxes = Image.new("RGB", (columns * PAGE, rows * PAGE), "white"), []
    for index in range(columns * rows):
        corner = index % columns * PAGE, index // columns * PAGE
        page = Image.fromarray(render_illustration(index, how))
        page.thumbnail((PAGE, PAGE))
        canvas.paste(page, corner)
        true = np.array([face_box(person) for person in page_of(index, how).people], dtype=float).reshape(-1, 4)
        boxes.append(true + np.array([*corner, 0, 0]))
    return canvas, np.concatenate(boxes)


def score(image: Image.Image, true: np.ndarray, settings: DetectionSettings) -> Scored:
    found = sorted(find_faces(image, make_detector(settings), settings), key=lambda one: -one.score)
    return score_boxes([(np.array([one.box for one in found]).reshape(-1, 4), true)])


@pytest.mark.parametrize(("columns", "rows"), [(1, 12), (4, 3)])
def test_small_faces_of_large_pictures(settings: DetectionSettings, columns: int, rows: int) -> None:
    image, true = sheet(columns, rows)
    assert len(true) >= 8
    result = score(image, true, settings)
    assert result.recall >= 0.8
    assert result.precision >= 0.8


def test_a_large_face_of_a_large_picture(settings: DetectionSettings) -> None:
    how = IllustrationSettings(seed=5, size=PAGE)
    page = Image.fromarray(render_illustration(2, how))
    (person,) = page_of(2, how).people
    large = page.resize((page.width * 6, page.height * 6), Image.Resampling.BICUBIC)
    assert score(large, np.array([face_box(person)], dtype=float) * 6, settings) == Scored(1, 1, 1)
