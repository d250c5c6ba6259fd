"""Faces after pictures: the style is the picture's, a variation stays near, and a PNG redraws itself bit for bit."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from configs.errors import InputError, ModelError
from sga import Face, FaceModel, Report
from sga.generation.latents import Latents
from sga.generation.metadata import read_metadata

MakeModel = Callable[..., Path]


@pytest.fixture(scope="module")
def model(model_path: Path) -> FaceModel:
    return FaceModel.load(model_path)


@pytest.fixture(scope="module")
def face(model: FaceModel) -> Face:
    return model.generate("female", 3, seed=7)[2]


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture that is not of ours: red above blue."""
    pixels = np.zeros((120, 90, 3), np.uint8)
    pixels[:60, :, 0], pixels[60:, :, 2] = 220, 160
    path = tmp_path_factory.mktemp("photo") / "photo.jpg"
    Image.fromarray(pixels).save(path)
    return path


def latents(face: Face) -> Latents:
    assert face.latents is not None
    return face.latents


def kinds(model: FaceModel, face: Face, photo: Path, folder: Path) -> dict[str, Face]:
    """A face of each kind that there is."""
    one, other = (made.save(folder / f"{made.seed}.png") for made in (face, model.generate("male", 1, seed=1)[0]))
    return {
        "seed": face,
        "where": model.generate("male", 1, seed=3, where={"hair_color": "green"}, truncation=0.7)[0],
        "best": model.generate("female", 1, seed=3, min_quality=1.0, max_attempts=3)[0],
        "avatar": model.avatar("alice@example.com"),
        "judged avatar": model.avatar("alice@example.com", "male", judged=True),
        "like": next(model.like(photo, seed=2)),
        "mix": next(model.mix(one, other)),
        "blend": next(model.mix(one, photo, seed=4, truncation=0.5)),
        "variation": next(model.variations(one, seed=5)),
    }


def test_again_is_the_same_file(model: FaceModel, model_path: Path, face: Face, photo: Path, tmp_path: Path) -> None:
    fresh = FaceModel.load(model_path, threads=1)
    made = kinds(model, face, photo, tmp_path)
    assert [one.how["made"] for one in made.values()] == [
        *("seed", "seed", "seed", "avatar", "avatar", "like", "mix", "blend", "variation")
    ]
    assert not made["best"].accepted
    for name, one in made.items():
        path = one.save(tmp_path / f"{name}.png")
        again = fresh.again(path)
        assert again.png() == path.read_bytes(), name
        assert latents(again).digest == latents(one).digest
        assert (again.accepted, again.seed, again.identity) == (one.accepted, one.seed, one.identity)


def test_the_png_tells_how_a_face_was_made(model: FaceModel, face: Face, photo: Path, tmp_path: Path) -> None:
    made = kinds(model, face, photo, tmp_path)
    told = {name: one.metadata() for name, one in made.items()}
    assert {name: text["model_name"] for name, text in told.items()} == dict.fromkeys(made, "tiny")
    assert (told["where"]["where"], told["where"]["truncation"]) == ("hair_color=green", "0.7")
    assert told["best"]["failed"] == "quality"
    assert told["variation"]["variation_of"] == latents(face).digest
    assert told["mix"]["style_of"] == latents(face).digest
    assert "alice" not in str(told["avatar"])
    for one in made.values():
        text = one.metadata()["latents"]
        read = Latents.from_text(text, latents(one).gender, 16, 30)
        assert (read.noise == latents(one).noise).all()
        assert (read.style == latents(one).style).all()


def test_again_of_a_picture_from_before_there_were_latents(model: FaceModel, face: Face, tmp_path: Path) -> None:
    def old(one: Face) -> Path:
        text = PngImagePlugin.PngInfo()
        for key, value in one.metadata().items():
            if key not in ("latents", "made", "drawing", "model_name", "asked", "criterion", "where"):
                text.add_text(key, value)
        Image.fromarray(one.image).save(tmp_path / "old.png", pnginfo=text)
        return tmp_path / "old.png"

    assert (model.again(old(face)).image == face.image).all()
    with pytest.raises(InputError, match="found a picture of an older version"):
        model.again(old(model.generate("male", 1, seed=3, where={"hair_color": "green"})[0]))
    with pytest.raises(InputError, match="or its ID"):
        model.again(old(model.avatar("user-42")))


