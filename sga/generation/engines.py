"""The engines that run a network on the CPU, ONNX Runtime and OpenVINO, behind one small interface.

Both compute in single precision in a fixed order, so a face is the same bit for bit on one machine with one engine; between the
two pixels differ by 1/255 at most.
"""

from __future__ import annotations

import importlib
import queue
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol, TypeAlias

import numpy as np

from configs.errors import InputError, MissingExtra
from configs.machine import cores

__all__ = ["AUTO", "ENGINES", "Lanes", "Session", "Shapes", "choose_engine", "open_session"]

Shapes: TypeAlias = Mapping[str, tuple[Any, ...]]

AUTO = "auto"
"""OpenVINO where it is installed, else ONNX Runtime: one engine a machine, whatever is drawn and however much of it."""
ENGINES = ("onnxruntime", "openvino")
MOST_LANES = 16
"""Each lane holds the activations of a pass."""
_IMPORT = threading.Lock()


@dataclass(frozen=True)
class Lanes:
    """How the cores are shared out. lanes: passes that run at the same time; threads: of each of them.

    Many narrow lanes draw more faces than one wide one: threads of a pass wait for each other after every layer.
    """

    lanes: int
    threads: int

    @classmethod
    def of(cls, threads: int | None) -> Lanes:
        """A lane a core; `tests/benchmarks/test_drawing_engines.py` measures the other divisions.

        threads: of all lanes together, None = as many as cores.

        Raises:
            InputError: fewer than 1.
        """
        total = cores() if threads is None else threads
        if total < 1:
            raise InputError(f"Expected at least 1 thread, found {total}.")
        lanes = min(total, MOST_LANES)
        return cls(lanes, total // lanes)


class Session(Protocol):
    """A network, ready to run with a fixed number of rows; `run` may be called by as many threads as there are lanes."""

    inputs: Shapes
    """Shape of a row by name; what is no int stands for any number."""
    outputs: Sequence[str]

    def run(self, names: Sequence[str], feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The named outputs."""


def choose_engine(engine: str = AUTO) -> str:
    """The engine that runs when this one is asked for.

    Raises:
        InputError: no such engine.
        MissingExtra: OpenVINO is asked for by name and is not installed.
    """
    if engine not in (AUTO, *ENGINES):
        raise InputError(
            f"Expected an engine ({', '.join((AUTO, *ENGINES))}), found {engine!r}. Type, for example: --engine auto"
        )
    if engine == "onnxruntime":
        return engine
    if find_spec("openvino") is not None:
        return "openvino"
    if engine == AUTO:
        return "onnxruntime"
    raise MissingExtra("openvino", "openvino")


def open_session(engine: str, content: bytes, batch: int, lanes: Lanes) -> Session:
    """Load an ONNX model into an engine as `choose_engine` named it; `run` then takes exactly `batch` rows.

    Raises what the engine raises where the content is no model.
    """
    return OpenVinoSession(content, batch, lanes) if engine == "openvino" else OnnxRuntimeSession(content, batch, lanes)


class OnnxRuntimeSession:
    """ONNX Runtime: one session, which any number of threads may run."""

    entries: Mapping[str, str] = {
        # Two sessions take turns; threads of the one that would spin while waiting take the cores from the other.
        "session.intra_op.allow_spinning": "0"
    }

    def __init__(self, content: bytes, batch: int, lanes: Lanes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = lanes.threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.use_deterministic_compute = True
        options.log_severity_level = 3
        for key, value in self.entries.items():
            options.add_session_config_entry(key, value)
        options.add_free_dimension_override_by_name("rows", batch)  # as the export names it: shapes are then known beforehand
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self.inputs: Mapping[str, tuple[Any, ...]] = {
            value.name: tuple(value.shape[1:]) for value in self._session.get_inputs()
        }
        self.outputs: Sequence[str] = [value.name for value in self._session.get_outputs()]

    def run(self, names: Sequence[str], feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """See `Session`."""
        return list(self._session.run(list(names), dict(feed)))


class OpenVinoSession:
    """OpenVINO: one compiled model, a stream and a request a lane."""

    def __init__(self, content: bytes, batch: int, lanes: Lanes) -> None:
        openvino = _silent_openvino()
        core = openvino.Core()
        model = core.read_model(content)
        shapes = {port.any_name: list(port.partial_shape) for port in model.inputs}
        self.inputs: Mapping[str, tuple[Any, ...]] = {
            name: tuple(_length(size) for size in shape[1:]) for name, shape in shapes.items()
        }
        self.outputs: Sequence[str] = [port.any_name for port in model.outputs]
        model.reshape({name: openvino.PartialShape([batch, *shape[1:]]) for name, shape in shapes.items()})
        settings = {
            "NUM_STREAMS": str(lanes.lanes),
            "INFERENCE_NUM_THREADS": lanes.lanes * lanes.threads,
            # Where the processor has bfloat16, that would be the default, and faces would differ from machine to machine.
            "INFERENCE_PRECISION_HINT": "f32",
            "EXECUTION_MODE_HINT": "ACCURACY",
            "ENABLE_CPU_PINNING": False,
        }
        compiled = core.compile_model(model, "CPU", settings)
        self._free: queue.SimpleQueue[_Request] = queue.SimpleQueue()
        for _ in range(lanes.lanes):
            self._free.put(_Request(compiled.create_infer_request(), self.inputs, self.outputs))

    def run(self, names: Sequence[str], feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """See `Session`."""
        request = self._free.get()
        try:
            return request.run(names, feed)
        finally:
            self._free.put(request)


class _Request:
    """A request of OpenVINO, with its inputs as arrays.

    Its bindings make what they need for arrays at the first use, and two threads that come there at the same time wait for each
    other for ever: so that happens here, one request after the other.
    """

    _first_use = threading.Lock()

    def __init__(self, request: Any, inputs: Iterable[str], outputs: Iterable[str]) -> None:
        self._request = request
        with self._first_use:
            self._inputs: dict[str, np.ndarray] = {name: request.get_tensor(name).data for name in inputs}
            for name in outputs:
                request.get_tensor(name).data.copy()

    def run(self, names: Sequence[str], feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """See `Session`."""
        for name, value in feed.items():
            if value.shape != self._inputs[name].shape:  # NumPy would repeat what is too small
                raise ValueError(f"{name} has the shape {value.shape} in place of {self._inputs[name].shape}")
            self._inputs[name][...] = value
        self._request.start_async()
        self._request.wait()
        return [self._request.get_tensor(name).data.copy() for name in names]


def _silent_openvino() -> Any:
    """OpenVINO, imported so that nobody is told: with its package openvino_telemetry at hand, the import itself forks a process
    that reports to its maker, and leaves files in the home folder."""
    with _IMPORT:
        if "openvino" in sys.modules:
            return sys.modules["openvino"]
        modules: dict[str, Any] = sys.modules
        modules["openvino_telemetry"] = None  # not to be found: OpenVINO then does without
        try:
            return importlib.import_module("openvino")
        finally:
            del modules["openvino_telemetry"]


def _length(size: Any) -> int | None:
    return int(size.get_length()) if size.is_static else None
