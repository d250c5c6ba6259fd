"""From scores and labels that were held out to what the judge accepts (SGA-GAN 2.4), for each gender on its own."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

__all__ = ["Calibration", "calibrate", "precision_recall", "rescale"]

_LEAST_OF_A_GENDER = 30
"""Labels from which a gender has a threshold of its own."""


@dataclass(frozen=True)
class Calibration:
    """threshold: quality from which a face is accepted, by_gender: the same where the gender is known; levels: quality
    from which a face counts as a level, by name.

    rates[level]: precision and recall of "at least this level" at its threshold, on labels out of fold.
    """

    threshold: float
    by_gender: dict[str, float]
    levels: dict[str, float]
    rates: dict[str, dict[str, float]]
    labels: dict[str, int]


def precision_recall(score: np.ndarray, wanted: np.ndarray, threshold: float) -> tuple[float, float]:
    """Precision and recall of `score` ≥ threshold for the bool `wanted`; 0 where nothing passes or nothing is wanted."""
    passed = score >= threshold
    hits = float((passed & wanted).sum())
    return hits / max(1.0, float(passed.sum())), hits / max(1.0, float(wanted.sum()))


def calibrate(
    score: np.ndarray,
    codes: np.ndarray,
    values: tuple[str, ...],
    precision: float,
    gender: np.ndarray | None = None,
    genders: tuple[str, ...] = (),
) -> Calibration:
    """Thresholds from scores (n,) in [0, 1] of labels (n,) that were held out.

    gender: (n,) codes of `genders`, -1 unknown; None = one threshold for all. Each gender has its own: a generator draws the
    rare one less well, and what suits the other would never let it pass. A level's own threshold is where its F1 is best.
    """
    candidates = _passing(score, 0.1)
    levels: dict[str, float] = {values[0]: 0.0}
    for code in range(1, len(values)):
        wanted = codes >= code
        pairs = [precision_recall(score, wanted, threshold) for threshold in candidates]
        f1 = [2 * p * r / max(1e-9, p + r) for p, r in pairs]
        levels[values[code]] = max(float(candidates[int(np.argmax(f1))]), levels[values[code - 1]])
    threshold, by_gender = _acceptance(score, codes, precision), {}
    limit = np.full(len(score), threshold)
    for code, name in enumerate(genders):
        rows = np.zeros(len(score), dtype=bool) if gender is None else gender == code
        by_gender[name] = _acceptance(score[rows], codes[rows], precision) if rows.sum() >= _LEAST_OF_A_GENDER else threshold
        limit[rows] = by_gender[name]
    rates = {f"at least {name}": _rate(score, codes >= code, levels[name]) for code, name in enumerate(values) if code}
    rates["accepted is not low"] = _rate(score, codes > 0, limit)
    rates["accepted is high"] = _rate(score, codes == len(values) - 1, limit)
    for code, name in enumerate(genders):
        if gender is not None and (gender == code).any():
            rows = gender == code
            rates[f"accepted {name} is not low"] = _rate(score[rows], codes[rows] > 0, by_gender[name])
    rates["accepted"] = {"share": float((score >= limit).mean())}
    labels = {name: int((codes == code).sum()) for code, name in enumerate(values)}
    return Calibration(threshold, by_gender, levels, rates, labels)


def rescale(
    calibration: Calibration,
    score: np.ndarray,
    gender: np.ndarray,
    fresh: np.ndarray,
    fresh_gender: np.ndarray,
    genders: tuple[str, ...],
) -> Calibration:
    """Thresholds found on scores (n,) of the folds' networks, moved to where the last network's scores (m,) of fresh faces pass
    as often: two finetunings rank faces alike but do not share a scale."""

    def moved(limit: float, old: np.ndarray, new: np.ndarray) -> float:
        share = float((old >= limit).mean())
        return float(np.quantile(new, 1 - share)) if 0 < share < 1 and len(new) else limit

    by_gender = {
        name: moved(calibration.by_gender[name], score[gender == code], fresh[fresh_gender == code])
        for code, name in enumerate(genders)
        if (gender == code).any()
    }
    levels = {name: moved(limit, score, fresh) for name, limit in calibration.levels.items()}
    return replace(
        calibration,
        threshold=moved(calibration.threshold, score, fresh),
        by_gender={**calibration.by_gender, **by_gender},
        levels=levels,
    )


def _passing(score: np.ndarray, share: float) -> np.ndarray:
    """Thresholds that at least `share` of the scores pass, rising; 0 is among them."""
    candidates = np.unique(np.concatenate([[0.0], score]))
    kept: np.ndarray = candidates[[(score >= threshold).mean() >= share for threshold in candidates]]
    return kept


def _acceptance(score: np.ndarray, codes: np.ndarray, precision: float) -> float:
    """The lowest threshold at which at least `precision` of what passes is not of the lowest level.

    Where none reaches that: the most precise one that still passes a fifth. A stricter one would draw five times and more.
    """
    candidates = _passing(score, 0.2)
    good = np.asarray([precision_recall(score, codes > 0, threshold)[0] for threshold in candidates])
    enough = np.flatnonzero(good >= precision)
    return float(candidates[enough[0]] if len(enough) else candidates[int(good.argmax())])


def _rate(score: np.ndarray, wanted: np.ndarray, limit: float | np.ndarray) -> dict[str, float]:
    p, r = precision_recall(score - limit, wanted, 0.0)
    return {"threshold": float(np.mean(limit)), "precision": p, "recall": r}
