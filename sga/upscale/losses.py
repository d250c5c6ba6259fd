"""Terms of the upscaler's loss; pictures (n, 3, h, w) in [-1, 1], one raw number out."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["charbonnier", "edge_distance", "sobel"]

_SOFT = 2e-3
"""Below this difference, a quarter of a grey level, the distance is quadratic."""


def charbonnier(picture: Tensor, target: Tensor) -> Tensor:
    """Mean of sqrt(d² + ε²) - ε: the L1 distance with a smooth bottom (Lai et al. 2017, LapSRN)."""
    return (((picture.float() - target.float()) ** 2 + _SOFT**2).sqrt() - _SOFT).mean()


def sobel(picture: Tensor) -> Tensor:
    """(n, 6, h - 2, w - 2): gradients of each plane to the right and down, by Sobel's filters over 8."""
    picture = picture.float()
    right = picture[..., 2:] - picture[..., :-2]
    down = picture[..., 2:, :] - picture[..., :-2, :]
    right = right[..., :-2, :] + 2 * right[..., 1:-1, :] + right[..., 2:, :]
    down = down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:]
    return torch.cat([right, down], dim=1) / 8


def edge_distance(picture: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of the gradients: lines as sharp as the original's, and no ringing beside them."""
    return F.l1_loss(sobel(picture), sobel(target))
