"""The way from one face to another: what it keeps, where it begins and ends, and files that move."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from configs.errors import InputError, MissingExtra, ModelError
from sga import FaceModel
from sga.cli import main as cli
from sga.explore import Motion, again, encode, end, frames, strip
from sga.explore.animation import Timing
from sga.explore.faces import Source
from sga.explore.path import between, noise_between, smooth
from sga.generation import Latents
from sga.generation.rng import Position, truncated_normal

MakeModel = Callable[..., Path]


@pytest.fixture(scope="module")
def model(model_path: Path) -> FaceModel:
    return FaceModel.load(model_path)


@pytest.fixture(scope="module")
def ends(model: FaceModel) -> list[Source]:
    """A woman and a man."""
    return [end(model, "seed:1", "female")[0], end(model, "seed:2", "male")[0]]


@pytest.fixture(scope="module")
def real() -> tuple[FaceModel, list[Source]]:
    """The model that ships, with a woman and a man: its faces are smooth as pictures are, which codecs count on."""
    model = FaceModel.load()
    return model, [end(model, "seed:1", "female")[0], end(model, "seed:2", "male")[0]]


def noises(count: int, size: int = 128) -> np.ndarray:
    return np.stack([truncated_normal("noise", Position("seed:5", index, 0), size) for index in range(count)])


# -- the path ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0.1, 0.25, 0.5, 0.8])
def test_the_way_keeps_the_prior(at: float) -> None:
    """Length, range and distribution of noise between two noises are those of the prior; a straight line's are not."""
    prior = noises(80)
    halves = list(zip(prior[:40], prior[40:], strict=True))
    ways = {way: np.stack([noise_between(one, other, at, way) for one, other in halves]) for way in ("spherical", "linear")}
    usual = np.linalg.norm(prior, axis=1)
    lengths = np.linalg.norm(ways["spherical"], axis=1)
    assert np.abs(ways["spherical"]).max() <= 1
    assert lengths.mean() == pytest.approx(usual.mean(), rel=0.015)
    assert lengths.min() > 0.95 * usual.min()
    # The largest distance of two distribution functions, 5,120 values each: above 0.033 for one equal pair in 200.
    assert _distance(ways["spherical"], prior[:40]) < 0.033
    shrunk = np.sqrt(at**2 + (1 - at) ** 2)
    assert np.linalg.norm(ways["linear"], axis=1).mean() == pytest.approx(shrunk * usual.mean(), rel=0.03)
    assert at in (0.1,) or _distance(ways["linear"], prior[:40]) > 0.033


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    """Kolmogorov and Smirnov's."""
    grid = np.linspace(-1, 1, 401)
    shares = [np.searchsorted(np.sort(values.ravel()), grid) / values.size for values in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())


@pytest.mark.parametrize("way", ["spherical", "linear"])
def test_the_ends_are_the_faces(way: Any) -> None:
    first, second = noises(2)
    assert (noise_between(first, second, 0.0, way) == first).all()
    assert (noise_between(first, second, 1.0, way) == second).all()
    assert noise_between(first, second, 0.5, way).dtype == np.float32
    there, back = noise_between(first, second, 0.3, way), noise_between(second, first, 0.7, way)
    assert there == pytest.approx(back, abs=1e-6)
    steps = np.stack([noise_between(first, second, number / 20, way) for number in range(21)])
    moved = np.linalg.norm(np.diff(steps, axis=0), axis=1)
    assert moved.max() < 1.25 * moved.min()  # no jump and no halt


def test_ways_that_are_no_circle() -> None:
    """The same noise twice, its opposite, the outermost values, none at all: every value stays finite and in range."""
    noise, edge = noises(1)[0], np.ones(128, np.float32)
    for one, other in ((noise, noise), (noise, -noise), (edge, -edge), (edge, edge), (edge * 0, noise)):
        for at in (1e-9, 0.5, 1 - 1e-9):
            values = noise_between(one, other, at)
            assert np.isfinite(values).all()
            assert np.abs(values).max() <= 1
    assert noise_between(noise, noise, 0.4) == pytest.approx(noise, abs=1e-6)


def test_style_runs_straight_and_gender_smoothly() -> None:
    one, other = (Latents(noise, 0, np.full(3, value, np.float32)) for noise, value in zip(noises(2), (-1, 3), strict=True))
    assert between(one, other, 0.25)[1].tolist() == [0, 0, 0]
    assert [smooth(at) for at in (0.0, 1 / 3, 0.5, 2 / 3, 1.0)] == pytest.approx([0, 0, 0.5, 1, 1])
    assert smooth(0.35) == pytest.approx(1 - smooth(0.65))
    assert smooth(0.35) < 0.01  # it sets off gently
    assert (np.diff([smooth(at / 60) for at in range(20, 41)]) > 0).all()


