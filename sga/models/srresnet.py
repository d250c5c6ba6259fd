"""SRResNet generator and its three-headed discriminator (Jin et al. 2017, Fig. 3 and 4; SGA-GAN, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

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
from sga.models.conditional import ConditionalGenerator
from sga.models.film import ModulatedBlocks
from sga.models.registry import register_discriminator, register_generator

__all__ = ["DiscriminatorOutput", "SRResNetDiscriminator", "SRResNetGenerator", "srresnet", "srresnet_discriminator"]


Conditioning = Literal["auxiliary", "projection", "both"]


class DiscriminatorOutput(NamedTuple):
    """What a discriminator says, float32: source (n,) logit of being real, or (n, m) of m verdicts, gender (n, 2) logits, style
    (n, k); None where it has no such head."""

    source: Tensor
    gender: Tensor | None
    style: Tensor | None


class SRResNetGenerator(ConditionalGenerator):
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
        skip_relu: bool,
        film: bool,
    ) -> None:
        super().__init__()
        if size % 8 or size < 8:
            raise ValueError(f"size must be a multiple of 8, found {size}")
        if len(up_channels) != 3:
            raise ValueError(f"up_channels must name three widths, found {list(up_channels)}")
        self.channels, self.start, self.style_size, self.skip_relu = channels, size // 8, style_size, skip_relu
        self.fc = nn.Linear(noise_size + 1 + style_size, channels * self.start**2)
        self.fc_norm = nn.BatchNorm2d(channels)
        self.blocks: nn.Sequential | ModulatedBlocks
        if film:
            self.blocks = ModulatedBlocks(channels, blocks, 1 + style_size)
        else:
            self.blocks = nn.Sequential(*(NormalisedResidual(channels) for _ in range(blocks)))
        self.blocks_norm = nn.BatchNorm2d(channels)
        widths = (channels, *up_channels)
        self.upsample = nn.Sequential(*(Upsample(widths[i], widths[i + 1]) for i in range(3)))
        self.last = nn.Conv2d(widths[-1], 3, last_kernel, padding=last_kernel // 2)
        initialise(self)
        if isinstance(self.blocks, ModulatedBlocks):
            self.blocks.reset()
        if icnr:
            initialise_as_nearest(self)

    def forward(self, noise: Tensor, gender: Tensor, style: Tensor | None = None) -> Tensor:
        """noise (n, noise_size) float, gender (n,) int64 (0 female, 1 male), style (n, style_size) float, None where
        style_size is 0 → (n, 3, size, size) in [-1, 1]."""
        x = self.first(noise, gender, style).view(-1, self.channels, self.start, self.start)
        x = F.relu(self.fc_norm(x))
        told = (self.condition(gender, style),) if isinstance(self.blocks, ModulatedBlocks) else ()
        residual = self.blocks_norm(self.blocks(x, *told))
        x = x + (F.relu(residual) if self.skip_relu else residual)
        return torch.tanh(self.last(self.upsample(x)))


class SRResNetDiscriminator(nn.Module):
    """Faces to a `DiscriminatorOutput`. See `srresnet_discriminator` for the arguments."""

    def __init__(
        self,
        size: int,
        style_size: int,
        widths: Sequence[int],
        blocks: Sequence[int],
        kernels: Sequence[int] | None,
        spectral_norm: bool,
        minibatch_std: bool,
        he: bool,
        condition: Conditioning,
    ) -> None:
        super().__init__()
        kernels = (4,) * len(widths) if kernels is None else kernels
        if size >> len(widths) < 1:
            raise ValueError(
                f"{len(widths)} stages halve {size} pixels to nothing; name at most {size.bit_length() - 1} widths"
            )
        if len(blocks) != len(widths):
            raise ValueError(f"blocks must name one number a stage, found {len(blocks)} for {len(widths)} widths")
        if len(kernels) != len(widths) or not set(kernels) <= {3, 4}:
            raise ValueError(f"kernels must name 3 or 4 for each of {len(widths)} stages, found {list(kernels)}")
        if condition not in get_args(Conditioning):
            raise ValueError(f"condition must be {', '.join(get_args(Conditioning))}, found {condition}")
        layers: list[nn.Module] = []
        end = size
        for before, width, count, kernel in zip((3, *widths), widths, blocks, kernels, strict=False):
            layers += [nn.Conv2d(before, width, kernel, stride=2, padding=1), nn.LeakyReLU(0.2)]
            layers += [PlainResidual(width) for _ in range(count)]
            end = (end + 2 - kernel) // 2 + 1
        self.body = nn.Sequential(*layers)
        self.minibatch_std = minibatch_std
        features = widths[-1] * end**2 + int(minibatch_std)
        self.source = nn.Linear(features, 1)
        heads = condition != "projection"
        self.gender = nn.Linear(features, 2) if heads else None
        self.style = nn.Linear(features, style_size) if heads and style_size else None
        self.reads_condition = condition != "auxiliary"
        self.embedding = nn.Linear(1 + style_size, widths[-1], bias=False) if self.reads_condition else None
        initialise(self)
        if he:
            for module in self.body.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, a=0.2)
        if spectral_norm:
            for module in [module for module in self.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]:
                parametrizations.spectral_norm(module)

    def forward(self, images: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        """(n, 3, size, size) float in [-1, 1] → DiscriminatorOutput. condition: (n, 1 + style_size) float, gender in [-1, 1],
        0 = unknown, then the style; needed where `reads_condition`."""
        maps = self.body(images).float()
        features = maps.flatten(1)
        with torch.autocast(features.device.type, enabled=False):  # bf16 logits of 5 are 0.03 apart: too coarse for a loss
            if self.minibatch_std:
                features = torch.cat([features, minibatch_deviation(features)], dim=1)
            source = self.source(features).squeeze(1)
            if self.embedding is not None:
                if condition is None:
                    raise TypeError("a discriminator with projection needs the condition of its faces")
                source = source + (self.embedding(condition) * maps.mean(dim=(2, 3))).sum(dim=1)
            gender = None if self.gender is None else self.gender(features)
            return DiscriminatorOutput(source, gender, None if self.style is None else self.style(features))


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
    skip_relu: bool = False,
    film: bool = False,
) -> SRResNetGenerator:
    """The generator of Jin et al., Fig. 3.

    size: pixels, a multiple of 8. style_size: 0 = no style (GA-GAN). channels: width at size/8. blocks: residual blocks there.
    up_channels: widths after each of the three pixel shuffles; the high resolutions dominate the cost. last_kernel: odd.
    icnr: the pixel shuffles begin as nearest-neighbour upsampling. skip_relu: what the blocks add passes a ReLU before the long
    skip's sum, as in Jin et al.; SRResNet has none there. film: gender and style also set a gain and a shift in each block.
    """
    return SRResNetGenerator(size, noise_size, style_size, channels, blocks, up_channels, last_kernel, icnr, skip_relu, film)


@register_discriminator
def srresnet_discriminator(
    size: int,
    style_size: int = 30,
    widths: Sequence[int] = (32, 64, 128, 256, 512, 1024),
    blocks: Sequence[int] = (2, 2, 2, 2, 2, 0),
    kernels: Sequence[int] | None = None,
    spectral_norm: bool = False,
    minibatch_std: bool = False,
    he: bool = False,
    condition: Conditioning = "auxiliary",
) -> SRResNetDiscriminator:
    """The discriminator of Jin et al., Fig. 4, with heads for source, gender and style.

    widths: one stage each, a convolution of stride 2. blocks: residual blocks after each (10 in the paper). kernels: edges of
    the convolutions of stride 2, each 3 or 4; None = 4 (Jin et al.: 4 in the first three stages, then 3).
    minibatch_std: appends the batch's deviation to the features; each face's verdict then depends on its batch.
    he: convolutions start from He's normal distribution, not N(0, 0.02), with which the signal vanishes in narrow networks
    without batch norm: the light preset's discriminator learnt nothing from its first thousands of faces.
    condition: auxiliary = heads tell gender and style; projection = source gains ⟨V·y, φ(x)⟩, y the asked gender and style, φ
    the last map's mean over places (Miyato and Koyama 2018, Eq. 3), and there are no such heads; both.
    """
    return SRResNetDiscriminator(size, style_size, widths, blocks, kernels, spectral_norm, minibatch_std, he, condition)
