"""A step of training as CUDA graphs: recorded once, then replayed by one call, so that the device never waits for Python."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["Graphed", "Kinds", "NotRecordableError"]

Step = Callable[..., dict[str, Tensor]]
_WARM_UP = 3
"""Steps of each kind that run as ever before it is recorded: cuDNN chooses its kernels, the optimisers make their state."""
_MOST_KINDS = 8
"""Recordings that are kept; steps of further kinds run as ever."""


class NotRecordableError(RuntimeError):
    """A step does something on the host that a recording would repeat with the same outcome for ever."""


@dataclass(frozen=True)
class _Recording:
    graph: torch.cuda.CUDAGraph
    inputs: tuple[Tensor, ...]
    outputs: dict[str, Tensor]


class Graphed:
    """`step(*inputs, **kind)` on a GPU, recorded for each `kind` and replayed from then on; where that fails, it runs as ever.

    step: tensors on the device in, named tensors on the device out. What it reads beside its inputs must stand in the same
    memory in every step (weights, tensor learning rates), and its random numbers must come from the device's own generator,
    whose seed is read anew at each replay. kind: Python values that the step depends on. The optimisers in it need
    `capturable=True`.
    """

    def __init__(self, step: Step, tell: Callable[[str], None] = print) -> None:
        """tell: gets the line that says why nothing is recorded."""
        self._step, self._tell = step, tell
        self._recordings: dict[Hashable, _Recording] = {}
        self._kinds = Kinds()
        self._stream = torch.cuda.Stream()
        self._pool: Any = torch.cuda.graph_pool_handle()
        self._failed = False

    def __call__(self, *inputs: Tensor, **kind: Hashable) -> dict[str, Tensor]:
        """One step. The outputs are the caller's: no later step changes them."""
        key = tuple(sorted(kind.items()))
        recording = self._recordings.get(key)
        if recording is None:
            if self._failed or len(self._recordings) >= _MOST_KINDS:
                return self._step(*inputs, **kind)
            if not self._kinds.warm(key):
                return self._beside(*inputs, **kind)
            try:
                recording = self._recordings[key] = self._record(inputs, kind)
            except RuntimeError as error:
                self._failed = True
                _recover()
                self._tell(f"launch.graphs is off: this training cannot be recorded ({str(error).splitlines()[0]}).")
                return self._step(*inputs, **kind)
        for held, given in zip(recording.inputs, inputs, strict=True):
            held.copy_(given, non_blocking=True)
        recording.graph.replay()
        return {name: value.clone() for name, value in recording.outputs.items()}

    def _beside(self, *inputs: Tensor, **kind: Hashable) -> dict[str, Tensor]:
        """A step as ever, on the stream on which it will be recorded."""
        main = torch.cuda.current_stream()
        self._stream.wait_stream(main)
        with torch.cuda.stream(self._stream):
            outputs = self._step(*inputs, **kind)
        main.wait_stream(self._stream)
        return outputs

    def _record(self, inputs: tuple[Tensor, ...], kind: dict[str, Hashable]) -> _Recording:
        """Record one step; nothing of it is computed."""
        held = tuple(value.clone() for value in inputs)
        graph, before = torch.cuda.CUDAGraph(), torch.get_rng_state()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            outputs = self._step(*held, **kind)
        if not torch.equal(before, torch.get_rng_state()):
            raise NotRecordableError("it draws random numbers on the host")
        return _Recording(graph, held, outputs)


class Kinds:
    """How often each kind of step has run, of the kinds that came last."""

    def __init__(self) -> None:
        self._runs: dict[Hashable, int] = {}

    def warm(self, kind: Hashable) -> bool:
        """Count a step; whether its kind had run often enough before to be recorded. One that does not come back is
        forgotten, such as a weight that is another in every step."""
        before = self._runs.pop(kind, 0)
        self._runs[kind] = before + 1
        if len(self._runs) > _MOST_KINDS:
            del self._runs[next(iter(self._runs))]
        return before >= _WARM_UP


def _recover() -> None:
    """After a recording that broke off the generator still takes itself for recording, and would refuse to draw."""
    torch.cuda.synchronize()
    generator = torch.cuda.default_generators[torch.cuda.current_device()]
    generator.graphsafe_set_state(generator.clone_state())
