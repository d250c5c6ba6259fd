"""The model folder of a workspace: networks to ONNX, styles of real faces, what was measured, and where it all comes from."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from classifiers.runtime import progress_bar
from classifiers.sfn import StyleFeatureNetwork, load_sfn
from configs.errors import ConfigError, InputError
from configs.files import atomic_path, atomic_write_text, explain_os_error, hold, read_json
from configs.settings import Settings
from labeling.schema import Schema
from labeling.workspace import Workspace
from sga.export.card import model_card
from sga.export.graphs import export_generator, export_judge
from sga.export.provenance import generator_faces, provenance
from sga.export.small_judge import SmallJudgeSettings
from sga.generation.enlarge import Enlarger
from sga.generation.face_model import FaceModel
from sga.model_folder import OPTIONAL, REQUIRED, SMALL_JUDGE, UPSCALER, ModelFolder, seal_model_folder
from sga.tags import tag_vectors
from sga.training.snapshot import read_generator
from sga.upscale.place import MEASURED, upscale_folder

__all__ = ["QUALITY_LABELS", "ExportSettings", "build_model_folder", "export", "files_beside"]

QUALITY_LABELS = "quality-labels.csv"
"""Copy of the quality labels beside the model, where the workspace has any."""
_MADE = {*REQUIRED, *OPTIONAL, "model.json", "stage.json"}


class ExportSettings(Settings):
    """What the model folder says beside the networks."""

    name: str = Field("sga", description="name of the model")
    gender_threshold: float = Field(
        0.5, ge=0, le=1, description="the judge's probability of the asked gender, from which it agrees"
    )
    max_attempts: int = Field(32, ge=1, description="draws a face may take unless told otherwise")
    micro_batch: int = Field(8, ge=1, le=256, description="rows of every pass through the networks")
    most_styles: int = Field(20_000, ge=1, description="styles of real faces that are kept, evenly over the training faces")
    style_prior: Literal["empirical", "truncated_normal"] | None = Field(
        None, description="None = as in training; of tags always empirical"
    )
    licence: str = Field("", description="licence note, written into every picture")
    data: str = Field("", description="what the faces are and under which terms, for card.md")
    notes: str = Field("", description="known failures and remarks, for card.md")
    generator_weights: Literal["half", "int8"] = Field(
        "half",
        description="storage; int8 takes half of half's bytes and moves a value by a third of 1/255 on average (README)",
    )
    critic: bool = Field(True, description="fit the latent critic that chooses the attempt of an ID's face")
    critic_samples: int = Field(8192, ge=64, description="faces drawn and judged to fit it")
    small_judge: SmallJudgeSettings | None = Field(
        None, description="train a small judge too, which the page downloads instead of the other; None = off"
    )


def export(workspace: Workspace, settings: ExportSettings, out: Path | None = None, *, progress: bool = True) -> ModelFolder:
    """Write `<workspace>/model` (or `out`) from the trained generator and the tuned judge.

    The folder is built beside its place and put there whole: an interrupted export leaves the former model as it was. Files of
    a former model folder that are no part of the model, such as a contact sheet, are kept.

    Raises:
        WorkspaceError: a stage is missing, or made from another one than is here now.
        InputError: `out` holds something else than a model folder, or another export is writing it.
        ConfigError: tags are to be drawn as if they were style features.
    """
    workspace.require("gan")
    workspace.require("quality")
    _sampling(read_json(workspace.folder("gan") / "generator.json")["settings"], settings)  # refused before any work is done
    own = workspace.folder("model")
    out = own if out is None else out
    target = out.resolve()
    lock = target.with_name(f".{target.name}.lock")
    busy = f"another sga export that writes {target.name}. Wait until it is done, then type the same command again."
    with hold(lock, busy):
        try:
            _write(workspace, settings, target, progress=progress)
        finally:
            with suppress(OSError):  # elsewhere than on POSIX nobody removes an open file
                lock.unlink()
    folder = ModelFolder.load(out)
    if target == own.resolve():  # elsewhere it is a copy: the workspace's own model is not done by it
        workspace.finish("model", folder.hash, settings.model_dump(mode="json"))
    return folder


def _write(workspace: Workspace, settings: ExportSettings, target: Path, *, progress: bool) -> None:
    """Build the folder beside `target` and put it there whole."""
    network, _, _ = load_sfn(workspace.folder("quality") / "judge.safetensors")
    thresholds, metrics = _thresholds(workspace, settings), _metrics(workspace)
    building, former = (target.with_name(f".{target.name}.{state}") for state in ("building", "former"))
    if former.exists() and not target.exists():
        former.rename(target)  # an export was stopped between its two renames
    kept = files_beside(target)
    shutil.rmtree(building, ignore_errors=True)
    try:
        folder = build_model_folder(workspace, building, network, thresholds, settings, metrics)
        _add_upscaler(workspace, building)
        _add_learners(building, settings, folder, progress=progress)
        _write_card(workspace, building, settings)
        for path in kept:
            _copy(path, building / path.name)
        shutil.rmtree(former, ignore_errors=True)
        if target.exists():
            target.rename(former)
        building.rename(target)
        shutil.rmtree(former, ignore_errors=True)
    except OSError as error:
        raise explain_os_error(error, target) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _add_upscaler(workspace: Workspace, building: Path) -> None:
    """The workspace's upscaler, where `sga upscale train` has made one; the folder is sealed anew with the card."""
    trained = upscale_folder(workspace) / UPSCALER
    if trained.is_file():
        shutil.copyfile(trained, building / UPSCALER)


