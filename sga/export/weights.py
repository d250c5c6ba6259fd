"""How an exported network's weights are stored: in half precision, or in 8 bits with a scale a channel. The runtime turns them
back into single precision once, when it loads the file; the arithmetic is that of single precision in both."""

from __future__ import annotations

from typing import Literal

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["Storage", "store_weights"]

Storage = Literal["half", "int8"]

_FEW = 64
"""Entries of a weight that is not worth storing otherwise."""
_LARGEST_HALF = 6e4
_LEVELS = 127


def store_weights(model: onnx.ModelProto, storage: Storage) -> None:
    """Store the float32 weights of a model otherwise, in place.

    half: as float16 behind a cast; half the size. int8: kernels and matrices as whole numbers from -127 to 127 times a
    float32 a channel (the outputs' or the inputs', whichever is nearer to the weight), all else as half; a quarter of the size.
    """
    graph, before = model.graph, []
    for weight in list(graph.initializer):
        values = numpy_helper.to_array(weight)
        if weight.data_type != TensorProto.FLOAT or values.size < _FEW:
            continue
        if storage == "int8" and values.ndim > 1:
            parts, nodes = _int8(weight.name, values)
        elif float(np.abs(values).max(initial=0)) <= _LARGEST_HALF:
            parts, nodes = _half(weight.name, values)
        else:
            continue
        graph.initializer.remove(weight)
        graph.initializer.extend(parts)
        before += nodes
    nodes = [*before, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]


def _half(name: str, values: np.ndarray) -> tuple[list[onnx.TensorProto], list[onnx.NodeProto]]:
    stored = numpy_helper.from_array(values.astype(np.float16), f"{name}_half")
    return [stored], [helper.make_node("Cast", [stored.name], [name], to=TensorProto.FLOAT)]


def _int8(name: str, values: np.ndarray) -> tuple[list[onnx.TensorProto], list[onnx.NodeProto]]:
    """Cast and multiply, not DequantizeLinear: runtimes leave that one in the graph, to be computed in every pass."""
    whole, scale = min(
        (_scaled(values, axis) for axis in (0, 1)), key=lambda pair: float(np.square(pair[0] * pair[1] - values).sum())
    )
    parts = [numpy_helper.from_array(whole.astype(np.int8), f"{name}_int8"), numpy_helper.from_array(scale, f"{name}_scale")]
    cast = helper.make_node("Cast", [parts[0].name], [f"{name}_whole"], to=TensorProto.FLOAT)
    return parts, [cast, helper.make_node("Mul", [f"{name}_whole", parts[1].name], [name])]


def _scaled(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers, and the scale (float32, 1 in every dimension but `axis`) of which they are multiples."""
    others = tuple(one for one in range(values.ndim) if one != axis)
    scale = (np.abs(values).max(axis=others, keepdims=True) / _LEVELS).astype(np.float32)
    scale[scale == 0] = 1
    return np.rint(values / scale), scale
