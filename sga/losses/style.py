"""Style regression (SGA-GAN, L_s)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

__all__ = ["style_loss"]


def style_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error over faces and features. prediction, target: (n, style_size) float, standardised."""
    return F.mse_loss(prediction.float(), target.float())
