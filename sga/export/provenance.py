"""Where a model comes from: faces, labels, stages and times, as model.json keeps them and card.md tells them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from configs.errors import WorkspaceError
from configs.files import read_json
from labeling.table import LabelTable
from labeling.workspace import Workspace
from sga.training.data import load_training_faces, training_rows
from sga.training.settings import GanSettings

__all__ = ["chosen_rows", "generator_faces", "provenance"]


def generator_faces(workspace: Workspace) -> LabelTable:
    """The faces that the adversarial training of a workspace's generator saw, with their labels as they are now.

    Raises:
        WorkspaceError: training chose among other faces than those that are here now.
    """
    table = workspace.table()
    table = table.select(training_rows(table))
    settings = read_json(workspace.folder("gan") / "generator.json")["settings"]
    if settings.get("cleaning", 0) > 0 or settings.get("selection", 1) < 1:
        table = table.select(chosen_rows(workspace, GanSettings.model_validate(settings)))
    return table


def chosen_rows(workspace: Workspace, settings: GanSettings, folder: Path | None = None) -> np.ndarray:
    """(k,) int64 rows of the training faces that cleaning and then selection kept. folder: of the run; None = the workspace's.

    Raises:
        WorkspaceError: training chose among other faces than those that are here now.
    """
    folder = workspace.folder("gan") if folder is None else folder
    faces = load_training_faces(workspace, settings)
    rows = np.arange(len(faces))
    for choice, asked in (("cleaning", settings.cleaning > 0), ("selection", settings.selection < 1)):
        path = folder / f"{choice}.npz"
        if not asked or not path.is_file():
            continue
        with np.load(path, allow_pickle=False) as stored:
            kept, among = stored["rows"], str(stored["faces"])
        if faces.fingerprint() != among:
            raise WorkspaceError(
                f"Expected the faces among which the generator's training chose in {path}, found other faces, labels or "
                f"splits now. Train on these: sga train --workspace {workspace.root}"
            )
        rows, faces = rows[kept], faces.select(kept)
    return rows


def provenance(workspace: Workspace) -> dict[str, Any]:
    """Labels, settings, dates and times of every stage, without what names the machine.

    faces and labels: of the whole table without the faces that cleaning left out (left_out, where there are any); generator:
    the same of the faces that its adversarial training saw; stages: their records, that of the generator with the hours that
    training took, where the run noted them.
    """
    stages = {stage: _without_folders(workspace.record(stage)) for stage in ("faces", "ensemble", "sfn", "gan", "quality")}
    for made in stages.values():
        settings = (made or {}).get("settings", {})
        if "schema_name" in settings:  # may be a relative path
            settings["schema_name"] = Path(settings["schema_name"]).name
    trained = stages["gan"]
    if trained:
        folder = workspace.folder("gan")
        logs = {"decoder": folder / "warm_start" / "stats.jsonl", "adversarial": folder / "stats.jsonl"}
        trained["hours"] = {name: hours for name, path in logs.items() if (hours := _hours(path)) is not None}
    table, met = workspace.table(), generator_faces(workspace)
    kept = table.kept()
    return {
        "faces": int(kept.sum()),
        **({} if kept.all() else {"left_out": int((~kept).sum())}),
        "labels": _labels(table),
        "generator": {"faces": len(met), "labels": _labels(met)},
        "stages": {name: made for name, made in stages.items() if made},
        "torch": torch.__version__,
    }


def _without_folders(value: Any) -> Any:
    """The same with absolute paths, as keys too, cut to their last part: where a file lies names a machine and a person."""
    if isinstance(value, dict):
        return {_without_folders(key): _without_folders(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_folders(item) for item in value]
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def _labels(table: LabelTable) -> dict[str, Any]:
    """Of each attribute the number of faces by value, by source, and by value where people or the data said it."""
    found = {}
    for histogram in table.histograms():
        attribute = table.schema[histogram.attribute]
        codes = table.codes(attribute.name)[table.labelled(attribute.name) & table.kept()]
        labelled = dict(zip(attribute.values, np.bincount(codes, minlength=attribute.size).tolist(), strict=True))
        found[attribute.name] = {"values": histogram.counts, "sources": histogram.sources, "labelled": labelled}
    return found


def _hours(path: Path) -> float | None:
    """Hours that a run took by its stats.jsonl, those between its calls left out; None where it noted no times.

    Each call counts its own hours: a tick's speed tells at which image its call began, and hence which ticks are of one call.
    """
    calls: dict[int, float] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            tick = json.loads(line)
            hours, speed = tick["time/hours"], tick["time/images_per_second"]
            calls[round(tick["images"] - 3600 * hours * speed)] = hours
        except (ValueError, KeyError, TypeError):  # a torn line, or a tick without a time
            continue
    return sum(calls.values()) if calls else None
