"""`sga run`."""

from __future__ import annotations

from typing import Annotated

import typer

from sga.cli.options import DEFAULT_WORKSPACE, DryRun, Overrides, StopAfter, WorkspaceOption, show_settings, stopping

__all__ = ["run"]


def run(
    preset: Annotated[str, typer.Argument(help="Preset of a run (smoke, faces-cpu, faces-gpu, release) or a YAML file.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    overrides: Overrides = None,
    stop_after: StopAfter = None,
    dry_run: DryRun = False,
) -> None:
    """Run all stages from one YAML, each that is not done yet. The same command again goes on where it stopped."""
    from configs import load_settings

    with stopping(None if dry_run else stop_after):
        from labeling.workspace import Workspace
        from sga.pipeline import PipelineSettings
        from sga.pipeline import run as run_stages

        settings = load_settings(PipelineSettings, "run", preset, overrides or ())
        if dry_run:
            show_settings(settings)
            return
        place = Workspace(workspace)
        run_stages(place, settings, typer.echo)
    if place.record("model") is not None:
        typer.echo(f"Next: sga generate --gender female --model {place.folder('model')}")