def test_other_pictures_are_refused(model: FaceModel, face: Face, photo: Path, tmp_path: Path) -> None:
    for ask in (model.again, model.variations):
        with pytest.raises(InputError, match=r"Expected a PNG that sga wrote, .* Type: --like"):
            ask(photo)
        with pytest.raises(InputError, match="found no such file"):
            ask(tmp_path / "none.png")
    for key, value, sentence in (
        ("latents", "?", "Expected latents as base64"),
        ("latents", "AAAA", r"Expected 16 \+ 30 values as latents"),
        ("gender", "other", "to say its gender, found 'other'"),
        ("attempt", "x", "to say its attempt, found 'x'"),
    ):
        text = PngImagePlugin.PngInfo()
        for name, found in {**face.metadata(), key: value}.items():
            text.add_text(name, found)
        Image.fromarray(face.image).save(tmp_path / "odd.png", pnginfo=text)
        with pytest.raises(InputError, match=sentence):
            model.again(tmp_path / "odd.png")


def test_another_models_face_names_its_model(
    model: FaceModel, make_model: MakeModel, face: Face, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other = face.save(tmp_path / "face.png"), FaceModel.load(make_model(critic=True, style_jitter=0.5))
    with pytest.raises(ModelError, match=rf"found one of tiny \({model.hash}\) .* Name the folder of that model with --model"):
        other.again(path)
    shutil.copytree(model.folder.path, tmp_path / "models" / "faces-2025-11")
    monkeypatch.setenv("SGA_MODELS", str(tmp_path / "models"))
    with pytest.raises(ModelError, match="Type: --model faces-2025-11"):
        other.variations(path)
    assert FaceModel.load("faces-2025-11").again(path).png() == path.read_bytes()
    same_faces = FaceModel.load(make_model(critic=True, contrast=5.0))  # another judge draws the same
    assert (same_faces.again(path).image == face.image).all()


def test_like_takes_the_style_and_varies_the_noise(model: FaceModel, face: Face, photo: Path, tmp_path: Path) -> None:
    report = Report()
    faces = list(model.like(photo, 6, seed=2, report=report))
    style = model.style_of(photo)
    low, high = model._prior.bounds()
    assert (style == model.judge([photo]).style[0].clip(low, high)).all()
    assert all((one.style == style).all() for one in faces)
    assert {one.gender for one in faces} == {model.judge([photo]).gender[0]}
    assert len({one.image.tobytes() for one in faces}) == 6
    assert report.faces == 6
    for one in faces:
        drawn = model.draw(2, one.index, one.attempt, one.gender)
        assert (latents(one).noise == drawn.noise).all()
    ours = list(model.like(face.save(tmp_path / "face.png"), 2, gender="any"))
    assert all((one.style == face.style).all() for one in ours)
    with Image.open(photo) as picture:
        pixels = np.asarray(picture.resize((96, 96)))
    assert (model.style_of(pixels) == model._style(model.judge(pixels[None]))).all()


def test_mix_takes_style_of_one_and_noise_of_the_other(model: FaceModel, face: Face, tmp_path: Path) -> None:
    other = model.generate("male", 1, seed=1)[0]
    one, two = face.save(tmp_path / "a.png"), other.save(tmp_path / "b.png")
    [mixed] = model.mix(one, two)
    assert (latents(mixed).style == face.style).all()
    assert (latents(mixed).noise == latents(other).noise).all()
    assert mixed.gender == "female"
    assert (mixed.image == model.render(latents(other).noise[None], [0], face.style[None])[0]).all()
    assert next(model.mix(one, two, gender="male")).gender == "male"
    assert next(model.mix(one, one)).image.tobytes() == face.image.tobytes()
    with pytest.raises(InputError, match="Expected a count of 1"):
        model.mix(one, two, count=2)


def test_mix_with_another_picture_blends_styles(model: FaceModel, face: Face, photo: Path, tmp_path: Path) -> None:
    one = face.save(tmp_path / "a.png")
    blended = list(model.mix(one, photo, 3, seed=1))
    half = (face.style + model.style_of(photo)) * np.float32(0.5)
    assert all((made.style == half).all() for made in blended)
    assert {made.gender for made in blended} == {"female"}
    assert len({made.image.tobytes() for made in blended}) == 3
    assert next(model.mix(photo, one)).gender == model.judge([photo]).gender[0]


def test_a_face_is_as_good_as_its_png(model: FaceModel, make_model: MakeModel, face: Face, photo: Path, tmp_path: Path) -> None:
    other = model.resized(model.generate("male", 1, seed=1)[0], 192)
    one, two = face.save(tmp_path / "a.png"), other.save(tmp_path / "b.png")
    assert next(model.mix(face, other)).png() == next(model.mix(one, two)).png()
    assert next(model.mix(face, photo, seed=1)).png() == next(model.mix(one, photo, seed=1)).png()
    assert next(model.like(other, seed=1)).png() == next(model.like(two, seed=1)).png()
    assert (model.style_of(other) == model.style_of(two)).all()
    foreign = FaceModel.load(make_model(critic=True, style_jitter=0.5)).generate("male", 1, seed=1)[0]
    assert next(model.mix(face, foreign)).how["made"] == "blend"  # its latents are another model's
    bare = replace(face, latents=None)
    assert next(model.mix(face, bare)).how["made"] == "blend"


def test_what_is_no_picture_is_said(model: FaceModel, face: Face) -> None:
    for other in (5, None, b"face.png"):
        for made in (model.like, model.style_of, lambda picture: model.mix(face, picture), model.variations, model.again):
            with pytest.raises(InputError, match="Expected the path of a picture, found"):
                made(other)
    with pytest.raises(InputError, match=r"Expected the path of a picture, found Face. Save it"):
        model.again(face)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"Expected a strength from 0 to 1, found '0.2'"):
        model.variations(face, strength="0.2")  # type: ignore[arg-type]


