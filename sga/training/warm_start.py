"""Warm start: the generator first learns to draw as the decoder of a variational autoencoder over the real faces.

A GAN from scratch spends its first tens of thousands of images on noise. A decoder with the same weights draws recognisable
faces after as many, so where compute is short the adversarial training starts from there. Its terms: L1, a perceptual distance
on the early layers of the workspace's own style feature network, and a weak KL term. The perceptual distance sharpens eyes and
pays with a grid of dots, whatever was tried against them here (a weight of 0.2 instead of 1, features of unit length or not,
offsets over all strides, a penalty on the spectrum; 25,000 images each): where a texture cannot be placed, any texture is
nearer to the real features than none. The adversarial training's spectral term takes most of them out later. Afterwards the
posterior of all faces is fitted as a Gaussian that depends linearly on the condition, and the map from the generator's
truncated normal prior to it is folded into the generator's first layer: drawing needs nothing new.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from classifiers.runtime import RunLog, load_checkpoint, progress_bar, seed_step
from classifiers.sfn import load_sfn
from configs.errors import WorkspaceError
from configs.files import atomic_path, read_json, write_json
from labeling.workspace import Workspace
from sga.condition import truncated_normal
from sga.losses.perceptual import Perception
from sga.models import ConditionalGenerator, make_network
from sga.models.encoder import Encoder
from sga.training.cleaning import ALWAYS_KEPT
from sga.training.clock import Clock
from sga.training.data import RealBatch, TrainingFaces
from sga.training.decoder import align_prior, warm_start
from sga.training.preview import write_images
from sga.training.settings import GanSettings, WarmStartSettings
from sga.training.snapshot import load_weights, save_weights

if TYPE_CHECKING:
    from lightning.fabric import Fabric

__all__ = ["Anchor", "align_prior", "prepare_warm_start", "select_faces", "warm_start", "warm_start_clock"]

_FILES = ("warm_start.safetensors", "warm_start_encoder.safetensors", "warm_start.json")
"""A finished warm start; the last one is written when the others are whole."""


@dataclass(frozen=True)
class Anchor:
    """The warm start's terms as one more of the adversarial training: the generator must still be able to draw real faces."""

    encoder: Encoder
    perception: Perception
    settings: WarmStartSettings
    perceptual: float = 1.0

    def __call__(self, fabric: Fabric, generator: nn.Module, real: RealBatch) -> Tensor:
        """0-d: pixel distance, and `perceptual` of the perceptual one, between real faces and what the generator makes of their
        encoded noise."""
        return self.distances(fabric, generator, real, self.perceptual).mean()

    def distances(self, fabric: Fabric, generator: nn.Module, real: RealBatch, perceptual: float = 1.0) -> Tensor:
        """(n,) the same, face by face."""
        gender = real.gender.clamp(min=0)
        with fabric.autocast():
            with torch.no_grad():
                noise = self.encoder(real.images, generator.condition(gender, real.style))  # type: ignore[operator]
            drawn = generator(noise, gender, real.style).float()
            weight = self.settings.perceptual * perceptual
            likeness = self.perception(drawn, real.images) if weight > 0 else torch.zeros_like(drawn[:, 0, 0, 0])
        pixel = (drawn - real.images).abs().mean(dim=(1, 2, 3))
        return self.settings.pixel * pixel + weight * likeness


