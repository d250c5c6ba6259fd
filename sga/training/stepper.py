"""One step of the training: faces, both networks, the average. What it does follows from (seed, images seen, rank) alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from classifiers.data import to_device
from classifiers.runtime import seed_step
from classifiers.runtime.compiling import compile_networks
from classifiers.runtime.graphs import Graphed
from sga.augment import flip
from sga.condition import ConditionPrior
from sga.training.data import RealBatch, TrainingFaces, spectral_excess, step_rows
from sga.training.ema import update_average
from sga.training.resident import ResidentFaces
from sga.training.settings import GanSettings
from sga.training.state import RunState
from sga.training.steps import (
    blur_sigma,
    condition_strength,
    discriminator_step,
    generate,
    generator_step,
    learning_rate_factor,
)

if TYPE_CHECKING:
    from lightning.fabric import Fabric

    from sga.training.warm_start import Anchor

__all__ = ["Stepper"]


class Stepper:
    """`stepper()` takes the next step of `state`."""

    def __init__(
        self,
        fabric: Fabric,
        settings: GanSettings,
        state: RunState,
        faces: TrainingFaces,
        prior: ConditionPrior,
        anchor: Anchor | None = None,
        tell: Callable[[str], None] = print,
    ) -> None:
        """tell: gets a line about each setting of `settings.launch` that cannot be had here."""
        self._fabric, self._settings, self._state, self._faces = fabric, settings, state, faces
        self._prior, self._anchor = prior, anchor
        self._spectrum = spectral_excess(faces, fabric.device) if settings.weights.spectrum > 0 else None
        self._sampling = faces.sampling(settings.balance_gender)
        if settings.launch.compile:
            compile_networks([state.generator, state.discriminator], fabric.device, tell)
        self._graphed = None
        if settings.launch.graphs and isinstance(faces, ResidentFaces) and fabric.world_size == 1:
            self._graphed = Graphed(lambda rows, **kind: self._both(faces.at(rows), **kind), tell)

    def __call__(self) -> None:
        """One step of both networks and of the average."""
        settings, state, fabric = self._settings, self._state, self._fabric
        rows = step_rows(self._faces, self._sampling, settings.seed, state.seen, settings.batch)
        rows = rows[fabric.global_rank :: fabric.world_size]
        seed_step(settings.seed, state.seen, fabric.global_rank)
        state.set_rates(settings, learning_rate_factor(settings, state.seen))
        steps = state.seen // settings.batch
        penalise = steps % settings.penalty_interval == 0
        anchored = self._anchor is not None and settings.weights.anchor > 0 and steps % settings.anchor_interval == 0
        strength, sigma = condition_strength(settings, state.seen), blur_sigma(settings, state.seen)
        kind: dict[str, Any] = {"penalise": penalise, "anchored": anchored, "strength": strength, "sigma": sigma}
        # The anchor's perception chooses its grid on the host, and a blur that fades would fill the places for recordings.
        if self._graphed is None or anchored or sigma > 0:
            real = self._faces.batch(rows, fabric.device)
            terms = self._both(real, **kind)
        else:
            index = to_device(np.sort(rows), fabric.device)
            terms = self._graphed(index, **kind)
        state.tally.add(terms)
        state.seen += settings.batch
        update_average(
            state.average,
            state.generator,
            batch=settings.batch,
            seen=state.seen,
            half_life=settings.ema_half_life,
            ramp=settings.ema_ramp,
        )

    def _both(self, real: RealBatch, *, penalise: bool, anchored: bool, strength: float, sigma: float) -> dict[str, Tensor]:
        """A step of the discriminator and one of the generator; returns their raw terms."""
        fabric, settings, state = self._fabric, self._settings, self._state
        if settings.flip:
            real = replace(real, images=flip(real.images))
        condition = self._prior.draw(len(real.images), fabric.device)
        # Both steps use the same generated faces: one pass of the generator less, and the gradients are those of either alone.
        fake = generate(fabric, state.generator, condition, strength)
        told = discriminator_step(
            fabric,
            settings,
            state.discriminator,
            state.discriminator_optimiser,
            real,
            fake,
            condition,
            penalise=penalise,
            strength=strength,
            sigma=sigma,
            adaptive=state.adaptive,
        )
        return told | generator_step(
            fabric,
            settings,
            state.generator,
            state.discriminator,
            state.generator_optimiser,
            real,
            fake,
            condition,
            self._anchor if anchored else None,
            self._spectrum,
            strength=strength,
            sigma=sigma,
            adaptive=state.adaptive,
        )
