"""Pictures of `sga explore`: what stands on them, that they are the same each time, and that they can be drawn again."""

from __future__ import annotations

import base64
import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from configs.errors import InputError
from sga import FaceModel
from sga.cli import main as cli
from sga.explore import Picture, again, conditions, gender, judged, noise, styles
from sga.explore.canvas import GOOD, INK, Canvas, Cell, Row
from sga.explore.chart import BINS, Mark, histogram
from sga.explore.grids import _heat

ROOT = Path(__file__).parents[2]
MakeModel = Callable[..., Path]
KINDS: dict[str, tuple[Callable[..., Picture], dict[str, Any]]] = {
    "styles": (styles, {"rows": 2, "columns": 3}),
    "noise": (noise, {"rows": 2, "columns": 3}),
    "gender": (gender, {"columns": 3}),
    "judged": (judged, {"count": 24, "rows": 1, "columns": 3}),
    "conditions": (conditions, {"count": 2}),
}


@pytest.fixture(scope="module")
def model(model_path: Path) -> FaceModel:
    return FaceModel.load(model_path)


def faces_on(picture: Picture) -> np.ndarray:
    """(n, …) uint8: what stands in the boxes of the record, in its order."""
    return np.stack([np.asarray(picture.image.crop(face["box"])) for face in picture.record["faces"]])


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_bytes_twice_and_the_faces_again(model: FaceModel, model_path: Path, kind: str) -> None:
    draw, asked = KINDS[kind]
    picture = draw(model, seed=3, **asked)
    other = draw(FaceModel.load(model_path, threads=2), seed=3, **asked)
    assert (picture.png(), picture.json()) == (other.png(), other.json())
    assert picture.png() != draw(model, seed=4, **asked).png()
    record = json.loads(picture.json())
    assert record["kind"] == kind
    assert record["seed"] == 3
    assert record["licence"] == "Drawn by a test: free"
    assert (again(model, record) == faces_on(picture)).all()
    verdict = model.judge(faces_on(picture))
    assert [face["judge"]["quality"] for face in record["faces"]] == pytest.approx(verdict.quality.tolist(), abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_the_size_of_faces(model: FaceModel, kind: str) -> None:
    draw, asked = KINDS[kind]
    native, large = (draw(model, seed=3, size=size, **asked) for size in (None, 160))
    assert [face["box"][2] - face["box"][0] for face in large.record["faces"]] == [160] * len(large.record["faces"])
    assert large.image.width > native.image.width
    small = [
        np.asarray(Image.fromarray(face).resize((160, 160), Image.Resampling.LANCZOS)) for face in again(model, large.record)
    ]
    assert (faces_on(large) == np.stack(small)).all()


@pytest.mark.parametrize("unselected", [False, True])
def test_rows_share_noise_and_columns_share_style(model: FaceModel, unselected: bool) -> None:
    picture = styles(model, seed=3, rows=2, columns=3, unselected=unselected)
    attempts = {"max_attempts": 1} if unselected else {}
    drawn = model.generate("any", 5, 3, **attempts)
    shown = iter(faces_on(picture))
    for row in range(2):
        for code in range(2):
            for column in range(3):
                lent, worn = drawn[row].latents, drawn[2 + column].latents
                assert lent is not None
                assert worn is not None
                assert (next(shown) == model.render(lent.noise[None], [code], worn.style[None])[0]).all()
    assert next(shown, None) is None
    assert [face["gender"] for face in picture.record["faces"]] == (["female"] * 3 + ["male"] * 3) * 2


def test_one_gender_alone(model: FaceModel) -> None:
    picture = styles(model, seed=3, gender="male", rows=2, columns=3)
    assert [face["gender"] for face in picture.record["faces"]] == ["male"] * 6
    assert {source["gender"] for source in picture.record["sources"]} == {"male"}


def test_rows_share_style_and_columns_noise(model: FaceModel) -> None:
    picture = noise(model, seed=3, rows=2, columns=3)
    shown = iter(faces_on(picture))
    for code, name in enumerate(("female", "male")):
        drawn = [face.latents for face in model.generate(name, 5, 3)]
        for row in range(2):
            for column in range(3):
                lent, worn = drawn[2 + column], drawn[row]
                assert lent is not None
                assert worn is not None
                assert (next(shown) == model.render(lent.noise[None], [code], worn.style[None])[0]).all()


def test_the_difference_of_genders(model: FaceModel) -> None:
    picture = gender(model, seed=3, columns=4)
    women, men = faces_on(picture).reshape(2, 4, 96, 96, 3).astype(float)
    change = np.abs(women - men)
    assert picture.record["difference_by_face"] == pytest.approx(change.mean(axis=(1, 2, 3)).tolist(), abs=1e-3)
    assert picture.record["difference"] == pytest.approx(change.mean(), abs=1e-3)
    apart = [np.abs(one - other).mean() for line in (women, men) for one, other in pairwise(line)]
    assert picture.record["between_faces"] == pytest.approx(np.mean(apart), abs=1e-3)
    assert f"{change.mean():.1f} of 255" in picture.record["alt"]
    for column, (left, _, right, bottom) in enumerate(face["box"] for face in picture.record["faces"][4:]):
        below = np.asarray(picture.image.crop((left, bottom + 4, right, bottom + 100)))
        assert (below == _heat(change[column])).all()


def test_the_heat_of_a_difference() -> None:
    levels = np.repeat(np.linspace(0, 120, 60)[None, :, None], 3, axis=2)
    light = _heat(levels)[0].astype(float) @ (0.299, 0.587, 0.114)
    assert (_heat(np.zeros((1, 1, 3))) == 255).all()
    assert (np.diff(light[:48]) < 0).all()  # the larger, the darker
    assert (light[48:] == light[-1]).all()  # up to the largest that is told apart


# -- judged and conditions ---------------------------------------------------------------------------------------------------


def test_accepted_beside_rejected(model: FaceModel) -> None:
    picture = judged(model, seed=9, count=40, rows=2, columns=4)
    for name in ("female", "male"):
        kept = {face.index for face in model.generate(name, 40, 9, max_attempts=1, on_exhausted="gap")}
        assert 8 < len(kept) < 32
        rates = picture.record["rates"][name]
        assert rates["accepted"] == len(kept)
        assert len(rates["quality"]) == len(rates["gender_probability"]) == 40
        passed = [
            quality >= rates["quality_from"] and chance >= rates["gender_from"]
            for quality, chance in zip(rates["quality"], rates["gender_probability"], strict=True)
        ]
        assert {index for index, good in enumerate(passed) if good} == kept
        for accepted in (True, False):
            shown = [
                (face["judge"]["quality"], picture.record["sources"][face["noise"]]["index"])
                for face in picture.record["faces"]
                if (face["gender"], face["judge"]["accepted"]) == (name, accepted)
            ]
            assert len(shown) == 8
            assert shown == sorted(shown, key=lambda one: -one[0])
            assert all((index in kept) == accepted for _, index in shown)
            every = [quality for quality, good in zip(rates["quality"], passed, strict=True) if good == accepted]
            assert (shown[0][0], shown[-1][0]) == (max(every), min(every))


def test_nobody_accepted_is_a_picture_too(make_model: MakeModel) -> None:
    strict = FaceModel.load(make_model(thresholds={"quality": 1.0, "gender": 0.6}))
    picture = judged(strict, count=6, rows=1, columns=3)
    assert not any(face["judge"]["accepted"] for face in picture.record["faces"])
    assert len(picture.record["faces"]) == 6


def test_the_histogram() -> None:
    canvas, scores = Canvas(96), np.array([0.101] * 8 + [0.501] * 4 + [1.0] * 2)
    accepted = scores > 0.3
    block = np.asarray(histogram(canvas, "faces", scores, accepted, 548, [Mark("from", 0.3, strong=True)]))
    left, right, floor = 34, 534, 26 + 32 + 120
    heights = {}
    for bin_ in (5, 25, 49, 40):
        column = block[:floor, left + 10 * bin_ + 4]
        green = (column == tuple(bytes.fromhex(GOOD[1:]))).all(axis=1).sum()
        red = ((column[:, 0] > 200) & (column[:, 1] < 180)).sum()
        heights[bin_] = (int(green), int(red))
    assert heights == {5: (0, 120), 25: (60, 0), 49: (30, 0), 40: (0, 0)}
    line = (block[floor - 60] == tuple(bytes.fromhex(INK[1:]))).all(axis=1)
    assert np.flatnonzero(line).tolist() in ([left + 149, left + 150], [left + 150, left + 151])
    assert right < block.shape[1]
    assert BINS == 50


def test_labels_of_lines_do_not_cross() -> None:
    """Two thresholds a hundredth apart: one label stands left of its line, the other right of it."""
    scores = np.full(10, 0.9)
    marks = [Mark("accepted from", 0.31, strong=True), Mark("median", 0.30), Mark("high", 0.57)]
    both = np.asarray(histogram(Canvas(96), "", scores, scores > 1, 600, marks))
    alone = [np.asarray(histogram(Canvas(96), "", scores, scores > 1, 600, [mark])) for mark in marks]
    labels = slice(26, 42)
    for one in alone:  # every label's ink is there: nothing was laid over it
        ink = (one[labels] < 140).all(axis=2).sum()
        assert ink > 60
    assert (both[labels] < 140).all(axis=2).sum() == sum((one[labels] < 140).all(axis=2).sum() for one in alone)


def test_conditions_are_drawn_and_marked(model: FaceModel) -> None:
    picture = conditions(model, seed=3, count=3)
    record, shown = picture.record, faces_on(picture)
    assert record["attribute"] == "hair_color"
    assert len(shown) == 2 * 3 * 3
    seen = model.judge(shown).probabilities["hair_color"].argmax(axis=1)
    values = ("blue", "gray", "green")
    for place, face in enumerate(record["faces"]):
        source = record["sources"][face["style"]]
        latents = model.draw(3, source["index"], 0, face["gender"], source["where"])
        assert source["latents"] == latents.to_text()
        assert face["judge"]["seen"]["hair_color"] == values[seen[place]]
        left, _, right, bottom = face["box"]
        caption = np.asarray(picture.image.crop((left, bottom + 1, right, bottom + 18))).reshape(-1, 3).astype(int)
        ink = caption[caption.sum(axis=1).argmin()]
        agreed = values[seen[place]] == source["where"]["hair_color"]
        assert (ink[1] > ink[0]) == agreed  # green or red
    size = 4 * model.spec.noise_size
    noises = {(source["index"], base64.b64decode(source["latents"])[:size]) for source in record["sources"]}
    assert sorted(index for index, _ in noises) == [0, 1, 2]  # a row shares its noise
    total = {value: {"seen": 0, "asked": 6} for value in values}
    for place, face in enumerate(record["faces"]):
        asked = record["sources"][face["style"]]["where"]["hair_color"]
        total[asked]["seen"] += int(values[seen[place]] == asked)
    assert record["values"] == total
    assert 0 < sum(one["seen"] for one in total.values()) < 18


def test_accepted_conditions_agree(model: FaceModel) -> None:
    picture = conditions(model, seed=3, count=2, gender="female", accepted=True)
    assert all(one["seen"] == one["asked"] == 2 for one in picture.record["values"].values())


def test_conditions_of_an_independent_attribute(model: FaceModel) -> None:
    picture = conditions(model, attribute="glasses", count=2)
    assert list(picture.record["values"]) == ["no", "yes"]


def test_a_value_without_styles_is_a_gap(make_model: MakeModel) -> None:
    """The fourth hair colour has no style in the model."""
    gender, hair, _, quality = (dict(one) for one in FaceModel.load(make_model()).spec.attributes.model_dump()["attributes"])
    schema = {"name": "four", "attributes": [gender, {**hair, "values": ["blue", "gray", "green", "red"]}, quality]}
    picture = conditions(FaceModel.load(make_model(schema=schema)), count=1)
    assert picture.record["values"]["red"] == {"seen": 0, "asked": 0}
    assert len(picture.record["faces"]) == 6
    left, top, right, bottom = picture.record["faces"][2]["box"]
    gap = np.asarray(picture.image.crop((left + 100, top, right + 100, bottom)))
    assert gap.min() > 200


# -- models and errors -------------------------------------------------------------------------------------------------------


def test_a_model_without_style(make_model: MakeModel) -> None:
    plain = FaceModel.load(make_model(style_size=0))
    for kind in ("noise", "gender", "judged"):
        draw, asked = KINDS[kind]
        picture = draw(plain, **asked)
        assert (again(plain, picture.record) == faces_on(picture)).all()
    with pytest.raises(InputError, match="Type: sga explore noise"):
        styles(plain)
    with pytest.raises(InputError, match="Add --accepted"):
        conditions(plain)
    assert conditions(plain, count=1, gender="female", accepted=True).record["values"]["blue"]["asked"] == 1


def test_another_models_faces_are_refused(model: FaceModel, make_model: MakeModel, tmp_path: Path) -> None:
    path, record = gender(model, columns=2).save(tmp_path / "gender.png")
    assert (again(model, record) == again(model, json.loads(record.read_text()))).all()
    with pytest.raises(InputError, match=r"Expected a picture of the model tiny .* Load that one"):
        again(FaceModel.load(make_model(style_jitter=0.5)), record)
    with pytest.raises(InputError, match="Expected the JSON beside a picture"):
        again(model, {"kind": "gender"})
    told = json.loads(record.read_text())
    with pytest.raises(InputError, match="Expected faces that name their sources"):
        again(model, {**told, "sources": told["sources"][:1]})
    with pytest.raises(InputError, match="Expected a JSON file"):
        again(model, path.with_suffix(".txt"))


@pytest.mark.parametrize(
    ("draw", "asked", "sentence"),
    [
        (styles, {"rows": 0}, "Expected at least 1 as --rows, found 0. Type"),
        (noise, {"rows": 30, "columns": 30}, "Expected at most 400 faces on a picture, found 1800. Lower --rows or --columns"),
        (gender, {"columns": -1}, "Expected at least 1 as --columns, found -1"),
        (gender, {"gender": "man"}, "Expected gender to be one of female, male"),
        (styles, {"size": 8}, "Expected a size from 16 to 1024 pixels, found 8"),
        (styles, {"seed": -1}, "Expected a seed from 0"),
        (judged, {"count": 0}, "Expected a count from 1 to 5000, found 0"),
        (conditions, {"attribute": "quality"}, r"Expected an attribute of style \(hair_color, glasses\), found 'quality'"),
        (conditions, {"attribute": "hat"}, r"Expected an attribute of style \(hair_color, glasses\), found 'hat'"),
        (conditions, {"attribute": "glases"}, r"found 'glases'\. Did you mean glasses\?"),
    ],
)
def test_bad_numbers(model: FaceModel, draw: Callable[..., Picture], asked: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        draw(model, **asked)


# -- the canvas --------------------------------------------------------------------------------------------------------------


def test_long_texts_stay_in_their_place() -> None:
    canvas, image = Canvas(96), np.zeros((96, 96, 3), np.uint8)
    rows = [Row([Cell(image, [("an exceedingly long caption of a face", INK)]), Cell(image)], "label", "note")]
    grid, ((first, second),) = canvas.grid(rows, ["a heading that is far too long for it", ""])
    pixels = np.asarray(grid)
    assert second[0] - first[2] == 4
    assert (pixels[:, first[2] : second[0]] == 255).all()  # nothing runs over into the gap
    assert (pixels[:, : first[0]] < 200).any()
    block = canvas.heading("Title", "word " * 60, 200)
    assert block.width == 200
    assert block.height > 10 * 18


# -- the command line --------------------------------------------------------------------------------------------------------


def sga(*arguments: str | Path) -> int:
    """Run the command in this process; its exit code."""
    with pytest.raises(SystemExit) as stop:
        cli.main([str(argument) for argument in arguments])
    return int(stop.value.code or 0)


OPTIONS = {
    "styles": ["--rows", "1", "--columns", "2"],
    "noise": ["--rows", "1", "--columns", "2"],
    "gender": ["--columns", "2"],
    "judged": ["--count", "12", "--rows", "1", "--columns", "2"],
    "conditions": ["--count", "1"],
}


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_picture_and_its_json(model_path: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new" / "picture.png"
    words = ["explore", kind, *OPTIONS[kind], "--seed", "3", "--model", model_path, "--out", path]
    assert sga(*words) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"{path}\n{path.with_suffix('.json')}\n")
    record = json.loads(path.with_suffix(".json").read_text())
    with Image.open(path) as picture:
        assert picture.text["Description"] == record["alt"]  # type: ignore[attr-defined]
        assert picture.text["licence"] == "Drawn by a test: free"  # type: ignore[attr-defined]
        box = record["faces"][0]["box"]
        assert (np.asarray(picture.crop(box)) == again(FaceModel.load(model_path), record)[0]).all()
    if kind == "gender":
        assert f"mean absolute difference: {record['difference']:.1f} of 255" in told
    if kind == "judged":
        assert f"female: {record['rates']['female']['accepted']} of 12 accepted" in told
    if kind == "conditions":
        assert "hair_color: seen in" in told

    content = path.read_bytes()
    assert sga(*words) == 0  # the same bytes: nothing to overwrite
    assert sga(*words, "--gender", "male") == 2
    assert "add --overwrite" in capsys.readouterr().err
    assert path.read_bytes() == content
    assert sga(*words, "--gender", "male", "--overwrite") == 0
    assert path.read_bytes() != content


def test_a_name_of_its_own(model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["explore", "gender", "--columns", "1", "--model", model_path]
    assert sga(*words) == 0
    assert sga(*words, "--seed", "5", "--gender", "male") == 0
    names = ["gender-0.json", "gender-0.png", "gender-male-5.json", "gender-male-5.png"]
    assert sorted(path.name for path in (tmp_path / "explore-out").iterdir()) == names


def test_what_is_no_png(model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sga("explore", "gender", "--columns", "1", "--model", model_path, "--out", tmp_path / "a.jpg") == 2
    assert capsys.readouterr().err.startswith("sga: Expected a file name that ends in .png, found 'a.jpg'")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", cli.ExploreGroup.table)
def test_every_command_can_be_imported(name: str) -> None:
    entry = cli.ExploreGroup.table[name]
    assert isinstance(entry, tuple)
    module, attribute, text = entry
    assert callable(getattr(importlib.import_module(module), attribute))
    assert text.endswith(".")


def test_nothing_heavy_is_imported(model_path: Path) -> None:
    code = f"""
import sys
from sga import FaceModel
from sga.explore import Motion, encode, end, frames, styles
model = FaceModel.load({str(model_path)!r})
styles(model, rows=1, columns=1).png()
ends = [end(model, f"seed:{{seed}}")[0] for seed in (1, 2)]
motion = Motion(frames=3)
for ending in (".gif", ".webp"):
    assert encode(ending, frames(model, ends, motion), motion.timing(2))
print(*sorted({{name.partition(".")[0] for name in sys.modules}}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, timeout=120)
    heavy = {"torch", "torchvision", "timm", "lightning", "pandas", "sklearn", "scipy", "cv2", "skia", "onnx"}
    assert "PIL" in done.stdout.split()
    assert not heavy & set(done.stdout.split())
