"""Average precision by tag: by hand, against scikit-learn, its intervals, and in the report of a completion."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from classifiers.average_precision import HeldOut, PrecisionTable
from classifiers.metrics import average_precision
from labeling.schema import Schema
from labeling.workspace import Workspace

SCHEMA = Schema.load("moe34")


def held_out(name: str, codes: np.ndarray, *networks: np.ndarray, known: np.ndarray | None = None) -> HeldOut:
    """Binary scores of one classifier, a network each, as probabilities of no and yes."""
    told = np.stack([np.stack([1 - score, score], axis=1) for score in networks])
    return HeldOut(np.ones(len(codes), dtype=bool) if known is None else known, codes, {"one": told})


def test_by_hand() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6])
    # the positives stand first and third: precisions 1/1 and 2/3, half the recall each
    assert average_precision(scores, np.array([True, False, True, False])) == pytest.approx((1 + 2 / 3) / 2)
    # all alike: one threshold, at which precision is the share of positives
    assert average_precision(np.full(4, 0.5), np.array([True, False, True, True])) == pytest.approx(3 / 4)
    assert np.isnan(average_precision(scores, np.zeros(4, dtype=bool)))


@pytest.mark.parametrize("levels", [3, 1000])
def test_it_is_scikit_learns(levels: int) -> None:
    rng = np.random.default_rng(levels)
    positive = rng.random(300) < 0.2
    scores = np.floor((rng.random(300) * 0.6 + positive * 0.3) * levels) / levels  # with 3 levels nearly all are equal
    assert average_precision(scores, positive) == pytest.approx(average_precision_score(positive, scores), abs=1e-12)
    counts = rng.multinomial(300, np.full(300, 1 / 300), size=20)
    expected = [average_precision_score(positive, scores, sample_weight=count) for count in counts]
    np.testing.assert_allclose(average_precision(scores, positive, counts), expected, atol=1e-12)


def test_a_draw_without_a_positive_has_none() -> None:
    counts = np.array([[1, 1, 1], [0, 2, 1]])
    found = average_precision(np.array([0.9, 0.5, 0.1]), np.array([True, False, False]), counts)
    assert found[0] == 1
    assert np.isnan(found[1])


def test_independent_attributes_are_one_tag_and_exclusive_ones_a_tag_a_value() -> None:
    rng = np.random.default_rng(1)
    hair, smile = rng.integers(0, 3, 200), rng.integers(0, 2, 200)
    told = rng.dirichlet(np.ones(13), 200) * 0.5 + np.eye(13)[hair] * rng.random((200, 1)) * 0.5
    known = rng.random(250) < 2
    known[rng.permutation(250)[:50]] = False
    good = smile * 0.3 + rng.random(200) * 0.7
    table = PrecisionTable.of(
        SCHEMA,
        {
            "hair_color": HeldOut(known, hair, {"one": told[None]}),
            "smile": held_out("smile", smile, good, known=known),
        },
        draws=50,
    )
    assert list(table.cells) == ["hair_color=blonde", "hair_color=brown", "hair_color=black", "smile"]
    assert list(table.means) == ["hair_color, mean", "mean of 4 tags"]
    for code, tag in enumerate(list(table.cells)[:3]):
        expected = average_precision_score(hair == code, told[:, code])
        assert table.cells[tag]["one"].value == pytest.approx(expected)
        assert table.positives[tag] == (hair == code).sum()
        assert table.cells[tag]["one"].n == 200
    assert table.cells["smile"]["one"].value == pytest.approx(average_precision_score(smile, good))
    values = [row["one"].value for row in table.cells.values()]
    assert table.means["hair_color, mean"]["one"].value == pytest.approx(np.mean(values[:3]))
    assert table.means["mean of 4 tags"]["one"].value == pytest.approx(np.mean(values))
    for row in (*table.cells.values(), *table.means.values()):
        assert row["one"].low <= row["one"].value <= row["one"].high


def test_several_networks_count_as_their_mean() -> None:
    codes = np.array([1, 0, 1, 0])
    first, second = np.array([0.9, 0.1, 0.8, 0.2]), np.array([0.1, 0.9, 0.2, 0.8])
    table = PrecisionTable.of(SCHEMA, {"smile": held_out("smile", codes, first, second)}, draws=20)
    worst = average_precision_score(codes, second)
    assert table.cells["smile"]["one"].value == pytest.approx((1 + worst) / 2)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        codes = (rng.random(n) < 0.3).astype(int)
        return codes, 1 / (1 + np.exp(-(rng.normal(0, 1, n) + 1.5 * codes)))

    truth = average_precision_score(*draw(400_000))
    covered = 0
    for trial in range(60):
        codes, scores = draw(300)
        found = PrecisionTable.of(SCHEMA, {"smile": held_out("smile", codes, scores)}, draws=200, seed=trial).cells["smile"]
        covered += found["one"].low <= truth <= found["one"].high
    assert covered >= 50  # 95 % of 60 is 57; below 50 has a chance of 1 in 1000


def test_rare_tags_have_intervals_about_their_value() -> None:
    """Where a tag has a few positives, the draws' own percentiles lie beside the value: most draws lack one of them."""
    rng = np.random.default_rng(11)
    names = ("smile", "hat", "ribbon", "glasses", "blush")
    of = {name: held_out(name, (np.arange(50) < 3).astype(int), rng.random(50)) for name in names}
    table = PrecisionTable.of(SCHEMA, of, draws=300)
    mean = table.means["mean of 5 tags"]["one"]
    assert mean.low < mean.value < mean.high
    scores = np.stack([one.told["one"][0, :, 1] for one in of.values()])
    counts = np.random.default_rng(0).multinomial(50, np.full(50, 1 / 50), size=300)
    drawn = np.stack([average_precision(score, np.arange(50) < 3, counts) for score in scores])
    assert np.nanmean(drawn) > mean.value + (mean.high - mean.low) / 10


