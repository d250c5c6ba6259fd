"""Gradient penalties on the source logit. In float32 always: norms of bf16 gradients are too coarse to hold at 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

__all__ = ["PENALTIES", "Penalty", "PenaltyName", "dragan_penalty", "perturb", "r1_penalty"]

PenaltyName = Literal["dragan", "r1"]
Score = Callable[[Tensor], Tensor]
Penalty = Callable[[Score, Tensor], Tensor]


def perturb(real: Tensor) -> Tensor:
    """x̂ = x + α · ½ σ · u: u ~ U(0, 1) a pixel and channel, α ~ U(0, 1) a face, σ the deviation of all of the batch's pixels
    (Kodali et al. 2017, Algorithm 1 with the authors' choice of noise). real: (n, 3, h, w) float32."""
    alpha = torch.rand(len(real), 1, 1, 1, device=real.device)
    return real + alpha * 0.5 * real.std() * torch.rand_like(real)


def dragan_penalty(score: Score, real: Tensor) -> Tensor:
    """E (‖∇D(x̂)‖₂ - 1)² at `perturb(real)` (Jin et al., 4.3). score: (n, 3, h, w) → (n,) logits; real: (n, 3, h, w)."""
    gradient = _gradient(score, perturb(real.detach().float()))
    return (torch.linalg.vector_norm(gradient.flatten(1), dim=1) - 1).square().mean()


def r1_penalty(score: Score, real: Tensor) -> Tensor:
    """½ E ‖∇D(x)‖₂² at the real faces (Mescheder et al. 2018, Eq. 9); its weight is γ. Arguments as in `dragan_penalty`."""
    return 0.5 * _gradient(score, real.detach().float()).square().flatten(1).sum(1).mean()


def _gradient(score: Score, points: Tensor) -> Tensor:
    points = points.requires_grad_(True)
    with torch.autocast(points.device.type, enabled=False):
        (gradient,) = torch.autograd.grad(score(points).float().sum(), points, create_graph=True)
    return gradient


PENALTIES: dict[PenaltyName, Penalty] = {"dragan": dragan_penalty, "r1": r1_penalty}
