"""SRResNet generator and its three-headed discriminator (Jin et al. 2017, Fig. 3 and 4; SGA-GAN, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from sga.models.blocks import (
    NormalisedResidual,
    PlainResidual,
    Upsample,
    initialise,
    initialise_as_nearest,
    minibatch_deviation,
)
from sga.models.registry import register_discriminator, register_generator

__all__ = ["DiscriminatorOutput", "SRResNetDiscriminator", "SRResNetGenerator", "srresnet", "srresnet_discriminator"]


class DiscriminatorOutput(NamedTuple):
    """What a discriminator says, float32: source (n,) logit of being real, gender (n, 2) logits, style (n, k) or None."""

    source: Tensor
    gender: Tensor
    style: Tensor | None


class SRResNetGenerator(nn.Module):
    """Noise, gender and style to faces. See `srresnet` for the arguments."""

    def __init__(
        self,
        size: int,
        noise_size: int,
        style_size: int,
        channels: int,
        blocks: int,
        up_channels: Sequence[int],
        last_kernel: int,
        icnr: bool,
    ) -> None:
        super().__init__()
        if size % 8 or size < 8:
            raise ValueError(f"size must be a multiple of 8, found {size}")
        if len(up_channels) != 3:
            raise ValueError(f"up_channels must name three widths, found {list(up_channels)}")
        self.channels, self.start, self.style_size = channels, size // 8, style_size
        self.fc = nn.Linear(noise_size + 1 + style_size, channels * self.start**2)
        self.fc_norm = nn.BatchNorm2d(channels)
        self.blocks = nn.Sequential(*(NormalisedResidual(channels) for _ in range(blocks)))
        self.blocks_norm = nn.BatchNorm2d(channels)
        widths = (channels, *up_channels)
        self.upsample = nn.Sequential(*(Upsample(widths[i], widths[i + 1]) for i in range(3)))
        self.last = nn.Conv2d(widths[-1], 3, last_kernel, padding=last_kernel // 2)
        initialise(self)
        if icnr:
            initialise_as_nearest(self)

    def condition(self, gender: Tensor, style: Tensor | None = None) -> Tensor:
        """What stands behind the noise in the first layer: gender as -1 or 1, then the style. (n, 1 + style_size) float32."""
        sign = (gender * 2 - 1).to(torch.float32).unsqueeze(1)
        return sign if style is None else torch.cat([sign, style], dim=1)

    def forward(self, noise: Tensor, gender: Tensor, style: Tensor | None = None) -> Tensor:
        """noise (n, noise_size) float, gender (n,) int64 (0 female, 1 male), style (n, style_size) float, None where
        style_size is 0 → (n, 3, size, size) in [-1, 1]."""
        x = self.fc(torch.cat([noise, self.condition(gender, style)], dim=1)).view(-1, self.channels, self.start, self.start)
        x = F.relu(self.fc_norm(x))
        x = x + self.blocks_norm(self.blocks(x))
        return torch.tanh(self.last(self.upsample(x)))


class SRResNetDiscriminator(nn.Module):
    """Faces to a `DiscriminatorOutput`. See `srresnet_discriminator` for the arguments."""

    def __init__(
        self,
        size: int,
        style_size: int,
        widths: Sequence[int],
        blocks: Sequence[int],
        spectral_norm: bool,
        minibatch_std: bool,
        he: bool,
    ) -> None:
        super().__init__()
        end = size >> len(widths)
        if end < 1:
            raise ValueError(
                f"{len(widths)} stages halve {size} pixels to nothing; name at most {size.bit_length() - 1} widths"
            )
        if len(blocks) != len(widths):
            raise ValueError(f"blocks must name one number a stage, found {len(blocks)} for {len(widths)} widths")
        layers: list[nn.Module] = []
        for before, width, count in zip((3, *widths), widths, blocks, strict=False):
            layers += [nn.Conv2d(before, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
            layers += [PlainResidual(width) for _ in range(count)]
        self.body = nn.Sequential(*layers)
        self.minibatch_std = minibatch_std
        features = widths[-1] * end**2 + int(minibatch_std)
        self.source = nn.Linear(features, 1)
        self.gender = nn.Linear(features, 2)
        self.style = nn.Linear(features, style_size) if style_size else None
        initialise(self)
        if he:
            for module in self.body.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, a=0.2)
        if spectral_norm:
            for module in [module for module in self.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]:
                parametrizations.spectral_norm(module)

    def forward(self, images: Tensor) -> DiscriminatorOutput:
        """(n, 3, size, size) float in [-1, 1] → DiscriminatorOutput."""
        features = self.body(images).flatten(1).float()
        with torch.autocast(features.device.type, enabled=False):  # bf16 logits of 5 are 0.03 apart: too coarse for a loss
            if self.minibatch_std:
                features = torch.cat([features, minibatch_deviation(features)], dim=1)
            style = None if self.style is None else self.style(features)
            return DiscriminatorOutput(self.source(features).squeeze(1), self.gender(features), style)


@register_generator
def srresnet(
    size: int,
    noise_size: int = 128,
    style_size: int = 30,
    channels: int = 64,
    blocks: int = 16,
    up_channels: Sequence[int] = (64, 64, 64),
    last_kernel: int = 9,
    icnr: bool = False,
) -> SRResNetGenerator:
    """The generator of Jin et al., Fig. 3.

    size: pixels, a multiple of 8. style_size: 0 = no style (GA-GAN). channels: width at size/8. blocks: residual blocks there.
    up_channels: widths after each of the three pixel shuffles; the high resolutions dominate the cost. last_kernel: odd.
    icnr: the pixel shuffles begin as nearest-neighbour upsampling.
    """
    return SRResNetGenerator(size, noise_size, style_size, channels, blocks, up_channels, last_kernel, icnr)


@register_discriminator
def srresnet_discriminator(
    size: int,
    style_size: int = 30,
    widths: Sequence[int] = (32, 64, 128, 256, 512, 1024),
    blocks: Sequence[int] = (2, 2, 2, 2, 2, 0),
    spectral_norm: bool = False,
    minibatch_std: bool = False,
    he: bool = False,
) -> SRResNetDiscriminator:
    """The discriminator of Jin et al., Fig. 4, with heads for source, gender and style.

    widths: one stage each, a 4×4 convolution of stride 2. blocks: residual blocks after each (10 in the paper).
    minibatch_std: appends the batch's deviation to the features; each face's verdict then depends on its batch.
    he: convolutions start from He's normal distribution, not N(0, 0.02), with which the signal vanishes in narrow networks
    without batch norm: the light preset's discriminator learnt nothing from its first thousands of faces.
    """
    return SRResNetDiscriminator(size, style_size, widths, blocks, spectral_norm, minibatch_std, he)
