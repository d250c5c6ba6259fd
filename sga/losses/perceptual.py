"""A perceptual distance on the workspace's own style feature network: no pretrained weights from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from classifiers.backbones import Backbone
from configs.errors import ConfigError

__all__ = ["Perception", "feature_maps"]


def feature_maps(backbone: Backbone, images: Tensor, layers: Sequence[int]) -> list[Tensor]:
    """The backbone's maps (n, channels, h, w) at `layers`, ascending, 0 the first, of (n, 3, h, w) images in [-1, 1]; what is
    behind the last of them is not computed."""
    network: Any = backbone.network  # timm's, which alone has this method
    x = (images - backbone.mean) / backbone.std
    maps: list[Tensor] = network.forward_intermediates(x, indices=list(layers), stop_early=True, intermediates_only=True)
    return maps


class Perception(nn.Module):
    """Perceptual distance on the first `layers` feature maps of a frozen backbone, each normalised by channel (as LPIPS
    does)."""

    def __init__(self, backbone: Backbone, layers: int) -> None:
        """Raises ConfigError where the backbone has fewer feature maps."""
        super().__init__()
        self.backbone = backbone.eval().requires_grad_(False)
        self.layers = layers
        stages: Any = getattr(backbone.network, "feature_info", [])
        if len(stages) < layers:
            raise ConfigError(
                f"Expected a backbone with {layers} feature maps for the perceptual term, found {len(stages)}. "
                f"Type: --set warm_start.layers={max(1, len(stages))}, or train the style feature network on another backbone"
            )
        self._stride = max(int(stage["reduction"]) for stage in stages[:layers])

    def features(self, images: Tensor) -> list[Tensor]:
        """Feature maps of (n, 3, h, w) images in [-1, 1], unit length along the channels."""
        maps = feature_maps(self.backbone, images, range(self.layers))
        return [F.normalize(m.float(), dim=1) for m in maps]

    def forward(self, drawn: Tensor, real: Tensor) -> Tensor:
        """(n,) squared distances, mean over places, summed over layers; the gradient flows into `drawn` alone."""
        # A fixed grid of strides leaves the places between it unseen, and the generator draws dots there; offsets that stop
        # short of the deepest stride leave a grid of that period.
        top, left = torch.randint(0, min(self._stride, drawn.shape[-1] // 2), (2,)).tolist()
        drawn, real = drawn[:, :, top:, left:], real[:, :, top:, left:]
        with torch.no_grad():
            wanted = self.features(real)
        distances = [(a - b).square().sum(dim=1).mean(dim=(1, 2)) for a, b in zip(self.features(drawn), wanted, strict=True)]
        return torch.stack(distances).sum(dim=0)
