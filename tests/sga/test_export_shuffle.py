"""The faster generator computes the same function."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the extra train rewrites graphs")


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def generator(edge: int, outs: int = 3, norm: bool = True, mode: str = "CRD", leave: bool = False) -> Any:
    """conv → shuffle → batch norm → ReLU, twice, then conv edge × edge → tanh, as the exporter of an SRResNet writes it."""
    from onnx import TensorProto, helper, numpy_helper

    weights: dict[str, np.ndarray] = {}
    nodes, value, width = [], "x", 6
    for k in range(2):
        weights[f"up{k}"] = rng(k).normal(0, 0.2, (32, width, 3, 3)).astype(np.float32)
        nodes.append(helper.make_node("Conv", [value, f"up{k}"], [f"c{k}"], pads=[1] * 4))
        nodes.append(helper.make_node("DepthToSpace", [f"c{k}"], [f"s{k}"], blocksize=2, mode=mode))
        value, width = f"s{k}", 8
        if norm:
            for place, name in enumerate(("scale", "shift", "mean", "var")):
                draws = rng(10 * k + place).uniform(0.5, 1.5, 8) if name in ("scale", "var") else rng(k + place).normal(0, 1, 8)
                weights[f"{name}{k}"] = draws.astype(np.float32)
            names = [f"{name}{k}" for name in ("scale", "shift", "mean", "var")]
            nodes.append(helper.make_node("BatchNormalization", [value, *names], [f"n{k}"]))
            value = f"n{k}"
        nodes.append(helper.make_node("Relu", [value], [f"r{k}"]))
        value = f"r{k}"
    weights["last"] = rng(5).normal(0, 0.1, (outs, 8, edge, edge)).astype(np.float32)
    weights["bias"] = rng(6).normal(0, 0.5, outs).astype(np.float32)
    nodes.append(helper.make_node("Conv", [value, "last", "bias"], ["l"], pads=[edge // 2] * 4))
    nodes.append(helper.make_node("Tanh", ["l"], ["y"]))
    info = helper.make_tensor_value_info
    ends = [info("y", TensorProto.FLOAT, ["b", outs, 20, 24])] + (
        [info("s1", TensorProto.FLOAT, ["b", 8, 20, 24])] if leave else []
    )
    constants = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "g", [info("x", TensorProto.FLOAT, ["b", 6, 5, 6])], ends, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(model: Any) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = rng(9).normal(0, 1, (2, 6, 5, 6)).astype(np.float32)
    return np.asarray(session.run(["y"], {"x": x})[0])


def kinds(model: Any) -> list[str]:
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize("edge", [1, 3, 5, 7, 9])
@pytest.mark.parametrize("norm", [True, False])
def test_the_function_stays_the_same(edge: int, norm: bool) -> None:
    from sga.export.shuffle import speed_up

    model = generator(edge, norm=norm)
    before = model.SerializeToString()
    faster = speed_up(model)
    assert model.SerializeToString() == before
    np.testing.assert_allclose(run(faster), run(model), atol=2e-5)
    middle = ["BatchNormalization", "Relu"] if norm else ["Relu"]
    assert kinds(faster) == ["Conv", *middle, "DepthToSpace", "Conv", *middle, "Conv", "DepthToSpace", "Tanh"]
    assert not {"last", "bias"} & {one.name for one in faster.graph.initializer}


@pytest.mark.parametrize("changes", [{"outs": 5}, {"mode": "DCR"}, {"leave": True}])
def test_what_does_not_fit_stays(changes: dict[str, Any]) -> None:
    """More planes than pay, the other order of channels, and a value that leaves the graph."""
    from sga.export.shuffle import speed_up

    model = generator(5, **changes)
    faster = speed_up(model)
    np.testing.assert_allclose(run(faster), run(model), atol=2e-5)
    assert kinds(faster)[-2:] == ["Conv", "Tanh"]


def test_the_kernel_of_nine_becomes_five() -> None:
    from sga.export.shuffle import convolution_before_shuffle

    weight = rng(0).normal(0, 1, (3, 64, 9, 9)).astype(np.float32)
    moved = convolution_before_shuffle(weight)
    assert moved.shape == (12, 256, 5, 5)
    assert np.count_nonzero(moved) == 4 * weight.size
