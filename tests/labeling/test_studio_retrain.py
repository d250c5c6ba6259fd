"""Retraining in the background: when it starts, that there is one at a time, what becomes of a failure, and the end."""

from __future__ import annotations

import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from labeling.studio.retrain import Retrainer


def wait_for(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    """Until it holds; fails after that many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def note(path: Path, text: str) -> list[str]:
    """A command that appends to a file."""
    return python(f"open({str(path)!r}, 'a').write({text!r})")


@pytest.fixture
def retrainer(tmp_path: Path) -> Iterator[Callable[..., Retrainer]]:
    made: list[Retrainer] = []

    def make(*commands: list[str], after: int = 3, **more: Any) -> Retrainer:
        made.append(Retrainer(commands, tmp_path / "labeling" / "retrain.log", after, **more))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def test_so_many_answers_make_one_retrain(retrainer: Callable[..., Retrainer], tmp_path: Path) -> None:
    trace, told = tmp_path / "trace", list[str]()
    one = retrainer(note(trace, "pull "), note(trace, "complete "), on_change=lambda state: told.append(state.state))
    one.answered(2)
    assert one.state.state == "waiting"
    assert not trace.exists()
    one.answered(1)
    wait_for(lambda: one.state.state == "done")
    assert trace.read_text() == "pull complete "
    assert (one.state.runs, one.state.answers) == (1, 0)
    one.answered(4)
    wait_for(lambda: one.state.runs == 2 and one.state.state == "done")
    assert trace.read_text() == "pull complete pull complete "
    wait_for(lambda: told == ["running", "done", "running", "done"])


def test_one_at_a_time_and_the_next_for_those_who_answered_meanwhile(
    retrainer: Callable[..., Retrainer], tmp_path: Path
) -> None:
    go, trace = tmp_path / "go", tmp_path / "trace"
    waits = f"import pathlib, time\nwhile not pathlib.Path({str(go)!r}).exists(): time.sleep(0.02)\n"
    one = retrainer(python(waits), note(trace, "x"))
    assert one.start()
    assert not one.start()
    one.answered(5)
    assert (one.state.state, one.state.runs, one.state.answers) == ("running", 1, 5)
    go.touch()
    wait_for(lambda: one.state.runs == 2 and one.state.state == "done")
    assert trace.read_text() == "xx"


def test_counting_makes_up_for_what_was_not_reported(retrainer: Callable[..., Retrainer], tmp_path: Path) -> None:
    one = retrainer(note(tmp_path / "trace", "x"), after=3)
    one.counted(100)  # there before
    one.answered(1)
    one.counted(102)
    assert (one.state.state, one.state.answers) == ("waiting", 2)
    one.counted(103)
    wait_for(lambda: one.state.state == "done")
    one.counted(103)
    one.counted(90)  # some were deleted
    assert (one.state.runs, one.state.answers) == (1, 0)


def test_none_starts_by_itself_when_it_is_off(retrainer: Callable[..., Retrainer], tmp_path: Path) -> None:
    one = retrainer(note(tmp_path / "trace", "x"), after=0)
    one.answered(1000)
    assert one.state.state == "waiting"
    assert one.start()
    wait_for(lambda: one.state.state == "done")


def test_a_failure_is_told_and_waits_for_further_answers(retrainer: Callable[..., Retrainer], tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    fails = "import sys; print('first'); sys.exit('\\x1b[31msga: Expected labels,\\x1b[0m found none.\\x07\\n\\n')"
    one = retrainer(python(fails), note(trace, "x"))
    one.answered(3)
    wait_for(lambda: one.state.state == "failed")
    assert one.state.error == "sga: Expected labels, found none."
    assert not trace.exists()
    assert "first" in (tmp_path / "labeling" / "retrain.log").read_text()
    assert stat.S_IMODE((tmp_path / "labeling" / "retrain.log").stat().st_mode) == 0o600
    one.answered(2)
    assert one.state.runs == 1
    one.answered(1)
    wait_for(lambda: one.state.runs == 2 and one.state.state == "failed")


@pytest.mark.parametrize(
    ("command", "error"), [(python("raise SystemExit(3)"), "exit code 3"), (["/no/such/program"], "No such file")]
)
def test_a_failure_without_a_word_is_told_too(command: list[str], error: str, retrainer: Callable[..., Retrainer]) -> None:
    one = retrainer(command)
    one.start()
    wait_for(lambda: one.state.state == "failed")
    assert error in one.state.error


def test_stopping_ends_the_command_and_its_children(retrainer: Callable[..., Retrainer], tmp_path: Path) -> None:
    pids, trace = tmp_path / "pids", tmp_path / "trace"
    child = "import time; time.sleep(60)"
    code = (
        "import os, pathlib, subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}])\n"
        f"pathlib.Path({str(pids)!r}).write_text(f'{{os.getpid()}} {{child.pid}} .')\n"
        "time.sleep(60)\n"
    )
    one = retrainer(python(code), note(trace, "x"))
    one.start()
    wait_for(lambda: pids.exists() and pids.read_text().endswith("."))
    began = time.monotonic()
    one.stop()
    assert time.monotonic() - began < 5
    wait_for(lambda: not any(alive(int(pid)) for pid in pids.read_text().split()[:2]))
    assert not trace.exists()
    assert not one.start()


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and that nobody has asked about does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_retrain_of_a_backend_that_was_killed_is_not_doubled(retrainer: Callable[..., Retrainer], tmp_path: Path) -> None:
    go = tmp_path / "go"
    waits = f"import pathlib, time\nwhile not pathlib.Path({str(go)!r}).exists(): time.sleep(0.02)\n"
    first, second = retrainer(python(waits)), retrainer(note(tmp_path / "trace", "x"))
    first.start()
    wait_for(lambda: first._process is not None)
    second.start()
    wait_for(lambda: second.state.state == "failed")
    assert "still running" in second.state.error
    go.touch()
    wait_for(lambda: first.state.state == "done")
    second.start()
    wait_for(lambda: second.state.state == "done")
