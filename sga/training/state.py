"""The one list of what a run is: networks, average, optimisers, position, and the terms since the last tick."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from classifiers.runtime import load_checkpoint, restore_optimizer, save_checkpoint, seed_step
from configs.errors import ConfigError, DivergedError, WorkspaceError
from sga.models import FrozenFeatures, make_network, reads_features
from sga.training.adaptive import AdaptiveAugment
from sga.training.clock import Clock
from sga.training.settings import GanSettings
from sga.training.snapshot import load_weights

__all__ = ["RunState", "Tally", "check_changes", "open_run", "read_run"]

_FORMAT = 1
_MAY_CHANGE = (
    *("images", "tick_images", "preview_images", "checkpoint_images", "checkpoint_minutes", "launch"),
    "warm_start.checkpoint_seconds",
)
_NEVER = ("size", "noise_size", "style_size", "style_source", "generator", "discriminator", "warm_start")


class Tally:
    """Means of terms since the last tick, kept on the device so that a step waits for nothing."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def add(self, terms: Mapping[str, Tensor]) -> None:
        """Add one step's raw terms, each 0-d."""
        for name, value in terms.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value.float()
            self.counts[name] = self.counts.get(name, 0) + 1

    def means(self) -> dict[str, float]:
        """Mean of each term, by name."""
        return {name: float(total) / self.counts[name] for name, total in sorted(self.sums.items())}


@dataclass
class RunState:
    """A run. seen, ticked, previewed, saved: images seen, at the last tick, preview and checkpoint (-1 = none yet)."""

    generator: nn.Module
    discriminator: nn.Module
    average: nn.Module
    generator_optimiser: torch.optim.Adam
    discriminator_optimiser: torch.optim.Adam
    adaptive: AdaptiveAugment | None = None
    seen: int = 0
    ticked: int = 0
    previewed: int = -1
    saved: int = -1
    tally: Tally = field(default_factory=Tally)
    clock: Clock = field(default_factory=Clock)

    def _parts(self) -> dict[str, Any]:
        names = ("generator", "discriminator", "average", "generator_optimiser", "discriminator_optimiser", "adaptive")
        return {name: part for name in names if (part := getattr(self, name)) is not None}

    def set_rates(self, settings: GanSettings, factor: float) -> None:
        """Set both learning rates for the next step, `factor` of what the settings say."""
        rates = (settings.learning_rate, settings.discriminator_learning_rate or settings.learning_rate)
        for optimiser, rate in zip((self.generator_optimiser, self.discriminator_optimiser), rates, strict=True):
            for group in optimiser.param_groups:
                if isinstance(group["lr"], Tensor):  # its place in memory is part of a recorded step
                    group["lr"].fill_(rate * factor)
                else:
                    group["lr"] = rate * factor

    def save(self, path: Path, settings: GanSettings, data: str) -> None:
        """Write the whole state. data: fingerprint of the training faces."""
        self.saved = self.seen
        position = {name: getattr(self, name) for name in ("seen", "ticked", "previewed", "saved")}
        tally = {"sums": {name: total.cpu() for name, total in self.tally.sums.items()}, "counts": dict(self.tally.counts)}
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        frame = {"format": _FORMAT, "settings": settings.model_dump(mode="json"), "data": data}
        save_checkpoint(path, {**frame, "position": position, "tally": tally, "clock": self.clock.totals(), **parts})

    def size(self) -> int:
        """Bytes of a checkpoint, nearly: weights, averages and both moments of the optimisers."""
        generator, discriminator = (sum(p.numel() for p in net.parameters()) for net in (self.generator, self.discriminator))
        return 4 * (4 * generator + 3 * discriminator)

    def restore(self, stored: Mapping[str, Any], device: torch.device) -> None:
        """Take over what `save` wrote."""
        for name, part in self._parts().items():
            if name not in stored:  # a setting accepted later begins here
                continue
            if isinstance(part, torch.optim.Optimizer):
                restore_optimizer(part, stored[name])
            else:
                part.load_state_dict(stored[name])
        for name, value in stored["position"].items():
            setattr(self, name, value)
        self.tally.sums = {name: total.to(device) for name, total in stored["tally"]["sums"].items()}
        self.tally.counts = dict(stored["tally"]["counts"])
        self.clock = Clock(stored.get("clock"))

    def check_finite(self, path: Path) -> None:
        """Refuse to go on once a term or a weight is no finite number.

        Raises:
            DivergedError: names the term, and the last good checkpoint.
        """
        bad = next((f"{name} = {value}" for name, value in self.tally.means().items() if not _is_finite(value)), None)
        if bad is None:
            networks = (self.generator, self.discriminator)
            if all(bool(torch.isfinite(p).all()) for network in networks for p in network.parameters()):
                return
            bad = "weights that are not"
        if self.saved < 0:
            raise DivergedError(
                f"Expected finite losses, found {bad} at {self.seen} images, before the first checkpoint. "
                "Type the same command with a lower rate: --set learning_rate=NUMBER"
            )
        raise DivergedError(
            f"Expected finite losses, found {bad} at {self.seen} images. The checkpoint at {self.saved} images is kept in "
            f"{path}; go on from it with a lower rate: type the same command with --accept-changes --set learning_rate=NUMBER"
        )


