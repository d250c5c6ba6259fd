"""The auxiliary classifier's term (Odena et al. 2017; SGA-GAN, L_g): gender, where it is known."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from classifiers.losses import masked_cross_entropy
from labeling.provenance import MISSING_CODE

__all__ = ["forward_gender_loss", "gender_loss", "soft_gender_loss"]


def gender_loss(logits: Tensor, gender: Tensor, weight: Tensor | None = None) -> Tensor:
    """Weighted mean cross-entropy over the faces whose gender is known; 0, with gradient 0, where none is.

    logits: (n, 2). gender: (n,) int64, -1 unknown. weight: (n,) ≥ 0 (completed labels weigh less); None = 1 each.
    """
    weight = torch.ones(len(gender), device=logits.device) if weight is None else weight
    return masked_cross_entropy(logits, gender, weight.where(gender != MISSING_CODE, torch.zeros_like(weight)))


def forward_gender_loss(logits: Tensor, likelihood: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean of -log Σ_t p(t | x) · P(label | t), t the true gender: the forward correction (Patrini et al. 2017,
    Theorem 2). 0, with gradient 0, where all weights are 0.

    logits: (n, 2). likelihood: (n, 2) float32 in [0, 1], of a face's label under either true gender, one above 0 at least;
    one-hot = a label beyond doubt. weight: (n,) ≥ 0.
    """
    per_face = -torch.logsumexp(F.log_softmax(logits.float(), dim=1) + likelihood.log(), dim=1)
    return _weighted_mean(per_face, weight)


def soft_gender_loss(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean cross-entropy with probabilities as the target: -Σ_t P(t) log p(t | x).

    logits: (n, 2). target: (n, 2) float32, rows summing to 1. weight: (n,) ≥ 0; all 0: 0, with gradient 0.
    """
    return _weighted_mean(-(target * F.log_softmax(logits.float(), dim=1)).sum(dim=1), weight)


def _weighted_mean(per_face: Tensor, weight: Tensor) -> Tensor:
    return (per_face * weight).sum() / weight.sum().clamp(min=1e-8)
