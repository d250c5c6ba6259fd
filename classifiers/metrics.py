"""Accuracy and average precision on labels that were held out, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

__all__ = [
    "Estimate",
    "accuracy",
    "average_precision",
    "balanced_accuracy",
    "bootstrap",
    "draw_counts",
    "resample",
]


@dataclass(frozen=True)
class Estimate:
    """A measured rate in [0, 1] with its 95 % bootstrap interval and the number of labels behind it."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{100 * self.value:.2f} [{100 * self.low:.1f}, {100 * self.high:.1f}]"


def accuracy(correct: np.ndarray, codes: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Mean of `correct` (n,) in [0, 1]; weights (n,) ≥ 0 are a bootstrap's counts. codes: taken as every metric does, not
    needed."""
    return float(np.average(correct, weights=weights))


def balanced_accuracy(correct: np.ndarray, codes: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Mean over the classes present of the share of `correct` within the class."""
    weights = np.ones(len(correct)) if weights is None else weights
    total = np.bincount(codes, weights=weights)
    right = np.bincount(codes, weights=weights * correct)
    present = total > 0
    return float((right[present] / total[present]).mean())


def average_precision(scores: np.ndarray, positive: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Average precision: the sum of precision × gain of recall over the thresholds, highest first (as scikit-learn's
    `average_precision_score`; equal scores share a threshold).

    scores: (n,); positive: (n,) bool; weights: (…, n) ≥ 0, such as the counts of many bootstrap draws, None = 1 each.
    Returns (…,) float64 in [0, 1], NaN where no positive has a weight.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, hits = -scores[order], np.flatnonzero(positive[order])
    ends = np.searchsorted(ranked, ranked[hits], side="right") - 1  # where the run of equal scores ends
    counted = np.ones(len(scores)) if weights is None else weights[..., order]
    gain = counted[..., hits].astype(np.float64)
    seen = np.cumsum(counted, axis=-1, dtype=np.float64)[..., ends]
    right = np.cumsum(gain, axis=-1)[..., np.searchsorted(hits, ends, side="right") - 1]
    precision = np.divide(right, seen, out=np.zeros_like(gain), where=seen > 0)
    total = gain.sum(axis=-1)
    averaged: np.ndarray = np.divide((gain * precision).sum(axis=-1), total, out=np.full_like(total, np.nan), where=total > 0)
    return averaged


_METRICS = {"accuracy": accuracy, "balanced": balanced_accuracy}
_DRAWS = 250


def bootstrap(correct: np.ndarray, codes: np.ndarray, metric: str = "accuracy", draws: int = 2000, seed: int = 0) -> Estimate:
    """A metric (`accuracy` or `balanced`) of (n,) `correct` in [0, 1] on (n,) int `codes`, with its percentile interval."""
    measure = _METRICS[metric]
    rng = np.random.default_rng(seed)
    n = len(correct)
    if n == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    low, high = np.percentile(resample(correct, codes, metric, draws, rng), [2.5, 97.5])
    return Estimate(measure(correct, codes), float(low), float(high), n)


def resample(correct: np.ndarray, codes: np.ndarray, metric: str, draws: int, rng: np.random.Generator) -> np.ndarray:
    """(draws,) values of a metric on as many samples of the rows, drawn with replacement. Arguments as of `bootstrap`."""
    n = len(correct)
    classes = codes[:, None] == np.unique(codes) if metric == "balanced" else np.ones((n, 1), dtype=bool)
    columns = np.concatenate([classes, classes * correct[:, None]], axis=1).astype(np.float64)
    values = []
    for counts in draw_counts(n, draws, rng):
        total, right = np.split(counts @ columns, 2, axis=1)
        rates = np.divide(right, total, out=np.full_like(right, np.nan), where=total > 0)
        values.append(np.nanmean(rates, axis=1))
    return np.concatenate(values)


def draw_counts(n: int, draws: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """How often each of n rows is drawn in each of `draws` bootstrap samples, (m, n) int64 a part, `draws` rows in all. In
    parts: a count for every row and draw would fill the memory."""
    for start in range(0, draws, _DRAWS):
        yield rng.multinomial(n, np.full(n, 1 / n), size=min(_DRAWS, draws - start))
