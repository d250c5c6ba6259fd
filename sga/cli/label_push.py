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
    preannotate: Annotated[
        bool, typer.Option(help="Choose the ensemble's answer beforehand; never for --split test, which measures it.")
    ] = True,
    annotators: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="People who shall each look at every face; kappa needs two.",
            show_default="as the project has it, 1 at first",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Another seed picks other faces at random.")] = 0,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Pick faces that are worth a person's look and send them to Label Studio. The same command again sends nothing twice."""
    from labeling.queue import load_predictions, questions
    from labeling.studio.client import StudioClient
    from labeling.studio.connection import find_connection
    from labeling.studio.projects import one_push
    from labeling.studio.push import ask_annotators, asked_on, refresh_stale
    from labeling.studio.push import push as send
    from labeling.workspace import Workspace

    space = Workspace(workspace)
    asked_about = space.table().schema[attribute]
    fetch = f"sga label pull --workspace {workspace}"
    preannotate = preannotate and split != "test"
    with StudioClient(find_connection(space, url, token)) as client, one_push(space):
        asked, reviews = asked_on(client, space, attribute), asked_on(client, space, attribute, "review")
        predictions = load_predictions(space)
        version = None if predictions is None else predictions.version
        picked = questions(
            space,
            attribute,
            count,
            strategy,
            seed,
            asked,
            reviews=reviews,
            predictions=predictions,
            split=split,
            on_note=typer.echo,
        )
        if predictions is not None and preannotate:
            with progress_of("predictions") as progress:
                renewed = refresh_stale(client, space, asked_about, predictions, progress)
            if renewed:
                typer.echo(f"{renewed} tasks that wait show what {version} says now.")
        if not picked:
            if annotators is not None:
                ask_annotators(client, space, attribute, annotators)
            typer.echo(
                f"At least {count} questions about {attribute} wait already, as far as was pulled, or all that are left do: "
                f"nothing to send. If some are answered, type: {fetch}"
            )
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
        if annotators is not None:
            ask_annotators(client, space, attribute, annotators)
    for project in report.dropped:
        typer.echo(
            f"Project {project.id} was deleted in Label Studio; another stands in for it. Answers that were pulled stay."
        )
    typer.echo(f"{report.added} questions about {attribute} sent, {report.present} were there. Label them at {report.url}")
    typer.echo(f"Next, when some are answered: {fetch}")
