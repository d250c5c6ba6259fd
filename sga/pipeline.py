"""All stages from one YAML, and what is done, stale or missing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from configs.errors import ConfigError, TooFewLabels, WorkspaceError
from configs.files import read_json
from configs.loader import load_settings, make_settings
from configs.settings import Settings
from labeling.workspace import STAGES, Workspace, table_fingerprint

if TYPE_CHECKING:
    from sga.evaluation import EvaluationSettings
    from sga.training import GanSettings

__all__ = ["PipelineSettings", "StageState", "run", "status"]

_PRESETS = ("ensemble", "sfn", "gan", "quality", "model", "evaluation")
"""Stages whose presets can be overridden."""


class PipelineSettings(Settings):
    """A run: where the faces come from, and the preset (or file) of each stage with overrides by stage."""

    samples: dict[str, Any] | None = Field(None, description="draw sample faces first: settings of sga samples; null = off")
    paths: list[str] = Field([], description="folders and tar files of faces, where samples is null")
    labels: str | list[str] = Field([], description="CSVs of partial labels of `paths`")
    illustrations: bool = Field(False, description="`paths` hold whole illustrations: a run without a face detector is refused")
    ingest: dict[str, Any] = Field(default_factory=dict, description="settings of sga ingest")
    clean: dict[str, Any] | None = Field(
        None, description="settings of sga clean mark, beside them cascade or detector: a file; {} = as they are, null = off"
    )
    ensemble: str = Field("cpu", description="preset of sga complete")
    sfn: str = Field("cpu", description="preset of sga sfn")
    gan: str = Field("sga96-cpu", description="preset of sga train")
    quality: str = Field("cpu", description="preset of sga quality tune")
    quality_labels: list[str] = Field([], description="CSVs of labelled generated faces")
    ask: int = Field(
        0, ge=0, description="faces to draw for people to label while there are too few labels; 0 = that ends the run"
    )
    export: str = Field("default", description="preset of sga export")
    evaluation: str | None = Field(None, description="preset of sga evaluate, at the end; null = off")
    overrides: dict[str, list[str]] = Field(default_factory=dict, description="KEY=VALUE by stage")


@dataclass(frozen=True)
class Step:
    """A stage of a run: its command, whether it is done with the run's settings and files, and what does it."""

    command: str
    done: Callable[[], bool]
    do: Callable[[], object]


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

    Where people have not labelled enough generated faces and `settings.ask` draws some for them, the judge and the model
    folder wait; the rest is done.

    Raises:
        Stopped: it was asked to stop, or the time of `classifiers.runtime.stop_after` is up; what was trained is saved.
        ConfigError: neither samples nor paths, illustrations without a detector, or settings of any stage that are wrong:
            before the first one begins.
        TooFewLabels: of generated faces, and the settings ask for none.
        WorkspaceError: the workspace's sample faces were drawn with other settings.
    """
    from classifiers.runtime import Stopped, time_is_up

    waiting = begun = False
    for name, step in _steps(workspace, settings, progress).items():
        if waiting and name == "model":
            continue
        if step.done():
            announce(f"{name}: done")
        elif begun and time_is_up():
            raise Stopped
        else:
            announce(f"{name}: sga {step.command}")
            try:
                step.do()
                begun = True  # the shortest time brings a run one step further
            except TooFewLabels:
                if not (name == "quality" and settings.ask):
                    raise
                waiting, begun = True, _ask(workspace, settings.ask, announce)
        if name == "faces":
            _tell_other_faces(workspace, settings, announce)


def _ask(workspace: Workspace, count: int, announce: Callable[[str], None]) -> bool:
    """Draw faces for people to label, where there are none yet, and say what to do with them; returns whether it drew any."""
    from sga.quality import ask_for_labels

    path, drawn = ask_for_labels(workspace, count)
    announce(
        f"quality: waits for people. Fill in {path} (low, median or high; the faces are in {path.parent / 'sheets'}), then "
        f"type the same command with --set 'quality_labels=[{path}]'"
    )
    return drawn


def _made_with(workspace: Workspace, name: str, wanted: Settings) -> bool:
    """Whether the record of a stage has the wanted settings; where it runs does not count."""
    made = dict((workspace.record(name) or {}).get("settings", {}))
    with suppress(ValidationError):  # a record of an older version: a setting it did not know was as the default says
        made = type(wanted).model_validate(made).model_dump(mode="json") if made else made
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
    from sga.evaluation import EvaluationSettings, evaluate
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
    judge = _stage(
        workspace,
        "quality",
        quality,
        lambda: tune_judge(workspace, quality, labels, progress=progress),
        lambda: labels_taken_in(workspace, labels),
    )
    steps = {
        "faces": _faces(workspace, settings),
        **({} if settings.clean is None else {"clean": _clean(workspace, settings.clean)}),
        "ensemble": _stage(workspace, "ensemble", ensemble, lambda: complete(workspace, ensemble, progress=progress)),
        "sfn": _stage(workspace, "sfn", sfn, lambda: train_sfn(workspace, sfn, progress=progress)),
        "gan": _stage(workspace, "gan", gan, lambda: _train(workspace, gan, progress)),
        "quality": judge,
        "model": _stage(workspace, "model", exported, lambda: export(workspace, exported)),
    }
    if settings.evaluation is not None:
        measured = load_settings(EvaluationSettings, "evaluation", settings.evaluation, changed.get("evaluation", ()))
        steps["evaluation"] = Step(
            "evaluate", lambda: _evaluated(workspace, measured), lambda: evaluate(workspace, measured, progress=progress)
        )
    return steps


def _stage(
    workspace: Workspace,
    name: str,
    settings: Settings,
    do: Callable[[], object],
    taken_in: Callable[[], bool] = lambda: True,
) -> Step:
    """A stage of the workspace. taken_in: whether it has taken in the files that the run names."""

    def done() -> bool:
        return workspace.state(name) == "done" and _made_with(workspace, name, settings) and taken_in()

    return Step(STAGES[name].command, done, do)


def _evaluated(workspace: Workspace, settings: EvaluationSettings) -> bool:
    """Whether the report is there, with these settings, of the generator, the model folder and the labels that are here now."""
    from sga.evaluation import evaluation_folder

    path, weights = evaluation_folder(workspace) / "report.json", workspace.folder("gan") / "generator.safetensors"
    if not path.is_file() or not weights.is_file():
        return False
    facts = read_json(path)["facts"]
    with suppress(ValidationError):
        made = type(settings).model_validate(facts["settings"])
        model, here = facts["model"] or {}, workspace.record("model") or {}
        asked = settings.model_copy(update={"inception_weights": made.inception_weights, "launch": made.launch})
        return (
            made == asked
            and facts["generator"]["hash"] == hashlib.sha256(weights.read_bytes()).hexdigest()[:16]
            and model.get("hash") == here.get("output")
            and facts["real"]["labels"] == table_fingerprint(workspace.table(), completed=True)
        )
    return False


def _faces(workspace: Workspace, settings: PipelineSettings) -> Step:
    from labeling.ingest import IngestSettings, ingest, labels_taken_in, paths_taken_in

    wanted = make_settings(IngestSettings, settings.ingest, "ingest of the run")
    if settings.illustrations and settings.samples is None and not wanted.detection.on:
        raise ConfigError(
            "Expected a detector that finds the faces in the illustrations of this run, found none. "
            "Type --set ingest.detection.cascade=FILE.xml, or --set ingest.detection.detector=FILE.onnx."
        )
    paths = [Path(path) for path in settings.paths]
    labels = [Path(path) for path in ([settings.labels] if isinstance(settings.labels, str) else settings.labels)]
    if settings.samples is None:
        told = [*labels, *wanted.tag_files, *([Path(wanted.metadata)] if wanted.metadata else []), *wanted.other_files]
        return _stage(
            workspace,
            "faces",
            wanted,
            lambda: ingest(paths, workspace.root, wanted, labels),
            lambda: paths_taken_in(workspace, paths) and labels_taken_in(workspace, told),
        )
    from labeling.samples import SampleSettings, write_samples

    drawn, folder = make_settings(SampleSettings, settings.samples, "samples of the run"), _samples_folder(workspace)
    _check_samples(folder, drawn, workspace)

    def draw() -> None:
        report = write_samples(drawn, folder)
        ingest([report.faces], workspace.root, wanted, report.labels)

    def taken_in() -> bool:
        drawn = paths_taken_in(workspace, [folder / "faces"]) and (folder / "samples.json").is_file()
        return drawn and labels_taken_in(workspace, wanted.other_files)

    return _stage(workspace, "faces", wanted, draw, taken_in)


def _clean(workspace: Workspace, values: dict[str, Any]) -> Step:
    from labeling.cleaning.finder import make_finder
    from labeling.cleaning.mark import is_marked, mark
    from labeling.cleaning.settings import CleanSettings
    from labeling.cleaning.sheets import draw_sheets

    files = {name: str(values[name]) for name in ("cascade", "detector") if values.get(name)}
    rest = {name: value for name, value in values.items() if name not in ("cascade", "detector")}
    wanted, finder = make_settings(CleanSettings, rest, "clean of the run"), make_finder(**files)
    if wanted.features == "sfn":  # and styles that change with every cleaning would never let a run be done
        raise ConfigError(
            "Expected features=descriptor in clean of the run, found sfn, whose styles are made after cleaning. Leave features "
            "out; or write clean: null, and type after the run: sga clean mark --features sfn "
            f"--workspace {workspace.root}, then the run again."
        )

    def do() -> None:
        report, scores, plan = mark(workspace, wanted, finder=finder)
        draw_sheets(workspace, workspace.table(), scores, plan, wanted, report)

    return Step("clean mark", lambda: is_marked(workspace, wanted, "" if finder is None else finder.name), do)


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
    from classifiers.runtime import Stopped
    from sga.training import train

    if not train(workspace, settings, progress=progress).finished:
        raise Stopped
