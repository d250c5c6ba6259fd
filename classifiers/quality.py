"""Quality (SGA-GAN 2.4): the SFN is finetuned on people's Low, Median and High, and becomes the judge of every generated
face."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pydantic import Field, model_validator

from classifiers.data import Pictures, load_pixels
from classifiers.heads import probabilities
from classifiers.report import Table
from classifiers.runtime import LaunchSettings, launch, progress_bar
from classifiers.sfn import StyleFeatureNetwork, aim_heads, describe, fit_data, load_sfn, save_sfn, standardise
from classifiers.train import FitData, FitSettings, LossWeights, fit, sampling_weights
from configs.errors import InputError
from configs.files import write_json
from configs.settings import Settings
from labeling.provenance import MISSING_CODE
from labeling.table import LabelTable
from labeling.workspace import Workspace, fingerprint

if TYPE_CHECKING:
    from lightning.fabric import Fabric

__all__ = ["Calibration", "LabelledFaces", "QualityReport", "QualitySettings", "calibrate", "precision_recall", "tune"]

_LEAST_OF_A_GENDER = 30
"""Labels from which a gender has a threshold of its own."""


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
    """Generated faces that people judged: images (n, size, size, 3) uint8, codes (n,) of the schema's quality, keys (n,)
    text."""

    images: np.ndarray
    codes: np.ndarray
    keys: np.ndarray
    gender: np.ndarray


@dataclass(frozen=True)
class Calibration:
    """threshold: quality from which a face is accepted, by_gender: the same where the gender is known; levels: quality
    from which a face counts as a level, by name.

    rates[level]: precision and recall of "at least this level" at its threshold, on labels out of fold.
    """

    threshold: float
    by_gender: dict[str, float]
    levels: dict[str, float]
    rates: dict[str, dict[str, float]]
    labels: dict[str, int]


@dataclass(frozen=True)
class QualityReport:
    """calibration, and accuracy on held-out faces before and after the finetuning."""

    calibration: Calibration
    accuracy: Table
    style_correlation: float


def precision_recall(score: np.ndarray, wanted: np.ndarray, threshold: float) -> tuple[float, float]:
    """Precision and recall of `score` ≥ threshold for the bool `wanted`; 0 where nothing passes or nothing is wanted."""
    passed = score >= threshold
    hits = float((passed & wanted).sum())
    return hits / max(1.0, float(passed.sum())), hits / max(1.0, float(wanted.sum()))


def calibrate(
    score: np.ndarray,
    codes: np.ndarray,
    values: tuple[str, ...],
    precision: float,
    gender: np.ndarray | None = None,
    genders: tuple[str, ...] = (),
) -> Calibration:
    """Thresholds from scores (n,) in [0, 1] of labels (n,) that were held out.

    gender: (n,) codes of `genders`, -1 unknown; None = one threshold for all. Each gender has its own: a generator draws the
    rare one less well, and what suits the other would never let it pass. A level's own threshold is where its F1 is best.
    """
    candidates = _passing(score, 0.1)
    levels: dict[str, float] = {values[0]: 0.0}
    for code in range(1, len(values)):
        wanted = codes >= code
        pairs = [precision_recall(score, wanted, threshold) for threshold in candidates]
        f1 = [2 * p * r / max(1e-9, p + r) for p, r in pairs]
        levels[values[code]] = max(float(candidates[int(np.argmax(f1))]), levels[values[code - 1]])
    threshold, by_gender = _acceptance(score, codes, precision), {}
    limit = np.full(len(score), threshold)
    for code, name in enumerate(genders):
        rows = np.zeros(len(score), dtype=bool) if gender is None else gender == code
        by_gender[name] = _acceptance(score[rows], codes[rows], precision) if rows.sum() >= _LEAST_OF_A_GENDER else threshold
        limit[rows] = by_gender[name]
    rates = {f"at least {name}": _rate(score, codes >= code, levels[name]) for code, name in enumerate(values) if code}
    rates["accepted is not low"] = _rate(score, codes > 0, limit)
    rates["accepted is high"] = _rate(score, codes == len(values) - 1, limit)
    for code, name in enumerate(genders):
        if gender is not None and (gender == code).any():
            rows = gender == code
            rates[f"accepted {name} is not low"] = _rate(score[rows], codes[rows] > 0, by_gender[name])
    rates["accepted"] = {"share": float((score >= limit).mean())}
    labels = {name: int((codes == code).sum()) for code, name in enumerate(values)}
    return Calibration(threshold, by_gender, levels, rates, labels)


def _rescale(
    calibration: Calibration,
    score: np.ndarray,
    gender: np.ndarray,
    fresh: np.ndarray,
    fresh_gender: np.ndarray,
    genders: tuple[str, ...],
) -> Calibration:
    """Thresholds found on scores (n,) of the folds' networks, moved to where the last network's scores (m,) of fresh faces pass
    as often: two finetunings rank faces alike but do not share a scale."""

    def moved(limit: float, old: np.ndarray, new: np.ndarray) -> float:
        share = float((old >= limit).mean())
        return float(np.quantile(new, 1 - share)) if 0 < share < 1 and len(new) else limit

    by_gender = {
        name: moved(calibration.by_gender[name], score[gender == code], fresh[fresh_gender == code])
        for code, name in enumerate(genders)
        if (gender == code).any()
    }
    levels = {name: moved(limit, score, fresh) for name, limit in calibration.levels.items()}
    return replace(
        calibration,
        threshold=moved(calibration.threshold, score, fresh),
        by_gender={**calibration.by_gender, **by_gender},
        levels=levels,
    )


def _passing(score: np.ndarray, share: float) -> np.ndarray:
    """Thresholds that at least `share` of the scores pass, rising; 0 is among them."""
    candidates = np.unique(np.concatenate([[0.0], score]))
    kept: np.ndarray = candidates[[(score >= threshold).mean() >= share for threshold in candidates]]
    return kept


def _acceptance(score: np.ndarray, codes: np.ndarray, precision: float) -> float:
    """The lowest threshold at which at least `precision` of what passes is not of the lowest level.

    Where none reaches that: the most precise one that still passes a fifth. A stricter one would draw five times and more.
    """
    candidates = _passing(score, 0.2)
    good = np.asarray([precision_recall(score, codes > 0, threshold)[0] for threshold in candidates])
    enough = np.flatnonzero(good >= precision)
    return float(candidates[enough[0]] if len(enough) else candidates[int(good.argmax())])


def _rate(score: np.ndarray, wanted: np.ndarray, limit: float | np.ndarray) -> dict[str, float]:
    p, r = precision_recall(score - limit, wanted, 0.0)
    return {"threshold": float(np.mean(limit)), "precision": p, "recall": r}


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
        InputError: too few labels, or of one level alone.
    """
    workspace.require("gan")
    table = workspace.table()
    quality = table.schema.with_role("quality")
    if len(quality) != 1:
        raise InputError(f"Expected one attribute of role quality in schema {table.schema.name}, found {len(quality)}.")
    name = quality[0].name
    data, labelled, keys = _data(workspace, table, name, generated, settings)
    codes = data.codes[name][labelled]
    if len(labelled) < settings.least_labels or len(np.unique(codes)) < 2:
        raise InputError(
            f"Expected at least {settings.least_labels} quality labels of at least two levels, found {len(labelled)} of "
            f"{len(np.unique(codes))}. Type: sga quality draw --workspace {workspace.root}, label the faces in its CSV, "
            f"then: sga quality tune --labels CSV --workspace {workspace.root}"
        )
    workspace.begin("quality")
    fabric = launch(settings.launch)
    fold = np.asarray([int(fingerprint(key, settings.seed), 16) % settings.folds for key in keys])
    score = np.zeros(len(labelled), dtype=np.float64)
    with progress_bar(progress) as bar:
        task = bar.add_task("judge", total=(settings.folds + 1) * settings.fit.images, note="")

        def on_step(seen: int, values: dict[str, float]) -> None:
            bar.update(task, advance=settings.fit.batch, note=f"loss {values['loss']:.3f}")

        for index in range(settings.folds):
            held = labelled[fold == index]
            if not len(held):
                continue
            network = _finetune(workspace, table, data, held, settings, fabric, on_step)
            logits, _ = describe(network, data.pixels, held, fabric)
            score[fold == index] = _score(table, name, logits)
        network = _finetune(workspace, table, data, labelled[:0], settings, fabric, on_step)

    asked = table.schema.with_role("gender")[0]
    gender = np.concatenate([table.codes(asked.name), np.zeros(0, np.int64) if generated is None else generated.gender])[
        labelled
    ]
    calibration = calibrate(score, codes, quality[0].values, settings.precision, gender, asked.values)
    if fresh is not None:
        logits, _ = describe(network, fresh.images, np.arange(len(fresh.images)), fabric)
        calibration = _rescale(calibration, score, gender, _score(table, name, logits), fresh.gender, asked.values)
    before, _, sfn_settings = load_sfn(workspace.folder("sfn") / "network.safetensors")
    accuracy, correlation = _compare(table, data.pixels, before, network, fabric)
    folder = workspace.folder("quality")
    save_sfn(folder / "judge.safetensors", network, table.schema, sfn_settings)
    accuracy.save(folder / "accuracy")
    facts: dict[str, Any] = {
        "threshold": calibration.threshold,
        "by_gender": calibration.by_gender,
        "levels": calibration.levels,
        "rates": calibration.rates,
    }
    write_json(
        folder / "calibration.json",
        {**facts, "labels": calibration.labels, "style_correlation": correlation if np.isfinite(correlation) else None},
    )
    output = fingerprint((folder / "judge.safetensors").read_bytes().hex(), calibration.threshold, calibration.by_gender)
    workspace.finish("quality", output, settings.model_dump(mode="json"), labels=calibration.labels)
    return QualityReport(calibration, accuracy, correlation)


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
    trainable = np.flatnonzero((known != MISSING_CODE) & ~table.in_split("test"))
    labelled = np.concatenate([trainable, np.arange(len(table), len(table) + more)])
    rows = np.union1d(base.rows, labelled)
    keys = np.concatenate(
        [table.frame["group"].to_numpy()[trainable], np.zeros(0, object) if generated is None else generated.keys]
    )
    return FitData(pixels, rows, codes, weights, _sampling(codes, weights, rows, name, settings.fit.rarity)), labelled, keys


