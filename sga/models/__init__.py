"""Generators and discriminators, registered by function name."""

from sga.models.conditional import ConditionalGenerator
from sga.models.dcgan import dcgan
from sga.models.projected import FrozenFeatures, projected
from sga.models.registry import (
    check_arguments,
    make_network,
    network_names,
    reads_features,
    register_discriminator,
    register_generator,
)
from sga.models.srresnet import DiscriminatorOutput, srresnet, srresnet_discriminator

__all__ = [
    "ConditionalGenerator",
    "DiscriminatorOutput",
    "FrozenFeatures",
    "check_arguments",
    "dcgan",
    "make_network",
    "network_names",
    "projected",
    "reads_features",
    "register_discriminator",
    "register_generator",
    "srresnet",
    "srresnet_discriminator",
]
