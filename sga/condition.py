"""What the generator is asked for while it trains: noise, gender and style."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from configs.errors import InputError

if TYPE_CHECKING:
    from sga.training.data import TrainingFaces
    from sga.training.settings import GanSettings

__all__ = ["Condition", "ConditionPrior", "truncated_normal"]

_GENDERS = 2


@dataclass(frozen=True)
class Condition:
    """noise (n, noise_size) float32 in [-1, 1], gender (n,) int64 in {0, 1}, style (n, style_size) float32 or None."""

    noise: Tensor
    gender: Tensor
    style: Tensor | None


def truncated_normal(*shape: int, device: torch.device | str = "cpu") -> Tensor:
    """Standard normal truncated to [-1, 1] (SGA-GAN, 3.3), by the inverse distribution function; float32."""
    reach = math.erf(1 / math.sqrt(2))
    draws = torch.rand(shape, device=device) * (2 * reach) - reach
    return (torch.erfinv(draws) * math.sqrt(2)).clamp_(-1, 1)


@dataclass(frozen=True)
class ConditionPrior:
    """Where conditions come from. styles: by gender, (m, style_size) float32 of real faces; None = truncated normal."""

    noise_size: int
    style_size: int
    male_share: float
    styles: tuple[Tensor, ...] | None
    style_jitter: float

    @classmethod
    def from_faces(cls, settings: GanSettings, faces: TrainingFaces, device: torch.device) -> ConditionPrior:
        """The prior that `settings` ask for; the empirical ones read the faces of known gender.

        Raises:
            InputError: an empirical prior needs a gender that no face has.
        """
        known = faces.gender[(faces.gender >= 0) & (faces.gender_weight > 0)]
        if settings.gender_prior == "empirical" and not len(known):
            raise InputError("Expected faces of known gender for gender_prior empirical, found none. Set gender_prior=uniform")
        male_share = float(known.mean()) if settings.gender_prior == "empirical" else 0.5
        styles = None
        if settings.style_prior == "empirical":
            rows = [np.flatnonzero((faces.gender == code) & (faces.gender_weight > 0)) for code in range(_GENDERS)]
            if not all(len(group) for group in rows):
                found = " and ".join(str(len(group)) for group in rows)
                raise InputError(
                    f"Expected training faces of both genders for style_prior empirical, found {found}. "
                    "Label or complete the gender first, or set style_prior=truncated_normal"
                )
            styles = tuple(torch.from_numpy(faces.style[group]).to(device) for group in rows)
        return cls(settings.noise_size, settings.style_size, male_share, styles, settings.style_jitter)

    def draw(self, count: int, device: torch.device | str = "cpu", gender: Tensor | None = None) -> Condition:
        """`count` conditions from torch's current generator. gender: (count,) int64; None = drawn."""
        noise = truncated_normal(count, self.noise_size, device=device)
        if gender is None:
            gender = (torch.rand(count, device=device) < self.male_share).long()
        return Condition(noise, gender, self._style(gender))

    def _style(self, gender: Tensor) -> Tensor | None:
        if self.style_size == 0:
            return None
        spread = truncated_normal(len(gender), self.style_size, device=gender.device)
        if self.styles is None:
            return spread
        position = torch.rand(len(gender), device=gender.device)
        picked = [bank[(position * len(bank)).long().clamp(max=len(bank) - 1)] for bank in self.styles]
        return torch.where(gender.unsqueeze(1) == 1, picked[1], picked[0]) + self.style_jitter * spread
