"""`sga label push`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from sga.cli.label_studio import TokenOption, UrlOption
from sga.cli.options import DEFAULT_WORKSPACE, WorkspaceOption
from sga.cli.progress import progress_of

__all__ = ["push"]


def push(
    attribute: Annotated[str, typer.Option(help="What people shall say of each face.")] = "gender",
    count: Annotated[
        int, typer.Option(min=1, help="Questions that shall wait for an answer, those that do already counted.")
    ] = 300,
    strategy: Annotated[
        str, typer.Option(help="Who picks the faces: random, uncertainty, disagreement, diverse or combined.")
    ] = "combined",
    layout: Annotated[
        Literal["single", "wall"], typer.Option(help="One face a task with hotkeys, or a wall of 24 faces.")
    ] = "single",
    split: Annotated[
        Literal["train", "validation", "test"] | None,
        typer.Option(help="Ask about these faces alone. test: by --strategy random, to enlarge what is measured on."),
    ] = None,
    preannotate: Annotated[bool, typer.Option(help="Choose the ensemble's answer beforehand.")] = True,
    seed: Annotated[int, typer.Option(min=0, help="Another seed picks other faces at random.")] = 0,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Pick faces that are worth a person's look and send them to Label Studio. The same command again sends nothing twice."""
    from labeling.queue import model_version, questions
    from labeling.studio.client import StudioClient
    from labeling.studio.connection import find_connection
    from labeling.studio.push import asked_on, refresh_stale
    from labeling.studio.push import push as send
    from labeling.workspace import Workspace

    space = Workspace(workspace)
    asked_about = space.table().schema[attribute]
    version = model_version(space)
    with StudioClient(find_connection(space, url, token)) as client:
        asked = asked_on(client, space, attribute)
        picked = questions(space, attribute, count, strategy, seed, asked, split=split, on_note=typer.echo)
        with progress_of("predictions") as progress:
            renewed = refresh_stale(client, space, asked_about, version, progress) if preannotate and version else 0
        if renewed:
            typer.echo(f"{renewed} tasks that wait show what {version} says now.")
        if not picked:
            typer.echo(f"At least {count} questions about {attribute} wait already, or all that are left do: nothing to send.")
            return
        with progress_of("questions") as progress:
            report = send(
                client,
                space,
                asked_about,
                picked,
                layout=layout,
                model_version=version,
                preannotate=preannotate,
                on_progress=progress,
            )
    for project in report.dropped:
        typer.echo(
            f"Project {project.id} was deleted in Label Studio; another stands in for it. Answers that were pulled stay."
        )
    typer.echo(f"{report.added} questions about {attribute} sent, {report.present} were there. Label them at {report.url}")
    typer.echo(f"Next, when some are answered: sga label pull --workspace {workspace}")
