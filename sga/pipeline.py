"""All stages from one YAML, and what is done, stale or missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from configs.errors import ConfigError
from configs.loader import load_settings
from configs.settings import Settings
from labeling.workspace import STAGES, Workspace

__all__ = ["PipelineSettings", "StageState", "run", "status"]


class PipelineSettings(Settings):
    """A run: where the faces come from, and the preset (or file) of each stage with overrides by stage."""

    samples: dict[str, Any] | None = Field(None, description="draw sample faces first: settings of sga samples; null = off")
    paths: list[str] = Field([], description="folders and tar files of faces, where samples is null")
    labels: str | None = Field(None, description="CSV of partial labels of `paths`")
    ingest: dict[str, Any] = Field(default_factory=dict, description="settings of sga ingest")
    ensemble: str = Field("cpu", description="preset of sga complete")
    sfn: str = Field("cpu", description="preset of sga sfn")
    gan: str = Field("sga96-cpu", description="preset of sga train")
    quality: str = Field("cpu", description="preset of sga quality tune")
    quality_labels: list[str] = Field([], description="CSVs of labelled generated faces")
    export: str = Field("default", description="preset of sga export")
    overrides: dict[str, list[str]] = Field(default_factory=dict, description="KEY=VALUE by stage")


@dataclass(frozen=True)
class StageState:
    """A stage as `sga status` shows it. command: what to type to do it, or do it again."""

    name: str
    state: str
    finished: str
    command: str


def run(
    workspace: Workspace, settings: PipelineSettings, announce: Callable[[str], None] = print, *, progress: bool = True
) -> None:
    """Run every stage that is not done, in order; the same call again goes on where it stopped.

    Raises:
        ConfigError: neither samples nor paths.
    """
    steps: dict[str, Callable[[], object]] = {
        "faces": lambda: _ingest(workspace, settings),
        "ensemble": lambda: _complete(workspace, settings, progress),
        "sfn": lambda: _sfn(workspace, settings, progress),
        "gan": lambda: _train(workspace, settings, progress),
        "quality": lambda: _tune(workspace, settings, progress),
        "model": lambda: _export(workspace, settings),
    }
    if settings.samples is None and not settings.paths:
        raise ConfigError("Expected samples or paths in the run's YAML, found neither. Add, for example, paths: [faces/]")
    unknown = sorted(set(settings.overrides) - set(STAGES))
    if unknown:
        raise ConfigError(f"Expected overrides of the stages {', '.join(STAGES)}, found {', '.join(unknown)}.")
    for name, step in steps.items():
        if workspace.state(name) == "done":
            announce(f"{name}: done")
            continue
        announce(f"{name}: sga {STAGES[name].command}")
        step()


def status(workspace: Workspace) -> list[StageState]:
    """Every stage with its state, in order."""
    states = []
    for stage in STAGES.values():
        record = workspace.record(stage.name)
        finished = "" if record is None else str(record["finished"])
        states.append(StageState(stage.name, workspace.state(stage.name), finished, f"sga {stage.command}"))
    return states


def _ingest(workspace: Workspace, settings: PipelineSettings) -> None:
    from labeling.ingest import IngestSettings, ingest

    paths, labels = [Path(path) for path in settings.paths], settings.labels
    if settings.samples is not None:
        from labeling.samples import SampleSettings, write_samples

        folder = workspace.root / "samples"
        write_samples(SampleSettings.model_validate(settings.samples), folder)
        paths, labels = [folder / "faces"], str(folder / "labels.csv")
    ingest(paths, workspace.root, IngestSettings.model_validate(settings.ingest), labels)


def _complete(workspace: Workspace, settings: PipelineSettings, progress: bool) -> None:
    from classifiers.complete import complete
    from classifiers.ensemble import EnsembleSettings

    chosen = load_settings(EnsembleSettings, "ensemble", settings.ensemble, settings.overrides.get("ensemble", ()))
    complete(workspace, chosen, progress=progress)


def _sfn(workspace: Workspace, settings: PipelineSettings, progress: bool) -> None:
    from classifiers.sfn import SfnSettings, train_sfn

    train_sfn(workspace, load_settings(SfnSettings, "sfn", settings.sfn, settings.overrides.get("sfn", ())), progress=progress)


def _train(workspace: Workspace, settings: PipelineSettings, progress: bool) -> None:
    from sga.training import GanSettings, train

    result = train(
        workspace, load_settings(GanSettings, "gan", settings.gan, settings.overrides.get("gan", ())), progress=progress
    )
    if not result.finished:
        raise KeyboardInterrupt


def _tune(workspace: Workspace, settings: PipelineSettings, progress: bool) -> None:
    from classifiers.quality import QualitySettings
    from sga.quality import tune_judge

    chosen = load_settings(QualitySettings, "quality", settings.quality, settings.overrides.get("quality", ()))
    tune_judge(workspace, chosen, [Path(path) for path in settings.quality_labels], progress=progress)


def _export(workspace: Workspace, settings: PipelineSettings) -> None:
    from sga.export.model import ExportSettings, export

    export(workspace, load_settings(ExportSettings, "export", settings.export, settings.overrides.get("model", ())))
