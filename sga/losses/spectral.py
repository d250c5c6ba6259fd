"""Spectral regularisation: no frequency stronger, or more alike in all faces, than in real ones (after Durall et al. 2020).

Pixel shuffles and strided convolutions can draw a grid of dots, two to eight pixels apart, that a discriminator with strides of
its own hardly sees. Two things give it away: its frequencies stand out by tens of decibels in the mean power spectrum, and
it sits at the same pixels in every face, so that it survives in the mean of a batch, where real textures cancel out. Durall et
al. pull the azimuthal mean of a spectrum towards that of real images; here every frequency counts by itself, since a grid lies
at a few of them, and only an excess costs: what is missing is detail, which no spectrum can place.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["FLOOR", "SpectralExcess", "Spectrum", "spectrum"]

FLOOR = 1e-6
"""Power of a frequency that is as good as absent, in squared units of pixels in [-1, 1]."""
_MARGIN, _LOCKED_MARGIN = 1.0, 2.0
"""Natural logarithms of the ratios that chance makes in batches of 32 real faces; a grid of dots exceeds them by up to 8."""


class Spectrum(NamedTuple):
    """Of a set of faces, (3, h, w // 2 + 1) each: power, mean over the faces, float32; mean, their mean complex amplitude,
    whose square is the power of what all faces have at the same place."""

    power: Tensor
    mean: Tensor

    @property
    def locked(self) -> Tensor:
        """Power of the mean face."""
        return _square(self.mean)


def spectrum(images: Tensor) -> Spectrum:
    """Of (n, 3, h, w) images in [-1, 1] of any float type. A Hann window keeps the picture's borders out of it."""
    height, width = images.shape[-2:]
    window = torch.outer(
        torch.hann_window(height, periodic=False, device=images.device),
        torch.hann_window(width, periodic=False, device=images.device),
    )
    pixels = images.float()
    waves = torch.fft.rfft2((pixels - pixels.mean(dim=(2, 3), keepdim=True)) * window, norm="ortho")
    return Spectrum(_square(waves).mean(dim=0), waves.mean(dim=0))


class SpectralExcess(nn.Module):
    """How far the spectrum of a batch exceeds a reference's."""

    power: Tensor
    locked: Tensor

    def __init__(self, real: Spectrum) -> None:
        """real: of many real faces."""
        super().__init__()
        self.register_buffer("power", real.power)
        self.register_buffer("locked", real.locked)

    def forward(self, drawn: Tensor) -> Tensor:
        """0-d: mean over channels and frequencies of the squared excess, beyond a margin, of log power and of the mean face's
        log power, (n, 3, h, w) images; of n real faces the latter is expected to be what all share plus 1 / n of the power."""
        found, chance = spectrum(drawn), self.locked + self.power / len(drawn)
        strength = _log_ratio(found.power, self.power) - _MARGIN
        likeness = _log_ratio(found.locked, chance) - _LOCKED_MARGIN
        return strength.relu().square().mean() + likeness.relu().square().mean()


def _log_ratio(one: Tensor, other: Tensor) -> Tensor:
    return (one + FLOOR).log() - (other + FLOOR).log()


def _square(waves: Tensor) -> Tensor:
    return waves.real.square() + waves.imag.square()
