"""The multi-label classifier's term (Jin et al. 2017, 4.3): the log-likelihood of a face's tags."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

__all__ = ["tag_loss"]


def tag_loss(logits: Tensor, tags: Tensor, weight: Tensor | None = None) -> Tensor:
    """Sigmoid cross-entropy, summed over tags and averaged over faces: -E log P(tags | x), each tag on its own.

    Tags that exclude one another are judged one by one too, as Jin et al. do: hence λ_adv of the number of tags.

    logits: (n, tags) float. tags: (n, tags) float, 1 on, -1 off; 0, unknown, is to weigh nothing. weight: (n, tags) in [0, 1];
    None = 1 each.
    """
    each = F.binary_cross_entropy_with_logits(logits.float(), (tags.float() + 1) / 2, weight, reduction="none")
    return each.sum(dim=1).mean()
