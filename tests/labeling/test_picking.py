"""Strategies: what each prefers, what all promise."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from configs.errors import InputError, MissingExtra
from labeling.picking import NEED_PREDICTIONS, RANDOM_SHARE, STRATEGIES, Pool, class_weights, entropy, pick, spread


def pool_of(probabilities: object = None, features: object = None, labelled: object = None, size: int = 2, n: int = 0) -> Pool:
    """A pool in which everything unlabelled may be asked about."""
    told = None if probabilities is None else np.asarray(probabilities, dtype=np.float32)
    n = n or len(told if told is not None else np.asarray(features))
    codes = np.full(n, -1) if labelled is None else np.asarray(labelled)
    return Pool(told, None if features is None else np.asarray(features, dtype=np.float32), codes, codes < 0, size)


def members(*shares: tuple[float, ...]) -> np.ndarray:
    """(n, members, 2) from each member's share of the second value."""
    p = np.asarray(shares, dtype=np.float64)
    return np.stack([1 - p, p], axis=2)


def crowd(n: int = 2000, rare: float = 0.05, seed: int = 0) -> tuple[Pool, np.ndarray]:
    """Two overlapping classes, three members that err apart, 40 labels; and the true classes."""
    rng = np.random.default_rng(seed)
    truth = (rng.random(n) < rare).astype(np.int64)
    features = rng.standard_normal((n, 6))
    features[:, 0] += 2.5 * truth
    logits = 2.5 * features[:, :1] - 3 + 0.8 * rng.standard_normal((n, 3))
    labelled = np.full(n, -1)
    labelled[:40] = truth[:40]
    return pool_of(members(*(1 / (1 + np.exp(-logits)))), features, labelled), truth


@pytest.fixture(scope="module")
def large() -> Pool:
    return crowd()[0]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_same_seed_gives_the_same_faces_once_each_and_candidates_only(strategy: str, large: Pool) -> None:
    candidates = large.candidates.copy()
    candidates[::3] = False
    pool = replace(large, candidates=candidates)
    picks, again = pick(strategy, 50, pool, 3), pick(strategy, 50, pool, 3)
    np.testing.assert_array_equal(picks.rows, again.rows)
    assert (picks.rows.dtype, picks.utility.dtype) == (np.int64, np.float32)
    assert len(set(picks.rows.tolist())) == len(picks.utility) == len(picks.strategy) == 50
    assert candidates[picks.rows].all()
    assert ((picks.utility >= 0) & (picks.utility <= 1)).all()
    if strategy in ("random", "combined"):
        assert set(pick(strategy, 50, pool, 4).rows) != set(picks.rows)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_more_than_there_are_gives_all(strategy: str) -> None:
    pool = pool_of(
        members(*[(0.1 * i, 0.5) for i in range(9)]), np.arange(18.0).reshape(9, 2), [0, -1, -1, 1, -1, -1, -1, -1, 0]
    )
    assert sorted(pick(strategy, 100, pool, 0).rows) == [1, 2, 4, 5, 6, 7]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_empty_pool_is_refused(strategy: str) -> None:
    pool = pool_of(members((0.1, 0.2), (0.3, 0.4)), [[0.0], [1.0]], [0, 1])
    with pytest.raises(InputError, match="without a label"):
        pick(strategy, 1, pool, 0)
    with pytest.raises(InputError, match="at least 1, found 0"):
        pick(strategy, 0, pool, 0)


def test_what_is_missing_is_said() -> None:
    bare = pool_of(n=5)
    for strategy in NEED_PREDICTIONS:
        with pytest.raises(InputError, match=r"--strategy diverse or --strategy random, or first.*: sga complete"):
            pick(strategy, 1, bare, 0)
    with pytest.raises(InputError, match="--strategy random"):
        pick("diverse", 1, bare, 0)
    with pytest.raises(InputError, match="Did you mean uncertainty"):
        pick("uncertain", 1, bare, 0)
    with pytest.raises(ValueError, match="probabilities"):
        pool_of(np.ones((4, 3)), n=4)
    with pytest.raises(ValueError, match="features of 4 faces"):
        pool_of(features=np.ones((3, 2)), n=4)


def test_random_is_fair() -> None:
    pool = pool_of(n=20)
    met = np.bincount(np.concatenate([pick("random", 5, pool, seed).rows for seed in range(400)]), minlength=20)
    assert met.sum() == 2000
    assert ((met - 100) ** 2 / 100).sum() < 43.8  # chi-square with 19 degrees of freedom, 0.1 %