def prepare_warm_start(
    workspace: Workspace,
    settings: GanSettings,
    faces: TrainingFaces,
    fabric: Fabric,
    enough: Callable[[Clock], bool] = lambda clock: False,
    shared: Path | None = None,
    *,
    progress: bool = True,
) -> Anchor:
    """The warm start of a run: trained where it is not there yet, then read from `gan/warm_start*.safetensors`.

    Stopped and typed again, it continues; other settings or faces start it anew. Once the adversarial training has begun it
    stays as it is, also where that goes on with other faces. enough: whether it has trained for long enough for now. shared:
    gan folder of a run whose warm start is taken where there is none yet, of the same settings, generator and style feature
    network; its faces, or what is made of their labels, may be others.

    Raises:
        Stopped: it was asked to stop, or it is enough; what was trained is saved.
        WorkspaceError: the adversarial training has begun and the files of its warm start are gone, or `shared` does not fit.
    """
    asked = settings.warm_start
    assert asked is not None  # the caller's condition
    folder = workspace.folder("gan")
    seed_step(settings.seed, -5)  # whatever ran before in this process
    encoder = Encoder(settings.size, settings.noise_size, 1 + settings.style_size, asked.channels)
    network, _, _ = load_sfn(workspace.folder("sfn") / "network.safetensors")
    perception = Perception(network.backbone, asked.layers).to(fabric.device)
    stamp = {
        "settings": asked.model_dump(mode="json", exclude={"checkpoint_seconds"}),
        "faces": faces.fingerprint(),
        "generator": settings.network_arguments("generator"),
        "sfn": (workspace.record("sfn") or {}).get("output"),
        "seed": settings.seed,
    }
    stamped, weights = folder / "warm_start.json", folder / "warm_start_encoder.safetensors"
    lost = [file for file in (folder / "warm_start.safetensors", weights) if not file.is_file()]
    if (folder / "checkpoint.pt").is_file():
        if lost:
            raise WorkspaceError(
                f"Expected {lost[0].name}, with which the run in {folder} began, found none. Put it back, or remove {folder} "
                "to start anew."
            )
    elif lost or not stamped.is_file() or {**read_json(stamped), "clock": None} != {**stamp, "clock": None}:
        if shared is None:
            _train_warm_start(folder, stamp, encoder, perception, settings, faces, fabric, enough, progress=progress)
        else:
            _check_shared(shared, folder, stamp)
            fabric.barrier()  # no process looks at the files after another has begun to write them
            if fabric.is_global_zero:
                _copy_warm_start(shared, folder, stamp)
        fabric.barrier()
    load_weights(encoder, weights)
    encoder.to(fabric.device, memory_format=torch.channels_last).requires_grad_(False).eval()  # type: ignore[call-overload]
    return Anchor(encoder, perception, asked, settings.weights.anchor_perceptual)


