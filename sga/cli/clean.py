"""`sga clean mark`, `show`, `keep`, `push` and `pull`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sga.cli.label_studio import TokenOption, UrlOption
from sga.cli.options import DEFAULT_WORKSPACE, Overrides, WorkspaceOption
from sga.cli.progress import progress_of

if TYPE_CHECKING:
    from labeling.cleaning.mark import CleanReport

__all__ = ["keep", "mark", "pull", "push", "show"]


def mark(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    cascade: Annotated[
        str, typer.Option(metavar="FILE", help="Leave out crops in which this OpenCV cascade (XML) finds no face.")
    ] = "",
    detector: Annotated[str, typer.Option(metavar="FILE", help="The same with an ONNX face detector.")] = "",
    features: Annotated[
        Literal["descriptor", "sfn"], typer.Option(help="What near duplicates are found by; sfn: the styles of sga sfn.")
    ] = "descriptor",
    also_labelled: Annotated[
        bool, typer.Option("--also-labelled", help="Faces that a person labelled too; else they always stay.")
    ] = False,
    overrides: Overrides = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the settings and what they would do, and stop.")] = False,
) -> None:
    """Leave out near duplicates, blurred, gray, flat, tiny faces: marked with the reason, never deleted, and shown on sheets.

    Run it again with other thresholds (--set blur=0.2; null = off): marks come and go as they say. What people said stays.
    """
    from configs.loader import make_settings
    from labeling.cleaning import mark as marking
    from labeling.cleaning.finder import make_finder
    from labeling.cleaning.settings import CleanSettings
    from labeling.cleaning.sheets import draw_sheets
    from labeling.workspace import Workspace
    from sga.cli.options import show_settings

    values = {"features": features, "also_labelled": also_labelled}
    settings, space = make_settings(CleanSettings, values, overrides=overrides or ()), Workspace(workspace)
    finder = make_finder(cascade, detector)
    with progress_of("faces") as progress:
        report, scores, plan = marking.mark(space, settings, finder=finder, dry_run=dry_run, on_progress=progress)
    if dry_run:
        show_settings(settings)
        _tell(report)
        return
    sheets = draw_sheets(space, space.table(), scores, plan, settings, report)
    _tell(report)
    typer.echo(f"Look at them: {sheets}")
    typer.echo(f"Next: sga clean push --workspace {workspace} (people judge), or sga complete --workspace {workspace}")


def show(workspace: WorkspaceOption = DEFAULT_WORKSPACE) -> None:
    """Show how many faces are left out, why, and what people said."""
    from labeling.cleaning.mark import clean_report
    from labeling.cleaning.record import read_record, with_former
    from labeling.workspace import Workspace

    space = Workspace(workspace)
    table = space.table()
    _tell(clean_report(space, table, with_former(space, read_record(space), table)))


def keep(
    faces: Annotated[
        list[str] | None, typer.Argument(metavar="FACE…", help="Identities, or beginnings of them.", show_default=False)
    ] = None,
    reason: Annotated[str | None, typer.Option(help="All that are marked for this reason.", show_default=False)] = None,
    review: Annotated[
        Path | None,
        typer.Option(help="CSV with the columns face and verdict: keep, leave_out or scores.", show_default=False),
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Put faces back for good, whatever scores say; or take the verdicts of a CSV."""
    from configs.errors import InputError
    from labeling.cleaning import review as reviews
    from labeling.workspace import Workspace

    space = Workspace(workspace)
    if sum(given is not None for given in (faces or None, reason, review)) != 1:
        raise InputError("Expected one of FACE…, --reason and --review, found none or several. Name one of them.")
    if review is not None:
        report = reviews.set_verdicts(space, reviews.read_review(space, review))
    else:
        report = reviews.keep_faces(space, faces or reviews.marked_with(space, str(reason)))
    _tell(report)


def push(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    count: Annotated[int, typer.Option(min=1, help="Marked faces that shall wait for an answer.")] = 200,
    reason: Annotated[str | None, typer.Option(help="Ask about these marks alone.", show_default=False)] = None,
    layout: Annotated[
        Literal["single", "wall"], typer.Option(help="One face a task with hotkeys, or a wall of 24 faces.")
    ] = "single",
    url: UrlOption = None,
    token: TokenOption = None,
) -> None:
    """Send marked faces to Label Studio: keep (a false positive) or leave out? Those nearest to a threshold first."""
    from labeling.cleaning.review import questions
    from labeling.studio.attributes import CLEANING
    from labeling.studio.client import StudioClient
    from labeling.studio.connection import find_connection
    from labeling.studio.projects import one_push
    from labeling.studio.push import asked_on
    from labeling.studio.push import push as send
    from labeling.workspace import Workspace

    space = Workspace(workspace)
    with StudioClient(find_connection(space, url, token)) as client, one_push(space):
        asked = questions(space, count, asked_on(client, space, CLEANING.name, "cleaning"), reason)
        if not asked:
            typer.echo("Enough marked faces wait for an answer, as far as was pulled, or none is left to ask about.")
            return
        with progress_of("questions") as progress:
            report = send(
                client, space, CLEANING, asked, layout=layout, purpose="cleaning", preannotate=False, on_progress=progress
            )
    typer.echo(f"{report.added} marked faces sent, {report.present} were there. Judge them at {report.url}")
    typer.echo(f"Next, when some are answered: sga clean pull --workspace {workspace}")


def pull(workspace: WorkspaceOption = DEFAULT_WORKSPACE, url: UrlOption = None, token: TokenOption = None) -> None:
    """Fetch what people said of marked faces; what most of them say decides."""
    from labeling.cleaning.review import take_in_verdicts
    from labeling.studio.client import StudioClient
    from labeling.studio.connection import find_connection
    from labeling.studio.projects import projects_of
    from labeling.studio.pull import pull as fetch
    from labeling.workspace import Workspace

    space = Workspace(workspace)
    connection = find_connection(space, url, token)
    projects = projects_of(space, connection.server, purpose="cleaning")
    with StudioClient(connection) as client, progress_of("tasks") as progress:
        fetched = fetch(client, space, projects, progress)
    for line in fetched.lines():
        typer.echo(line)
    report, counts, disputed = take_in_verdicts(space)
    told = ", ".join(f"{count:,} {value}" for value, count in sorted(counts.items())) or "nobody said anything yet"
    typer.echo(f"In all: {told}; {disputed:,} disputed (the next sga clean push asks again).")
    _tell(report)


def _tell(report: CleanReport) -> None:
    for line in report.lines():
        typer.echo(line)
