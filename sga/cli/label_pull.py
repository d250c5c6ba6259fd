"""`sga label pull`."""

from __future__ import annotations

from itertools import chain
from typing import Annotated

import typer

from sga.cli.label_studio import TokenOption, UrlOption
from sga.cli.options import DEFAULT_WORKSPACE, WorkspaceOption
from sga.cli.progress import progress_of

__all__ = ["pull"]


def pull(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    attribute: Annotated[
        str | None, typer.Option(help="Fetch the answers about this attribute alone.", show_default=False)
    ] = None,
    again: Annotated[bool, typer.Option("--all", help="Read every answer again: for a store that lost some.")] = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Fetch what people said since the last time and write it into the label table. Nothing that a person entered is lost."""
    from labeling.agreement import measure
    from labeling.answers import store_of
    from labeling.studio.client import StudioClient
    from labeling.studio.connection import find_connection
    from labeling.studio.pull import projects_to_pull, take_in
    from labeling.studio.pull import pull as fetch
    from labeling.workspace import Workspace

    space = Workspace(workspace)
    connection = find_connection(space, url, token)
    projects = projects_to_pull(space, connection, attribute)
    try:
        with StudioClient(connection) as client, progress_of("tasks") as progress:
            report = fetch(client, space, projects, progress, again=again)
    finally:
        taken = take_in(space)  # also what an earlier pull stored and a crash kept out of the table
    answers = store_of(space.root).all()
    figures = (line for name in sorted({one.attribute for one in projects}) for line in measure(answers, name).lines())
    for line in chain(report.lines(), taken.lines(), figures):
        typer.echo(line)
    if taken.changed and space.state("ensemble") != "done":
        typer.echo(f"Next: sga complete --workspace {workspace}")
