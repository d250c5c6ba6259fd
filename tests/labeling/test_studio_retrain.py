"""Retraining in the background: when it starts, that there is one at a time, what becomes of a failure, and the end; and once
in earnest."""

from __future__ import annotations

import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any

import numpy as np
import pytest
import yaml

from labeling.predictions import Predictions
from labeling.provenance import Source
from labeling.studio.attach import Attachment
from labeling.studio.client import StudioClient
from labeling.studio.push import push
from labeling.studio.retrain import Retrainer
from labeling.studio.serving import run_backend
from labeling.studio.tasks import Question
from labeling.workspace import Workspace
from sga.cli.label_backend import retrain_commands


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> None:
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


class Late:
    """The lock of a retrainer, after whose release whoever began a run goes on when that has ended."""

    def __init__(self, retrainer: Retrainer) -> None:
        self._lock, self._retrainer = retrainer._lock, retrainer

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *error: Any) -> None:
        self._lock.release()
        if current_thread() is main_thread():
            wait_for(lambda: self._retrainer.state.state != "running")


def test_a_run_that_ends_at_once_is_told_in_order(retrainer: Callable[..., Retrainer]) -> None:
    told = list[str]()
    one = retrainer(on_change=lambda state: told.append(state.state))
    one._lock = Late(one)  # type: ignore[assignment]
    assert one.start()
    wait_for(lambda: len(told) == 2)
    assert told == ["running", "done"]


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


def test_stopping_ends_the_command_and_its_children(
    retrainer: Callable[..., Retrainer], tmp_path: Path, alive: Callable[[int], bool]
) -> None:
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
    numbers = [int(pid) for pid in pids.read_text().split()[:2]]
    assert all(map(alive, numbers))
    began = time.monotonic()
    one.stop()
    assert time.monotonic() - began < 10
    wait_for(lambda: not any(map(alive, numbers)))
    assert not trace.exists()
    assert not one.start()


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


# --- with a workspace and a Label Studio ------------------------------------------------------------------------------


@pytest.fixture
def space(faces_workspace: Path, copy_of: Callable[[Path], Path]) -> Workspace:
    return Workspace(copy_of(faces_workspace))


def test_a_closed_terminal_and_an_impatient_person_end_the_training(
    studio: StudioClient, space: Workspace, tmp_path: Path, alive: Callable[[int], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(text: str) -> None:
        raise OSError("Input/output error")

    def impatient(attachment: Attachment) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Attachment, "detach", impatient)  # Ctrl-C for the second time
    pid = tmp_path / "pid"
    code = f"import os, pathlib, time; pathlib.Path({str(pid)!r}).write_text(f'{{os.getpid()}} .'); time.sleep(60)"
    with suppress(KeyboardInterrupt), run_backend(space, studio.connection, [python(code)], 0, say=closed) as backend:
        assert backend._retrainer.start()
        wait_for(lambda: pid.exists() and pid.read_text().endswith("."))
        assert alive(int(pid.read_text().split()[0]))
        raise KeyboardInterrupt
    assert not alive(int(pid.read_text().split()[0]))


def test_the_real_commands_learn_from_what_people_said(
    studio: StudioClient, space: Workspace, tiny_settings: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    preset, whole = tmp_path / "tiny.yaml", tiny_settings["ensemble"]
    preset.write_text(yaml.safe_dump({**whole, "fit": {**whole["fit"], "images": 256}}))
    table, log, said = space.table(), space.root / "labeling" / "retrain.log", list[str]()
    rows = np.flatnonzero(~table.labelled("gender"))[:3]
    files = table.frame["file"].to_numpy()[rows]
    questions = [Question(face, space.root / file, file) for face, file in zip(table.faces[rows], files, strict=True)]
    connection = replace(studio.connection, server=studio.connection.url, files_at=None)  # the commands are told of it
    with StudioClient(connection) as client:
        project = push(client, space, table.schema["gender"], questions).project
        tasks = [number for number, _ in client.tasks(project.id)]
        commands = retrain_commands(space.root, str(preset))
        with run_backend(space, connection, commands, 2, say=said.append) as backend:
            for number, value in zip(tasks, ("female", "male"), strict=False):
                chosen = {"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": [value]}}
                client.annotate(number, [chosen])
            backend.look()
            wait_for(lambda: backend._retrainer.state.state in ("done", "failed"), 180)
            assert backend._retrainer.state.state == "done", log.read_text()
            backend.look()
            version = Predictions.load(space.folder("ensemble") / "predictions.npz").version
            assert client.project(project.id)["model_version"] == version
    now = space.table()
    assert (now.sources("gender")[rows] == Source.HUMAN).tolist() == [True, True, False]
    assert now.codes("gender")[rows[:2]].tolist() == [0, 1]
    assert space.state("ensemble") == "done"
    assert said[-1] == "Retrain 1 is done."
    assert connection.token not in log.read_text() + "".join(said)
