"""Augmentation of faces on the device: every picture draws its own transform. Hue is never touched: colours are labels here."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from configs.settings import Settings

__all__ = ["AugmentSettings", "augment"]


class AugmentSettings(Settings):
    """Strengths; 0 = off."""

    flip: bool = Field(True, description="mirror half of the pictures")
    rotate: float = Field(12.0, ge=0, description="largest rotation, degrees")
    scale: float = Field(0.12, ge=0, lt=1, description="largest relative change of size")
    shift: float = Field(0.08, ge=0, lt=1, description="largest shift, as a part of the picture's side")
    brightness: float = Field(0.15, ge=0, description="largest shift of all channels, in units of [-1, 1]")
    contrast: float = Field(0.2, ge=0, lt=1, description="largest relative change of contrast")
    erase: float = Field(0.3, ge=0, lt=1, description="largest side of the erased square, as a part of the picture's side")


def augment(images: Tensor, settings: AugmentSettings, size: int | None = None) -> Tensor:
    """(n, 3, h, w) float in [-1, 1] → the same, or (n, 3, size, size), from torch's current generator."""
    if size is not None:  # area averages first: sampling alone would alias
        images = F.interpolate(images, size=(size, size), mode="area")
    n, _, height, width = images.shape
    device = images.device

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(shape, device=device) * (high - low) + low

    angle = torch.deg2rad(uniform(-settings.rotate, settings.rotate, n))
    zoom = 1 + uniform(-settings.scale, settings.scale, n)
    mirror = torch.where(torch.rand(n, device=device) < 0.5, -1.0, 1.0) if settings.flip else torch.ones(n, device=device)
    theta = torch.zeros(n, 2, 3, device=device)
    theta[:, 0, 0] = torch.cos(angle) * zoom * mirror
    theta[:, 0, 1] = -torch.sin(angle) * zoom
    theta[:, 1, 0] = torch.sin(angle) * zoom * mirror
    theta[:, 1, 1] = torch.cos(angle) * zoom
    theta[:, :, 2] = uniform(-2 * settings.shift, 2 * settings.shift, n, 2)  # affine_grid's unit is half a side
    grid = F.affine_grid(theta, [n, 3, height, width], align_corners=False)
    out = F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="reflection", align_corners=False)

    contrast = 1 + uniform(-settings.contrast, settings.contrast, n, 1, 1, 1)
    out = (out * contrast + uniform(-settings.brightness, settings.brightness, n, 1, 1, 1)).clamp(-1, 1)
    if settings.erase > 0:
        side = uniform(0, settings.erase, n, 1, 1)
        centre = torch.rand(n, 2, 1, 1, device=device)
        rows = torch.linspace(0, 1, height, device=device).view(1, height, 1)
        columns = torch.linspace(0, 1, width, device=device).view(1, 1, width)
        hidden = ((rows - centre[:, 0]).abs() < side / 2) & ((columns - centre[:, 1]).abs() < side / 2)
        out = out.masked_fill(hidden.unsqueeze(1), 0.0)
    return out.contiguous(memory_format=torch.channels_last)
