"""The way from one face to another, such that every face between is one that the generator could have been asked for."""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist
from typing import Literal

import numpy as np

from sga.generation import Latents

__all__ = ["Way", "between", "noise_between", "smooth"]

Way = Literal["spherical", "linear"]

_NORMAL = NormalDist()
_LOW = _NORMAL.cdf(-1)
_SHARE = _NORMAL.cdf(1) - _LOW
_LEAST = 1e-9
"""Where a value stands at an end of the prior, its Gaussian would be infinite."""


def between(one: Latents, other: Latents, at: float, way: Way = "spherical") -> tuple[np.ndarray, np.ndarray]:
    """Noise (noise_size,) and style (style_size,) float32 at a place in [0, 1] of the way; the faces themselves at its ends.

    The style runs straight: real styles lie around those between them, and a tag between -1 and 1 is a weak one.
    """
    style = one.style.astype(np.float64) * (1 - at) + other.style.astype(np.float64) * at
    return noise_between(one.noise, other.noise, at, way), style.astype(np.float32)


def noise_between(one: np.ndarray, other: np.ndarray, at: float, way: Way = "spherical") -> np.ndarray:
    """(noise_size,) float32 at a place in [0, 1] between two noises.

    linear: the straight line. Halfway it is 0.71 times as long as noise is, and faces there are plain and alike.
    spherical: values become Gaussian through the prior's own distribution function, run along the great circle, and go back.
        A great circle keeps Gaussians Gaussian, so what comes back is distributed as the prior, a normal truncated to [-1, 1],
        all along: neither its length nor its range changes. A circle through the truncated values themselves leaves the range.
    """
    if at <= 0 or at >= 1:
        return (one if at <= 0 else other).astype(np.float32)
    first, second = one.astype(np.float64), other.astype(np.float64)
    if way == "linear":
        return (first * (1 - at) + second * at).astype(np.float32)
    return _truncated(_along(_gaussian(first.tobytes()), _gaussian(second.tobytes()), at)).astype(np.float32)


def smooth(at: float) -> float:
    """0 up to a third, 1 from two thirds on, and a smooth step between."""
    x = min(1.0, max(0.0, 3 * at - 1))
    return x * x * (3 - 2 * x)


def _along(one: np.ndarray, other: np.ndarray, at: float) -> np.ndarray:
    """A place on the great circle; the lengths of the two run straight. Where no circle is defined, the straight line."""
    lengths = float(np.linalg.norm(one)), float(np.linalg.norm(other))
    cosine = float(one @ other) / (lengths[0] * lengths[1]) if min(lengths) > 0 else 1.0
    angle = math.acos(min(1.0, max(-1.0, cosine)))
    if math.sin(angle) < 1e-6:
        return one * (1 - at) + other * at
    part = math.sin((1 - at) * angle) / math.sin(angle), math.sin(at * angle) / math.sin(angle)
    length = lengths[0] * (1 - at) + lengths[1] * at
    return length * (part[0] * one / lengths[0] + part[1] * other / lengths[1])


@cache
def _gaussian(content: bytes) -> np.ndarray:
    """Truncated normal values, as bytes of float64, to standard normal ones of the same rank."""
    rank = [(_NORMAL.cdf(value) - _LOW) / _SHARE for value in np.frombuffer(content).tolist()]
    return np.array([_NORMAL.inv_cdf(min(1 - _LEAST, max(_LEAST, one))) for one in rank])


def _truncated(values: np.ndarray) -> np.ndarray:
    """The inverse of `_gaussian`, within [-1, 1]."""
    return np.array([_NORMAL.inv_cdf(_LOW + _SHARE * _NORMAL.cdf(value)) for value in values.tolist()]).clip(-1, 1)
