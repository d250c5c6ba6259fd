"""Training of one network on partly labelled faces. The ensemble's members, the SFN and its finetuning all pass through
`fit`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from classifiers.augment import AugmentSettings, augment
from classifiers.data import Feed, Pictures, to_device, to_tensor
from classifiers.losses import attribute_losses
from classifiers.runtime import (
    Stopped,
    agree,
    load_checkpoint,
    reads_terms,
    restore_optimizer,
    save_checkpoint,
    seed_step,
    stop_requests,
    weighted_rows,
)
from configs.errors import DivergedError, InputError, WorkspaceError
from configs.settings import Settings
from labeling.provenance import MISSING_CODE, Source
from labeling.schema import Schema
from labeling.table import LabelTable

if TYPE_CHECKING:
    from lightning.fabric import Fabric

__all__ = [
    "FitData",
    "FitSettings",
    "LossWeights",
    "attribute_weights",
    "balancing",
    "fit",
    "predict_logits",
    "strongest",
]


class LossWeights(Settings):
    """w_g, w_s and w_q of SGA-GAN, Eq. 1. The style term is the mean over the style attributes."""

    gender: float = Field(1.0, ge=0)
    style: float = Field(1.0, ge=0)
    quality: float = Field(0.0, ge=0)


class FitSettings(Settings):
    """How one network is trained."""

    images: int = Field(40_000, ge=1, description="length of the training, images")
    batch: int = Field(64, ge=2, description="images a step, over all processes")
    learning_rate: float = Field(
        1e-3, gt=0, description="AdamW's peak, warmed up over the first 5 % and annealed to 0 by a cosine"
    )
    weight_decay: float = Field(0.05, ge=0)
    smoothing: float = Field(0.05, ge=0, lt=1, description="label smoothing of exclusive attributes")
    rarity: float = Field(
        0.5, ge=0, le=1, description="how far sampling favours rare classes: 0 = as they come, 1 = equally often"
    )
    small_share: float = Field(0, ge=0, lt=1, description="first part of the training that sees pictures of small_size")
    small_size: int = Field(64, ge=32, description="side of the pictures in that part, px; larger ones are shrunk")
    loss: LossWeights = LossWeights()
    augment: AugmentSettings = AugmentSettings()
    checkpoint_seconds: float = Field(60, gt=0, description="time between checkpoints, s")


@dataclass(frozen=True)
class FitData:
    """pixels: (n, s, s, 3) uint8 of all rows; rows: (k,) int64 to train on; codes, weights: (n,) an attribute; sampling: (k,)
    ≥ 0. A cell counts in proportion to weight × sampling."""

    pixels: np.ndarray | Pictures
    rows: np.ndarray
    codes: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]
    sampling: np.ndarray
    cumulative: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cumulative", np.cumsum(self.sampling, dtype=np.float64))

    @classmethod
    def drawing(
        cls,
        pixels: np.ndarray | Pictures,
        rows: np.ndarray,
        codes: dict[str, np.ndarray],
        weights: dict[str, np.ndarray],
        balance: np.ndarray,
    ) -> FitData:
        """Every cell counts in proportion to its loss weight × its row's balance (k,).

        A row whose cells all weigh little is drawn less often and then counts in full: the same in the mean as drawing it as
        often as others and turning its loss down, for a fraction of the images.
        """
        top = strongest(weights, rows)
        full = {name: weight.copy() for name, weight in weights.items()}
        for weight in full.values():
            weight[rows] = weight[rows] / np.maximum(top, 1e-12)
        return cls(pixels, rows, codes, full, np.maximum(balance * top, 1e-12))


def attribute_weights(table: LabelTable, name: str, completed: float) -> np.ndarray:
    """(n,) float32 loss weight of one attribute's cells: 1 original and human, `completed` where completed, 0 where missing."""
    weight_of = np.zeros(len(Source), dtype=np.float32)
    weight_of[Source.COMPLETED], weight_of[Source.ORIGINAL], weight_of[Source.HUMAN] = completed, 1, 1
    return weight_of[table.sources(name)]


def balancing(codes: dict[str, np.ndarray], weights: dict[str, np.ndarray], rows: np.ndarray, rarity: float) -> np.ndarray:
    """(k,) float64 ≥ 0: how far each row counts for every attribute it knows, more where its class is rare.

    Every attribute's cells bring the same total of weight × this. A class with share p gets p ** (1 - rarity) of it.
    """
    total = np.zeros(len(rows), dtype=np.float64)
    for name, code in codes.items():
        code, weight = code[rows], weights[name][rows].astype(np.float64)
        weight[code == MISSING_CODE] = 0
        if weight.sum() == 0:
            continue
        mass = np.bincount(code.clip(min=0), weights=weight)
        share = np.maximum(mass[code.clip(min=0)], 1e-12) / mass.sum()
        row = (weight > 0) * share**-rarity
        total += row / (row * weight).sum()
    return total


def strongest(weights: dict[str, np.ndarray], rows: np.ndarray) -> np.ndarray:
    """(k,) float64: the largest loss weight among each row's cells; a row that weighs little is drawn that much less often."""
    top: np.ndarray = np.max([weight[rows] for weight in weights.values()], axis=0).astype(np.float64)
    return top


def _learning_rate(settings: FitSettings, seen: int) -> float:
    warmup = 0.05 * settings.images
    if seen < warmup:
        return settings.learning_rate * (seen + settings.batch) / (warmup + settings.batch)
    progress = min(1.0, (seen - warmup) / max(1.0, settings.images - warmup))
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


