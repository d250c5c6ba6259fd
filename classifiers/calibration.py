"""Probabilities that can be trusted: calibration on labels that were held out, and class priors that differ from training's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labeling.predictions import UNSEEN, adjust_prior
from labeling.provenance import MISSING_CODE
from labeling.table import LabelTable

__all__ = ["Scaling", "estimate_prior", "fit_scaling", "match_means", "sampled_prior", "target_prior"]


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


def match_means(logits: np.ndarray, wanted: np.ndarray, steps: int = 1000) -> np.ndarray:
    """(k,) float64 bias with which the mean of the softmax of `logits` (n, k) is `wanted` (k,), shares that sum to 1."""
    target = np.log(np.clip(wanted, 1e-12, 1))
    bias = np.zeros(logits.shape[1])
    for _ in range(steps):
        step = target - np.log(np.clip(_softmax(logits + bias).mean(axis=0), 1e-12, 1))
        bias += step
        if np.abs(step).max() < 1e-9:
            break
    return bias


def estimate_prior(probabilities: np.ndarray, training: np.ndarray, steps: int = 200) -> np.ndarray:
    """(k,) class prior of an unlabelled set, by EM (Saerens et al. 2002).

    probabilities: (n, k) calibrated under the prior `training` (k,). The labelled faces are chosen where rare classes are
    likely, so their balance is not that of the rest: uncorrected, completion would fill in far too many men.
    """
    prior = np.where(training > UNSEEN, training, 0.0)
    prior = prior / prior.sum()
    if len(probabilities) == 0:
        return prior
    for _ in range(steps):
        updated = adjust_prior(probabilities, training, prior).mean(axis=0)
        if np.abs(updated - prior).max() < 1e-7:
            break
        prior = updated
    return prior


def sampled_prior(codes: np.ndarray, mass: np.ndarray, size: int) -> np.ndarray:
    """(size,) float64 class prior that training met. codes (k,) int64, -1 unknown; mass (k,): sampling × loss weight of the
    cell."""
    known = codes != MISSING_CODE
    total = np.bincount(codes[known], weights=mass[known], minlength=size) + 1e-9
    prior: np.ndarray = total / total.sum()
    return prior


def target_prior(table: LabelTable, name: str) -> np.ndarray:
    """(size,) class prior of decisions: equal for gender (balanced accuracy), else that of the labelled faces."""
    attribute, codes = table.schema[name], table.codes(name)[table.labelled(name) & table.trainable()]
    if attribute.role == "gender":
        return np.full(attribute.size, 1 / attribute.size)
    counts = np.bincount(codes, minlength=attribute.size) + 0.5
    prior: np.ndarray = counts / counts.sum()
    return prior
