"""One step of each network. All terms of a network are weighted and summed here, into one backward pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from sga.augment import blur, diff_augment
from sga.condition import Condition
from sga.losses import (
    ADVERSARIAL,
    PENALTIES,
    SpectralExcess,
    forward_gender_loss,
    gender_loss,
    soft_gender_loss,
    style_loss,
    tag_loss,
)
from sga.models import DiscriminatorOutput
from sga.training.adaptive import AdaptiveAugment
from sga.training.data import RealBatch
from sga.training.settings import GanSettings

if TYPE_CHECKING:
    from lightning.fabric import Fabric

    from sga.training.warm_start import Anchor

__all__ = ["blur_sigma", "condition_strength", "discriminator_step", "generate", "generator_step", "learning_rate_factor"]


def generate(fabric: Fabric, generator: nn.Module, condition: Condition, strength: float = 1.0) -> Tensor:
    """(n, 3, size, size) faces in training mode, with their graph. strength: factor of the condition as the generator takes it
    (`condition_strength`)."""
    gender, style = condition.gender, condition.style
    if strength != 1:  # a gender half-way between 0 and 1 enters the generator as 0
        gender = 0.5 + strength * (gender.float() - 0.5)
        style = None if style is None else strength * style
    with fabric.autocast():
        fake: Tensor = generator(condition.noise, gender, style)
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
    strength: float = 1.0,
    sigma: float = 0.0,
    adaptive: AdaptiveAugment | None = None,
) -> dict[str, Tensor]:
    """Update the discriminator; returns raw terms (0-d, detached). fake: (n, 3, size, size), its graph is not touched.

    strength: of the condition, in the projection and in the weights of the auxiliary terms. sigma: of the blur. adaptive: sets
    how likely the augmentation is, and learns from the verdicts; None = always.
    """
    discriminator.requires_grad_(True)
    augment = _augmentation(settings, adaptive, sigma)
    seen_real, seen_fake = augment(real.images), augment(fake.detach())
    told_real, told_fake = _told_of_real(real, strength), _told_of_fake(condition, strength)
    with fabric.autocast():
        on_real = _verdict(discriminator, seen_real, told_real)
        on_fake = _verdict(discriminator, seen_fake, told_fake)
    terms = {"adversarial": ADVERSARIAL[settings.adversarial].discriminator(on_real.source, on_fake.source)}
    if on_real.gender is not None:
        terms["gender"] = _gender_term(settings, on_real.gender, real)
    if on_real.style is not None:
        terms["style"] = _style_term(settings, on_real.style, real.style, real.style_weight)
    if settings.classify_fakes:
        if on_fake.gender is not None:
            terms["fake_gender"] = gender_loss(on_fake.gender, condition.gender)
        if on_fake.style is not None and condition.style is not None:
            terms["fake_style"] = _style_term(settings, on_fake.style, condition.style)
    if penalise and settings.penalty:
        penalty = PENALTIES[settings.penalty]
        terms["penalty"] = penalty.term(lambda points: _verdict(discriminator, points, told_real, plain=True).source, seen_real)
        if penalty.reads_fake:
            terms["fake_penalty"] = penalty.term(
                lambda points: _verdict(discriminator, points, told_fake, plain=True).source, seen_fake
            )
    _update(fabric, discriminator, optimiser, _weighted_sum(terms, settings, strength))
    told = {"score_real": on_real.source.float().mean(), "score_fake": on_fake.source.float().mean()}
    if adaptive is not None:
        relativistic = ADVERSARIAL[settings.adversarial].generator_reads_real
        lead = on_real.source - on_fake.source if relativistic else on_real.source
        told["sign_real"] = adaptive.update(fabric, lead.detach(), settings.batch)
        told["augment_probability"] = adaptive.probability.clone()
    return {f"D/{name}": value.detach() for name, value in {**terms, **told}.items()}


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
    spectrum: SpectralExcess | None = None,
    *,
    strength: float = 1.0,
    sigma: float = 0.0,
    adaptive: AdaptiveAugment | None = None,
) -> dict[str, Tensor]:
    """Update the generator; returns raw terms (0-d, detached). fake: what `generate` made for `condition`, with its graph.

    anchor: adds the warm start's terms on the real faces; spectrum: adds the excess of the generated ones; None = off.
    strength, sigma, adaptive: as in `discriminator_step`.
    """
    discriminator.requires_grad_(False)  # its weights' gradients would be computed for nothing
    game, augment = ADVERSARIAL[settings.adversarial], _augmentation(settings, adaptive, sigma)
    with fabric.autocast():
        verdict = _verdict(discriminator, augment(fake), _told_of_fake(condition, strength))
        scores = None
        if game.generator_reads_real:
            scores = _verdict(discriminator, augment(real.images), _told_of_real(real, strength)).source
    terms = {"adversarial": game.generator(verdict.source, scores)}
    if verdict.gender is not None:
        terms["gender"] = gender_loss(verdict.gender, condition.gender)
    if verdict.style is not None and condition.style is not None:
        terms["style"] = _style_term(settings, verdict.style, condition.style)
    if anchor is not None:
        terms["anchor"] = anchor(fabric, generator, real)
    if spectrum is not None:
        terms["spectrum"] = spectrum(fake)
    _update(fabric, generator, optimiser, _weighted_sum(terms, settings, strength))
    return {f"G/{name}": value.detach() for name, value in terms.items()}


def condition_strength(settings: GanSettings, seen: int) -> float:
    """λ of transitional training (Shahbazi et al. 2022, section 4): 0 until `condition_after` images, then linearly to 1 over
    `condition_ramp_images`; 1 where both are 0."""
    waited = seen - settings.condition_after
    if settings.condition_ramp_images == 0:
        return float(waited >= 0)
    return min(max(waited / settings.condition_ramp_images, 0.0), 1.0)


def blur_sigma(settings: GanSettings, seen: int) -> float:
    """Standard deviation of the blur before the discriminator, pixels: linearly from `blur` to 0 over `blur_images`, in
    quarters of a pixel."""
    return math.ceil(4 * settings.blur * max(0.0, 1 - seen / settings.blur_images)) / 4


def learning_rate_factor(settings: GanSettings, seen: int) -> float:
    """1 until `decay_after`, then halved every `decay_half_life` images."""
    if settings.decay_after is None:
        return 1.0
    return float(0.5 ** (max(0, seen - settings.decay_after) / settings.decay_half_life))


def _augmentation(settings: GanSettings, adaptive: AdaptiveAugment | None, sigma: float) -> Callable[[Tensor], Tensor]:
    probability = None if adaptive is None else adaptive.probability
    return lambda images: diff_augment(blur(images, sigma), settings.diff_augment, probability)


def _verdict(discriminator: nn.Module, images: Tensor, told: Tensor, *, plain: bool = False) -> DiscriminatorOutput:
    """What the discriminator says. told: the condition, for those that read it. plain: uncompiled also where it is compiled,
    whose gradients have no gradients of their own."""
    judge = discriminator.forward if plain else discriminator
    reads = getattr(discriminator, "reads_condition", False)
    verdict: DiscriminatorOutput = judge(images, told) if reads else judge(images)
    return verdict


def _told_of_real(real: RealBatch, strength: float) -> Tensor:
    """(n, 1 + style_size): gender in [-1, 1], 0 where unknown and short of ±1 where its label is in doubt, then the style."""
    sign = (real.gender * 2 - 1) * ((real.gender >= 0) & (real.weight > 0))
    if real.gender_doubt is not None:
        sign = (real.gender_doubt[:, 1] - real.gender_doubt[:, 0]) / real.gender_doubt.sum(dim=1)
    return strength * torch.cat([sign.float().unsqueeze(1), real.style], dim=1)


def _told_of_fake(condition: Condition, strength: float) -> Tensor:
    """(n, 1 + style_size): gender as -1 or 1, then the style, as the generator was asked for them."""
    sign = (condition.gender * 2 - 1).float().unsqueeze(1)
    return strength * (sign if condition.style is None else torch.cat([sign, condition.style], dim=1))


def _gender_term(settings: GanSettings, logits: Tensor, real: RealBatch) -> Tensor:
    if real.gender_doubt is None:
        return gender_loss(logits, real.gender, real.weight)
    loss = forward_gender_loss if settings.label_noise == "confusion" else soft_gender_loss
    return loss(logits, real.gender_doubt, real.weight)


def _style_term(settings: GanSettings, said: Tensor, wanted: Tensor, weight: Tensor | None = None) -> Tensor:
    """0-d: how far the style head is from the style, as its kind is measured. weight: of known tags; None = 1 each."""
    return tag_loss(said, wanted, weight) if settings.style_source == "tags" else style_loss(said, wanted)


def _weighted_sum(terms: Mapping[str, Tensor], settings: GanSettings, strength: float) -> Tensor:
    """The loss of one network: the only place where weights are applied."""
    weights = settings.weights
    gender, style = strength * weights.gender, strength * weights.style
    penalty = weights.penalty * settings.penalty_interval  # computed rarely, it weighs as much more (Karras et al. 2020)
    factor = {
        "adversarial": weights.adversarial,
        "gender": gender,
        "style": style,
        "fake_gender": gender,
        "fake_style": style,
        "anchor": weights.anchor * settings.anchor_interval,
        "spectrum": weights.spectrum,
        "penalty": penalty,
        "fake_penalty": penalty,
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
