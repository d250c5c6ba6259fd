"""DCGAN generator (Radford et al. 2016), the baseline of Jin et al. 2017 (5.3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sga.models.blocks import initialise
from sga.models.conditional import ConditionalGenerator
from sga.models.registry import register_generator

__all__ = ["DCGANGenerator", "dcgan"]


def _double(before: int, after: int, kernel: int, *, bias: bool) -> nn.ConvTranspose2d:
    """A transposed convolution that doubles the edge exactly, whatever its window."""
    padding, more = (kernel - 1) // 2, kernel % 2
    return nn.ConvTranspose2d(before, after, kernel, stride=2, padding=padding, output_padding=more, bias=bias)


class DCGANGenerator(ConditionalGenerator):
    """Noise, gender and style to faces. See `dcgan` for the arguments."""

    def __init__(self, size: int, noise_size: int, style_size: int, widths: Sequence[int], kernel: int) -> None:
        super().__init__()
        if not widths or size % (1 << len(widths)) or size < 1 << len(widths):
            raise ValueError(f"size must be a multiple of 2 to the number of widths ({len(widths)}), found {size}")
        if kernel < 2:
            raise ValueError(f"kernel must be at least 2, found {kernel}")
        self.channels, self.start = widths[0], size >> len(widths)
        self.fc = nn.Linear(noise_size + 1 + style_size, self.channels * self.start**2)
        self.fc_norm = nn.BatchNorm2d(self.channels)
        stages: list[nn.Module] = []
        for before, after in pairwise(widths):
            stages += [_double(before, after, kernel, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.stages = nn.Sequential(*stages)
        self.last = _double(widths[-1], 3, kernel, bias=True)
        initialise(self)

    def forward(self, noise: Tensor, gender: Tensor, style: Tensor | None = None) -> Tensor:
        """noise (n, noise_size) float, gender (n,) int64 (0 female, 1 male), style (n, style_size) float, None where
        style_size is 0 → (n, 3, size, size) in [-1, 1]."""
        x = self.first(noise, gender, style).view(-1, self.channels, self.start, self.start)
        return torch.tanh(self.last(self.stages(F.relu(self.fc_norm(x)))))


@register_generator
def dcgan(
    size: int,
    noise_size: int = 128,
    style_size: int = 30,
    widths: Sequence[int] = (1024, 512, 256, 128),
    kernel: int = 5,
) -> DCGANGenerator:
    """The generator of Radford et al., Fig. 1: a fully connected layer, then transposed convolutions of stride 2, each but the
    last with batch norm and ReLU.

    size: pixels. style_size: 0 = no style. widths: channels before each transposed convolution, which doubles the edge: four of
    them begin at 4×4 for 64 px and at 6×6 for 96 px, five (…, 64) at 4×4 for 128 px. kernel: edge of their windows.
    """
    return DCGANGenerator(size, noise_size, style_size, widths, kernel)
