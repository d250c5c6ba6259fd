"""What several commands share: `--workspace`, `--set key=value`, `--dry-run`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from configs.settings import Settings

__all__ = ["DEFAULT_WORKSPACE", "DryRun", "Overrides", "WorkspaceOption", "show_settings"]

WorkspaceOption = Annotated[
    Path,
    typer.Option("--workspace", envvar="SGA_WORKSPACE", file_okay=False, help="Folder in which every stage keeps its results."),
]
"""Use as `workspace: WorkspaceOption = DEFAULT_WORKSPACE`."""

DEFAULT_WORKSPACE = Path("workspace")

Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override one setting; dots reach nested ones. Repeatable."),
]
"""Use as `overrides: Overrides = None` and hand `overrides or ()` to `configs.load_settings`."""

DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the settings and stop.")]
"""Use as `dry_run: DryRun = False`, then `if dry_run: return show_settings(settings)`."""


def show_settings(settings: Settings) -> None:
    """Print resolved settings as YAML, ready to be saved as a preset of one's own."""
    import yaml

    typer.echo(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True), nl=False)
