"""Settings of the upscaler: how faces are made small, the network, and how it is trained. No torch but in `launch`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from classifiers.runtime import LaunchSettings
from configs.settings import Settings

__all__ = ["DegradationSettings", "UpscaleSettings", "UpscaleWeights"]


class DegradationSettings(Settings):
    """How an original becomes the small picture that the network reads. Shares are probabilities, each drawn by itself."""

    plain: float = Field(0.5, ge=0, le=1, description="pictures that are shrunk by the bicubic filter and nothing else")
    blur_share: float = Field(0.3, ge=0, le=1, description="of the others: blurred before they are shrunk")
    blur: float = Field(1.0, ge=0, description="largest standard deviation of that Gaussian, px of the original")
    noise_share: float = Field(0.25, ge=0, le=1, description="of the others: with Gaussian noise, half of it gray")
    noise: float = Field(4.0, ge=0, description="its largest standard deviation, of 255")
    jpeg_share: float = Field(0.5, ge=0, le=1, description="of the others: compressed as JPEG")
    jpeg: int = Field(60, ge=1, le=95, description="the lowest quality of that; the highest is 95")


class UpscaleWeights(Settings):
    """Weights of the loss terms."""

    pixel: float = Field(1.0, ge=0, description="Charbonnier distance of the pixels")
    edge: float = Field(0.1, ge=0, description="the same of the pixels' Sobel gradients")
    adversarial: float = Field(0.0, ge=0, description="relativistic term of a patch discriminator; 0 = none is trained")


class UpscaleSettings(Settings):
    """One training of the upscaler."""

    scale: Literal[2, 4] = Field(2, description="of one pass; the model folder takes 2, and 4 is 2 twice")
    channels: int = Field(48, ge=4, description="width; a multiple of 16 fills a CPU's vectors")
    blocks: int = Field(8, ge=1, description="residual blocks of two convolutions each")
    images: int = Field(4_000_000, ge=1, description="length of the training, crops")
    batch: int = Field(64, ge=1, description="crops a step, over all processes")
    crop: int = Field(32, ge=8, description="edge of a crop as the network reads it, px")
    learning_rate: float = Field(1e-3, gt=0, description="Adam's peak, warmed up over 2 % and annealed to 0 by a cosine")
    weights: UpscaleWeights = UpscaleWeights()
    degradation: DegradationSettings = DegradationSettings()
    seed: int = Field(0, ge=0)
    tick_images: int = Field(3200, ge=1, description="crops between two lines of stats.jsonl")
    checkpoint_seconds: float = Field(60, gt=0, description="time between checkpoints, s")
    launch: LaunchSettings = LaunchSettings()
