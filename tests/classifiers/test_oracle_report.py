"""Label-efficiency curves: the ratios are right, noise does not help, and the picture shows them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from classifiers import oracle_report
from classifiers.oracle_picture import draw_curves
from classifiers.oracle_report import Curve, efficiency, efficiency_markdown, read_curves, strategies_markdown
from classifiers.oracle_rounds import COLUMNS


def curve(name: str, rate: float, noise: float, seeds: int = 8) -> Curve:
    """Rises to 0.8, `rate` times as fast as a curve of rate 1."""
    labels = np.arange(20, 601, 20)
    mean = 0.8 - 0.3 * np.exp(-labels * rate / 150)
    scores = mean + noise * np.random.default_rng(len(name)).standard_normal((seeds, len(labels)))
    return Curve(name, labels, scores, np.tile(labels // 10, (seeds, 1)))


def test_a_strategy_twice_as_fast_needs_half_the_labels() -> None:
    curves = {one.strategy: one for one in (curve("random", 1, 0.004), curve("combined", 2, 0.004), curve("slow", 0.3, 0.004))}
    low, middle, _ = targets = efficiency(curves, "random")
    assert [target.share for target in targets] == [0.9, 0.95, 1.0]
    truth = -150 * np.log((0.8 - middle.accuracy) / 0.3)
    assert middle.labels["random"] == pytest.approx(truth, rel=0.08)
    assert middle.ratio["combined"].value == pytest.approx(0.5, abs=0.06)
    assert middle.ratio["combined"].low <= middle.ratio["combined"].value <= middle.ratio["combined"].high
    assert middle.ratio["combined"].high - middle.ratio["combined"].low < 0.25
    assert low.labels["combined"] < middle.labels["combined"]
    assert middle.ratio["random"].value == middle.ratio["random"].low == middle.ratio["random"].high == 1
    assert middle.labels["slow"] == np.inf
    text = efficiency_markdown(targets, "random")
    assert "not reached" in text
    assert "∞ [" in text
    assert "slow / random" in text
    lines = strategies_markdown(curves, "random", "male").splitlines()
    assert len(lines) == 5
    assert "at 600 labels" in lines[0]


def test_one_seed_has_no_interval() -> None:
    curves = {one.strategy: one for one in (curve("random", 1, 0.004, seeds=1), curve("combined", 2, 0.004, seeds=1))}
    ratio = efficiency(curves, "random", (0.95,))[0].ratio["combined"]
    assert ratio.value == pytest.approx(0.5, abs=0.1)
    assert ratio.show().endswith(" [?, ?]")
    assert "[?, ?]" in strategies_markdown(curves, "random", "male")


def test_a_noisy_curve_is_not_ahead_by_its_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first touch of a target comes early where a curve is noisy: two of the same mean must need the same labels."""
    monkeypatch.setattr(oracle_report, "_DRAWS", 10)
    ratios = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        labels = np.arange(20, 601, 20)
        mean = 0.8 - 0.3 * np.exp(-labels / 150)
        quiet, loud = (mean + noise * rng.standard_normal((8, len(labels))) for noise in (0.002, 0.05))
        curves = {"random": Curve("random", labels, quiet, labels[None]), "b": Curve("b", labels, loud, labels[None])}
        ratios.append(efficiency(curves, "random", (0.95,))[0].ratio["b"].value)
    assert np.median(ratios) == pytest.approx(1, abs=0.12)


def test_curves_keep_the_rounds_that_all_have() -> None:
    rows = [("a", 0, 20, 0.5, 1), ("a", 0, 40, 0.6, 2), ("a", 0, 47, 0.7, 3), ("a", 1, 20, 0.4, 1), ("a", 1, 40, 0.5, 2)]
    found = read_curves(pd.DataFrame(rows, columns=list(COLUMNS)))["a"]
    assert found.labels.tolist() == [20, 40]
    np.testing.assert_allclose(found.scores, [[0.5, 0.6], [0.4, 0.5]])
    mean, low, high = found.band()
    np.testing.assert_allclose(mean, [0.45, 0.55])
    np.testing.assert_allclose(high - mean, 12.7062 * np.std([0.5, 0.4], ddof=1) / np.sqrt(2), rtol=1e-3)  # t, 1 degree
    np.testing.assert_allclose(mean - low, high - mean)


def test_the_picture_shows_a_line_a_strategy(tmp_path: Path) -> None:
    curves = {one.strategy: one for one in (curve("random", 1, 0.01), curve("combined", 2, 0.01))}
    draw_curves(tmp_path / "curves.png", curves, "title", "subtitle")
    pixels = np.asarray(Image.open(tmp_path / "curves.png").convert("RGB")).astype(int)
    assert pixels.shape == (560, 900, 3)
    assert (pixels[0] == 255).all()

    def rows_of(colour: tuple[int, int, int], column: int) -> np.ndarray:
        return np.flatnonzero(np.abs(pixels[:, column] - colour).max(axis=1) < 40)

    combined, random = rows_of((220, 38, 38), 300), rows_of((107, 114, 128), 300)
    assert len(combined)
    assert len(random)
    assert combined.mean() < random.mean()  # the faster one is above
    draw_curves(tmp_path / "one.png", {"random": curve("random", 1, 0.01, seeds=1)}, "one seed", "no band")
    assert (tmp_path / "one.png").is_file()
