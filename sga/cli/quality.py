"""`sga quality draw` and `sga quality tune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sga.cli.options import DEFAULT_WORKSPACE, DryRun, Overrides, WorkspaceOption, show_settings

__all__ = ["draw", "tune"]


def draw(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    count: Annotated[int, typer.Option(help="Faces to draw, genders in turn.")] = 400,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other faces.")] = 0,
) -> None:
    """Draw faces as they come, for people to label: a CSV to fill in and contact sheets to look at."""
    from labeling.workspace import Workspace
    from sga.quality import draw_for_labels

    drawn = draw_for_labels(Workspace(workspace), count, seed)
    typer.echo(f"{drawn.count} faces on {len(drawn.sheets)} sheets in {drawn.sheets[0].parent}.")
    typer.echo(
        f"Fill in low, median or high in {drawn.csv}. Next: sga quality tune --labels {drawn.csv} --workspace {workspace}"
    )


def tune(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    labels: Annotated[
        list[Path] | None, typer.Option(help="CSV with seed, index, gender and quality. May be given several times.")
    ] = None,
    preset: Annotated[str, typer.Option(help="Preset of the finetuning or a YAML file.")] = "cpu",
    overrides: Overrides = None,
    dry_run: DryRun = False,
) -> None:
    """Finetune the judge with quality labels, of generated faces and of the label table, and calibrate what is accepted."""
    from classifiers.quality import QualitySettings
    from configs import load_settings
    from labeling.workspace import Workspace
    from sga.quality import tune_judge

    settings = load_settings(QualitySettings, "quality", preset, overrides or ())
    if dry_run:
        show_settings(settings)
        return
    report = tune_judge(Workspace(workspace), settings, labels or [])
    typer.echo(report.accuracy.markdown())
    for name, rate in report.acceptance.rates.items():
        typer.echo(f"{name}: " + ", ".join(f"{key} {value:.3f}" for key, value in rate.items()))
    typer.echo(f"Mean correlation of the style before and after: {report.style_correlation:.3f}")
    typer.echo(f"Next: sga export --workspace {workspace}")
