"""`sga upscale train`, `measure` and `draw`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from configs.errors import InputError
from sga.cli.options import DEFAULT_WORKSPACE, DryRun, Overrides, StopAfter, WorkspaceOption, show_settings, stopping
from sga.cli.progress import progress_of

if TYPE_CHECKING:
    from sga.generation.enlarge import Enlarger

__all__ = ["draw", "measure", "train"]

_FOR_GPU, _FOR_CPU = "default", "cpu"

OfModel = Annotated[
    str | None, typer.Option("--model", metavar="DIR|NAME", help="Upscaler of a model folder in place of the workspace's.")
]


def train(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    preset: Annotated[
        str | None,
        typer.Option(
            help="Preset (default, cpu, smoke) or a YAML file.", show_default="default where a GPU is found, else cpu"
        ),
    ] = None,
    overrides: Overrides = None,
    stop_after: StopAfter = None,
    dry_run: DryRun = False,
) -> None:
    """Train the upscaler on the faces of a workspace. The same command again goes on where it stopped."""
    from configs import load_settings
    from labeling.workspace import Workspace
    from sga.upscale import UpscaleSettings

    settings = load_settings(UpscaleSettings, "upscale", preset or _preset_for_this_machine(), overrides or ())
    if dry_run:
        show_settings(settings)
        return
    from sga.upscale.training import train_upscaler

    with stopping(stop_after):
        done = train_upscaler(Workspace(workspace), settings)
    typer.echo(f"Trained on {done.images} crops: {done.folder}. Next: sga upscale measure --workspace {workspace}")


def measure(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    model: OfModel = None,
    pictures: Annotated[
        list[Path] | None,
        typer.Option(metavar="PATH", help="Pictures of one size in place of the workspace's split test; folder, tar or file."),
    ] = None,
    faces: Annotated[int, typer.Option(min=1, help="Measure on at most so many, evenly picked.")] = 1000,
    out: Annotated[Path | None, typer.Option(help="JSON file; default: measured.json beside the workspace's upscaler.")] = None,
) -> None:
    """Measure the upscaler against plain filters on faces that it was not trained on, at 2× and 4×."""
    from labeling.workspace import Workspace
    from sga.upscale.data import load_originals, read_originals
    from sga.upscale.measure import MeasureSettings, report, write_report
    from sga.upscale.measure import measure as stage
    from sga.upscale.place import MEASURED, upscale_folder

    space, settings = Workspace(workspace), MeasureSettings(faces=faces)
    upscaler = _upscaler(model, workspace)
    if pictures:
        originals = read_originals(pictures, settings.faces)
    else:
        originals = load_originals(space, "test", settings.faces)
    with progress_of("faces") as moved:
        rows = stage(upscaler, originals.images, settings, moved)
    typer.echo(report(rows))
    if out is None and model is None and not pictures:
        out = upscale_folder(space) / MEASURED
    if out is not None:
        of = "split test" if not pictures else ", ".join(path.name for path in pictures)
        write_report(out, rows, upscaler=upscaler.name, pictures=of)
        typer.echo(f"In {out}.", err=True)


def draw(
    pictures: Annotated[list[Path], typer.Argument(metavar="PICTURE...", help="Picture files.")],
    scale: Annotated[int, typer.Option(help="2 or 4.")] = 2,
    out: Annotated[Path, typer.Option(help="Folder of the enlarged pictures.")] = Path("upscaled"),
    model: Annotated[
        str | None, typer.Option(metavar="DIR|NAME", help="Model whose upscaler it is. Without it: the one that ships.")
    ] = None,
    workspace: Annotated[
        Path | None, typer.Option(file_okay=False, help="Workspace whose upscaler it is, in place of a model's.")
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Draw OUT/compare.png too: nearest, bicubic, Lanczos and ours, side by side.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace other pictures of the same names.")] = False,
) -> None:
    """Enlarge pictures of any size by 2 or 4, each to OUT/NAME-2x.png."""
    from PIL import Image

    from sga.explore.canvas import png
    from sga.generation.face import write_once
    from sga.generation.pictures import read_rgb

    if model is not None and workspace is not None:
        raise InputError("Expected --model or --workspace, found both. Leave one out.")
    targets = {out / f"{picture.stem}-{scale}x.png": picture for picture in pictures}
    if len(targets) < len(pictures):
        raise InputError("Expected pictures of different names, found two that would be written to one file. Name one a time.")
    upscaler = _upscaler(model, workspace)
    upscaler.check_factor(scale)
    if compare and not overwrite and (out / "compare.png").exists():
        raise InputError(f"Expected no {out / 'compare.png'} yet, found one. Name another --out, or type --overwrite.")
    read = {picture.stem: read_rgb(picture) for picture in pictures}
    for target, picture in targets.items():
        large = upscaler.times(read[picture.stem], scale)
        write_once(target, png(Image.fromarray(large)), overwrite=overwrite)
        typer.echo(f"{picture}: {large.shape[1]} x {large.shape[0]} px, in {target}")
    if compare:
        from sga.upscale.pictures import comparison

        write_once(out / "compare.png", comparison(upscaler, read, scale), overwrite=True)
        typer.echo(f"compare: {out / 'compare.png'}")


def _upscaler(model: str | None, workspace: Path | None) -> Enlarger:
    """A model folder's, or where only a workspace is named the one that it has trained."""
    from sga.generation.enlarge import Enlarger
    from sga.model_folder import UPSCALER, ModelFolder

    if model is None and workspace is not None:
        path = workspace / "upscale" / UPSCALER
        if not path.is_file():
            raise InputError(
                f"Expected an upscaler at {path}, found none. Type first: sga upscale train --workspace {workspace}"
            )
        return Enlarger(path.read_bytes())
    folder = ModelFolder.load(model)
    if UPSCALER not in folder.spec.files:
        raise InputError(
            f"Expected a model with an upscaler, found {folder.spec.name} without. Name another with --model, or train one: "
            "sga upscale train"
        )
    return Enlarger(folder.read(UPSCALER))


def _preset_for_this_machine() -> str:
    """Four million crops are a day of work on two cores."""
    import torch

    return _FOR_GPU if torch.cuda.is_available() else _FOR_CPU
