"""What several commands share: `--workspace`, `--set key=value`, `--dry-run`."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from configs.settings import Settings

__all__ = [
    "DEFAULT_WORKSPACE",
    "STOPPED",
    "DryRun",
    "Overrides",
    "StopAfter",
    "WorkspaceOption",
    "duration",
    "given",
    "show_settings",
    "stopping",
]

STOPPED = 75
"""Exit code of a command that stopped because its time was up (EX_TEMPFAIL): type it again, and it goes on."""

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


def given(ctx: typer.Context, *names: str) -> str:
    """The first of these parameters that was typed, as it is spelled (--min-face); "" for none."""
    for name in names:
        source = ctx.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            return "--" + name.replace("_", "-")
    return ""


def duration(text: Any) -> float:
    """Seconds of a text such as 90, 90s, 9m or 1h30m.

    Raises:
        typer.BadParameter: it is none, or not above 0.
    """
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?", str(text).strip())
    hours, minutes, seconds = (float(part or 0) for part in found.groups()) if found else (0.0, 0.0, 0.0)
    total = 3600 * hours + 60 * minutes + seconds
    if total <= 0:
        raise typer.BadParameter(f"Expected a time such as 9m, 90s or 1h30m, found {text!r}.")
    return total


StopAfter = Annotated[
    float | None,
    typer.Option(
        "--stop-after",
        metavar="TIME",
        parser=duration,
        help=f"Stop cleanly after so long, such as 9m, with exit code {STOPPED}; the same command again goes on.",
    ),
]
"""Use as `stop_after: StopAfter = None`, and do the work inside `with stopping(stop_after):`."""


@contextmanager
def stopping(seconds: float | None) -> Iterator[None]:
    """What trains inside stops after so long, None = never; a stop is told, and becomes the exit code 75, or 130 after a
    signal. The time begins here, before anything heavy is imported."""
    begun = time.monotonic()
    from classifiers.runtime import Stopped, stop_after, time_is_up

    with stop_after(seconds, begun=begun):
        try:
            yield
        except Stopped as stopped:
            late = time_is_up()
            typer.echo(f"Stopped{' as the time was up' if late else ''} and saved. Type the same command to go on.", err=True)
            raise typer.Exit(STOPPED if late else 130) from stopped


def show_settings(settings: Settings) -> None:
    """Print resolved settings as YAML, ready to be saved as a preset of one's own."""
    import yaml

    typer.echo(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True), nl=False)
