"""From scores and labels that were held out to what the judge accepts (SGA-GAN 2.4), for each gender on its own."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

__all__ = ["Acceptance", "calibrate", "precision_recall", "rescale"]

_LEAST_OF_A_GENDER = 30
"""Effective labels from which a gender has a threshold of its own."""


@dataclass(frozen=True)
class Acceptance:
    """threshold: quality from which a face is accepted, by_gender: the same where the gender is known; levels: quality from
    which a face counts as a level, by name; levels_by_gender[level][gender]: the same where the gender is known.

    rates[level]: precision and recall of "at least this level", and of what is accepted. Scores and thresholds are both out of
    fold: each label is held against thresholds that the other folds' labels chose.
    """

    threshold: float
    by_gender: dict[str, float]
    levels: dict[str, float]
    levels_by_gender: dict[str, dict[str, float]]
    rates: dict[str, dict[str, float]]
    labels: dict[str, int]


@dataclass(frozen=True)
class _Limits:
    """Thresholds that some labels chose."""

    accept: float
    levels: dict[str, float]


def precision_recall(
    score: np.ndarray, wanted: np.ndarray, threshold: float, weight: np.ndarray | None = None
) -> tuple[float, float]:
    """Precision and recall of `score` ≥ threshold for the bool `wanted`; 0 where nothing passes or nothing is wanted.

    weight: (n,) > 0, how many faces each one stands for; None = 1.
    """
    mass, passed = np.ones(len(score)) if weight is None else weight, score >= threshold
    hits, all_passed, all_wanted = (float(mass[rows].sum()) for rows in (passed & wanted, passed, wanted))
    return hits / all_passed if all_passed else 0.0, hits / all_wanted if all_wanted else 0.0


def calibrate(
    score: np.ndarray,
    codes: np.ndarray,
    values: tuple[str, ...],
    precision: float,
    gender: np.ndarray | None = None,
    genders: tuple[str, ...] = (),
    fold: np.ndarray | None = None,
    weight: np.ndarray | None = None,
) -> Acceptance:
    """Thresholds from scores (n,) in [0, 1] of labels (n,) that were held out.

    gender: (n,) codes of `genders`, -1 unknown; None = one threshold for all. Each gender has its own: a generator draws the
    rare one less well, and what suits the other would never let it pass. A level's own threshold is where its F1 is best; the
    highest level asks at least what acceptance asks. fold: (n,) int, by which rates are cross-fitted; None = on all labels.
    weight: (n,) > 0, how many faces of the ordinary output each one stands for, where labels were asked for on purpose and not
    as faces come (importance sampling); None = 1. Thresholds and rates are then those of the ordinary output all the same.
    """
    gender = np.full(len(score), -1) if gender is None else gender
    weight = np.ones(len(score)) if weight is None else weight
    found, by_gender = _limits(score, codes, values, precision, gender, genders, weight)
    held = [(np.ones(len(score), bool), np.ones(len(score), bool))]
    if fold is not None:
        held = [(fold == index, fold != index) for index in np.unique(fold)]
    accept, level = np.empty(len(score)), np.empty((len(score), len(values)))
    for here, others in held:
        part, each = _limits(score[others], codes[others], values, precision, gender[others], genders, weight[others])
        accept[here] = _of_gender(gender[here], genders, part.accept, {name: one.accept for name, one in each.items()})
        level[here] = [[part.levels[name] for name in values]] * int(here.sum())
    rates = {
        f"at least {name}": _rate(score, codes >= code, level[:, code], weight) for code, name in enumerate(values) if code
    }
    rates["accepted is not low"] = _rate(score, codes > 0, accept, weight)
    rates["accepted is high"] = _rate(score, codes == len(values) - 1, accept, weight)
    for code, name in enumerate(genders):
        if (gender == code).any():
            rows = gender == code
            rates[f"accepted {name} is not low"] = _rate(score[rows], codes[rows] > 0, accept[rows], weight[rows])
    rates["accepted"] = {"share": float(np.average(score >= accept, weights=weight))}
    return Acceptance(
        found.accept,
        {name: one.accept for name, one in by_gender.items()},
        found.levels,
        {level: {name: one.levels[level] for name, one in by_gender.items()} for level in values},
        rates,
        {name: int((codes == code).sum()) for code, name in enumerate(values)},
    )


def rescale(
    acceptance: Acceptance,
    score: np.ndarray,
    gender: np.ndarray,
    fresh: np.ndarray,
    fresh_gender: np.ndarray,
    genders: tuple[str, ...],
    weight: np.ndarray | None = None,
) -> Acceptance:
    """Thresholds found on scores (n,) of the folds' networks, moved to where the last network's scores (m,) of fresh faces pass
    as often: two finetunings rank faces alike but do not share a scale. weight: (n,) as in `calibrate`; fresh faces are as they
    come."""
    weight = np.ones(len(score)) if weight is None else weight

    def moved(limit: float, old: np.ndarray, mass: np.ndarray, new: np.ndarray) -> float:
        share = float(np.average(old >= limit, weights=mass)) if len(old) else 0.0
        return float(np.quantile(new, 1 - share)) if 0 < share < 1 and len(new) else limit

    def each(limits: dict[str, float]) -> dict[str, float]:
        parts = {
            name: (score[gender == code], weight[gender == code], fresh[fresh_gender == code])
            for code, name in enumerate(genders)
        }
        return {name: moved(limit, *parts[name]) for name, limit in limits.items()}

    return replace(
        acceptance,
        threshold=moved(acceptance.threshold, score, weight, fresh),
        by_gender=each(acceptance.by_gender),
        levels={name: moved(limit, score, weight, fresh) for name, limit in acceptance.levels.items()},
        levels_by_gender={name: each(limits) for name, limits in acceptance.levels_by_gender.items()},
    )


def _limits(
    score: np.ndarray,
    codes: np.ndarray,
    values: tuple[str, ...],
    precision: float,
    gender: np.ndarray,
    genders: tuple[str, ...],
    weight: np.ndarray,
) -> tuple[_Limits, dict[str, _Limits]]:
    """Those of all labels, and of each gender; a gender of too few labels takes those of all."""
    together, by_gender = _choose(score, codes, values, precision, weight), {}
    for code, name in enumerate(genders):
        rows = gender == code
        enough = _effective(weight[rows]) >= _LEAST_OF_A_GENDER
        by_gender[name] = _choose(score[rows], codes[rows], values, precision, weight[rows]) if enough else together
    return together, by_gender


def _effective(weight: np.ndarray) -> float:
    """Kish's effective sample size: as many labels of equal weight would tell as much."""
    return float(weight.sum() ** 2 / np.square(weight).sum()) if len(weight) else 0.0


