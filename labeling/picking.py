"""Which faces to ask people about: pure functions of probabilities and features, known by name.

A strategy is a function (count, pool, seed) → rows, best first; `pick` adds the random part. Equal utilities go by row, and
what a seed decides is decided by NumPy's Generator, so the same pool and seed give the same faces.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from configs.errors import InputError, MissingExtra, did_you_mean
from labeling.predictions import mutual_information
from labeling.provenance import MISSING_CODE

__all__ = [
    "NEED_PREDICTIONS",
    "RANDOM_SHARE",
    "STRATEGIES",
    "Picks",
    "Pool",
    "class_weights",
    "entropy",
    "find_strategy",
    "pick",
    "spread",
]

NEED_PREDICTIONS = ("uncertainty", "disagreement")
"""Strategies that cannot do without them."""

RANDOM_SHARE = 0.15
"""Part of `combined` that is picked at random: what a model picks has other class shares than the pool."""

_OVER = 5  # of this many times the faces wanted, those with the highest utility, diversity chooses
_CLUSTERS = 500  # TypiClust is for few labels (1.4 s with 500 of 28,000 faces); beyond that k-center chooses
_ROWS = 1024  # rows of a distance matrix at once: 115 MiB beside 28,000 faces


@dataclass(frozen=True)
class Pool:
    """What a strategy sees of n faces and one attribute of `size` values.

    probabilities: (n, members, size) under the prior of decisions, NaN for a face that the members have not seen; None before
    there are any; features: (n, d), near where faces look alike, None = there are none; labelled: (n,) int64 codes, -1
    unlabelled; candidates: (n,) bool, may be asked about; covered: (n,) bool, unlabelled but asked about or answered already.
    """

    probabilities: np.ndarray | None
    features: np.ndarray | None
    labelled: np.ndarray
    candidates: np.ndarray
    size: int
    covered: np.ndarray | None = None

    def __post_init__(self) -> None:
        n = len(self.candidates)
        told = self.probabilities
        if told is not None and (told.ndim != 3 or told.shape[0] != n or told.shape[2] != self.size):
            raise ValueError(f"expected probabilities ({n}, members, {self.size}), found {told.shape}")
        for name, value in (("features", self.features), ("labelled", self.labelled), ("covered", self.covered)):
            if value is not None and len(value) != n:
                raise ValueError(f"expected {name} of {n} faces, found {len(value)}")


@dataclass(frozen=True)
class Picks:
    """Faces to ask about, best first, the random ones evenly among them.

    rows: (count,) int64; utility: (count,) float32 in [0, 1] by the strategy, of random ones too; strategy: (count,) text, why
    each face is here; note: what stood in for the strategy asked for, "" = nothing had to.
    """

    rows: np.ndarray
    utility: np.ndarray
    strategy: np.ndarray
    note: str = ""


@dataclass(frozen=True)
class Chosen:
    """What a strategy answers: rows (count,) int64, best first; utility (n,) in [0, 1] of every face; by: who really chose."""

    rows: np.ndarray
    utility: np.ndarray
    by: str
    note: str = ""


Strategy = Callable[[int, Pool, int], Chosen]


def pick(strategy: str, count: int, pool: Pool, seed: int, *, random_share: float | None = None) -> Picks:
    """`count` candidates of the pool, or all where there are fewer.

    random_share: part in [0, 1] that is drawn from all candidates alike and marked "random"; None = 15 % for combined, 0 for
    the others.

    Raises:
        InputError: no such strategy, no candidates, or the strategy lacks what it works on.
        MissingExtra: scikit-activeml is needed and not installed.
    """
    choose = find_strategy(strategy)
    if count < 1:
        raise InputError(f"Expected a count of at least 1, found {count}.")
    candidates = np.flatnonzero(pool.candidates)
    if not len(candidates):
        raise InputError("Expected faces without a label or an answer, found none. Ask for another attribute or add faces.")
    share = (RANDOM_SHARE if strategy == "combined" else 0.0) if random_share is None else random_share
    count = min(count, len(candidates))
    chance = _draw(round(share * count), candidates, seed)
    chosen = choose(count, pool, seed)
    picked = chosen.rows[~np.isin(chosen.rows, chance)][: count - len(chance)]
    here = np.zeros(count, dtype=bool)
    here[((np.arange(len(chance)) + 0.5) * count / max(1, len(chance))).astype(np.int64)] = True
    rows = np.empty(count, dtype=np.int64)
    rows[here], rows[~here] = chance, picked
    by = np.where(here, "random", chosen.by)
    return Picks(rows, chosen.utility[rows].astype(np.float32), by, chosen.note)


def find_strategy(name: str) -> Strategy:
    """The strategy of that name.

    Raises:
        InputError: no such strategy; names the nearest.
    """
    if name not in STRATEGIES:
        raise InputError(f"Expected a strategy ({', '.join(STRATEGIES)}), found {name!r}.{did_you_mean(name, STRATEGIES)}")
    return STRATEGIES[name]


def random(count: int, pool: Pool, seed: int) -> Chosen:
    """Every candidate alike. All utilities are 0: nothing was weighed."""
    return Chosen(_draw(count, np.flatnonzero(pool.candidates), seed), np.zeros(len(pool.candidates)), "random")


def uncertainty(count: int, pool: Pool, seed: int) -> Chosen:
    """Highest entropy of the members' mean."""
    utility = _known(pool, "uncertainty", lambda told: entropy(told.mean(axis=1)))
    return Chosen(_best(utility, pool.candidates, count), utility, "uncertainty")


