"""Shares of faces with their intervals, from counts alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from classifiers.metrics import Estimate

__all__ = ["mean_rate", "rate"]

_Z = 1.959964
"""Standard normal quantile of 97.5 %."""


def rate(hits: int, n: int) -> Estimate:
    """hits / n with Wilson's 95 % interval; NaN for n = 0."""
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan, 0)
    share, spread = hits / n, _Z**2 / n
    centre = (share + spread / 2) / (1 + spread)
    reach = _Z * math.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return Estimate(share, max(0.0, centre - reach), min(1.0, centre + reach), n)


def mean_rate(rates: Sequence[Estimate]) -> Estimate:
    """The mean of independent rates, each counting alike; those of no face are left out.

    The distances to the bounds add as squares (Newcombe 1998, method 10).
    """
    rates = [one for one in rates if one.n]
    if not rates:
        return rate(0, 0)
    value = float(np.mean([one.value for one in rates]))
    below, above = (
        math.sqrt(sum((one.value - getattr(one, bound)) ** 2 for one in rates)) / len(rates) for bound in ("low", "high")
    )
    return Estimate(value, value - below, value + above, sum(one.n for one in rates))
