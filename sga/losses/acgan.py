"""The auxiliary classifier's term (Odena et al. 2017; SGA-GAN, L_g): gender, where it is known."""

from __future__ import annotations

import torch
from torch import Tensor

from classifiers.losses import masked_cross_entropy
from labeling.provenance import MISSING_CODE

__all__ = ["gender_loss"]


def gender_loss(logits: Tensor, gender: Tensor, weight: Tensor | None = None) -> Tensor:
    """Weighted mean cross-entropy over the faces whose gender is known; 0, with gradient 0, where none is.

    logits: (n, 2). gender: (n,) int64, -1 unknown. weight: (n,) ≥ 0 (completed labels weigh less); None = 1 each.
    """
    weight = torch.ones(len(gender), device=logits.device) if weight is None else weight
    return masked_cross_entropy(logits, gender, weight.where(gender != MISSING_CODE, torch.zeros_like(weight)))
