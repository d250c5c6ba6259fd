"""What the simulated annotator's classifiers see of a face: features of networks that never saw the attribute, and descriptors
that need no training."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field
from safetensors.torch import load_file, save

from classifiers.data import load_pixels
from classifiers.ensemble import MemberSettings
from classifiers.heads import Classifier
from classifiers.runtime import LaunchSettings, launch, progress_bar, seed_step
from classifiers.train import FitData, FitSettings, balancing, fit, predict_logits
from configs.errors import InputError
from configs.files import atomic_path
from configs.settings import Settings
from labeling.schema import Schema
from labeling.table import LabelTable
from labeling.workspace import Workspace, fingerprint

if TYPE_CHECKING:
    import torch
    from lightning.fabric import Fabric
    from rich.progress import TaskID

__all__ = ["FeatureSettings", "Features", "oracle_features", "reduce"]

_SIDE, _CELL, _ORIENTATIONS = 64, 8, 9
_THUMBNAIL = 16


class FeatureSettings(Settings):
    """Networks whose pooled output describes a face, and how they are trained: on every attribute but the simulated one."""

    members: dict[str, MemberSettings] = Field(min_length=2, description="the backbones, as of the ensemble")
    dropout: float = Field(0.2, ge=0, lt=1)
    seed: int = Field(0, ge=0)
    descriptors: bool = Field(True, description="beside the networks: oriented gradients and a thumbnail of each face")
    components: int = Field(48, ge=2, description="principal components that are kept of each kind of feature")
    fit: FitSettings = FitSettings()


@dataclass(frozen=True)
class Features:
    """rows: (n,) int64 faces of the label table with a known label of the attribute; members: (n, d) float64 each,
    standardised; seconds: time spent on making them, 0 where they were there."""

    rows: np.ndarray
    members: dict[str, np.ndarray]
    seconds: float


def oracle_features(
    workspace: Workspace,
    attribute: str,
    settings: FeatureSettings,
    launching: LaunchSettings,
    folder: Path,
    *,
    progress: bool = True,
) -> Features:
    """Features of all faces with a known (original or human) label of `attribute`, from networks that never saw that attribute.

    The networks learn from the other attributes, on all labelled faces outside the split test. They and the features are kept
    in `folder`; stopped and called again, it continues.

    Raises:
        InputError: no other attribute has a label.
    """
    started = time.monotonic()
    table = workspace.table()
    rows = np.flatnonzero(table.labelled(attribute) & table.kept())
    pixels = load_pixels(workspace, table)
    networks = _outputs(table, pixels, rows, attribute, settings, launching, folder, progress)
    seconds = time.monotonic() - started
    shared = [*_descriptors(pixels, rows)] if settings.descriptors else []
    reduced = [reduce(block, settings.components) for block in shared]
    members = {
        name: np.concatenate([reduce(output, settings.components), *reduced], axis=1) for name, output in networks.items()
    }
    return Features(rows, members, seconds)


def _outputs(
    table: LabelTable,
    pixels: np.ndarray,
    rows: np.ndarray,
    attribute: str,
    settings: FeatureSettings,
    launching: LaunchSettings,
    folder: Path,
    progress: bool,
) -> dict[str, np.ndarray]:
    """(n, width) float32 a member, pooled output averaged over each face and its mirror image."""
    import torch

    lessons = _Lessons.without(attribute, table)
    stamps = {name: lessons.stamp(name, settings) for name in settings.members}
    path = folder / f"features-{fingerprint(*stamps.values(), *table.faces[rows])}.safetensors"
    if path.is_file():
        stored = load_file(path)
        return {name: stored[name].numpy() for name in stamps}  # the file has an order of its own
    fabric, outputs = launch(launching), {}
    with progress_bar(progress) as bar:
        for name, stamp in stamps.items():
            task = bar.add_task(f"{name}, without {attribute}", total=settings.fit.images, note="")

            def on_step(seen: int, values: dict[str, float], task: TaskID = task) -> None:
                bar.update(task, completed=min(seen, settings.fit.images), note=f"loss {values['loss']:.3f}")

            weights = _train(folder / f"{name}-{stamp}.safetensors", name, lessons, pixels, settings, fabric, on_step)
            bar.update(task, completed=settings.fit.images)
            task = bar.add_task(f"{name} looks at every face", total=len(rows), note="")
            network = _build(lessons.schema, name, settings)
            network.load_state_dict(load_file(weights))
            backbone = network.backbone.to(fabric.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
            seen = predict_logits(backbone, pixels, rows, fabric, mirror=True, on_batch=partial(bar.advance, task))
            outputs[name] = torch.from_numpy(seen)
    _replace(path, outputs, "features")
    return {name: value.numpy() for name, value in outputs.items()}


@dataclass(frozen=True)
class _Lessons:
    """What the networks may learn: the known cells of the other attributes, of the faces outside the split test."""

    schema: Schema
    rows: np.ndarray
    codes: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]
    faces: np.ndarray

    @classmethod
    def without(cls, attribute: str, table: LabelTable) -> _Lessons:
        kept = [one for one in table.schema.with_role("gender", "style") if one.name != attribute]
        known = [one for one in kept if (table.labelled(one.name) & table.trainable()).any()]
        if not known:
            raise InputError(
                f"Expected labels of another attribute than {attribute} to learn features from, found none. "
                "Label some faces with another attribute first, or simulate another attribute."
            )
        codes = {one.name: table.codes(one.name) for one in known}
        weights = {one.name: table.labelled(one.name).astype(np.float32) for one in known}
        rows = np.flatnonzero(np.any([weight > 0 for weight in weights.values()], axis=0) & table.trainable())
        schema = Schema(name=f"{table.schema.name} without {attribute}", attributes=tuple(known))
        return cls(schema, rows, codes, weights, table.faces)

    def stamp(self, member: str, settings: FeatureSettings) -> str:
        """Names the network that a member learns from these."""
        how = settings.model_dump_json(include={"dropout", "seed", "fit"}, exclude={"fit": {"checkpoint_seconds"}})
        told = [np.where(self.weights[name] > 0, code, -1)[self.rows].tobytes().hex() for name, code in self.codes.items()]
        backbone = settings.members[member].model_dump_json()
        return fingerprint(self.schema.hash, member, backbone, how, *self.faces[self.rows], *told)


def _build(schema: Schema, name: str, settings: FeatureSettings) -> Classifier:
    member = settings.members[name]
    return Classifier.build(schema, member.backbone, dropout=settings.dropout, **member.arguments)


def _train(
    path: Path,
    name: str,
    lessons: _Lessons,
    pixels: np.ndarray,
    settings: FeatureSettings,
    fabric: Fabric,
    on_step: Callable[[int, dict[str, float]], None],
) -> Path:
    """Train one network; a finished one is kept."""
    if path.is_file():
        return path
    data = FitData.drawing(
        pixels,
        lessons.rows,
        lessons.codes,
        lessons.weights,
        balancing(lessons.codes, lessons.weights, lessons.rows, settings.fit.rarity),
    )
    seed = settings.seed * 1000 + list(settings.members).index(name)
    seed_step(seed, -1)
    network, checkpoint = _build(lessons.schema, name, settings), path.with_suffix(".checkpoint.pt")
    fit(network, lessons.schema, data, settings.fit, fabric, seed=seed, checkpoint=checkpoint, on_step=on_step)
    if fabric.is_global_zero:
        _replace(path, {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}, name)
    fabric.barrier()
    return path


def _replace(path: Path, tensors: dict[str, torch.Tensor], name: str) -> None:
    """Write NAME-FINGERPRINT.safetensors, whole or not at all, and remove those it takes the place of."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(tensors))
    for old in path.parent.glob(f"{name}-{'?' * 16}.*"):
        if old != path:
            old.unlink()


