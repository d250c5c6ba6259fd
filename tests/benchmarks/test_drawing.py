"""How fast drawing is, as ratios. Not part of the tests; type: pytest tests/benchmarks -o addopts=--import-mode=importlib

Measured: `sga --help` and `sga generate --count 1` from the typed command to its end; the generator alone against the best that
the same runtime reaches on plain 3×3 convolutions in the same minute; `generate` against the time spent inside its networks.
Run it on an idle machine: other work on the cores shows in every figure but the ratios of the same run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sga import FaceModel, Report
from sga.generation.sessions import Network

onnx = pytest.importorskip("onnx", reason="the operations are counted in the ONNX graph")

ROOT = Path(__file__).parents[2]
Figure = Callable[[str], None]


def command(*arguments: str | Path) -> None:
    words = [sys.executable, "-c", "from sga.cli.main import main; main()", *map(str, arguments)]
    subprocess.run(words, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=120)


def test_help(benchmark: Any, figure: Figure) -> None:
    benchmark.pedantic(command, args=["--help"], rounds=7, warmup_rounds=1)
    figure(f"sga --help: {benchmark.stats['median']:.2f} s (aim 0.3)")


def test_first_file(benchmark: Any, figure: Figure, measured_model: Path, tmp_path: Path) -> None:
    """Loading, hashing, drawing, judging and writing included; the files of the program are in the system's cache."""
    base = ["generate", "--gender", "female", "--count", "1", "--model", str(measured_model), "--out", str(tmp_path)]
    benchmark.pedantic(command, args=base, rounds=7, warmup_rounds=1)
    assert list(tmp_path.glob("*.png"))
    figure(f"sga generate --count 1: {benchmark.stats['median']:.2f} s (aim 1.5)")


def test_generator_against_the_peak(benchmark: Any, figure: Figure, measured_model: Path) -> None:
    model = FaceModel.load(measured_model, engine="onnxruntime")
    batch, latents = model.spec.micro_batch, [model.draw(0, index, gender="any") for index in range(64)]
    noise, style = np.stack([one.noise for one in latents]), np.stack([one.style for one in latents])
    gender = [one.gender for one in latents]
    flops = operations(measured_model / "generator.onnx", noise=noise[:1], gender=np.array(gender[:1]), style=style[:1])
    peaks = {width: peak(width, edge, batch) for width, edge in ((64, 48), (128, 24), (256, 12))}
    benchmark.pedantic(model.render, args=[noise, gender, style], rounds=7, warmup_rounds=2)
    seconds = benchmark.stats["min"] / len(latents)
    peaks = {width: max(peaks[width], peak(width, edge, batch)) for width, edge in ((64, 48), (128, 24), (256, 12))}
    best, reached = max(peaks.values()), flops / seconds
    told = ", ".join(f"{width} channels {value / 1e9:.0f}" for width, value in peaks.items())
    figure(f"generator: {reached / best:.2f} of the peak (aim 0.60): {1 / seconds:.0f} faces/s of {flops / 1e9:.2f} GFLOP,")
    figure(f"  {reached / 1e9:.0f} GFLOP/s; 3×3 convolutions alone, GFLOP/s: {told}")


def test_overhead_of_the_loop(benchmark: Any, figure: Figure, measured_model: Path) -> None:
    model = FaceModel.load(measured_model, threads=1)  # times of several lanes do not add up
    timed = [Timed(network.session) for network in (model._generator, model._judge)]
    model._generator.session, model._judge.session = timed
    ratios = []

    def draw() -> None:
        for one in timed:
            one.seconds = 0.0
        started = time.perf_counter()
        report = Report()
        model.generate("female", 64, seed=len(ratios), report=report)
        whole = time.perf_counter() - started
        ratios.append(whole / sum(one.seconds for one in timed) - 1)

    benchmark.pedantic(draw, rounds=5, warmup_rounds=1)
    figure(f"overhead of the regenerate loop over the bare sessions: {100 * float(np.median(ratios)):.1f} % (aim 10 %)")


class Timed:
    """A session that adds up the time spent in it."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.seconds = 0.0

    def run(self, *arguments: Any) -> Any:
        started = time.perf_counter()
        result = self.session.run(*arguments)
        self.seconds += time.perf_counter() - started
        return result


def operations(path: Path, **inputs: np.ndarray) -> float:
    """Floating-point operations of one row in a graph's convolutions and matrix products; shapes are those of a real run."""
    import onnxruntime

    model = onnx.load(str(path))
    counted = [node for node in model.graph.node if node.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul")]
    weights = {one.name: tuple(one.dims) for one in model.graph.initializer}
    # A convolution moved before a pixel shuffle holds zeros for the taps that it never had: no work that was asked for.
    large = [one for one in model.graph.initializer if len(one.dims) == 4]
    filled = {one.name: np.count_nonzero(onnx.numpy_helper.to_array(one)) / np.prod(one.dims) for one in large}
    casts = [node for node in model.graph.node if node.op_type == "Cast" and node.input[0] in filled]
    filled |= {node.output[0]: filled[node.input[0]] for node in casts}
    known = {*weights, *(one.name for one in model.graph.output), *(one.name for one in model.graph.input)}
    asked = {name for node in counted for name in (*node.input[:2], node.output[0])} - known
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(asked))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = {one.name: inputs[one.name] for one in session.get_inputs()}
    names = [one.name for one in session.get_outputs()]
    values = session.run(names, feed)
    shapes = {**weights, **{name: value.shape for name, value in zip(names, values, strict=True)}}
    shapes |= {name: value.shape for name, value in feed.items()}
    total = 0.0
    for node in counted:
        first, weight, out = (shapes[name] for name in (*node.input[:2], node.output[0]))
        if node.op_type == "Conv":
            total += 2.0 * np.prod(out) * np.prod(weight[1:]) * filled.get(node.input[1], 1.0)
        elif node.op_type == "ConvTranspose":
            total += 2.0 * np.prod(first) * np.prod(weight[1:])
        else:
            transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
            total += 2.0 * np.prod(out) * first[-2 if transposed else -1]
    return total


def peak(width: int, edge: int, batch: int) -> float:
    """FLOP/s of ONNX Runtime on eight 3×3 convolutions in a row, `width` channels at edge × edge: the best of twelve runs."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    values = [(rng.standard_normal((width, width, 3, 3)) * 0.05).astype(np.float32) for _ in range(8)]
    weights = [numpy_helper.from_array(value, f"w{k}") for k, value in enumerate(values)]
    nodes = [helper.make_node("Conv", [f"x{k}", f"w{k}"], [f"x{k + 1}"], pads=[1] * 4) for k in range(8)]
    shape = ["b", width, edge, edge]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x0", "x8")]
    graph = helper.make_graph(nodes, "peak", ends[:1], ends[1:], weights)
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    network = Network(content, "peak", batch, {"x0": (width, edge, edge)}, {"x8"})
    start = rng.standard_normal((network.rows, width, edge, edge)).astype(np.float32)
    seconds = []
    for _ in range(12):
        started = time.perf_counter()
        network(x0=start)
        seconds.append(time.perf_counter() - started)
    return 8 * 2.0 * width * width * 9 * edge * edge * network.rows / min(seconds)
