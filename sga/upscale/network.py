"""The network: residual blocks at the small size, a pixel shuffle, and what the bicubic filter gives below all of it."""

from __future__ import annotations

from contextlib import nullcontext
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

__all__ = ["PatchDiscriminator", "UpscaleNetwork", "bicubic_phases"]

_REACH = 2
"""Input pixels that the bicubic filter reads on each side."""


def bicubic_phases(scale: int) -> Tensor:
    """(scale², 5, 5) float32: what each of the output pixels within an input pixel takes of its neighbourhood.

    Keys' cubic with a = -1/2, as Pillow has it; pixels are areas, so corners of input and output coincide.
    """
    taps = torch.arange(-_REACH, _REACH + 1, dtype=torch.float64)
    offsets = (torch.arange(scale, dtype=torch.float64) + 0.5) / scale - 0.5
    x = (taps[None] - offsets[:, None]).abs()
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    lines = torch.where(x <= 1, near, torch.where(x < 2, far, 0.0))
    return torch.einsum("ay,bx->abyx", lines, lines).flatten(0, 1).float()


class ResidualBlock(nn.Module):
    """Two convolutions and what came in; no batch norm, which blurs the range of colours (Lim et al. 2017, EDSR)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) to the same."""
        out: Tensor = x + self.second(F.relu(self.first(x)))
        return out


class UpscaleNetwork(nn.Module):
    """(n, 3, h, w) in [-1, 1] to (n, 3, scale·h, scale·w), about in [-1, 1]; any h and w.

    The blocks compute at the small size; the last convolution gives scale² pixels for each input pixel, which a pixel shuffle
    puts in their places (Shi et al. 2016). What it computes is added to the bicubic filter's answer, so an untrained network is
    that filter nearly.
    """

    phases: Tensor

    def __init__(self, channels: int = 48, blocks: int = 8, scale: int = 2) -> None:
        super().__init__()
        self.scale = scale
        self.first = nn.Conv2d(3, channels, 3, padding=1)
        self.blocks = nn.Sequential(*(ResidualBlock(channels) for _ in range(blocks)))
        self.join = nn.Conv2d(channels, channels, 3, padding=1)
        self.last = nn.Conv2d(channels, 3 * scale**2, 3, padding=1)
        # Of each plane, in the order in which a pixel shuffle reads channels: plane, row, column.
        self.register_buffer("phases", bicubic_phases(scale).repeat(3, 1, 1)[:, None], persistent=False)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        with torch.no_grad():  # each block, and all of them, begin as a small addition
            for name, weight in self.named_parameters():
                if name.endswith(("second.weight", "join.weight", "last.weight")):
                    weight.mul_(0.1)

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        features = self.first(image)
        features = features + self.join(self.blocks(features))
        return F.pixel_shuffle(self.last(features) + self._bicubic(image), self.scale)

    def _bicubic(self, image: Tensor) -> Tensor:
        """(n, 3·scale², h, w): the bicubic filter's answer before the pixel shuffle, in single precision always."""
        kind = image.device.type
        with torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext():
            padded = F.pad(image.float(), (_REACH,) * 4, mode="replicate")
            return F.conv2d(padded, self.phases, groups=3)


class PatchDiscriminator(nn.Module):
    """(n, 3, h, w) to (n·p,) logits, one a patch: whether it is of an original. Spectral norm keeps it from running ahead."""

    def __init__(self, channels: int = 32) -> None:
        super().__init__()
        widths = (3, channels, 2 * channels, 4 * channels)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [spectral_norm(nn.Conv2d(before, after, 4, stride=2, padding=1)), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 3, padding=1))

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        logits: Tensor = self.layers(image)
        return logits.flatten()
