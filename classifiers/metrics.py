"""Accuracy on labels that were held out, with bootstrap intervals, calibration, and the correction of a shifted class
balance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = [
    "Estimate",
    "accuracy",
    "balanced_accuracy",
    "bootstrap",
    "fit_temperature",
    "resample",
    "reweigh",
    "shift_prior",
    "temper",
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


_METRICS = {"accuracy": accuracy, "balanced": balanced_accuracy}
_DRAWS = 250
_NEVER_MET = 1e-7  # a class without a label has the share 1e-9 or less, one with a single label far more


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
    for start in range(0, draws, _DRAWS):  # in parts: a count for every row and draw would fill the memory
        counts = rng.multinomial(n, np.full(n, 1 / n), size=min(_DRAWS, draws - start))
        total, right = np.split(counts @ columns, 2, axis=1)
        rates = np.divide(right, total, out=np.full_like(right, np.nan), where=total > 0)
        values.append(np.nanmean(rates, axis=1))
    return np.concatenate(values)


def temper(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """(…, k) probabilities raised to 1/temperature and normalised again: what dividing the logits would give."""
    powered = np.clip(probabilities, 1e-12, 1) ** (1 / temperature)
    scaled: np.ndarray = powered / powered.sum(axis=-1, keepdims=True)
    return scaled


def fit_temperature(probabilities: np.ndarray, codes: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The temperature that minimises the (weighted) negative log-likelihood (Guo et al. 2017). (n, k), (n,) int; 1 where n is
    0."""
    from scipy.optimize import minimize_scalar

    if len(codes) == 0:
        return 1.0
    rows = np.arange(len(codes))

    def loss(log_temperature: float) -> float:
        scaled = temper(probabilities, float(np.exp(log_temperature)))
        return float(np.average(-np.log(np.clip(scaled[rows, codes], 1e-12, 1)), weights=weights))

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.1), np.log(10)), method="bounded").x))


def reweigh(probabilities: np.ndarray, trained: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """(…, k) probabilities of classifiers that met the classes in shares `trained` (k,), as if they had met shares `wanted`
    (k,).

    A class that training never met gets 0: nothing is known of it, and what smoothing gives it must not be blown up.
    """
    met = trained > _NEVER_MET
    scaled = probabilities * np.where(met, wanted / np.where(met, trained, 1.0), 0.0)
    corrected: np.ndarray = scaled / scaled.sum(axis=-1, keepdims=True)
    return corrected


def shift_prior(probabilities: np.ndarray, trained: np.ndarray, steps: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Class shares of an unlabelled set, and its probabilities corrected to them (Saerens et al. 2002, EM).

    probabilities: (n, k) calibrated where classes had the shares `trained` (k,). The labelled faces are chosen where rare
    classes
    are likely, so their balance is not that of the rest: uncorrected, completion would fill in far too many men.
    Returns (k,) shares and (n, k) corrected probabilities.
    """
    shares = np.where(trained > _NEVER_MET, trained, 0.0)
    shares = shares / shares.sum()
    corrected = probabilities.astype(np.float64)
    if len(probabilities) == 0:
        return shares, corrected
    for _ in range(steps):
        corrected = reweigh(probabilities, trained, shares)
        updated = corrected.mean(axis=0)
        if np.abs(updated - shares).max() < 1e-7:
            break
        shares = updated
    return shares, corrected
