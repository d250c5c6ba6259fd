"""Real faces as the training reads them: pixels, gender with its weight, and style."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from classifiers.data import Pictures, load_pixels, to_tensor
from classifiers.runtime import batch_rows, weighted_rows
from configs.errors import ConfigError, WorkspaceError
from labeling.provenance import MISSING_CODE, Source
from labeling.schema import Schema
from labeling.table import LabelTable
from labeling.workspace import Workspace, fingerprint

if TYPE_CHECKING:
    from sga.training.settings import GanSettings

__all__ = ["RealBatch", "TrainingFaces", "load_training_faces", "step_rows", "training_rows"]


@dataclass(frozen=True)
class RealBatch:
    """images (n, 3, size, size) float32 in [-1, 1], gender (n,) int64 (-1 unknown), weight (n,), style (n, style_size)."""

    images: Tensor
    gender: Tensor
    weight: Tensor
    style: Tensor


@dataclass(frozen=True)
class TrainingFaces:
    """images uint8 (n, size, size, 3), may be memory-mapped; gender int64 (n,), -1 unknown; gender_weight float32 (n,), 0 where
    unknown; style float32 (n, style_size), standardised; schema: of the label table they come from."""

    images: np.ndarray | Pictures
    gender: np.ndarray
    gender_weight: np.ndarray
    style: np.ndarray
    schema: Schema

    def __len__(self) -> int:
        return len(self.images)

    def select(self, rows: np.ndarray) -> TrainingFaces:
        """The faces at (k,) int64 `rows`."""
        pictures = Pictures(self.images, rows=rows)
        return TrainingFaces(pictures, self.gender[rows], self.gender_weight[rows], self.style[rows], self.schema)

    def fingerprint(self) -> str:
        """Names the number and size of the faces, their labels and styles: all of the data but the pixels."""
        labels = (part.tobytes().hex() for part in (self.gender, self.gender_weight, self.style))
        return fingerprint(self.images.shape, *labels)

    def batch(self, rows: np.ndarray, device: torch.device) -> RealBatch:
        """The faces at `rows` on `device`."""
        order = np.sort(rows)  # ascending reads suit a memory map; a batch has no order
        parts = (torch.from_numpy(part[order]).to(device) for part in (self.gender, self.gender_weight, self.style))
        return RealBatch(to_tensor(self.images[order], device), *parts)

    def sampling(self, balance: float) -> np.ndarray | None:
        """(n,) float64 running sum of sampling weights, None = every face once an epoch.

        balance: 0 = as the faces are, 1 = both genders equally often; faces of unknown gender keep their share.
        """
        groups = [self.gender == code for code in range(2)]
        counts = [int(group.sum()) for group in groups]
        if balance == 0 or not all(counts):
            return None
        weights = np.ones(len(self))
        for group, count in zip(groups, counts, strict=True):
            weights[group] = (1 - balance) + balance * sum(counts) / (2 * count)
        return np.cumsum(weights)


def step_rows(faces: TrainingFaces, sampling: np.ndarray | None, seed: int, seen: int, batch: int) -> np.ndarray:
    """(batch,) rows of the step that starts at image `seen`, over all processes."""
    if sampling is None:
        return batch_rows(len(faces), seed, seen, batch)
    return weighted_rows(sampling, seed, seen, batch)


def training_rows(table: LabelTable) -> np.ndarray:
    """(n,) bool: the faces that the GAN learns from, all but those of the split `test`.

    The split `validation` is among them, as in every other stage: nothing here is chosen by it. Whoever validates settings of
    their own on it takes it out first.
    """
    return ~table.in_split("test")


def load_training_faces(workspace: Workspace, settings: GanSettings) -> TrainingFaces:
    """The `training_rows` of a workspace whose style feature network is done.

    Raises:
        WorkspaceError: a stage before is not done, styles do not belong to the faces, or sizes disagree with the settings.
        ConfigError: the schema has no gender with two values.
    """
    workspace.require("sfn")
    table = workspace.table()
    rows = training_rows(table)
    images = Pictures(load_pixels(workspace, table), rows=np.flatnonzero(rows))
    table = table.select(rows)
    if images.shape[1] != settings.size:
        raise WorkspaceError(
            f"Expected faces of {settings.size} px, found {images.shape[1]} px in {workspace.root}. "
            f"Type: --set size={images.shape[1]}"
        )
    gender, weight = _gender(table, settings.completed_weight)
    style = _styles(workspace, table.faces, settings.style_size)
    return TrainingFaces(images, gender, weight, style, table.schema)


def _gender(table: LabelTable, completed_weight: float) -> tuple[np.ndarray, np.ndarray]:
    attributes = table.schema.with_role("gender")
    if len(attributes) != 1 or attributes[0].size != 2:
        raise ConfigError(
            f"Expected one attribute of role gender with two values in schema {table.schema.name}, "
            f"found {', '.join(a.name for a in attributes) or 'none'}. Use a schema such as faces."
        )
    name = attributes[0].name
    codes, sources = table.codes(name), table.sources(name)
    weight = np.where(sources >= Source.ORIGINAL, 1.0, completed_weight) * (codes != MISSING_CODE)
    return codes, weight.astype(np.float32)


def _styles(workspace: Workspace, faces: np.ndarray, style_size: int) -> np.ndarray:
    """(n, style_size) float32 in the order of `faces`; (n, 0) where no style is asked for."""
    if style_size == 0:
        return np.zeros((len(faces), 0), np.float32)
    path = workspace.folder("sfn") / "styles.npz"
    again = f"Type again: sga sfn --workspace {workspace.root}"
    try:
        with np.load(path, allow_pickle=False) as stored:
            names, style = stored["face"], stored["style"].astype(np.float32)
    except (OSError, ValueError, KeyError) as error:
        raise WorkspaceError(f"Expected style features in {path}, found none that can be read ({error}). {again}") from error
    if style.shape[1] != style_size:
        raise WorkspaceError(
            f"Expected style_size to be the width of {path}, {style.shape[1]}, found {style_size}. "
            f"Type: --set style_size={style.shape[1]}"
        )
    position = {str(name): row for row, name in enumerate(names)}
    lost = [face for face in faces if face not in position]
    if lost:
        raise WorkspaceError(f"Expected a style for every training face, found none for {len(lost)} of {len(faces)}. {again}")
    return style[[position[face] for face in faces]]
