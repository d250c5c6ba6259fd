"""Real faces as the upscaler's training and measuring read them, and batches of crops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from classifiers.data import load_pixels, to_tensor
from classifiers.runtime import batch_rows
from configs.errors import InputError
from labeling.ingest.sources import list_pictures, read_pictures
from labeling.workspace import Workspace, fingerprint
from sga.generation.pictures import read_rgb
from sga.upscale.degradation import degrade, position_rng
from sga.upscale.settings import UpscaleSettings

__all__ = ["Originals", "load_originals", "read_originals"]


@dataclass(frozen=True)
class Originals:
    """Faces in memory: images (n, size, size, 3) uint8; name: of which faces these are."""

    images: np.ndarray
    name: str

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, settings: UpscaleSettings, seen: int, rank: int, share: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Crops (share, 3, crop, crop) and their originals, `scale` times as large, in [-1, 1], of the step that begins at
        crop `seen`; the processes take `share` each."""
        rows = batch_rows(len(self), settings.seed, seen, settings.batch)[rank * share : (rank + 1) * share]
        first = seen + rank * share
        pairs = [self._pair(settings, row, position_rng(settings.seed, first + place)) for place, row in enumerate(rows)]
        small, large = (np.stack(part) for part in zip(*pairs, strict=True))
        return to_tensor(small, device), to_tensor(large, device)

    def _pair(self, settings: UpscaleSettings, row: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """One crop and its original, half of them mirrored. The whole face is made small, so that a crop has neighbours."""
        image = self.images[row]
        if rng.random() < 0.5:
            image = image[:, ::-1]
        scale, crop = settings.scale, settings.crop
        image = np.ascontiguousarray(image[: len(image) // scale * scale, : len(image) // scale * scale])
        small = degrade(image, scale, settings.degradation, rng)
        top, left = rng.integers(0, len(small) - crop + 1, 2)
        large = image[top * scale : (top + crop) * scale, left * scale : (left + crop) * scale]
        return small[top : top + crop, left : left + crop], large


def load_originals(workspace: Workspace, split: str, most: int | None = None) -> Originals:
    """The faces of a split; most: at most so many, evenly picked, None = all.

    Raises:
        WorkspaceError: no faces, or files of them that cannot be read.
        InputError: no face in that split.
    """
    table = workspace.table()
    rows = np.flatnonzero(table.in_split(split))
    if not len(rows):
        raise InputError(
            f"Expected faces in the split {split} of {workspace.root}, found none. "
            f"Take in more: sga ingest PATH --workspace {workspace.root}"
        )
    if most is not None and most < len(rows):
        rows = rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]
    return Originals(load_pixels(workspace, table)[rows], fingerprint(*table.faces[rows]))


def read_originals(paths: Sequence[Path], most: int | None = None) -> Originals:
    """The pictures of folders, tar files and single files, all of one size; most: as in `load_originals`.

    Raises:
        InputError: a path is missing, a file is no picture, or two sizes are found.
    """
    listed = list_pictures(paths)
    pictures: dict[str, np.ndarray] = {}
    for picture, content in read_pictures(listed):
        if isinstance(content, str):
            raise InputError(f"Expected a picture at {picture.name}, found: {content}. Leave it out.")
        pictures[picture.name] = read_rgb(BytesIO(content), picture.name)
    sizes = {image.shape[:2] for image in pictures.values()}
    if len(sizes) > 1:
        found = " and ".join(f"{width}x{height}" for height, width in sorted(sizes)[:2])
        raise InputError(f"Expected pictures of one size, found {found} among them. Name those of one size.")
    names = sorted(pictures)
    if most is not None and most < len(names):
        names = [names[place] for place in np.linspace(0, len(names) - 1, most).astype(np.int64)]
    return Originals(np.stack([pictures[name] for name in names]), fingerprint(*names))
