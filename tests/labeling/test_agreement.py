"""Agreement between people, with the pre-annotations, and how fast people are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from labeling.agreement import Estimate, Pace, cohen_kappa, fleiss_kappa, measure, pace, share
from labeling.answers import TABLE, Answer
from labeling.provenance import Source

Said = Callable[..., Answer]

FLEISS = [  # 14 raters, 10 subjects, 5 categories: the worked example of Wikipedia's article on Fleiss' kappa
    [0, 0, 0, 0, 14],
    [0, 2, 6, 4, 2],
    [0, 0, 3, 5, 6],
    [0, 3, 9, 2, 0],
    [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0],
    [3, 2, 6, 3, 0],
    [2, 5, 3, 2, 2],
    [6, 5, 2, 1, 0],
    [0, 2, 2, 3, 7],
]
KRIPPENDORFF = [  # 12 subjects seen by one to four raters, 0 = not seen; Gwet's irrCAC gives a Fleiss' kappa of 0.76117
    *("1101", "2232", "3333", "3333", "2222", "1234", "4444", "1121", "2222", "0555", "0011", "0030"),
]


def test_fleiss_of_the_published_example() -> None:
    told = fleiss_kappa(np.array(FLEISS))
    assert told.value == pytest.approx(0.210, abs=5e-4)
    assert told.low < told.value < told.high
    assert told.n == 10


def test_fleiss_where_not_everybody_saw_everything() -> None:
    counts = np.array([[row.count(value) for value in "12345"] for row in KRIPPENDORFF])
    told = fleiss_kappa(counts)
    assert told.value == pytest.approx(0.76117, abs=5e-6)
    assert told.n == 11  # one was seen by a single rater
    shuffled = np.random.default_rng(1).permutation(np.concatenate([counts, np.zeros((3, 5), int)]))
    assert fleiss_kappa(shuffled) == told


def test_fleiss_has_its_bounds() -> None:
    assert fleiss_kappa(np.array([[3, 0], [0, 3], [3, 0]])).value == pytest.approx(1)
    assert fleiss_kappa(np.array([[1, 1]] * 5)).value == pytest.approx(-1)
    assert np.isnan(fleiss_kappa(np.array([[3, 0], [2, 0]])).value)  # one value alone: chance agrees as well
    assert np.isnan(fleiss_kappa(np.array([[1, 0], [0, 1]])).value)  # nobody can be compared
    assert fleiss_kappa(np.zeros((0, 2), int)).n == 0


def test_cohen_of_a_textbook_table() -> None:
    first = ["yes"] * 25 + ["no"] * 25  # 20 both yes, 5 and 10 apart, 15 both no: Wikipedia's article on Cohen's kappa
    second = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    told = cohen_kappa(first, second)
    assert told.value == pytest.approx(0.4)
    assert 0.1 < told.low < 0.25 < 0.55 < told.high < 0.7
    assert told.n == 50
    assert cohen_kappa(second, first).value == pytest.approx(0.4)
    assert cohen_kappa(first, first).value == pytest.approx(1)
    assert str(cohen_kappa(["yes"] * 3, ["yes"] * 3)) == "not defined (n = 3)"


def test_the_bootstrap_covers_the_truth() -> None:
    """Two people, each right about 90 % of the faces, of three values that are equally frequent."""
    right = np.full((3, 3), 0.05) + np.eye(3) * 0.85
    table = (right.T @ right) / 3
    observed, chance = np.trace(table), (table.sum(axis=0) * table.sum(axis=1)).sum()
    truth = (observed - chance) / (1 - chance)
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(100):
        cells = rng.choice(9, size=150, p=table.ravel())
        told = cohen_kappa((cells // 3).astype(str).tolist(), (cells % 3).astype(str).tolist(), draws=400, seed=trial)
        hits += told.low <= truth <= told.high
    assert 88 <= hits <= 100


def test_a_rate_of_few_is_not_certain() -> None:
    told = share(5, 5)
    assert told.value == 1
    assert told.low == pytest.approx(0.5655, abs=1e-3)  # Wilson: n / (n + z²)
    assert share(0, 5).low == pytest.approx(0)
    assert str(Estimate(0.5, 0.25, 0.75, 8)) == "0.500 [0.250, 0.750] (n = 8)"


def test_pairs_need_two_faces_in_common_and_fleiss_three_people(said: Said) -> None:
    answers = [
        *(said(key, value, by="ann") for key, value in zip("abcd", ("male", "female", "male", "unclear"), strict=True)),
        *(said(key, value, by="bob") for key, value in zip("abc", ("male", "female", "female"), strict=True)),
    ]
    told = measure(answers, "gender")
    assert list(told.pairs) == [("ann", "bob")]
    assert told.pairs["ann", "bob"].n == 3
    assert told.fleiss is None
    cat = [said("a", "male", by="cat"), said("b", "female", by="cat")]
    more = measure([*answers, *cat], "gender")
    assert {pair: one.n for pair, one in more.pairs.items()} == {("ann", "bob"): 3, ("ann", "cat"): 2, ("bob", "cat"): 2}
    assert more.fleiss is not None
    assert more.fleiss.n == 3
    assert measure([*answers, cat[0]], "gender").pairs.keys() == told.pairs.keys()
    assert any("Fleiss' kappa of all annotators" in line for line in more.lines())


def test_the_table_is_no_annotator(said: Said) -> None:
    table = [said(key, "male", by=TABLE, server=TABLE, project=0, annotation=int(Source.HUMAN), purpose=TABLE) for key in "abc"]
    assert not measure([*table, *(said(key, "male", by="ann") for key in "abc")], "gender").pairs


def test_how_often_the_pre_annotation_was_right(said: Said) -> None:
    answers = [
        *(said(key, "male", by="ann", predicted="male") for key in "ab"),
        said("c", "male", by="ann", predicted="female"),
        said("d", "female", by="ann", predicted="female"),
        said("e", "unclear", by="ann", predicted="female"),  # nobody knows
        said("f", "male", by="ann"),  # nothing was shown
        said("g", "male", by="ann", predicted="male"),
        said("g", "female", by="bob", predicted="male", annotation=2),  # disputed
    ]
    told = measure(answers, "gender")
    assert told.predicted is not None
    assert (told.predicted.value, told.predicted.n) == (0.75, 4)
    assert {value: (one.value, one.n) for value, one in told.by_class.items()} == {
        "female": (1.0, 1),
        "male": (pytest.approx(2 / 3), 3),
    }
    assert measure(answers, "smile").predicted is None


def test_a_coffee_break_does_not_count(said: Said) -> None:
    seconds = [2.0] * 9 + [600.0]
    answers = [said(str(i), "male", lead_time=time) for i, time in enumerate(seconds)]
    told = pace([*answers, said("s", None, state="skip", lead_time=90.0), said("x", "male")])
    assert told is not None
    assert (told.faces_per_minute, told.n) == (30.0, 10)
    assert pace([said("x", "male")]) is None
    wall = [said(key, "male", annotation=7, lead_time=12.0) for key in "abcdef"]
    assert pace([*wall, said("z", None, annotation=7, state="open", lead_time=12.0)]) == Pace(35.0, 7)
    assert "30.0 faces a minute" in measure(answers, "gender").lines()[-1]