# -- ends --------------------------------------------------------------------------------------------------------------------


def test_ends_by_seed_id_and_picture(model: FaceModel, tmp_path: Path) -> None:
    drawn = model.generate("female", 4, seed=7)
    avatar = model.avatar("user-42", "male")
    for text, name, face in (
        ("seed:7", "seed 7", drawn[0]),
        ("seed:7:3", "seed 7 face 3", drawn[3]),
        ("id:user-42", f"avatar {avatar.identity[:6]}" if avatar.identity else "", avatar),
        (str(drawn[2].save(tmp_path / "mine.png")), "mine", drawn[2]),
        (str(avatar.save(tmp_path / "you.png")), "you", avatar),
    ):
        source, called = end(model, text, face.gender)
        assert called == name
        assert face.latents is not None
        assert source.latents.digest == face.latents.digest
        assert "user-42" not in json.dumps(source.to_json(model.spec))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("7", r"Expected seed:7, id:user-42 or a PNG that sga wrote, found '7'\."),
        ("nowhere.png", r"Expected seed:7, id:user-42 or a PNG that sga wrote, found 'nowhere.png'\."),
        ("seed:x", "Expected a seed such as seed:7"),
        ("seed:-1", "Expected a seed such as seed:7"),
        ("seed:1:2:3", "Expected a seed such as seed:7"),
        ("seed:99999999999999999999", "Expected a seed from 0"),
        ("id:", "Expected an ID of at least one character"),
    ],
)
def test_what_is_no_face(model: FaceModel, text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        end(model, text)


def test_pictures_of_others(model: FaceModel, make_model: MakeModel, tmp_path: Path) -> None:
    Image.new("RGB", (96, 96)).save(tmp_path / "plain.png")
    with pytest.raises(InputError):
        end(model, str(tmp_path / "plain.png"))
    FaceModel.load(make_model(style_jitter=0.5)).generate("female")[0].save(tmp_path / "other.png")
    with pytest.raises(ModelError):
        end(model, str(tmp_path / "other.png"))


# -- strip and frames --------------------------------------------------------------------------------------------------------


def test_the_strip_runs_from_face_to_face(model: FaceModel, ends: list[Source]) -> None:
    picture = strip(model, [(ends[0], "one"), (ends[1], "other")], steps=7)
    boxes = [face["box"] for face in picture.record["faces"]]
    shown = np.stack([np.asarray(picture.image.crop(box)) for box in boxes])
    assert (again(model, picture.record) == shown).all()
    women, men = model.generate("female", 1, 1), model.generate("male", 1, 2)
    assert (shown[0] == women[0].image).all()
    assert (shown[-1] == men[0].image).all()
    for number, weight in enumerate((0, 0, 0, 0.5, 1, 1, 1)):  # both genders in the middle third, one of them beyond it
        noise, style = between(ends[0].latents, ends[1].latents, number / 6)
        woman, man = (model.render(noise[None], [code], style[None])[0].astype(float) for code in (0, 1))
        assert np.abs(shown[number] - ((1 - weight) * woman + weight * man)).max() <= 0.5
    assert "laid over one another" in picture.record["alt"]
    assert picture.png() == strip(model, [(ends[0], "one"), (ends[1], "other")], steps=7).png()


def test_one_gender_needs_no_blend(model: FaceModel, ends: list[Source]) -> None:
    other = end(model, "seed:4", "female")[0]
    record = strip(model, [(ends[0], "a"), (other, "b")], steps=5).record
    assert not any("over" in face for face in record["faces"])
    assert "laid over" not in record["alt"]
    straight = strip(model, [(ends[0], "a"), (other, "b")], steps=5, way="linear")
    assert straight.record["sources"][2]["latents"] != record["sources"][2]["latents"]


def test_a_way_through_three_faces(model: FaceModel, ends: list[Source]) -> None:
    third = end(model, "id:user-42")[0]
    rows = strip(model, [(one, str(number)) for number, one in enumerate([*ends, third])], steps=3)
    tops = [face["box"][1] for face in rows.record["faces"]]
    assert len(set(tops[:3])) == len(set(tops[3:])) == 1
    assert tops[3] > tops[0]
    motion = Motion(frames=4, seconds=0.3, hold=0.2, ping_pong=False)
    shown = frames(model, [*ends, third], motion, size=96)
    assert len(shown) == 7
    given = [np.asarray(shown[number]) for number in (0, 3, 6)]
    for image, source in zip(given, [*ends, third], strict=True):
        latents = source.latents
        assert (image == model.render(latents.noise[None], [latents.gender], latents.style[None])[0]).all()
    assert motion.timing(3).stands == [2, 1, 1, 2, 1, 1, 2]


def test_there_and_back() -> None:
    assert Motion(frames=4).order(2) == [0, 1, 2, 3, 2, 1]
    assert Motion(frames=4, ping_pong=False).order(2) == [0, 1, 2, 3]
    assert Motion(frames=2).order(2) == [0, 1]
    assert Motion(frames=3).order(3) == [0, 1, 2, 3, 4, 3, 2, 1]


# -- files that move ---------------------------------------------------------------------------------------------------------


def decoded(content: bytes) -> tuple[list[np.ndarray], list[int], object]:
    """Frames, their milliseconds and the loop of a GIF or WebP."""
    shown, durations = [], []
    with Image.open(io.BytesIO(content)) as picture:
        for number in range(getattr(picture, "n_frames", 1)):
            picture.seek(number)
            picture.load()
            shown.append(np.asarray(picture.convert("RGB")).astype(float))
            durations.append(round(picture.info["duration"]))
        return shown, durations, picture.info.get("loop")


@pytest.mark.parametrize(("ending", "unit", "near"), [(".gif", 10, 9.0), (".webp", 1, 7.0)])
@pytest.mark.parametrize("ping_pong", [False, True])
def test_pictures_that_move(real: tuple[FaceModel, list[Source]], ending: str, unit: int, near: float, ping_pong: bool) -> None:
    model, ends = real
    motion = Motion(frames=9, seconds=0.5, hold=0.25, ping_pong=ping_pong, loop=ping_pong)
    shown, timing = frames(model, ends, motion, size=96), motion.timing(2)
    content = encode(ending, shown, timing)
    assert content == encode(ending, shown, timing)
    images, durations, loop = decoded(content)
    assert len(images) == len(shown) == (16 if ping_pong else 9)
    assert durations == timing.durations(unit)
    assert sum(durations) == pytest.approx(62.5 * (22 if ping_pong else 15), abs=unit)
    assert durations[0] > 3 * durations[1]
    assert loop == (0 if ping_pong else {".gif": None, ".webp": 1}[ending])
    for image, drawn in zip(images, shown, strict=True):
        assert np.abs(image - np.asarray(drawn)).mean() < near
    for number, source in ((0, ends[0]), (8, ends[1])):
        latents = source.latents
        face = model.render(latents.noise[None], [latents.gender], latents.style[None])[0]
        assert np.abs(images[number] - face).mean() < near
        assert np.abs(images[number] - images[8 - number].astype(float)).mean() > 2 * near


def test_a_film(real: tuple[FaceModel, list[Source]], tmp_path: Path) -> None:
    model, ends = real
    cv2 = pytest.importorskip("cv2", reason="OpenCV writes films")
    motion = Motion(frames=9, seconds=0.5, hold=0.25)
    shown, timing = frames(model, ends, motion, size=96), motion.timing(2)
    content = encode(".mp4", shown, timing)
    assert content == encode(".mp4", shown, timing)
    (tmp_path / "film.mp4").write_bytes(content)
    film, images = cv2.VideoCapture(str(tmp_path / "film.mp4")), []
    while True:
        more, image = film.read()
        if not more:
            break
        images.append(cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(float))
    assert film.get(cv2.CAP_PROP_FPS) == pytest.approx(16, abs=0.1)
    film.release()
    repeated = [one for one, stands in zip(shown, timing.stands, strict=True) for _ in range(stands)]
    assert len(images) == len(repeated) == 22
    assert np.abs(images[0] - images[11]).mean() > 20  # one face and the other
    for image, drawn in zip(images, repeated, strict=True):
        assert np.abs(image - np.asarray(drawn)).mean() < 9
    with pytest.raises(InputError, match=r"Expected an even edge for an MP4, found 97 pixels\. Type, for example: --size 98"):
        encode(".mp4", frames(model, ends, motion, size=97), timing)


def test_a_film_without_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtra, match=r"opencv-python-headless is needed .* pip install 'sga-gan\[video\]'"):
        encode(".mp4", [Image.new("RGB", (8, 8))], Timing(40, [1]))


