"""Learning curves: score = a − b·n^(−c) fitted to (labels n, score) with errors, and what more labels would bring.

For a given c the curve is linear in a and b, so a grid over c finds the best fit of all without a start value. Intervals are
95 % and come from a parametric bootstrap: the fit again on scores drawn around the first fit with the points' errors, widened
where the points scatter more than these say. The errors count as independent; scores on the same held-out faces err in the
same direction, so differences between points are known better than the intervals say.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from configs.errors import InputError

__all__ = ["Estimate", "LearningCurve", "Needed", "Point", "fit_curve"]

_EXPONENTS = np.geomspace(0.02, 1.5, 96)
"""Classifiers' errors fall with exponents of 0.05 to 1; near 0 the curve is a logarithm, beyond 1.5 a step."""

_MOST = 10_000_000  # more labels than people will ever give
_RISES = 1.645  # standard errors by which the scores must rise with log n, one-sided 5 %
_QUANTILES = (0.025, 0.975)


@dataclass(frozen=True)
class Point:
    """labels: those learnt from, ≥ 1; value: the score, in [0, 1]; error: its standard error, > 0."""

    labels: int
    value: float
    error: float


class Estimate(NamedTuple):
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float


class Needed(NamedTuple):
    """A number of labels and its 95 % interval; None = not with any number of labels."""

    labels: int | None
    low: int | None
    high: int | None


@dataclass(frozen=True)
class LearningCurve:
    """points: by labels; a in [0, 1]: where the curve ends; b ≥ 0, 0 < c ≤ 1.5; draws: (m, 3) float64 of a, the drop at the
    first point (b·n^(−c) there), and c."""

    points: tuple[Point, ...]
    a: float
    b: float
    c: float
    draws: np.ndarray = field(repr=False)

    def predict(self, labels: float) -> Estimate:
        """The score with that many labels (≥ 1), in [0, 1]."""
        return self._estimate(_curve(self._all(), self.points[0].labels, labels))

    def worth(self, extra: float) -> Estimate:
        """Percentage points that `extra` more labels than the last point has are expected to bring."""
        first, last = self.points[0].labels, self.points[-1].labels
        return self._estimate(100 * (_curve(self._all(), first, last + extra) - _curve(self._all(), first, last)))

    def labels_needed(self, target: float) -> Needed:
        """Labels, in all, with which the score is `target` (in [0, 1])."""
        a, drop, c = self._all().T
        ratio = np.divide(drop, a - target, out=np.full(len(a), np.inf), where=a > target)
        return self._needed(_power(ratio, 1 / c))

    def pays_until(self, points: float, per: int = 100) -> Needed:
        """Labels, in all, after which `per` more bring fewer than `points` percentage points."""
        _, drop, c = self._all().T
        steepness = 100 * per * drop * c / (points * self.points[0].labels)
        return self._needed(_power(steepness, 1 / (1 + c)))

    def _all(self) -> np.ndarray:
        """(1 + m, 3): the best fit, then the draws."""
        best = np.array([[self.a, self.b * self.points[0].labels ** -self.c, self.c]])
        return np.concatenate([best, self.draws])

    def _estimate(self, values: np.ndarray) -> Estimate:
        low, high = np.quantile(values[1:], _QUANTILES)
        return Estimate(float(values[0]), float(min(low, values[0])), float(max(high, values[0])))

    def _needed(self, ratios: np.ndarray) -> Needed:
        """ratios: labels as multiples of the first point's, the best fit's first."""
        labels = ratios * self.points[0].labels
        low, high = np.quantile(labels[1:], _QUANTILES, method="inverted_cdf")
        ends = (labels[0], min(low, labels[0]), max(high, labels[0]))
        return Needed(*(None if end > _MOST else max(1, int(np.ceil(end))) for end in ends))