def _train_warm_start(
    folder: Path,
    stamp: dict[str, Any],
    encoder: Encoder,
    perception: Perception,
    settings: GanSettings,
    faces: TrainingFaces,
    fabric: Fabric,
    enough: Callable[[Clock], bool],
    *,
    progress: bool,
) -> None:
    """Train, or go on training, the warm start that `stamp` names, and write its files."""
    asked = settings.warm_start
    assert asked is not None
    started, checkpoint = folder / "warm_start.started.json", folder / "warm_start.checkpoint.pt"
    if not (started.is_file() and read_json(started) == stamp):
        checkpoint.unlink(missing_ok=True)
        write_json(started, stamp)
    seed_step(settings.seed, -2)
    generator = make_network("generator", settings.generator.name, **settings.network_arguments("generator"))
    assert isinstance(generator, ConditionalGenerator)
    stored, began = load_checkpoint(checkpoint), time.monotonic()
    before = 0 if stored is None else int(stored["seen"])
    with progress_bar(progress) as bar, RunLog(folder / "warm_start", seen=before) as log:
        task = bar.add_task("warm start", total=asked.images, note="")

        def on_step(seen: int, values: dict[str, float]) -> None:
            bar.update(task, completed=min(seen, asked.images), note=f"L1 {values['W/pixel']:.3f}")
            if (seen // asked.batch) % 20 == 0 or seen >= asked.images:
                seconds = time.monotonic() - began
                times = {"time/hours": seconds / 3600, "time/images_per_second": (seen - before) / seconds}
                log.tick(seen, {**values, **times})

        clock = warm_start(
            generator,
            encoder,
            perception,
            faces,
            asked,
            fabric,
            seed=settings.seed,
            checkpoint=checkpoint,
            on_step=on_step,
            enough=enough,
        )
    if fabric.is_global_zero:
        write_reconstructions(folder / "preview" / "warm_start.png", generator, encoder, faces, fabric)
        save_weights(encoder, folder / "warm_start_encoder.safetensors")
        save_weights(generator, folder / "warm_start.safetensors")
        write_json(folder / "warm_start.json", {**stamp, "clock": clock.totals()})
        checkpoint.unlink(missing_ok=True)
        started.unlink(missing_ok=True)


def _check_shared(source: Path, folder: Path, stamp: dict[str, Any]) -> None:
    """Raise a WorkspaceError where `source` has no finished warm start, or not the one that `stamp` asks for."""
    stamped = source / _FILES[-1]
    if lost := [name for name in _FILES if not (source / name).is_file()]:
        raise WorkspaceError(
            f"Expected the gan folder of a run with a finished warm start, found no {source / lost[-1]}. Train that run first, "
            "or name another: --set warm_start_from=FOLDER"
        )
    found = read_json(stamped)
    for name in ("settings", "generator", "sfn"):
        if found[name] != stamp[name]:
            raise WorkspaceError(
                f"Expected the warm start in {source} to have the {name} {stamp[name]} of the run in {folder}, found "
                f"{found[name]}. Leave this preset to its own warm start, or set what differs."
            )


def _copy_warm_start(source: Path, folder: Path, stamp: dict[str, Any]) -> None:
    """Begin a run with the warm start of the one in `source`, whose time stays with that one."""
    for name in _FILES[:-1]:
        with atomic_path(folder / name) as temporary:
            shutil.copyfile(source / name, temporary)
    write_json(folder / _FILES[-1], stamp)
    for half_done in ("warm_start.checkpoint.pt", "warm_start.started.json"):
        (folder / half_done).unlink(missing_ok=True)


def warm_start_clock(folder: Path) -> Clock:
    """How long the warm start in a run's folder has trained, as far as it was noted."""
    stamped = folder / "warm_start.json"
    noted = read_json(stamped) if stamped.is_file() else load_checkpoint(folder / "warm_start.checkpoint.pt")
    return Clock((noted or {}).get("clock"))


@torch.no_grad()
def select_faces(folder: Path, anchor: Anchor, faces: TrainingFaces, settings: GanSettings, fabric: Fabric) -> np.ndarray:
    """(k,) int64 rows of the faces that the decoder draws best, the same part of each gender.

    Instance selection (DeVries et al. 2020): where compute is short, odd poses and crowded pictures teach the networks little
    and cost them much. Kept in `gan/selection.npz`, so that a run continues on the same faces.
    """
    path = folder / "selection.npz"
    if path.is_file():
        with np.load(path, allow_pickle=False) as stored:
            if str(stored["faces"]) == faces.fingerprint() and float(stored["part"]) == settings.selection:
                kept: np.ndarray = stored["rows"]
                return kept
    generator = make_network("generator", settings.generator.name, **settings.network_arguments("generator"))
    load_weights(generator, folder / "warm_start.safetensors")
    generator = generator.to(fabric.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    seed_step(settings.seed, -3)
    distances = np.concatenate(
        [
            anchor.distances(fabric, generator, faces.batch(rows, fabric.device)).float().cpu().numpy()
            for rows in np.array_split(np.arange(len(faces)), max(1, len(faces) // 128))
        ]
    )
    rows = [np.flatnonzero(faces.gender == gender) for gender in (-1, 0, 1)]
    kept_of = [max(round(settings.selection * len(group)), min(len(group), ALWAYS_KEPT)) for group in rows]
    best = [group[np.argsort(distances[group], kind="stable")[:kept]] for group, kept in zip(rows, kept_of, strict=True)]
    chosen = np.sort(np.concatenate(best))
    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        np.savez(
            handle,
            rows=chosen,
            faces=np.array(faces.fingerprint()),
            part=np.array(settings.selection),
        )
    return chosen


@torch.no_grad()
def write_reconstructions(
    path: Path, generator: nn.Module, encoder: Encoder, faces: TrainingFaces, fabric: Fabric, count: int = 12
) -> None:
    """Three rows: real faces, what the decoder makes of them, other noise under their conditions. Stays in the workspace."""
    rows = np.linspace(0, len(faces) - 1, count).astype(np.int64)
    batch = faces.batch(rows, fabric.device)
    gender = batch.gender.clamp(min=0)
    seed_step(0, 0)
    with fabric.autocast():
        noise = encoder(batch.images, generator.condition(gender, batch.style))  # type: ignore[operator]
        again = generator(noise, gender, batch.style)
        other = generator(truncated_normal(count, noise.shape[1], device=fabric.device), gender, batch.style)
    write_images(path, torch.cat([batch.images, again.float(), other.float()]), count)