def disagreement(count: int, pool: Pool, seed: int) -> Chosen:
    """Highest mutual information between the label and the member (BALD)."""
    utility = _known(pool, "disagreement", mutual_information)
    return Chosen(_best(utility, pool.candidates, count), utility, "disagreement")


def diverse(count: int, pool: Pool, seed: int) -> Chosen:
    """Cold start without a model: typical faces of the largest parts of the feature space that hold no label yet (TypiClust,
    Hacohen et al. 2022); with many labels greedy k-center, the faces furthest from all labels. Utility falls with the place."""
    if pool.features is None:
        raise InputError("Expected features of the faces for the strategy diverse, found none. Type: --strategy random")
    candidates, covered = np.flatnonzero(pool.candidates), np.flatnonzero(_covered(pool))
    clusters = count + len(covered)
    rows = np.concatenate([covered, candidates])
    if count and clusters <= _CLUSTERS and len(np.unique(pool.features[rows], axis=0)) >= clusters:
        order = _typical(count, pool.features[rows], len(covered), seed) - len(covered)
    else:
        order = spread(pool.features[candidates], count, near=pool.features[covered])
    utility = np.zeros(len(pool.candidates))
    utility[candidates[order]] = 1 - np.arange(count) / max(1, count)
    return Chosen(candidates[order], utility, "diverse")


def combined(count: int, pool: Pool, seed: int) -> Chosen:
    """Likely of a class with few labels, uncertain, disputed between the members (`_gain`); of the best five times as many,
    those far from each other. Without predictions `diverse`, without features too `random`."""
    if not _told(pool)[pool.candidates].any():
        stand_in, name = (random, "random") if pool.features is None else (diverse, "diverse")
        chosen = stand_in(count, pool, seed)
        note = f"Nothing is predicted of these faces (sga complete learns what has labels): {name} stands in for combined."
        return Chosen(chosen.rows, chosen.utility, chosen.by, note)
    utility = _known(pool, "combined", lambda told: _gain(told, class_weights(pool.labelled, pool.size)))
    top = _best(utility, pool.candidates, _OVER * count)
    if pool.features is None:
        return Chosen(top[:count], utility, "combined")
    waiting = np.flatnonzero(_covered(pool) & (pool.labelled == MISSING_CODE))
    order = spread(pool.features[top], count, near=pool.features[waiting], weight=utility[top])
    return Chosen(top[order], utility, "combined")


STRATEGIES: dict[str, Strategy] = {
    function.__name__: function for function in (combined, random, uncertainty, disagreement, diverse)
}
"""By name; the first is the default."""


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """(n, k) → (n,) in [0, 1], a part of its maximum log k."""
    p = np.clip(probabilities.astype(np.float64), 1e-12, 1)
    return np.clip(-(p * np.log(p)).sum(axis=1) / np.log(p.shape[1]), 0, 1)


def class_weights(labelled: np.ndarray, size: int) -> np.ndarray:
    """(size,) in (0, 1]: what a label of each class is worth, falling with the labels it has (codes (n,), -1 unlabelled).

    1 / (½ + its count as a part of the mean count), 1 for the rarest: a class without labels is worth at most
    2 · size + 1 times one that has all.
    """
    counts = np.bincount(labelled[labelled != MISSING_CODE], minlength=size)
    worth = 1 / (0.5 + counts / max(1.0, counts.mean()))
    weights: np.ndarray = worth / worth.max()
    return weights


