"""`sga ingest`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sga.cli.options import DEFAULT_WORKSPACE, DryRun, Overrides, WorkspaceOption, show_settings
from sga.cli.progress import progress_of

__all__ = ["ingest"]


def ingest(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH…", help="Folders and tar files of cropped faces. None: label those there.", show_default=False
        ),
    ] = None,
    labels: Annotated[
        list[Path] | None,
        typer.Option(
            help="CSV: a column file, one an attribute, empty = unknown; or what sga status --labels-csv wrote. Repeatable.",
            show_default=False,
        ),
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    schema: Annotated[str, typer.Option(help="Attributes: faces, moe34 or a YAML file.")] = "faces",
    size: Annotated[int, typer.Option(help="Side of the stored faces, px.")] = 96,
    fit: Annotated[
        str, typer.Option(help="A picture that is not square: crop its longer side, or pad it with white.")
    ] = "crop",
    source: Annotated[str, typer.Option(help="Who said what the CSV says: original or human.")] = "original",
    human: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="This column was filled by a person looking at each picture.")
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option(metavar="COLUMN", help="This column is no attribute.")] = None,
    group: Annotated[
        str,
        typer.Option(metavar="COLUMN", help="Rows of one value share a split, as a character's should.", show_default=False),
    ] = "",
    drop: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN=VALUE", help="Leave out these rows' faces, those there too.")
    ] = None,
    radius: Annotated[int, typer.Option(help="Near duplicates: differing bits of a 256-bit hash. They share a split.")] = 52,
    workers: Annotated[int, typer.Option(help="Processes; 0 = one a core.")] = 0,
    overrides: Overrides = None,
    dry_run: DryRun = False,
) -> None:
    """Take cropped faces and their partial labels into a workspace: decode, resize, drop duplicates, split.

    Run it again to add faces or labels: faces keep their split, labels that a person made stay. What has no option of its own
    (test, validation, min_size, max_pixels, max_aspect) is reached by --set; --dry-run shows all.
    """
    from configs.loader import make_settings
    from labeling.ingest import IngestSettings
    from labeling.ingest import ingest as stage

    settings = make_settings(
        IngestSettings,
        {
            "schema_name": schema,
            "size": size,
            "fit": fit,
            "source": source,
            "human": human or (),
            "ignore": ignore or (),
            "group": group,
            "drop": drop or (),
            "radius": radius,
            "workers": workers,
        },
        overrides=overrides or (),
    )
    if dry_run:
        show_settings(settings)
        return
    with progress_of("faces") as progress:
        report = stage(paths or (), workspace, settings, labels=labels or (), progress=progress)
    typer.echo(report.text())
    typer.echo(f"\nNext: sga complete --workspace {workspace}")