def test_times_in_whole_units() -> None:
    timing = Timing(1000 * 2 / 47, [5] + [1] * 45)
    for unit in (1, 10):
        durations = timing.durations(unit)
        assert sum(durations) == pytest.approx(50 * timing.step, abs=unit / 2)
        assert {one % unit for one in durations} == {0}
        assert max(durations[1:]) - min(durations[1:]) <= unit


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"frames": 1}, "Expected 2 to 1000 frames, found 1"),
        ({"seconds": 0.0}, "Expected 0.1 to 600 seconds, found 0"),
        ({"hold": -1.0}, "Expected a hold of 0 to 600 seconds, found -1"),
    ],
)
def test_bad_motion(asked: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        Motion(**asked)


def test_what_cannot_be_drawn(model: FaceModel, ends: list[Source]) -> None:
    with pytest.raises(InputError, match="Expected at least two faces, found 1"):
        frames(model, ends[:1], Motion())
    with pytest.raises(InputError, match="found the same twice"):
        frames(model, [ends[0], ends[0]], Motion())
    with pytest.raises(InputError, match="Expected at most 1000 frames in all, found 1198"):
        frames(model, ends, Motion(frames=600))
    with pytest.raises(InputError, match="Expected frames that fit into 512 MiB"):
        frames(model, ends, Motion(frames=400), size=1024)
    with pytest.raises(InputError, match="Expected at least 2 steps, found 1"):
        strip(model, [(ends[0], "a"), (ends[1], "b")], steps=1)
    with pytest.raises(InputError, match="at most 50 frames a second in a GIF"):
        encode(".gif", [Image.new("RGB", (8, 8))] * 3, Timing(10, [1, 1, 1]))
    with pytest.raises(InputError, match=r"Expected a file that ends in \.png, \.gif"):
        encode(".avi", [Image.new("RGB", (8, 8))], Timing(40, [1]))


# -- the command line --------------------------------------------------------------------------------------------------------


def sga(*arguments: str | Path) -> int:
    """Run the command in this process; its exit code."""
    with pytest.raises(SystemExit) as stop:
        cli.main([str(argument) for argument in ("explore", "between", *arguments)])
    return int(stop.value.code or 0)


def test_the_files_of_a_way(
    model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["seed:1", "id:user-42", "--frames", "5", "--steps", "4", "--size", "96", "--model", model_path]
    assert sga(*words) == 0
    written = sorted((tmp_path / "explore-out").iterdir())
    assert [path.suffix for path in written] == [".gif", ".json", ".png", ".webp"]
    assert len({path.stem for path in written}) == 1
    assert written[0].stem.startswith("seed-1-to-avatar-")
    assert sorted(capsys.readouterr().out.split()) == [str(path.relative_to(tmp_path)) for path in written]
    record = json.loads(written[1].read_text())
    assert record["animation"]["files"] == [written[0].name, written[3].name]
    assert record["animation"]["pictures"] == len(decoded(written[0].read_bytes())[0]) == 8
    assert "user-42" not in written[1].read_text()
    with Image.open(written[2]) as picture:
        shown = np.stack([np.asarray(picture.crop(face["box"])) for face in record["faces"]])
    assert (again(FaceModel.load(model_path), record) == shown).all()

    before = {path: path.read_bytes() for path in written}
    assert sga(*words) == 0
    assert sga(*words, "--way", "linear") == 2
    assert "add --overwrite" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in sorted((tmp_path / "explore-out").iterdir())} == before
    assert sga(*words, "--way", "linear", "--overwrite") == 0
    assert all(path.read_bytes() != content for path, content in before.items())


def test_a_gender_for_each_face(model_path: Path, tmp_path: Path) -> None:
    base = ["seed:1", "seed:2", "--frames", "3", "--model", model_path]
    for number, genders in enumerate((["female"], ["male", "female"])):
        path = tmp_path / f"{number}.webp"
        words = [word for gender in genders for word in ("--gender", gender)]
        assert sga(*base, *words, "--out", path) == 0
        faces = json.loads(path.with_suffix(".json").read_text())["faces"]
        assert [faces[0]["gender"], faces[-1]["gender"]] == [genders[0], genders[-1]]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["seed:1"], "Expected at least two faces, found 1"),
        (["seed:1", "seed:1"], "Expected faces that differ from the one before"),
        (["seed:1", "seed:2", "--out", "a.avi"], "Expected file names that end in .png, .gif, .webp, .mp4, found 'a.avi'"),
        (["seed:1", "seed:2", "--out", "a.gif", "--out", "a.gif"], "Expected different files"),
        (["seed:1", "seed:2", *["--gender", "any"] * 3], "Expected one --gender for all or one for each of 2 faces, found 3"),
        (["seed:1", "seed:2", "--gender", "man"], "Expected a gender (female, male or any), found 'man'"),
        (["seed:1", "seed:2", "--frames", "1"], "Expected 2 to 1000 frames, found 1"),
    ],
)
def test_bad_input(
    model_path: Path,
    tmp_path: Path,
    words: list[str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert sga(*words, "--model", model_path) == 2
    assert capsys.readouterr().err.startswith(f"sga: {sentence}")
    assert list(tmp_path.iterdir()) == []