def test_variations_stay_near(model: FaceModel, face: Face, tmp_path: Path) -> None:
    path, distances = face.save(tmp_path / "a.png"), []
    for strength in (0.0, 0.1, 0.5, 1.0):
        faces = sorted(model.variations(path, 8, seed=1, strength=strength, min_quality=0), key=lambda one: one.index)
        assert {one.gender for one in faces} == {"female"}
        steps = np.stack([latents(one).noise for one in faces]) - latents(face).noise
        assert np.abs(steps).max() <= strength * (1 + 1e-6)
        assert max(np.abs(latents(one).noise).max() for one in faces) <= 1
        assert max(np.abs(one.style - face.style).max() for one in faces) <= strength * 0.25 + 1e-6
        distances.append(float(np.mean([np.abs(one.image.astype(int) - face.image).mean() for one in faces])))
    assert distances[0] == 0
    assert distances == sorted(distances)
    assert distances[1] < distances[3] / 3
    given = [next(model.variations(source, 1, seed=9)) for source in (path, face, latents(face))]
    assert len({one.png() for one in given}) == 1
    with pytest.raises(InputError, match="Expected a strength from 0 to 1"):
        model.variations(path, strength=1.5)
    with pytest.raises(InputError, match="Expected a face with its latents"):
        model.variations(replace(face, latents=None))


def test_truncation_scales_noise_and_jitter_exactly(model: FaceModel, model_path: Path) -> None:
    whole, half, none = (model.draw(5, 1, gender="male", truncation=factor) for factor in (1.0, 0.5, 0.0))
    assert (half.noise == whole.noise / 2).all()
    assert (none.noise == 0).all()
    with np.load(model_path / "styles.npz") as arrays:
        rows = {style.astype(np.float32).tobytes(): style.astype(np.float32) for style in arrays["style"]}
    row = rows[none.style.tobytes()]  # nothing but the row is left
    np.testing.assert_allclose(half.style - row, (whole.style - row) / 2, atol=1e-6)
    assert np.abs(whole.style - row).max() > 0.01
    third = model.draw(5, 1, gender="male", truncation=1 / 3)
    exact = [np.float32(np.float64(np.float32(1 / 3)) * float(value)) for value in whole.noise]
    assert third.noise.tolist() == [float(value) for value in exact]  # one rounding, wherever it is done
    assert model.draw(5, 1, gender="male").digest == whole.digest
    for factor in (-0.1, 1.1, float("nan")):
        with pytest.raises(InputError, match="Expected a truncation from 0 to 1"):
            model.stream("male", truncation=factor)


def test_truncation_makes_faces_alike(model: FaceModel) -> None:
    spread = [
        np.stack([face.image for face in model.generate("male", 12, seed=1, truncation=factor, min_quality=0)])
        .std(axis=0)
        .mean()
        for factor in (1.0, 0.5)
    ]
    assert spread[1] < spread[0]


def test_a_model_without_style(make_model: MakeModel, face: Face, photo: Path, tmp_path: Path) -> None:
    model = FaceModel.load(make_model(style_size=0))
    with pytest.raises(InputError, match="Expected a model that draws by style"):
        model.like(photo)
    path = model.generate("male", 1, seed=1)[0].save(tmp_path / "face.png")
    assert model.again(path).png() == path.read_bytes()
    assert next(model.variations(path)).style.shape == (0,)


def test_metadata_of_other_pictures(photo: Path, face: Face, tmp_path: Path) -> None:
    assert read_metadata(photo) is None
    Image.fromarray(face.image).save(tmp_path / "bare.png")
    assert read_metadata(tmp_path / "bare.png") is None
    metadata = read_metadata(face.save(tmp_path / "face.png"))
    assert metadata is not None
    assert dict(metadata.text) == face.metadata()
