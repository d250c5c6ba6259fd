"""What the generator is asked for while it trains: noise, gender and style."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from configs.errors import InputError
from sga.tags import tag_columns

if TYPE_CHECKING:
    from sga.training.data import TrainingFaces
    from sga.training.settings import GanSettings

__all__ = ["Condition", "ConditionPrior", "truncated_normal", "uniform_tags"]

_GENDERS = 2
_TAG_CHANCE = 0.25


@dataclass(frozen=True)
class Condition:
    """noise (n, noise_size) float32 in [-1, 1], gender (n,) int64 in {0, 1}, style (n, style_size) float32 or None.

    Style features are standardised, tags are -1 or 1."""

    noise: Tensor
    gender: Tensor
    style: Tensor | None


def truncated_normal(*shape: int, device: torch.device | str = "cpu") -> Tensor:
    """Standard normal truncated to [-1, 1] (SGA-GAN, 3.3), by the inverse distribution function; float32."""
    reach = math.erf(1 / math.sqrt(2))
    draws = torch.rand(shape, device=device) * (2 * reach) - reach
    return (torch.erfinv(draws) * math.sqrt(2)).clamp_(-1, 1)


def uniform_tags(count: int, tags: int, exclusive: Sequence[slice], device: torch.device | str = "cpu") -> Tensor:
    """(count, tags) float32 in {-1, 1}: one column of each exclusive attribute, any of them alike, every other tag on with 0.25
    (Jin et al., 5.1.3)."""
    draws = torch.rand(count, tags, device=device)
    vectors = (draws < _TAG_CHANCE).float() * 2 - 1
    for columns in exclusive:
        one = draws[:, columns].argmax(dim=1, keepdim=True)
        vectors[:, columns] = torch.full_like(draws[:, columns], -1.0).scatter_(1, one, 1.0)
    return vectors


@dataclass(frozen=True)
class ConditionPrior:
    """Where conditions come from.

    styles: by gender, (m, style_size) float32 of real faces; tags: columns of each exclusive attribute among uniform tags; both
    None = truncated normal.
    """

    noise_size: int
    style_size: int
    male_share: float
    styles: tuple[Tensor, ...] | None
    style_jitter: float
    tags: tuple[slice, ...] | None = None

    @classmethod
    def from_faces(cls, settings: GanSettings, faces: TrainingFaces, device: torch.device) -> ConditionPrior:
        """The prior that `settings` ask for; the empirical ones read the faces of known gender.

        Raises:
            InputError: an empirical prior needs a gender that no face has, or of whose faces no tags are known.
        """
        known = faces.gender[(faces.gender >= 0) & (faces.gender_weight > 0)]
        if settings.gender_prior == "empirical" and not len(known):
            raise InputError("Expected faces of known gender for gender_prior empirical, found none. Set gender_prior=uniform")
        male_share = float(known.mean()) if settings.gender_prior == "empirical" else 0.5
        styles = None
        if settings.style_prior == "empirical":
            usable, of_tags = faces.gender_weight > 0, settings.style_source == "tags"
            if of_tags:  # completed tags are taken as they are, a face that lacks one is not
                usable &= (faces.style != 0).all(axis=1)
            rows = [np.flatnonzero((faces.gender == code) & usable) for code in range(_GENDERS)]
            if not all(len(group) for group in rows):
                found = " and ".join(str(len(group)) for group in rows)
                raise InputError(
                    f"Expected training faces of both genders{' and with all tags' if of_tags else ''} for style_prior "
                    f"empirical, found {found}. Label or complete {'them' if of_tags else 'the gender'} first, or set "
                    f"style_prior={'uniform_tags' if of_tags else 'truncated_normal'}"
                )
            styles = tuple(torch.from_numpy(faces.style[group]).to(device) for group in rows)
        tags = None
        if settings.style_prior == "uniform_tags":
            columns = tag_columns(faces.schema)
            tags = tuple(columns[one.name] for one in faces.schema.with_role("style") if one.kind == "exclusive")
        return cls(settings.noise_size, settings.style_size, male_share, styles, settings.style_jitter, tags)

    def draw(self, count: int, device: torch.device | str = "cpu", gender: Tensor | None = None) -> Condition:
        """`count` conditions from torch's current generator. gender: (count,) int64; None = drawn."""
        noise = truncated_normal(count, self.noise_size, device=device)
        if gender is None:
            gender = (torch.rand(count, device=device) < self.male_share).long()
        return Condition(noise, gender, self._style(gender))

    def _style(self, gender: Tensor) -> Tensor | None:
        if self.style_size == 0:
            return None
        if self.tags is not None:
            return uniform_tags(len(gender), self.style_size, self.tags, gender.device)
        spread = truncated_normal(len(gender), self.style_size, device=gender.device)
        if self.styles is None:
            return spread
        position = torch.rand(len(gender), device=gender.device)
        picked = [bank[(position * len(bank)).long().clamp(max=len(bank) - 1)] for bank in self.styles]
        return torch.where(gender.unsqueeze(1) == 1, picked[1], picked[0]) + self.style_jitter * spread
