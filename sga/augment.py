"""What the discriminator sees of real and generated faces alike: blurred at first (Karras et al. 2021), and augmented
differentiably (Zhao et al. 2020)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

__all__ = ["POLICIES", "Policy", "blur", "diff_augment", "flip"]

Policy = Literal["color", "translation", "cutout"]


def _per_image(images: Tensor) -> Tensor:
    return torch.rand(len(images), 1, 1, 1, device=images.device)


def _color(images: Tensor) -> Tensor:
    """Brightness ±0.5 in units of [-1, 1], saturation × U(0, 2), contrast × U(0.5, 1.5)."""
    images = images + (_per_image(images) - 0.5)
    grey = images.mean(dim=1, keepdim=True)
    images = (images - grey) * (2 * _per_image(images)) + grey
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return (images - mean) * (0.5 + _per_image(images)) + mean


def _translation(images: Tensor, ratio: float = 0.125) -> Tensor:
    """Shift by whole pixels, at most `ratio` of the side; what comes in is 0."""
    n, _, height, width = images.shape
    device = images.device

    def source(side: int) -> tuple[Tensor, Tensor]:
        reach = int(side * ratio + 0.5)
        index = torch.arange(side, device=device) + torch.randint(-reach, reach + 1, (n, 1), device=device)
        return index.clamp(0, side - 1), (index >= 0) & (index < side)

    rows, rows_inside = source(height)
    columns, columns_inside = source(width)
    faces = torch.arange(n, device=device).view(n, 1, 1)
    moved = images.permute(0, 2, 3, 1)[faces, rows.unsqueeze(2), columns.unsqueeze(1)]
    inside = rows_inside.unsqueeze(2) & columns_inside.unsqueeze(1)
    return (moved * inside.unsqueeze(3)).permute(0, 3, 1, 2)


def _cutout(images: Tensor, ratio: float = 0.5) -> Tensor:
    """Set a square, `ratio` of the side, to 0; its centre is anywhere."""
    n, _, height, width = images.shape
    device = images.device
    row, column = (torch.randint(0, side, (n, 1), device=device) for side in (height, width))
    in_rows = (torch.arange(height, device=device) - row).abs() < ratio * height / 2
    in_columns = (torch.arange(width, device=device) - column).abs() < ratio * width / 2
    hidden = in_rows.unsqueeze(2) & in_columns.unsqueeze(1)
    return images * ~hidden.unsqueeze(1)


POLICIES: dict[Policy, Callable[[Tensor], Tensor]] = {"color": _color, "translation": _translation, "cutout": _cutout}


def diff_augment(images: Tensor, policies: Sequence[Policy], probability: Tensor | None = None) -> Tensor:
    """Apply `policies` in order; every face draws its own from torch's current generator. Gradients flow to `images`.

    images: (n, 3, h, w) float in [-1, 1] → the same shape (colours may leave the range). No policy = the images themselves.
    probability: 0-d in [0, 1], with which a face goes through each of the policies (Karras et al. 2020, 2.2); None = always.
    """
    for policy in policies:
        changed = POLICIES[policy](images)
        images = changed if probability is None else torch.where(_per_image(images) < probability, changed, images)
    return images.contiguous(memory_format=torch.channels_last) if policies else images


def blur(images: Tensor, sigma: float) -> Tensor:
    """Convolve (n, 3, h, w) images with a Gaussian of standard deviation `sigma` pixels, borders mirrored; 0 = the images
    themselves. Gradients flow to `images`."""
    if sigma <= 0:
        return images
    rows, columns = (_gaussian(side, sigma, images.device) for side in images.shape[-2:])
    # As products with banded matrices: a convolution of three channels by themselves has no fast kernel on a CPU.
    with torch.autocast(images.device.type, enabled=False):
        return (rows @ images.float() @ columns.T).contiguous(memory_format=torch.channels_last)


def _gaussian(side: int, sigma: float, device: torch.device) -> Tensor:
    """(side, side) float32; row i holds what pixel i takes of each pixel."""
    reach = min(math.ceil(3 * sigma), side - 1)
    offsets = torch.arange(-reach, reach + 1, device=device)
    weight = offsets.float().square().mul(-0.5 / sigma**2).exp()
    source = (torch.arange(side, device=device)[:, None] + offsets).abs()  # mirrored at the first pixel …
    source = (side - 1) - (side - 1 - source).abs()  # … and at the last
    return torch.zeros(side, side, device=device).scatter_add_(1, source, (weight / weight.sum()).expand(side, -1))


def flip(images: Tensor) -> Tensor:
    """Mirror half of the faces, drawn from torch's current generator. images: (n, 3, h, w)."""
    return torch.where(_per_image(images) < 0.5, images.flip(3), images)
