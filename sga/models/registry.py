"""Networks by function name: the registry feeds settings, error texts and tests."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

from torch import nn

from configs.errors import ConfigError, did_you_mean

__all__ = [
    "check_arguments",
    "make_network",
    "network_names",
    "reads_features",
    "register_discriminator",
    "register_generator",
]

Kind = Literal["generator", "discriminator"]
Maker = TypeVar("Maker", bound=Callable[..., nn.Module])
_MAKERS: dict[Kind, dict[str, Callable[..., nn.Module]]] = {"generator": {}, "discriminator": {}}


def register_generator(maker: Maker) -> Maker:
    """Register a function (size, noise_size, style_size, …) → network with forward(noise, gender, style) under its name."""
    _MAKERS["generator"][maker.__name__] = maker
    return maker


def register_discriminator(maker: Maker) -> Maker:
    """Register a function (size, style_size, …) → network with forward(images) → DiscriminatorOutput under its name.

    A network with a true attribute `reads_condition` is called with (images, condition); one whose function takes `features` is
    made with the workspace's frozen feature network.
    """
    _MAKERS["discriminator"][maker.__name__] = maker
    return maker


def network_names(kind: Kind) -> list[str]:
    """Registered names, sorted."""
    return sorted(_MAKERS[kind])


def reads_features(kind: Kind, name: str) -> bool:
    """Whether the network of that name is made with a `FrozenFeatures`."""
    return "features" in inspect.signature(_MAKERS[kind][name]).parameters


def check_arguments(kind: Kind, name: str, arguments: Mapping[str, Any]) -> None:
    """Check that a network of that name exists and takes such arguments.

    Raises:
        ConfigError: no such network, or no such argument; names the nearest.
    """
    if name not in _MAKERS[kind]:
        raise ConfigError(
            f"Expected a {kind} ({', '.join(network_names(kind))}), found {name!r}.{did_you_mean(name, _MAKERS[kind])}"
        )
    known = inspect.signature(_MAKERS[kind][name]).parameters
    for argument in arguments:
        if argument not in known:
            hint = did_you_mean(argument, known)
            raise ConfigError(f"Expected an argument of the {kind} {name} ({', '.join(known)}), found {argument!r}.{hint}")


def make_network(kind: Kind, name: str, **arguments: Any) -> nn.Module:
    """A new network, initialised from torch's current generator.

    Raises:
        ConfigError: as `check_arguments`, or values that the network refuses.
    """
    check_arguments(kind, name, arguments)
    try:
        return _MAKERS[kind][name](**arguments)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"Expected arguments that fit the {kind} {name}, found: {error}.") from error
