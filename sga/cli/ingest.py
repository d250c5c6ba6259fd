"""`sga ingest`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from configs.errors import InputError
from sga.cli.options import DEFAULT_WORKSPACE, DryRun, Overrides, WorkspaceOption, given, show_settings
from sga.cli.progress import progress_of

__all__ = ["ingest"]


_SEARCH = ("zoom", "shift", "min_face", "min_score", "max_faces", "rotate")


def ingest(
    ctx: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH…",
            help="Folders and tar files of cropped faces, or of illustrations. None: label those there.",
            show_default=False,
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
    tags: Annotated[
        list[str] | None,
        typer.Option(
            metavar="sidecar|FILE",
            help="Booru tags: sidecar = .txt and .json beside the pictures; CSV, parquet or JSON lines. Repeatable.",
        ),
    ] = None,
    tag_map: Annotated[str, typer.Option(help="What tags mean: a map that ships, or a YAML file.")] = "booru",
    tag_threshold: Annotated[float, typer.Option(help="Least probability of a tag.")] = 0.25,
    tags_complete: Annotated[bool, typer.Option("--tags-complete", help="A tag that a list lacks is absent.")] = False,
    tagger: Annotated[
        Path | None, typer.Option(metavar="FILE.onnx", help="Infer tags of the faces.", show_default=False)
    ] = None,
    tag_list: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The tagger's tags in order: lines, JSON or CSV.", show_default=False)
    ] = None,
    cascade: Annotated[
        Path | None,
        typer.Option(metavar="FILE.xml", help="Find faces in illustrations: an OpenCV cascade.", show_default=False),
    ] = None,
    detector: Annotated[
        Path | None,
        typer.Option(metavar="FILE.onnx", help="Find faces in illustrations: a detector as ONNX.", show_default=False),
    ] = None,
    zoom: Annotated[float, typer.Option(help="Side of the crop over that of the found face.")] = 1.5,
    shift: Annotated[float, typer.Option(help="Moves the crop down (above 0) or up, in its sides.")] = 0.0,
    min_face: Annotated[
        int, typer.Option(help="Smallest face that is looked for, px; a cascade sees those of 1.25 times it.")
    ] = 32,
    min_score: Annotated[
        float | None, typer.Option(help="Least score of a found face, 0 … 1; the detector has a default.", show_default=False)
    ] = None,
    max_faces: Annotated[int, typer.Option(help="A picture with more faces is not taken.")] = 200,
    rotate: Annotated[
        str, typer.Option(help="Look for leaning faces too: never, empty (where no upright face is found) or always.")
    ] = "empty",
    metadata: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="CSV of the pictures: a column file, any others, such as year.", show_default=False),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="CONDITION", help='Take these pictures alone, such as "year>2005" (= != < <= > >=). Repeatable.'),
    ] = None,
    overrides: Overrides = None,
    dry_run: DryRun = False,
) -> None:
    """Take cropped faces and their partial labels into a workspace: decode, resize, drop duplicates, split.

    With --cascade or --detector the pictures are illustrations: their faces are found, cut out and named PICTURE#0, PICTURE#1 …
    from top to bottom. Pictures without one are named in rejected.csv.

    Run it again to add faces or labels: faces keep their split, labels that a person made stay; what was found in a picture is
    not looked for again. What has no option of its own (test, validation, min_size, max_pixels, max_aspect, detection.pad …) is
    reached by --set; --dry-run shows all.
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
            "tags": tags or (),
            "tag_map": tag_map,
            "tag_threshold": tag_threshold,
            "tags_complete": tags_complete,
            "tagger": {"model": str(tagger or ""), "tags": str(tag_list or "")},
            "detection": {
                "cascade": str(cascade or ""),
                "detector": str(detector or ""),
                "zoom": zoom,
                "shift": shift,
                "min_face": min_face,
                "min_score": min_score,
                "max_faces": max_faces,
                "rotate": rotate,
            },
            "metadata": str(metadata or ""),
            "where": where or (),
        },
        overrides=overrides or (),
    )
    if dry_run:
        show_settings(settings)
        return
    _check_typed(ctx, detecting=settings.detection.on)
    with progress_of("pictures" if settings.detection.on else "faces") as progress:
        report = stage(paths or (), workspace, settings, labels=labels or (), progress=progress)
    typer.echo(report.text())
    typer.echo(f"\nNext: sga complete --workspace {workspace}")


def _check_typed(ctx: typer.Context, *, detecting: bool) -> None:
    """Refuse options about illustrations that were typed and can have no effect."""
    search = given(ctx, *_SEARCH)
    if search and not detecting:
        raise InputError(f"Expected --cascade or --detector with {search}, found neither. Name one, or leave {search} out.")
    typed = given(ctx, "cascade", "detector") or search
    if typed and not ctx.params["paths"]:
        raise InputError(f"Expected PATHs of illustrations with {typed}, found none. Name them, or leave {typed} out.")
