"""The referee: a classifier that neither the generator nor the judge ever saw. It tells whether a face is what was asked for,
and its features are what distances are measured in."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from classifiers.heads import Classifier, probabilities
from classifiers.metrics import Estimate
from classifiers.report import Table
from classifiers.runtime import seed_step
from classifiers.sfn import adjust_logits
from classifiers.train import FitData, balancing, fit
from configs.errors import InputError, UserError
from configs.files import atomic_path, atomic_write_text, read_json, write_json
from labeling.schema import Schema
from labeling.table import LabelTable
from labeling.workspace import fingerprint, table_fingerprint
from sga.evaluation.features import in_batches, mirrored, weights_hash
from sga.evaluation.levels import Levels
from sga.evaluation.rates import rate
from sga.evaluation.settings import RefereeSettings

if TYPE_CHECKING:
    from lightning.fabric import Fabric

__all__ = ["Referee", "Skill", "fit_levels", "train_referee"]

_FITTED = 2000
"""Faces that the levels' components are of."""


@dataclass(frozen=True)
class Skill:
    """How well the referee tells a value on real faces that it never saw. recall: share of the faces labelled so that it names
    so; precision: share of the faces it names so that are labelled so. Each with its n and 95 % interval."""

    recall: Estimate
    precision: Estimate


