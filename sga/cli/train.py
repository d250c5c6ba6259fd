"""`sga train`."""

from __future__ import annotations

from typing import Annotated

import typer

from sga.cli.options import DEFAULT_WORKSPACE, DryRun, Overrides, WorkspaceOption, show_settings

__all__ = ["train"]


def train(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    preset: Annotated[str, typer.Option(help="Preset of the GAN (sga96, ga96, sga96-cpu, smoke) or a YAML file.")] = "sga96",
    overrides: Overrides = None,
    accept_changes: Annotated[
        bool, typer.Option("--accept-changes", help="Go on though settings or faces are not those the run began with.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Train the generator. The same command again goes on where it stopped."""
    from configs import load_settings
    from labeling.workspace import Workspace
    from sga.training import GanSettings
    from sga.training import train as stage

    settings = load_settings(GanSettings, "gan", preset, overrides or ())
    if dry_run:
        show_settings(settings)
        return
    result = stage(Workspace(workspace), settings, accept_changes=accept_changes)
    if not result.finished:
        typer.echo(
            f"Stopped at {result.images} of {settings.images} images and saved. Type the same command to go on.", err=True
        )
        raise typer.Exit(130)
    typer.echo(f"Trained on {result.images} images: {result.folder}. Next: sga quality draw --workspace {workspace}")
