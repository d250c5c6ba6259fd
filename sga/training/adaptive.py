"""Adaptive augmentation: as much of it as keeps the discriminator from learning the real faces by heart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from lightning.fabric import Fabric

__all__ = ["AdaptiveAugment"]

_INTERVAL = 4
"""Steps between two corrections (Karras et al. 2020, section 3)."""


class AdaptiveAugment(nn.Module):
    """The probability of augmentation, steered by r_t = E sign(D(x)) of the real faces (Karras et al. 2020, Eq. 1).

    Above `target` the discriminator overfits and the probability rises, below it falls, by batch / images a step. All of it are
    buffers on the device: no step waits for the host, and a checkpoint holds it.
    """

    probability: Tensor
    signs: Tensor
    steps: Tensor

    def __init__(self, target: float, images: int) -> None:
        """target: of r_t. images: in which the probability can go from 0 to 1."""
        super().__init__()
        self.target, self.images = target, images
        for name in ("probability", "signs", "steps"):
            self.register_buffer(name, torch.zeros(()))

    @torch.no_grad()
    def update(self, fabric: Fabric, on_real: Tensor, batch: int) -> Tensor:
        """Take in one step's verdicts on real faces; returns its r_t (0-d, in [-1, 1], mean over all processes).

        on_real: (n,) or (n, k) logits; of a relativistic discriminator, which knows no zero, their lead over those of generated
        faces. batch: faces of the step over all processes.
        """
        sign = on_real.float().sign().mean()
        if fabric.world_size > 1:
            sign = fabric.all_reduce(sign, reduce_op="mean")
        self.signs += sign
        self.steps += 1
        due = (self.steps >= _INTERVAL).float()
        change = (self.signs / self.steps - self.target).sign() * (batch * _INTERVAL / self.images)
        self.probability.add_(due * change).clamp_(0, 1)
        self.signs *= 1 - due
        self.steps *= 1 - due
        return sign
