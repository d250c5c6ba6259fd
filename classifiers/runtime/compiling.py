"""torch.compile where a machine has what it needs, and a clear word where it has not."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterable

import torch
from torch import nn

__all__ = ["compile_networks", "missing_to_compile"]


def missing_to_compile(device: torch.device) -> str | None:
    """What torch.compile needs on `device` and does not find; None = nothing."""
    if sys.platform == "win32":
        return "another system than Windows"
    if device.type == "cuda" and importlib.util.find_spec("triton") is None:
        return "Triton"
    compilers = [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "clang++"]
    if not any(shutil.which(name) for name in compilers):
        return f"a C++ compiler ({' or '.join(compilers)})"
    return None


def compile_networks(networks: Iterable[nn.Module], device: torch.device, tell: Callable[[str], None] = print) -> bool:
    """Compile calls of the networks, at their first call; `forward` stays as it is, for gradients of gradients.

    Weights, their names and checkpoints do not change. tell: gets the line that says why nothing is compiled. Returns whether
    they are.
    """
    missing = missing_to_compile(device)
    if missing is not None:
        tell(f"launch.compile is off: torch.compile needs {missing} and finds none here.")
        return False
    for network in networks:
        network.compile(dynamic=False)
    return True
