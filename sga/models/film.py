"""Feature-wise linear modulation (Perez et al. 2018): the condition reaches every residual block, not the first layer alone."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from sga.models.blocks import NormalisedResidual

__all__ = ["ModulatedBlocks"]


class _Modulated(nn.Module):
    """A `NormalisedResidual` whose first batch norm has a gain and a shift linear in the condition (de Vries et al. 2017)."""

    def __init__(self, channels: int, condition_size: int) -> None:
        super().__init__()
        self.block = NormalisedResidual(channels)
        self.told = nn.Linear(condition_size, 2 * channels)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        block = self.block
        gain, shift = self.told(condition).unsqueeze(2).unsqueeze(3).chunk(2, dim=1)
        hidden = F.relu(block.first_norm(block.first(x)) * (1 + gain) + shift)
        modulated: Tensor = x + block.second_norm(block.second(hidden))
        return modulated

    def reset(self) -> None:
        nn.init.zeros_(self.told.weight)
        nn.init.zeros_(self.told.bias)


class ModulatedBlocks(nn.Module):
    """`NormalisedResidual` blocks that the condition modulates.

    The noise stays out: it enters by the first layer alone, into which the warm start folds its prior.
    """

    def __init__(self, channels: int, blocks: int, condition_size: int) -> None:
        super().__init__()
        self.modulated = nn.ModuleList(_Modulated(channels, condition_size) for _ in range(blocks))

    def reset(self) -> None:
        """Every gain to 1, every shift to 0: the blocks are the plain ones."""
        for block in self.modulated:
            assert isinstance(block, _Modulated)
            block.reset()

    def __len__(self) -> int:
        return len(self.modulated)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x (n, channels, h, w), condition (n, condition_size) → (n, channels, h, w)."""
        for block in self.modulated:
            x = block(x, condition)
        return x
