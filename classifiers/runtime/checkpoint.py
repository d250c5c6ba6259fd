"""One file that is the whole state of a run, replaced atomically. Tensors and plain values only: nothing is unpickled."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from configs.errors import WorkspaceError
from configs.files import atomic_path

__all__ = ["load_checkpoint", "restore_optimizer", "save_checkpoint"]

_OURS = ("lr", "fused", "foreach", "capturable")


def save_checkpoint(path: str | Path, state: dict[str, Any]) -> None:
    """Write `state` (nested dicts and lists of tensors, numbers and text), whole or not at all."""
    # Through Python's file: torch's own writer would report a full disk as an inner error of its archive.
    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        torch.save(state, handle)


def load_checkpoint(path: str | Path) -> dict[str, Any] | None:
    """What `save_checkpoint` wrote, on the CPU; None where there is no file.

    Raises:
        WorkspaceError: the file is damaged, or holds more than tensors and plain values.
    """
    path = Path(path)
    if not path.is_file():
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on pickles of other programs, which are refused anyway
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, LookupError, AttributeError, TypeError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise WorkspaceError(
            f"Expected a checkpoint at {path}, found a damaged file ({reason}). Remove it to start this stage anew."
        ) from error
    if not isinstance(state, dict):
        raise WorkspaceError(f"Expected a checkpoint at {path}, found a {type(state).__name__}. Remove it to start anew.")
    return state


def restore_optimizer(optimizer: torch.optim.Optimizer, stored: Mapping[str, Any]) -> None:
    """Take over the moments of a stored state dict. How the step is computed is this machine's choice, whichever began the
    run; and the rate is the caller's, anew in every step."""
    ours = [{name: group[name] for name in _OURS} for group in optimizer.param_groups]
    groups = [{**group, **own} for group, own in zip(stored["param_groups"], ours, strict=True)]
    optimizer.load_state_dict({"state": stored["state"], "param_groups": groups})
