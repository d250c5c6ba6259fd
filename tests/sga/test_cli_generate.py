"""`sga generate` and `sga`: what is printed, what is written, and what becomes of bad input."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from configs.errors import InputError
from sga.cli import main as cli

ROOT = Path(__file__).parents[2]
GENERATE = ["generate", "--gender", "female", "--seed", "7"]


def sga(*arguments: str | Path) -> int:
    """Run the command in this process; its exit code."""
    with pytest.raises(SystemExit) as stop:
        cli.main([str(argument) for argument in arguments])
    return int(stop.value.code or 0)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())} if folder.exists() else {}


def test_faces_are_written_and_told(model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sga(*GENERATE, "--count", "5", "--model", model_path, "--out", tmp_path / "a") == 0
    told = capsys.readouterr().out
    assert "female, seed 7: 5 faces, 5 of " in told
    assert "attempts accepted" in told
    assert list(files(tmp_path / "a")) == [f"female-7-{index:04d}.png" for index in range(5)]
    assert sga(*GENERATE, "--count", "12", "--model", model_path, "--out", tmp_path / "b") == 0
    more = files(tmp_path / "b")
    assert len(more) == 12
    assert all(more[name] == content for name, content in files(tmp_path / "a").items())


def test_a_seed_of_its_own_is_told(model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sga("generate", "--gender", "any", "--model", model_path, "--out", tmp_path / "a") == 0
    seed = capsys.readouterr().out.split("seed ")[1].split(":")[0]
    assert sga("generate", "--gender", "any", "--model", model_path, "--out", tmp_path / "b", "--seed", seed) == 0
    assert files(tmp_path / "a") == files(tmp_path / "b")


@pytest.mark.parametrize("place", ["alone", "before an option", "with a file", "as one word"])
def test_the_sheet(model_path: Path, tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]) -> None:
    out, named = tmp_path / "out", tmp_path / "my sheet.png"
    base = [*GENERATE, "--count", "3", "--model", model_path, "--out", out]
    added = {
        "alone": [*base, "--sheet"],
        "before an option": [*base, "--sheet", "--max-attempts", "30"],
        "with a file": [*base, "--sheet", named],
        "as one word": [*base, f"--sheet={named}"],
    }[place]
    assert sga(*added) == 0
    path = out / "sheet.png" if place in ("alone", "before an option") else named
    with Image.open(path) as sheet:
        assert sheet.size == (2 * 100 + 4, 2 * 114 + 4)
    assert f"sheet: {path}" in capsys.readouterr().out
    assert len(list(out.glob("female-*.png"))) == 3


def test_faces_that_never_passed_are_named(model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = [*GENERATE, "--count", "6", "--max-attempts", "2", "--min-quality", "0.99", "--model", model_path]
    assert sga(*base, "--out", tmp_path / "best") == 0
    assert "6 never passed the judge and are written as their best attempts (accepted=false): 0, 1" in capsys.readouterr().err
    assert len(files(tmp_path / "best")) == 6
    with Image.open(tmp_path / "best/female-7-0000.png") as picture:
        assert picture.text["accepted"] == "false"  # type: ignore[attr-defined]
    assert sga(*base, "--out", tmp_path / "gap", "--on-exhausted", "gap") == 0
    assert "6 never passed the judge and are left out: 0, 1" in capsys.readouterr().err
    assert files(tmp_path / "gap") == {}
    assert sga(*base, "--out", tmp_path / "error", "--on-exhausted", "error", "--sheet") == 2
    assert "Expected face 0 of seed 7 to pass the judge within 2 attempts" in capsys.readouterr().err
    assert not (tmp_path / "error").exists()


def test_where_on_the_command_line(model_path: Path, tmp_path: Path) -> None:
    where = ["--where", "hair_color=green", "--max-attempts", "60", "--on-exhausted", "error"]
    assert sga(*GENERATE, *where, "--model", model_path, "--out", tmp_path) == 0
    assert len(files(tmp_path)) == 1


def test_other_pictures_are_kept(model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = [*GENERATE, "--model", model_path, "--out", tmp_path]
    assert sga(*base) == 0
    before = files(tmp_path)
    assert sga(*base) == 0
    assert sga(*base, "--min-quality", "1", "--max-attempts", "1") == 2
    assert "add --overwrite" in capsys.readouterr().err
    assert files(tmp_path) == before
    assert sga(*base, "--min-quality", "1", "--max-attempts", "1", "--overwrite") == 0
    assert files(tmp_path) != before


BAD = {
    "count 0": (["--count", "0"], "Expected a count of at least 1, found 0"),
    "negative count": (["--count", "-2"], "Expected a count of at least 1, found -2"),
    "negative seed": (["--seed", "-2"], "Expected a seed from 0"),
    "unknown gender": (["--gender", "man"], "Expected a gender (female, male or any), found 'man'"),
    "no attempts": (["--max-attempts", "0"], "Expected at least 1 attempt, found 0"),
    "quality": (["--min-quality", "best"], "Expected quality to be one of low, median, high"),
    "where": (["--where", "hair_color"], "Expected NAME=VALUE, found 'hair_color'"),
    "unknown attribute": (["--where", "hat=yes"], "Expected an attribute (gender, hair_color, glasses, quality), found 'hat'"),
    "no model": (["--model", "/nowhere"], "Expected a model folder with a model.json at /nowhere, found none"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(model_path: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    added, sentence = BAD[name]
    assert sga(*GENERATE, "--model", model_path, "--out", tmp_path / "out", *added) == 2
    told = capsys.readouterr()
    assert told.err.startswith(f"sga: {sentence}")
    assert told.err.count("\n") == 1
    assert told.out == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("broken", ["missing", "tampered", "format"])
def test_bad_model_folder(model_path: Path, tmp_path: Path, broken: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(shutil.copytree(model_path, tmp_path / "model"))
    if broken == "missing":
        (folder / "judge.onnx").unlink()
    elif broken == "tampered":
        (folder / "judge.onnx").write_bytes((folder / "judge.onnx").read_bytes() + b"\0")
    else:
        raw = json.loads((folder / "model.json").read_text())
        (folder / "model.json").write_text(json.dumps({**raw, "format": 99}))
    assert sga(*GENERATE, "--model", folder, "--out", tmp_path / "out") == 2
    expected = {"missing": "Expected judge.onnx", "tampered": "SHA-256", "format": "Expected format 1"}[broken]
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_unwritable_out(model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    assert sga(*GENERATE, "--model", model_path, "--out", tmp_path / "file" / "out") == 2
    assert "Expected to write" in capsys.readouterr().err


def command(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the command as a process of its own."""
    words = [sys.executable, "-m", "sga.cli.main", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "TERM": "dumb", "COLUMNS": "200"}
    return subprocess.run(words, capture_output=True, text=True, timeout=120, env=environment, **options)  # type: ignore[call-overload,no-any-return]