def fit_curve(points: Iterable[Point], *, seed: int = 0, draws: int = 1000) -> LearningCurve:
    """The curve through points in any order; several of the same number of labels are fine.

    Raises:
        InputError: fewer than three different numbers of labels, or scores that do not rise beyond their errors: no curve is
            known well enough to be continued.
    """
    points = tuple(sorted(points, key=lambda point: point.labels))
    labels = np.array([point.labels for point in points], dtype=np.float64)
    values = np.array([point.value for point in points])
    errors = np.array([point.error for point in points])
    different = len(np.unique(labels))
    if different < 3:
        raise InputError(
            f"Expected scores with at least 3 different numbers of labels to fit a learning curve, found {different}. "
            "Label more and type: sga complete"
        )
    if (labels < 1).any() or not (errors > 0).all() or not np.isfinite(values).all():
        raise InputError("Expected points of at least 1 label, a finite score and an error above 0, found others.")
    if _rise(np.log(labels), values, errors) < _RISES:
        raise InputError(
            f"Expected scores that rise beyond their errors, found {100 * values[0]:.1f} % with {labels[0]:,.0f} labels and "
            f"{100 * values[-1]:.1f} % with {labels[-1]:,.0f}: more labels may not help, or more held-out ones are needed to "
            "see it."
        )
    best = _fit(labels, values[None], errors)
    fitted = _curve(best, labels[0], labels)
    freedom = len(points) - 3
    scatter = (((values - fitted) / errors) ** 2).sum() / freedom if freedom else 1.0
    noise = np.random.default_rng(seed).standard_normal((draws, len(points))) * errors * np.sqrt(max(1.0, scatter))
    a, drop, c = (float(value) for value in best[0])
    return LearningCurve(points, a, drop * float(labels[0]) ** c, c, _fit(labels, fitted + noise, errors))


def _curve(parameters: np.ndarray, first: float, labels: float | np.ndarray) -> np.ndarray:
    """Scores (m,) of parameters (m, 3) at one number of labels, or (m, k) at k of them."""
    a, drop, c = parameters.T if np.ndim(labels) == 0 else parameters.T[:, :, None]
    scores: np.ndarray = np.clip(a - drop * (np.asarray(labels) / first) ** -c, 0, 1)
    return scores


def _power(base: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """base ** exponent, at most 1e300."""
    with np.errstate(divide="ignore"):
        power: np.ndarray = np.exp(np.minimum(np.log(base) * exponent, 690))
    return power


def _rise(x: np.ndarray, y: np.ndarray, errors: np.ndarray) -> float:
    """Slope of the weighted regression of y on x, in its standard errors."""
    weights = errors**-2
    apart = x - np.average(x, weights=weights)
    squares = (weights * apart**2).sum()
    return float((weights * apart * y).sum() / squares * np.sqrt(squares))


def _fit(labels: np.ndarray, values: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """(m, 3) a, drop and c of the least weighted squares for each row of values (m, points); a and drop in [0, 1]."""
    weights = errors**-2
    x = (labels[None] / labels[0]) ** -_EXPONENTS[:, None]
    s, sx, sxx = weights.sum(), x @ weights, x**2 @ weights
    sy, sxy = (values @ weights)[:, None], (values * weights) @ x.T
    # The squares are convex in (a, drop): the least lies inside the square [0, 1]² or on one of its sides.
    free = np.maximum(s * sxx - sx**2, 1e-12)
    inside = ((sxx * sy - sx * sxy) / free, (sx * sy - s * sxy) / free)
    tries = [inside]
    for end in (0.0, 1.0):
        tries.append((np.full_like(sxy, end), np.clip((end * sx - sxy) / sxx, 0, 1)))
        tries.append((np.clip((sy + end * sx) / s, 0, 1), np.full_like(sxy, end)))
    a = np.stack([one for one, _ in tries])
    drop = np.stack([one for _, one in tries])
    squares = -2 * a * sy + 2 * drop * sxy + a**2 * s - 2 * a * drop * sx + drop**2 * sxx
    squares[(a < 0) | (a > 1) | (drop < 0) | (drop > 1)] = np.inf
    flat = squares.transpose(1, 0, 2).reshape(len(values), -1).argmin(axis=1)
    which, exponent = np.unravel_index(flat, (len(tries), len(_EXPONENTS)))
    row = np.arange(len(values))
    return np.stack([a[which, row, exponent], drop[which, row, exponent], _EXPONENTS[exponent]], axis=1)
