"""How a condition enters a generator: behind the noise, through the first fully connected layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["ConditionalGenerator"]


class ConditionalGenerator(nn.Module):
    """A generator whose first layer is `fc`: noise, then what `condition` makes of gender and style."""

    fc: nn.Linear

    def condition(self, gender: Tensor, style: Tensor | None = None) -> Tensor:
        """What stands behind the noise in the first layer: gender as -1 or 1, then the style. (n, 1 + style_size) float32."""
        sign = (gender * 2 - 1).to(torch.float32).unsqueeze(1)
        return sign if style is None else torch.cat([sign, style], dim=1)

    def first(self, noise: Tensor, gender: Tensor, style: Tensor | None) -> Tensor:
        """(n, width of `fc`) of noise (n, noise_size), gender (n,) int64 and style (n, style_size) or None."""
        projected: Tensor = self.fc(torch.cat([noise, self.condition(gender, style)], dim=1))
        return projected
