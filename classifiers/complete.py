"""Label completion (SGA-GAN 2.1): train the ensemble on what is known, fill what is missing, say how sure it is."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from classifiers.average_precision import HeldOut, PrecisionTable
from classifiers.calibration import fit_scaling, target_prior
from classifiers.data import load_pixels
from classifiers.ensemble import EnsembleSettings, predict_member, train_member
from classifiers.report import Table, compare
from classifiers.runtime import RunLog, alone, launch, progress_bar
from classifiers.shares import training_prior, unlabelled_prior
from configs.errors import InputError, WorkspaceError
from configs.files import atomic_path, atomic_write_text, write_json
from labeling.answers import store_of, table_lock
from labeling.history import Round, append_rounds
from labeling.predictions import Predictions, adjust_prior
from labeling.provenance import MISSING_CODE, Source
from labeling.table import LabelTable
from labeling.take_in import take_in_stored
from labeling.workspace import Workspace, fingerprint, table_fingerprint

if TYPE_CHECKING:
    from lightning.fabric import Fabric

__all__ = ["Completion", "complete"]

_IDLE: Any = {"launch": True, "min_confidence": True, "fit": {"checkpoint_seconds"}}
"""Settings that change no network: another of them must not throw finished ones away."""


@dataclass(frozen=True)
class Completion:
    """filled[attribute]: cells written; shares[attribute][value]: of the unlabelled faces; disagreement[attribute]: mutual
    information of the members under the prior of decisions, mean over all faces, in [0, 1]; held_out and out_of_fold: Table 1
    on the test faces and on those that were trained on; precision: average precision of every tag on the test faces."""

    filled: dict[str, int]
    shares: dict[str, dict[str, float]]
    disagreement: dict[str, float]
    held_out: Table
    out_of_fold: Table
    precision: PrecisionTable


def complete(workspace: Workspace, settings: EnsembleSettings, *, progress: bool = True) -> Completion:
    """Train every member on every fold, calibrate, write `ensemble/predictions.npz`, Table 1 and the completed cells.

    Stopped and typed again, it continues. Original and human cells are never written. Labels that people enter meanwhile stay,
    and the stage then shows stale: the same command again learns from them.

    Raises:
        InputError: no attribute has a label to learn from, or one class alone; or another completion is at work.
        WorkspaceError: faces came, left or changed their split meanwhile.
    """
    workspace.require("faces")
    take_in_stored(workspace)
    _learnable(workspace.table())  # refuses before anything is written
    fabric = launch(settings.launch)
    with alone(fabric, workspace.folder("ensemble"), "sga complete (a backend retrains, perhaps)"):
        return _complete(workspace, settings, fabric, progress)


def _complete(workspace: Workspace, settings: EnsembleSettings, fabric: Fabric, progress: bool) -> Completion:
    table = workspace.table()
    names = _learnable(table)
    pixels = load_pixels(workspace, table)
    folder = workspace.folder("ensemble")
    inputs = fingerprint(table_fingerprint(table, completed=False), settings.model_dump_json(exclude=_IDLE))
    _forget_other_runs(folder, inputs)
    workspace.begin("ensemble")

    calibrated: dict[str, list[np.ndarray]] = {name: [] for name in names}
    single: dict[str, dict[str, np.ndarray]] = {name: {} for name in names}
    scalings: dict[str, dict[str, Any]] = {}
    prior = training_prior(table, names, settings.fit.rarity)
    trained = np.zeros(len(table), dtype=bool)
    with progress_bar(progress) as bar:
        for member in settings.members:
            files = _train(folder, member, table, pixels, settings, fabric, bar)
            task = bar.add_task(f"{member} looks at every face", total=len(table) * settings.folds, note="")
            everything, networks, trained = predict_member(
                files, member, table, pixels, settings, fabric, partial(bar.advance, task)
            )
            for name in names:
                known = trained & table.labelled(name)
                codes = table.codes(name)[known]
                share = np.bincount(codes, minlength=table.schema[name].size) / max(1, len(codes))
                weights = prior[name][codes] / np.maximum(share[codes], 1e-9)
                scaling = fit_scaling(everything[name][known], codes, weights)
                told = {"temperature": scaling.temperature, "bias": scaling.bias.tolist()}
                scalings.setdefault(member, {})[name] = told
                calibrated[name].append(scaling(everything[name]))
                single[name][member] = scaling(networks[name])

    averaged = {name: np.stack(calibrated[name], axis=1) for name in names}
    held_out, out_of_fold, precision = _tables(table, names, averaged, single, prior, trained, list(settings.members))
    # Stored under the prior of decisions: where a class is rare, every member is sure that a face is not of it.
    decision = {name: target_prior(table, name) for name in names}
    answers = store_of(workspace.root).all()
    shares = {name: unlabelled_prior(table, name, averaged[name].mean(axis=1), prior[name], trained, answers) for name in names}
    told = {name: adjust_prior(averaged[name], prior[name], decision[name]).astype(np.float32) for name in names}
    predictions = Predictions(table.faces, tuple(settings.members), told, trained, decision, shares)
    predictions.save(folder / "predictions.npz")
    disagreement = {name: predictions.disagreement(name) for name in names}
    _write_faces(folder / "faces.csv", table, predictions, disagreement)
    with table_lock(workspace.root):
        now = workspace.table()
        if not now.frame[["face", "split"]].equals(table.frame[["face", "split"]]):
            raise WorkspaceError(
                f"Expected the faces that the ensemble looked at in {workspace.root}, found others: some came or left "
                "meanwhile. Type the same command again."
            )
        filled = {name: _fill(now, name, predictions.natural(name), settings.min_confidence) for name in names}
        now.save(workspace.labels_path)
    held_out.save(folder / "table1")
    out_of_fold.save(folder / "table1-out-of-fold")
    precision.save(folder / "average-precision")
    named = {name: dict(zip(table.schema[name].values, map(float, shares[name]), strict=True)) for name in names}
    write_json(folder / "calibration.json", {"scalings": scalings, "shares_of_unlabelled": named})
    append_rounds(workspace, _rounds(table, names, held_out, fingerprint(settings.model_dump_json(exclude=_IDLE))))
    workspace.finish(
        "ensemble", table_fingerprint(now, completed=True), settings.model_dump(mode="json"), filled=filled, made_from=inputs
    )
    mean = {name: float(values[table.kept()].mean()) for name, values in disagreement.items()}
    return Completion(filled, named, mean, held_out, out_of_fold, precision)


def _write_faces(path: Path, table: LabelTable, predictions: Predictions, disagreement: dict[str, np.ndarray]) -> None:
    """For people: what the ensemble says of each face, how surely, and how far its members disagree (0 … 1)."""
    out = pd.DataFrame({"face": table.faces, "file": table.frame["file"], "out_of_fold": predictions.out_of_fold})
    for name in predictions.probabilities:
        mean = predictions.natural(name)
        out[name] = np.asarray(table.schema[name].values, dtype=object)[mean.argmax(axis=1)]
        out[f"{name}_confidence"] = mean.max(axis=1)
        out[f"{name}_disagreement"] = disagreement[name]
    with atomic_path(path) as temporary:
        out.to_csv(temporary, index=False, float_format="%.4f")


def _rounds(table: LabelTable, names: list[str], held_out: Table, settings: str) -> list[Round]:
    """One point of every learning curve: the labels learnt from, and the ensemble's score on the held-out ones."""
    rounds = []
    for name in names:
        if name not in held_out.cells:
            continue
        metric = "balanced" if table.schema[name].role == "gender" else "accuracy"
        score = held_out.cells[name]["ensemble"][metric]
        learnt = table.labelled(name) & table.trainable()
        human = int((learnt & (table.sources(name) == Source.HUMAN)).sum())
        asked = np.where(table.in_split("test") & table.labelled(name), table.codes(name), MISSING_CODE)
        figures = (metric, score.value, score.low, score.high, score.n)
        rounds.append(Round(name, int(learnt.sum()), human, *figures, settings, fingerprint(*table.faces, asked.tobytes())))
    return rounds