def _total(schema: Schema, losses: dict[str, Tensor], weights: LossWeights) -> Tensor:
    total = torch.zeros((), device=next(iter(losses.values())).device)
    for role in ("gender", "style", "quality"):
        terms = [losses[attribute.name] for attribute in schema.with_role(role) if attribute.name in losses]
        if terms and getattr(weights, role) > 0:
            total = total + getattr(weights, role) * torch.stack(terms).mean()
    return total


def fit(
    network: nn.Module,
    schema: Schema,
    data: FitData,
    settings: FitSettings,
    fabric: Fabric,
    *,
    seed: int,
    checkpoint: Path | None = None,
    on_step: Callable[[int, dict[str, float]], None] = lambda seen, values: None,
) -> nn.Module:
    """Train `network` (images → (n, logit_width) logits) in place and return it, in eval mode.

    checkpoint: file that holds the whole state while it runs; the same call again continues exactly; None = off. on_step gets
    the images seen and the raw loss terms, of the steps that `reads_terms` names.

    Raises:
        Stopped: it was asked to stop; the checkpoint is written.
        DivergedError: a loss or weight left the finite numbers.
        WorkspaceError: the checkpoint is of another run.
        InputError: no rows to train on.
    """
    if not len(data.rows):
        raise InputError("Expected labelled faces to train on, found none outside the split test. Label more faces.")
    network = network.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    decayed = [p for p in network.parameters() if p.requires_grad and p.ndim > 1]
    plain = [p for p in network.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    fused = fabric.device.type == "cuda"  # there each weight is a launch; on a CPU it hardly counts beside the convolutions
    model, optimizer = fabric.setup(network, torch.optim.AdamW(groups, lr=settings.learning_rate, fused=fused))
    share, identity, seen = settings.batch // fabric.world_size, settings.model_dump_json(exclude={"checkpoint_seconds"}), 0

    if checkpoint and (state := load_checkpoint(checkpoint)):
        if state["settings"] != identity or state["rows"] != len(data.rows):
            raise WorkspaceError(
                f"Expected the settings and faces that {checkpoint} was started with, found others. "
                "Remove it to start this network anew."
            )
        network.load_state_dict(state["network"])
        restore_optimizer(optimizer, state["optimizer"])
        seen = state["seen"]

    model.train()
    feed = Feed(data.pixels, fabric.device)
    known = {name: torch.from_numpy(code).to(fabric.device) for name, code in data.codes.items()}
    weighing = {name: torch.from_numpy(data.weights[name]).to(fabric.device) for name in known}
    saved = time.monotonic()
    losses: dict[str, Tensor] = {}
    with stop_requests() as asked:
        while seen < settings.images:
            stopping, late = agree(fabric, asked(), time.monotonic() - saved > settings.checkpoint_seconds)
            if checkpoint and (stopping or late) and fabric.is_global_zero:
                _finite(losses, seen, settings)
                state = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "seen": seen}
                save_checkpoint(checkpoint, {**state, "settings": identity, "rows": len(data.rows)})
                saved = time.monotonic()
            if stopping:
                fabric.barrier()
                raise Stopped
            for group in optimizer.param_groups:
                group["lr"] = _learning_rate(settings, seen)
            picked = data.rows[weighted_rows(data.cumulative, seed, seen, settings.batch)]
            rows = picked[fabric.global_rank * share : (fabric.global_rank + 1) * share]
            seed_step(seed, seen, fabric.global_rank)
            small = min(settings.small_size, data.pixels.shape[1]) if seen < settings.small_share * settings.images else None
            images, index = augment(feed(rows), settings.augment, small), to_device(rows, fabric.device)
            codes, weights = ({name: part[index] for name, part in of.items()} for of in (known, weighing))
            losses = attribute_losses(schema, model(images), codes, weights, settings.smoothing)
            losses = {"loss": _total(schema, losses, settings.loss), **{f"loss/{name}": term for name, term in losses.items()}}
            optimizer.zero_grad(set_to_none=True)
            fabric.backward(losses["loss"])
            optimizer.step()
            seen += settings.batch
            if reads_terms(fabric.device, seen // settings.batch) or seen >= settings.images:
                on_step(seen, _finite(losses, seen, settings))
    if not all(bool(torch.isfinite(value).all()) for value in network.state_dict().values()):
        raise _diverged("weights that are not", seen, settings)  # of the last step, which no loss has seen
    network.eval()
    return network


def _finite(losses: dict[str, Tensor], seen: int, settings: FitSettings) -> dict[str, float]:
    """The losses as numbers; refused where their sum is none."""
    told = {name: term.item() for name, term in losses.items()}
    if not math.isfinite(told.get("loss", 0.0)):
        raise _diverged(f"a loss of {told['loss']}", seen, settings)
    return told


def _diverged(found: str, seen: int, settings: FitSettings) -> DivergedError:
    return DivergedError(
        f"Expected finite losses and weights, found {found} after {seen} images. Type the command again with a smaller step: "
        f"--set fit.learning_rate={settings.learning_rate / 3:.1g}"
    )


@torch.inference_mode()
def predict_logits(
    network: Callable[[Tensor], Tensor],
    pixels: np.ndarray | Pictures,
    rows: np.ndarray,
    fabric: Fabric,
    batch: int = 256,
    mirror: bool = False,
    on_batch: Callable[[int], None] = lambda count: None,
) -> np.ndarray:
    """(k, width) float32 of `network` on pixels[rows]. mirror: average over each picture and its mirror image."""
    out = []
    for start in range(0, len(rows), batch):
        images = to_tensor(pixels[rows[start : start + batch]], fabric.device)
        with fabric.autocast():
            logits = network(images).float()
            if mirror:
                logits = (logits + network(images.flip(3)).float()) / 2
        out.append(logits.cpu().numpy())
        on_batch(len(images))
    return np.concatenate(out) if out else np.zeros((0, 0), dtype=np.float32)
