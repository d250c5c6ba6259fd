"""`sga export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from configs.errors import InputError
from sga.cli.options import DEFAULT_WORKSPACE, DryRun, Overrides, WorkspaceOption, show_settings

__all__ = ["export"]


def export(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    out: Annotated[Path | None, typer.Option(help="Folder to write; default: model/ in the workspace.")] = None,
    preset: Annotated[str, typer.Option(help="Preset of the export or a YAML file.")] = "default",
    overrides: Overrides = None,
    dry_run: DryRun = False,
    page: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the page that draws faces in a browser instead, as static files.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="DIR|NAME", help="Model of --page, by folder or name. Without it: the one that ships."),
    ] = None,
) -> None:
    """Write the model folder, which is all that drawing needs, or with --page a page of a model folder."""
    if page is not None:
        if dry_run or out is not None or overrides:
            raise InputError("Expected --page with --model alone, found --dry-run, --out or --set beside it. Leave that out.")
        _write_page(page, model)
        return
    if model is not None:
        raise InputError(f"Expected --model beside --page alone, found --model {model}. Type: --page DIR --model {model}")
    from configs import load_settings
    from labeling.workspace import Workspace
    from sga.export.model import QUALITY_LABELS, ExportSettings, files_beside
    from sga.export.model import export as stage

    settings = load_settings(ExportSettings, "export", preset, overrides or ())
    if dry_run:
        show_settings(settings)
        return
    folder = stage(Workspace(workspace), settings, out)
    size = sum(path.stat().st_size for path in folder.path.iterdir()) / 2**20
    typer.echo(f"{folder.path}: {size:.1f} MiB, hash {folder.hash}. Next: sga generate --gender female --model {folder.path}")
    kept = [path.name for path in files_beside(folder.path) if path.name != QUALITY_LABELS]
    if kept:
        typer.echo(f"Kept as they were, beside the model: {', '.join(kept)}", err=True)


def _write_page(out: Path, model: str | None) -> None:
    """No workspace, no torch: a model folder and the built page are all it takes."""
    from sga.model_folder import ModelFolder
    from sga.web import write_page

    folder = ModelFolder.load(model)
    sizes = write_page(folder, out)
    told = {name: f"{size / 1e6:.2f}" for name, size in sizes.items()}
    typer.echo(f"{out}: the page of {folder.spec.name} ({folder.hash}).")
    typer.echo(
        f"A visitor downloads {(sizes['generator'] + sizes['judge']) / 1e6:.2f} MB of networks (generator {told['generator']}, "
        f"judge {told['judge']}), {told['arrays']} MB of styles and {told['runtime']} MB of runtime"
        + (f"; {told['upscaler']} MB more with a first larger picture." if "upscaler" in told else ".")
    )
    typer.echo(f"Copy it to any static host, or look at it: python -m http.server --directory {out}")
