"""Accuracy on labels that were held out, with bootstrap intervals, calibration, and the correction of a shifted class
balance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = [
    "Estimate",
    "Scaling",
    "accuracy",
    "adjust_prior",
    "balanced_accuracy",
    "bootstrap",
    "estimate_prior",
    "fit_scaling",
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


@dataclass(frozen=True)
class Scaling:
    """Bias-corrected temperature scaling (Alexandari et al. 2020): logits become logits / temperature + bias, (k,).

    The bias matters where probabilities are then moved to other class shares: a temperature alone cannot mend a classifier that
    favours one class.
    """

    temperature: float
    bias: np.ndarray

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """(…, k) probabilities → the same, calibrated."""
        scaled: np.ndarray = _softmax(_log(probabilities) / self.temperature + self.bias)
        return scaled


_RIDGE = 1e-3  # on the bias: a class of a few labels must not be thrown out


def fit_scaling(probabilities: np.ndarray, codes: np.ndarray, weights: np.ndarray | None = None) -> Scaling:
    """The scaling that minimises the (weighted) negative log-likelihood. (n, k), (n,) int; none where n is 0."""
    from scipy.optimize import minimize

    n, size = probabilities.shape
    if n == 0:
        return Scaling(1.0, np.zeros(size))
    logits, truth = _log(probabilities), np.eye(size)[codes]
    share = np.full(n, 1 / n) if weights is None else weights / weights.sum()

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        warmth, bias = np.exp(-parameters[0]), parameters[1:]
        scaled = _softmax(logits * warmth + bias)
        error = share[:, None] * (scaled - truth)
        value = -(share * np.log(np.clip((scaled * truth).sum(axis=1), 1e-12, 1))).sum() + _RIDGE * (bias**2).sum()
        slope = np.concatenate([[-(error * logits).sum() * warmth], error.sum(axis=0) + 2 * _RIDGE * bias])
        return float(value), slope

    bounds = [(np.log(0.1), np.log(10)), *[(-10, 10)] * size]
    found = minimize(loss, np.zeros(1 + size), jac=True, method="L-BFGS-B", bounds=bounds).x
    return Scaling(float(np.exp(found[0])), found[1:])


def _log(probabilities: np.ndarray) -> np.ndarray:
    logits: np.ndarray = np.log(np.clip(probabilities.astype(np.float64), 1e-12, 1))
    return logits


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: np.ndarray = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def adjust_prior(probabilities: np.ndarray, training: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(…, k) probabilities under the class prior `training` (k,), moved to the prior `target` (k,) by Bayes' rule.

    A class that training never met gets 0: nothing is known of it, and what smoothing gives it must not be blown up.
    """
    met = training > _NEVER_MET
    scaled = probabilities * np.where(met, target / np.where(met, training, 1.0), 0.0)
    corrected: np.ndarray = scaled / scaled.sum(axis=-1, keepdims=True)
    return corrected


def estimate_prior(probabilities: np.ndarray, training: np.ndarray, steps: int = 200) -> np.ndarray:
    """(k,) class prior of an unlabelled set, by EM (Saerens et al. 2002).

    probabilities: (n, k) calibrated under the prior `training` (k,). The labelled faces are chosen where rare classes are
    likely, so their balance is not that of the rest: uncorrected, completion would fill in far too many men.
    """
    prior = np.where(training > _NEVER_MET, training, 0.0)
    prior = prior / prior.sum()
    if len(probabilities) == 0:
        return prior
    for _ in range(steps):
        updated = adjust_prior(probabilities, training, prior).mean(axis=0)
        if np.abs(updated - prior).max() < 1e-7:
            break
        prior = updated
    return prior
