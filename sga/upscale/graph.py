"""The upscaler as ONNX: pictures are uint8 on both sides, of any height and width."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from sga.export.graphs import export_graph
from sga.upscale.network import UpscaleNetwork

__all__ = ["UpscaleGraph", "export_upscaler"]


class UpscaleGraph(nn.Module):
    """image (n, h, w, 3) uint8 to large (n, scale·h, scale·w, 3) uint8, rounded in the graph."""

    def __init__(self, network: UpscaleNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        large = self.network(image.permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1)
        return ((large + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def export_upscaler(path: Path, network: UpscaleNetwork) -> None:
    """Write upscaler.onnx, its weights in half precision.

    Raises:
        MissingExtra: onnx is not installed.
        InputError: the place cannot be written.
    """
    edges = {1: torch.export.Dim("height", min=1, max=2**14), 2: torch.export.Dim("width", min=1, max=2**14)}
    image = torch.zeros(2, 24, 32, 3, dtype=torch.uint8)
    export_graph(path, UpscaleGraph(network), {"image": image}, ["large"], "half", {"image": edges})
