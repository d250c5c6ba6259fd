"""Preview grids on conditions that are drawn once and saved with the run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from classifiers.data import to_uint8
from classifiers.runtime import seed_step
from configs.errors import WorkspaceError
from configs.files import atomic_path
from sga.condition import Condition, ConditionPrior
from sga.training.settings import GanSettings

__all__ = ["eval_mode", "fixed_conditions", "grid", "write_images", "write_preview"]

_PAIRS = 3
"""Pairs of rows: a row of women above a row of men made from the same noise."""


@contextmanager
def eval_mode(network: nn.Module) -> Iterator[nn.Module]:
    """Evaluation mode without gradients; puts the mode back."""
    was = network.training
    network.eval()
    try:
        with torch.no_grad():
            yield network
    finally:
        network.train(was)


def fixed_conditions(folder: Path, settings: GanSettings, prior: ConditionPrior, *, write: bool) -> Condition:
    """The conditions in `folder`/conditions.npz; drawn (and written) where there are none yet. Row by row, on the CPU.

    Raises:
        WorkspaceError: the file is damaged or of another model.
    """
    path = folder / "conditions.npz"
    if path.is_file():
        return _read(path, settings)
    seed_step(settings.seed, -2)
    columns = settings.preview_columns
    device = prior.styles[0].device if prior.styles else torch.device("cpu")
    gender = torch.arange(2, device=device).repeat_interleave(columns).repeat(_PAIRS)
    drawn = prior.draw(len(gender), device, gender)
    noise = drawn.noise.view(_PAIRS, 2, columns, -1)[:, :1].expand(-1, 2, -1, -1).reshape(len(gender), -1)
    style = None if drawn.style is None else drawn.style.cpu()
    if style is not None and prior.styles is None:  # styles of real faces belong to their gender, others to both
        style = style.view(_PAIRS, 2, columns, -1)[:, :1].expand(-1, 2, -1, -1).reshape(len(gender), -1)
    condition = Condition(noise.cpu(), gender.cpu(), style)
    if write:
        arrays: dict[str, Any] = {"noise": condition.noise.numpy(), "gender": condition.gender.numpy()}
        if style is not None:
            arrays["style"] = style.numpy()
        with atomic_path(path) as temporary, temporary.open("wb") as handle:
            np.savez(handle, **arrays)
    return condition


def _read(path: Path, settings: GanSettings) -> Condition:
    try:
        with np.load(path, allow_pickle=False) as stored:
            noise, gender = torch.from_numpy(stored["noise"]), torch.from_numpy(stored["gender"])
            style = torch.from_numpy(stored["style"]) if "style" in stored else None
    except (OSError, ValueError, KeyError) as error:
        raise WorkspaceError(f"Expected preview conditions in {path}, found a damaged file. Remove it.") from error
    width = 0 if style is None else style.shape[1]
    if (noise.shape[1], width) != (settings.noise_size, settings.style_size):
        raise WorkspaceError(f"Expected preview conditions of this model in {path}, found those of another. Remove it.")
    return Condition(noise, gender, style)


def grid(images: np.ndarray, columns: int) -> np.ndarray:
    """(n, h, w, 3) uint8 → (rows·h, columns·w, 3) uint8, row by row; n is a multiple of `columns`."""
    n, height, width, channels = images.shape
    tiles = images.reshape(n // columns, columns, height, width, channels).swapaxes(1, 2)
    return tiles.reshape(n // columns * height, columns * width, channels)


def write_preview(folder: Path, average: nn.Module, condition: Condition, device: torch.device, seen: int) -> Path:
    """Draw the fixed conditions with the averaged generator into `folder`/NNNNNNN.png (images seen)."""
    with eval_mode(average):
        noise, gender = condition.noise.to(device), condition.gender.to(device)
        style = None if condition.style is None else condition.style.to(device)
        faces = to_uint8(average(noise, gender, style))
    path = folder / f"{seen:07d}.png"
    _write_grid(path, faces, len(faces) // (2 * _PAIRS))
    return path


def write_images(path: Path, images: Tensor, columns: int) -> None:
    """Write (n, 3, h, w) faces in [-1, 1] as a grid; n is a multiple of `columns`."""
    _write_grid(path, to_uint8(images), columns)


def _write_grid(path: Path, faces: np.ndarray, columns: int) -> None:
    with atomic_path(path) as temporary:
        Image.fromarray(grid(faces, columns)).save(temporary, format="PNG")
