"""The generator as the decoder of a variational autoencoder: its training, and the prior folded into it afterwards."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from classifiers.runtime import (
    Stopped,
    agree,
    batch_rows,
    load_checkpoint,
    reads_terms,
    restore_optimizer,
    save_checkpoint,
    seed_step,
    stop_requests,
)
from classifiers.sfn import TRUNCATED_NORMAL_STD
from configs.errors import DivergedError
from sga.augment import flip
from sga.losses.perceptual import Perception
from sga.models import ConditionalGenerator
from sga.models.encoder import Encoder
from sga.training.clock import Clock
from sga.training.data import RealBatch, TrainingFaces
from sga.training.settings import WarmStartSettings

if TYPE_CHECKING:
    from lightning.fabric import Fabric

__all__ = ["align_prior", "warm_start"]


def _rate(settings: WarmStartSettings, seen: int) -> float:
    warm = 0.02 * settings.images
    if seen < warm:
        return settings.learning_rate * (seen + settings.batch) / (warm + settings.batch)
    progress = min(1.0, (seen - warm) / max(1.0, settings.images - warm))
    return settings.learning_rate * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * progress)))


def warm_start(
    generator: ConditionalGenerator,
    encoder: Encoder,
    perception: Perception,
    faces: TrainingFaces,
    settings: WarmStartSettings,
    fabric: Fabric,
    *,
    seed: int,
    checkpoint: Path | None = None,
    on_step: Callable[[int, dict[str, float]], None] = lambda seen, values: None,
    enough: Callable[[Clock], bool] = lambda clock: False,
) -> Clock:
    """Train generator and encoder in place, then align the prior. The same call again continues from `checkpoint`.

    A checkpoint of other settings or faces is put aside. on_step gets the images seen and the raw terms, of the steps that
    `reads_terms` names. enough: whether to stop for now. Returns how long it has trained.

    Raises:
        Stopped: it was asked to stop, or it is enough; the checkpoint is written.
        DivergedError: a loss left the finite numbers.
    """
    parts = nn.ModuleDict({"generator": generator, "encoder": encoder}).to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    perception = perception.to(fabric.device)
    optimizer = torch.optim.Adam(parts.parameters(), lr=settings.learning_rate, betas=(0.9, 0.99), fused=True)
    seen, before = 0, None
    identity = settings.model_dump_json(), faces.fingerprint()
    if checkpoint and (state := load_checkpoint(checkpoint)) and (state["settings"], state.get("faces")) == identity:
        parts.load_state_dict(state["parts"])
        restore_optimizer(optimizer, state["optimizer"])
        seen, before = state["seen"], state.get("clock")
    weights = {"pixel": settings.pixel, "perceptual": settings.perceptual, "kl": settings.kl}
    parts.train()
    clock = Clock(before).start()
    terms: dict[str, Tensor] = {}
    with stop_requests() as asked:
        while seen < settings.images:
            stopping, late = agree(fabric, asked() or enough(clock), clock.since_save() > settings.checkpoint_seconds)
            if checkpoint and (stopping or late) and fabric.is_global_zero:
                with clock.paused(fabric.device):
                    _finite(terms, seen, settings)
                    state = {"parts": parts.state_dict(), "optimizer": optimizer.state_dict(), "seen": seen}
                    stamp = {"settings": identity[0], "faces": identity[1], "clock": clock.totals()}
                    save_checkpoint(checkpoint, {**state, **stamp})
                clock.saved()
            if stopping:
                fabric.barrier()
                raise Stopped
            for group in optimizer.param_groups:
                group["lr"] = _rate(settings, seen)
            seed_step(seed, seen)
            batch = faces.batch(batch_rows(len(faces), seed, seen, settings.batch), fabric.device)
            terms = _terms(generator, encoder, perception if settings.perceptual > 0 else None, batch, fabric)
            optimizer.zero_grad(set_to_none=True)
            torch.stack([weights[name] * term for name, term in terms.items()]).sum().backward()
            optimizer.step()
            seen += settings.batch
            if reads_terms(fabric.device, seen // settings.batch) or seen >= settings.images:
                on_step(seen, {f"W/{name}": value for name, value in _finite(terms, seen, settings).items()})
    parts.eval()
    align_prior(generator, encoder, faces, fabric)
    return clock


def _terms(
    generator: ConditionalGenerator,
    encoder: Encoder,
    perception: Perception | None,
    batch: RealBatch,
    fabric: Fabric,
) -> dict[str, Tensor]:
    """Raw terms of one step, 0-d: mean L1 of the pixels, KL a face, perceptual distance where asked for."""
    real = flip(batch.images)
    with fabric.autocast():
        mean, log_variance = encoder.posterior(real)
        code = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        drawn = generator(code, batch.gender.clamp(min=0), batch.style).float()
        likeness = None if perception is None else perception(drawn, real).mean()
    kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1).mean()
    terms = {"pixel": (drawn - real).abs().mean(), "kl": kl}
    return terms if likeness is None else {**terms, "perceptual": likeness}


def _finite(terms: dict[str, Tensor], seen: int, settings: WarmStartSettings) -> dict[str, float]:
    """The terms as numbers.

    Raises:
        DivergedError: one is not finite.
    """
    told = {name: term.item() for name, term in terms.items()}
    if not all(map(math.isfinite, told.values())):
        raise DivergedError(
            f"Expected finite losses in the warm start, found {told} after {seen} images. Type again with "
            f"--set warm_start.learning_rate={settings.learning_rate / 3:.1g}"
        )
    return told


@torch.no_grad()
def align_prior(
    generator: ConditionalGenerator, encoder: Encoder, faces: TrainingFaces, fabric: Fabric, most: int = 16_384
) -> None:
    """Fold the map from the prior (truncated normal, no condition) to the posterior of all faces into the generator.

    In its first layer, z = A·c + b + L·n / σ: A and b by least squares of the posterior means on the condition c, L·Lᵀ the
    covariance that is left (posterior variances included), σ the prior's standard deviation.
    """
    means, variances, conditions = [], [], []
    for rows in np.array_split(
        np.linspace(0, len(faces) - 1, min(most, len(faces))).astype(np.int64), max(1, min(most, len(faces)) // 256)
    ):
        batch = faces.batch(rows, fabric.device)
        with fabric.autocast():
            mean, log_variance = encoder.posterior(batch.images)
        conditions.append(generator.condition(batch.gender.clamp(min=0), batch.style).double())
        means.append(mean.double())
        variances.append(log_variance.double().exp())
    mean, condition = torch.cat(means), torch.cat(conditions)
    known = torch.cat([condition, torch.ones_like(condition[:, :1])], dim=1)
    # The one-hot columns sum to the constant one: without a ridge there is no single solution.
    ridge = 1e-3 * len(mean) * torch.eye(known.shape[1], dtype=known.dtype, device=known.device)
    solution = torch.linalg.solve(known.T @ known + ridge, known.T @ mean)
    slope, offset = solution[:-1].T, solution[-1]
    left = mean - known @ solution
    covariance = left.T @ left / len(left) + torch.diag(torch.cat(variances).mean(dim=0))
    factor = torch.linalg.cholesky(covariance) / TRUNCATED_NORMAL_STD

    first, width = generator.fc, mean.shape[1]
    weight = first.weight.double()
    noise, rest = weight[:, :width], weight[:, width:]
    bias = noise @ offset
    first.weight.copy_(torch.cat([noise @ factor, rest + noise @ slope], dim=1))
    first.bias.add_(bias.to(first.bias.dtype))
    encoder.weight.copy_(torch.linalg.inv(factor))
    encoder.slope.copy_(slope)
    encoder.offset.copy_(offset)
