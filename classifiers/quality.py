"""Quality (SGA-GAN 2.4): finetuned on people's Low, Median and High, the SFN becomes the judge of every generated face."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pydantic import Field, model_validator

from classifiers.acceptance import Acceptance, calibrate, rescale
from classifiers.data import Pictures, load_pixels
from classifiers.heads import probabilities
from classifiers.report import Table
from classifiers.runtime import LaunchSettings, launch, progress_bar
from classifiers.sfn import (
    StyleFeatureNetwork,
    adjust_logits,
    describe,
    fit_data,
    keep_shares,
    load_sfn,
    save_sfn,
    standardise,
)
from classifiers.train import FitData, FitSettings, LossWeights, balancing, fit, strongest
from configs.errors import InputError, TooFewLabels
from configs.files import atomic_path, atomic_write_text, write_json
from configs.settings import Settings
from labeling.provenance import MISSING_CODE
from labeling.table import LabelTable
from labeling.workspace import Workspace, fingerprint, table_fingerprint

if TYPE_CHECKING:
    from lightning.fabric import Fabric

__all__ = ["LabelledFaces", "QualityReport", "QualitySettings", "check_generator", "tune"]


class QualitySettings(Settings):
    """How the SFN is finetuned and how strict the judge is."""

    folds: int = Field(
        4, ge=2, description="each label is scored by a network that never saw it; one more network learns from all"
    )
    completed_weight: float = Field(0.2, ge=0, le=1, description="as in the SFN's training")
    precision: float = Field(0.9, gt=0, le=1, description="share of accepted faces that must not be Low")
    least_labels: int = Field(12, ge=4, description="fewer labels than this are refused")
    seed: int = Field(0, ge=0)
    fit: FitSettings = FitSettings(images=10_000, learning_rate=2e-4, loss=LossWeights(gender=1, style=1, quality=2))
    launch: LaunchSettings = LaunchSettings()

    @model_validator(mode="after")
    def _learns(self) -> QualitySettings:
        if self.fit.loss.quality == 0:
            raise ValueError("fit.loss.quality must be above 0: it is what this stage learns")
        return self


@dataclass(frozen=True)
class LabelledFaces:
    """Generated faces that people judged: images (n, size, size, 3) uint8, codes (n,) int64 of the schema's quality, keys (n,)
    text, by which labels fall into folds, gender (n,) int64 codes that were asked for, and weight (n,) > 0, how many faces of
    the generator's ordinary output each one stands for; None = 1."""

    images: np.ndarray
    codes: np.ndarray
    keys: np.ndarray
    gender: np.ndarray
    weight: np.ndarray | None = None


