"""`sga samples`: draw sample faces with known labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from configs.errors import InputError
from sga.cli.options import DryRun, Overrides, given, show_settings

if TYPE_CHECKING:
    from labeling.samples import SampleReport
    from labeling.samples.illustrations import IllustrationReport

__all__ = ["samples"]


def samples(
    ctx: typer.Context,
    out: Annotated[
        Path, typer.Argument(help="Folder to write: faces/, labels.csv, truth.csv. New, empty, or of the same settings.")
    ],
    count: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="Faces to draw; default 1000.", show_default=False)
    ] = None,
    size: Annotated[int, typer.Option(min=64, max=512, help="Side of a face in pixels, 64 … 512.")] = 96,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other faces.")] = 0,
    hidden: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of labels kept back in labels.csv, 0 … 1.")] = 0.5,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes that draw.")] = 1,
    illustrations: Annotated[
        bool,
        typer.Option(
            "--illustrations",
            help="Draw whole illustrations instead, with true boxes, years and tags; --count of them, default 200.",
        ),
    ] = False,
    page: Annotated[int, typer.Option(min=256, max=4096, help="Longer side of the largest illustrations, px.")] = 1000,
    overrides: Overrides = None,
    dry_run: DryRun = False,
) -> None:
    """Draw sample faces with known labels: no download, no licence, every tag of schema moe34."""
    typed = given(ctx, "size" if illustrations else "page")
    if typed:
        said = "--page with --illustrations, found --size" if illustrations else "--size without --illustrations, found --page"
        raise InputError(f"Expected {said}. Correct it.")
    if illustrations:
        named = {"count": count or 200, "size": page, "seed": seed, "hidden": hidden, "workers": workers}
        return _illustrations(out, named, overrides or (), dry_run)
    from configs import load_settings
    from labeling.samples import SampleSettings, write_samples

    named = {"count": count or 1000, "size": size, "seed": seed, "hidden": hidden, "workers": workers}
    settings = load_settings(
        SampleSettings, "samples", "default", [*(f"{k}={v}" for k, v in named.items()), *(overrides or ())]
    )
    if dry_run:
        return show_settings(settings)
    with typer.progressbar(length=settings.count, label="drawing") as bar:
        report = write_samples(settings, out, progress=bar.update)
    _summary(report)
    return None


def _illustrations(out: Path, named: dict[str, Any], overrides: Sequence[str], dry_run: bool) -> None:
    from configs.loader import make_settings
    from labeling.samples.illustrations import IllustrationSettings, write_illustrations

    settings = make_settings(IllustrationSettings, named, overrides=overrides)
    if dry_run:
        return show_settings(settings)
    with typer.progressbar(length=settings.count, label="drawing") as bar:
        _told(write_illustrations(settings, out, progress=bar.update))
    return None


def _told(report: IllustrationReport) -> None:
    typer.echo(
        f"{report.count} illustrations with {report.faces} faces in {report.pictures}, {report.single} with one face, "
        f"{report.empty} with none; true boxes in {report.boxes}, years in {report.metadata}"
    )
    typer.echo(
        f"Next: sga ingest {report.pictures} --cascade FILE.xml --tags sidecar --metadata {report.metadata} "
        f"--labels {report.labels} --workspace workspace --schema moe34"
    )


def _summary(report: SampleReport) -> None:
    typer.echo(
        f"{report.count} faces in {report.faces}; labels told in {report.labels}, the whole truth in {report.out / 'truth.csv'}"
    )
    for name, counts in report.histograms.items():
        typer.echo(f"  {name:<12} " + "  ".join(f"{value} {number}" for value, number in counts.items()))
    typer.echo(f"Next: sga ingest {report.faces} --labels {report.labels} --workspace workspace --schema moe34")
