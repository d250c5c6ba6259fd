"""`sga complete`."""

from __future__ import annotations

from typing import Annotated

import typer

from sga.cli.options import DEFAULT_WORKSPACE, DryRun, Overrides, WorkspaceOption, show_settings

__all__ = ["complete"]


def complete(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    preset: Annotated[str, typer.Option(help="Preset of the ensemble or a YAML file.")] = "cpu",
    overrides: Overrides = None,
    dry_run: DryRun = False,
) -> None:
    """Train the ensemble on the labels there are and fill in the missing ones, with confidence."""
    from classifiers import complete as stage
    from classifiers.ensemble import EnsembleSettings
    from configs import load_settings
    from labeling.histograms import format_histograms
    from labeling.workspace import Workspace

    settings = load_settings(EnsembleSettings, "ensemble", preset, overrides or ())
    if dry_run:
        show_settings(settings)
        return
    place = Workspace(workspace)
    completion = stage.complete(place, settings)
    typer.echo(format_histograms(place.table().histograms()))
    typer.echo(completion.held_out.markdown())
    typer.echo(completion.out_of_fold.markdown())
    typer.echo(completion.precision.markdown())
    cells = ", ".join(f"{name} {count}" for name, count in completion.filled.items())
    typer.echo("Members' disagreement: " + ", ".join(f"{name} {value:.3f}" for name, value in completion.disagreement.items()))
    typer.echo(f"Cells filled: {cells}.")
    if place.state("ensemble") == "stale":
        typer.echo(f"Labels came in meanwhile and are kept. To learn from them: sga complete --workspace {workspace}")
    typer.echo(f"Next: sga sfn --workspace {workspace}")