def _add_learners(building: Path, settings: ExportSettings, folder: ModelFolder, *, progress: bool) -> None:
    """The latent critic and the small judge, where asked for: both learn from attempts of the model, drawn once."""
    critic, small = settings.critic and folder.spec.style_size > 0, settings.small_judge
    count = max(settings.critic_samples if critic else 0, small.samples if small else 0)
    if not count:
        return
    from sga.export.attempts import judged_attempts
    from sga.export.critic import add_critic
    from sga.export.small_judge import add_small_judge

    with progress_bar(progress) as bar:
        task = bar.add_task("attempts", total=count, note="")
        attempts = judged_attempts(FaceModel.load(building), count, on_drawn=lambda drawn: bar.advance(task, drawn))
    if critic:
        add_critic(building, attempts.first(settings.critic_samples), avatars=min(256, settings.critic_samples))
    if small:
        add_small_judge(building, attempts.first(small.samples), small, progress=progress)


def files_beside(folder: Path) -> list[Path]:
    """What lies in a model folder and is no part of the model, sorted; none where there is no folder.

    Raises:
        InputError: `folder` is a file, or holds something and no model.json that tells it from a model's files.
    """
    if not folder.exists():
        return []
    pinned: set[str] | None = None
    with suppress(OSError, ValueError, KeyError, TypeError):
        pinned = set(json.loads((folder / "model.json").read_text(encoding="utf-8"))["files"])
    found = sorted(folder.iterdir()) if folder.is_dir() else [folder]
    beside = [path for path in found if path.name not in {*_MADE, *(pinned or ())}]
    if beside and pinned is None:
        raise InputError(f"Expected a model folder or nothing at {folder}, found something else. Name another with --out.")
    return beside


def _copy(source: Path, target: Path) -> None:
    """A file, link or folder, but not over what this export wrote."""
    if target.exists():
        return
    if source.is_dir() and not source.is_symlink():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target, follow_symlinks=False)


def _thresholds(workspace: Workspace, settings: ExportSettings) -> dict[str, Any]:
    calibration = read_json(workspace.folder("quality") / "calibration.json")
    return {
        "quality": calibration["threshold"],
        "quality_by_gender": calibration["by_gender"],
        "gender": settings.gender_threshold,
        "levels": calibration["levels"],
        "levels_by_gender": calibration.get("levels_by_gender", {}),
    }


