"""The latent critic: which attempt an ID takes, decided in integers before any pixel exists.

Pixels differ by up to 2/255 between machines. A pixel judge that chose an ID's attempt would, close to its threshold, make two
machines choose different attempts and so draw different people. The critic reads the latents alone, which are equal everywhere,
and adds and multiplies integers alone, so that no order of summation, library or processor can change a score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from configs.errors import ModelError
from sga.generation.conditions import Latents

__all__ = ["INPUT_SCALE", "LatentCritic", "quantise", "quantise_rows"]

INPUT_SCALE = 127
_INPUT_LIMIT = 1023  # a standardised style may leave [-1, 1]; eight times that is far
_ACTIVATION_LIMIT = 32767
_FEW = 16
"""Rows of a product: more would wake all threads of the BLAS, which then spin beside the networks for longer than they help."""


def quantise(latents: Sequence[Latents], genders: int) -> np.ndarray:
    """(n, noise_size + style_size + genders) int64 of n latents: see `quantise_rows`."""
    noise, style = np.stack([one.noise for one in latents]), np.stack([one.style for one in latents])
    return quantise_rows(noise, [one.gender for one in latents], style, genders)


def quantise_rows(noise: np.ndarray, gender: int | Sequence[int], style: np.ndarray, genders: int) -> np.ndarray:
    """(n, noise_size + style_size + genders) int64: latents times 127, rounded half to even, and the gender one-hot times 127.

    noise: (n, noise_size) float32; gender: the code of all rows, or of each; style: (n, style_size) float32.

    float32 times 127 is exact in float64, and so is rounding it: no machine can differ.
    """
    ends = noise.shape[1], noise.shape[1] + style.shape[1]
    values = np.zeros((len(noise), ends[1] + genders))
    values[:, : ends[0]] = noise
    values[:, ends[0] : ends[1]] = style
    values[np.arange(len(noise)), ends[1] + np.asarray(gender)] = 1
    values *= INPUT_SCALE
    return np.rint(values, out=values).clip(-_INPUT_LIMIT, _INPUT_LIMIT, out=values).astype(np.int64)


class LatentCritic:
    """A perceptron with int16 weights, int64 sums, ReLU and a right shift after each hidden layer; higher is better.

    Products are summed in float64, which holds every integer up to 2**53: with weights and inputs below 2**15 in absolute value
    no partial sum of fewer than 2**23 products leaves that range, so that each is exact, in whatever order.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], inputs: int):
        """arrays: `weight{k}` int16 (out, in), `bias{k}` int64 (out,) and `shift` int64 (layers - 1,); the last `out` is 1.

        Raises:
            ModelError: other names, dtypes or shapes.
        """
        layers = len([name for name in arrays if name.startswith("weight")])
        try:
            self.weights = [arrays[f"weight{k}"] for k in range(layers)]
            self.biases = [arrays[f"bias{k}"] for k in range(layers)]
            self.shifts = [int(value) for value in arrays["shift"]]
        except KeyError as error:
            raise ModelError(f"Expected {error} in critic.npz, found {', '.join(arrays)}. Fit the critic anew.") from error
        widths = [inputs, *(len(bias) for bias in self.biases)]
        sound = layers > 0 and widths[-1] == 1 and len(self.shifts) == layers - 1 and min(self.shifts, default=0) >= 0
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            sound = sound and weight.dtype == np.int16 and bias.dtype == np.int64 and weight.shape == (widths[k + 1], widths[k])
        if not sound:
            raise ModelError(f"Expected layers from {inputs} inputs to 1 score in critic.npz, found others. Fit it anew.")
        self._transposed = [weight.T.astype(np.float64) for weight in self.weights]

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """(n,) int64 scores of (n, inputs) int64, as `quantise` gives them."""
        hidden = inputs
        for layer, shift in enumerate(self.shifts):
            hidden = (self._sums(hidden, layer) >> shift).clip(0, _ACTIVATION_LIMIT)
        return self._sums(hidden, len(self.shifts))[:, 0]

    def _sums(self, hidden: np.ndarray, layer: int) -> np.ndarray:
        weight, floats = self._transposed[layer], hidden.astype(np.float64)
        products = [floats[start : start + _FEW] @ weight for start in range(0, len(floats), _FEW)]
        return np.concatenate(products).astype(np.int64) + self.biases[layer]