def test_uncertainty_asks_where_the_mean_is_even_and_ties_go_by_row() -> None:
    pool = pool_of(members((0.9, 0.9), (0.1, 0.9), (0.6, 0.6), (0.5, 0.5), (0.02, 0.02)))
    picks = pick("uncertainty", 4, pool, 0)
    assert picks.rows.tolist() == [1, 3, 2, 0]
    np.testing.assert_allclose(picks.utility[:2], 1, atol=1e-6)
    assert picks.strategy.tolist() == ["uncertainty"] * 4


def test_disagreement_asks_where_members_are_sure_of_different_values() -> None:
    pool = pool_of(members((0.5, 0.5), (0.02, 0.98), (0.3, 0.7), (0.9, 0.9)))
    assert pick("disagreement", 2, pool, 0).rows.tolist() == [1, 2]


def test_entropy_is_a_part_of_its_maximum() -> None:
    np.testing.assert_allclose(entropy(np.array([[0.25] * 4, [1, 0, 0, 0], [0.5, 0.5, 0, 0]])), [1, 0, 0.5], atol=1e-9)


def test_a_face_without_predictions_is_neither_first_nor_forgotten() -> None:
    told = members(*[(p, p) for p in (0.01, 0.02, 0.1, 0.4, 0.5)]).astype(np.float32)
    told = np.concatenate([told, np.full((1, 2, 2), np.nan, np.float32)])
    assert pick("uncertainty", 6, pool_of(told), 0).rows.tolist() == [4, 3, 2, 5, 1, 0]


def test_classes_with_few_labels_are_worth_more() -> None:
    even = class_weights(np.array([0, 1, -1, 0, 1]), 2)
    np.testing.assert_allclose(even, 1)
    assert class_weights(np.array([-1, -1]), 3).tolist() == [1, 1, 1]
    rare = class_weights(np.repeat([0, 1], [90, 10]), 2)
    assert rare[1] == 1
    assert rare[0] == pytest.approx((0.5 + 0.2) / (0.5 + 1.8))
    none = class_weights(np.zeros(1000, dtype=np.int64), 4)
    assert none[1:].tolist() == [1, 1, 1]
    assert none[0] == pytest.approx(1 / 9)


@pytest.mark.parametrize("seed", range(4))
def test_combined_finds_the_rare_class(seed: int) -> None:
    pool, truth = crowd(seed=seed)
    found = {name: int(truth[pick(name, 100, pool, seed).rows].sum()) for name in ("combined", "uncertainty", "random")}
    assert found["combined"] > 2 * found["uncertainty"]
    assert found["combined"] > 3 * found["random"]


def test_combined_asks_where_members_are_unsure_once_the_labels_are_balanced() -> None:
    pool, _ = crowd()
    assert pool.probabilities is not None
    labelled = np.full(len(pool.labelled), -1)
    labelled[:100] = np.arange(100) % 2
    picks = pick("combined", 50, replace(pool, labelled=labelled, candidates=labelled < 0, features=None), 0, random_share=0)
    doubt = entropy(pool.probabilities.mean(axis=1))
    assert np.quantile(doubt[picks.rows], 0.1) > np.quantile(doubt, 0.85)


def test_a_share_of_combined_is_random_and_evenly_placed(large: Pool) -> None:
    picks = pick("combined", 200, large, 7)
    chance = picks.strategy == "random"
    assert chance.sum() == round(RANDOM_SHARE * 200) == 30
    assert set(picks.strategy[~chance]) == {"combined"}
    assert all(abs(chance[:end].sum() - RANDOM_SHARE * end) <= 1 for end in range(1, 201))
    # Whom chance takes does not depend on what the model says.
    assert large.probabilities is not None
    other = pick("combined", 200, replace(large, probabilities=large.probabilities[::-1].copy()), 7)
    np.testing.assert_array_equal(picks.rows[chance], other.rows[other.strategy == "random"])
    assert (picks.utility[chance] > 0).any()
    assert (pick("combined", 200, large, 7, random_share=0).strategy == "combined").all()
    assert (pick("uncertainty", 20, large, 7, random_share=0.5).strategy == "random").sum() == 10


