"""What each stage of a run does. All settings are read here: a typo in the last stage must not show after hours."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from configs.errors import ConfigError
from configs.files import read_json
from configs.loader import load_settings
from labeling.workspace import Workspace, table_fingerprint
from sga.pipeline.faces import clean_step, faces_step
from sga.pipeline.settings import PRESETS, PipelineSettings
from sga.pipeline.step import Step, stage_step

if TYPE_CHECKING:
    from sga.evaluation import EvaluationSettings
    from sga.training import GanSettings

__all__ = ["make_steps"]


def make_steps(workspace: Workspace, settings: PipelineSettings, progress: bool) -> dict[str, Step]:
    """The steps of a run by the names of their stages, in order.

    Raises:
        ConfigError: neither samples nor paths, illustrations without a detector, or settings of any stage that are wrong.
        WorkspaceError: the workspace's sample faces were drawn with other settings.
    """
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
    unknown = sorted(set(changed) - set(PRESETS))
    if unknown:
        raise ConfigError(f"Expected overrides of the stages {', '.join(PRESETS)}, found {', '.join(unknown)}.")

    ensemble = load_settings(EnsembleSettings, "ensemble", settings.ensemble, changed.get("ensemble", ()))
    sfn = load_settings(SfnSettings, "sfn", settings.sfn, changed.get("sfn", ()))
    gan = load_settings(GanSettings, "gan", settings.gan, changed.get("gan", ()))
    quality = load_settings(QualitySettings, "quality", settings.quality, changed.get("quality", ()))
    exported = load_settings(ExportSettings, "export", settings.export, changed.get("model", ()))
    labels = [Path(path) for path in settings.quality_labels]
    judge = stage_step(
        workspace,
        "quality",
        quality,
        lambda: tune_judge(workspace, quality, labels, progress=progress),
        lambda: labels_taken_in(workspace, labels),
    )
    steps = {
        "faces": faces_step(workspace, settings),
        **({} if settings.clean is None else {"clean": clean_step(workspace, settings.clean)}),
        "ensemble": stage_step(workspace, "ensemble", ensemble, lambda: complete(workspace, ensemble, progress=progress)),
        "sfn": stage_step(workspace, "sfn", sfn, lambda: train_sfn(workspace, sfn, progress=progress)),
        "gan": stage_step(workspace, "gan", gan, lambda: _train(workspace, gan, progress)),
        "quality": judge,
        "model": stage_step(workspace, "model", exported, lambda: export(workspace, exported)),
    }
    if settings.evaluation is not None:
        measured = load_settings(EvaluationSettings, "evaluation", settings.evaluation, changed.get("evaluation", ()))
        steps["evaluation"] = Step(
            "evaluate", lambda: _evaluated(workspace, measured), lambda: evaluate(workspace, measured, progress=progress)
        )
    return steps


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


def _train(workspace: Workspace, settings: GanSettings, progress: bool) -> None:
    from classifiers.runtime import Stopped
    from sga.training import train

    if not train(workspace, settings, progress=progress).finished:
        raise Stopped