def _descriptors(pixels: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Histograms of oriented gradients (Dalal & Triggs 2005), (n, 1764), and thumbnails, (n, 768), float32, of each face and
    its mirror image on average."""
    import cv2

    block = (2 * _CELL, 2 * _CELL)
    histogram = cv2.HOGDescriptor((_SIDE, _SIDE), block, (_CELL, _CELL), (_CELL, _CELL), _ORIENTATIONS)

    def both(face: np.ndarray, side: int, describe: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        small = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
        told = (describe(small).ravel(), describe(np.ascontiguousarray(small[:, ::-1])).ravel())
        return (told[0].astype(np.float32) + told[1]) / 2

    faces = [pixels[row] for row in rows]
    gradients = np.stack([both(face, _SIDE, lambda small: np.asarray(histogram.compute(small))) for face in faces])
    thumbnails = np.stack([both(face, _THUMBNAIL, lambda small: small / np.float32(255)) for face in faces])
    return gradients, thumbnails


def reduce(block: np.ndarray, components: int) -> np.ndarray:
    """(n, d) → (n, at most `components`) float64 principal components, each with variance 1. No label is looked at."""
    from sklearn.decomposition import PCA

    count = min(components, block.shape[1], len(block) - 1)
    solver = "full" if block.shape[1] <= 2 * count else "randomized"
    scores: np.ndarray = PCA(count, svd_solver=solver, random_state=0).fit_transform(block).astype(np.float64)
    deviation = scores.std(axis=0)
    return scores / np.where(deviation > 1e-6 * deviation.max(), deviation, 1.0)  # what does not vary stays near 0