def spread(features: np.ndarray, count: int, near: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """(count,) int64: greedy k-center (Sener and Savarese 2018). Each time the row of features (n, d) whose distance to `near`
    (m, d) and to all taken so far, times its weight (n,) ≥ 0, is largest. With nothing near: first the heaviest, or else the
    most central."""
    features = features.astype(np.float32)
    worth = np.ones(len(features)) if weight is None else weight + 1e-9  # a weight of 0 is still better than a row twice
    taken = np.empty(count, dtype=np.int64)
    if len(near):
        distance = _nearest(features, near.astype(np.float32))
    else:
        distance = np.ones(len(features)) if weight is not None else 1 / (1 + _nearest(features, features.mean(0)[None]))
    for place in range(count):
        taken[place] = row = int((distance * worth).argmax())
        step = np.linalg.norm(features - features[row], axis=1)
        distance = step if place == 0 and not len(near) else np.minimum(distance, step)
        distance[taken[: place + 1]] = -1
    return taken


def _nearest(features: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """(n,) Euclidean distance of each row (n, d) to the nearest of (m, d)."""
    lengths = (centres**2).sum(axis=1)
    found = np.empty(len(features))
    for start in range(0, len(features), _ROWS):
        part = features[start : start + _ROWS]
        square = (lengths - 2 * part @ centres.T).min(axis=1) + (part**2).sum(axis=1)
        found[start : start + _ROWS] = np.sqrt(np.maximum(square, 0))
    return found


def _typical(count: int, features: np.ndarray, labelled: int, seed: int) -> np.ndarray:
    """(count,) int64 rows of features, the first `labelled` of which are covered. There are at least labelled + count different
    rows, so that every cluster is filled and no row comes twice."""
    try:
        from skactiveml.pool import TypiClust
        from threadpoolctl import threadpool_limits
    except ModuleNotFoundError as error:
        raise MissingExtra("scikit-activeml", "studio") from error
    answers = np.full(len(features), np.nan)
    answers[:labelled] = 0
    with threadpool_limits(1):  # threads add up in any order, and the last digits may move a face to another cluster
        rows: np.ndarray = TypiClust(random_state=seed % 2**32).query(features.astype(np.float64), answers, batch_size=count)
    return rows


def _gain(told: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(n,) in [0, 1]: how far up a face stands in entropy and in mutual information, and in what its class is worth; the more
    unbalanced the labels are, the more the last one leads.

    Where a class is rare, the members' surest faces of it teach most, and entropy alone would pass them by. The negative
    logarithms of ranks are joined, as Fisher joins tests: scales do not matter, and the top of each list stands out.
    """
    mean, unbalanced = told.mean(axis=1), 1 - weights.min()
    unsure = (_surprise(entropy(mean)) + _surprise(mutual_information(told))) / 2
    return (1 - unbalanced) * unsure + unbalanced * _surprise(mean @ weights)


def _surprise(values: np.ndarray) -> np.ndarray:
    """(n,) in [0, 1]: -log of the part of the values that are at least as large, over its maximum log n."""
    n = len(values)
    at_least = n - np.searchsorted(np.sort(values), values, side="left")
    return -np.log(at_least / n) / np.log(max(2, n))


def _told(pool: Pool) -> np.ndarray:
    """(n,) bool: has predictions."""
    if pool.probabilities is None:
        return np.zeros(len(pool.candidates), dtype=bool)
    told: np.ndarray = np.isfinite(pool.probabilities).all(axis=(1, 2))
    return told


def _known(pool: Pool, strategy: str, score: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """(n,) score of the candidates' probabilities; of one without, the median of the others: neither preferred nor
    forgotten. 0 for what is no candidate."""
    use = _told(pool) & pool.candidates
    if pool.probabilities is None or not use.any():
        raise InputError(
            f"Expected the ensemble's predictions for the strategy {strategy}, found none. Type --strategy diverse or "
            "--strategy random, or first, where the attribute has labels: sga complete"
        )
    utility = np.zeros(len(pool.candidates))
    utility[use] = score(pool.probabilities[use])
    utility[pool.candidates & ~use] = np.median(utility[use])
    return utility


def _covered(pool: Pool) -> np.ndarray:
    labelled = pool.labelled != MISSING_CODE
    covered: np.ndarray = (labelled if pool.covered is None else labelled | pool.covered) & ~pool.candidates
    return covered


def _best(utility: np.ndarray, candidates: np.ndarray, count: int) -> np.ndarray:
    rows = np.flatnonzero(candidates)
    return rows[np.argsort(-utility[rows], kind="stable")[:count]]


def _draw(count: int, rows: np.ndarray, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(rows)[:count]
