"""`sga label backend` at work: the application served, the projects connected, and both looked after until it is stopped."""

from __future__ import annotations

import secrets as randomness
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from threading import Event, Thread
from typing import TYPE_CHECKING

from configs.errors import InputError, MissingExtra, StudioError, UserError
from labeling.answers import store_of
from labeling.studio.attach import Attachment
from labeling.studio.backend import FreshPredictions, build_app, mask
from labeling.studio.connection import Connection
from labeling.studio.retrain import Retrainer, RetrainState
from labeling.workspace import Workspace

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["POLL", "Backend", "run_backend", "serving"]

POLL = 30.0
"""Seconds between two looks at the projects; a webhook whose receiver is away is not sent again."""


class Backend:
    """A backend that runs. url: where it is served; secret: what it wants to be shown."""

    def __init__(
        self,
        url: str,
        secret: str,
        space: Workspace,
        fresh: FreshPredictions,
        retrainer: Retrainer,
        attachment: Attachment | None,
        wake: Event,
        say: Callable[[str], None],
    ) -> None:
        self.url, self.secret = url, secret
        self._space, self._fresh, self._retrainer, self._attachment = space, fresh, retrainer, attachment
        self._wake, self._say, self._told = wake, say, ""

    @property
    def projects(self) -> int:
        """How many projects it is connected to."""
        return self._attachment.projects if self._attachment else 0

    def look(self) -> None:
        """Bring new projects and new predictions together, and count the answers. What fails is said, and not said again."""
        failed: list[UserError] = []
        try:
            if self._attachment is None:
                self._retrainer.counted(sum(answer.votes for answer in store_of(self._space.root).all()))
            else:
                self._attachment.sync(self._fresh.version, failed.append)
                self._retrainer.counted(self._attachment.answers())
        except UserError as error:
            failed.append(error)
        complaint = " ".join(dict.fromkeys(map(str, failed)))
        if complaint and complaint != self._told:
            self._say(f"{complaint} (The backend goes on and tries again.)")
        self._told = complaint

    def wait(self, poll: float = POLL) -> None:
        """Look after everything until interrupted (KeyboardInterrupt), every `poll` seconds and after each retrain."""
        while True:
            self._wake.wait(poll)
            self._wake.clear()
            self.look()


@contextmanager
def run_backend(
    space: Workspace,
    connection: Connection | None,
    commands: Sequence[Sequence[str]],
    after: int,
    *,
    attach: bool = True,
    host: str = "127.0.0.1",
    port: int = 0,
    say: Callable[[str], None] = print,
) -> Iterator[Backend]:
    """Serve, and connect the workspace's projects on a server; in the end, leave them as they would be without.

    connection: whose projects; commands: the retrain, which finds a server that is not the workspace's own in its environment;
    after: so many answers make a retrain (0 = only when it is asked for on the page); attach: connect the projects; host: where
    the server reaches this machine; port: 0 = a free one; say: takes lines for people, from any thread, and may fail with an
    OSError: a terminal may be closed, and all is left in order all the same.

    Raises:
        InputError: the port is taken, or the server cannot reach `host`.
        StudioError: the server is not there, refuses, or has another backend for a project.
        WorkspaceError: the workspace has no label table.
        MissingExtra: without the extras `serve` and `studio`.
    """
    if connection is not None and attach:
        _check_reach(connection, host)
    secret, wake, environment = randomness.token_urlsafe(24), Event(), dict[str, str]()
    if connection is not None and connection.files_at is None:
        environment = {"LABEL_STUDIO_URL": connection.url, "LABEL_STUDIO_API_KEY": connection.token}
    hidden = (secret, connection.token if connection else "")

    def tell(text: str) -> None:
        with suppress(OSError):
            say(text)

    def on_change(state: RetrainState) -> None:
        if state.state == "running":
            tell(f"Retrain {state.runs} runs; its output: {log}")
        elif state.state == "failed":
            again = f" The next one is after {after} further answers." if after else ""
            tell(f"Retrain {state.runs} failed: {mask(state.error, *hidden)}{again}")
        else:
            tell(f"Retrain {state.runs} is done.")
        wake.set()

    log = space.root / "labeling" / "retrain.log"
    retrainer = Retrainer(commands, log, after, environment, on_change)
    fresh = FreshPredictions(space)
    server = connection.server if connection else None
    app = build_app(space, secret, retrainer, fresh=fresh, server=server, hide=hidden)
    with serving(app, host, port) as url:
        attachment = Attachment(space, connection, url, secret) if connection and attach else None
        backend = Backend(url, secret, space, fresh, retrainer, attachment, wake, tell)
        try:
            if attachment:
                if count := len(attachment.served()):
                    tell(f"Connecting {count} project{'s' * (count > 1)}: each task that waits is looked at …")
                attachment.sync(fresh.version)
            backend.look()
            yield backend
        finally:
            try:
                for error in attachment.detach() if attachment else ():
                    tell(f"Not disconnected: {error}")
            finally:  # whatever interrupts that: nobody would end the training later
                retrainer.stop()


def _check_reach(connection: Connection, host: str) -> None:
    try:
        address = ip_address(host)
        inside = address.is_loopback or address.is_unspecified
    except ValueError:
        inside = host.lower() == "localhost"
    if inside and not connection.is_local:
        raise InputError(
            f"Expected an address of this machine that {connection.url} reaches, found {host}, which leads that server to "
            "itself. Type the same command with --host ADDRESS."
        )


@contextmanager
def serving(app: FastAPI, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """The URL at which an application is served, in a thread, while the block runs.

    Raises:
        InputError: the port is taken, or is not ours to take.
    """
    try:
        import uvicorn
    except ModuleNotFoundError as error:
        raise MissingExtra("uvicorn", "serve") from error
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=3,
    )
    server = uvicorn.Server(config)
    with _bound(host, port) as door:
        thread = Thread(target=server.run, kwargs={"sockets": [door]}, name="backend", daemon=True)
        thread.start()
        try:
            while not server.started:
                if not thread.is_alive():
                    raise StudioError(f"Expected to serve at {host}:{port}, found that the server ended. Try another --port.")
                time.sleep(0.02)
            yield f"http://{f'[{host}]' if ':' in host else host}:{door.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    door = socket.socket(family)
    try:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind((host, port))
    except OSError as error:
        door.close()
        raise InputError(
            f"Expected {host}:{port} to be free for the backend, found: {error.strerror or error}. "
            "Give another --port, or 0 for any."
        ) from error
    return door
