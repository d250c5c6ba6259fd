"""A local Label Studio for one workspace: SQLite, this machine only, nobody else may sign up, nothing is sent out."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from configs.errors import StudioError, UserError, WorkspaceError
from configs.files import explain_os_error
from labeling.studio.client import StudioClient
from labeling.studio.connection import Connection
from labeling.studio.credentials import (
    REFUSED,
    Credentials,
    document_root,
    free_port,
    make_folder,
    read_credentials,
    refused_token,
    running,
    save_credentials,
    status_of,
    studio_folder,
    version_of,
)
from labeling.studio.pictures import attach_again
from labeling.studio.process import LOG, TESTED_VERSION, end_group, find_executable, installed_version, launch
from labeling.studio.projects import projects_of
from labeling.workspace import Workspace

__all__ = ["TESTED_VERSION", "LocalServer", "find_executable", "running", "version_warning"]

_DATABASE = "label_studio.sqlite3"
_SERVES = re.compile(r"Starting development server at http://127\.0\.0\.1:(\d+)/")

NEWS = 15.0
"""Seconds between two words about a server that is not ready."""


def version_warning(version: str) -> str | None:
    """One line for people when a server is of another version than the one all this was tested with."""
    if version == TESTED_VERSION:
        return None
    return f"This Label Studio is version {version}; tested with {TESTED_VERSION}. Should something fail, use that one."


class LocalServer:
    """A running Label Studio: `with LocalServer.start(space) as server: server.wait()`.

    Data, log and credentials lie in `<workspace>/labeling/studio/` and stay: started again, it has the same projects, user
    and token, and the same port if that is free. trouble: what people have to put right all the same, in a sentence, or "".
    """

    def __init__(self, folder: Path, program: Path, process: subprocess.Popen[bytes], credentials: Credentials) -> None:
        self.folder = folder  # data, log and server.json
        self.trouble = ""
        self._program, self._process = program, process
        self._credentials = credentials
        self._held = ExitStack()

    @classmethod
    def start(
        cls,
        workspace: Workspace,
        port: int = 0,
        executable: str | Path | None = None,
        template: Path | None = None,
        timeout: float = 300.0,
        on_wait: Callable[[str], None] = lambda text: None,
    ) -> LocalServer:
        """Start the server and wait until it answers: 5 s, or a minute the first time, when the database is made.

        port: 0 = last time's or any free one; executable: see `find_executable`; template: a data folder without users
        (`label-studio init --quiet` makes one) to begin with, which spares that minute; timeout: seconds; on_wait: told every
        `NEWS` seconds what is being waited for.

        Raises:
            StudioError: no executable, one runs already, the port is taken, the server ended or did not answer in time.
            WorkspaceError: no such workspace.
            InputError: its folder cannot be written.
        """
        if os.name != "posix":
            raise StudioError(
                "Expected Linux or macOS to start Label Studio from here, found another system. "
                "Start it by hand and name it with --url and --token."
            )
        root = workspace.root.resolve()
        if not root.is_dir():
            raise WorkspaceError(f"Expected a workspace at {workspace.root}, found none. Type first: sga ingest PATH")
        program = find_executable(None if executable is None else str(executable))
        with ExitStack() as until_ready:
            try:
                folder = make_folder(workspace)
                until_ready.enter_context(_sole(workspace))
                before = read_credentials(folder) or Credentials.new(root)
                moved = before.root != str(root)
                _clear_pictures(document_root(root), moved)
                known = before.at(_choose_port(port, before.port))
                if template is not None and not (folder / _DATABASE).exists():
                    _copy_template(template, folder)
                waits_for = "Waiting for it" if (folder / _DATABASE).exists() else "Making its database"
                process = launch(program, folder, document_root(root), known)
            except OSError as error:
                raise explain_os_error(error, studio_folder(workspace)) from error
            server = cls(folder, program, process, replace(known, root=str(root)).run_by(process.pid))
            until_ready.callback(server.stop)
            # Another root stays in the file until the pictures are attached at this one, so that no failure leaves them off.
            save_credentials(folder, replace(server._credentials, root=before.root))
            server._await_ready(timeout, lambda seconds: on_wait(f"{waits_for} … {seconds:.0f} s"))
            if moved and not server.trouble:
                server._move_in(workspace)
            server._held = until_ready.pop_all()
        return server

    @property
    def connection(self) -> Connection:
        """What a client needs."""
        return self._credentials.connection

    @property
    def username(self) -> str:
        """E-mail address to log in with."""
        return self._credentials.username

    @property
    def password(self) -> str:
        """The first user's password, as it was when the server was started for the first time."""
        return self._credentials.password

    @property
    def pid(self) -> int:
        """Process id of the server, which leads a process group of its own."""
        return self._process.pid

    @property
    def version(self) -> str:
        """Version of the server; "" where it does not tell."""
        return version_of(self._credentials.url) or ""

    @property
    def log(self) -> Path:
        """What the server printed since this start."""
        return self.folder / LOG

    def wait(self) -> None:
        """Wait until the server ends.

        Raises:
            StudioError: it ended by itself; with the end of its log.
        """
        code = self._process.wait()
        if self._credentials.pid is not None:
            raise StudioError(
                f"Expected Label Studio to run until it is stopped, found it ended with code {code}. {self._last_words()} "
                "Type the same command again."
            )

    def stop(self) -> None:
        """End the server and all its processes, 10 s in peace and then by force. Its data stay. Twice is once."""
        with self._held.pop_all():
            if self._credentials.pid is not None:
                self._credentials = self._credentials.run_by(None)
                try:
                    end_group(self._process)
                finally:
                    save_credentials(self.folder, self._kept().run_by(None))

    def __enter__(self) -> LocalServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _await_ready(self, timeout: float, on_wait: Callable[[float], None]) -> None:
        """Until this very process serves on its port. on_wait: told the seconds so far."""
        began = time.monotonic()
        news, deadline = began + NEWS, began + timeout
        while (now := time.monotonic()) < deadline:
            code = self._process.poll()
            if code is not None:
                raise StudioError(
                    f"Expected Label Studio to start, found it ended with code {code}. {self._last_words()} It is "
                    f"{self._program}, version {installed_version(self._program) or 'unknown'}; tested with {TESTED_VERSION}. "
                    f"If need be, type: pip install label-studio=={TESTED_VERSION}"
                )
            port = _SERVES.search(self.log.read_text(encoding="utf-8", errors="replace"))
            if port and int(port[1]) != self._credentials.port:  # it moves on to the next one without a word
                raise _taken(self._credentials.port)
            status = status_of(self._credentials) if port else None
            if status in REFUSED:  # it has to run for people to find the new one
                self.trouble = str(refused_token(self.folder, self._credentials))
            if status == 200 or self.trouble:
                return
            if now >= news:
                on_wait(now - began)
                news += NEWS
            time.sleep(0.1)
        raise StudioError(
            f"Expected Label Studio to answer within {timeout:.0f} s, found it silent. {self._last_words()} "
            "Type the same command again: it goes on where it was."
        )

    def _move_in(self, workspace: Workspace) -> None:
        """Have every project show its pictures where the workspace lies now, and note that it lies here."""
        with StudioClient(self.connection) as client:
            for project in projects_of(workspace, self._credentials.server):
                try:
                    attach_again(client, project.id)
                except StudioError as error:
                    if not error.gone:
                        raise
        save_credentials(self.folder, self._credentials)

    def _kept(self) -> Credentials:
        """What server.json holds: people may have written a new token into it. A damaged one is replaced."""
        with suppress(UserError):
            return read_credentials(self.folder) or self._credentials
        return self._credentials

    def _last_words(self) -> str:
        """The end of the log, without secrets."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        text = " | ".join(line.strip()[:200] for line in lines[-5:] if line.strip())
        for secret in (self._credentials.token, self._credentials.password):
            text = text.replace(secret, "[secret]")
        return f"Its log {self.log} ends: {text or '(empty)'}."


@contextmanager
def _sole(workspace: Workspace) -> Iterator[None]:
    """Hold the data folder for this process: two servers on one SQLite file would hinder each other."""
    import fcntl

    with (studio_folder(workspace) / "lock").open("ab") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = True
        except OSError:
            held = False
        known, there = read_credentials(studio_folder(workspace)), running(workspace)
        if there is not None and known is not None:
            raise StudioError(
                f"Expected no Label Studio to run for {workspace.root}, found one at {there.url} (process {known.pid}). "
                f"Use it, or stop it first: kill {known.pid}"
            )
        if not held:
            raise StudioError(
                f"Expected no Label Studio to run for {workspace.root}, found another command starting or stopping it. "
                "Wait a minute and type the same command again."
            )
        yield


def _choose_port(wanted: int, last: int) -> int:
    if wanted:
        port = free_port(wanted)
        if port is None:
            raise _taken(wanted)
        return port
    return (last and free_port(last)) or free_port() or 0


def _taken(port: int) -> StudioError:
    return StudioError(f"Expected port {port} to be free, found it taken or reserved. Leave --port out for any free one.")


def _clear_pictures(links: Path, moved: bool) -> None:
    """An empty document root where there is none, or where that of a copied workspace holds pictures in the place of links."""
    if moved and links.is_dir():
        shutil.rmtree(links)
    links.mkdir(exist_ok=True)


def _copy_template(template: Path, folder: Path) -> None:
    """All but `.env`: its key signs sessions, and every server makes one of its own. The database last: it tells that all is
    there."""
    if not (template / _DATABASE).is_file():
        raise StudioError(f"Expected a data folder of Label Studio at {template}, found no {_DATABASE} in it. Make one anew.")
    partial = folder / f".{_DATABASE}.tmp"
    shutil.copyfile(template / _DATABASE, partial)
    partial.replace(folder / _DATABASE)
