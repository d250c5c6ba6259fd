"""`sga ladder`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sga.cli.options import DEFAULT_WORKSPACE, DryRun, Overrides, StopAfter, WorkspaceOption, show_settings, stopping

__all__ = ["ladder"]


def ladder(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    preset: Annotated[
        str, typer.Option(help="Preset of the ladder (candidates, cpu, papers, smoke) or a YAML file.")
    ] = "candidates",
    rungs: Annotated[
        str | None,
        typer.Option(metavar="A,B,C", help="Presets of sga train, the base first.", show_default="as the preset says"),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Training of each rung and seed, minutes.", show_default="as the preset says")
    ] = None,
    images: Annotated[int | None, typer.Option(help="Its length in images instead of minutes.")] = None,
    cpu_time: Annotated[bool, typer.Option("--cpu-time", help="Minutes of CPU time: other work then does not count.")] = False,
    seeds: Annotated[int | None, typer.Option(help="Trainings a rung.", show_default="as the preset says")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the ladder.", show_default="ladder in the workspace")] = None,
    overrides: Overrides = None,
    stop_after: StopAfter = None,
    dry_run: DryRun = False,
) -> None:
    """Train recipes for the same time on the same faces and compare them. The same command again goes on."""
    from configs import load_settings

    asked = {"minutes": minutes, "images": images, "seeds": seeds, "clock": "cpu" if cpu_time else None}
    asked["rungs"] = None if rungs is None else f"[{rungs}]"
    options = [f"{name}={value}" for name, value in asked.items() if value is not None]
    with stopping(None if dry_run else stop_after):
        from labeling.workspace import Workspace
        from sga.ladder import LadderSettings, climb
        from sga.ladder.report import markdown

        settings = load_settings(LadderSettings, "ladder", preset, [*(overrides or ()), *options])
        if dry_run:
            show_settings(settings)
            return
        report = climb(Workspace(workspace), settings, out, typer.echo)
    typer.echo(markdown(report))
    typer.echo(f"Report and pictures: {out or workspace / 'ladder'}")
