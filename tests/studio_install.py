"""A real Label Studio for the tests, found or installed once per machine, outside the checkout.

SGA_LABEL_STUDIO names the program label-studio, SGA_LABEL_STUDIO_TEMPLATE a data folder made by `label-studio init --quiet`.
Without them both are kept in `$XDG_CACHE_HOME/sga-gan` (default ~/.cache/sga-gan): the program is installed there only where
none is beside this Python or on PATH (about 3 minutes and 1 GB), and the folder is made there once (a minute).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from configs.errors import StudioError
from labeling.studio.process import EXECUTABLE, TESTED_VERSION, find_executable, server_environment

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sga-gan"
TEMPLATE = "SGA_LABEL_STUDIO_TEMPLATE"


class NotInstalledError(Exception):
    """There is no Label Studio and none can be installed; says why."""


def executable() -> Path:
    """The program label-studio; NotInstalledError when there is none to be had."""
    try:
        return find_executable()
    except StudioError:
        if os.environ.get(EXECUTABLE):  # a wrong path is a mistake and no reason to leave tests out
            raise
    home = _once(CACHE / f"label-studio-{TESTED_VERSION}", _install)
    return home / "bin" / "label-studio"


def template(program: Path) -> Path:
    """A data folder with a database as this program wants it, without any user."""
    given = os.environ.get(TEMPLATE)
    if given:
        return Path(given)
    return _once(CACHE / f"template-{_version(program)}", lambda folder: _init(program, folder))


def _once(folder: Path, make: Callable[[Path], None]) -> Path:
    """`folder`, made unless it is stamped as whole; one process makes it while the others wait."""
    with _locked(folder.with_name(f"{folder.name}.lock")):
        if not (folder / "READY").is_file():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            make(folder)
            (folder / "READY").touch()
    return folder


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _install(home: Path) -> None:
    log = home.with_name(f"{home.name}.log")
    _run([sys.executable, "-m", "venv", str(home)], log)
    _run([str(home / "bin" / "pip"), "install", "--retries", "1", f"label-studio=={TESTED_VERSION}"], log)


def _init(program: Path, folder: Path) -> None:
    log = folder.with_name(f"{folder.name}.log")
    _run([str(program), "init", "--quiet"], log, server_environment(folder, folder))


def _run(command: list[str], log: Path, environment: dict[str, str] | None = None) -> None:
    with log.open("ab") as handle:
        try:
            subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=handle, stderr=handle, env=environment, check=True, timeout=1200
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise NotInstalledError(f"{error}; see {log}") from error


def _version(program: Path) -> str:
    """What the program's own Python says; a hash of its place where that does not tell."""
    ask = [str(program.with_name("python")), "-c", "from importlib.metadata import version as v; print(v('label-studio'))"]
    try:
        return subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return hashlib.sha256(str(program.resolve()).encode()).hexdigest()[:12]