class Referee:
    """The trained network and what it is worth. name, fingerprint and features make it an `Extractor`."""

    name = "referee"

    def __init__(
        self,
        network: Classifier,
        levels: Levels,
        schema: Schema,
        known: tuple[str, ...],
        skills: dict[str, dict[str, Skill]],
        device: torch.device,
        batch: int,
    ) -> None:
        """levels: of the network's backbone; known: attributes that it learnt; skills: by attribute and value, of those that
        held-out faces are labelled with."""
        self.network = network.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self.levels = levels.to(device)
        self.fingerprint = weights_hash(network, levels)
        self.schema, self.known, self.skills, self.batch, self.device = schema, known, skills, batch, device

    def look(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(n, size, size, 3) uint8 RGB → features (n, width) of the faces and of their mirror images, and logits (n,
        schema.logit_width) averaged over both; float32."""
        one, other = (in_batches(self._see, view, self.batch, self.device) for view in (images, mirrored(images)))
        width = self.levels.width
        return one[:, :width], other[:, :width], (one[:, width:] + other[:, width:]) / 2

    def _see(self, images: Tensor) -> Tensor:
        levels = self.levels.raw(images)
        return torch.cat([self.levels.reduce(levels), self.network.heads(levels[-1])], dim=1)

    def features(self, images: np.ndarray) -> np.ndarray:
        """As `Extractor.features`."""
        return in_batches(self._see, images, self.batch, self.device)[:, : self.levels.width]

    def logits(self, images: np.ndarray) -> np.ndarray:
        """(n, schema.logit_width) float32, averaged over each face and its mirror image."""
        return self.look(images)[2]

    def decide(self, attribute: str, logits: np.ndarray) -> np.ndarray:
        """(n,) int64 codes of the most probable values."""
        codes: np.ndarray = probabilities(self.schema, attribute, torch.from_numpy(logits)).argmax(dim=1).numpy()
        return codes


def train_referee(
    folder: Path,
    table: LabelTable,
    pixels: np.ndarray,
    settings: RefereeSettings,
    fabric: Fabric,
    batch: int = 64,
    on_step: Callable[[int, dict[str, float]], None] = lambda seen, values: None,
) -> Referee:
    """The referee of these faces, from `folder` where it is there already, else trained on the original and human labels of
    the split train; stopped and called again, it continues. Its accuracy on the splits validation and test is kept beside it.

    Raises:
        InputError: no face of the split train has a label.
        DivergedError: as `classifiers.train.fit`.
    """
    idle: Any = {"fit": {"checkpoint_seconds"}}
    inputs = fingerprint(table_fingerprint(table, completed=False), settings.model_dump_json(exclude=idle))
    stored = _load(folder, inputs, table.schema, settings, fabric.device, batch)
    if stored is not None:
        return stored
    rows = np.flatnonzero(table.in_split("train"))
    names = [one.name for one in table.schema.with_role("gender", "style") if table.labelled(one.name)[rows].any()]
    if not names:
        raise InputError("Expected original or human labels in the split train for the referee to learn from, found none.")
    codes = {name: table.codes(name) for name in names}
    weights = {name: table.labelled(name).astype(np.float32) for name in names}
    rows = rows[np.any([weights[name][rows] > 0 for name in names], axis=0)]
    data = FitData.drawing(pixels, rows, codes, weights, balancing(codes, weights, rows, settings.fit.rarity))

    folder.mkdir(parents=True, exist_ok=True)
    stamp, checkpoint = folder / "inputs.txt", folder / "checkpoint.pt"
    if not stamp.is_file() or stamp.read_text() != inputs:
        checkpoint.unlink(missing_ok=True)
        atomic_write_text(stamp, inputs)
    seed_step(settings.seed, -1)
    network = _build(table.schema, settings)
    fit(network, table.schema, data, settings.fit, fabric, seed=settings.seed, checkpoint=checkpoint, on_step=on_step)
    adjust_logits(network, table.select(table.in_split("train")), data)
    levels = fit_levels(network, pixels, np.flatnonzero(table.in_split("train")), fabric.device, batch)
    referee = Referee(network, levels, table.schema, tuple(names), {}, fabric.device, batch)
    referee.skills = _examine(referee, table, pixels, folder)
    _save(folder, referee, inputs)
    checkpoint.unlink(missing_ok=True)
    return referee


def _build(schema: Schema, settings: RefereeSettings) -> Classifier:
    network = settings.network
    return Classifier.build(schema, network.backbone, dropout=settings.dropout, **network.arguments)


def fit_levels(network: Classifier, pixels: np.ndarray, rows: np.ndarray, device: torch.device, batch: int) -> Levels:
    """The levels of a trained network, fitted to at most `_FITTED` of the faces pixels[rows], evenly over them."""
    levels = Levels(network.backbone).to(device)
    network.eval()
    rows = rows[np.linspace(0, len(rows) - 1, min(_FITTED, len(rows))).astype(np.int64)]
    ends = np.cumsum([len(centre) for centre in levels.centres])[:-1].tolist()

    def see(images: Tensor) -> Tensor:
        return torch.cat(levels.raw(images), dim=1)

    told = [in_batches(see, pixels[rows[start : start + 256]], batch, device) for start in range(0, len(rows), 256)]
    levels.fit([torch.from_numpy(part) for part in np.split(np.concatenate(told), ends, axis=1)])
    return levels


def _examine(referee: Referee, table: LabelTable, pixels: np.ndarray, folder: Path) -> dict[str, dict[str, Skill]]:
    """Ask about every labelled face outside the split train; writes accuracy.md and accuracy.json too."""
    labelled = np.any([table.labelled(name) for name in referee.known], axis=0)
    rows = np.flatnonzero(labelled & table.kept() & ~table.in_split("train"))
    report = Table("The referee on labelled faces of the splits validation and test")
    skills: dict[str, dict[str, Skill]] = {}
    logits = np.zeros((len(rows), table.schema.logit_width), dtype=np.float32)
    for part in np.array_split(np.arange(len(rows)), len(rows) // 512 + 1):
        if len(part):
            logits[part] = referee.logits(pixels[rows[part]])
    for name in referee.known:
        labelled = table.labelled(name)[rows]
        if not labelled.any():
            continue
        truth, told = table.codes(name)[rows][labelled], referee.decide(name, logits[labelled])
        report.add(name, "referee", probabilities(table.schema, name, torch.from_numpy(logits[labelled])).numpy(), truth)
        skills[name] = {}
        for code, value in enumerate(table.schema[name].values):
            right = int(((truth == code) & (told == code)).sum())
            skills[name][value] = Skill(rate(right, int((truth == code).sum())), rate(right, int((told == code).sum())))
    report.save(folder / "accuracy")
    return skills


def _save(folder: Path, referee: Referee, inputs: str) -> None:
    parts = {"network": referee.network, "levels": referee.levels}
    tensors = {
        f"{part}.{name}": value.detach().cpu().contiguous()
        for part, module in parts.items()
        for name, value in module.state_dict().items()
    }
    with atomic_path(folder / "network.safetensors") as temporary:
        temporary.write_bytes(save(tensors, {"made_from": inputs}))
    skills = {name: {value: asdict(skill) for value, skill in values.items()} for name, values in referee.skills.items()}
    write_json(folder / "referee.json", {"made_from": inputs, "known": list(referee.known), "skills": _without_nan(skills)})


def _load(
    folder: Path, inputs: str, schema: Schema, settings: RefereeSettings, device: torch.device, batch: int
) -> Referee | None:
    """What `_save` wrote of these inputs; None where it is not there or cannot be read: then it is made again."""
    try:
        with safe_open(folder / "network.safetensors", framework="pt") as opened:
            header = opened.metadata() or {}
        raw = read_json(folder / "referee.json")
        if raw["made_from"] != inputs or header.get("made_from") != inputs:
            return None
        network = _build(schema, settings)
        levels, tensors = Levels(network.backbone), load_file(folder / "network.safetensors")
        for part, module in {"network.": network, "levels.": levels}.items():
            module.load_state_dict({key.removeprefix(part): one for key, one in tensors.items() if key.startswith(part)})
        skills = {
            name: {value: Skill(_estimate(one["recall"]), _estimate(one["precision"])) for value, one in values.items()}
            for name, values in raw["skills"].items()
        }
        return Referee(network, levels, schema, tuple(raw["known"]), skills, device, batch)
    except (OSError, SafetensorError, LookupError, ValueError, TypeError, RuntimeError, json.JSONDecodeError, UserError):
        return None


def _estimate(raw: dict[str, Any]) -> Estimate:
    value, low, high = (float("nan") if raw[key] is None else float(raw[key]) for key in ("value", "low", "high"))
    return Estimate(value, low, high, int(raw["n"]))


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    return None if isinstance(value, float) and np.isnan(value) else value