def test_a_full_disk_leaves_nothing_half_written(model_path: Path, tmp_path: Path) -> None:
    """The kernel refuses the write midway: no file may grow beyond 2,000 bytes."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    done = command(*GENERATE, "--count", "3", "--model", model_path, "--out", tmp_path / "out", preexec_fn=limit)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("sga: Expected to write")
    assert done.stderr.count("\n") == 1
    assert files(tmp_path / "out") == {}


def test_the_command_as_a_process(model_path: Path, tmp_path: Path) -> None:
    done = command(*GENERATE, "--count", "2", "--model", model_path, "--out", tmp_path / "out", "--sheet")
    assert done.returncode == 0, done.stderr
    assert not {"Traceback", "sga:"} & set(done.stderr.split())  # a native library may print a line of its own
    assert set(files(tmp_path / "out")) == {"female-7-0000.png", "female-7-0001.png", "sheet.png"}


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    import sga as package

    assert sga("--version") == 0
    assert capsys.readouterr().out == f"sga {package.__version__}\n"


def test_help_names_every_command() -> None:
    done = command("--help")
    assert done.returncode == 0
    for name in cli.RootGroup.table:
        assert name in done.stdout
    assert "tune" in command("quality", "--help").stdout


@pytest.mark.parametrize("entry", [*cli.RootGroup.table.values(), *cli.QualityGroup.table.values()], ids=str)
def test_every_command_can_be_imported(entry: object) -> None:
    import importlib

    if isinstance(entry, tuple):
        module, attribute, text = entry
        assert callable(getattr(importlib.import_module(module), attribute))
        assert text.endswith(".")


def test_completion_is_offered() -> None:
    def complete(words: str) -> list[str]:
        asked = {"_SGA_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        code = [sys.executable, "-c", "from sga.cli.main import main; main()"]
        environment = {**os.environ, **asked, "PYTHONPATH": str(ROOT)}
        return subprocess.run(code, capture_output=True, text=True, env=environment, timeout=60).stdout.split()

    assert complete("sga gen") == ["generate"]
    assert complete("sga quality t") == ["tune"]
    assert "--min-quality" in complete("sga generate --m")
    assert {"--install-completion", "--show-completion"} <= set(command("--help").stdout.split())


def test_an_interruption_is_130(model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sga.generation.FaceModel.load", interrupted)
    assert sga(*GENERATE, "--model", model_path, "--out", tmp_path) == 130


def test_a_poor_terminal_is_no_reason_to_fail(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    words = [sys.executable, "-m", "sga.cli.main", "generate", "--gender", "female", "--model", str(tmp_path / "ß…")]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("sga: Expected a model folder")


def test_every_exit_code_is_told() -> None:
    from sga.cli.options import STOPPED

    told = (cli.main.__doc__ or "").split()
    assert {"0", "2", str(STOPPED), "130"} <= set(told)


def test_usage_errors_end_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert sga("generate") == 2
    assert "--gender" in capsys.readouterr().err
    assert sga("statos") == 2
    assert "status" in capsys.readouterr().err


def test_what_becomes_of_errors(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A user's error is a sentence, a missing extra names its command, an interruption is 130, a bug keeps its traceback."""

    def raising(error: BaseException) -> object:
        def app(**_: object) -> None:
            raise error

        return app

    for error, code, sentence in (
        (InputError("Expected this, found that."), 2, "sga: Expected this, found that.\n"),
        (ModuleNotFoundError("No module named 'torch'", name="torch.nn"), 2, "pip install 'sga-gan[train]'"),
        (KeyboardInterrupt(), 130, ""),
    ):
        monkeypatch.setattr(cli, "app", raising(error))
        assert sga("status") == code
        assert sentence in capsys.readouterr().err
    for bug in (ZeroDivisionError("a bug"), ModuleNotFoundError("No module named 'sga.typo'", name="sga.typo")):
        monkeypatch.setattr(cli, "app", raising(bug))
        with pytest.raises(type(bug)):
            cli.main(["status"])
