"""What the page reads beside the networks, as one file of little-endian arrays and a table of where each stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from configs.errors import ModelError
from sga.generation.critic import LatentCritic

__all__ = ["ALIGNMENT", "exact_sums", "pack"]

ALIGNMENT = 8
"""Every array begins at a multiple of it, in bytes."""

_EXACT = 2**53  # below it a double holds every integer
_INPUT_LIMIT = 1023
_ACTIVATION_LIMIT = 32767


def pack(arrays: Mapping[str, np.ndarray]) -> tuple[bytes, dict[str, dict[str, Any]]]:
    """The arrays one after the other, and by name `dtype`, `shape` and `offset` in bytes."""
    content, table = bytearray(), {}
    for name, array in arrays.items():
        content += bytes(-len(content) % ALIGNMENT)
        table[name] = {"dtype": array.dtype.name, "shape": list(array.shape), "offset": len(content)}
        content += np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    return bytes(content), table


def exact_sums(arrays: Mapping[str, np.ndarray], inputs: int) -> dict[str, np.ndarray]:
    """The critic's arrays with biases as float64 and shifts as int32, for a browser that adds doubles.

    Every sum of a layer is, in whatever order it is added, at most Σ|weight| · (largest input) + |bias|. Where that is below
    2**53 all partial sums are integers that a double holds, so doubles add them as int64 does.

    inputs: how many numbers the critic reads.

    Raises:
        ModelError: no critic, or one whose sums could leave the exact integers.
    """
    critic = LatentCritic(arrays, inputs)
    largest = _INPUT_LIMIT
    for layer, (weight, bias) in enumerate(zip(critic.weights, critic.biases, strict=True)):
        sums = np.abs(weight.astype(object)).sum(axis=1) * largest + np.abs(bias.astype(object))
        if max(sums) >= _EXACT:
            raise ModelError(
                f"Expected a critic whose sums stay below 2**53, as browsers add them, found {max(sums):.3g} in layer {layer} "
                "of critic.npz. Fit it anew."
            )
        largest = _ACTIVATION_LIMIT
    doubles = {name: array.astype(np.float64) if name.startswith("bias") else array for name, array in arrays.items()}
    return doubles | {"shift": np.array(critic.shifts, np.int32)}
