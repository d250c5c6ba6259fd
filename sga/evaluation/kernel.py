"""Kernel inception distance (Bińkowski et al. 2018): unbiased at any number of faces, so comparable where FID is not."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from configs.errors import InputError

__all__ = ["Interval", "kernel_distance", "polynomial_kernel", "squared_discrepancy"]


@dataclass(frozen=True)
class Interval:
    """A measured value with the bounds that hold the middle 95 % of its estimates."""

    value: float
    low: float
    high: float


def polynomial_kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(n, m): k(x, y) = (x·y / d + 1)³ of (n, d) and (m, d) (Bińkowski et al., section 4)."""
    product: np.ndarray = x @ y.T / x.shape[1] + 1
    return product**3


def squared_discrepancy(x: np.ndarray, y: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy of (n, d) and (m, d) features (Gretton et al. 2012, Eq. 3); may be negative.

    Raises:
        InputError: fewer than two faces on a side.
    """
    n, m = len(x), len(y)
    if min(n, m) < 2:
        raise InputError(f"Expected at least 2 faces on each side of a KID, found {n} and {m}. Raise --count.")
    x, y = x.astype(np.float64), y.astype(np.float64)
    within = (_off_diagonal(polynomial_kernel(rows, rows)) / (len(rows) * (len(rows) - 1)) for rows in (x, y))
    return float(sum(within) - 2 * polynomial_kernel(x, y).mean())


def _off_diagonal(kernel: np.ndarray) -> float:
    return float(kernel.sum() - np.trace(kernel))


def kernel_distance(x: np.ndarray, y: np.ndarray, subset: int | None = None, subsets: int = 100, seed: int = 0) -> Interval:
    """KID of (n, d) and (m, d) features: mean over `subsets` pairs of subsets, each drawn without replacement.

    subset: faces of a subset; None = half of the smaller side, at most 500, so that subsets differ. The interval is of one
    subset's estimate: the mean is surer than that.

    Raises:
        InputError: a subset larger than a side, or fewer than two faces.
    """
    least = min(len(x), len(y))
    size = max(2, min(500, least // 2)) if subset is None else subset
    if size > least:
        raise InputError(
            f"Expected a KID subset of at most {least} faces, the smaller of {len(x)} generated and {len(y)} real ones, found "
            f"{size}. Type: --set kid_subset={max(least, 2)}, or null for half of the faces"
        )
    digest = hashlib.blake2b(f"kid/{seed}".encode(), digest_size=16).digest()
    rng = np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))
    found = []
    for _ in range(subsets):
        one, other = (side[rng.permutation(len(side))[:size]] for side in (x, y))
        found.append(squared_discrepancy(one, other))
    low, high = np.percentile(found, [2.5, 97.5])
    return Interval(float(np.mean(found)), float(low), float(high))
