"""Projected discriminator (Sauer et al. 2021) on the workspace's own feature network: no weights from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from classifiers.backbones import Backbone
from sga.losses.perceptual import feature_maps
from sga.models.registry import register_discriminator
from sga.models.srresnet import DiscriminatorOutput, srresnet_discriminator

__all__ = ["FrozenFeatures", "ProjectedDiscriminator", "projected"]


class FrozenFeatures(nn.Module):
    """A backbone whose weights never change; gradients flow through it to the images. fingerprint: names its weights."""

    def __init__(self, backbone: Backbone, fingerprint: str) -> None:
        super().__init__()
        self.backbone = backbone.eval().requires_grad_(False)
        self.fingerprint = fingerprint

    def forward(self, images: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """The maps at `layers` of (n, 3, h, w) images in [-1, 1]."""
        return feature_maps(self.backbone, images, layers)


class _Mixing(nn.Module):
    """A random convolution that never learns; its weights are part of the saved state."""

    weight: Tensor

    def __init__(self, fan_in: int, fan_out: int, kernel: int, gain: float) -> None:
        super().__init__()
        spread = gain / math.sqrt(fan_in * kernel**2)  # Kaiming's: what comes out is as large as what went in
        self.register_buffer("weight", spread * torch.randn(fan_out, fan_in, kernel, kernel))

    def forward(self, x: Tensor) -> Tensor:
        """(n, fan_in, h, w) → (n, fan_out, h, w)."""
        return F.conv2d(x, self.weight, padding=self.weight.shape[2] // 2)


def _spectral(fan_in: int, fan_out: int, kernel: int, stride: int = 1) -> nn.Module:
    convolution = nn.Conv2d(fan_in, fan_out, kernel, stride=stride, padding=1)
    return parametrizations.spectral_norm(convolution)


class _Head(nn.Module):
    """One scale's small discriminator: down to `end` pixels, a layer there, and a verdict a place."""

    def __init__(self, width: int, side: int, end: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        while side > end:
            layers += [_spectral(width, width, 4, stride=2), nn.LeakyReLU(0.2)]
            side //= 2
        self.body = nn.Sequential(*layers, _spectral(width, width, 3), nn.LeakyReLU(0.2))
        self.verdict = _spectral(width, 1, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(n, width, side, side) → verdicts (n, places) and features (n, width), float32."""
        features = self.body(x).float()
        with torch.autocast(features.device.type, enabled=False):  # as in the other discriminators: bf16 is too coarse here
            return self.verdict(features).flatten(1), features.mean(dim=(2, 3))


class ProjectedDiscriminator(nn.Module):
    """Faces to a `DiscriminatorOutput` with a verdict a scale and place. See `projected` for the arguments."""

    def __init__(
        self,
        size: int,
        style_size: int,
        features: FrozenFeatures,
        layers: Sequence[int],
        width: int,
        cross_scale: bool,
        trunk: Mapping[str, Any] | None,
    ) -> None:
        super().__init__()
        if not layers or list(layers) != sorted(set(layers)):
            raise ValueError(f"layers must name feature maps in ascending order, found {list(layers)}")
        self._features = (features,)  # in a tuple it is no submodule: neither trained nor saved
        self.layers = tuple(layers)
        with torch.no_grad():
            some = next(features.parameters())
            shapes = [found.shape for found in features(some.new_zeros(1, 3, size, size), self.layers)]
        end = shapes[-1][-1]
        self.channels = nn.ModuleList(_Mixing(shape[1], width, 1, math.sqrt(2)) for shape in shapes)
        self.scales = nn.ModuleList(_Mixing(width, width, 3, 1.0) for _ in shapes[1:] if cross_scale)
        self.heads = nn.ModuleList(_Head(width, shape[-1], end) for shape in shapes)
        self.trunk = None if trunk is None else srresnet_discriminator(size, style_size, **trunk)
        self.reads_condition = self.trunk is not None and self.trunk.reads_condition
        told = width * len(shapes)
        self.gender = nn.Linear(told, 2) if trunk is None else None
        self.style = nn.Linear(told, style_size) if trunk is None and style_size else None

    def mixed(self, images: Tensor) -> list[Tensor]:
        """(n, width, side, side) a layer: the maps mixed across channels, and from the coarsest upward across scales."""
        maps = [mix(found) for mix, found in zip(self.channels, self._features[0](images, self.layers), strict=True)]
        for fine in reversed(range(len(self.scales))):
            coarse = F.interpolate(maps[fine + 1], size=maps[fine].shape[2:], mode="bilinear", align_corners=False)
            maps[fine] = (maps[fine] + self.scales[fine](coarse)) * math.sqrt(0.5)
        return maps

    def forward(self, images: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        """(n, 3, size, size) float in [-1, 1] → DiscriminatorOutput with source (n, k). condition: for a trunk that reads
        it."""
        said = [head(found) for head, found in zip(self.heads, self.mixed(images), strict=True)]
        source = torch.cat([verdict for verdict, _ in said], dim=1)
        if self.trunk is not None:
            whole = self.trunk(images, condition)
            # As many times as there are verdicts: the trunk then counts as much as all scales together.
            both = torch.cat([source, whole.source.unsqueeze(1).expand_as(source)], dim=1)
            return DiscriminatorOutput(both, whole.gender, whole.style)
        features = torch.cat([feature for _, feature in said], dim=1)
        with torch.autocast(features.device.type, enabled=False):
            style = None if self.style is None else self.style(features)
            return DiscriminatorOutput(source, None if self.gender is None else self.gender(features), style)

    def get_extra_state(self) -> Tensor:
        """The features' fingerprint, uint8 characters: a checkpoint tells what it was trained on."""
        return torch.tensor(list(self._features[0].fingerprint.encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Refuse what was trained on other features; the training explains it to its user before (`load_features`)."""
        trained, found = bytes(state.tolist()).decode(), self._features[0].fingerprint
        if trained != found:
            raise ValueError(f"trained on the features {trained}, found {found}")


@register_discriminator
def projected(
    size: int,
    style_size: int = 30,
    *,
    features: FrozenFeatures,
    layers: Sequence[int] = (1, 2, 3, 4),
    width: int = 64,
    cross_scale: bool = True,
    trunk: Mapping[str, Any] | None = None,
) -> ProjectedDiscriminator:
    """Small discriminators with spectral norm on mixed feature maps of a frozen network (Sauer et al. 2021, section 3); meant
    for the hinge loss.

    features: the workspace's own style feature network, never a setting. layers: its maps, ascending, 0 the first. width:
    channels of the mixed maps and of the heads. cross_scale: coarse maps are mixed into fine ones. trunk: arguments of an
    srresnet_discriminator beside them, whose verdict counts as much as theirs together and whose heads tell gender and style;
    None = the scales' own features tell them.
    """
    return ProjectedDiscriminator(size, style_size, features, layers, width, cross_scale, trunk)