def build_model_folder(
    workspace: Workspace,
    out: Path,
    judge: StyleFeatureNetwork,
    thresholds: dict[str, Any],
    settings: ExportSettings,
    metrics: dict[str, Any],
) -> ModelFolder:
    """Write a model folder around any judge: the tuned one for `sga export`, the plain SFN for faces that are to be
    labelled."""
    generator = read_generator(workspace.folder("gan"))
    described = generator.described
    sampling = _sampling(described["settings"], settings)
    trained, arguments = described["settings"], described["arguments"]
    schema = Schema.from_json(json.dumps(described["schema"]))
    out.mkdir(parents=True, exist_ok=True)
    for old in (
        "model.json",
        "critic.npz",
        SMALL_JUDGE,
        UPSCALER,
    ):  # a folder without model.json is refused: half an export is never taken for one
        (out / old).unlink(missing_ok=True)
    sizes = arguments["noise_size"], arguments["style_size"]
    export_generator(out / "generator.onnx", generator.network(), *sizes, settings.generator_weights)
    export_judge(out / "judge.onnx", judge, schema, arguments["size"])
    tags = sampling["style_source"] == "tags"
    _write_styles(workspace, out / "styles.npz", arguments["style_size"], settings.most_styles, tags=tags)
    if not (out / "card.md").is_file():
        atomic_write_text(out / "card.md", f"# {settings.name}\n")
    spec = {
        "name": settings.name,
        "schema": described["schema"],
        "size": arguments["size"],
        "noise_size": arguments["noise_size"],
        "style_size": arguments["style_size"],
        **sampling,
        "style_jitter": trained["style_jitter"],
        "thresholds": thresholds,
        "defaults": {"max_attempts": settings.max_attempts},
        "micro_batch": settings.micro_batch,
        "licence": settings.licence,
        "training": provenance(workspace),
        "metrics": metrics,
    }
    return seal_model_folder(out, spec)


def _sampling(trained: dict[str, Any], settings: ExportSettings) -> dict[str, str]:
    """style_source and style_prior of the model. Tags are those of real faces, also after uniform ones (Jin et al., 5.2).

    trained: settings of the training; one of an older version does not name its source, which was the features.
    """
    source = trained.get("style_source", "features")
    if source == "features":
        return {"style_source": source, "style_prior": settings.style_prior or trained["style_prior"]}
    if settings.style_prior == "truncated_normal":
        raise ConfigError(
            "Expected style_prior empirical for a generator that was trained on tags, -1 or 1, found truncated_normal. "
            "Type: sga export --set style_prior=empirical"
        )
    return {"style_source": source, "style_prior": "empirical"}


def _write_styles(workspace: Workspace, path: Path, style_size: int, most: int, *, tags: bool) -> None:
    table = generator_faces(workspace)  # it met the styles of these alone
    if tags:
        table = table.select((tag_vectors(table)[0] != 0).all(axis=1))  # what is drawn must say something of each tag
    rows = np.linspace(0, len(table) - 1, min(most, len(table))).astype(np.int64)
    kept = table.select(rows)
    arrays: dict[str, Any] = {a.name: kept.codes(a.name).astype(np.int8) for a in table.schema if a.role != "quality"}
    if style_size:
        arrays["style"] = (tag_vectors(kept)[0] if tags else _features(workspace, kept.faces)).astype(np.float16)
    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        np.savez_compressed(handle, **arrays)


def _features(workspace: Workspace, faces: np.ndarray) -> np.ndarray:
    """(n, style_size): the style features of faces."""
    with np.load(workspace.folder("sfn") / "styles.npz", allow_pickle=False) as stored:
        row_of = {face: row for row, face in enumerate(stored["face"].tolist())}
        style: np.ndarray = stored["style"]
    return style[[row_of[face] for face in faces]]


def _metrics(workspace: Workspace) -> dict[str, Any]:
    files = {
        "classification": workspace.folder("sfn") / "table1.json",
        "judge_before_and_after": workspace.folder("quality") / "accuracy.json",
        "quality": workspace.folder("quality") / "calibration.json",
    }
    found = {name: _finite(read_json(path)) for name, path in files.items() if path.is_file()}
    trained, measured = upscale_folder(workspace) / UPSCALER, upscale_folder(workspace) / MEASURED
    if trained.is_file() and measured.is_file():
        told = _finite(read_json(measured))
        if told["upscaler"] == Enlarger(trained.read_bytes()).name:  # else it is of an earlier training
            found["upscaler"] = told
    return found


def _finite(value: Any) -> Any:
    """NaN is not JSON; an absent measure is null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _write_card(workspace: Workspace, out: Path, settings: ExportSettings) -> None:
    raw = read_json(out / "model.json")
    atomic_write_text(out / "card.md", model_card(raw, settings.data, settings.notes))
    labels = workspace.folder("quality") / "labels.csv"
    if labels.is_file():
        shutil.copyfile(labels, out / QUALITY_LABELS)
    seal_model_folder(out, {key: value for key, value in raw.items() if key not in ("format", "algorithm", "files")})
