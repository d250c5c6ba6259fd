"""What neighbours in feature space tell: precision and recall, density and coverage, copies of training faces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Manifold", "NearestFaces", "manifold_measures", "mean_distance", "nearest_of_both"]

_ROWS = 1024
_CANDIDATES = 8


@dataclass(frozen=True)
class Manifold:
    """How two sets of n faces each overlap. precision, recall and coverage in [0, 1], density ≥ 0 (1 where both are alike)."""

    precision: float
    recall: float
    density: float
    coverage: float
    n: int


def manifold_measures(real: np.ndarray, generated: np.ndarray, precision_k: int = 3, coverage_k: int = 5) -> Manifold:
    """Precision and recall (Kynkäänniemi et al. 2019, Eq. 1 and 2), density and coverage (Naeem et al. 2020, Eq. 3 and 4).

    real, generated: (n, d) features, as many of each. The k are lowered where there are not so many neighbours.
    """
    n = len(real)
    if len(generated) != n or n < 2:
        raise ValueError(f"real and generated must be equally many and at least 2, found {n} and {len(generated)}")
    real, generated = (side.astype(np.float64) for side in (real, generated))
    ks = tuple(min(k, n - 1) for k in (precision_k, coverage_k))
    real_radii, generated_radii = _radii(real, ks), _radii(generated, ks[:1])
    inside_real, inside_generated = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    covered, within = np.zeros(n, dtype=bool), 0
    for start in range(0, n, _ROWS):
        rows = slice(start, start + _ROWS)
        apart = _distances(generated[rows], real)  # generated faces in rows, real ones in columns
        inside_real[rows] = (apart <= real_radii[0]).any(axis=1)
        inside_generated |= (apart <= generated_radii[0][rows, None]).any(axis=0)
        close = apart <= real_radii[1]
        within += int(close.sum())
        covered |= close.any(axis=0)
    return Manifold(float(inside_real.mean()), float(inside_generated.mean()), within / (ks[1] * n), float(covered.mean()), n)


def _radii(points: np.ndarray, ks: tuple[int, ...]) -> list[np.ndarray]:
    """(n,) a k: the distance of each point to its k-th nearest other point."""
    out = [np.empty(len(points)) for _ in ks]
    for start in range(0, len(points), _ROWS):
        apart = _distances(points[start : start + _ROWS], points)
        apart[np.arange(len(apart)), start + np.arange(len(apart))] = -1  # itself comes first
        ordered = np.partition(apart, ks, axis=1)
        for radii, k in zip(out, ks, strict=True):
            radii[start : start + len(apart)] = ordered[:, k]
    return out


def _distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(n, m) float64 Euclidean distances."""
    squares = (x**2).sum(axis=1)[:, None] + (y**2).sum(axis=1) - 2 * (x @ y.T)
    distances: np.ndarray = np.sqrt(squares.clip(min=0))
    return distances


def mean_distance(features: np.ndarray) -> float:
    """Mean distance over all pairs of (n, d) features, n ≥ 2."""
    n = len(features)
    exact = features.astype(np.float64)
    exact -= exact.mean(axis=0)
    total = sum(_distances(exact[start : start + _ROWS], exact).sum() for start in range(0, n, _ROWS))
    return float(total) / (n * (n - 1))


class NearestFaces:
    """The nearest of many faces, exact to rounding also where the distance is near 0."""

    def __init__(self, bank: np.ndarray) -> None:
        """bank: (m, d) float32 features."""
        self._bank = bank
        self._centre = bank.mean(axis=0, dtype=np.float64).astype(np.float32)
        self._centred = bank - self._centre  # small numbers lose less in the difference of squares
        self._squares = (self._centred**2).sum(axis=1)

    def __call__(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of (k, d) float32 features the distance (k,) float64 to the nearest face and its row (k,) int64."""
        score = self._squares - 2 * ((features - self._centre) @ self._centred.T)
        count = min(_CANDIDATES, len(self._bank))
        candidates = np.argpartition(score, count - 1, axis=1)[:, :count]
        apart = self._bank[candidates].astype(np.float64) - features[:, None].astype(np.float64)
        exact = np.sqrt((apart**2).sum(axis=2))
        best = exact.argmin(axis=1)
        rows = np.arange(len(features))
        return exact[rows, best], candidates[rows, best].astype(np.int64)


def nearest_of_both(bank: NearestFaces, plain: np.ndarray, flipped: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(k,) distances and rows of the nearest, of each face or its mirror image, whichever is nearer."""
    (near, rows), (other, other_rows) = bank(plain), bank(flipped)
    return np.minimum(near, other), np.where(other < near, other_rows, rows)
