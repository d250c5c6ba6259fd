"""`sga sfn`."""

from __future__ import annotations

from typing import Annotated

import typer

from sga.cli.options import DEFAULT_WORKSPACE, DryRun, Overrides, WorkspaceOption, show_settings

__all__ = ["sfn"]


def sfn(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    preset: Annotated[str, typer.Option(help="Preset of the style feature network or a YAML file.")] = "cpu",
    overrides: Overrides = None,
    dry_run: DryRun = False,
) -> None:
    """Train the style feature network on known and completed labels and describe every face in 30 numbers."""
    from classifiers.sfn import SfnSettings, train_sfn
    from configs import load_settings
    from labeling.workspace import Workspace

    settings = load_settings(SfnSettings, "sfn", preset, overrides or ())
    if dry_run:
        show_settings(settings)
        return
    report = train_sfn(Workspace(workspace), settings)
    typer.echo(report.held_out.markdown())
    typer.echo(f"Next: sga train --workspace {workspace}")