def _is_finite(value: float) -> bool:
    return value - value == 0


def read_run(folder: Path) -> dict[str, Any] | None:
    """The checkpoint of the run in `folder`; None where there is none yet.

    Raises:
        WorkspaceError: it is damaged, or of another format.
    """
    path = folder / "checkpoint.pt"
    stored = load_checkpoint(path)
    if stored is not None and stored.get("format") != _FORMAT:
        raise WorkspaceError(f"Expected a checkpoint of format {_FORMAT} at {path}, found another. Remove it to start anew.")
    return stored


def check_changes(
    stored: Mapping[str, Any], folder: Path, settings: GanSettings, data: str, *, accept_changes: bool = False
) -> None:
    """Refuse to go on with other settings or faces than those of the run in `folder`, before anything there is touched.

    data: fingerprint of the faces that are here now. Accepted changes need images that are still to be seen: a finished run
    would stay what it was made from.

    Raises:
        ConfigError: names the setting, or the images that a finished run needs.
        WorkspaceError: the faces are others.
    """
    seen = int(stored["position"]["seen"])
    finished = seen >= settings.images
    more = f" --set images={seen + max(seen // 4, settings.batch)}" if finished else ""
    type_this = f"type, with the preset and settings of this run: sga train --accept-changes{more} --workspace {folder.parent}"
    differences = _differences(_as_known_now(stored["settings"]), settings.model_dump(mode="json"))
    changes = [change for change in differences if not _among(change[0], _MAY_CHANGE)]
    for name, before, after in changes:
        if accept_changes and not _among(name, _NEVER):
            continue
        way = "" if _among(name, _NEVER) else f" To go on with the new value {type_this}"
        raise ConfigError(
            f"Expected {name} to be {before} as in the run that {folder / 'checkpoint.pt'} continues, found {after}. "
            f"Set it back, or remove {folder} to start anew.{way}"
        )
    if stored["data"] != data and not accept_changes:
        raise WorkspaceError(
            f"Expected the faces, labels and styles that the run in {folder} began with, found others. "
            f"Remove {folder} to start anew. To go on with the new ones {type_this}"
        )
    if finished and (changes or stored["data"] != data):
        raise ConfigError(
            f"Expected more images than the {seen} that the finished run in {folder} has seen, for it to learn from what "
            f"changed, found {settings.images}. To go on {type_this}"
        )


def open_run(
    stored: Mapping[str, Any] | None,
    folder: Path,
    settings: GanSettings,
    device: torch.device,
    features: FrozenFeatures | None = None,
) -> RunState:
    """The run that `read_run` found in `folder`, or where it found none a new one. features: for a discriminator that looks
    through them.

    Raises:
        WorkspaceError: a warm start is asked for and cannot be read.
    """
    seed_step(settings.seed, -1)
    state = _new_state(settings, device, features)
    if stored is not None:
        state.restore(stored, device)
    elif settings.warm_start:
        load_weights(state.generator, folder / "warm_start.safetensors")
        state.average.load_state_dict(state.generator.state_dict())
    return state


def _new_state(settings: GanSettings, device: torch.device, features: FrozenFeatures | None) -> RunState:
    def make(kind: Any) -> nn.Module:
        name = getattr(settings, kind).name
        more = {"features": features} if reads_features(kind, name) else {}
        network = make_network(kind, name, **settings.network_arguments(kind), **more)
        return network.to(memory_format=torch.channels_last).to(device)

    generator, discriminator = make("generator"), make("discriminator")

    def adam(network: nn.Module) -> torch.optim.Adam:
        graphs = settings.launch.graphs and device.type == "cuda"
        rate = torch.tensor(settings.learning_rate, device=device) if graphs else settings.learning_rate
        return torch.optim.Adam(network.parameters(), lr=rate, betas=settings.betas, fused=True, capturable=graphs)

    average = copy.deepcopy(generator).requires_grad_(False).eval()
    adaptive = None
    if settings.adaptive_augment is not None:
        adaptive = AdaptiveAugment(settings.adaptive_augment, settings.adaptive_images).to(device)
    return RunState(generator, discriminator, average, adam(generator), adam(discriminator), adaptive)


def _as_known_now(stored: dict[str, Any]) -> dict[str, Any]:
    """Settings of an older version's run as this one reads them: what it did not know yet was as the default says."""
    try:
        return GanSettings.model_validate(stored).model_dump(mode="json")
    except ValidationError:  # a setting that is no more: it shows as a difference
        return stored


def _among(name: str, group: tuple[str, ...]) -> bool:
    """Whether a setting, or the part of the settings it belongs to, is in `group`."""
    return name in group or name.split(".")[0] in group


def _differences(old: Any, new: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            yield from _differences(old.get(key), new.get(key), f"{name}.{key}" if name else str(key))
    elif old != new:
        yield name, old, new
