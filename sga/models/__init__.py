"""Generators and discriminators, registered by function name."""

from sga.models.registry import check_arguments, make_network, network_names, register_discriminator, register_generator
from sga.models.srresnet import DiscriminatorOutput, srresnet, srresnet_discriminator

__all__ = [
    "DiscriminatorOutput",
    "check_arguments",
    "make_network",
    "network_names",
    "register_discriminator",
    "register_generator",
    "srresnet",
    "srresnet_discriminator",
]
