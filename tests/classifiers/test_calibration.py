"""Calibration and class priors, on numbers whose truth is known."""

import numpy as np
import pytest

from classifiers.calibration import Scaling, estimate_prior, fit_scaling, match_means
from labeling.predictions import adjust_prior


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def drawn(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits (n, 3) and codes (n,) that follow them."""
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(n, 3))
    codes = (softmax(logits).cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=2)
    return logits, codes


def test_scaling_divides_the_logits_and_adds_the_bias() -> None:
    logits, bias = drawn(5)[0], np.array([0.5, 0.0, -1.0])
    np.testing.assert_allclose(Scaling(2.5, bias)(softmax(logits)), softmax(logits / 2.5 + bias), rtol=1e-9)


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_a_known_scaling_is_recovered(factor: float) -> None:
    """Logits that are `factor` times too large, of a classifier that favours the last class."""
    logits, codes = drawn(20_000)
    found = fit_scaling(softmax(logits * factor + np.array([0.0, 0.0, 1.5])), codes)
    assert found.temperature == pytest.approx(factor, rel=0.05)
    np.testing.assert_allclose(found.bias - found.bias.mean(), np.array([0.5, 0.5, -1.0]) / factor, atol=0.06)


def test_weights_count_as_repeated_rows() -> None:
    logits, codes = drawn(400)
    weights = np.random.default_rng(1).integers(1, 4, 400)
    once, often = (
        fit_scaling(softmax(logits), codes, weights),
        fit_scaling(softmax(logits.repeat(weights, axis=0)), codes.repeat(weights)),
    )
    assert once.temperature == pytest.approx(often.temperature, rel=1e-3)
    np.testing.assert_allclose(once.bias, often.bias, atol=1e-3)


def test_scaling_without_labels_changes_nothing() -> None:
    told = softmax(drawn(5)[0])
    np.testing.assert_allclose(fit_scaling(np.zeros((0, 3)), np.zeros(0, dtype=int))(told), told)


def test_a_class_of_few_labels_is_not_thrown_out() -> None:
    logits, codes = drawn(3000)
    found = fit_scaling(softmax(logits)[codes < 2], codes[codes < 2])
    assert np.isfinite(found.bias).all()
    assert found.bias.min() > -6


def two_classes(share: float, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Codes of the given share, and calibrated probabilities of a classifier that met both classes equally often."""
    codes = (rng.random(n) < share).astype(int)
    x = rng.normal(size=n) + np.where(codes == 1, 1.0, -1.0)
    male = 1 / (1 + np.exp(-2 * x))
    return codes, np.stack([1 - male, male], axis=1)


@pytest.mark.parametrize("share", [0.08, 0.3, 0.5])
def test_the_class_prior_is_recovered(share: float) -> None:
    codes, told = two_classes(share, 40_000, np.random.default_rng(1))
    prior = estimate_prior(told, np.array([0.5, 0.5]))
    adjusted = adjust_prior(told, np.array([0.5, 0.5]), prior)
    assert prior[1] == pytest.approx(codes.mean(), abs=0.01)
    assert adjusted[:, 1].mean() == pytest.approx(codes.mean(), abs=0.01)
    np.testing.assert_allclose(adjusted.sum(axis=1), 1)
    if share == 0.08:  # unadjusted, far too many would be filled in
        assert (told[:, 1] > 0.5).mean() > 2 * codes.mean()
        assert (adjusted[:, 1] > 0.5).mean() < 1.2 * codes.mean()


def test_the_prior_of_nothing_is_that_of_training() -> None:
    np.testing.assert_allclose(estimate_prior(np.zeros((0, 2)), np.array([0.2, 0.8])), [0.2, 0.8])


def test_a_class_that_training_never_met_gains_nothing() -> None:
    """Label smoothing gives such a class a few per mille everywhere: no adjustment may make it win."""
    told = np.tile([0.6, 0.396, 0.004], (100, 1))
    told[:50] = [0.3, 0.696, 0.004]
    training = np.array([0.5, 0.5, 1e-10])
    assert estimate_prior(told, training)[2] < 1e-3
    assert adjust_prior(told, training, np.array([0.49, 0.49, 0.02]))[:, 2].max() < 1e-3


def test_adjust_prior_by_hand() -> None:
    told = np.array([[0.5, 0.5], [0.2, 0.8]])
    expected = [[0.9, 0.1], [0.9 * 0.2 / (0.9 * 0.2 + 0.1 * 0.8), 0.08 / 0.26]]
    np.testing.assert_allclose(adjust_prior(told, np.array([0.5, 0.5]), np.array([0.9, 0.1])), expected)
    np.testing.assert_allclose(adjust_prior(told, np.array([0.3, 0.7]), np.array([0.3, 0.7])), told)


def test_means_are_matched_and_the_order_of_faces_stays() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(500, 4)) * 3
    wanted = np.array([0.7, 0.2, 0.1 - 1e-6, 1e-6])
    bias = match_means(logits, wanted)
    powers = np.exp(logits + bias)
    np.testing.assert_allclose((powers / powers.sum(axis=1, keepdims=True)).mean(axis=0), wanted, atol=1e-8)
    (a, b) = match_means(np.zeros((3, 2)), np.array([0.25, 0.75]))
    assert b - a == pytest.approx(np.log(3))
    assert np.isfinite(match_means(logits, np.array([0.5, 0.5, 0.0, 0.0]))).all()  # a class that nobody has labelled
