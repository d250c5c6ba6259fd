"""An annotator simulated from known labels, round after round: learn, measure, pick, ask. Arrays in, a curve out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field

from classifiers.metrics import balanced_accuracy
from configs.settings import Settings
from labeling.picking import NEED_PREDICTIONS, Pool, pick
from labeling.predictions import adjust_prior

__all__ = ["COLUMNS", "Bench", "RoundSettings", "simulate", "thin"]

COLUMNS = ("strategy", "seed", "labels", "balanced_accuracy", "rare_found")
"""Of a curve: a row a round."""


class RoundSettings(Settings):
    """How many labels, and what learns from them."""

    start: int = Field(20, ge=2, description="labels that every strategy begins with, drawn at random")
    batch: int = Field(20, ge=1, description="labels asked for in a round")
    labels: int = Field(600, ge=3, description="labels at which a simulation ends; all of the pool's where it has fewer")
    strength: float = Field(0.03, gt=0, description="C of the logistic regression: the smaller, the stronger it is held back")


@dataclass(frozen=True)
class Bench:
    """n faces with a known label. members: (n, d) float64 features each; diversity: (n, d) float64 of all together; codes: (n,)
    int64 in [0, size); groups: (n,) text, near duplicates have the same; test: (n,) bool, of that split; rare: code of the
    rarest value."""

    members: tuple[np.ndarray, ...]
    diversity: np.ndarray
    codes: np.ndarray
    groups: np.ndarray
    test: np.ndarray
    size: int
    rare: int

    def held_out(self, how: Literal["test", "drawn"], seed: int) -> np.ndarray:
        """(n,) bool: the faces that judge; the others are the pool."""
        if how == "test":
            return self.test
        groups = np.unique(self.groups)
        drawn: np.ndarray = np.isin(self.groups, np.random.default_rng([seed, 2]).permutation(groups)[: len(groups) // 3])
        return drawn


def simulate(
    bench: Bench, pool: np.ndarray, test: np.ndarray, strategy: str, seed: int, settings: RoundSettings
) -> pd.DataFrame:
    """One annotator from the first labels to the last: learn, measure, pick, ask. pool, test: (n,) bool, faces that may be
    asked about and faces that judge. Returns a row a round, `COLUMNS`; a seed's first labels are the same for all
    strategies."""
    rows = np.flatnonzero(pool)
    said = np.full(len(rows), -1, dtype=np.int64)
    first = np.random.default_rng([seed, 0]).permutation(len(rows))[: settings.start]
    said[first] = bench.codes[rows[first]]
    told, end = [], min(settings.labels, len(rows))
    while True:
        known = said >= 0
        probabilities = _learn(bench, rows, said, settings.strength)
        score = _accuracy(bench.codes[test], None if probabilities is None else probabilities[test], said)
        told.append((strategy, seed, int(known.sum()), score, int((said == bench.rare).sum())))
        wanted = min(settings.batch, end - int(known.sum()))
        if wanted <= 0:
            return pd.DataFrame(told, columns=list(COLUMNS))
        seen = None if probabilities is None else probabilities[rows]
        # While the labels are of one class alone nothing can be learnt from them.
        name = "random" if seen is None and strategy in NEED_PREDICTIONS else strategy
        asked = pick(name, wanted, Pool(seen, bench.diversity[rows], said, ~known, bench.size), seed * 10_000 + len(told))
        said[asked.rows] = bench.codes[rows[asked.rows]]


def thin(pool: np.ndarray, codes: np.ndarray, code: int, share: float, seed: int) -> np.ndarray:
    """(n,) bool: the pool (n,) bool without as many faces of `code`, drawn by `seed`, as bring it to its share in (0, 1)."""
    of_value = pool & (codes == code)
    kept = pool & ~of_value
    count = round(share / (1 - share) * int(kept.sum()))
    kept[np.random.default_rng([seed, 1]).permutation(np.flatnonzero(of_value))[:count]] = True
    return kept


def _learn(bench: Bench, rows: np.ndarray, said: np.ndarray, strength: float) -> np.ndarray | None:
    """(n, members, size) float32 probabilities, all classes that were met being equally likely beforehand; None while the
    labels are of one class alone. rows: (p,) int64, the pool; said: (p,) int64 codes, -1 unlabelled.

    What a strategy picks has other class shares than the pool, so classes weighted by the labels' own shares would shift the
    decision. A regression without such weights learns the pool's probabilities whatever was picked; their mean over the pool
    tells its shares, and Bayes' rule takes them out.
    """
    from sklearn.linear_model import LogisticRegression

    known = said >= 0
    met = np.unique(said[known])
    if len(met) < 2:
        return None
    equal = np.isin(np.arange(bench.size), met) / len(met)
    told = np.zeros((len(bench.codes), len(bench.members), bench.size))
    for index, features in enumerate(bench.members):
        model = LogisticRegression(C=strength, max_iter=1000).fit(features[rows[known]], said[known])
        told[:, index, met] = model.predict_proba(features)
        pool = np.where(known[:, None], np.eye(bench.size)[said], told[rows, index])
        told[:, index] = adjust_prior(told[:, index], pool.mean(axis=0), equal)
    return told.astype(np.float32)


def _accuracy(codes: np.ndarray, probabilities: np.ndarray | None, said: np.ndarray) -> float:
    """Balanced accuracy of the members' average on faces of the given codes; of the one class met while there is no other."""
    guess = said.max() if probabilities is None else probabilities.mean(axis=1).argmax(axis=1)
    return balanced_accuracy((guess == codes).astype(np.float64), codes)
