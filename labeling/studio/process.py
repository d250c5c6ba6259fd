"""The process of a local Label Studio: which program, with which settings, started and ended with all its children."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from configs.errors import StudioError
from labeling.studio.credentials import Credentials

__all__ = [
    "EXECUTABLE",
    "LOG",
    "TESTED_VERSION",
    "end_group",
    "find_executable",
    "installed_version",
    "launch",
    "server_environment",
]

TESTED_VERSION = "1.23.2"
EXECUTABLE = "SGA_LABEL_STUDIO"
"""Environment variable with the path of the program label-studio."""

LOG = "studio.log"

_FROM_SHELL = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "LD_LIBRARY_PATH")
_ENVIRONMENT = {
    "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
    "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",  # or whoever reaches the port signs up into the organisation
    "COLLECT_ANALYTICS": "false",
    "LATEST_VERSION_CHECK": "false",
    "SENTRY_DSN": "",
    "FRONTEND_SENTRY_DSN": "",
    "FEATURE_FLAGS_OFFLINE": "true",
    "SSRF_PROTECTION_ENABLED": "false",  # the ML backend is on this machine too
    "ML_BLOCK_LOCAL_IP": "false",
    "ML_TIMEOUT_HEALTH": "5",  # 1 s is short while an ensemble is being trained beside it
    "PYTHONUNBUFFERED": "1",  # the log tells the port in time
}


def find_executable(command: str | None = None) -> Path:
    """The program label-studio: `command` (a path, or a name on PATH), else SGA_LABEL_STUDIO, beside this Python, on PATH.

    Raises:
        StudioError: there is none; says how to install it.
    """
    given = command or os.environ.get(EXECUTABLE)
    for candidate in (given,) if given else (str(Path(sys.executable).with_name("label-studio")), "label-studio"):
        found = shutil.which(candidate)
        if found:
            return Path(found).absolute()
    where = f"as {given}" if given else "beside this Python or on PATH"
    raise StudioError(
        f"Expected the program label-studio, found none {where}. Type: pip install label-studio=={TESTED_VERSION} "
        "(if need be in an environment of its own, then name the program with --executable)."
    )


def installed_version(program: Path) -> str:
    """The release of Label Studio that a program belongs to, as its Python tells; "" where none tells."""
    with suppress(OSError, ValueError, IndexError, subprocess.SubprocessError):
        with program.open(encoding="utf-8") as script:
            python = shlex.split(script.readline(4096).removeprefix("#!"))
        if "python" not in python[0] and "python" not in python[-1]:  # a path too long for that line stands in the next
            python = [str(program.resolve().with_name("python"))]
        ask = "from importlib.metadata import version; print(version('label-studio'))"
        return subprocess.run([*python, "-c", ask], capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    return ""


def server_environment(data: Path, pictures: Path) -> dict[str, str]:
    """All environment variables of a server with its data in `data`, which may read what is below `pictures`.

    Little of the shell's own gets through: Label Studio reads names as common as HOST, PORT, DEBUG and USERNAME.
    """
    return {
        **{name: os.environ[name] for name in _FROM_SHELL if name in os.environ},
        **_ENVIRONMENT,
        "LABEL_STUDIO_BASE_DATA_DIR": str(data.resolve()),
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(pictures.resolve()),
    }


def launch(program: Path, folder: Path, pictures: Path, credentials: Credentials) -> subprocess.Popen[bytes]:
    """Start the process. Secrets go by its environment, which its owner alone can read; a command line is there for all."""
    environment = server_environment(folder, pictures) | {
        "LABEL_STUDIO_USERNAME": credentials.username,
        "LABEL_STUDIO_PASSWORD": credentials.password,
        "LABEL_STUDIO_USER_TOKEN": credentials.token,
    }
    command = [str(program), "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(credentials.port)]
    command.append("--enable-legacy-api-token")  # read at the first start alone, when the organisation is made
    with os.fdopen(os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as log:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches us alone, and we end it in order
            umask=0o077,  # earlier releases write their secret key for all to read
        )


def end_group(process: subprocess.Popen[bytes], patience: float = 10.0) -> None:
    """End a process that leads a group, and the group. patience: seconds before force; an interruption (Ctrl-C) ends them."""
    try:
        _signal_group(process, signal.SIGTERM, patience)
    finally:
        _signal_group(process, signal.SIGKILL, patience)  # in any case: the leader may have left others behind


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals, patience: float) -> None:
    with suppress(ProcessLookupError, PermissionError):  # macOS says the latter of a group of zombies
        os.killpg(process.pid, number)
    with suppress(subprocess.TimeoutExpired):
        process.wait(patience)
