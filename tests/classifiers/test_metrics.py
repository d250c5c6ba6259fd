"""Accuracy, intervals, calibration and the correction of class shares, on numbers whose truth is known."""

import numpy as np
import pytest

from classifiers.metrics import (
    accuracy,
    balanced_accuracy,
    bootstrap,
    fit_temperature,
    reweigh,
    shift_prior,
    temper,
)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_accuracies_by_hand() -> None:
    codes, correct = np.array([0, 0, 0, 0, 1, 1]), np.array([1.0, 1, 1, 0, 1, 0])
    assert accuracy(correct, codes) == pytest.approx(4 / 6)
    assert balanced_accuracy(correct, codes) == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert balanced_accuracy(correct, codes, np.array([1, 1, 1, 1, 0, 0])) == pytest.approx(3 / 4)  # class 1 was not drawn
    assert accuracy(correct, codes, np.array([0, 0, 0, 2, 0, 1])) == 0
    assert balanced_accuracy(correct, codes + 3) == pytest.approx(5 / 8)  # absent classes do not count


@pytest.mark.parametrize("metric", ["accuracy", "balanced"])
def test_the_interval_covers_the_truth_about_as_often_as_it_says(metric: str) -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for trial in range(60):
        codes = (rng.random(200) < 0.3).astype(int)
        correct = (rng.random(200) < np.where(codes == 1, 0.6, 0.9)).astype(float)
        truth = {"accuracy": 0.7 * 0.9 + 0.3 * 0.6, "balanced": 0.75}[metric]
        found = bootstrap(correct, codes, metric, draws=300, seed=trial)
        covered += found.low <= truth <= found.high
        assert found.low <= found.value <= found.high
        assert found.n == 200
    assert covered >= 51  # 95 % of 60 is 57; below 51 has a chance of 1 in 1000


def test_the_interval_is_that_of_the_metric_itself() -> None:
    rng = np.random.default_rng(5)
    codes, correct = rng.integers(0, 3, 80), rng.random(80).round()
    counts = np.random.default_rng(1).multinomial(80, np.full(80, 1 / 80), size=400)
    values = [balanced_accuracy(correct, codes, count) for count in counts]
    found = bootstrap(correct, codes, "balanced", draws=400, seed=1)
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(values, [2.5, 97.5])))


def test_nothing_to_measure() -> None:
    assert np.isnan(bootstrap(np.zeros(0), np.zeros(0, dtype=int)).value)


def test_more_labels_make_a_narrower_interval() -> None:
    few, many = (bootstrap(np.resize([1.0, 1, 1, 0], n), np.zeros(n, dtype=int)) for n in (40, 4000))
    assert many.high - many.low < (few.high - few.low) / 5


def test_temper_is_dividing_the_logits() -> None:
    logits = np.random.default_rng(0).normal(size=(5, 4))
    np.testing.assert_allclose(temper(softmax(logits), 2.5), softmax(logits / 2.5), rtol=1e-9)


@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_temperature_recovers_a_known_scaling(scale: float) -> None:
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(20_000, 3))
    told = softmax(logits)
    codes = (told.cumsum(axis=1) < rng.random((len(told), 1))).sum(axis=1).clip(max=2)
    assert fit_temperature(softmax(logits * scale), codes) == pytest.approx(scale, rel=0.05)


def test_temperature_without_labels_is_one() -> None:
    assert fit_temperature(np.zeros((0, 3)), np.zeros(0, dtype=int)) == 1.0


def two_classes(share: float, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Codes of the given share, and calibrated probabilities of a classifier that met both classes equally often."""
    codes = (rng.random(n) < share).astype(int)
    x = rng.normal(size=n) + np.where(codes == 1, 1.0, -1.0)
    male = 1 / (1 + np.exp(-2 * x))
    return codes, np.stack([1 - male, male], axis=1)


@pytest.mark.parametrize("share", [0.08, 0.3, 0.5])
def test_shift_prior_recovers_the_class_share(share: float) -> None:
    codes, told = two_classes(share, 40_000, np.random.default_rng(1))
    shares, corrected = shift_prior(told, np.array([0.5, 0.5]))
    assert shares[1] == pytest.approx(codes.mean(), abs=0.01)
    assert corrected[:, 1].mean() == pytest.approx(codes.mean(), abs=0.01)
    np.testing.assert_allclose(corrected.sum(axis=1), 1)
    if share == 0.08:  # uncorrected, far too many would be filled in
        assert (told[:, 1] > 0.5).mean() > 2 * codes.mean()
        assert (corrected[:, 1] > 0.5).mean() < 1.2 * codes.mean()


def test_shift_prior_of_nothing_is_what_was_met() -> None:
    shares, corrected = shift_prior(np.zeros((0, 2)), np.array([0.2, 0.8]))
    np.testing.assert_allclose(shares, [0.2, 0.8])
    assert corrected.shape == (0, 2)


def test_a_class_that_training_never_met_gains_nothing() -> None:
    """Label smoothing gives such a class a few per mille everywhere: no correction may make it win."""
    told = np.tile([0.6, 0.396, 0.004], (100, 1))
    told[:50] = [0.3, 0.696, 0.004]
    met = np.array([0.5, 0.5, 1e-10])
    shares, corrected = shift_prior(told, met)
    assert shares[2] < 1e-3
    assert corrected[:, 2].max() < 1e-3
    assert reweigh(told, met, np.array([0.49, 0.49, 0.02]))[:, 2].max() < 1e-3


def test_reweigh_by_hand() -> None:
    told = np.array([[0.5, 0.5], [0.2, 0.8]])
    expected = [[0.9, 0.1], [0.9 * 0.2 / (0.9 * 0.2 + 0.1 * 0.8), 0.08 / 0.26]]
    np.testing.assert_allclose(reweigh(told, np.array([0.5, 0.5]), np.array([0.9, 0.1])), expected)
    np.testing.assert_allclose(reweigh(told, np.array([0.3, 0.7]), np.array([0.3, 0.7])), told)
