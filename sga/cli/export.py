"""`sga export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sga.cli.options import DEFAULT_WORKSPACE, DryRun, Overrides, WorkspaceOption, show_settings

__all__ = ["export"]


def export(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    out: Annotated[Path | None, typer.Option(help="Folder to write; default: model/ in the workspace.")] = None,
    preset: Annotated[str, typer.Option(help="Preset of the export or a YAML file.")] = "default",
    overrides: Overrides = None,
    dry_run: DryRun = False,
) -> None:
    """Write the model folder, which is all that drawing needs."""
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
