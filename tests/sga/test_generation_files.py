"""The pictures: what they carry, how they are written, the contact sheet."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from configs.errors import InputError
from sga import Face, FaceModel
from sga.generation.sheet import Cell, contact_sheet


@pytest.fixture(scope="module")
def model(model_path: Path) -> FaceModel:
    return FaceModel.load(model_path)


@pytest.fixture(scope="module")
def face(model: FaceModel) -> Face:
    return model.generate("male", 3, seed=7)[2]


def test_a_png_tells_how_to_draw_it_again(model: FaceModel, face: Face, tmp_path: Path) -> None:
    with Image.open(face.save(tmp_path / "face.png")) as picture:
        assert (np.asarray(picture) == face.image).all()
        assert picture.mode == "RGB"
        text: dict[str, str] = picture.text  # type: ignore[attr-defined]
    assert text["model"] == model.hash
    assert text["accepted"] == "true"
    assert text["licence"] == "Drawn by a test: free"
    assert float(text["quality"]) == pytest.approx(face.quality, abs=1e-4)
    latents = model.draw(int(text["seed"]), int(text["index"]), int(text["attempt"]), gender=text["gender"])
    style = np.array(text["style"].split(), dtype=np.float32)
    assert (style == latents.style).all()
    assert (model.render(latents.noise[None], [latents.gender], style[None])[0] == face.image).all()


def test_an_avatar_does_not_carry_its_id(model: FaceModel, tmp_path: Path) -> None:
    content = model.avatar("alice@example.com").save(tmp_path / "a.png").read_bytes()
    assert b"alice" not in content
    with Image.open(tmp_path / "a.png") as picture:
        assert set(picture.text) >= {"avatar", "attempt", "gender", "model"}  # type: ignore[attr-defined]
        assert "seed" not in picture.text  # type: ignore[attr-defined]


def test_a_best_attempt_is_marked(model: FaceModel) -> None:
    [best] = model.generate("female", 1, min_quality=1.0, max_attempts=2)
    assert best.metadata()["accepted"] == "false"


def test_other_pictures_are_not_replaced(model: FaceModel, face: Face, tmp_path: Path) -> None:
    path = face.save(tmp_path / "face.png")
    before = path.stat().st_mtime_ns
    face.save(path)
    assert path.stat().st_mtime_ns == before
    other = model.generate("female", 1, seed=1)[0]
    with pytest.raises(InputError, match="add --overwrite"):
        other.save(path)
    assert path.read_bytes() == face.png()
    other.save(path, overwrite=True)
    assert path.read_bytes() == other.png()
    with pytest.raises(InputError, match="found a folder"):
        other.save(tmp_path)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
def test_nothing_half_written(face: Face, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(code, "refused")

    monkeypatch.setattr("configs.files.os.replace", refuse)
    with pytest.raises(InputError, match="full disk" if code == errno.ENOSPC else "Expected to write"):
        face.save(tmp_path / "face.png")
    assert list(tmp_path.iterdir()) == []


def test_the_sheet_shows_every_face(model: FaceModel) -> None:
    import io

    faces = model.generate("any", 7, seed=0)
    cells = [Cell(one.image, str(one.index)) for one in faces] + [Cell(None, "7 gap", accepted=False)]
    content = contact_sheet(cells, model.size)
    assert content == contact_sheet(cells, model.size)
    with Image.open(io.BytesIO(content)) as picture:
        pixels = np.asarray(picture)
    assert pixels.shape == (3 * 114 + 4, 3 * 100 + 4, 3)
    for place, one in enumerate(faces):
        y, x = 4 + place // 3 * 114, 4 + place % 3 * 100
        assert (pixels[y : y + 96, x : x + 96] == one.image).all()
        assert pixels[y + 96 : y + 110, x : x + 96].min() < 100  # a caption
    assert (pixels[-100:, -90:] == 255).all()  # the ninth place is empty
