"""`sga generate` of IDs, after pictures and by attribute: what is written and told, and which options do not go together."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sga import FaceModel
from sga.cli import main as cli
from sga.generation.metadata import read_metadata

ROOT = Path(__file__).parents[2]


def sga(*arguments: str | Path) -> int:
    """Run the command in this process; its exit code."""
    with pytest.raises(SystemExit) as stop:
        cli.main(["generate", *map(str, arguments)])
    return int(stop.value.code or 0)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.fixture
def ids(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text('﻿id,gender,team\nuser-42,,a\nuser-43,male,b\nuser-42,any,c\n"Ünï, code",female,\n', encoding="utf-8")
    return path


def test_one_id(model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sga("--id", "user-42", "--model", model_path, "--out", tmp_path) == 0
    face = FaceModel.load(model_path).avatar("user-42")
    assert (tmp_path / "user-42.png").read_bytes() == face.png()
    assert capsys.readouterr().out == f"user-42: {face.gender}, attempt {face.attempt}, in {tmp_path / 'user-42.png'}\n"
    assert sga("--id", "user-42", "--gender", "male", "--model", model_path, "--out", tmp_path) == 0
    assert (tmp_path / "user-42~male.png").exists()
    assert sga("--id", "--odd", "--model", model_path, "--out", tmp_path) == 0
    assert len(list(tmp_path.glob("odd~*.png"))) == 1


def test_many_ids(model_path: Path, tmp_path: Path, ids: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert sga("--ids", ids, "--model", model_path, "--out", out, "--sheet") == 0
    told = capsys.readouterr()
    assert told.out.startswith(f"3 faces of {ids}, in {out}; index: {out / 'people.index.csv'}\n")
    assert told.err == "Rows that repeat an ID, which was drawn once: 1.\nColumns that are not read: team.\n"
    model, index = FaceModel.load(model_path), rows(out / "people.index.csv")
    assert [row["id"] for row in index] == ["user-42", "user-43", "Ünï, code"]
    for row, gender in zip(index, (None, "male", "female"), strict=True):
        face = model.avatar(row["id"], gender)
        assert face.latents is not None
        assert (out / row["file"]).read_bytes() == face.png()
        assert (row["gender"], int(row["attempt"]), row["latents"]) == (face.gender, face.attempt, face.latents.digest)
    with Image.open(out / "sheet.png") as sheet:
        assert sheet.size == (2 * 100 + 4, 2 * 114 + 4)


def test_the_same_ids_again_draw_nothing(model_path: Path, tmp_path: Path, ids: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    assert sga("--ids", ids, "--model", model_path, "--out", out) == 0
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in out.glob("*.png")}
    index = (out / "people.index.csv").read_bytes()
    (out / "user-43~male.png").unlink()
    drawn: list[int] = []
    render = FaceModel.render_latents

    def counted(model: FaceModel, latents: list[object]) -> np.ndarray:
        drawn.append(len(latents))
        return render(model, latents)  # type: ignore[arg-type]

    monkeypatch.setattr(FaceModel, "render_latents", counted)
    assert sga("--ids", ids, "--model", model_path, "--out", out, "--sheet") == 0
    assert drawn == [1]
    with Image.open(out / "sheet.png") as sheet, Image.open(out / "user-42.png") as first:
        assert (np.asarray(sheet)[4:100, 4:100] == np.asarray(first)).all()  # also of one that was there
    after = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in out.glob("user*.png")}
    after |= {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in out.glob("*~*.png")}
    assert after.keys() == before.keys()
    assert [name for name in before if after[name] != before[name]] == ["user-43~male.png"]
    assert after["user-43~male.png"][0] == before["user-43~male.png"][0]
    assert (out / "people.index.csv").read_bytes() == index


def test_a_registry_on_the_command_line(
    model_path: Path, tmp_path: Path, ids: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    registry = tmp_path / "avatars.parquet"
    ids.write_text("id\n" + "".join(f"user-{number}\n" for number in range(30)))
    base = ["--ids", ids, "--registry", registry, "--model", model_path]
    assert sga(*base, "--min-distance", "4.3", "--out", tmp_path / "a") == 0
    table = parquet.read_table(registry)
    index = rows(tmp_path / "a" / "people.index.csv")
    assert [int(row["attempt"]) for row in index] == table["attempt"].to_pylist()
    own = [FaceModel.load(model_path).avatar_attempt(f"user-{number}") for number in range(30)]
    assert table["attempt"].to_pylist() != own
    assert sga(*base, "--out", tmp_path / "b") == 0
    for row in index:
        assert (tmp_path / "b" / row["file"]).read_bytes() == (tmp_path / "a" / row["file"]).read_bytes()
    capsys.readouterr()
    assert sga("--ids", ids, "--model", model_path, "--out", tmp_path / "a") == 2  # those there are a registry's
    assert "Expected no other picture at" in capsys.readouterr().err


def test_an_index_does_not_replace_another_file(
    model_path: Path, tmp_path: Path, ids: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "people.index.csv").write_text("mine\n")
    assert sga("--ids", ids, "--model", model_path, "--out", tmp_path / "out") == 2
    assert "Expected no file at" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["people.index.csv"]


@pytest.mark.parametrize("typed", [["--hair-color", "green"], ["--hair-color=green"], ["--hair_color", "green"]])
def test_an_attribute_is_an_option(model_path: Path, tmp_path: Path, typed: list[str]) -> None:
    base = ["--gender", "female", "--seed", "7", "--max-attempts", "60", "--model", model_path]
    assert sga(*base, *typed, "--glasses", "--out", tmp_path / "a") == 0
    where = ["--where", "hair_color=green", "--where", "glasses=yes"]
    assert sga(*base, *where, "--out", tmp_path / "b") == 0
    [one], [other] = ((tmp_path / name).iterdir() for name in "ab")
    assert one.read_bytes() == other.read_bytes()
    metadata = read_metadata(one)
    assert metadata is not None
    assert metadata.text["where"] == "hair_color=green glasses=yes"


def test_after_pictures(model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["--model", model_path, "--seed", "3", "--out", tmp_path]
    assert sga("--gender", "female", "--count", "2", *base) == 0
    one, other = tmp_path / "female-3-0000.png", tmp_path / "female-3-0001.png"
    assert sga("--like", one, "--count", "3", *base) == 0
    assert sga("--variations", one, "--strength", "0.2", *base) == 0
    assert sga("--mix", one, other, *base) == 0
    Image.new("RGB", (96, 96), "red").save(tmp_path / "red.png")
    assert sga("--mix", one, tmp_path / "red.png", "--count", "2", "--max-attempts", "2", *base) == 0
    told = capsys.readouterr().out
    assert f"style of {one}, noise of {other}: 1 face" in told
    assert f"styles of {one} and {tmp_path / 'red.png'} half and half, seed 3 (not both are faces of this model)" in told
    names = sorted(path.name for path in tmp_path.glob("*.png"))
    assert [name for name in names if name.startswith("like")] == [f"like-female-3-0000-3-{i:04d}.png" for i in range(3)]
    assert sum(name.startswith("variation-female-3-0000-3-") for name in names) == 8
    assert "mix-female-3-0000-female-3-0001.png" in names
    assert sum(name.startswith("mix-female-3-0000-red-3-") for name in names) == 2
    for name in names:
        if name == "red.png":
            continue
        assert sga("--again", tmp_path / name, "--model", model_path, "--out", tmp_path / "again") == 0
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes()
        assert "the same file bit for bit" in capsys.readouterr().out


_UNKNOWN = "Expected an option of sga generate or an attribute of style of this model (--hair-color, --glasses), found"
_SEEDED = "--gender, --like, --mix, --variations alone"
BAD = {
    "nothing": ([], "Expected --gender female, male or any, or one of --id"),
    "two": (["--id", "a", "--like", "b"], "Expected one of --id, --ids, --like, --mix, --variations, --again, found --id and"),
    "id and seed": (["--id", "a", "--seed", "3"], f"Expected --seed with {_SEEDED}, found it with --id. Leave it out."),
    "id and count": (["--id", "a", "--count", "3"], f"Expected --count with {_SEEDED}"),
    "id and quality": (["--id", "a", "--min-quality", "high"], "Expected --min-quality with"),
    "id and where": (["--id", "a", "--where", "hair_color=blue"], "Expected --where with --gender alone"),
    "id and hair": (["--id", "a", "--hair-color", "blue"], "Expected --hair-color with --gender alone"),
    "again and a file": (
        ["--again", "a.png", "--to", "b.tar"],
        "Expected --to with --gender, --like, --mix, --variations, --id",
    ),
    "ids and truncation": (["--ids", "a", "--truncation", "0.5"], "Expected --truncation with --gender, --like, --mix alone"),
    "registry": (["--gender", "male", "--registry", "a.parquet"], "Expected --registry with --id, --ids alone"),
    "distance": (["--id", "a", "--min-distance", "3"], "Expected --registry beside --min-distance"),
    "strength": (["--gender", "male", "--strength", "0.2"], "Expected --strength with --variations alone"),
    "variations and gender": (["--variations", "a", "--gender", "male"], "Expected --gender with --gender, --id"),
    "empty id": (["--id", ""], "Expected an ID of at least one character"),
    "gender of an id": (["--id", "a", "--gender", "woman"], "Expected a gender"),
    "no file": (["--ids", "none.csv"], "Expected a CSV of IDs at none.csv"),
    "no picture": (["--like", "none.png"], "Expected a picture at none.png"),
    "mistyped option": (["--gender", "male", "--sede", "3"], f"{_UNKNOWN} --sede. Did you mean --seed?"),
    "mistyped attribute": (["--gender", "male", "--hiar-color", "x"], f"{_UNKNOWN} --hiar-color. Did you mean --hair-color?"),
    "another role": (["--gender", "male", "--quality", "high"], f"{_UNKNOWN} --quality."),
    "mistyped value": (["--gender", "male", "--hair-color", "gren"], "Expected hair_color to be one of blue, gray, green"),
    "two values": (
        ["--gender", "male", "--hair-color", "gray", "--where", "hair_color=blue"],
        "Expected one value of hair_color",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_go_together(
    model_path: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    typed, sentence = BAD[name]
    assert sga(*typed, "--model", model_path, "--out", tmp_path / "out") == 2
    told = capsys.readouterr()
    assert told.err.startswith(f"sga: {sentence}"), told.err
    assert told.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_help_names_all_ways(capsys: pytest.CaptureFixture[str]) -> None:
    assert sga("--help") == 0
    told = capsys.readouterr().out
    for name in ("--id", "--ids", "--registry", "--like", "--mix", "--variations", "--again", "--truncation", "--strength"):
        assert name in told
    assert "--attribute" not in told


def test_ids_from_a_pipe(model_path: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "sga.cli.main", "generate", "--ids", "/dev/stdin", "--model", str(model_path)]
    done = subprocess.run(
        [*words, "--out", str(tmp_path)],
        input="id,gender\na,male\nb,\n",
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2 faces of /dev/stdin")
    model = FaceModel.load(model_path)
    for name, face in (("a~male.png", model.avatar("a", "male")), ("b.png", model.avatar("b"))):
        assert (tmp_path / name).read_bytes() == face.png()
