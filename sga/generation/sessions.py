"""ONNX Runtime sessions that always run the same number of rows, so that a row's result does not depend on its company."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import onnxruntime

from configs.errors import ModelError

__all__ = ["Network"]

Shapes: TypeAlias = Mapping[str, tuple[int, ...]]


class Network:
    """One network on the CPU. Every pass has exactly `batch` rows; the last is padded by repeating its first row.

    A fixed shape fixes the kernels and the order of their sums: a row's output is the same bit for bit whatever the number of
    rows asked for, its place among them and the number of threads.
    """

    def __init__(
        self,
        content: bytes,
        name: str,
        batch: int,
        inputs: dict[str, tuple[int, ...]],
        outputs: set[str],
        threads: int | None = None,
    ):
        """content: an ONNX model; inputs: the shape of a row by name; outputs: names it must have; threads: None = one a core.

        Raises:
            ModelError: no ONNX model, or one with other inputs or outputs.
        """
        try:
            self.session = onnxruntime.InferenceSession(content, _options(threads), providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime's own exceptions share no base below Exception
            raise ModelError(f"Expected an ONNX model in {name}, found: {_line(error)}. Export the model anew.") from error
        self.outputs = [value.name for value in self.session.get_outputs()]
        found = {value.name: tuple(value.shape[1:]) for value in self.session.get_inputs()}
        fits = found.keys() == inputs.keys() and all(_fits(found[key], shape) for key, shape in inputs.items())
        if not fits or not outputs <= set(self.outputs):
            raise ModelError(
                f"Expected {name} to take {_listed(inputs)} and give {', '.join(sorted(outputs))}, found that it takes "
                f"{_listed(found)} and gives {', '.join(sorted(self.outputs))}. Export the model anew."
            )
        self.name = name
        self.batch = batch

    def __call__(self, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Run any number of rows ≥ 1; every input and output has the rows first."""
        rows = len(next(iter(inputs.values())))
        passes = [self._pass(inputs, start) for start in range(0, rows, self.batch)]
        if len(passes) == 1:
            return {name: value[:rows] for name, value in passes[0].items()}
        return {name: np.concatenate([one[name] for one in passes])[:rows] for name in self.outputs}

    def _pass(self, inputs: dict[str, np.ndarray], start: int) -> dict[str, np.ndarray]:
        feed = {}
        for name, value in inputs.items():
            part = value[start : start + self.batch]
            if len(part) < self.batch:
                part = np.concatenate([part, np.repeat(part[:1], self.batch - len(part), axis=0)])
            feed[name] = np.ascontiguousarray(part)
        try:
            return dict(zip(self.outputs, self.session.run(self.outputs, feed), strict=True))
        except Exception as error:
            raise ModelError(f"Expected {self.name} to run, found: {_line(error)}. Export the model anew.") from error


def _options(threads: int | None) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or _cores()
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.use_deterministic_compute = True
    options.log_severity_level = 3
    # Two sessions take turns; threads of the one that would spin while waiting take the cores from the other.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)  # a container's share, where the platform tells it
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _fits(found: tuple[Any, ...], wanted: tuple[int, ...]) -> bool:
    """Whether a row's shape in the graph, where a name stands for any number, admits the wanted one."""
    return len(found) == len(wanted) and all(
        have == want or not isinstance(have, int) for have, want in zip(found, wanted, strict=True)
    )


def _listed(inputs: Shapes) -> str:
    return ", ".join(f"{name} ({', '.join(map(str, ('n', *shape)))})" for name, shape in sorted(inputs.items())) or "nothing"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
