"""Blocks that the networks share."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["NormalisedResidual", "PlainResidual", "Upsample", "initialise", "initialise_as_nearest", "minibatch_deviation"]


class NormalisedResidual(nn.Module):
    """conv, BN, ReLU, conv, BN, plus the input (SRResNet; Jin et al., Fig. 3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) → the same shape."""
        return x + self.second_norm(self.second(F.relu(self.first_norm(self.first(x)))))


class PlainResidual(nn.Module):
    """conv, LeakyReLU, conv, plus the input, LeakyReLU; no batch norm (Jin et al., Fig. 4)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) → the same shape."""
        return F.leaky_relu(x + self.second(F.leaky_relu(self.first(x), 0.2)), 0.2)


class Upsample(nn.Module):
    """conv to four times `width`, pixel shuffle 2, BN, ReLU."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 4 * width, 3, padding=1, bias=False)
        self.shuffle = nn.PixelShuffle(2)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) → (n, width, 2h, 2w)."""
        return F.relu(self.norm(self.shuffle(self.conv(x))))


def initialise(network: nn.Module) -> None:
    """Weights of convolutions and linear layers from N(0, 0.02), biases 0 (Jin et al., 5.1.1)."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@torch.no_grad()
def initialise_as_nearest(network: nn.Module) -> None:
    """ICNR (Aitken et al. 2017): pixel shuffles begin as nearest-neighbour upsampling, without a checkerboard to unlearn."""
    for module in network.modules():
        if isinstance(module, Upsample):
            weight = module.conv.weight
            weight.copy_(weight[::4].repeat_interleave(4, dim=0))


def minibatch_deviation(features: Tensor) -> Tensor:
    """(n, k) → (n, 1): the features' standard deviation over the batch, averaged (Karras et al. 2018, section 3)."""
    variance = features.var(dim=0, unbiased=False)
    deviation = torch.sqrt(variance + 1e-8).mean()  # the small term keeps the gradient finite where a batch is constant
    return deviation.expand(len(features), 1)
