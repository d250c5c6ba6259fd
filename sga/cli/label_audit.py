"""`sga label audit`."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from sga.cli.label_studio import TokenOption, UrlOption
from sga.cli.options import DEFAULT_WORKSPACE, WorkspaceOption
from sga.cli.progress import progress_of

if TYPE_CHECKING:
    from labeling.audit import Audit
    from labeling.studio.client import StudioClient
    from labeling.workspace import Workspace

__all__ = ["audit"]


def audit(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    attribute: Annotated[str, typer.Option(help="Whose labels to look at.")] = "gender",
    count: Annotated[
        int, typer.Option(min=1, help="Send so many of the most suspicious labels at most, besides those that wait already.")
    ] = 100,
    push: Annotated[bool, typer.Option(help="Send them to Label Studio as a review project.")] = False,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Find original and human labels that look wrong, and have people review them."""
    from labeling.audit import audit as find
    from labeling.workspace import Workspace

    space = Workspace(workspace)
    with _client(space, url, token) if push else nullcontext() as client:
        if client is not None:
            client.version()  # a server that is not there is told before the work
        found = find(space, attribute)
        for line in found.lines():
            typer.echo(line)
        if client is not None:
            _send(client, space, found, count)
        elif found.suspects:
            typer.echo(f"Next: sga label audit --attribute {attribute} --push --workspace {workspace}")


def _client(space: Workspace, url: str | None, token: str | None) -> StudioClient:
    from labeling.studio.client import StudioClient
    from labeling.studio.connection import find_connection

    return StudioClient(find_connection(space, url, token))


def _send(client: StudioClient, space: Workspace, found: Audit, count: int) -> None:
    from labeling.audit import review_questions
    from labeling.studio.projects import one_push
    from labeling.studio.push import asked_on, push

    fetch = f"sga label pull --workspace {space.root}"
    with one_push(space):
        questions = review_questions(space, found, count, asked_on(client, space, found.attribute.name, "label", "review"))
        if not questions:
            typer.echo(f"Nothing else is left to review, as far as was pulled. If some are answered, type: {fetch}")
            return
        with progress_of("questions") as progress:
            report = push(client, space, found.attribute, questions, purpose="review", preannotate=False, on_progress=progress)
    typer.echo(f"{report.added} labels to review sent: {report.url}")
    typer.echo(f"Next: review them there, then {fetch}")
