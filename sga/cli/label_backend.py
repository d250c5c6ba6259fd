"""`sga label backend`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from sga.cli.label_studio import TokenOption, UrlOption, interrupted_by_signals
from sga.cli.options import DEFAULT_WORKSPACE, WorkspaceOption

__all__ = ["backend"]


def backend(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to serve at; 0 = a free one.")] = 0,
    host: Annotated[
        str, typer.Option(help="Address at which Label Studio reaches this machine. Any but the default lets others ask, too.")
    ] = "127.0.0.1",
    retrain_after: Annotated[int, typer.Option(min=0, help="Retrain after so many answers; 0 = only from the page.")] = 50,
    retrain_preset: Annotated[str, typer.Option(help="Preset of the ensemble for it, or a YAML file.")] = "cpu",
    attach: Annotated[bool, typer.Option(help="Connect the projects of this workspace while it runs.")] = True,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Show fresh predictions on the page while people label, and retrain after every so many answers. Stop it with Ctrl-C."""
    from classifiers.ensemble import EnsembleSettings
    from configs import load_settings
    from labeling.studio.backend import HEADER, USER
    from labeling.studio.connection import find_connection
    from labeling.studio.serving import run_backend
    from labeling.workspace import Workspace

    space = Workspace(workspace)
    load_settings(EnsembleSettings, "ensemble", retrain_preset)  # a typo shows now, not after fifty answers
    connection = find_connection(space, url, token) if attach or url or token else None
    retrain = retrain_commands(workspace, retrain_preset)
    try:
        with (
            interrupted_by_signals(),
            run_backend(
                space, connection, retrain, retrain_after, attach=attach, host=host, port=port, say=typer.echo
            ) as running,
        ):
            if attach:
                several = "1 project" if running.projects == 1 else f"{running.projects} projects"
                typer.echo(f"The backend at {running.url} serves {several} of {workspace}.")
            else:
                typer.echo(f"The backend is at {running.url}. Connect it in Label Studio under Settings, Model:")
                typer.echo(f"  URL {running.url}, basic authentication, user {USER}, password {running.secret}")
                typer.echo(f"and give the webhook {running.url}/webhook there the header {HEADER} with that password.")
            when = f"after every {retrain_after} answers" if retrain_after else "when the page asks for it"
            typer.echo(f"It retrains {when}. Ctrl-C stops it.")
            running.wait()
    except KeyboardInterrupt:
        typer.echo(f"The backend is stopped. To go on: sga label backend --workspace {workspace}")


def retrain_commands(workspace: Path, preset: str) -> list[list[str]]:
    """The words of the commands that make a retrain."""
    sga = [sys.executable, "-m", "sga.cli.main"]
    there = ["--workspace", str(workspace)]
    return [[*sga, "label", "pull", *there], [*sga, "complete", "--preset", preset, *there]]
