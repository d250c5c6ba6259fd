"""Gradient penalties on the source logit. In float32 always: norms of bf16 gradients are too coarse to hold at 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

__all__ = ["PENALTIES", "Penalty", "PenaltyName", "dragan_penalty", "perturb", "r1_penalty"]

PenaltyName = Literal["dragan", "r1", "r1_r2"]
Score = Callable[[Tensor], Tensor]


def perturb(real: Tensor) -> Tensor:
    """x̂ = x + α · ½ σ · u: u ~ U(0, 1) a pixel and channel, α ~ U(0, 1) a face, σ the deviation of all of the batch's pixels
    (Kodali et al. 2017, Algorithm 1 with the authors' choice of noise). real: (n, 3, h, w) float32."""
    alpha = torch.rand(len(real), 1, 1, 1, device=real.device)
    return real + alpha * 0.5 * real.std() * torch.rand_like(real)


def dragan_penalty(score: Score, real: Tensor) -> Tensor:
    """E (‖∇D(x̂)‖₂ - 1)² at `perturb(real)` (Jin et al., 4.3).

    score: (n, 3, h, w) → (n,) logits, or (n, k), of which a face's D is the mean; real: (n, 3, h, w).
    """
    gradient = _gradient(score, perturb(real.detach().float()))
    return (torch.linalg.vector_norm(gradient.flatten(1), dim=1) - 1).square().mean()


def r1_penalty(score: Score, faces: Tensor) -> Tensor:
    """½ E ‖∇D(x)‖₂² at the faces; its weight is γ. Arguments as in `dragan_penalty`.

    At real faces it is R1, at generated ones R2 (Mescheder et al. 2018, Eq. 9 and 10; together: Huang et al. 2024, Eq. 4).
    """
    return 0.5 * _gradient(score, faces.detach().float()).square().flatten(1).sum(1).mean()


def _gradient(score: Score, points: Tensor) -> Tensor:
    points = points.requires_grad_(True)
    with torch.autocast(points.device.type, enabled=False):
        verdicts = score(points).float().reshape(len(points), -1).mean(dim=1)
        (gradient,) = torch.autograd.grad(verdicts.sum(), points, create_graph=True)
    return gradient


class Penalty(NamedTuple):
    """term(score, faces) is taken at the real faces, and with `reads_fake` at the generated ones too."""

    term: Callable[[Score, Tensor], Tensor]
    reads_fake: bool


PENALTIES: dict[PenaltyName, Penalty] = {
    "dragan": Penalty(dragan_penalty, False),
    "r1": Penalty(r1_penalty, False),
    "r1_r2": Penalty(r1_penalty, True),
}
