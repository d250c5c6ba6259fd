"""Accuracy and intervals, on numbers whose truth is known."""

import numpy as np
import pytest

from classifiers.metrics import (
    accuracy,
    balanced_accuracy,
    bootstrap,
)


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
