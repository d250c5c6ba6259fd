"""Retraining in the background, after every so many new answers: one run at a time, in processes of their own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread, current_thread
from typing import IO, Any, Literal

__all__ = ["RetrainState", "Retrainer"]

_PATIENCE = 15.0
"""Seconds that a command has to end by itself when the backend stops; `sga complete` goes on from its last checkpoint."""


@dataclass(frozen=True)
class RetrainState:
    """state: what is going on, or how the last run ended; answers: new ones since the last run began; after: how many make a
    run; runs: begun so far; error: of the last run, one line; since: when this state began, UTC."""

    state: Literal["waiting", "running", "done", "failed"]
    answers: int
    after: int
    runs: int
    error: str
    since: str


class Retrainer:
    """Runs `commands` one after the other when `after` new answers have come in, or when asked to.

    commands: the words of each command line; environment: added to this process's own; log: takes their output, that of the
    last run alone; on_change: called whenever a run began or ended, in the thread of that run.
    """

    def __init__(
        self,
        commands: Sequence[Sequence[str]],
        log: Path,
        after: int,
        environment: Mapping[str, str] | None = None,
        on_change: Callable[[RetrainState], None] = lambda state: None,
    ) -> None:
        self._commands, self._log, self._after = [list(command) for command in commands], log, after
        self._environment, self._on_change = {**os.environ, **(environment or {})}, on_change
        self._lock = Lock()
        self._state = RetrainState("waiting", 0, after, 0, "", _now())
        self._baseline: int | None = None
        self._thread: Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = False

    @property
    def state(self) -> RetrainState:
        """What is going on."""
        return self._state

    def answered(self, count: int) -> None:
        """`count` new answers have been reported."""
        with self._lock:
            self._change(answers=self._state.answers + count)
        self._start_if_due()

    def counted(self, total: int) -> None:
        """There are `total` answers now: makes up for reports that were lost on their way."""
        with self._lock:
            if self._baseline is None:
                self._baseline = total - self._state.answers
            self._change(answers=max(self._state.answers, total - self._baseline))
        self._start_if_due()

    def start(self) -> bool:
        """Begin a run now; False while one is going on."""
        with self._lock:
            if self._stopping or self._state.state == "running":
                return False
            self._baseline = None  # the next count is where the next run's answers begin
            self._change(state="running", answers=0, runs=self._state.runs + 1, error="", since=_now())
            self._thread = Thread(target=self._run, args=(self._state,), name="retrain", daemon=True)
            self._thread.start()
        return True

    def stop(self) -> None:
        """End a run that is going on, and begin no other. An interruption (Ctrl-C) ends it by force."""
        with self._lock:
            self._stopping = True
            process, thread = self._process, self._thread
        if process is not None:
            try:
                _send(process, "SIGTERM")
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_PATIENCE)
            finally:
                _send(process, "SIGKILL")  # those that it started and left behind, too
        if thread is not None and thread is not current_thread():
            thread.join()

    def _change(self, **fields: Any) -> None:
        self._state = RetrainState(**{**vars(self._state), **fields})

    def _start_if_due(self) -> None:
        if self._state.answers >= self._after > 0:
            self.start()

    def _run(self, begun: RetrainState) -> None:
        self._on_change(begun)
        try:
            error = self._commands_in_turn()
        except OSError as problem:
            error = f"{problem.strerror or problem}"
        with self._lock:
            self._process = None
            self._change(state="failed" if error else "done", error=error, since=_now())
            ended, stopping = self._state, self._stopping
        if not stopping:
            self._on_change(ended)
            self._start_if_due()

    def _commands_in_turn(self) -> str:
        """The error that ended the run, or nothing."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(self._log, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b") as log:
            if not _lock(log):
                return "a retrain that an earlier backend began is still running; it ends by itself"
            log.truncate(0)
            for command in self._commands:
                with self._lock:
                    if self._stopping:
                        return ""
                    self._process = _begin(command, log, self._environment)
                code = self._process.wait()
                if code:
                    return _last_line(log) or f"{Path(command[0]).name} ended with exit code {code}"
        return ""


def _begin(command: Sequence[str], log: IO[bytes], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own, so that Ctrl-C reaches the backend alone, which then ends it in order."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
    )
    if hasattr(os, "setpriority"):
        with suppress(OSError):  # the page waits for this backend, whatever is being trained
            os.setpriority(os.PRIO_PROCESS, process.pid, 10)
    return process


def _send(process: subprocess.Popen[bytes], name: str) -> None:
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, getattr(signal, name))
        elif process.poll() is None:
            process.kill()


def _lock(log: IO[bytes]) -> bool:
    """Hold the log for as long as a command writes to it: the lock is inherited, and outlives a backend that was killed."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _last_line(log: IO[bytes]) -> str:
    """The last line with anything on it, without what would move a terminal's cursor; at most 400 characters."""
    size = log.seek(0, os.SEEK_END)
    log.seek(max(0, size - 8192))
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", log.read().decode("utf-8", errors="replace"))
    lines = ["".join(filter(str.isprintable, line)).strip() for line in text.splitlines()]
    return next((line[-400:] for line in reversed(lines) if line), "")


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
