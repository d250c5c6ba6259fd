"""Networks that always run the same number of rows, so that a row's result does not depend on its company."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from configs.errors import InputError, ModelError, UserError
from sga.generation.engines import Lanes, Shapes, choose_engine, open_session

__all__ = ["Network"]


class Network:
    """One network on the CPU. Every pass has exactly `batch` rows; the last is padded by repeating its first row.

    A fixed shape fixes the kernels and the order of their sums: a row's output is the same bit for bit whatever the number of
    rows asked for, its place among them, the number of threads and the lane.
    """

    def __init__(
        self,
        content: bytes,
        name: str,
        batch: int,
        inputs: Mapping[str, tuple[int, ...]],
        outputs: set[str],
        threads: int | None = None,
        engine: str = "onnxruntime",
    ):
        """content: an ONNX model; inputs: the shape of a row by name; outputs: names it must have; threads: None = one a core;
        engine: see `choose_engine`.

        Raises:
            ModelError: no ONNX model, or one with other inputs or outputs.
        """
        self.engine = choose_engine(engine)
        self.lanes = Lanes.of(threads)
        try:
            self.session = open_session(self.engine, content, batch, self.lanes)
        except UserError:
            raise
        except ImportError as error:
            raise InputError(f"Expected {self.engine} to load, found: {_line(error)}. Type: --engine onnxruntime") from error
        except Exception as error:  # the engines' own exceptions share no base below Exception
            raise ModelError(f"Expected an ONNX model in {name}, found: {_line(error)}. Export the model anew.") from error
        self.outputs, found = self.session.outputs, self.session.inputs
        fits = found.keys() == inputs.keys() and all(_fits(found[key], shape) for key, shape in inputs.items())
        if not fits or not outputs <= set(self.outputs):
            raise ModelError(
                f"Expected {name} to take {_listed(inputs)} and give {', '.join(sorted(outputs))}, found that it takes "
                f"{_listed(found)} and gives {', '.join(sorted(self.outputs))}. Export the model anew."
            )
        self.name = name
        self.batch = batch
        self.rows = batch * self.lanes.lanes
        """Rows of which a call keeps every lane busy."""
        self._pool = ThreadPoolExecutor(self.lanes.lanes, thread_name_prefix=name)

    def __call__(self, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Run any number of rows ≥ 1, a pass in each lane at a time; every input and output has the rows first."""
        rows = len(next(iter(inputs.values())))
        starts = range(0, rows, self.batch)
        if len(starts) == 1:
            return {name: value[:rows] for name, value in self._pass(inputs, 0).items()}
        passes = list(self._pool.map(lambda start: self._pass(inputs, start), starts))
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


def _fits(found: tuple[Any, ...], wanted: tuple[int, ...]) -> bool:
    """Whether a row's shape in the graph, where a name stands for any number, admits the wanted one."""
    return len(found) == len(wanted) and all(
        have == want or not isinstance(have, int) for have, want in zip(found, wanted, strict=True)
    )


def _listed(inputs: Shapes) -> str:
    return ", ".join(f"{name} ({', '.join(map(str, ('n', *shape)))})" for name, shape in sorted(inputs.items())) or "nothing"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
