"""A real Label Studio for the tests, found or installed once per machine, outside the checkout.

SGA_LABEL_STUDIO names the program label-studio, SGA_LABEL_STUDIO_TEMPLATE a data folder made by `label-studio init --quiet`.
Without them both are kept in `$XDG_CACHE_HOME/sga-gan` (default ~/.cache/sga-gan): the program is installed there only where
none of the tested version is beside this Python or on PATH (about 3 minutes and 1 GB), and the folder is made there once (a
minute).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from configs.errors import StudioError
from labeling.studio.process import EXECUTABLE, TESTED_VERSION, find_executable, installed_version, server_environment

TEMPLATE = "SGA_LABEL_STUDIO_TEMPLATE"


class NotInstalledError(Exception):
    """There is no Label Studio and none can be installed; says why."""


def executable() -> Path:
    """The program label-studio, of the tested version unless another is named; NotInstalledError when none is to be had."""
    if os.environ.get(EXECUTABLE):  # a wrong path is a mistake and no reason to leave tests out
        return find_executable()
    with suppress(StudioError):
        found = find_executable()
        if installed_version(found) == TESTED_VERSION:
            return found
    python = f"py{sys.version_info.major}.{sys.version_info.minor}"
    return _once(f"label-studio-{TESTED_VERSION}-{python}", _install) / "bin" / "label-studio"


def template(program: Path) -> Path:
    """A data folder with a database as this program wants it, without any user."""
    given = os.environ.get(TEMPLATE)
    if given:
        return Path(given)
    version = installed_version(program) or hashlib.sha256(str(program.resolve()).encode()).hexdigest()[:12]
    return _once(f"template-{version}", lambda folder: _init(program, folder))


def _once(name: str, make: Callable[[Path], None]) -> Path:
    """A folder of the cache, made unless it is stamped as whole; one process makes it while the others wait."""
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sga-gan" / name
        with _locked(folder.with_name(f"{name}.lock")):
            if not (folder / "READY").is_file():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                make(folder)
                (folder / "READY").touch()
    except (OSError, RuntimeError) as error:  # a home that cannot be written, or none
        raise NotInstalledError(f"no folder to keep {name} in ({error}); XDG_CACHE_HOME names one") from error
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
