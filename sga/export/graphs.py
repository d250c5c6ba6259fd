"""Generator and judge as ONNX: pictures are uint8 on both sides."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from classifiers.heads import probabilities
from classifiers.sfn import StyleFeatureNetwork
from configs.errors import MissingExtra
from configs.files import atomic_path
from labeling.schema import Schema

if TYPE_CHECKING:
    from sga.export.weights import Storage

__all__ = ["GeneratorGraph", "JudgeGraph", "export_generator", "export_graph", "export_judge"]

OPSET = 18


class GeneratorGraph(nn.Module):
    """noise (n, noise_size), gender (n,) int64, style (n, style_size) → image (n, size, size, 3) uint8, rounded in the
    graph."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, noise: Tensor, gender: Tensor, style: Tensor | None = None) -> Tensor:
        """See the class."""
        image = self.generator(noise, gender, style)
        return ((image + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


class JudgeGraph(nn.Module):
    """image (n, size, size, 3) uint8 → probabilities (n, width), style (n, style_size), quality (n,), as model folders name
    them.

    As in calibration, logits and style are those of the face and of its mirror image, averaged; mirror: False = those of the
    face alone."""

    def __init__(self, network: StyleFeatureNetwork, schema: Schema, *, mirror: bool = True) -> None:
        super().__init__()
        self.network = network
        self.schema = schema
        self.mirror = mirror

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        pixels = image.permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1
        # Both views in one pass: in two, a runtime would hold and prepare the weights twice.
        logits, style = self.network.judge(torch.cat([pixels, pixels.flip(3)]) if self.mirror else pixels)
        if self.mirror:
            rows = image.shape[0]  # len would fix it in the graph
            logits, style = ((both[:rows] + both[rows:]) / 2 for both in (logits, style))
        told = []
        for attribute in self.schema:
            if attribute.role == "quality":
                continue
            said = probabilities(self.schema, attribute.name, logits)
            told.append(said if attribute.kind == "exclusive" else said[:, 1:])
        quality = logits[:, self.schema.logit_slices[self.schema.with_role("quality")[0].name]][:, 0].sigmoid()
        return torch.cat(told, dim=1), style, quality


def export_generator(path: Path, generator: nn.Module, noise_size: int, style_size: int, storage: Storage = "half") -> None:
    """Write generator.onnx."""
    inputs = {"noise": torch.zeros(2, noise_size), "gender": torch.zeros(2, dtype=torch.int64)}
    if style_size:
        inputs["style"] = torch.zeros(2, style_size)
    export_graph(path, GeneratorGraph(generator), inputs, ["image"], storage)


def export_judge(
    path: Path, network: StyleFeatureNetwork, schema: Schema, size: int, storage: Storage = "half", *, mirror: bool = True
) -> None:
    """Write judge.onnx, or another judge of the same inputs and outputs."""
    inputs = {"image": torch.zeros(2, size, size, 3, dtype=torch.uint8)}
    export_graph(path, JudgeGraph(network, schema, mirror=mirror), inputs, ["probabilities", "style", "quality"], storage)


def export_graph(
    path: Path,
    graph: nn.Module,
    inputs: dict[str, Tensor],
    outputs: list[str],
    storage: Storage,
    dims: Mapping[str, Mapping[int, Any]] | None = None,
) -> None:
    """Write a graph as ONNX. inputs: examples by name, whose first dimension stands for any number; dims: further dimensions
    (`torch.export.Dim`) of that kind, by input and place.

    Raises:
        MissingExtra: onnx or onnxscript is not installed.
        InputError: the place cannot be written.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  (what torch's exporter needs, and says unclearly)
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "onnx", "train") from error
    from sga.export.shuffle import speed_up
    from sga.export.weights import store_weights

    graph = graph.cpu().float().to(memory_format=torch.contiguous_format).eval()
    rows = torch.export.Dim("rows", min=1, max=4096)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter's notes on its own innards
        program = torch.onnx.export(
            graph,
            tuple(inputs.values()),
            input_names=list(inputs),
            output_names=outputs,
            dynamic_shapes=tuple({0: rows, **(dims or {}).get(name, {})} for name in inputs),
            opset_version=OPSET,
            dynamo=True,
            optimize=True,
            verbose=False,
        )
    assert program is not None
    model = speed_up(program.model_proto)
    store_weights(model, storage)
    model.doc_string = ""
    for node in model.graph.node:  # traces of source files would name the exporting machine's paths
        node.ClearField("metadata_props")
        node.doc_string = ""
    onnx.checker.check_model(model)
    with atomic_path(path) as temporary:
        temporary.write_bytes(model.SerializeToString())
