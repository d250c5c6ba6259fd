"""Which generated faces to ask people about: near the judge's threshold and across styles, each with a known chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["RANDOM", "Picked", "distances", "pick_faces"]

RANDOM = "random"
"""Strategy of the faces picked without regard to what they look like."""
_RANDOM_SHARE = 0.15
_REACH = 0.1
"""At this distance (a share of the faces) from the threshold, a face is e times less likely to be picked than on it."""
_FACES_A_STYLE = 8
_MOST_STYLES = 12


@dataclass(frozen=True)
class Picked:
    """rows: (k,) int64 of the candidates, in random order; strategy: (k,) text, `random` or what the others were picked for;
    weight: (k,) float64 > 0, how many faces of the ordinary output each one stands for; utility: (k,) float64 in [0, 1], 1 on
    the threshold, 0 without a judge."""

    rows: np.ndarray
    strategy: np.ndarray
    weight: np.ndarray
    utility: np.ndarray


def distances(score: np.ndarray, gender: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """(n,) float64 in [0, 1]: which share of the faces of its gender lies between a face and the threshold.

    score: (n,) quality; gender: (n,) int64 codes; thresholds: (genders,). A share, so that it does not matter how a judge
    spreads its scores.
    """
    out = np.zeros(len(score))
    for code in np.unique(gender):
        rows = gender == code
        ranked = np.sort(score[rows])
        below = np.searchsorted(ranked, score[rows]) - np.searchsorted(ranked, thresholds[code])
        out[rows] = np.abs(below) / len(ranked)
    return out


def pick_faces(gender: np.ndarray, style: np.ndarray, distance: np.ndarray | None, count: int, seed: int) -> Picked:
    """Pick `count` of n candidates that were drawn as they come: 15 % at random, the others near the threshold, as many of
    every style.

    gender: (n,) int64 codes; style: (n, d) float; distance: (n,) from the threshold as `distances` tells it, None = no judge
    yet, then styles alone count. Every face has a known chance p > 0, so that what holds of faces as they come (precision,
    share accepted) can be told from the picked ones: each stands for 1 / p of the candidates, scaled to a mean of about 1 and
    at most 6.7. A greedy choice of the nearest has no such chance: thresholds from its labels alone would be wrong.
    """
    n = len(gender)
    count = min(count, n)
    rng = np.random.default_rng(seed)
    at_random = int(np.ceil(_RANDOM_SHARE * count))
    near = np.ones(n) if distance is None else np.exp(-distance / _REACH)
    styles = _styles(style, count - at_random, seed)
    chance = _chances(near, gender, styles, count - at_random)
    best = _systematic(chance, np.lexsort((near, styles, gender)), rng)
    others = rng.choice(np.setdiff1d(np.arange(n), best), at_random, replace=False)
    chance += (1 - chance) * at_random / max(1, n - len(best))
    rows = np.concatenate([best, others]).astype(np.int64)
    strategy = np.repeat(["styles" if distance is None else "threshold", RANDOM], [len(best), len(others)])
    # Whoever stops half-way has then answered a fair part of them.
    order = rng.permutation(len(rows))
    rows, strategy = rows[order], strategy[order]
    utility = np.zeros(len(rows)) if distance is None else near[rows]
    return Picked(rows, strategy, (count / max(1, n)) / chance[rows], utility)


def _styles(style: np.ndarray, count: int, seed: int) -> np.ndarray:
    """(n,) int64: the cluster of each face's style."""
    clusters = int(np.clip(count // _FACES_A_STYLE, 1, _MOST_STYLES))
    if clusters == 1:
        return np.zeros(len(style), dtype=np.int64)
    from sklearn.cluster import KMeans

    found: np.ndarray = KMeans(clusters, n_init=3, random_state=seed % 2**32).fit_predict(np.asarray(style, dtype=np.float64))
    return found.astype(np.int64)


def _chances(near: np.ndarray, gender: np.ndarray, styles: np.ndarray, count: int) -> np.ndarray:
    """(n,) float64 in [0, 1] that sum to `count`: as `near` within a style of a gender, the same sum for each of those."""
    share = near.astype(np.float64)
    for code in np.unique(gender):
        for one in np.unique(styles[gender == code]):
            rows = (gender == code) & (styles == one)
            share[rows] /= share[rows].sum()
    sure = np.zeros(len(near), dtype=bool)
    while True:  # a chance has an end at 1; what is above it goes to the others
        rest = ~sure
        chance = np.where(sure, 1.0, 0.0)
        if rest.any():
            chance[rest] = (count - sure.sum()) * share[rest] / share[rest].sum()
        if not (chance > 1).any():
            return chance
        sure |= chance > 1


def _systematic(chance: np.ndarray, order: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows drawn with these chances, at even steps through `order`: what lies beside one another is not drawn together."""
    edges = np.cumsum(chance[order])
    steps = rng.random() + np.arange(round(float(chance.sum())))
    return order[np.unique(np.minimum(np.searchsorted(edges, steps, side="right"), len(order) - 1))]
