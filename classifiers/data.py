"""Faces of a workspace as arrays: pixels packed once, read many times."""

from __future__ import annotations

import math
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

__all__ = ["Feed", "Pictures", "load_pixels", "to_device", "to_tensor", "to_uint8"]

_MOST_OF_MEMORY = 0.25
"""Part of the GPU's free memory that pictures may take."""


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


class Feed:
    """Batches of pictures on a device. A GPU keeps all of them where it has room, as bytes: no step waits for the host."""

    def __init__(self, pixels: np.ndarray | Pictures, device: torch.device, *, resident: bool | None = None) -> None:
        """pixels: (n, h, w, 3) uint8. resident: keep them on the device; None = where that is a GPU with room for them."""
        self._pixels, self.device = pixels, device
        keep = _has_room(device, math.prod(pixels.shape)) if resident is None else resident
        self._kept = _copy(pixels, device) if keep else None

    @property
    def resident(self) -> bool:
        """Whether the pictures are kept on the device."""
        return self._kept is not None

    def __call__(self, rows: np.ndarray) -> Tensor:
        """(m, 3, h, w) float32 in [-1, 1], channels last, of (m,) int64 rows."""
        if self._kept is None:
            return to_tensor(self._pixels[rows], self.device)
        return self.at(to_device(rows, self.device))

    def at(self, rows: Tensor) -> Tensor:
        """The same of (m,) int64 rows on the device, for pictures that are kept there."""
        assert self._kept is not None
        return _scaled(self._kept[rows])


def _has_room(device: torch.device, size: int) -> bool:
    return device.type == "cuda" and size <= _MOST_OF_MEMORY * torch.cuda.mem_get_info(device)[0]


def _copy(pixels: np.ndarray | Pictures, device: torch.device, step: int = 4096) -> Tensor:
    """All pictures on the device, a part at a time: they are read once, and never lie in the host's memory whole."""
    kept = torch.empty(pixels.shape, dtype=torch.uint8, device=device)
    for start in range(0, len(pixels), step):
        rows = np.arange(start, min(len(pixels), start + step))
        kept[start : start + len(rows)].copy_(torch.from_numpy(np.ascontiguousarray(pixels[rows])))
    return kept


def to_device(values: np.ndarray, device: torch.device) -> Tensor:
    """An array as a tensor on the device. The host does not wait for the GPU."""
    tensor = torch.from_numpy(values)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def to_tensor(pixels: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
    """(n, h, w, 3) uint8 → (n, 3, h, w) float32 in [-1, 1], channels last."""
    return _scaled(to_device(np.ascontiguousarray(pixels), torch.device(device)))


def _scaled(batch: Tensor) -> Tensor:
    return batch.permute(0, 3, 1, 2).to(torch.float32).div_(127.5).sub_(1)  # the permuted view is channels-last already


def to_uint8(images: Tensor) -> np.ndarray:
    """(n, 3, h, w) in [-1, 1] → (n, h, w, 3) uint8, rounded half to even."""
    pixels = images.detach().float().clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
    array: np.ndarray = pixels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return array
