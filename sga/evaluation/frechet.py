"""Fréchet distance between Gaussians fitted to features (Heusel et al. 2017), from running moments in float64."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from configs.errors import InputError

__all__ = ["Moments", "PrefixMoments", "frechet_distance"]


class Moments:
    """Mean and covariance of a stream of features; what it holds does not grow with the stream."""

    def __init__(self, width: int) -> None:
        self.n = 0
        self.mean: np.ndarray = np.zeros(width)
        self.scatter: np.ndarray = np.zeros((width, width))
        """Sum over all features of (x - mean)(x - mean)ᵀ."""

    @classmethod
    def of(cls, features: np.ndarray, batch: int = 4096) -> Moments:
        """The moments of (n, width) features, which may be memory-mapped."""
        moments = cls(features.shape[1])
        for start in range(0, len(features), batch):
            moments.update(features[start : start + batch])
        return moments

    @classmethod
    def merged(cls, parts: Iterable[Moments]) -> Moments:
        """The moments of all parts' features together."""
        parts = list(parts)
        total = cls(len(parts[0].mean))
        for part in parts:
            total._add(part.n, part.mean, part.scatter)
        return total

    def update(self, features: np.ndarray) -> None:
        """Take in (k, width) features."""
        if len(features):
            exact = np.asarray(features, dtype=np.float64)
            mean = exact.mean(axis=0)
            centred = exact - mean
            self._add(len(exact), mean, centred.T @ centred)

    def _add(self, n: int, mean: np.ndarray, scatter: np.ndarray) -> None:
        """Chan et al. 1979: no difference of large sums, so that the order and size of batches hardly round."""
        if n == 0:
            return
        total, step = self.n + n, mean - self.mean
        self.scatter += scatter + np.outer(step, step) * (self.n * n / total)
        self.mean = self.mean + step * (n / total)
        self.n = total

    @property
    def covariance(self) -> np.ndarray:
        """(width, width) float64, unbiased.

        Raises:
            InputError: fewer than two faces.
        """
        if self.n < 2:
            raise InputError(f"Expected at least 2 faces to measure how features vary, found {self.n}. Raise --count.")
        return self.scatter / (self.n - 1)


class PrefixMoments:
    """Moments of the first k features of a stream, for a few k that are known beforehand."""

    def __init__(self, width: int, cuts: Iterable[int]) -> None:
        """cuts: the k, in any order."""
        self.width, self.cuts = width, sorted({cut for cut in cuts if cut > 0})
        self._segments = [Moments(width) for _ in range(len(self.cuts) + 1)]
        self.n = 0

    def update(self, features: np.ndarray) -> None:
        """Take in (k, width) features."""
        bounds = [cut - self.n for cut in self.cuts if self.n < cut < self.n + len(features)]
        for start, stop in zip([0, *bounds], [*bounds, len(features)], strict=True):
            segment = sum(cut <= self.n + start for cut in self.cuts)
            self._segments[segment].update(features[start:stop])
        self.n += len(features)

    def upto(self, cut: int) -> Moments:
        """Moments of the first `cut` features, or of all where the stream was shorter. cut: 0, or one of the cuts."""
        if cut and cut not in self.cuts:
            raise ValueError(f"cut must be one of {self.cuts}, found {cut}")
        return Moments.merged([Moments(self.width), *self._segments[: self.cuts.index(cut) + 1 if cut else 0]])


def frechet_distance(one: Moments, other: Moments) -> float:
    """|μ₁ - μ₂|² + tr(Σ₁ + Σ₂ - 2 (Σ₁Σ₂)^½) ≥ 0 (Heusel et al. 2017, Eq. 6).

    The trace of the root is the sum of the roots of the eigenvalues of Σ₁^½ Σ₂ Σ₁^½, which is symmetric: exact also where a
    covariance is singular, as it is of fewer faces than features.

    Raises:
        InputError: fewer than two faces on a side.
    """
    first, second = one.covariance, other.covariance
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    inner = root @ second @ root
    mixed = np.sqrt(np.linalg.eigvalsh((inner + inner.T) / 2).clip(min=0)).sum()
    step = one.mean - other.mean
    return max(0.0, float(step @ step + np.trace(first) + np.trace(second) - 2 * mixed))
