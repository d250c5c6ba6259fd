"""The program label-studio and the command that starts it: which one is taken, and what ends it."""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from configs.errors import StudioError
from labeling.studio.process import installed_version
from labeling.studio.server import TESTED_VERSION, find_executable, version_warning
from sga.cli.label_studio import interrupted_by_signals

Script = Callable[[str], Path]
TESTS = Path(__file__).parents[1]
YOURS = ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY", "SGA_WORKSPACE")


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """`script(lines)`: a program of these shell commands in the place of label-studio."""

    def write(lines: str) -> Path:
        path = tmp_path / "label-studio"
        path.write_text(f"#!/bin/sh\n{lines}\n")
        path.chmod(0o755)
        return path

    return write


def test_the_program_is_found(script: Script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SGA_LABEL_STUDIO", raising=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "elsewhere" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(StudioError, match="found none beside this Python or on PATH"):
        find_executable()
    program = script("exit 0")
    assert find_executable(str(program)) == program
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_executable() == program
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert find_executable() == program
    monkeypatch.setenv("SGA_LABEL_STUDIO", str(tmp_path / "none"))
    with pytest.raises(StudioError, match=f"found none as {tmp_path}/none"):
        find_executable()


def test_another_version_is_one_line() -> None:
    assert version_warning(TESTED_VERSION) is None
    assert version_warning("1.0.0") == (
        f"This Label Studio is version 1.0.0; tested with {TESTED_VERSION}. Should something fail, use that one."
    )


def test_a_program_knows_its_version(studio_executable: Path, script: Script, tmp_path: Path) -> None:
    assert installed_version(studio_executable) == TESTED_VERSION
    link = tmp_path / "linked"
    link.symlink_to(studio_executable)
    assert installed_version(link) == TESTED_VERSION
    assert installed_version(script("exit 0")) == ""
    assert installed_version(tmp_path / "none") == ""


# --- what ends the command --------------------------------------------------------------------------------------------


@pytest.fixture
def hangup() -> Iterator[Callable[[Any], None]]:
    """`hangup(handler)`: what SIGHUP does until the test ends."""
    before = signal.getsignal(signal.SIGHUP)
    yield lambda handler: signal.signal(signal.SIGHUP, handler)
    signal.signal(signal.SIGHUP, before)


def wait_for(number: signal.Signals) -> None:
    """Send this process a signal, and wait for what comes of it."""
    os.kill(os.getpid(), number)
    signal.pause()


def test_a_closed_terminal_interrupts_once(hangup: Callable[[Any], None]) -> None:
    hangup(signal.SIG_DFL)
    with interrupted_by_signals():
        with pytest.raises(KeyboardInterrupt):
            wait_for(signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGHUP)  # the shell says so, too, while all is being left in order
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL


def test_a_command_under_nohup_outlives_its_terminal(hangup: Callable[[Any], None]) -> None:
    hangup(signal.SIG_IGN)
    with interrupted_by_signals():
        os.kill(os.getpid(), signal.SIGHUP)
        with pytest.raises(KeyboardInterrupt):
            wait_for(signal.SIGTERM)
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


# --- how the tests come by theirs -------------------------------------------------------------------------------------


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What studio_install.py defines, for somebody with an empty cache and no program but that in `tmp_path`."""
    monkeypatch.delenv("SGA_LABEL_STUDIO", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "elsewhere" / "python"))
    defined: dict[str, Any] = runpy.run_path(str(TESTS / "studio_install.py"))["executable"].__globals__
    return defined


def test_another_version_is_not_taken_for_the_tested_one(
    install: dict[str, Any], script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = list[Path]()
    monkeypatch.setitem(install, "_install", made.append)  # the real one takes three minutes and a gigabyte
    program = script("exit 0")
    python = f"py{sys.version_info.major}.{sys.version_info.minor}"
    home = tmp_path / "cache" / "sga-gan" / f"label-studio-{TESTED_VERSION}-{python}"
    assert [install["executable"]() for _ in range(2)] == [home / "bin" / "label-studio"] * 2
    assert made == [home]
    monkeypatch.setenv("SGA_LABEL_STUDIO", str(program))  # whoever names one means it
    assert install["executable"]() == program


def test_without_a_home_tests_are_skipped(install: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").touch()  # no folder can be made in there
    with pytest.raises(install["NotInstalledError"], match="Not a directory"):
        install["executable"]()

    def homeless() -> Path:
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.delenv("XDG_CACHE_HOME")
    with pytest.raises(install["NotInstalledError"], match="no home"):
        install["executable"]()


def test_no_label_studio_of_yours_is_known() -> None:
    assert not [name for name in YOURS if name in os.environ]


def test_nothing_is_sent_to_a_label_studio_of_yours() -> None:
    test = f"{Path(__file__)}::{test_no_label_studio_of_yours_is_known.__name__}"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
    told = subprocess.run(
        command, cwd=TESTS.parent, env={**os.environ, **dict.fromkeys(YOURS, "x")}, capture_output=True, text=True
    )
    assert told.returncode == 0, told.stdout
    assert "1 passed" in told.stdout
