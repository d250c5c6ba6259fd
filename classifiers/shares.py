"""Class shares: those that training met, and those of the faces that nobody has labelled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from classifiers.calibration import estimate_prior, sampled_prior
from classifiers.train import balancing
from labeling.answers import TABLE, Answer, ballots, random_sample
from labeling.table import LabelTable

__all__ = ["training_prior", "unlabelled_prior"]

_PSEUDO = 20
"""An estimated class prior counts like so many answers about random faces (a Dirichlet prior)."""


def training_prior(table: LabelTable, names: Sequence[str], rarity: float) -> dict[str, np.ndarray]:
    """(size,) class shares of each attribute that training meets, after its balancing. rarity: as in FitSettings."""
    attributes = [a.name for a in table.schema.with_role("gender", "style")]
    codes = {name: table.codes(name) for name in attributes}
    weights = {name: table.labelled(name).astype(np.float32) for name in attributes}
    rows = np.flatnonzero(np.any([weight > 0 for weight in weights.values()], axis=0) & table.trainable())
    sampling = balancing(codes, weights, rows, rarity)
    return {name: sampled_prior(codes[name][rows], sampling * weights[name][rows], table.schema[name].size) for name in names}


def unlabelled_prior(
    table: LabelTable, name: str, mean: np.ndarray, prior: np.ndarray, trained: np.ndarray, answers: Sequence[Answer]
) -> np.ndarray:
    """(size,) class prior of the faces without a label; mean: (n, size), the ensemble's probabilities under `prior` (size,);
    trained: (n,) bool, faces trained on; answers: of people, those about randomly picked faces count.

    EM on classifiers that know little ends in one class alone. What it says of the labelled faces, whose shares are known,
    tells how far to trust it: the rest of the trust goes to the labelled faces' own shares. All that is worth `_PSEUDO` answers
    about random faces, which tell the truth.
    """
    known = table.labelled(name) & trained
    labelled = np.bincount(table.codes(name)[known], minlength=table.schema[name].size)
    labelled = labelled / labelled.sum()
    distance = float(np.abs(estimate_prior(mean[known], prior) - labelled).sum() / 2)
    estimated = (1 - distance) * estimate_prior(mean[~table.labelled(name) & table.kept()], prior) + distance * labelled
    said, shares = _left(table, name, answers)
    blended: np.ndarray = (_PSEUDO * estimated + said * shares) / (_PSEUDO + said)
    return blended


def _left(table: LabelTable, name: str, answers: Sequence[Answer]) -> tuple[int, np.ndarray]:
    """How many random faces people decided, and the shares (size,) of the faces that are left, 0 where that tells nothing.

    The random picks tell of all faces that had no label when people began. Those that were labelled since, many of them because
    they looked rare, are taken off.
    """
    values, sample = table.schema[name].values, random_sample(answers, name)
    counts = np.asarray([sample[value] for value in values], dtype=np.float64)
    asked, kept = np.zeros(len(table), dtype=bool), table.kept()
    rows = table.rows(ballots((answer for answer in answers if answer.server != TABLE), name))
    asked[rows[rows >= 0]] = True
    labelled = table.labelled(name)
    total = counts / max(1.0, counts.sum()) * int(((~labelled | asked) & kept).sum())
    left = np.clip(total - np.bincount(table.codes(name)[labelled & asked & kept], minlength=len(values)), 0, None)
    return (int(counts.sum()), left / left.sum()) if left.sum() > 0 else (0, left)