def _sampling(
    codes: dict[str, np.ndarray], weights: dict[str, np.ndarray], rows: np.ndarray, quality: str, rarity: float
) -> np.ndarray:
    """(k,) float64 > 0. Half of the draws are for quality, the other half for all else together.

    With an equal share for every attribute a generated face, which knows its quality alone, would hardly be met.
    """
    rest = {name: code for name, code in codes.items() if name != quality}
    halves = (sampling_weights(part, weights, rows, rarity) for part in ({quality: codes[quality]}, rest))
    total: np.ndarray = sum(half / half.sum() for half in halves)
    return total


def _finetune(
    workspace: Workspace,
    table: LabelTable,
    data: FitData,
    held: np.ndarray,
    settings: QualitySettings,
    fabric: Fabric,
    on_step: Any,
) -> StyleFeatureNetwork:
    """The workspace's SFN, finetuned on all rows but those held out, with heads and style set right again."""
    network, schema, trained = load_sfn(workspace.folder("sfn") / "network.safetensors")
    # The heads were aimed at other class shares after the training; a finetuning starts from what training left, and aims
    # again.
    aim_heads(network, table, fit_data(table, data.pixels, trained.fit.rarity, trained.completed_weight), undo=True)
    rows = np.setdiff1d(data.rows, held)
    quality = table.schema.with_role("quality")[0].name
    sampling = _sampling(data.codes, data.weights, rows, quality, settings.fit.rarity)
    part = FitData(data.pixels, rows, data.codes, data.weights, sampling)
    fit(network, schema, part, settings.fit, fabric, seed=settings.seed, on_step=on_step)
    aim_heads(network, table, part)
    real = rows[rows < len(table)]
    _, features = describe(network, data.pixels, real[:: max(1, len(real) // 4096)], fabric)
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
                said = probabilities(table.schema, attribute.name, torch.from_numpy(logits[known])).numpy()
                accuracy.add(attribute.name, row, said, table.codes(attribute.name)[rows][known])
    old, new = told["before"][1], told["after"][1]
    spread = np.maximum(old.std(axis=0) * new.std(axis=0), 1e-9)
    correlation = ((old - old.mean(axis=0)) * (new - new.mean(axis=0))).mean(axis=0) / spread
    return accuracy, float(correlation.mean())
