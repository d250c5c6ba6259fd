"""Where a workspace keeps its upscaler, which is no stage: nothing needs it, and it needs nothing but faces."""

from __future__ import annotations

from pathlib import Path

from labeling.workspace import Workspace

__all__ = ["MEASURED", "upscale_folder"]

MEASURED = "measured.json"
"""What `sga upscale measure` found, in that folder."""


def upscale_folder(workspace: Workspace) -> Path:
    """The folder; `upscaler.onnx` is there once the training is done."""
    return workspace.root / "upscale"
