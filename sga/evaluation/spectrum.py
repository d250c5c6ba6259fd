"""How much stronger, or more alike in all faces, a frequency is in generated faces than in real ones: a grid of dots that a
network's strides may not see."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from classifiers.data import to_tensor
from sga.losses import spectrum
from sga.losses.spectral import FLOOR

__all__ = ["Excess", "MeanSpectrum", "spectrum_of"]

_LONGEST = 16
"""Period up to which the mean face counts, pixels: longer waves of it are the face itself, which the genders do not share."""


@dataclass(frozen=True)
class Excess:
    """Of the frequency that exceeds its like in real faces most, over channels, dB and pixels: power, period, of the mean power
    of all faces; locked, locked_period, of the power of the mean face."""

    power: float
    period: float
    locked: float
    locked_period: float


class MeanSpectrum:
    """The spectrum of a stream of faces."""

    def __init__(self) -> None:
        self.n = 0
        self._power = self._mean = torch.zeros(())

    def update(self, images: np.ndarray) -> None:
        """Take in (k, size, size, 3) uint8 faces."""
        found = spectrum(to_tensor(images, torch.device("cpu")))
        self._power = self._power + found.power.double() * len(images)
        self._mean = self._mean + found.mean.to(torch.complex128) * len(images)
        self.n += len(images)

    def against(self, real: MeanSpectrum) -> Excess | None:
        """How far it exceeds that of real faces; None where either has no face."""
        if self.n == 0 or real.n == 0:
            return None
        power, real_power = self._power / self.n, real._power / real.n
        locked, real_locked = ((one._mean / one.n).abs().square() for one in (self, real))
        periods = _periods(power.shape[1])
        # A mean of n faces keeps 1 / n of what they do not share, on either side.
        chance = real_locked + real_power / self.n
        return Excess(*_largest(power, real_power, periods), *_largest(locked, chance, periods, _LONGEST))


def _periods(size: int) -> Tensor:
    """(size, size // 2 + 1) pixels; infinite where there is no wave."""
    rows, columns = torch.fft.fftfreq(size, dtype=torch.float64), torch.fft.rfftfreq(size, dtype=torch.float64)
    return 1 / torch.hypot(rows[:, None], columns[None])


def _largest(one: Tensor, other: Tensor, periods: Tensor, longest: float = math.inf) -> tuple[float, float]:
    """The largest ratio, dB, and its period."""
    ratio = torch.where(periods <= longest, (one + FLOOR) / (other + FLOOR), 0).amax(dim=0)
    place = int(ratio.argmax())
    return 10 * math.log10(float(ratio.flatten()[place])), float(periods.flatten()[place])


def spectrum_of(images: np.ndarray, rows: np.ndarray, most: int = 2048, batch: int = 256) -> MeanSpectrum:
    """That of the first of the faces at `rows`, at most so many."""
    found = MeanSpectrum()
    for start in range(0, min(most, len(rows)), batch):
        found.update(np.stack([np.asarray(images[row]) for row in rows[start : min(start + batch, most)]]))
    return found
