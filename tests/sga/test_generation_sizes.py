"""Faces at another size than they are drawn: the model's upscaler, its trace in the picture, and all ways of asking for it."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from configs.errors import InputError
from sga import FaceModel
from sga.cli import main as cli
from sga.generation.enlarge import Enlarger, resample
from sga.generation.metadata import read_metadata
from sga.model_folder import UPSCALER

GENERATE = ["generate", "--gender", "female", "--seed", "7"]


def sga(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stop:
        cli.main([str(argument) for argument in arguments])
    return int(stop.value.code or 0)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def image_of(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture)


@pytest.fixture(scope="module")
def model(sharp: Path) -> FaceModel:
    return FaceModel.load(sharp)


def test_the_upscaler_is_no_part_of_a_face(model: FaceModel, model_path: Path) -> None:
    plain = FaceModel.load(model_path)
    assert model.folder.drawing_hash == plain.folder.drawing_hash
    assert model.hash != plain.hash
    assert np.array_equal(model.avatar("a").image, plain.avatar("a").image)
    assert "size" not in model.avatar("a").metadata()
    assert model.avatar("a", size=96).metadata() == model.avatar("a").metadata()


@pytest.mark.parametrize("size", [16, 64, 97, 192, 384, 500])
def test_faces_of_a_size(model: FaceModel, sharp: Path, size: int) -> None:
    native, face = model.avatar("someone"), model.avatar("someone", size=size)
    upscaler = Enlarger((sharp / UPSCALER).read_bytes())
    factor = 4 if size > 192 else 2
    expected = resample(native.image if size < 96 else upscaler.times(native.image, factor), size, size)
    assert np.array_equal(face.image, expected)
    assert face.latents is not None
    assert native.latents is not None
    assert face.latents.digest == native.latents.digest
    notes = {"size": str(size), **({"upscaler": upscaler.name} if size > 96 else {})}
    assert face.metadata() == {**native.metadata(), **notes}


def test_a_face_is_enlarged_once(model: FaceModel) -> None:
    large = model.avatar("a", size=200)
    assert model.resized(large, 200) is large
    with pytest.raises(InputError, match="Expected a face of 96 px, as drawn, found one of 200 px"):
        model.resized(large, 300)


def test_a_seed_draws_the_same_faces_at_any_size(model: FaceModel) -> None:
    native, large = model.generate("male", 3, 5), model.generate("male", 3, 5, size=200)
    for one, other in zip(native, large, strict=True):
        assert np.array_equal(model.resized(one, 200).image, other.image)
        assert (one.seed, one.index, one.attempt, one.quality) == (other.seed, other.index, other.attempt, other.quality)
    assert [face.image.shape for face in model.avatars(["a", "b"], size=32)] == [(32, 32, 3)] * 2


def test_a_picture_is_drawn_again_at_its_size(model: FaceModel, model_path: Path, tmp_path: Path) -> None:
    for name, face in (
        ("seed", model.generate("female", 1, 3, size=150)[0]),
        ("avatar", model.avatar("x", size=300)),
        ("small", model.avatar("x", size=40)),
        ("mix", model.at_size(model.mix(*_two(model, tmp_path)), 192).only(0)),
    ):
        path = face.save(tmp_path / f"{name}.png")
        assert model.again(path).png() == path.read_bytes(), name
    plain = FaceModel.load(model_path).again(tmp_path / "avatar.png")  # the same face by another filter, which it says
    assert (plain.image.shape, plain.how["upscaler"]) == ((300, 300, 3), "lanczos")
    assert model.variations(tmp_path / "avatar.png", strength=0).only(0).image.shape == (96, 96, 3)


def _two(model: FaceModel, folder: Path) -> tuple[Path, Path]:
    return tuple(model.avatar(name).save(folder / f"{name}.png") for name in ("one", "two"))  # type: ignore[return-value]


def test_the_command_writes_what_the_library_draws(model: FaceModel, sharp: Path, tmp_path: Path) -> None:
    assert sga(*GENERATE, "--count", "2", "--size", "384", "--model", sharp, "--out", tmp_path / "a", "--sheet") == 0
    found = files(tmp_path / "a")
    assert image_of(found.pop("sheet.png")).shape[0] < 150  # cells of the model's own size
    expected = model.generate("female", 2, 7, size=384)
    assert list(found.values()) == [face.png() for face in expected]
    assert sga("generate", "--id", "user", "--size", "100", "--model", sharp, "--out", tmp_path / "b") == 0
    assert list(files(tmp_path / "b").values()) == [model.avatar("user", size=100).png()]
    again = tmp_path / "a" / next(iter(found))
    assert sga("generate", "--again", again, "--model", sharp, "--out", tmp_path / "c") == 0
    assert files(tmp_path / "c") == {again.name: again.read_bytes()}


@pytest.mark.parametrize("place", ["folder", "faces.tar", "faces.parquet"])
def test_many_faces_go_on_at_their_size_alone(
    sharp: Path, tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    to = ["--out", tmp_path / place] if place == "folder" else ["--to", tmp_path / place]
    base = [*GENERATE, "--model", sharp, *to]
    assert sga(*base, "--count", "2", "--size", "128") == 0
    assert sga(*base, "--count", "3", "--size", "128") == 0
    assert "2 that were there already" in capsys.readouterr().out
    for other in ([], ["--size", "256"]):
        assert sga(*base, "--count", "3", *other) == 2
        told = capsys.readouterr().err
        assert f"whose size is 128 (now: {other[1] if other else 'as drawn'})" in told
    if place == "faces.tar":
        with tarfile.open(tmp_path / place) as tar:
            pictures = [tar.extractfile(member).read() for member in tar if member.name.endswith(".png")]  # type: ignore[union-attr]
        assert [image_of(content).shape for content in pictures] == [(128, 128, 3)] * 3


def test_ids_of_a_file_at_a_size(model: FaceModel, sharp: Path, tmp_path: Path) -> None:
    (tmp_path / "ids.csv").write_text("id\nanna\nben\n")
    ids = ["generate", "--ids", tmp_path / "ids.csv", "--model", sharp, "--out", tmp_path / "out"]
    registry = ["--registry", tmp_path / "registry.parquet", "--min-distance", "2"]
    assert sga(*ids, *registry, "--size", "130") == 0
    pictures = list((tmp_path / "out").glob("*.png"))
    assert [image_of(path.read_bytes()).shape for path in pictures] == [(130, 130, 3)] * 2
    metadata = read_metadata(pictures[0])
    assert metadata is not None
    assert metadata.text["size"] == "130"
    assert sga(*ids, *registry, "--size", "130") == 0
    assert sga(*ids, *registry) == 2


def test_a_model_without_an_upscaler_says_so_once(model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = [*GENERATE, "--count", "3", "--model", model_path]
    assert sga(*base, "--size", "192", "--out", tmp_path / "a") == 0
    told = capsys.readouterr().err
    assert told.count("has no upscaler: faces of 96 px are enlarged by Lanczos' filter") == 1
    assert sga(*base, "--size", "48", "--out", tmp_path / "b") == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("size", ["15", "4097", "0", "-3"])
def test_sizes_have_bounds(
    model: FaceModel, sharp: Path, tmp_path: Path, size: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sga(*GENERATE, "--size", size, "--model", sharp, "--out", tmp_path / "out") == 2
    assert capsys.readouterr().err.startswith(f"sga: Expected a size from 16 to 4096 px, found {size}.")
    assert not (tmp_path / "out").exists()
    for draw in (lambda: model.generate("male", size=int(size)), lambda: model.avatar("a", size=int(size))):
        with pytest.raises(InputError, match="Expected a size from 16 to 4096 px"):
            draw()


def test_a_size_goes_with_everything_but_again(sharp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    face = FaceModel.load(sharp).avatar("a").save(tmp_path / "a.png")
    for mode in (["--like", face], ["--variations", face], ["--mix", face, face]):
        out = tmp_path / mode[0][2:]
        assert sga("generate", *mode, "--seed", "1", "--count", "1", "--size", "110", "--model", sharp, "--out", out) == 0
        assert [image_of(content).shape for content in files(out).values()] == [(110, 110, 3)]
    assert sga("generate", "--again", face, "--size", "110", "--model", sharp, "--out", tmp_path / "again") == 2
    assert "Expected --size with" in capsys.readouterr().err
