"""One step of each network. All terms of a network are weighted and summed here, into one backward pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from sga.augment import diff_augment
from sga.condition import Condition
from sga.losses import ADVERSARIAL, PENALTIES, gender_loss, style_loss
from sga.models import DiscriminatorOutput
from sga.training.data import RealBatch
from sga.training.settings import GanSettings

if TYPE_CHECKING:
    from lightning.fabric import Fabric

    from sga.training.warm_start import Anchor

__all__ = ["discriminator_step", "generate", "generator_step", "learning_rate_factor"]


def generate(fabric: Fabric, generator: nn.Module, condition: Condition) -> Tensor:
    """(n, 3, size, size) faces in training mode, with their graph."""
    with fabric.autocast():
        fake: Tensor = generator(condition.noise, condition.gender, condition.style)
    return fake


def discriminator_step(
    fabric: Fabric,
    settings: GanSettings,
    discriminator: nn.Module,
    optimiser: torch.optim.Optimizer,
    real: RealBatch,
    fake: Tensor,
    condition: Condition,
    *,
    penalise: bool,
) -> dict[str, Tensor]:
    """Update the discriminator; returns raw terms (0-d, detached). fake: (n, 3, size, size), its graph is not touched."""
    discriminator.requires_grad_(True)
    seen_real = diff_augment(real.images, settings.diff_augment)
    with fabric.autocast():
        on_real: DiscriminatorOutput = discriminator(seen_real)
        on_fake: DiscriminatorOutput = discriminator(diff_augment(fake.detach(), settings.diff_augment))
    terms = {"adversarial": ADVERSARIAL[settings.adversarial].discriminator(on_real.source, on_fake.source)}
    terms["gender"] = gender_loss(on_real.gender, real.gender, real.weight)
    if on_real.style is not None:
        terms["style"] = style_loss(on_real.style, real.style)
    if settings.classify_fakes:
        terms["fake_gender"] = gender_loss(on_fake.gender, condition.gender)
        if on_fake.style is not None and condition.style is not None:
            terms["fake_style"] = style_loss(on_fake.style, condition.style)
    if penalise and settings.penalty:
        terms["penalty"] = PENALTIES[settings.penalty](lambda points: discriminator(points).source, seen_real)
    _update(fabric, discriminator, optimiser, _weighted_sum(terms, settings))
    scores = {"score_real": on_real.source.float().mean(), "score_fake": on_fake.source.float().mean()}
    return {f"D/{name}": value.detach() for name, value in {**terms, **scores}.items()}


def generator_step(
    fabric: Fabric,
    settings: GanSettings,
    generator: nn.Module,
    discriminator: nn.Module,
    optimiser: torch.optim.Optimizer,
    real: RealBatch,
    fake: Tensor,
    condition: Condition,
    anchor: Anchor | None = None,
) -> dict[str, Tensor]:
    """Update the generator; returns raw terms (0-d, detached). fake: what `generate` made for `condition`, with its graph.

    anchor: adds the warm start's terms on the real faces; None = off.
    """
    discriminator.requires_grad_(False)  # its weights' gradients would be computed for nothing
    game = ADVERSARIAL[settings.adversarial]
    with fabric.autocast():
        verdict: DiscriminatorOutput = discriminator(diff_augment(fake, settings.diff_augment))
        scores = discriminator(diff_augment(real.images, settings.diff_augment)).source if game.generator_reads_real else None
    terms = {"adversarial": game.generator(verdict.source, scores), "gender": gender_loss(verdict.gender, condition.gender)}
    if verdict.style is not None and condition.style is not None:
        terms["style"] = style_loss(verdict.style, condition.style)
    if anchor is not None:
        terms["anchor"] = anchor(fabric, generator, real)
    _update(fabric, generator, optimiser, _weighted_sum(terms, settings))
    return {f"G/{name}": value.detach() for name, value in terms.items()}


def learning_rate_factor(settings: GanSettings, seen: int) -> float:
    """1 until `decay_after`, then halved every `decay_half_life` images."""
    if settings.decay_after is None:
        return 1.0
    return float(0.5 ** (max(0, seen - settings.decay_after) / settings.decay_half_life))


def _weighted_sum(terms: Mapping[str, Tensor], settings: GanSettings) -> Tensor:
    """The loss of one network: the only place where weights are applied."""
    weights = settings.weights
    factor = {
        "adversarial": weights.adversarial,
        "gender": weights.gender,
        "style": weights.style,
        "fake_gender": weights.gender,
        "fake_style": weights.style,
        "anchor": weights.anchor * settings.anchor_interval,
        "penalty": weights.penalty * settings.penalty_interval,  # computed rarely, it weighs as much more (Karras et al. 2020)
    }
    return torch.stack([factor[name] * term for name, term in terms.items()]).sum()


def _update(fabric: Fabric, network: nn.Module, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    _average_gradients(fabric, network)
    optimiser.step()


def _average_gradients(fabric: Fabric, network: nn.Module) -> None:
    """Average over processes after the one backward pass: right whatever the passes before it, penalties included."""
    if fabric.world_size == 1:
        return
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    flat = fabric.all_reduce(torch.cat([gradient.flatten() for gradient in gradients]), reduce_op="mean")
    for gradient, part in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view(gradient.shape))
