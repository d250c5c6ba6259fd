"""`sga status`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sga.cli.options import DEFAULT_WORKSPACE, WorkspaceOption

__all__ = ["status"]


def status(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    labels_csv: Annotated[
        Path | None, typer.Option(help="Also write the label table as CSV, which sga ingest --labels reads.")
    ] = None,
) -> None:
    """Show which stages are done, stale, started or missing, and the labels there are."""
    from labeling.workspace import Workspace
    from sga.pipeline import status as read_status

    place = Workspace(workspace)
    states = read_status(place)
    for stage in states:
        typer.echo(f"{stage.name:9} {stage.state:8} {stage.finished:21} {stage.command}")
    if place.labels_path.is_file():
        from labeling.histograms import format_histograms

        typer.echo(format_histograms(place.table().histograms()))
    if labels_csv is not None:
        place.table().to_csv(labels_csv)
        typer.echo(f"Labels: {labels_csv}")
    open_stages = [stage for stage in states if stage.state != "done"]
    if open_stages:
        typer.echo(f"Next: {open_stages[0].command} --workspace {workspace}")
