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

__all__ = ["generator_faces", "provenance"]


def generator_faces(workspace: Workspace) -> LabelTable:
    """The faces that the adversarial training of a workspace's generator saw, with their labels as they are now.

    Raises:
        WorkspaceError: training chose among other faces than those that are here now.
    """
    table = workspace.table()
    table = table.select(training_rows(table))
    selection = workspace.folder("gan") / "selection.npz"
    settings = read_json(workspace.folder("gan") / "generator.json")["settings"]
    if settings.get("selection", 1) < 1 and selection.is_file():
        with np.load(selection, allow_pickle=False) as stored:
            rows, among = stored["rows"], str(stored["faces"])
        if load_training_faces(workspace, GanSettings.model_validate(settings)).fingerprint() != among:
            raise WorkspaceError(
                f"Expected the faces among which the generator's training chose in {selection}, found other faces, labels or "
                f"splits now. Train on these: sga train --workspace {workspace.root}"
            )
        table = table.select(rows)
    return table


def provenance(workspace: Workspace) -> dict[str, Any]:
    """Labels, settings, dates and times of every stage, without what names the machine.

    faces and labels: of the whole table; generator: the same of the faces that its adversarial training saw; stages: their
    records, that of the generator with the hours that training took, where the run noted them.
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
    return {
        "faces": len(table),
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
        codes = table.codes(attribute.name)[table.labelled(attribute.name)]
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
