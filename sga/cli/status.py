"""`sga status`."""

from __future__ import annotations

import typer

from sga.cli.options import DEFAULT_WORKSPACE, WorkspaceOption

__all__ = ["status"]


def status(workspace: WorkspaceOption = DEFAULT_WORKSPACE) -> None:
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
    open_stages = [stage for stage in states if stage.state != "done"]
    if open_stages:
        typer.echo(f"Next: {open_stages[0].command} --workspace {workspace}")
