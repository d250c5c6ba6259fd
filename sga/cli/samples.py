"""`sga samples`: draw sample faces with known labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sga.cli.options import DryRun, Overrides, show_settings

if TYPE_CHECKING:
    from labeling.samples import SampleReport

__all__ = ["samples"]


def samples(
    out: Annotated[
        Path, typer.Argument(help="Folder to write: faces/, labels.csv, truth.csv. New, empty, or of the same settings.")
    ],
    count: Annotated[int, typer.Option(min=1, max=1_000_000, help="Faces to draw.")] = 1000,
    size: Annotated[int, typer.Option(min=64, max=512, help="Side of a face in pixels, 64 … 512.")] = 96,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other faces.")] = 0,
    hidden: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of labels kept back in labels.csv, 0 … 1.")] = 0.5,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes that draw.")] = 1,
    overrides: Overrides = None,
    dry_run: DryRun = False,
) -> None:
    """Draw sample faces with known labels: no download, no licence, every tag of schema moe34."""
    from configs import load_settings
    from labeling.samples import SampleSettings, write_samples

    named = {"count": count, "size": size, "seed": seed, "hidden": hidden, "workers": workers}
    settings = load_settings(
        SampleSettings, "samples", "default", [*(f"{k}={v}" for k, v in named.items()), *(overrides or ())]
    )
    if dry_run:
        return show_settings(settings)
    with typer.progressbar(length=settings.count, label="drawing") as bar:
        report = write_samples(settings, out, progress=bar.update)
    _summary(report)
    return None


def _summary(report: SampleReport) -> None:
    typer.echo(
        f"{report.count} faces in {report.faces}; labels told in {report.labels}, the whole truth in {report.out / 'truth.csv'}"
    )
    for name, counts in report.histograms.items():
        typer.echo(f"  {name:<12} " + "  ".join(f"{value} {number}" for value, number in counts.items()))
    typer.echo(f"Next: sga ingest {report.faces} --labels {report.labels} --workspace workspace --schema moe34")
