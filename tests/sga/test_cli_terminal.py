"""What a log gets where colours are forced: no bar, no escape code, nothing cut; and tests that know nothing of yours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from configs.terminal import console
from sga.cli import evaluate
from sga.cli.progress import drawing, progress_of

ROOT = Path(__file__).parents[2]


@pytest.fixture
def forced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")


@pytest.mark.usefixtures("forced")
def test_bars_stay_out_of_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_of("faces") as moved, drawing(10) as drawn:
        moved(5, 10)
        drawn(5, 2.0)
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("forced")
def test_a_training_writes_no_escape_codes_into_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    runtime = pytest.importorskip("classifiers.runtime", reason="the extra train trains", exc_type=ImportError)
    with runtime.progress_bar() as bar:
        bar.update(bar.add_task("training", total=2, note=""), completed=2)
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.usefixtures("forced")
def test_tables_are_whole_and_plain_in_a_pipe(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from sga.evaluation.report import TableBlock

    monkeypatch.setenv("COLUMNS", "40")
    header = [f"column {number}" for number in range(9)]
    evaluate._show(TableBlock("Title", header, [["1.0"] * 9], ("a note",)))
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert any(all(name in line for name in header) for line in told.splitlines())


def test_a_terminal_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream, stderr in ((sys.stdout, False), (sys.stderr, True)):
        assert not console(stderr=stderr).is_terminal
        monkeypatch.setattr(stream, "isatty", lambda: True)
        assert console(stderr=stderr).is_terminal


def test_the_tests_know_nothing_of_your_terminal() -> None:
    """The help of a command, which is coloured and wrapped by what typer reads as it is imported, in a run of its own."""
    yours = {"FORCE_COLOR": "1", "GITHUB_ACTIONS": "true", "PY_COLORS": "1", "TTY_COMPATIBLE": "1", "COLUMNS": "40"}
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "tests/sga/test_cli_generate_ids.py", "-k", "help"]
    environment = {**os.environ, **yours, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
