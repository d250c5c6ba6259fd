"""`sga generate --to`: thousands of faces in one file, killed by the system and gone on with."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COUNT = 200


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "sga.cli.main", "generate", *map(str, arguments)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", "TERM": "xterm"}


def run(*arguments: str | Path, **added: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=120, env={**environment(), **added})


def killed(watched: Path, size: int, *arguments: str | Path) -> None:
    """Kill the command as soon as a file has grown to a size, or a folder to as many files."""
    process = subprocess.Popen(command(*arguments), env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 100
        while time.monotonic() < deadline and process.poll() is None:
            if watched.exists() and (len([*watched.iterdir()]) if watched.is_dir() else watched.stat().st_size) >= size:
                break
            time.sleep(0.005)
        assert process.poll() is None, "ended before it could be killed"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(30)


@pytest.mark.parametrize("kind", ["folder", "tar", "parquet"])
def test_kill_and_type_again(model_path: Path, tmp_path: Path, kind: str) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow", reason="the extra tables writes parquet")
    base = ["--gender", "any", "--seed", "5", "--count", COUNT, "--model", model_path, "--engine", "onnxruntime"]
    whole, place = (tmp_path / name / (kind if kind == "folder" else f"faces.{kind}") for name in ("whole", "killed"))
    option = "--out" if kind == "folder" else "--to"
    assert run(*map(str, base), option, whole).returncode == 0
    watched, sizes = (place, (40, 120)) if kind == "folder" else (place.with_name(f".{place.name}.part"), (300_000, 1_500_000))
    for size in sizes:
        killed(watched, size, *map(str, base), option, place)
    done = run(*map(str, base), option, place)
    assert done.returncode == 0, done.stderr
    drawn, there = (int(done.stdout.split(mark)[0].split()[-1]) for mark in (" faces,", " that were there"))
    assert drawn + there == COUNT
    assert there > 30
    one, other = (sorted(path for path in root.parent.rglob("*") if path.is_file()) for root in (whole, place))
    assert [path.name for path in one] == [path.name for path in other]
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]


def test_ids_into_a_tar(model_path: Path, tmp_path: Path) -> None:
    (tmp_path / "ids.csv").write_text("id\n" + "".join(f"user-{number}\n" for number in range(20)))
    for _ in range(2):
        done = run("--ids", tmp_path / "ids.csv", "--to", tmp_path / "faces.tar", "--model", model_path)
        assert done.returncode == 0, done.stderr
    with tarfile.open(tmp_path / "faces.tar") as tar:
        assert tar.getnames() == [f"user-{number}.png" for number in range(20)]
    assert (tmp_path / "faces.index.csv").read_text().count("\n") == 21


def test_a_sheet_of_faces_that_were_there(model_path: Path, tmp_path: Path) -> None:
    base = ["--gender", "any", "--seed", "5", "--count", "30", "--model", model_path, "--sheet"]
    sheets = []
    for _ in range(2):
        assert run(*base, "--to", tmp_path / "faces.tar").returncode == 0
        sheets.append((tmp_path / "faces.sheet.png").read_bytes())
        (tmp_path / "faces.sheet.png").unlink()
    assert sheets[0] == sheets[1]


@pytest.mark.parametrize(
    ("asked", "unit"), [(["--gender", "any", "--seed", "5", "--count", "300"], "accepted/s"), ([], "faces/s")]
)
def test_the_bar_shows_on_a_terminal_alone(model_path: Path, tmp_path: Path, asked: list[str], unit: str) -> None:
    (tmp_path / "ids.csv").write_text("id\n" + "".join(f"user-{number}\n" for number in range(300)))
    base = [*(asked or ["--ids", tmp_path / "ids.csv"]), "--model", model_path]
    quiet = run(*base, "--to", tmp_path / "quiet.tar", FORCE_COLOR="1")
    assert quiet.returncode == 0
    assert unit not in quiet.stderr
    assert "\x1b" not in quiet.stderr
    master, slave = pty.openpty()
    process = subprocess.Popen(
        command(*base, "--to", tmp_path / "faces.tar"), env=environment(), stdout=subprocess.DEVNULL, stderr=slave
    )
    os.close(slave)
    shown = b""
    while True:
        try:
            piece = os.read(master, 4096)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        shown += piece
    assert process.wait(60) == 0
    os.close(master)
    told = shown.decode(errors="replace")
    assert "/300" in told
    assert unit in told
    assert "0:00:" in told


@pytest.mark.parametrize(
    ("added", "sentence"),
    [
        (["--to", "faces.zip"], "Expected a file that ends in .tar or .parquet, found faces.zip"),
        (["--to", "faces.tar", "--out", "faces"], "Expected --out FOLDER or --to FILE, found both"),
        (["--engine", "tensorrt"], "Expected an engine (auto, onnxruntime, openvino), found 'tensorrt'"),
    ],
)
def test_what_is_refused(tmp_path: Path, added: list[str], sentence: str) -> None:
    done = subprocess.run(
        command("--gender", "any", *added), capture_output=True, text=True, timeout=60, env=environment(), cwd=tmp_path
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"sga: {sentence}")
    assert not list(tmp_path.iterdir())