def test_combined_asks_about_one_of_many_that_look_alike() -> None:
    rng = np.random.default_rng(0)
    features = np.concatenate([np.zeros((60, 4)) + 1e-3 * rng.standard_normal((60, 4)), rng.standard_normal((60, 4)) * 3])
    features = np.concatenate([features, rng.standard_normal((880, 4))])
    told = members(*[(0.5, 0.5)] * 60, *[(0.4, 0.4)] * 60, *[(0.01, 0.01)] * 880)
    picks = pick("combined", 20, pool_of(told, features), 0, random_share=0)
    assert (picks.rows < 60).sum() <= 3
    assert picks.rows[0] < 60  # the most useful one comes first
    without = pick("combined", 20, pool_of(told), 0, random_share=0)
    assert (without.rows < 60).all()


def test_combined_keeps_away_from_what_waits_already() -> None:
    features = np.array([[0.0], [0.1], [5.0], [5.1]])
    pool = pool_of(members(*[(0.5, 0.5)] * 4), features)
    waits = np.array([True, False, False, False])
    pool = replace(pool, candidates=~waits, covered=waits)
    assert pick("combined", 1, pool, 0, random_share=0).rows.tolist() == [3]


def test_combined_says_what_stands_in_without_predictions() -> None:
    features = np.random.default_rng(0).standard_normal((200, 3))
    picks = pick("combined", 20, pool_of(features=features), 0)
    assert "diverse stands in" in picks.note
    assert sorted(set(picks.strategy)) == ["diverse", "random"]
    assert (picks.strategy == "random").sum() == 3
    blind = pick("combined", 20, pool_of(n=200), 0)
    assert "random stands in" in blind.note
    assert set(blind.strategy) == {"random"}
    unseen = pool_of(np.full((200, 3, 2), np.nan), features)
    assert "diverse stands in" in pick("combined", 20, unseen, 0).note


def clusters(count: int = 8, each: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Features of well separated clusters of falling size, and the cluster of each row."""
    sizes = each + 5 * np.arange(count)[::-1]
    which = np.repeat(np.arange(count), sizes)
    return 20 * np.eye(count)[which] + np.random.default_rng(0).standard_normal((len(which), count)), which


def test_diverse_starts_with_a_typical_face_of_every_cluster() -> None:
    features, which = clusters()
    picks = pick("diverse", 8, pool_of(features=features), 0)
    assert which[picks.rows].tolist() == list(range(8))  # the largest first
    assert picks.utility.tolist() == sorted(picks.utility.tolist(), reverse=True)
    for row in picks.rows:
        mine = features[which == which[row]]
        from_centre = np.linalg.norm(mine - mine.mean(axis=0), axis=1)
        assert np.linalg.norm(features[row] - mine.mean(axis=0)) < np.median(from_centre)


@pytest.mark.parametrize("labels_each", [1, 40])  # few: TypiClust; many: k-center
def test_diverse_goes_where_no_label_is(labels_each: int) -> None:
    features, which = clusters(20, 60)
    labelled = np.full(len(which), -1)
    for cluster in range(17):
        labelled[np.flatnonzero(which == cluster)[:labels_each]] = 0
    picks = pick("diverse", 3, pool_of(features=features, labelled=labelled), 0)
    assert sorted(which[picks.rows]) == [17, 18, 19]


def test_diverse_stands_faces_that_are_all_alike() -> None:
    picks = pick("diverse", 4, pool_of(features=np.ones((10, 3))), 0)
    assert len(set(picks.rows.tolist())) == 4


def test_diverse_needs_the_extra_studio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skactiveml.pool", None)
    with pytest.raises(MissingExtra, match=r"sga-gan\[studio\]"):
        pick("diverse", 2, pool_of(features=np.arange(9.0)[:, None]), 0)


def test_spread_takes_the_furthest_each_time() -> None:
    line = np.array([[0.0], [1.0], [10.0], [11.0]])
    assert spread(line, 3, near=np.array([[0.0]])).tolist() == [3, 1, 2]
    assert spread(line, 4, near=np.empty((0, 1)))[0] == 1  # the most central: 5.5 is nearest to 1 and 10, the first counts
    weight = np.array([0.2, 1.0, 0.9, 0.1])
    assert spread(line, 2, near=np.empty((0, 1)), weight=weight).tolist() == [1, 2]
    assert sorted(spread(np.zeros((3, 2)), 3, near=np.zeros((1, 2)), weight=np.zeros(3))) == [0, 1, 2]
