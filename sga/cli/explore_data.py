"""`sga explore data`: pictures of a workspace's faces and labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sga.cli.options import DEFAULT_WORKSPACE, WorkspaceOption
from sga.cli.progress import progress_of

__all__ = ["data"]


def data(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write.", show_default="explore/ in the workspace")
    ] = None,
    count: Annotated[int, typer.Option(help="Faces of the t-SNE.")] = 1500,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Same seed, same pictures.")] = 0,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME,…",
            help="Some of: tsne, years, edges, labels, together, samples. Without it: all.",
            show_default=False,
        ),
    ] = None,
    completed: Annotated[
        bool, typer.Option("--completed", help="Completed labels count as known in averages and co-occurrences.")
    ] = False,
) -> None:
    """Draw the data: t-SNE with the faces themselves (also as a page to zoom), average faces by year and label, counts by year,
    short edge and label, labels that come together, samples with their confidence. index.html shows all."""
    from labeling.workspace import Workspace
    from sga.explore.data import explore_data

    names = [name.strip() for part in only or () for name in part.split(",") if name.strip()]
    with progress_of("faces") as progress:
        drawn = explore_data(
            Workspace(workspace),
            out or workspace / "explore",
            count=count,
            seed=seed,
            only=names,
            completed=completed,
            progress=progress,
        )
    for sentence in dict.fromkeys(drawn.sentences):
        typer.echo(f"Not drawn: {sentence}", err=True)
    typer.echo("\n".join(map(str, drawn.files)))