def _choose(score: np.ndarray, codes: np.ndarray, values: tuple[str, ...], precision: float, weight: np.ndarray) -> _Limits:
    accept, candidates = _acceptance(score, codes, precision, weight), _passing(score, 0.1, weight)
    levels = {values[0]: 0.0}
    for code in range(1, len(values)):
        wanted = codes >= code
        pairs = [precision_recall(score, wanted, threshold, weight) for threshold in candidates]
        f1 = [2 * p * r / max(1e-9, p + r) for p, r in pairs]
        levels[values[code]] = max(float(candidates[int(np.argmax(f1))]), levels[values[code - 1]])
    levels[values[-1]] = max(levels[values[-1]], accept)
    return _Limits(accept, levels)


def _of_gender(gender: np.ndarray, genders: tuple[str, ...], whole: float, each: dict[str, float]) -> np.ndarray:
    """(n,) the threshold of every face."""
    out = np.full(len(gender), whole)
    for code, name in enumerate(genders):
        out[gender == code] = each[name]
    return out


def _passing(score: np.ndarray, share: float, weight: np.ndarray) -> np.ndarray:
    """Thresholds that at least `share` of the faces pass, rising; 0 is among them."""
    candidates = np.unique(np.concatenate([[0.0], score]))
    kept: np.ndarray = candidates[[np.average(score >= threshold, weights=weight) >= share for threshold in candidates]]
    return kept


def _acceptance(score: np.ndarray, codes: np.ndarray, precision: float, weight: np.ndarray) -> float:
    """The lowest threshold at which at least `precision` of what passes is not of the lowest level.

    Where none reaches that: the most precise one that still passes a fifth. A stricter one would draw five times and more.
    """
    candidates = _passing(score, 0.2, weight)
    good = np.asarray([precision_recall(score, codes > 0, threshold, weight)[0] for threshold in candidates])
    enough = np.flatnonzero(good >= precision)
    return float(candidates[enough[0]] if len(enough) else candidates[int(good.argmax())])


def _rate(score: np.ndarray, wanted: np.ndarray, limit: np.ndarray, weight: np.ndarray) -> dict[str, float]:
    p, r = precision_recall(score - limit, wanted, 0.0, weight)
    return {"threshold": float(np.average(limit, weights=weight)), "precision": p, "recall": r}
