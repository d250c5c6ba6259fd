"""Learning curves: recovered, continued with intervals that hold, and refused where nothing is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from configs.errors import InputError
from labeling.learning_curve import LearningCurve, Point, fit_curve


def power(a: float, b: float, c: float) -> Callable[[float], float]:
    return lambda n: float(a - b * n**-c)


def points(truth: Callable[[float], float], labels: Sequence[int], error: float, seed: int | None = None) -> list[Point]:
    noise = np.zeros(len(labels)) if seed is None else error * np.random.default_rng(seed).standard_normal(len(labels))
    return [Point(n, float(np.clip(truth(n) + shift, 0, 1)), error) for n, shift in zip(labels, noise, strict=True)]


LABELS = (100, 200, 400, 800, 1600, 3200)


@pytest.fixture(scope="module")
def exact() -> LearningCurve:
    return fit_curve(points(power(0.95, 1.6, 0.4), LABELS, 0.002))


def test_a_curve_without_noise_is_recovered(exact: LearningCurve) -> None:
    assert exact.a == pytest.approx(0.95, abs=0.01)
    assert exact.c == pytest.approx(0.4, abs=0.03)
    assert exact.a - exact.b * 100**-exact.c == pytest.approx(0.95 - 1.6 * 100**-0.4, abs=0.002)
    told = exact.predict(12_800)
    assert told.value == pytest.approx(power(0.95, 1.6, 0.4)(12_800), abs=0.005)
    assert told.low < told.value < told.high
    assert told.high - told.low < 0.05


def test_the_answers_agree_with_each_other(exact: LearningCurve) -> None:
    target = exact.predict(6400).value
    needed = exact.labels_needed(target)
    assert needed.labels == pytest.approx(6400, rel=0.01)
    assert needed.low is not None
    assert needed.low < 6400
    gain = exact.worth(3200)
    assert gain.value == pytest.approx(100 * (target - exact.predict(3200).value), abs=1e-9)
    assert 0 < gain.low < gain.value < gain.high
    until = exact.pays_until(0.1, per=100).labels
    assert until is not None
    assert 100 * (exact.predict(until + 50).value - exact.predict(until - 50).value) == pytest.approx(0.1, rel=0.05)


def test_what_the_curve_does_not_reach_is_no_number(exact: LearningCurve) -> None:
    assert exact.labels_needed(1.0) == (None, None, None)
    between = exact.labels_needed(exact.a + 1e-4)  # some draws end above it, some below
    assert between.labels is None
    assert between.low is not None
    assert between.high is None
    assert exact.labels_needed(0.5).labels is not None


@pytest.mark.parametrize(("labels", "error"), [((100, 300, 900), 0.015), (LABELS, 0.01)])
def test_intervals_hold_the_truth(labels: tuple[int, ...], error: float) -> None:
    rng = np.random.default_rng(5)
    held = {"later": 0, "needed": 0, "worth": 0}
    runs = 80
    for run in range(runs):
        a, c, drop = rng.uniform(0.8, 0.98), rng.uniform(0.2, 0.9), rng.uniform(0.2, 0.4)
        truth = power(a, drop * labels[0] ** c, c)
        curve = fit_curve(points(truth, labels, error, seed=run), draws=400)
        later = 4 * labels[-1]
        told, gain, needed = curve.predict(later), curve.worth(500), curve.labels_needed(truth(later))
        held["later"] += told.low <= truth(later) <= told.high
        held["worth"] += gain.low <= 100 * (truth(labels[-1] + 500) - truth(labels[-1])) <= gain.high
        held["needed"] += (needed.low or np.inf) <= later <= (needed.high or np.inf)
    assert all(count >= 0.85 * runs for count in held.values()), held


def test_intervals_narrow_with_the_errors() -> None:
    truth = power(0.92, 1.2, 0.35)
    wide, narrow = (fit_curve(points(truth, LABELS, error)).predict(6400) for error in (0.02, 0.004))
    assert (narrow.high - narrow.low) < 0.5 * (wide.high - wide.low)


def test_scatter_beyond_the_errors_widens_the_intervals() -> None:
    truth = power(0.92, 1.2, 0.35)
    calm = fit_curve(points(truth, LABELS, 0.004)).predict(6400)
    wild = [Point(p.labels, p.value + 0.02 * (-1) ** i, 0.004) for i, p in enumerate(points(truth, LABELS, 0.004))]
    told = fit_curve(wild).predict(6400)
    assert told.high - told.low > 2 * (calm.high - calm.low)


def test_order_and_repeated_numbers_of_labels_do_not_matter() -> None:
    told = points(power(0.9, 1.0, 0.4), (100, 100, 400, 400, 1600), 0.01, seed=1)
    assert fit_curve(told).predict(3000) == fit_curve(told[::-1]).predict(3000)


def test_the_seed_decides_the_intervals_alone() -> None:
    told = points(power(0.9, 1.0, 0.4), LABELS, 0.01, seed=1)
    one, same, other = fit_curve(told, seed=0), fit_curve(told, seed=0), fit_curve(told, seed=1)
    assert one.worth(500) == same.worth(500)
    assert one.worth(500).value == other.worth(500).value
    assert one.worth(500).low != other.worth(500).low


@pytest.mark.parametrize("labels", [(), (100,), (100, 200), (100, 200, 200, 100)])
def test_fewer_than_three_numbers_of_labels_are_refused(labels: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"at least 3 different numbers of labels .* found [012]\. .*sga complete"):
        fit_curve(points(power(0.9, 1.0, 0.4), labels, 0.01))


@pytest.mark.parametrize("values", [(0.8, 0.8, 0.8, 0.8), (0.85, 0.83, 0.82, 0.8), (0.8, 0.806, 0.797, 0.805)])
def test_a_curve_that_does_not_rise_is_refused(values: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="rise beyond their errors, found 8"):
        fit_curve(Point(n, value, 0.01) for n, value in zip((100, 200, 400, 800), values, strict=True))


@pytest.mark.parametrize("wrong", [Point(0, 0.9, 0.01), Point(50, 0.9, 0.0), Point(50, float("nan"), 0.01)])
def test_points_that_are_none_are_refused(wrong: Point) -> None:
    with pytest.raises(InputError, match="above 0, found others"):
        fit_curve([*points(power(0.9, 1.0, 0.4), LABELS, 0.01), wrong])
