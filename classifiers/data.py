"""Faces of a workspace as arrays: pixels packed once, read many times."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from configs.errors import WorkspaceError
from configs.files import atomic_path, check_space
from labeling.table import LabelTable
from labeling.workspace import Workspace, fingerprint

__all__ = ["Pictures", "load_pixels", "to_tensor", "to_uint8"]


def load_pixels(workspace: Workspace, table: LabelTable, size: int | None = None) -> np.ndarray:
    """(n, size, size, 3) uint8 RGB, one picture a row of `table`, memory-mapped.

    The pack (`faces/pixels-….npy`) is a cache named by the faces in it; other faces make another. size: pixels; None = as
    stored.

    Raises:
        WorkspaceError: a face's file is missing or has another size than the rest.
    """
    if len(table) == 0:
        raise WorkspaceError(
            f"Expected faces in {workspace.root}, found none. Type first: sga ingest PATH --workspace {workspace.root}"
        )
    if size is None:
        size = _read(workspace.root / table.frame["file"].iloc[0]).shape[0]
    path = workspace.folder("faces") / f"pixels-{size}-{fingerprint(*table.faces)}.npy"
    if not path.is_file():
        check_space(path.parent, len(table) * size * size * 3)
        for old in path.parent.glob(f"pixels-{size}-*.npy"):
            old.unlink()
        files = [workspace.root / name for name in table.frame["file"]]
        with atomic_path(path) as temporary:
            shape = (len(table), size, size, 3)
            pack = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
            with ThreadPoolExecutor() as pool:
                for row, picture in enumerate(pool.map(lambda file: _read(file, size), files)):
                    pack[row] = picture
            pack.flush()
            del pack
    pixels: np.ndarray = np.load(path, mmap_mode="r")
    return pixels


class Pictures:
    """Rows of picture arrays, one array behind the other, read when asked for: a memory map is never copied whole."""

    def __init__(self, *parts: np.ndarray | Pictures, rows: np.ndarray | None = None) -> None:
        """parts: (n, size, size, 3) uint8 each; rows: (k,) int64 of all parts' rows that are meant; None = all."""
        self.parts = parts
        self.starts = np.cumsum([0, *(len(part) for part in parts)])
        self.rows = np.arange(self.starts[-1]) if rows is None else rows

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """(k, size, size, 3)."""
        return (len(self), *self.parts[0].shape[1:])

    def __getitem__(self, wanted: np.ndarray) -> np.ndarray:
        """(m, size, size, 3) uint8 of (m,) int64 positions."""
        rows = self.rows[wanted]
        out = np.empty((len(rows), *self.shape[1:]), dtype=np.uint8)
        for part, start in zip(self.parts, self.starts, strict=False):
            here = (rows >= start) & (rows < start + len(part))
            if here.any():
                out[here] = part[rows[here] - start]
        return out


def _read(path: Path, size: int | None = None) -> np.ndarray:
    try:
        with Image.open(path) as stored:
            image = stored.convert("RGB")
            if size is not None and image.size != (size, size):
                image = image.resize((size, size), Image.Resampling.LANCZOS)
            return np.asarray(image)
    except OSError as error:
        raise WorkspaceError(f"Expected a face at {path}, found none that can be read. Ingest the faces again.") from error


def to_tensor(pixels: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
    """(n, h, w, 3) uint8 → (n, 3, h, w) float32 in [-1, 1], channels last."""
    batch = torch.from_numpy(np.ascontiguousarray(pixels)).to(device, non_blocking=True)
    return batch.permute(0, 3, 1, 2).to(torch.float32).div_(127.5).sub_(1)  # the permuted view is channels-last already


def to_uint8(images: Tensor) -> np.ndarray:
    """(n, 3, h, w) in [-1, 1] → (n, h, w, 3) uint8, rounded half to even."""
    pixels = images.detach().float().clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
    array: np.ndarray = pixels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return array
