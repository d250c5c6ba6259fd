"""The encoder of the warm start: what noise would make the generator draw this face?"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

__all__ = ["Encoder"]


def _down(fan_in: int, fan_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(fan_in, fan_out, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(fan_out), nn.LeakyReLU(0.2)
    )


class Encoder(nn.Module):
    """Images (n, 3, size, size) in [-1, 1] → mean and log-variance (n, noise_size) of the posterior of the noise.

    `align` fixes an affine map that takes the posterior of all faces, given their condition, to the generator's own prior.
    """

    weight: Tensor
    slope: Tensor
    offset: Tensor

    def __init__(self, size: int, noise_size: int, condition_size: int, channels: int = 32) -> None:
        super().__init__()
        widths = [channels, 2 * channels, 4 * channels, 8 * channels]
        self.trunk = nn.Sequential(_down(3, widths[0]), *(_down(a, b) for a, b in pairwise(widths)))
        self.head = nn.Linear(widths[-1] * (size // 16) ** 2, 2 * noise_size)
        self.register_buffer("weight", torch.eye(noise_size))
        self.register_buffer("slope", torch.zeros(noise_size, condition_size))
        self.register_buffer("offset", torch.zeros(noise_size))

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (n, noise_size) in the space in which the KL term is measured."""
        mean, log_variance = self.head(self.trunk(images).flatten(1)).float().chunk(2, dim=1)
        return mean, log_variance.clamp(-10, 4)

    def forward(self, images: Tensor, condition: Tensor) -> Tensor:
        """(n, noise_size) noise in the generator's space; condition: (n, condition_size), as the generator's FC takes it."""
        mean, log_variance = self.posterior(images)
        code = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        return (code - condition @ self.slope.T - self.offset) @ self.weight.T
