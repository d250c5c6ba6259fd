"""Training faces that a GPU keeps whole: a step names rows, and nothing else comes from the host."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from classifiers.data import Feed, to_device
from sga.training.data import RealBatch, TrainingFaces

__all__ = ["ResidentFaces", "resident"]


class ResidentFaces(TrainingFaces):
    """The same faces, with pixels (as bytes) and labels on a device."""

    feed: Feed
    kept: dict[str, Tensor]

    def __init__(self, faces: TrainingFaces, feed: Feed) -> None:
        """feed: of `faces.images`, which it keeps on its device."""
        super().__init__(**vars(faces))
        object.__setattr__(self, "feed", feed)  # a frozen dataclass
        kept = {name: torch.from_numpy(part).to(feed.device) for name, part in faces.labels().items()}
        object.__setattr__(self, "kept", kept)

    def batch(self, rows: np.ndarray, device: torch.device) -> RealBatch:
        """The faces at (n,) int64 `rows`, in the order in which those of a memory map come; device: the feed's own."""
        return self.at(to_device(np.sort(rows), device))

    def at(self, rows: Tensor) -> RealBatch:
        """The faces at (n,) int64 `rows` of the device, in that order."""
        return RealBatch(self.feed.at(rows), **{name: part[rows] for name, part in self.kept.items()})


def resident(faces: TrainingFaces, device: torch.device) -> TrainingFaces:
    """The faces kept on `device`, where that is a GPU with room for them; else the faces as they are."""
    if device.type != "cuda":
        return faces
    feed = Feed(faces.images, device)
    return ResidentFaces(faces, feed) if feed.resident else faces
