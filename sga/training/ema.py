"""The averaged generator: the one that is kept."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["update_average"]


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, *, batch: int, seen: int, half_life: float, ramp: float) -> None:
    """Move `average` towards `network` by one step of `batch` images.

    A weight from `half_life` images ago counts half; early on the half-life is `ramp` of the images seen, so that the first
    random weights are soon forgotten. Buffers (batch norm) are copied. half_life: images; 0 = copy.
    """
    half_life = min(half_life, seen * ramp)
    keep = 0.5 ** (batch / half_life) if half_life > 0 else 0.0
    kept: list[torch.Tensor] = list(average.parameters())
    new: list[torch.Tensor] = list(network.parameters())
    torch._foreach_lerp_(kept, new, 1 - keep)  # a few launches on a GPU, not one a weight
    held, buffers = list(average.buffers()), list(network.buffers())
    if held:
        torch._foreach_copy_(held, buffers)
