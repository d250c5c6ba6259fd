"""The model and the face cascade to be measured with, and the summary."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sga.model_folder import DEFAULT_MODEL, seal_model_folder

FIGURES: list[str] = []
CASCADE = "lbpcascade_animeface.xml"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faces", type=int, default=10_000, help="faces of the long runs; fewer for a quick look")
    parser.addoption(
        "--cascade", help=f"face cascade (an OpenCV XML); default: {CASCADE} in the folder that SGA_REAL_DATA names"
    )


@pytest.fixture
def figure() -> Callable[[str], None]:
    """Adds a line to the summary."""
    return FIGURES.append


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if FIGURES:
        terminalreporter.section("figures")
        for line in FIGURES:
            terminalreporter.write_line(line)


@pytest.fixture
def cascade(request: pytest.FixtureRequest) -> Path:
    """The face cascade, an OpenCV XML. Absent: the benchmark is skipped."""
    named = request.config.getoption("cascade", None)
    beside = Path(__file__).parents[3] / "shared" / "data"
    path = Path(named) if named else Path(os.environ.get("SGA_REAL_DATA", beside)) / CASCADE
    if not path.is_file():
        pytest.skip(f"no face cascade at {path}: pass --cascade FILE, or set SGA_REAL_DATA to the folder that holds {CASCADE}")
    return path


@pytest.fixture(scope="session")
def measured_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model that ships, or where none does a stand-in of the same size: SRResNet and a convolutional judge, untrained."""
    if DEFAULT_MODEL.is_dir():
        FIGURES.append("model: the one that ships")
        return DEFAULT_MODEL
    onnx = pytest.importorskip("onnx")
    from sga.export.shuffle import speed_up

    FIGURES.append("model: an untrained stand-in (SRResNet, 16 blocks)")
    folder = tmp_path_factory.mktemp("model")
    generator = onnx.load_model_from_string(_srresnet())
    (folder / "generator.onnx").write_bytes(speed_up(generator).SerializeToString())
    (folder / "judge.onnx").write_bytes(_judge())
    style = np.zeros((8, 30), np.float16)
    np.savez(folder / "styles.npz", style=style, gender=np.arange(8, dtype=np.int8) % 2)
    seal_model_folder(folder, _spec())
    return folder


def _spec() -> dict[str, Any]:
    attributes = [
        {"name": "gender", "kind": "exclusive", "role": "gender", "values": ["female", "male"]},
        {"name": "quality", "kind": "ordinal", "role": "quality", "values": ["low", "median", "high"]},
    ]
    return {
        **{"name": "stand-in", "schema": {"name": "faces", "attributes": attributes}, "size": 96, "noise_size": 128},
        **{"style_size": 30, "style_prior": "empirical", "style_jitter": 1.0, "micro_batch": 8},
        **{"thresholds": {"quality": 0.5, "gender": 0.0}, "defaults": {"max_attempts": 16}},
    }


class Graph:
    """Nodes and weights of a network, one after the other."""

    def __init__(self, value: str) -> None:
        self.nodes: list[Any] = []
        self.weights: dict[str, np.ndarray] = {}
        self.value = value

    def add(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        from onnx import helper

        name = output or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs) or [self.value], [name], **attributes))
        self.value = name
        return name

    def constant(self, value: np.ndarray) -> str:
        name = f"w{len(self.weights)}"
        self.weights[name] = value
        return name

    def weight(self, *shape: int) -> str:
        rng = np.random.Generator(np.random.PCG64(len(self.weights)))
        return self.constant((rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32))

    def conv(self, inputs: int, outputs: int, edge: int, stride: int = 1) -> str:
        weight, bias = self.weight(outputs, inputs, edge, edge), self.constant(np.zeros(outputs, np.float32))
        return self.add("Conv", self.value, weight, bias, strides=[stride] * 2, pads=[edge // 2] * 4)

    def serialise(self, inputs: list[Any], outputs: list[Any]) -> bytes:
        from onnx import helper, numpy_helper

        weights = [numpy_helper.from_array(value, name) for name, value in self.weights.items()]
        graph = helper.make_graph(self.nodes, "g", inputs, outputs, weights)
        return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString())


def _info(name: str, kind: str, *shape: int) -> Any:
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info(name, getattr(TensorProto, kind), ["b", *shape])


def _srresnet() -> bytes:
    """Jin et al. 2017, section 3.2, at 96 px, batch norm folded away."""
    from onnx import TensorProto

    graph = Graph("noise")
    one_hot = graph.constant(np.eye(2, dtype=np.float32))
    gender = graph.add("Gather", one_hot, "gender", axis=0)
    graph.add("Concat", "noise", gender, "style", axis=1)
    graph.add("MatMul", graph.value, graph.weight(160, 64 * 144))
    graph.add("Reshape", graph.value, graph.constant(np.array([0, 64, 12, 12])))
    start = graph.add("Relu")
    for _ in range(16):
        skip = graph.value
        graph.conv(64, 64, 3)
        graph.add("Relu")
        graph.conv(64, 64, 3)
        graph.add("Add", skip, graph.value)
    graph.add("Add", start, graph.value)
    for _ in range(3):
        graph.conv(64, 256, 3)
        graph.add("DepthToSpace", graph.value, blocksize=2, mode="CRD")
        graph.add("Relu")
    graph.conv(64, 3, 9)
    graph.add("Tanh")
    half = graph.constant(np.array(127.5, np.float32))
    graph.add("Mul", graph.value, half)
    graph.add("Add", graph.value, half)
    graph.add("Round")
    graph.add("Cast", to=TensorProto.UINT8)
    graph.add("Transpose", perm=[0, 2, 3, 1], output="image")
    inputs = [_info("noise", "FLOAT", 128), _info("gender", "INT64"), _info("style", "FLOAT", 30)]
    return graph.serialise(inputs, [_info("image", "UINT8", 96, 96, 3)])


def _judge() -> bytes:
    """About ResNet-18's work at 96 px; its quality is the mean of a random projection, so that about half the faces pass."""
    from onnx import TensorProto

    graph = Graph("image")
    graph.add("Cast", to=TensorProto.FLOAT)
    graph.add("Mul", graph.value, graph.constant(np.array(1 / 255, np.float32)))
    graph.add("Transpose", perm=[0, 3, 1, 2])
    graph.conv(3, 64, 7, stride=4)
    width = 64
    for wider in (64, 128, 256, 512):
        graph.conv(width, wider, 3, stride=1 if wider == 64 else 2)
        for _ in range(3):
            graph.add("Relu")
            graph.conv(wider, wider, 3)
        width = wider
    features = graph.add("ReduceMean", axes=[2, 3], keepdims=0)
    graph.add("MatMul", features, graph.weight(512, 2))
    graph.add("Softmax", axis=1, output="probabilities")
    graph.add("MatMul", features, graph.weight(512, 30), output="style")
    graph.add("MatMul", features, graph.weight(512, 1))
    graph.add("Mul", graph.value, graph.constant(np.array(1e6, np.float32)))
    graph.add("Sin")
    graph.add("Sigmoid")
    graph.add("Squeeze", graph.value, graph.constant(np.array([1])), output="quality")
    outputs = [_info("probabilities", "FLOAT", 2), _info("style", "FLOAT", 30), _info("quality", "FLOAT")]
    return graph.serialise([_info("image", "UINT8", 96, 96, 3)], outputs)
