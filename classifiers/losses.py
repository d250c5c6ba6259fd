"""Losses over partly labelled attributes (SGA-GAN, Eq. 1): only what is known is penalised. Each returns one raw term."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from labeling.provenance import MISSING_CODE
from labeling.schema import Schema

__all__ = ["attribute_losses", "masked_binary_cross_entropy", "masked_cross_entropy", "masked_squared_error"]


def _weighted_mean(per_row: Tensor, weight: Tensor) -> Tensor:
    # A batch may know nothing of an attribute: then the term is 0 and so is its gradient.
    return (per_row * weight).sum() / weight.sum().clamp(min=1e-8)


def masked_cross_entropy(logits: Tensor, target: Tensor, weight: Tensor, smoothing: float = 0.0) -> Tensor:
    """Weighted mean cross-entropy. logits (n, k), target (n,) int64 (-1 unknown), weight (n,) ≥ 0, 0 where unknown."""
    per_row = F.cross_entropy(logits.float(), target.clamp(min=0), reduction="none", label_smoothing=smoothing)
    return _weighted_mean(per_row, weight)


def masked_binary_cross_entropy(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean binary cross-entropy. logits (n,), target (n,) int64 in {-1, 0, 1}, weight (n,) ≥ 0, 0 where unknown."""
    per_row = F.binary_cross_entropy_with_logits(logits.float(), target.clamp(min=0).float(), reduction="none")
    return _weighted_mean(per_row, weight)


def masked_squared_error(prediction: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean squared error. prediction (n,) and target (n,) float in [0, 1], weight (n,) ≥ 0, 0 where unknown."""
    return _weighted_mean((prediction.float() - target).square(), weight)


def attribute_losses(
    schema: Schema, logits: Tensor, codes: Mapping[str, Tensor], weights: Mapping[str, Tensor], smoothing: float = 0.0
) -> dict[str, Tensor]:
    """One raw loss an attribute that `codes` names.

    logits: (n, schema.logit_width); codes[name]: (n,) int64, -1 unknown; weights[name]: (n,) float ≥ 0. An unknown cell never
    counts, whatever its weight says. Ordinal heads pass a sigmoid and are regressed to code / (size - 1).
    """
    losses: dict[str, Tensor] = {}
    for name, code in codes.items():
        attribute, out = schema[name], logits[:, schema.logit_slices[name]]
        weight = torch.where(code == MISSING_CODE, torch.zeros_like(weights[name]), weights[name])
        if attribute.kind == "exclusive":
            losses[name] = masked_cross_entropy(out, code, weight, smoothing)
        elif attribute.kind == "independent":
            losses[name] = masked_binary_cross_entropy(out[:, 0], code, weight)
        else:
            target = code.clamp(min=0).float() / (attribute.size - 1)
            losses[name] = masked_squared_error(out[:, 0].float().sigmoid(), target, weight)
    return losses
