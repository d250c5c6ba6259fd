"""Faces do not depend on batch size, order or threads, and none that never passed is passed over in silence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from configs.errors import ExhaustedError, InputError
from sga import Face, FaceModel, Report
from sga.generation.until_good import until_good

MakeModel = Callable[..., Path]


@pytest.fixture(scope="module")
def model(model_path: Path) -> FaceModel:
    return FaceModel.load(model_path)


def same(one: Face, other: Face) -> bool:
    return one.png() == other.png() and one.attempts == other.attempts


def test_the_same_seed_gives_the_same_files(model: FaceModel, model_path: Path) -> None:
    again = FaceModel.load(model_path).generate("female", 12, seed=7)
    assert all(map(same, model.generate("female", 12, seed=7), again))
    assert not same(again[0], model.generate("female", 1, seed=8)[0])
    assert not same(again[0], model.generate("male", 1, seed=7)[0])


def test_face_i_does_not_depend_on_the_count(model: FaceModel) -> None:
    many = model.generate("female", 100, seed=3)
    assert [face.index for face in many] == list(range(100))
    assert max(face.attempts for face in many) > 1  # the loop did draw again
    assert len({face.png() for face in many}) == 100
    for count in (1, 7, 10):
        assert all(map(same, model.generate("female", count, seed=3), many))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_do_not_change_a_face(model: FaceModel, model_path: Path, threads: int) -> None:
    other = FaceModel.load(model_path, threads=threads)
    assert all(map(same, other.generate("any", 20, seed=5), model.generate("any", 20, seed=5)))


def test_a_row_does_not_depend_on_its_place_or_company(model: FaceModel) -> None:
    latents = [model.draw(seed=1, index=index, gender="any") for index in range(24)]
    noise, style = np.stack([one.noise for one in latents]), np.stack([one.style for one in latents])
    gender = np.array([one.gender for one in latents])
    images = model.render(noise, gender, style)
    assert len(np.unique(images.reshape(24, -1), axis=0)) == 24
    order = np.random.default_rng(0).permutation(24)
    assert (model.render(noise[order], gender[order], style[order]) == images[order]).all()
    for rows in (slice(0, 1), slice(3, 8), slice(5, 16)):
        assert (model.render(noise[rows], gender[rows], style[rows]) == images[rows]).all()
    whole, part = model.judge(images), model.judge(images[order][:5])
    assert (whole.quality[order][:5] == part.quality).all()
    assert (whole.probabilities["gender"][order][:5] == part.probabilities["gender"]).all()


def test_the_loop_gives_what_drawing_one_by_one_gives(model: FaceModel) -> None:
    """Against a plain loop: a face at a time, an attempt at a time."""
    report = Report()
    faces = model.generate("female", 30, seed=11, max_attempts=3, report=report)
    threshold = model.spec.thresholds
    for face in faces:
        for attempt in range(3):
            latents = model.draw(seed=11, index=face.index, attempt=attempt, gender="female")
            image = model.render(latents.noise[None], [latents.gender], latents.style[None])
            verdict = model.judge(image)
            passed = verdict.quality[0] >= threshold.quality and verdict.probabilities["gender"][0, 0] >= threshold.gender
            if passed:
                break
        assert face.accepted == passed
        assert face.attempts == attempt + 1
        if passed:
            assert face.attempt == attempt
            assert (face.image == image[0]).all()
            assert face.quality == verdict.quality[0]
    assert report.faces == 30
    assert report.accepted == sum(face.accepted for face in faces)
    assert report.attempts == sum(face.attempts for face in faces)
    assert report.exhausted == [face.index for face in faces if not face.accepted]
    assert 0 < report.accepted < 30
    assert report.seconds > 0


def test_what_is_accepted_agrees(model: FaceModel) -> None:
    for face in model.generate("male", 40, seed=2, on_exhausted="gap"):
        assert face.accepted
        assert face.quality >= model.spec.thresholds.quality
        assert face.probabilities["gender"].argmax() == 1
        assert face.probabilities["gender"][1] >= model.spec.thresholds.gender


def test_the_best_is_the_best(model: FaceModel) -> None:
    """With a quality that none reaches, the attempt of the highest quality among those of the right gender is kept."""
    [face] = model.generate("female", 1, seed=4, min_quality=1.0, max_attempts=9)
    assert not face.accepted
    assert face.attempts == 9
    tried = [model.draw(seed=4, attempt=attempt, gender="female") for attempt in range(9)]
    images = model.render(np.stack([t.noise for t in tried]), [t.gender for t in tried], np.stack([t.style for t in tried]))
    verdict = model.judge(images)
    right = verdict.probabilities["gender"][:, 0] >= model.spec.thresholds.gender
    assert face.attempt == np.where(right, verdict.quality, -1).argmax()
    assert (face.image == images[face.attempt]).all()


def test_gaps_and_errors(model: FaceModel) -> None:
    report = Report()
    best = model.generate("female", 16, seed=9, max_attempts=1)
    gap = model.generate("female", 16, seed=9, max_attempts=1, on_exhausted="gap", report=report)
    assert 0 < len(gap) < 16
    assert [face.index for face in gap] == [face.index for face in best if face.accepted]
    assert sorted([*report.exhausted, *(face.index for face in gap)]) == list(range(16))
    with pytest.raises(ExhaustedError, match=r"Expected face \d+ of seed 9 to pass the judge within 1 attempts"):
        model.generate("female", 16, seed=9, max_attempts=1, on_exhausted="error")


@pytest.mark.parametrize(
    ("limits", "where", "failed", "said", "silent"),
    [
        (
            {"quality": 0.0, "gender": 1.0},
            {},
            ("gender",),
            r"found in its best attempt gender female at probability 0\.\d\d "
            r"\(asked: the highest, at least 1\.00\)\. Raise --max-attempts or take",
            "quality",
        ),
        (
            {"quality": 1.0, "gender": 0.0},
            {},
            ("quality",),
            r"attempt quality 0\.\d\d \(asked: at least 1\.00\)\. "
            r"Raise --max-attempts, lower --min-quality or take",
            "where",
        ),
        (
            {"quality": 0.0, "gender": 0.0},
            {"hair_color": "green"},
            ("hair_color",),
            r"attempt hair_color (blue|gray) "
            r"\(asked: green\)\. Raise --max-attempts, leave out a --where or take",
            "min-quality",
        ),
        ({"quality": 1.0, "gender": 1.0}, {}, ("gender", "quality"), r"gender female at .*, quality 0\.", "where"),
    ],
)
def test_an_error_says_what_failed(
    make_model: MakeModel, limits: dict[str, float], where: dict[str, str], failed: tuple[str, ...], said: str, silent: str
) -> None:
    model = FaceModel.load(make_model(thresholds=limits, style_prior="truncated_normal"))
    asked = {"gender": "female", "count": 12, "seed": 9, "max_attempts": 1, "where": where}
    first = next(face for face in model.generate(**asked) if not face.accepted)
    assert first.failed == failed
    with pytest.raises(ExhaustedError, match=said) as error:
        model.generate(**asked, on_exhausted="error")
    assert f"Expected face {first.index} of seed 9" in str(error.value)
    assert silent not in str(error.value)


def test_levels_of_quality(model: FaceModel, make_model: MakeModel) -> None:
    assert model.spec.level("low", "female") == 0
    assert model.spec.level("median", "female") == 0.25
    assert model.spec.level("high", "female") == 0.75
    named = model.generate("female", 6, seed=1, min_quality="median")
    assert all(map(same, named, model.generate("female", 6, seed=1, min_quality=0.25)))
    calibrated = FaceModel.load(make_model(thresholds={"quality": 0.4, "gender": 0.6, "levels": {"high": 0.47}}))
    assert all(face.quality >= 0.47 for face in calibrated.generate("female", 10, min_quality="high", on_exhausted="gap"))


def test_levels_of_a_gender(make_model: MakeModel) -> None:
    limits = {
        "quality": 0.3,
        "quality_by_gender": {"female": 0.45},
        "gender": 0.6,
        "levels": {"median": 0.2, "high": 0.4},
        "levels_by_gender": {"median": {"female": 0.1}, "high": {"male": 0.5}},
    }
    model = FaceModel.load(make_model(thresholds=limits))
    assert [model.spec.level("median", gender) for gender in ("female", "male")] == [0.1, 0.2]
    assert [model.spec.level("high", gender) for gender in ("female", "male")] == [0.45, 0.5]
    asked = {"count": 8, "seed": 1, "max_attempts": 30}
    for gender, limit in (("female", 0.45), ("male", 0.5)):
        named = model.generate(gender, min_quality="high", **asked)
        assert all(map(same, named, model.generate(gender, min_quality=limit, **asked)))
        assert not all(map(same, named, model.generate(gender, min_quality=0.4, **asked)))


def test_the_highest_level_is_never_laxer_than_none(make_model: MakeModel) -> None:
    """Asked for high, a face must pass what it must pass when no level is asked for, whatever was calibrated."""
    for levels in ({}, {"levels": {"high": 0.1}}, {"levels_by_gender": {"high": {"female": 0.2, "male": 0.6}}}):
        limits = {"quality": 0.4, "quality_by_gender": {"male": 0.55}, "gender": 0.6, **levels}
        spec = FaceModel.load(make_model(thresholds=limits)).spec
        assert [spec.accepted_from(gender) for gender in spec.gender.values] == [0.4, 0.55]
        assert all(spec.level("high", gender) >= spec.accepted_from(gender) for gender in spec.gender.values)


def test_where_restricts_the_styles_and_binds_the_judge(model: FaceModel) -> None:
    report = Report()
    asked = {"hair_color": "green", "glasses": "yes"}
    faces = model.generate("female", 12, seed=6, where=asked, max_attempts=40, on_exhausted="gap", report=report)
    assert len(faces) >= 6
    for face in faces:
        assert face.probabilities["hair_color"].argmax() == 2
        assert face.probabilities["glasses"] >= 0.5
    hairs = {int(face.probabilities["hair_color"].argmax()) for face in model.generate("female", 12, seed=6)}
    assert len(hairs) > 1


def test_where_takes_rows_of_real_faces(make_model: MakeModel) -> None:
    model = FaceModel.load(make_model(style_jitter=0.0))
    with np.load(model.folder.path / "styles.npz") as arrays:
        rows = (arrays["hair_color"] == 2) & (arrays["gender"] == 1)
        allowed = {style.astype(np.float32).tobytes() for style in arrays["style"][rows]}
    drawn = {model.draw(1, index, gender="male", where={"hair_color": "green"}).style.tobytes() for index in range(200)}
    assert drawn == allowed


def test_any_gender_draws_both(model: FaceModel) -> None:
    faces = model.generate("any", 30, seed=0)
    assert {face.gender for face in faces} == {"female", "male"}
    assert {face.gender for face in model.generate(None, 30, seed=0)} == {"female", "male"}
    for face in faces:  # the gender stays the same over a face's attempts
        assert {model.draw(0, face.index, attempt).gender for attempt in range(4)} == {("female", "male").index(face.gender)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, "Expected a count of at least 1, found 0"),
        ({"count": -3}, "Expected a count of at least 1, found -3"),
        ({"gender": "femal"}, "Expected a gender"),
        ({"max_attempts": 0}, "Expected at least 1 attempt"),
        ({"min_quality": 1.5}, "Expected a quality from 0 to 1"),
        ({"min_quality": float("nan")}, "Expected a quality from 0 to 1"),
        ({"min_quality": "hihg"}, "Did you mean high"),
        ({"seed": -1}, "Expected a seed"),
        ({"where": {"hair_colour": "blue"}}, "Did you mean hair_color"),
        ({"where": {"hair_color": "teal"}}, "Expected hair_color to be one of blue, gray, green"),
        ({"where": {"gender": "male"}}, "Type --gender"),
        ({"where": {"quality": "high"}}, "Type --min-quality"),
        ({"on_exhausted": "ignore"}, "best, gap or error"),
        ({"seed": "7"}, "Expected a whole number as seed, found '7'"),
        ({"count": 2.5}, r"Expected a whole number as count, found 2\.5\. Write, for example: count=7"),
        ({"count": True}, "Expected a whole number as count, found True"),
        ({"max_attempts": "3"}, "Expected a whole number as max_attempts, found '3'"),
        ({"gender": 5}, "Expected a gender .*, found 5"),
        ({"truncation": "0.5"}, "Expected a truncation from 0 to 1, found '0.5'"),
        ({"min_quality": [0.5]}, r"Expected a quality from 0 to 1 .*, found \[0\.5\]"),
        ({"where": {"hair_color": None}}, "Expected values by attribute as texts, found .*None"),
        ({"where": {5: "blue"}}, "Expected values by attribute as texts"),
        ({"where": ["hair_color"]}, "Expected values by attribute as texts"),
        ({"size": "192"}, "Expected a size from 16"),
    ],
)
def test_wrong_arguments_are_refused_before_drawing(model: FaceModel, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        model.stream(**{"gender": "female", **arguments})  # not iterated: the check comes first


def test_no_style_of_that_kind(model: FaceModel) -> None:
    with pytest.raises(InputError, match="found none in this model"):
        model.generate("female", where={"hair_color": "blue", "glasses": "yes"})


def test_a_model_without_styles_of_faces(make_model: MakeModel) -> None:
    model = FaceModel.load(make_model(style_prior="truncated_normal"))
    style = np.stack([model.draw(0, index, gender="male").style for index in range(100)])
    assert style.dtype == np.float32
    assert np.abs(style).max() <= 1
    assert np.unique(style).size == style.size
    assert len(model.generate("male", 3)) == 3


def test_a_generator_without_style(make_model: MakeModel) -> None:
    """GA-GAN: gender and noise alone."""
    model = FaceModel.load(make_model(style_size=0))
    faces = model.generate("male", 6, seed=1)
    assert all(face.style.shape == (0,) and face.metadata()["style"] == "" for face in faces)
    assert len({face.image.tobytes() for face in faces}) == 6
    assert all(map(same, model.generate("male", 2, seed=1), faces))
    assert model.generate("male", 1, where={"glasses": "yes"}, max_attempts=60, on_exhausted="error")
    assert model.avatar("user-42").png() == model.avatar("user-42").png()


def test_render_refuses_other_shapes(model: FaceModel) -> None:
    with pytest.raises(InputError, match="Expected latents of shapes"):
        model.render(np.zeros((2, 5), np.float32), [0, 1], np.zeros((2, 30), np.float32))
    with pytest.raises(InputError, match="Expected latents of shapes"):
        model.render(np.zeros((2, 16), np.float32), [0, 1])
    with pytest.raises(InputError, match="Expected gender codes 0 … 1, found 0 … 2"):
        model.render(np.zeros((2, 16), np.float32), [0, 2], np.zeros((2, 30), np.float32))


def test_judge_takes_files_of_any_kind(model: FaceModel, tmp_path: Path) -> None:
    [face] = model.generate("female", 1, seed=1)
    face.save(tmp_path / "face.png")
    assert (model.judge([tmp_path / "face.png"]).quality == np.float32(face.quality)).all()
    transparent = Image.new("RGBA", (300, 200), (0, 0, 0, 0))
    transparent.save(tmp_path / "clear.png")
    white = model.judge(np.full((1, 96, 96, 3), 255, np.uint8))
    assert (model.judge([tmp_path / "clear.png"]).probabilities["gender"] == white.probabilities["gender"]).all()
    assert (model.judge([face.image, tmp_path / "clear.png"]).quality == [np.float32(face.quality), white.quality[0]]).all()
    assert len(model.judge([tmp_path / "face.png", tmp_path / "clear.png"] * 6)) == 12


def test_numbers_of_numpy_are_numbers(model: FaceModel) -> None:
    asked = {"count": np.int64(2), "seed": np.uint64(7), "truncation": np.float32(1), "max_attempts": np.int32(12)}
    assert all(map(same, model.generate("female", **asked), model.generate("female", 2, seed=7)))  # type: ignore[arg-type]


@pytest.mark.parametrize("place", [{"index": "0"}, {"attempt": 1.0}, {"seed": None}])
def test_a_position_is_of_whole_numbers(model: FaceModel, place: dict[str, object]) -> None:
    with pytest.raises(InputError, match=f"Expected a whole number as {next(iter(place))}"):
        model.draw(**{"seed": 7, **place})  # type: ignore[arg-type]


def test_no_latents_are_no_pictures(model: FaceModel) -> None:
    drawn = model.render_latents([])
    assert (drawn.shape, drawn.dtype) == ((0, 96, 96, 3), np.uint8)


def test_judge_takes_faces(model: FaceModel, tmp_path: Path) -> None:
    [face] = model.generate("female", 1, seed=1)
    large = model.resized(face, 192)
    verdict = model.judge([face, large, large.save(tmp_path / "large.png"), face.image])
    assert (verdict.quality[[0, 3]] == np.float32(face.quality)).all()
    assert verdict.quality[1] == verdict.quality[2]
    assert model.judge(face).quality == verdict.quality[0]


def test_judge_refuses_what_is_no_picture(model: FaceModel, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "cut.png").write_bytes(model.generate("male", 1)[0].png()[:4000])
    for name in ("text.png", "cut.png", "absent.png"):
        with pytest.raises(InputError, match=f"Expected a picture .*{name}"):
            model.judge([tmp_path / name])
    for array in (np.zeros((1, 64, 64, 3), np.uint8), np.zeros((1, 96, 96, 3), np.float32), np.zeros((0, 96, 96, 3), np.uint8)):
        with pytest.raises(InputError, match="Expected pictures as uint8"):
            model.judge(array)
    with pytest.raises(InputError, match="Expected pictures as uint8"):
        model.judge([np.zeros((64, 64, 3), np.uint8)])
    with pytest.raises(InputError, match="at least one picture"):
        model.judge([])
    for other in (None, 5, [5], [None], b"face.png", [[tmp_path]]):
        with pytest.raises(InputError, match="Expected the path of a picture, found"):
            model.judge(other)


def test_the_loop_fills_its_batches() -> None:
    """64 faces of which every third attempt passes: no batch but the last few is partly empty, and none exceeds its size."""
    face = Face(np.zeros((1, 1, 3), np.uint8), "f", np.zeros(0), 0.0, {}, (), 0, 0, 1, origin=None)  # type: ignore[arg-type]
    sizes: list[int] = []

    def judge(pairs: list[tuple[int, int]]) -> list[Face]:
        sizes.append(len(pairs))
        assert len(set(pairs)) == len(pairs)
        return [replace(face, index=i, attempt=a, failed=() if a == 2 else ("quality",), merit=(0.0,)) for i, a in pairs]

    outcomes = list(until_good(64, judge, batch=8, max_attempts=5))
    assert sorted(outcome.index for outcome in outcomes) == list(range(64))
    assert {(outcome.attempts, outcome.candidate.attempt) for outcome in outcomes} == {(3, 2)}
    assert set(sizes) == {8}
    assert len(sizes) == 64 * 3 // 8
