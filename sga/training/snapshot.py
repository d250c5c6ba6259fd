"""The generator as other stages read it: `generator.safetensors` and `generator.json`."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from configs.errors import WorkspaceError
from configs.files import atomic_path, read_json, write_json
from labeling.schema import Schema
from sga.models import make_network
from sga.training.settings import GanSettings

__all__ = ["StoredGenerator", "load_generator", "load_weights", "read_generator", "save_generator", "save_weights"]

_FORMAT = 1
_PATIENCE = 10.0
"""Seconds in which a training has written the second of the two files."""


def save_weights(network: nn.Module, path: Path) -> str:
    """Write a network's state dict as safetensors, whole or not at all; returns its name, see `StoredGenerator.hash`."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    weights = safetensors.torch.save(state)
    with atomic_path(path) as temporary:
        temporary.write_bytes(weights)  # an OSError on a full disk, as every other file here
    return _hash(weights)


def load_weights(network: nn.Module, path: Path) -> None:
    """Load what `save_weights` wrote.

    Raises:
        WorkspaceError: no such file, a damaged one, or weights of another network.
    """
    _fill(network, _read(path), path)


def _hash(weights: bytes) -> str:
    return hashlib.sha256(weights).hexdigest()[:16]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise WorkspaceError(f"Expected weights at {path}, found none. Run the stage that writes them first.") from error
    except OSError as error:
        raise _others(path, error) from error


def _fill(network: nn.Module, weights: bytes, path: Path) -> None:
    try:
        network.load_state_dict(safetensors.torch.load(weights))
    except (SafetensorError, RuntimeError) as error:
        raise _others(path, error) from error


def _others(path: Path, error: Exception) -> WorkspaceError:
    reason = str(error).splitlines()[0]
    return WorkspaceError(f"Expected weights of this network at {path}, found others ({reason}). Make that file again.")


def save_generator(folder: Path, generator: nn.Module, settings: GanSettings, schema: Schema, images: int) -> None:
    """Write the two files. generator: the averaged one; images: seen in training."""
    weights = save_weights(generator, folder / "generator.safetensors")
    write_json(
        folder / "generator.json",
        {
            "format": _FORMAT,
            "architecture": settings.generator.name,
            "arguments": settings.network_arguments("generator"),
            "schema": json.loads(schema.to_json()),
            "images": images,
            "weights": weights,
            "settings": settings.model_dump(mode="json"),
        },
    )


@dataclass(frozen=True)
class StoredGenerator:
    """The two files of one checkpoint. described: generator.json; weights: the bytes of generator.safetensors at `path`."""

    described: dict[str, Any]
    weights: bytes
    path: Path

    @property
    def hash(self) -> str:
        """16 hex digits of the weights' SHA-256."""
        return _hash(self.weights)

    def network(self, device: torch.device | str = "cpu") -> nn.Module:
        """The generator in evaluation mode, without gradients.

        Raises:
            WorkspaceError: weights that are damaged or of another network.
        """
        generator = make_network("generator", self.described["architecture"], **self.described["arguments"])
        _fill(generator, self.weights, self.path)
        return generator.to(memory_format=torch.channels_last).to(device).requires_grad_(False).eval()


def read_generator(folder: str | Path) -> StoredGenerator:
    """The generator in a folder (`<workspace>/gan`), also while a training replaces its files, one after the other.

    Raises:
        InputError: there is no generator.json, or it is not JSON.
        WorkspaceError: another format, no weights, or those of another checkpoint: the training was killed between the two.
    """
    folder, until = Path(folder), time.monotonic() + _PATIENCE
    path = folder / "generator.safetensors"
    while True:
        described: dict[str, Any] = read_json(folder / "generator.json")
        if described.get("format") != _FORMAT:
            raise WorkspaceError(f"Expected a generator of format {_FORMAT} in {folder}, found another. Train it again.")
        stored = StoredGenerator(described, _read(path), path)
        if described.get("weights", stored.hash) == stored.hash:  # earlier versions did not name them
            return stored
        if time.monotonic() > until:
            raise WorkspaceError(
                f"Expected the weights that {folder / 'generator.json'} names, found those of another checkpoint in {path}. "
                "Type the same sga train again: it writes both anew."
            )
        time.sleep(0.05)


def load_generator(folder: str | Path, device: torch.device | str = "cpu") -> nn.Module:
    """The generator in a folder (`<workspace>/gan`), in evaluation mode, without gradients.

    Raises:
        InputError: there is no generator.json, or it is not JSON.
        WorkspaceError: another format, or weights that are missing or do not fit.
    """
    return read_generator(folder).network(device)
