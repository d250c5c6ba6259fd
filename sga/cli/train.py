"""`sga train`."""

from __future__ import annotations

from typing import Annotated

import typer

from sga.cli.options import DEFAULT_WORKSPACE, DryRun, Overrides, StopAfter, WorkspaceOption, show_settings, stopping

__all__ = ["train"]

_FOR_GPU, _FOR_CPU = "sga96", "sga96-cpu"


def train(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    preset: Annotated[
        str | None,
        typer.Option(
            help="Preset of the GAN (sga96, ga96, moe128, dcgan128, sga96-cpu, smoke …) or a YAML file.",
            show_default="sga96 where a GPU is found, else sga96-cpu",
        ),
    ] = None,
    overrides: Overrides = None,
    accept_changes: Annotated[
        bool, typer.Option("--accept-changes", help="Go on though settings or faces are not those the run began with.")
    ] = False,
    stop_after: StopAfter = None,
    dry_run: DryRun = False,
) -> None:
    """Train the generator. The same command again goes on where it stopped."""
    from classifiers.runtime import Stopped
    from configs import load_settings
    from labeling.workspace import Workspace
    from sga.training import GanSettings
    from sga.training import train as stage

    chosen = preset or _preset_for_this_machine()
    settings = load_settings(GanSettings, "gan", chosen, overrides or ())
    if preset is None:  # as a comment: what a dry run prints is still a preset
        typer.echo(f"# preset {chosen}: {'no GPU' if chosen == _FOR_CPU else 'a GPU'} was found", err=not dry_run)
    if dry_run:
        show_settings(settings)
        return
    with stopping(stop_after):
        result = stage(Workspace(workspace), settings, accept_changes=accept_changes)
        if not result.finished:
            typer.echo(f"Seen so far: {result.images} of {settings.images} images.", err=True)
            raise Stopped
    typer.echo(f"Trained on {result.images} images: {result.folder}. Next: sga quality draw --workspace {workspace}")


def _preset_for_this_machine() -> str:
    """The paper's sizes are days of work on a CPU."""
    import torch

    return _FOR_GPU if torch.cuda.is_available() else _FOR_CPU
