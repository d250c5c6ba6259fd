"""Table 1: scores of classifiers, their differences and the files."""

from pathlib import Path

import numpy as np
import pytest

from classifiers.report import Table, compare, score


def one_hot(codes: np.ndarray, k: int = 2) -> np.ndarray:
    return np.eye(k)[codes]


def test_scores_by_hand() -> None:
    codes = np.array([0, 0, 0, 1])
    found = score(one_hot(np.array([0, 0, 1, 1])), codes)
    assert found["accuracy"].value == pytest.approx(3 / 4)
    assert found["balanced"].value == pytest.approx((2 / 3 + 1) / 2)
    assert found["accuracy"].n == 4


def test_several_networks_score_as_their_mean() -> None:
    codes = np.array([0, 1, 1, 0])
    said = np.stack([one_hot(codes), one_hot(1 - codes), one_hot(np.array([0, 0, 1, 1]))])
    assert score(said, codes)["accuracy"].value == pytest.approx((1 + 0 + 0.5) / 3)


@pytest.mark.parametrize("metric", ["accuracy", "balanced"])
def test_the_difference_is_paired(metric: str) -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2, 400)
    worse = np.where(rng.random(400) < 0.7, codes, 1 - codes)
    better = np.where((worse != codes) & (rng.random(400) < 0.3), codes, worse)  # right wherever the other is
    gain = compare(one_hot(better), one_hot(worse), codes, metric)
    alone = [score(one_hot(said), codes)[metric] for said in (better, worse)]
    assert gain.value == pytest.approx(alone[0].value - alone[1].value)
    assert gain.low > 0
    assert gain.high - gain.low < alone[0].high - alone[0].low
    assert compare(one_hot(worse), one_hot(worse), codes, metric).value == 0


def test_files_round_trip(tmp_path: Path) -> None:
    codes = np.array([0, 1, 0, 1])
    table = Table("Held out")
    for row, said in (("resnet", codes), ("ensemble", 1 - codes)):
        for name in ("gender", "smile"):
            table.add(name, row, one_hot(said), codes)
    table.notes.append("A note.")
    table.save(tmp_path / "table1")
    assert Table.load(tmp_path / "table1.json") == table
    text = (tmp_path / "table1.md").read_text()
    assert "| resnet | 100.00 [100.0, 100.0] |" in text
    assert "| ensemble | 0.00 [0.0, 0.0] |" in text
    assert "A note." in text
    assert "gender n = 4, smile n = 4" in text


def test_no_labels_give_a_table_that_says_so(tmp_path: Path) -> None:
    Table("Held out").save(tmp_path / "table1")
    assert "No held-out labels" in (tmp_path / "table1.md").read_text()
    assert Table.load(tmp_path / "table1.json").cells == {}
