"""Real faces as the training reads them: pixels, gender with its weight, and style."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from classifiers.data import Pictures, load_pixels, to_device, to_tensor
from classifiers.runtime import batch_rows, weighted_rows
from configs.errors import ConfigError, InputError, WorkspaceError
from labeling.provenance import MISSING_CODE, Source
from labeling.schema import Schema
from labeling.table import LabelTable
from labeling.workspace import Workspace, fingerprint
from sga.losses import SpectralExcess, spectrum
from sga.losses.spectral import Spectrum
from sga.tags import tag_columns, tag_count, tag_vectors
from sga.training.label_noise import gender_doubt

if TYPE_CHECKING:
    from sga.training.settings import GanSettings

__all__ = ["RealBatch", "TrainingFaces", "load_training_faces", "spectral_excess", "step_rows", "training_rows"]


@dataclass(frozen=True)
class RealBatch:
    """images (n, 3, size, size) float32 in [-1, 1], gender (n,) int64 (-1 unknown), weight (n,), style (n, style_size).

    style_weight: of tags (n, style_size) in [0, 1], 0 where unknown; None = features, all of them known. gender_doubt: (n, 2)
    as `sga.training.label_noise` reads it; None = labels are taken at their word.
    """

    images: Tensor
    gender: Tensor
    weight: Tensor
    style: Tensor
    style_weight: Tensor | None = None
    gender_doubt: Tensor | None = None


@dataclass(frozen=True)
class TrainingFaces:
    """images uint8 (n, size, size, 3), may be memory-mapped; gender int64 (n,), -1 unknown; gender_weight float32 (n,), 0 where
    unknown; style float32 (n, style_size): features, standardised, or tags as `sga.tags.tag_vectors` makes them; schema: of the
    label table they come from; style_weight: of tags, float32 (n, style_size), None = features; gender_doubt: float32 (n, 2),
    None = labels are taken at their word (see `RealBatch`)."""

    images: np.ndarray | Pictures
    gender: np.ndarray
    gender_weight: np.ndarray
    style: np.ndarray
    schema: Schema
    style_weight: np.ndarray | None = None
    gender_doubt: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.images)

    def select(self, rows: np.ndarray) -> TrainingFaces:
        """The faces at (k,) int64 `rows`."""
        weight, doubt = (None if part is None else part[rows] for part in (self.style_weight, self.gender_doubt))
        pictures = Pictures(self.images, rows=rows)
        return TrainingFaces(
            pictures, self.gender[rows], self.gender_weight[rows], self.style[rows], self.schema, weight, doubt
        )

    def fingerprint(self) -> str:
        """Names the number and size of the faces, their labels and styles: all of the data but the pixels."""
        parts = (self.gender, self.gender_weight, self.style, self.style_weight, self.gender_doubt)
        labels = (part.tobytes().hex() for part in parts if part is not None)
        return fingerprint(self.images.shape, *labels)

    def batch(self, rows: np.ndarray, device: torch.device) -> RealBatch:
        """The faces at `rows` on `device`."""
        order = np.sort(rows)  # ascending reads suit a memory map; a batch has no order
        labels = {name: to_device(part[order], device) for name, part in self.labels().items()}
        return RealBatch(to_tensor(self.images[order], device), **labels)

    def labels(self) -> dict[str, np.ndarray]:
        """What a `RealBatch` has beside the images, of all faces, by its field's name."""
        parts = {
            "gender": self.gender,
            "weight": self.gender_weight,
            "style": self.style,
            "style_weight": self.style_weight,
            "gender_doubt": self.gender_doubt,
        }
        return {name: part for name, part in parts.items() if part is not None}

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


def spectral_excess(faces: TrainingFaces, device: torch.device, most: int = 1024) -> SpectralExcess:
    """The excess over the spectrum of (at most so many) faces, evenly picked."""
    rows = np.linspace(0, len(faces) - 1, min(most, len(faces))).astype(np.int64)
    parts = [(len(part), spectrum(faces.batch(part, device).images)) for part in np.array_split(rows, -(-len(rows) // 128))]
    power = torch.stack([count * one.power for count, one in parts]).sum(dim=0) / len(rows)
    return SpectralExcess(Spectrum(power, torch.stack([count * one.mean for count, one in parts]).sum(dim=0) / len(rows)))


def step_rows(faces: TrainingFaces, sampling: np.ndarray | None, seed: int, seen: int, batch: int) -> np.ndarray:
    """(batch,) rows of the step that starts at image `seen`, over all processes."""
    if sampling is None:
        return batch_rows(len(faces), seed, seen, batch)
    return weighted_rows(sampling, seed, seen, batch)


def training_rows(table: LabelTable) -> np.ndarray:
    """(n,) bool: the faces that the GAN learns from, all but those of the split `test` and those left out.

    The split `validation` is among them, as in every other stage: nothing here is chosen by it. Whoever validates settings of
    their own on it takes it out first.
    """
    return table.trainable()


def load_training_faces(workspace: Workspace, settings: GanSettings) -> TrainingFaces:
    """The `training_rows` of a workspace whose style feature network is done, with features or tags as their style.

    Raises:
        WorkspaceError: a stage before is not done, styles do not belong to the faces, sizes disagree with the settings, or what
            `label_noise` reads cannot be read.
        ConfigError: the schema has no gender with two values, or no tags where `style_source` asks for them.
        InputError: tags are asked for, and no face has all of its own.
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
    gender, weight = _gender(table, settings.completed_weight if settings.label_noise == "weight" else 1.0)
    doubt = None if settings.label_noise == "weight" else gender_doubt(workspace, table, settings.label_noise)
    if settings.style_source == "tags":
        return TrainingFaces(images, gender, weight, *_tags(workspace, table, settings), gender_doubt=doubt)
    style = _styles(workspace, table.faces, settings.style_size)
    return TrainingFaces(images, gender, weight, style, table.schema, gender_doubt=doubt)


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


def _tags(workspace: Workspace, table: LabelTable, settings: GanSettings) -> tuple[np.ndarray, Schema, np.ndarray]:
    """Tag vectors, the schema that orders them, and their weights."""
    count = tag_count(table.schema)
    if count == 0:
        raise ConfigError(
            f"Expected attributes of role style in schema {table.schema.name} for style_source tags, found none. "
            "Use a schema such as moe34, or --set style_source=features"
        )
    if count != settings.style_size:
        raise WorkspaceError(
            f"Expected style_size to be the number of tags of schema {table.schema.name}, {count}, "
            f"found {settings.style_size}. Type: --set style_size={count}"
        )
    tags, weight = tag_vectors(table, settings.completed_weight)
    if not (tags != 0).all(axis=1).any():
        missing = [name for name, columns in tag_columns(table.schema).items() if not tags[:, columns].any()]
        unlabelled = f" (nothing is known of {', '.join(missing)})" if missing else ""
        raise InputError(
            f"Expected faces of which every tag is known, found none in {workspace.root}{unlabelled}. "
            f"Label some, and complete the rest: sga complete --workspace {workspace.root}"
        )
    return tags, table.schema, weight


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
