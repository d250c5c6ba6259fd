"""The ensemble: one network a member and fold (SGA-GAN 2.1). A face that was trained on is judged by networks that never saw
it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pydantic import Field, model_validator
from safetensors.torch import load_file, save

from classifiers.heads import Classifier, probabilities
from classifiers.runtime import LaunchSettings, seed_step
from classifiers.train import FitData, FitSettings, balancing, fit, predict_logits
from configs.errors import InputError
from configs.files import atomic_path
from configs.settings import Settings
from labeling.schema import Schema
from labeling.table import LabelTable

if TYPE_CHECKING:
    from lightning.fabric import Fabric

__all__ = ["EnsembleSettings", "MemberSettings", "fold_of", "predict_member", "train_member"]


class MemberSettings(Settings):
    """One backbone of the ensemble."""

    backbone: str = Field(description="timm's name")
    arguments: dict[str, Any] = Field(default_factory=dict, description="passed to timm, such as growth_rate")


class EnsembleSettings(Settings):
    """The members and how each is trained. Held-out faces (split test) are never trained on."""

    members: dict[str, MemberSettings]
    pretrained: bool = Field(False, description="start from timm's published weights; needs a network once")
    dropout: float = Field(0.2, ge=0, lt=1)
    folds: int = Field(3, ge=2, description="a network a fold: each face trained on is judged by the one fold that left it out")
    seed: int = Field(0, ge=0)
    min_confidence: float = Field(0.0, ge=0, lt=1, description="fill a missing cell only from this probability on; 0 = always")
    fit: FitSettings = FitSettings()
    launch: LaunchSettings = LaunchSettings()

    @model_validator(mode="after")
    def _members(self) -> EnsembleSettings:
        if len(self.members) < 2:
            raise ValueError("an ensemble needs at least two members: disagreement of one is always 0")
        return self


def fold_of(groups: np.ndarray, folds: int) -> np.ndarray:
    """(n,) int64 fold of each face, a function of its group alone, so near duplicates are never on both sides."""
    return np.asarray([int(group[-8:], 16) % folds for group in groups], dtype=np.int64)


def train_member(
    folder: Path,
    name: str,
    table: LabelTable,
    pixels: np.ndarray,
    settings: EnsembleSettings,
    fabric: Fabric,
    on_step: Callable[[int, int, dict[str, float]], None],
) -> list[Path]:
    """Train one network a fold, each on the other folds; a finished one is kept. Returns the weights' files, a fold each.

    on_step gets the fold, the images seen and the loss terms; none for a network that is kept.

    Raises:
        InputError: a fold would have nothing to learn from.
    """
    schema, fold = table.schema, fold_of(table.frame["group"].to_numpy(), settings.folds)
    attributes = [a.name for a in schema.with_role("gender", "style")]
    codes = {attribute: table.codes(attribute) for attribute in attributes}
    weights = {attribute: table.labelled(attribute).astype(np.float32) for attribute in attributes}
    known = np.any([weight > 0 for weight in weights.values()], axis=0) & table.trainable()
    empty = [index for index in range(settings.folds) if not (known & (fold != index)).any()]
    if empty:
        raise InputError(
            f"Expected labelled faces in at least two of {settings.folds} folds, found all of them in one. "
            "Label more faces, of other characters or pictures."
        )
    files = []
    for index in range(settings.folds):
        path = folder / name / f"fold{index}.safetensors"
        files.append(path)
        if path.is_file():
            on_step(index, settings.fit.images, {})
            continue
        rows = np.flatnonzero(known & (fold != index))
        data = FitData.drawing(pixels, rows, codes, weights, balancing(codes, weights, rows, settings.fit.rarity))
        seed = settings.seed * 1000 + index
        seed_step(seed, -1)
        network = build_member(schema, settings, name, pretrained=settings.pretrained)
        checkpoint = path.with_suffix(".checkpoint.pt")

        fit(network, schema, data, settings.fit, fabric, seed=seed, checkpoint=checkpoint, on_step=partial(on_step, index))
        if fabric.is_global_zero:
            with atomic_path(path) as temporary:
                tensors = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
                temporary.write_bytes(save(tensors, {"schema": schema.hash}))
            checkpoint.unlink(missing_ok=True)
        fabric.barrier()
    return files


def build_member(schema: Schema, settings: EnsembleSettings, name: str, *, pretrained: bool = False) -> Classifier:
    """A member's network, before training."""
    member = settings.members[name]
    return Classifier.build(schema, member.backbone, pretrained=pretrained, dropout=settings.dropout, **member.arguments)


def predict_member(
    files: list[Path],
    name: str,
    table: LabelTable,
    pixels: np.ndarray,
    settings: EnsembleSettings,
    fabric: Fabric,
    on_batch: Callable[[int], None] = lambda count: None,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray]:
    """What one member says, averaged over each face and its mirror image.

    Returns probabilities[attribute] (n, size) float32: for a face trained on, of the one network that left it out, for every
    other face the average over the folds; single[attribute] (folds, t, size) of the t test faces, one a network; trained (n,)
    bool.
    """
    schema, fold = table.schema, fold_of(table.frame["group"].to_numpy(), settings.folds)
    attributes = [a.name for a in schema.with_role("gender", "style")]
    test = table.in_split("test")
    trained = np.any([table.labelled(attribute) for attribute in attributes], axis=0) & table.trainable()
    summed = {attribute: np.zeros((len(table), schema[attribute].size), dtype=np.float32) for attribute in attributes}
    single: dict[str, list[np.ndarray]] = {attribute: [] for attribute in attributes}
    for index, path in enumerate(files):
        network = build_member(schema, settings, name)
        network.load_state_dict(load_file(path))
        network = network.to(fabric.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        rows = np.flatnonzero(~trained | (fold == index))
        logits = torch.from_numpy(predict_logits(network, pixels, rows, fabric, mirror=True, on_batch=on_batch))
        share = np.where(trained[rows], 1.0, 1.0 / settings.folds).astype(np.float32)[:, None]
        for attribute in attributes:
            told = probabilities(schema, attribute, logits).numpy()
            summed[attribute][rows] += told * share
            single[attribute].append(told[test[rows]])
    return summed, {attribute: np.stack(told) for attribute, told in single.items()}, trained
