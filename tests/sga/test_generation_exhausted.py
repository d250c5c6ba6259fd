"""Faces that never passed the judge, in places that other runs have written to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from configs.errors import ExhaustedError, InputError
from sga import FaceModel, Report
from sga.cli import main as cli
from sga.generation.sink import open_sink, read_back

COUNT, SEED = 24, 7
ASKED: dict[str, Any] = {"gender": "any", "count": COUNT, "seed": SEED, "max_attempts": 2}
PLACES = ["folder", "faces.tar", "faces.parquet"]


@pytest.fixture(scope="module")
def model(model_path: Path) -> FaceModel:
    return FaceModel.load(model_path, engine="onnxruntime", threads=2)


@pytest.fixture(scope="module")
def best(model: FaceModel) -> dict[str, bytes]:
    """PNG by name of all faces, best attempts among them; some passed, and some did not."""
    drawn = model.generate(**ASKED)
    assert 0 < sum(face.accepted for face in drawn) < COUNT
    return {name_of(face.index): face.png() for face in drawn}


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param.endswith(".parquet"):
        pytest.importorskip("pyarrow", reason="the extra tables writes parquet")
    return Path(tmp_path / request.param)


def name_of(index: int) -> str:
    return f"{index:04d}.png"


def fill(model: FaceModel, place: Path, on_exhausted: str, *, overwrite: bool = False) -> Report:
    """As `sga generate` does it."""
    report = Report()
    stream = model.stream(**ASKED, on_exhausted=on_exhausted, report=report)  # type: ignore[arg-type]
    done = {"gaps": on_exhausted == "gap", "best": on_exhausted == "best"}
    with open_sink(place, stream.expected, overwrite=overwrite, **done) as sink:
        for _ in stream.into(sink, name_of):
            pass
    return report


def there(model: FaceModel, place: Path) -> dict[str, bytes]:
    """PNG by name of what a run with "best" would not draw."""
    with open_sink(place, model.stream(**ASKED).expected, gaps=False) as sink:
        found = {name_of(index): sink.read(name_of(index)) for index in range(COUNT) if sink.has(name_of(index))}
    return {name: content for name, content in found.items() if content}


def passed(faces: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in faces.items() if (read_back(content) or {})["accepted"] == "true"}


def test_an_error_keeps_what_was_done_before_it(model: FaceModel, best: dict[str, bytes], place: Path) -> None:
    for _ in range(2):  # the second goes on where the first stopped, and stops at the same face
        with pytest.raises(ExhaustedError, match="to pass the judge within 2 attempts"):
            fill(model, place, "error")
    report = fill(model, place, "best")
    assert there(model, place) == best
    if place.suffix:
        assert [path.name for path in place.parent.iterdir()] == [place.name]
    assert 0 < report.faces < COUNT  # those done before the error were not drawn again


def test_an_error_takes_no_best_attempt_for_an_accepted_face(model: FaceModel, best: dict[str, bytes], place: Path) -> None:
    fill(model, place, "best")
    with pytest.raises(ExhaustedError, match="to pass the judge within 2 attempts"):
        fill(model, place, "error")
    assert there(model, place) == best


def test_a_gap_takes_a_best_attempt_away_where_it_may_overwrite(model: FaceModel, best: dict[str, bytes], place: Path) -> None:
    fill(model, place, "best")
    with pytest.raises(InputError, match=r"found the best attempt of one that never passed.*add --overwrite"):
        fill(model, place, "gap")
    assert there(model, place) == best
    fill(model, place, "gap", overwrite=True)
    assert there(model, place) == passed(best)
    assert fill(model, place, "gap").faces == (0 if place.suffix else COUNT - len(passed(best)))


def sga(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stop:
        cli.main(["generate", *map(str, arguments)])
    return int(stop.value.code or 0)


def test_the_command_names_what_it_kept(
    model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], best: dict[str, bytes]
) -> None:
    base = ["--gender", "any", "--count", COUNT, "--seed", SEED, "--max-attempts", "2", "--model", model_path]
    base += ["--engine", "onnxruntime"]
    for option, place in (("--out", tmp_path / "out"), ("--to", tmp_path / "faces.tar")):
        assert sga(*map(str, base), option, place, "--on-exhausted", "error") == 2
        told = capsys.readouterr().err
        assert "Traceback" not in told
        kept = int(told.split(" done before it")[0].split()[-2])
        assert f"kept {'in' if option == '--out' else 'beside'} {place}" in told
        assert "--on-exhausted best" in told
        if place.suffix:
            assert not place.exists()
        else:
            assert len(list(place.glob("*.png"))) == kept
        assert sga(*map(str, base), option, place) == 0
        assert f"{COUNT - kept} faces, " in (out := capsys.readouterr().out)
        assert f"and {kept} that were there already" in out


@pytest.mark.parametrize("on_exhausted", ["best", "gap", "error"])
def test_a_mix_that_never_passed(
    model: FaceModel, model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], on_exhausted: str
) -> None:
    one, other = (face.save(tmp_path / f"{face.index}.png") for face in model.generate("female", 2, SEED))
    base = ["--mix", one, other, "--min-quality", "1", "--on-exhausted", on_exhausted, "--model", model_path]
    out = tmp_path / "out"
    assert sga(*base, "--out", out) == (2 if on_exhausted == "error" else 0)
    told = capsys.readouterr()
    assert [path.name for path in out.glob("*.png")] == (["mix-0-1.png"] if on_exhausted == "best" else [])
    if on_exhausted == "error":
        assert "Expected the mix of" in told.err
        assert "quality" in told.err
    else:
        assert "1 face, 0 of 1 attempts accepted" in told.out
        fate = "is written as its best attempt (accepted=false)" if on_exhausted == "best" else "is left out"
        assert f"1 never passed the judge and {fate}: 0" in told.err
    if on_exhausted == "best":
        with Image.open(out / "mix-0-1.png") as picture:
            assert picture.text["accepted"] == "false"  # type: ignore[attr-defined]
        assert sga(*base, "--out", out) == 0
        assert "0 faces, 0 of 0 attempts accepted (0 %)" in (told := capsys.readouterr().out)
        assert "and 1 that were there already" in told
