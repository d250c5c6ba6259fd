"""Training of the upscaler: counted in crops, the same again after a stop, one folder in the workspace."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from classifiers.runtime import (
    RunLog,
    Stopped,
    agree,
    alone,
    launch,
    load_checkpoint,
    progress_bar,
    reads_terms,
    restore_optimizer,
    save_checkpoint,
    seed_step,
    stop_requests,
)
from configs.errors import ConfigError, DivergedError, InputError, WorkspaceError
from configs.files import atomic_path, check_space, write_json
from labeling.workspace import Workspace
from sga.losses import ADVERSARIAL
from sga.model_folder import UPSCALER
from sga.upscale.data import Originals, load_originals
from sga.upscale.losses import charbonnier, edge_distance
from sga.upscale.network import PatchDiscriminator, UpscaleNetwork
from sga.upscale.place import upscale_folder
from sga.upscale.settings import UpscaleSettings

if TYPE_CHECKING:
    from lightning.fabric import Fabric

__all__ = ["TrainedUpscaler", "train_upscaler"]

_NO_MATTER = {"checkpoint_seconds", "tick_images", "launch"}
"""Settings that do not change what is learnt."""
_GAME = ADVERSARIAL["relativistic"]


@dataclass(frozen=True)
class TrainedUpscaler:
    """What a training left: the folder with `upscaler.onnx`, crops seen, and crops a second in this call (0 = none)."""

    folder: Path
    images: int
    speed: float


def train_upscaler(workspace: Workspace, settings: UpscaleSettings, *, progress: bool = True) -> TrainedUpscaler:
    """Train, or go on training, on the faces of the split train.

    Writes into `<workspace>/upscale`: checkpoint.pt (the whole state), stats.jsonl, tensorboard/, and at the end
    upscaler.safetensors, upscaler.json and upscaler.onnx. The same call goes on where the checkpoint is, and ends in the same
    weights as a run that was never interrupted (bit for bit on a CPU).

    Raises:
        Stopped: it was asked to stop; the checkpoint is written.
        WorkspaceError: no faces, or the checkpoint is of other settings or faces.
        InputError: faces too small for the crops, too little room on the disk, or another training of the upscaler at work in
            the workspace.
        ConfigError: a batch that the processes cannot share.
        DivergedError: a loss or weight left the finite numbers.
    """
    fabric = launch(settings.launch)
    if settings.batch % fabric.world_size:
        raise ConfigError(
            f"Expected a batch that {fabric.world_size} processes share evenly, found {settings.batch}. "
            f"Type: --set batch={fabric.world_size * max(1, settings.batch // fabric.world_size)}"
        )
    originals = load_originals(workspace, "train")
    if settings.crop * settings.scale > originals.images.shape[1]:
        most = originals.images.shape[1] // settings.scale
        raise InputError(
            f"Expected crops of at most {most} px, for the faces have {originals.images.shape[1]} px; found {settings.crop}. "
            f"Type: --set crop={most}"
        )
    folder = upscale_folder(workspace)
    with alone(fabric, folder, "sga upscale train"):
        run = _Run(fabric, settings, originals, folder / "checkpoint.pt")
        speed = run.train(progress=progress)
        if fabric.is_global_zero:
            _write(folder, run.network.cpu(), settings, run.seen)
        fabric.barrier()
    return TrainedUpscaler(folder, run.seen, speed)


def _write(folder: Path, network: UpscaleNetwork, settings: UpscaleSettings, seen: int) -> None:
    """What others read, the ONNX file last."""
    from safetensors.torch import save_file

    from sga.upscale.graph import export_upscaler

    with atomic_path(folder / "upscaler.safetensors") as temporary:
        save_file({name: value.contiguous() for name, value in network.state_dict().items()}, temporary)
    write_json(folder / "upscaler.json", {"settings": settings.model_dump(mode="json"), "images": seen})
    export_upscaler(folder / UPSCALER, network)


class _Run:
    """Networks, optimisers and position of one training."""

    def __init__(self, fabric: Fabric, settings: UpscaleSettings, originals: Originals, checkpoint: Path) -> None:
        self.fabric, self.settings, self.originals, self.checkpoint = fabric, settings, originals, checkpoint
        torch.manual_seed(settings.seed)
        self.network = UpscaleNetwork(settings.channels, settings.blocks, settings.scale)
        self.networks: dict[str, nn.Module] = {"network": self.network}
        if settings.weights.adversarial > 0:
            self.networks["discriminator"] = PatchDiscriminator()
        self.seen, self.saved = 0, time.monotonic()
        self.models, self.optimizers = {}, {}
        for name, network in self.networks.items():
            network.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate, betas=(0.9, 0.99))
            self.models[name], self.optimizers[name] = fabric.setup(network, optimizer)
        self.identity = f"{settings.model_dump_json(exclude=_NO_MATTER)} {originals.name}"
        stored = load_checkpoint(checkpoint)
        if stored is None:
            check_space(checkpoint.parent, 2**26)
        else:
            self._restore(stored)

    def _restore(self, state: dict[str, Any]) -> None:
        if state["identity"] != self.identity:
            raise WorkspaceError(
                f"Expected the settings and faces that {self.checkpoint} was started with, found others. "
                "Remove it to train an upscaler anew."
            )
        for name, network in self.networks.items():
            network.load_state_dict(state[name])
            restore_optimizer(self.optimizers[name], state[f"{name}/optimizer"])
        self.seen = state["seen"]

    def save(self) -> None:
        """Write the whole state, if it is finite."""
        self._check_weights()
        state: dict[str, Any] = {"identity": self.identity, "seen": self.seen}
        for name, network in self.networks.items():
            state |= {name: network.state_dict(), f"{name}/optimizer": self.optimizers[name].state_dict()}
        save_checkpoint(self.checkpoint, state)
        self.saved = time.monotonic()

    def train(self, *, progress: bool) -> float:
        """Train to the end; crops a second of this call."""
        settings, fabric, begun, started = self.settings, self.fabric, self.seen, time.monotonic()
        first, terms = fabric.is_global_zero, {}
        opened = RunLog(self.checkpoint.parent, seen=begun) if first else nullcontext()
        with opened as log, progress_bar(progress and first) as bar, stop_requests() as asked:
            task = bar.add_task("upscaler", total=settings.images, completed=begun, note="")
            while self.seen < settings.images:
                stopping, late = agree(fabric, asked(), time.monotonic() - self.saved > settings.checkpoint_seconds)
                if first and (stopping or late):
                    self.save()
                if stopping:
                    fabric.barrier()
                    raise Stopped
                losses = self.step()
                self.seen += settings.batch
                speed = (self.seen - begun) / max(time.monotonic() - started, 1e-9)
                if reads_terms(fabric.device, self.seen // settings.batch) or self.seen >= settings.images:
                    terms = self._finite(losses)
                bar.update(task, completed=self.seen, note=f"{speed:.1f} crops/s")
                if log is not None and self.seen // settings.tick_images > (self.seen - settings.batch) // settings.tick_images:
                    rate = settings.learning_rate * _factor(settings, self.seen)
                    log.tick(self.seen, {**terms, "learning_rate": rate, "time/images_per_second": speed})
        if self.seen > begun and first:
            self.save()
        self._check_weights()
        return (self.seen - begun) / max(time.monotonic() - started, 1e-9)

    def step(self) -> dict[str, Tensor]:
        """One step of the network, and of the discriminator where there is one. Returns the raw terms."""
        settings, fabric = self.settings, self.fabric
        seed_step(settings.seed, self.seen, fabric.global_rank)
        share = settings.batch // fabric.world_size
        small, large = self.originals.batch(settings, self.seen, fabric.global_rank, share, fabric.device)
        made = self.models["network"](small)
        losses = {"pixel": charbonnier(made, large), "edge": edge_distance(made, large)}
        judge = self.models.get("discriminator")
        if judge is not None:
            # Its own step reads a copy, and comes first: the network then answers to what it has learnt from this very batch.
            losses["discriminator"] = _GAME.discriminator(judge(large), judge(made.detach()))
            self._descend("discriminator", losses["discriminator"])
            judge.requires_grad_(False)
            losses["adversarial"] = _GAME.generator(judge(made), judge(large))
            judge.requires_grad_(True)
        weights = settings.weights.model_dump()
        total = torch.stack([weights[name] * losses[name] for name in weights if name in losses]).sum()
        self._descend("network", total)
        return losses

    def _descend(self, name: str, loss: Tensor) -> None:
        optimizer = self.optimizers[name]
        for group in optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * _factor(self.settings, self.seen)
        optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        optimizer.step()

    def _finite(self, losses: dict[str, Tensor]) -> dict[str, float]:
        terms = {f"loss/{name}": value.item() for name, value in losses.items()}
        for name, value in terms.items():
            if not math.isfinite(value):
                raise self._diverged(f"{name} = {value}")
        return terms

    def _check_weights(self) -> None:
        for network in self.networks.values():
            if not all(bool(torch.isfinite(value).all()) for value in network.state_dict().values()):
                raise self._diverged("weights that are not")

    def _diverged(self, found: str) -> DivergedError:
        return DivergedError(
            f"Expected finite losses and weights, found {found} after {self.seen} crops. Remove {self.checkpoint} and type the "
            f"command again with a smaller step: --set learning_rate={self.settings.learning_rate / 3:.1g}"
        )


def _factor(settings: UpscaleSettings, seen: int) -> float:
    """Of the learning rate: up over the first 2 %, then a half cosine down to 0."""
    warmup = 0.02 * settings.images
    if seen < warmup:
        return (seen + settings.batch) / (warmup + settings.batch)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (seen - warmup) / max(1.0, settings.images - warmup))))
