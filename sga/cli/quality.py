"""`sga quality draw`, `push`, `pull` and `tune`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sga.cli.label_studio import TokenOption, UrlOption
from sga.cli.options import DEFAULT_WORKSPACE, DryRun, Overrides, WorkspaceOption, show_settings
from sga.cli.progress import progress_of

if TYPE_CHECKING:
    from rich.progress import TaskID

__all__ = ["draw", "pull", "push", "tune"]


def draw(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    count: Annotated[int, typer.Option(help="Faces to draw, genders in turn.")] = 400,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other faces.")] = 0,
) -> None:
    """Draw faces as they come, for people to label: a CSV to fill in and contact sheets to look at."""
    from labeling.workspace import Workspace
    from sga.quality import draw_for_labels
    from sga.quality_faces import outdated

    space = Workspace(workspace)
    _tell(outdated(space))
    drawn = draw_for_labels(space, count, seed)
    typer.echo(f"{drawn.count} faces on {len(drawn.sheets)} sheets in {drawn.sheets[0].parent}.")
    typer.echo(
        f"Fill in low, median or high in {drawn.csv}. Next: sga quality tune --labels {drawn.csv} --workspace {workspace}"
    )


def push(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    count: Annotated[int, typer.Option(help="Faces that shall wait for an answer; as many as are missing are sent.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other faces.")] = 0,
    layout: Annotated[
        Literal["single", "wall"],
        typer.Option(help="One face a task with hotkeys, or a wall of 24 faces, whose empty cells are asked again."),
    ] = "single",
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Send generated faces to Label Studio: near the judge's threshold, of all styles, and some at random.

    What people dispute, skipped or left empty on a wall is asked again first. Pull before, so that it is known.
    """
    from classifiers.runtime import progress_bar
    from labeling.studio.client import StudioClient
    from labeling.studio.connection import find_connection
    from labeling.studio.projects import one_push
    from labeling.workspace import Workspace
    from sga.quality_faces import outdated
    from sga.quality_queue import push_faces

    space = Workspace(workspace)
    _tell(outdated(space))
    with StudioClient(find_connection(space, url, token)) as client, one_push(space), progress_bar() as bar:
        bars: dict[str, TaskID] = {}

        def on_progress(what: str, done: int, total: int) -> None:
            if what not in bars:
                bars[what] = bar.add_task(what, total=total, note="")
            bar.update(bars[what], completed=done, total=total)

        pushed = push_faces(client, space, count, seed, layout, on_progress)
    _tell(*pushed.lines())
    typer.echo(f"Next, when some are answered: sga quality pull --workspace {workspace}")


def pull(workspace: WorkspaceOption = DEFAULT_WORKSPACE, url: UrlOption = None, token: TokenOption = None) -> None:
    """Fetch what people said of generated faces; sga quality tune learns from it.

    Skipped faces and empty cells of a wall are no answers: the next push asks again.
    """
    from labeling.studio.client import StudioClient
    from labeling.studio.connection import find_connection
    from labeling.studio.projects import projects_of
    from labeling.studio.pull import pull as fetch
    from labeling.workspace import Workspace
    from sga.quality_asked import pulled
    from sga.quality_faces import outdated

    space = Workspace(workspace)
    connection = find_connection(space, url, token)
    projects = projects_of(space, connection.server, purpose="quality")
    with StudioClient(connection) as client, progress_of("tasks") as progress:
        report = fetch(client, space, projects, progress)
    _tell(*report.lines())  # a refused answer is told once: before anything else can fail
    told = pulled(space)
    _tell(*told.lines(), outdated(space))
    if told.labels:
        typer.echo(f"Next: sga quality tune --workspace {workspace}")
    else:
        typer.echo(f"Next: label some in Label Studio (sga quality push --workspace {workspace} sends more), and pull again.")


def tune(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    labels: Annotated[
        list[Path] | None, typer.Option(help="CSV with seed, index, gender and quality. May be given several times.")
    ] = None,
    preset: Annotated[str, typer.Option(help="Preset of the finetuning or a YAML file.")] = "cpu",
    overrides: Overrides = None,
    dry_run: DryRun = False,
) -> None:
    """Finetune the judge with quality labels, of generated faces and of the label table, and calibrate what is accepted.

    What sga quality pull fetched is taken in without being named. A label in a CSV given here counts before it, for good.
    """
    from classifiers.quality import QualitySettings
    from configs import load_settings
    from labeling.workspace import Workspace
    from sga.quality import tune_judge
    from sga.quality_faces import outdated
    from sga.quality_labels import of_other_generators

    settings = load_settings(QualitySettings, "quality", preset, overrides or ())
    if dry_run:
        show_settings(settings)
        return
    space = Workspace(workspace)
    report = tune_judge(space, settings, labels or [])
    others = of_other_generators(space)
    if others:
        typer.echo(f"{others} labels from Label Studio are of another generator: kept, not used.")
    typer.echo(report.accuracy.markdown())
    for name, rate in report.acceptance.rates.items():
        typer.echo(f"{name}: " + ", ".join(f"{key} {value:.3f}" for key, value in rate.items()))
    typer.echo(f"Mean correlation of the style before and after: {report.style_correlation:.3f}")
    _tell(outdated(space) or f"Next: sga export --workspace {workspace}")


def _tell(*lines: str | None) -> None:
    for line in lines:
        if line is not None:
            typer.echo(line)