def test_tags_of_all_or_none_are_left_out() -> None:
    scores = np.array([0.2, 0.9, 0.4])
    of = {name: held_out(name, codes, scores) for name, codes in (("smile", np.ones(3, int)), ("hat", np.zeros(3, int)))}
    table = PrecisionTable.of(SCHEMA, of)
    assert table.cells == table.means == {}
    assert "No held-out labels" in table.markdown()
    assert PrecisionTable.of(SCHEMA, {}).cells == {}


def test_a_completion_reports_it(ensemble_workspace: Path) -> None:
    space = Workspace(ensemble_workspace)
    table, folder = space.table(), space.folder("ensemble")
    found = PrecisionTable.load(folder / "average-precision.json")
    test = table.in_split("test")
    for name, tag, code in (("smile", "smile", 1), ("gender", "gender=male", 1)):
        codes = table.codes(name)[test & table.labelled(name)]
        assert found.positives[tag] == (codes == code).sum()
        assert found.cells[tag]["ensemble"].n == len(codes)
        assert set(found.cells[tag]) == {"resnet", "densenet", "ensemble"}
    assert "quality" not in " ".join(found.cells)
    text = (folder / "average-precision.md").read_text()
    assert found.markdown() == text
    assert "| *hair_color, mean* |" in text
    assert json.loads((folder / "average-precision.json").read_text())["means"]


def test_the_ensembles_precision_is_that_of_its_predictions(ensemble_workspace: Path) -> None:
    """Two classes: the prior of decisions moves probabilities, but never their order."""
    from labeling.predictions import Predictions

    space = Workspace(ensemble_workspace)
    table, folder = space.table(), space.folder("ensemble")
    rows = table.in_split("test") & table.labelled("smile")
    scores = Predictions.load(folder / "predictions.npz").mean("smile")[rows, 1]
    expected = average_precision_score(table.codes("smile")[rows] == 1, scores)
    found = PrecisionTable.load(folder / "average-precision.json").cells["smile"]["ensemble"].value
    assert found == pytest.approx(expected, abs=0.02)  # predictions are kept in half precision