def _learnable(table: LabelTable) -> list[str]:
    names = []
    for attribute in table.schema.with_role("gender", "style"):
        known = table.labelled(attribute.name) & table.trainable()
        classes = np.unique(table.codes(attribute.name)[known])
        if len(classes) == 1:
            raise InputError(
                f"Expected labels of at least two values of {attribute.name}, found only {attribute.values[classes[0]]} "
                f"({int(known.sum())} faces). Label some faces of another value, or leave {attribute.name} out of the schema."
            )
        if len(classes):
            names.append(attribute.name)
    if not names:
        raise InputError("Expected some labelled faces to learn from, found none. Type: sga ingest PATH --labels CSV")
    return names


def _forget_other_runs(folder: Path, inputs: str) -> None:
    """Networks of other labels, faces or settings must not be taken for finished ones of this run."""
    stamp = folder / "inputs.txt"
    if stamp.is_file() and stamp.read_text() != inputs:
        for old in [*folder.glob("*/fold*.safetensors"), *folder.glob("*/*.checkpoint.pt")]:
            old.unlink()
    atomic_write_text(stamp, inputs)


def _train(folder, member, table, pixels, settings, fabric, bar) -> list[Path]:  # type: ignore[no-untyped-def]
    """Train a member, with a bar and a log for each of its networks."""
    tasks: dict[int, int] = {}
    log: dict[int, RunLog] = {}
    with ExitStack() as open_logs:

        def on_step(fold: int, seen: int, values: dict[str, float]) -> None:
            if fold not in tasks:
                tasks[fold] = bar.add_task(f"{member}, fold {fold + 1}", total=settings.fit.images, note="")
                if values:  # a resumed network keeps what was logged before its checkpoint
                    place = folder / member / f"fold{fold}"
                    log[fold] = open_logs.enter_context(RunLog(place, seen=seen - 1, tensorboard=False))
            note = f"loss {values['loss']:.3f}" if values else "kept"
            bar.update(tasks[fold], completed=min(seen, settings.fit.images), note=note)
            if values and (seen // settings.fit.batch) % 20 == 0:
                log[fold].tick(seen, values)

        return train_member(folder, member, table, pixels, settings, fabric, on_step)


def _fill(table: LabelTable, name: str, mean: np.ndarray, min_confidence: float) -> int:
    """Completed cells of an earlier run are emptied first: a face that is no longer sure enough is missing again."""
    blank = np.flatnonzero(~table.labelled(name))
    table.fill(name, blank, np.full(len(blank), -1), Source.MISSING)
    sure = blank[mean[blank].max(axis=1) >= min_confidence]
    return table.fill(name, sure, mean[sure].argmax(axis=1), Source.COMPLETED, mean[sure].max(axis=1))


def _tables(
    table: LabelTable,
    names: list[str],
    averaged: dict[str, np.ndarray],
    single: dict[str, dict[str, np.ndarray]],
    prior: dict[str, np.ndarray],
    trained: np.ndarray,
    members: list[str],
) -> tuple[Table, Table, PrecisionTable]:
    test = table.in_split("test")
    held_out = Table("Held-out faces, never trained on (a member's row: the mean of its networks, one a fold)")
    out_of_fold = Table("Faces trained on, each judged by networks that left it out (one network a member)")
    ranked: dict[str, HeldOut] = {}
    for name in names:
        target = target_prior(table, name)
        known = table.labelled(name)
        known_test, known_trained = known & test, known & trained
        codes, ensemble = table.codes(name), adjust_prior(averaged[name], prior[name], target)
        networks = {member: adjust_prior(single[name][member], prior[name], target)[:, known[test]] for member in members}
        for index, member in enumerate(members):
            if known_test.any():
                held_out.add(name, member, networks[member], codes[known_test])
            if known_trained.any():
                out_of_fold.add(name, member, ensemble[known_trained, index], codes[known_trained])
        mean, metric = ensemble.mean(axis=1), "balanced" if table.schema[name].role == "gender" else "accuracy"
        for out, rows in ((held_out, known_test), (out_of_fold, known_trained)):
            if not rows.any():
                continue
            out.add(name, "ensemble", mean[rows], codes[rows])
            best = out.best(name, members, metric)
            alone = networks[best] if out is held_out else ensemble[rows, members.index(best)]
            gain = compare(mean[rows], alone, codes[rows], metric)
            out.notes.append(f"{name}: ensemble − best single ({best}), {metric}: {gain} points.")
        ranked[name] = HeldOut(known[test], codes[known_test], {**networks, "ensemble": mean[None, known_test]})
    return held_out, out_of_fold, PrecisionTable.of(table.schema, ranked)
