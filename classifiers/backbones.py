"""Backbones from timm, by name; pretrained weights where the network reaches them, a clear error where it does not."""

from __future__ import annotations

import difflib
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from configs.errors import ConfigError, InputError, MissingExtra

__all__ = ["Backbone", "build_backbone"]


class Backbone(nn.Module):
    """A timm network without its classifier. Input (n, 3, h, w) in [-1, 1], output (n, width) pooled features."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, width: int, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.network = network
        self.width = width
        # timm's statistics are of [0, 1] images; ours are in [-1, 1]
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1) * 2 - 1, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1) * 2, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.network((images - self.mean) / self.std)
        return features


_REACH_SECONDS = 5


@contextmanager
def _quick_offline() -> Iterator[None]:
    """Where the hub cannot be reached, read its cache alone: its client would retry every file for most of a minute."""
    from huggingface_hub import constants

    was = constants.HF_HUB_OFFLINE
    try:
        if not was:
            try:
                urllib.request.urlopen(
                    urllib.request.Request(constants.ENDPOINT, method="HEAD"), timeout=_REACH_SECONDS
                ).close()
            except urllib.error.HTTPError:
                pass  # it answered
            except OSError:
                constants.HF_HUB_OFFLINE = True
        yield
    finally:
        constants.HF_HUB_OFFLINE = was


def build_backbone(name: str, *, pretrained: bool = False, **arguments: Any) -> Backbone:
    """A backbone by its timm name, such as `resnet18`, `densenet121` or `seresnet50`.

    arguments: timm's own, such as growth_rate. pretrained: from the hub's cache or, once, from the network.

    Raises:
        ConfigError: timm knows no such name, or not these arguments.
        InputError: pretrained weights are asked for and cannot be had, as on a machine without a network.
        MissingExtra: timm is not installed.
    """
    try:
        import timm
    except ModuleNotFoundError as error:
        raise MissingExtra("timm", "train") from error
    if not timm.is_model(name):
        close = ", ".join(difflib.get_close_matches(name, timm.list_models(), n=3)) or "resnet18, densenet121, seresnet50"
        raise ConfigError(f"Expected the name of a timm backbone, found {name!r}. Near it: {close}.")
    try:
        with _quick_offline() if pretrained else nullcontext():
            network = timm.create_model(name, pretrained=pretrained, num_classes=0, **arguments)
    except TypeError as error:
        raise ConfigError(f"Expected arguments that timm's {name} takes, found {arguments} ({error}).") from error
    except Exception as error:  # each hub client raises its own kind when it cannot download
        if not pretrained:
            raise
        raise InputError(
            f"Expected to download the pretrained weights of {name}, found no way to reach them ({type(error).__name__}). "
            "Type: --set pretrained=false, or fetch them once on a machine with a network and copy its cache here."
        ) from error
    config = network.pretrained_cfg
    return Backbone(network, network.num_features, tuple(config["mean"]), tuple(config["std"]))
