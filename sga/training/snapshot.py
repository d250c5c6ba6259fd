"""The generator as other stages read it: `generator.safetensors` and `generator.json`."""

from __future__ import annotations

import json
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

__all__ = ["load_generator", "load_weights", "save_generator", "save_weights"]

_FORMAT = 1


def save_weights(network: nn.Module, path: Path) -> None:
    """Write a network's state dict as safetensors, whole or not at all."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with atomic_path(path) as temporary:
        temporary.write_bytes(safetensors.torch.save(state))  # an OSError on a full disk, as every other file here


def load_weights(network: nn.Module, path: Path) -> None:
    """Load what `save_weights` wrote.

    Raises:
        WorkspaceError: no such file, a damaged one, or weights of another network.
    """
    if not path.is_file():
        raise WorkspaceError(f"Expected weights at {path}, found none. Run the stage that writes them first.")
    try:
        network.load_state_dict(safetensors.torch.load_file(path))
    except (SafetensorError, RuntimeError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise WorkspaceError(
            f"Expected weights of this network at {path}, found others ({reason}). Make that file again."
        ) from error


def save_generator(folder: Path, generator: nn.Module, settings: GanSettings, schema: Schema, images: int) -> None:
    """Write the two files. generator: the averaged one; images: seen in training."""
    save_weights(generator, folder / "generator.safetensors")
    write_json(
        folder / "generator.json",
        {
            "format": _FORMAT,
            "architecture": settings.generator.name,
            "arguments": settings.network_arguments("generator"),
            "schema": json.loads(schema.to_json()),
            "images": images,
            "settings": settings.model_dump(mode="json"),
        },
    )


def load_generator(folder: str | Path, device: torch.device | str = "cpu") -> nn.Module:
    """The generator in a folder (`<workspace>/gan`), in evaluation mode, without gradients.

    Raises:
        InputError: there is no generator.json, or it is not JSON.
        WorkspaceError: another format, or weights that are missing or do not fit.
    """
    folder = Path(folder)
    described: dict[str, Any] = read_json(folder / "generator.json")
    if described.get("format") != _FORMAT:
        raise WorkspaceError(f"Expected a generator of format {_FORMAT} in {folder}, found another. Train it again.")
    generator = make_network("generator", described["architecture"], **described["arguments"])
    load_weights(generator, folder / "generator.safetensors")
    return generator.to(memory_format=torch.channels_last).to(device).requires_grad_(False).eval()
