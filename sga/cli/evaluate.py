"""`sga evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from configs.terminal import console
from sga.cli.options import DEFAULT_WORKSPACE, DryRun, Overrides, WorkspaceOption, show_settings

if TYPE_CHECKING:
    from sga.evaluation.report import TableBlock

__all__ = ["evaluate"]

_WIDE = 160


def evaluate(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    model: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="Model folder whose judge accepts faces.", show_default="model/ in the workspace"),
    ] = None,
    count: Annotated[
        int | None, typer.Option(help="Generated faces of each gender.", show_default="as the preset says")
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            help="What sees the faces: referee (trained here, offline), timm:NAME (pretrained) or inception.",
            show_default="as the preset says",
        ),
    ] = None,
    inception_weights: Annotated[
        Path | None, typer.Option(help="Weights of torch-fidelity's InceptionV3, for --features inception.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Real faces to compare with: test (no training saw them) or all.", show_default="as the preset says"),
    ] = None,
    preset: Annotated[str, typer.Option(help="Preset of the evaluation (default, quick, smoke) or a YAML file.")] = "default",
    overrides: Overrides = None,
    dry_run: DryRun = False,
) -> None:
    """Measure the generated faces: FID, KID, precision and recall, gender and attributes, diversity, copies."""
    from configs import load_settings
    from labeling.workspace import Workspace
    from sga.evaluation import EvaluationSettings, evaluation_folder
    from sga.evaluation import evaluate as stage
    from sga.evaluation.tables import report_tables

    asked: dict[str, Any] = {"count": count, "features": features, "split": split, "inception_weights": inception_weights}
    options = [f"{name}={value}" for name, value in asked.items() if value is not None]
    settings = load_settings(EvaluationSettings, "evaluation", preset, [*(overrides or ()), *options])
    if dry_run:
        show_settings(settings)
        return
    space = Workspace(workspace)
    report = stage(space, settings, model)
    for block in report_tables(report):
        _show(block)
    typer.echo(f"Report and pictures: {evaluation_folder(space)}")


def _show(block: TableBlock) -> None:
    from rich import box
    from rich.table import Table

    screen = console(highlight=False)
    if not screen.is_terminal:  # a file or another program: nothing is cut
        screen = console(highlight=False, width=_WIDE)
    table = Table(title=block.title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title_justify="left", title_style="bold")
    for place, name in enumerate(block.header):
        table.add_column(name, justify="left" if place < 2 else "right", no_wrap=place < 2)
    for row in block.rows:
        table.add_row(*row)
    screen.print(table, *block.notes, sep="\n", soft_wrap=False)