@dataclass(frozen=True)
class _Before:
    """What the SFN said before the finetuning of real faces it was trained on. rows (k,) int64, logits (k, logit_width)."""

    rows: np.ndarray
    logits: np.ndarray

    @classmethod
    def ask(cls, workspace: Workspace, pixels: np.ndarray | Pictures, rows: np.ndarray, fabric: Fabric) -> _Before:
        """Of about 4,096 of `rows`."""
        network, _, _ = load_sfn(workspace.folder("sfn") / "network.safetensors")
        rows = rows[:: max(1, len(rows) // 4096)]
        return cls(rows, describe(network.to(fabric.device), pixels, rows, fabric)[0])


@dataclass(frozen=True)
class QualityReport:
    """acceptance, and accuracy on held-out faces before and after the finetuning."""

    acceptance: Acceptance
    accuracy: Table
    style_correlation: float


def tune(
    workspace: Workspace,
    settings: QualitySettings,
    generated: LabelledFaces | None = None,
    fresh: LabelledFaces | None = None,
    *,
    progress: bool = True,
) -> QualityReport:
    """Finetune the SFN on the quality labels of `generated` and of the label table; write `quality/judge.safetensors`.

    fresh: generated faces without labels (their codes do not count), on which the thresholds are set; None = off.

    Raises:
        TooFewLabels: too few, or of one level alone.
        WorkspaceError: as `check_generator`.
    """
    check_generator(workspace)
    table = workspace.table()
    quality = table.schema.with_role("quality")
    if len(quality) != 1:
        raise InputError(f"Expected one attribute of role quality in schema {table.schema.name}, found {len(quality)}.")
    name = quality[0].name
    data, labelled, keys = _data(workspace, table, name, generated, settings)
    codes = data.codes[name][labelled]
    if len(labelled) < settings.least_labels or len(np.unique(codes)) < 2:
        raise TooFewLabels(
            f"Expected at least {settings.least_labels} quality labels of at least two levels, found {len(labelled)} of "
            f"{len(np.unique(codes))}. Type: sga quality draw --workspace {workspace.root}, label the faces in its CSV, "
            f"then: sga quality tune --labels CSV --workspace {workspace.root}"
        )
    workspace.begin("quality")
    fabric, folder = launch(settings.launch), workspace.folder("quality")
    _forget_other_runs(workspace, table, keys, codes, settings)
    fold = np.asarray([int(fingerprint(key, settings.seed), 16) % settings.folds for key in keys])
    score = np.zeros(len(labelled), dtype=np.float64)
    before = _Before.ask(workspace, data.pixels, data.rows[data.rows < len(table)], fabric)
    with progress_bar(progress) as bar:
        task = bar.add_task("judge", total=(settings.folds + 1) * settings.fit.images, note="")

        def on_step(index: int, seen: int, values: dict[str, float]) -> None:
            bar.update(task, completed=index * settings.fit.images + seen, note=f"loss {values['loss']:.3f}")

        for index in range(settings.folds):
            held = labelled[fold == index]
            done, checkpoint = folder / f"fold{index}.npy", folder / f"fold{index}.checkpoint.pt"
            if len(held) and not done.is_file():
                network = _finetune(workspace, table, data, held, before, settings, fabric, checkpoint, partial(on_step, index))
                logits, _ = describe(network, data.pixels, held, fabric)
                with atomic_path(done) as temporary, temporary.open("wb") as handle:
                    np.save(handle, _score(table, name, logits))
                checkpoint.unlink(missing_ok=True)
            if len(held):
                score[fold == index] = np.load(done)
        checkpoint, last = folder / "judge.checkpoint.pt", partial(on_step, settings.folds)
        network = _finetune(workspace, table, data, labelled[:0], before, settings, fabric, checkpoint, last)

    asked = table.schema.with_role("gender")[0]
    gender = np.concatenate([table.codes(asked.name), np.zeros(0, np.int64) if generated is None else generated.gender])[
        labelled
    ]
    # A label teaches as much wherever it was asked for; what passes how often is said of the ordinary output.
    weight = np.ones(len(labelled))
    if generated is not None and generated.weight is not None:
        weight[labelled >= len(table)] = generated.weight
    acceptance = calibrate(score, codes, quality[0].values, settings.precision, gender, asked.values, fold, weight)
    if fresh is not None:
        logits, _ = describe(network, fresh.images, np.arange(len(fresh.images)), fabric)
        acceptance = rescale(acceptance, score, gender, _score(table, name, logits), fresh.gender, asked.values, weight)
    untuned, _, sfn_settings = load_sfn(workspace.folder("sfn") / "network.safetensors")
    accuracy, correlation = _compare(table, data.pixels, untuned, network, fabric)
    save_sfn(folder / "judge.safetensors", network, table.schema, sfn_settings)
    accuracy.save(folder / "accuracy")
    facts: dict[str, Any] = {
        "threshold": acceptance.threshold,
        "by_gender": acceptance.by_gender,
        "levels": acceptance.levels,
        "levels_by_gender": acceptance.levels_by_gender,
        "rates": acceptance.rates,
    }
    write_json(
        folder / "calibration.json",
        {**facts, "labels": acceptance.labels, "style_correlation": correlation if np.isfinite(correlation) else None},
    )
    for path in (checkpoint, *folder.glob("fold*.npy")):
        path.unlink(missing_ok=True)
    output = fingerprint((folder / "judge.safetensors").read_bytes().hex(), acceptance.threshold, acceptance.by_gender)
    workspace.finish("quality", output, settings.model_dump(mode="json"), labels=acceptance.labels)
    return QualityReport(acceptance, accuracy, correlation)


def check_generator(workspace: Workspace) -> None:
    """Labels and faces may have changed since the generator was trained, a judge learns from them as they are now. The SFN
    may not: the judge comes of it and tells the generator's styles.

    Raises:
        WorkspaceError: there is no generator, or another SFN than it was trained with.
    """
    generator, sfn = (workspace.record(stage) for stage in ("gan", "sfn"))
    if generator is None or sfn is None or generator["inputs"].get("sfn") != sfn["output"]:
        workspace.require("gan")


def _forget_other_runs(
    workspace: Workspace, table: LabelTable, keys: np.ndarray, codes: np.ndarray, settings: QualitySettings
) -> None:
    """What an interrupted tuning of other labels, faces, networks or settings left must not be taken for this one's."""
    folder = workspace.folder("quality")
    idle: Any = {"launch": True, "precision": True, "fit": {"checkpoint_seconds"}}  # they change no network
    made = [(workspace.record(stage) or {}).get("output", "") for stage in ("sfn", "gan")]
    labels = [f"{key}={code}" for key, code in zip(keys, codes, strict=True)]
    inputs = fingerprint(*made, table_fingerprint(table, completed=True), *labels, settings.model_dump_json(exclude=idle))
    stamp = folder / "inputs.txt"
    if not stamp.is_file() or stamp.read_text() != inputs:
        for old in [*folder.glob("fold*.npy"), *folder.glob("*.checkpoint.pt")]:
            old.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write_text(stamp, inputs)


def _data(
    workspace: Workspace, table: LabelTable, name: str, generated: LabelledFaces | None, settings: QualitySettings
) -> tuple[FitData, np.ndarray, np.ndarray]:
    """Real faces with their labels and generated ones with their quality, as one; the labelled rows and their keys."""
    base = fit_data(table, load_pixels(workspace, table), settings.fit.rarity, settings.completed_weight)
    more = 0 if generated is None else len(generated.codes)
    pixels = base.pixels if generated is None else Pictures(base.pixels, generated.images)

    def extend(values: np.ndarray, fill: np.ndarray) -> np.ndarray:
        return np.concatenate([values, fill.astype(values.dtype)])

    codes = {key: extend(value, np.full(more, MISSING_CODE)) for key, value in base.codes.items()}
    weights = {key: extend(value, np.zeros(more)) for key, value in base.weights.items()}
    known = np.where(table.labelled(name), table.codes(name), MISSING_CODE)
    codes[name] = extend(known, np.zeros(0) if generated is None else generated.codes)
    weights[name] = (codes[name] != MISSING_CODE).astype(np.float32)
    trainable = np.flatnonzero((known != MISSING_CODE) & table.trainable())
    labelled = np.concatenate([trainable, np.arange(len(table), len(table) + more)])
    rows = np.union1d(base.rows, labelled)
    keys = np.concatenate(
        [table.frame["group"].to_numpy()[trainable], np.zeros(0, object) if generated is None else generated.keys]
    )
    balance = _balance(codes, weights, rows, name, settings.fit.rarity)
    return FitData.drawing(pixels, rows, codes, weights, balance), labelled, keys


def _balance(
    codes: dict[str, np.ndarray], weights: dict[str, np.ndarray], rows: np.ndarray, quality: str, rarity: float
) -> np.ndarray:
    """(k,) float64 ≥ 0. Half of the draws are for quality, the other half for all else together.

    With an equal share for every attribute a generated face, which knows its quality alone, would hardly be met.
    """
    rest, top = {name: code for name, code in codes.items() if name != quality}, strongest(weights, rows)
    halves = (balancing(part, weights, rows, rarity) for part in ({quality: codes[quality]}, rest))
    total: np.ndarray = sum(half / max((half * top).sum(), 1e-12) for half in halves)  # without any label a half is 0
    return total


def _finetune(
    workspace: Workspace,
    table: LabelTable,
    data: FitData,
    held: np.ndarray,
    before: _Before,
    settings: QualitySettings,
    fabric: Fabric,
    checkpoint: Path | None = None,
    on_step: Callable[[int, dict[str, float]], None] = lambda seen, values: None,
) -> StyleFeatureNetwork:
    """The workspace's SFN, finetuned on all rows but those held out, with heads and style set right again."""
    network, schema, trained = load_sfn(workspace.folder("sfn") / "network.safetensors")
    # The heads were aimed at other class shares after the training; a finetuning starts from what training left. Then they are
    # put back to where they decided before, by what they say of the same faces. Aimed at the labels' shares again, they would
    # lean to men (gender 63 % right, before 75 %; balanced 75.0, not 78.4), though both are told apart as well as before.
    adjust_logits(network, table, fit_data(table, data.pixels, trained.fit.rarity, trained.completed_weight), undo=True)
    kept = ~np.isin(data.rows, held)
    rows = data.rows[kept]
    part = FitData(data.pixels, rows, data.codes, data.weights, data.sampling[kept])
    fit(network, schema, part, settings.fit, fabric, seed=settings.seed, checkpoint=checkpoint, on_step=on_step)
    logits, features = describe(network, data.pixels, before.rows, fabric)
    keep_shares(network, table.schema, before.logits, logits)
    standardise(network, features)
    return network


def _score(table: LabelTable, name: str, logits: np.ndarray) -> np.ndarray:
    """(n,) quality in [0, 1]."""
    out = torch.from_numpy(logits[:, table.schema.logit_slices[name]])[:, 0]
    return out.sigmoid().numpy().astype(np.float64)


def _compare(
    table: LabelTable, pixels: np.ndarray | Pictures, before: StyleFeatureNetwork, after: StyleFeatureNetwork, fabric: Fabric
) -> tuple[Table, float]:
    """Accuracy on held-out faces before and after, and the mean correlation of the style's entries between the two."""
    accuracy = Table("Held-out faces: the style feature network before and after it learnt quality")
    rows = np.flatnonzero(table.in_split("test"))
    if not len(rows):
        return accuracy, float("nan")
    networks = {"before": before.to(fabric.device), "after": after}
    told = {row: describe(network, pixels, rows, fabric) for row, network in networks.items()}
    for attribute in table.schema.with_role("gender", "style"):
        known = table.labelled(attribute.name)[rows]
        if known.any():
            for row, (logits, _) in told.items():
                found = probabilities(table.schema, attribute.name, torch.from_numpy(logits[known])).numpy()
                accuracy.add(attribute.name, row, found, table.codes(attribute.name)[rows][known])
    old, new = told["before"][1], told["after"][1]
    spread = np.maximum(old.std(axis=0) * new.std(axis=0), 1e-9)
    correlation = ((old - old.mean(axis=0)) * (new - new.mean(axis=0))).mean(axis=0) / spread
    return accuracy, float(correlation.mean())
