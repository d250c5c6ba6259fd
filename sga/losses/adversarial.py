"""Adversarial terms. Each takes source logits and returns one raw term; both networks minimise theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from torch import Tensor
from torch.nn import functional as F

__all__ = ["ADVERSARIAL", "Adversarial", "AdversarialName"]

AdversarialName = Literal["logistic", "hinge", "relativistic"]


def logistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-E log σ(D(x)) - E log(1 - σ(D(G(z)))) (Goodfellow et al. 2014; Jin et al., 4.3). real, fake: (n,) logits."""
    return F.softplus(-real.float()).mean() + F.softplus(fake.float()).mean()


def logistic_generator(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """-E log σ(D(G(z))), the non-saturating form. `real` is not used."""
    return F.softplus(-fake.float()).mean()


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))) (Lim and Ye 2017)."""
    return F.relu(1 - real.float()).mean() + F.relu(1 + fake.float()).mean()


def hinge_generator(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """-E D(G(z)). `real` is not used."""
    return -fake.float().mean()


def relativistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E softplus(D(G(z)) - D(x)), faces paired by position (Jolicoeur-Martineau 2018; Huang et al. 2024)."""
    return F.softplus(fake.float() - real.float()).mean()


def relativistic_generator(fake: Tensor, real: Tensor | None = None) -> Tensor:
    """E softplus(D(x) - D(G(z))). real: (n,) logits of real faces, needed."""
    if real is None:
        raise TypeError("the relativistic generator term needs the logits of real faces")
    return F.softplus(real.float() - fake.float()).mean()


class Adversarial(NamedTuple):
    """The two sides of one game. discriminator(real, fake) and generator(fake, real)."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor, Tensor | None], Tensor]
    generator_reads_real: bool


ADVERSARIAL: dict[AdversarialName, Adversarial] = {
    "logistic": Adversarial(logistic_discriminator, logistic_generator, False),
    "hinge": Adversarial(hinge_discriminator, hinge_generator, False),
    "relativistic": Adversarial(relativistic_discriminator, relativistic_generator, True),
}
