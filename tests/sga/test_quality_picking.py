"""Which generated faces people are asked about, and what can be told of all faces from those."""

from __future__ import annotations

import numpy as np
import pytest

from classifiers.acceptance import calibrate
from sga.quality_picking import RANDOM, distances, pick_faces

THRESHOLDS = np.array([0.7, 0.3])


def candidates(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gender in turn, styles of six kinds, the last of which has one face in fifty, and quality, the men's half as high."""
    rng = np.random.default_rng(seed)
    gender = np.arange(count) % 2
    kind = rng.choice(6, count, p=[0.6, 0.2, 0.1, 0.05, 0.03, 0.02])
    style = np.eye(6)[kind] * 6 + rng.normal(size=(count, 6)) * 0.3
    return gender, style, rng.random(count) * np.where(gender == 0, 1.0, 0.5)


def test_a_distance_is_the_share_of_faces_between() -> None:
    score, gender = np.array([0.1, 0.2, 0.3, 0.4, 0.9, 0.8]), np.array([0, 0, 0, 0, 1, 1])
    found = distances(score, gender, np.array([0.25, 0.5]))
    np.testing.assert_allclose(found, [0.5, 0.25, 0, 0.25, 0.5, 0])
    np.testing.assert_allclose(distances(score**3, gender, np.array([0.25, 0.5]) ** 3), found)  # the scale does not matter


def test_picks_lie_near_the_threshold_of_their_gender() -> None:
    gender, style, score = candidates(1600, 0)
    distance = distances(score, gender, THRESHOLDS)
    picked = pick_faces(gender, style, distance, 200, 0)
    near = picked.rows[picked.strategy == "threshold"]
    assert len(np.unique(picked.rows)) == len(picked.rows) == 200
    assert np.median(distance[near]) < 0.1 < 0.2 < np.median(distance)
    for code, threshold in enumerate(THRESHOLDS):
        mine = near[gender[near] == code]
        assert len(mine) == pytest.approx(85, abs=2)
        assert np.median(score[mine]) == pytest.approx(threshold, abs=0.05)
    assert picked.utility[distance[picked.rows] == distance[picked.rows].min()].max() == picked.utility.max() > 0.9


@pytest.mark.parametrize("judged", [True, False])
def test_picks_are_of_all_styles(judged: bool) -> None:
    gender, style, score = candidates(1600, 1)
    rare = style.argmax(axis=1) == 5
    distance = distances(score, gender, THRESHOLDS) if judged else None
    picked = pick_faces(gender, style, distance, 120, 0)
    assert rare[picked.rows].sum() >= 6 > 2 * 120 * rare.mean()  # one of twelve clusters; as they come it would be 2 or 3
    assert set(picked.strategy) == {"threshold" if judged else "styles", RANDOM}


def test_some_are_picked_at_random() -> None:
    gender, style, score = candidates(1600, 2)
    distance = distances(score, gender, THRESHOLDS)
    at_random = []
    for seed in range(8):
        picked = pick_faces(gender, style, distance, 200, seed)
        at_random += distance[picked.rows[picked.strategy == RANDOM]].tolist()
    assert len(at_random) == 8 * 30
    assert np.mean(at_random) == pytest.approx(distance.mean(), abs=0.08)  # 4 standard errors


def test_they_come_in_no_order() -> None:
    """Whoever stops half-way has not answered the nearest alone."""
    gender, style, score = candidates(1600, 3)
    distance = distances(score, gender, THRESHOLDS)
    picked = pick_faces(gender, style, distance, 200, 0)
    first, second = distance[picked.rows[:100]], distance[picked.rows[100:]]
    assert abs(first.mean() - second.mean()) < 0.08
    assert 5 <= (picked.strategy[:100] == RANDOM).sum() <= 25


def test_every_face_is_picked_with_the_chance_that_its_weight_tells() -> None:
    gender, style, score = candidates(40, 4)
    distance, times, weight = distances(score, gender, THRESHOLDS), np.zeros(40), np.zeros(40)
    runs = 4000
    for seed in range(runs):
        picked = pick_faces(gender, style, distance, 9, seed)  # so few that there is one style
        times[picked.rows] += 1
        weight[picked.rows] = picked.weight
    assert times.min() > 0
    chance = 9 / 40 / weight
    error = np.sqrt(chance * (1 - chance) / runs)
    assert np.abs(times / runs - chance).max() < 4.5 * error.max()
    assert chance.max() > 3 * chance.min()


def test_weights_make_the_picked_speak_for_all() -> None:
    gender, style, score = candidates(1600, 5)
    distance, good = distances(score, gender, THRESHOLDS), score > 0.6
    weighted, plain, heaviest = [], [], 0.0
    for seed in range(30):
        picked = pick_faces(gender, style, distance, 200, seed)
        weighted.append(np.average(good[picked.rows], weights=picked.weight))
        plain.append(good[picked.rows].mean())
        heaviest = max(heaviest, picked.weight.max())
    assert np.mean(weighted) == pytest.approx(good.mean(), abs=0.02)
    assert abs(np.mean(plain) - good.mean()) > 0.04
    assert heaviest <= 1 / 0.15


def test_thresholds_from_picked_labels_are_those_of_faces_as_they_come() -> None:
    """Of faces of quality s a share s is not low, so nine in ten are good from 0.8 on; they were picked near 0.5."""
    weighted, plain = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        gender, style, score = np.zeros(3200, np.int64), rng.normal(size=(3200, 4)), rng.random(3200)
        codes = (rng.random(3200) < score) * 2
        picked = pick_faces(gender, style, distances(score, gender, np.array([0.5])), 400, seed)
        rows, values = picked.rows, ("low", "median", "high")
        weighted.append(calibrate(score[rows], codes[rows], values, 0.9, weight=picked.weight).threshold)
        plain.append(calibrate(score[rows], codes[rows], values, 0.9).threshold)
    assert np.mean(weighted) == pytest.approx(0.78, abs=0.05)  # the lowest that seems enough is a little low
    assert abs(np.mean(plain) - 0.78) > 0.1


@pytest.mark.parametrize("count", [1, 2, 19, 20, 30])
def test_few_candidates(count: int) -> None:
    gender, style, score = candidates(20, 6)
    picked = pick_faces(gender, style, distances(score, gender, THRESHOLDS), count, 0)
    assert len(np.unique(picked.rows)) == len(picked.rows) == min(20, count)
    assert (picked.weight > 0).all()
    if count >= 20:
        np.testing.assert_allclose(picked.weight, 1)
