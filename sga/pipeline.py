"""All stages from one YAML, and what is done, stale or missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from configs.errors import ConfigError, WorkspaceError
from configs.files import read_json
from configs.loader import load_settings, make_settings
from configs.settings import Settings
from labeling.workspace import STAGES, Workspace

if TYPE_CHECKING:
    from sga.training import GanSettings

__all__ = ["PipelineSettings", "StageState", "run", "status"]

_PRESETS = ("ensemble", "sfn", "gan", "quality", "model")
"""Stages whose presets can be overridden."""


class PipelineSettings(Settings):
    """A run: where the faces come from, and the preset (or file) of each stage with overrides by stage."""

    samples: dict[str, Any] | None = Field(None, description="draw sample faces first: settings of sga samples; null = off")
    paths: list[str] = Field([], description="folders and tar files of faces, where samples is null")
    labels: str | list[str] = Field([], description="CSVs of partial labels of `paths`")
    ingest: dict[str, Any] = Field(default_factory=dict, description="settings of sga ingest")
    ensemble: str = Field("cpu", description="preset of sga complete")
    sfn: str = Field("cpu", description="preset of sga sfn")
    gan: str = Field("sga96-cpu", description="preset of sga train")
    quality: str = Field("cpu", description="preset of sga quality tune")
    quality_labels: list[str] = Field([], description="CSVs of labelled generated faces")
    export: str = Field("default", description="preset of sga export")
    overrides: dict[str, list[str]] = Field(default_factory=dict, description="KEY=VALUE by stage")


@dataclass(frozen=True)
class Step:
    """A stage of a run: its settings, what does it, and whether the workspace has taken in the files that the run names."""

    settings: Settings
    do: Callable[[], object]
    taken_in: Callable[[], bool] = lambda: True


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
    """Run every stage that is not done with these settings, in order; the same call again goes on where it stopped.

    Raises:
        ConfigError: neither samples nor paths, or settings of any stage that are wrong: before the first one begins.
        WorkspaceError: the workspace's sample faces were drawn with other settings.
    """
    for name, step in _steps(workspace, settings, progress).items():
        if workspace.state(name) == "done" and _made_with(workspace, name, step.settings) and step.taken_in():
            announce(f"{name}: done")
        else:
            announce(f"{name}: sga {STAGES[name].command}")
            step.do()
        if name == "faces":
            _tell_other_faces(workspace, settings, announce)


def _made_with(workspace: Workspace, name: str, wanted: Settings) -> bool:
    """Whether the record of a stage has the wanted settings; where it runs does not count."""
    made = dict((workspace.record(name) or {}).get("settings", {}))
    asked = wanted.model_dump(mode="json")
    return {**made, "launch": None} == {**asked, "launch": None}


def _tell_other_faces(workspace: Workspace, settings: PipelineSettings, announce: Callable[[str], None]) -> None:
    """Faces are only ever added: those of a PATH that a run does not name any more are still there."""
    from labeling.ingest import other_paths

    named = settings.paths if settings.samples is None else [_samples_folder(workspace) / "faces"]
    others = other_paths(workspace, named)
    if others:
        announce(f"faces: those of {', '.join(others)} are in the workspace too. To leave them out, name a new --workspace.")


def status(workspace: Workspace) -> list[StageState]:
    """Every stage with its state, in order."""
    states = []
    for stage in STAGES.values():
        record = workspace.record(stage.name)
        finished = "" if record is None else str(record["finished"])
        states.append(StageState(stage.name, workspace.state(stage.name), finished, f"sga {stage.command}"))
    return states


def _steps(workspace: Workspace, settings: PipelineSettings, progress: bool) -> dict[str, Step]:
    """What each stage does, by name. All settings are read here: a typo in the last stage must not show after hours."""
    from classifiers.complete import complete
    from classifiers.ensemble import EnsembleSettings
    from classifiers.quality import QualitySettings
    from classifiers.sfn import SfnSettings, train_sfn
    from sga.export.model import ExportSettings, export
    from sga.quality import labels_taken_in, tune_judge
    from sga.training import GanSettings

    if settings.samples is None and not settings.paths:
        raise ConfigError("Expected samples or paths in the run's YAML, found neither. Add, for example, paths: [faces/]")
    changed = settings.overrides
    unknown = sorted(set(changed) - set(_PRESETS))
    if unknown:
        raise ConfigError(f"Expected overrides of the stages {', '.join(_PRESETS)}, found {', '.join(unknown)}.")

    ensemble = load_settings(EnsembleSettings, "ensemble", settings.ensemble, changed.get("ensemble", ()))
    sfn = load_settings(SfnSettings, "sfn", settings.sfn, changed.get("sfn", ()))
    gan = load_settings(GanSettings, "gan", settings.gan, changed.get("gan", ()))
    quality = load_settings(QualitySettings, "quality", settings.quality, changed.get("quality", ()))
    exported = load_settings(ExportSettings, "export", settings.export, changed.get("model", ()))
    labels = [Path(path) for path in settings.quality_labels]
    return {
        "faces": _faces(workspace, settings),
        "ensemble": Step(ensemble, lambda: complete(workspace, ensemble, progress=progress)),
        "sfn": Step(sfn, lambda: train_sfn(workspace, sfn, progress=progress)),
        "gan": Step(gan, lambda: _train(workspace, gan, progress)),
        "quality": Step(
            quality,
            lambda: tune_judge(workspace, quality, labels, progress=progress),
            lambda: labels_taken_in(workspace, labels),
        ),
        "model": Step(exported, lambda: export(workspace, exported)),
    }


def _faces(workspace: Workspace, settings: PipelineSettings) -> Step:
    from labeling.ingest import IngestSettings, ingest, labels_taken_in, paths_taken_in

    wanted = make_settings(IngestSettings, settings.ingest, "ingest of the run")
    paths = [Path(path) for path in settings.paths]
    labels = [Path(path) for path in ([settings.labels] if isinstance(settings.labels, str) else settings.labels)]
    if settings.samples is None:
        return Step(
            wanted,
            lambda: ingest(paths, workspace.root, wanted, labels),
            lambda: paths_taken_in(workspace, paths) and labels_taken_in(workspace, labels),
        )
    from labeling.samples import SampleSettings, write_samples

    drawn, folder = make_settings(SampleSettings, settings.samples, "samples of the run"), _samples_folder(workspace)
    _check_samples(folder, drawn, workspace)

    def draw() -> None:
        report = write_samples(drawn, folder)
        ingest([report.faces], workspace.root, wanted, report.labels)

    return Step(wanted, draw, lambda: paths_taken_in(workspace, [folder / "faces"]) and (folder / "samples.json").is_file())


def _samples_folder(workspace: Workspace) -> Path:
    return workspace.root / "samples"


def _check_samples(folder: Path, wanted: Settings, workspace: Workspace) -> None:
    """Other sample settings need another workspace: faces and labels that are there cannot be taken back.

    Raises:
        WorkspaceError: the samples there are of other settings.
    """
    path = folder / "samples.json"
    if not path.is_file():
        return
    drawn, asked = read_json(path), wanted.model_dump(mode="json", exclude={"workers"})
    for name, value in asked.items():
        if name not in drawn or drawn[name] != value:
            raise WorkspaceError(
                f"Expected samples.{name} as {workspace.root} was made with ({drawn.get(name)}), found {value}. "
                "Leave it so, or name a new --workspace for other samples."
            )


def _train(workspace: Workspace, settings: GanSettings, progress: bool) -> None:
    from sga.training import train

    if not train(workspace, settings, progress=progress).finished:
        raise KeyboardInterrupt
