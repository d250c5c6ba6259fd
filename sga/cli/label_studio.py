"""`sga label studio`, and the options with which other commands name a Label Studio."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sga.cli.options import DEFAULT_WORKSPACE, WorkspaceOption

if TYPE_CHECKING:
    from labeling.workspace import Workspace

__all__ = ["TokenOption", "UrlOption", "interrupted_by_signals", "studio"]

UrlOption = Annotated[
    str | None,
    typer.Option("--url", envvar="LABEL_STUDIO_URL", help="A Label Studio that runs elsewhere. Default: the workspace's own."),
]
"""Use as `url: UrlOption = None`."""

TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar="LABEL_STUDIO_API_KEY",
        show_default=False,
        help="Access token of a user there; better in the environment than on a command line.",
    ),
]
"""Use as `token: TokenOption = None`, and hand both to `labeling.studio.connection.find_connection`."""


def studio(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 = last time's or any free one.")] = 0,
    executable: Annotated[
        str | None,
        typer.Option(envvar="SGA_LABEL_STUDIO", help="The program label-studio. Default: beside this Python or on PATH."),
    ] = None,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Start a Label Studio on this machine and keep it running until Ctrl-C; or, with --url, look whether one can be used."""
    from labeling.workspace import Workspace

    if url or token:
        _look_at(Workspace(workspace), url, token)
    else:
        _serve(Workspace(workspace), port, executable)


def _look_at(space: Workspace, url: str | None, token: str | None) -> None:
    from labeling.studio.client import StudioClient
    from labeling.studio.connection import find_connection

    with StudioClient(find_connection(space, url, token)) as client:
        version, user = client.version(), client.me()
    typer.echo(f"Label Studio {version} at {client.connection.url} takes the token of {user}.")
    _warn(version)
    typer.echo(
        f"Next: sga label push --attribute gender --workspace {space.root}, with the same --url and --token "
        "or with LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY set."
    )


def _serve(space: Workspace, port: int, executable: str | None) -> None:
    from labeling.studio.server import LocalServer

    typer.echo("Starting Label Studio; the first time takes a minute.")
    try:
        with interrupted_by_signals(), LocalServer.start(space, port, executable, on_wait=typer.echo) as server:
            typer.echo(f"Label Studio {server.version} runs at {server.connection.url}")
            _warn(server.version)
            if server.trouble:
                typer.echo(server.trouble, err=True)
            typer.echo(f"  user name  {server.username}\n  password   {server.password}")
            typer.echo(
                f"Both stay the same; they and the token are in {server.folder / 'server.json'}, which only you can read."
            )
            typer.echo(f"Next, in another terminal: sga label push --attribute gender --workspace {space.root}")
            typer.echo("Ctrl-C stops it.")
            server.wait()
    except KeyboardInterrupt:
        typer.echo(f"Label Studio is stopped. To go on: sga label studio --workspace {space.root}")


def _warn(version: str) -> None:
    from labeling.studio.server import version_warning

    warning = version_warning(version)
    if warning:
        typer.echo(warning, err=True)


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """Let SIGTERM and a closed terminal do what Ctrl-C does: the server must not outlive the command. One that was told to
    outlive its terminal (nohup) does."""
    hangup = getattr(signal, "SIGHUP", None)

    def interrupt(number: int, frame: Any) -> None:
        if number == hangup:  # a shell and the terminal both say so, and what is being left in order must not be interrupted
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    chosen = [number for number in (signal.SIGTERM, hangup) if number and signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in chosen}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
