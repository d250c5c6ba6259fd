"""`sga label status`."""

from __future__ import annotations

import typer

from sga.cli.label_studio import TokenOption, UrlOption
from sga.cli.options import DEFAULT_WORKSPACE, WorkspaceOption

__all__ = ["status"]


def status(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Show who labelled how much, what waits for an answer, the learning curves, and what more labels would bring."""
    from contextlib import ExitStack

    from configs.errors import MissingExtra, StudioError
    from labeling.studio.client import StudioClient
    from labeling.studio.connection import find_connection
    from labeling.studio.projects import read_projects
    from labeling.studio.status import format_status, read_status
    from labeling.workspace import Workspace

    space = Workspace(workspace)
    client, problem = None, ""
    with ExitStack() as stack:
        if read_projects(space):
            try:
                client = stack.enter_context(StudioClient(find_connection(space, url, token)))
                client.version()
            except (StudioError, MissingExtra) as error:  # what is known without the server is worth showing
                client, problem = None, str(error)
        typer.echo(format_status(read_status(space, client, problem)))
