"""The judge's thresholds and its finetuning (SGA-GAN 2.4)."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from classifiers.acceptance import calibrate, precision_recall, rescale
from classifiers.augment import AugmentSettings
from classifiers.data import load_pixels
from classifiers.heads import probabilities
from classifiers.quality import LabelledFaces, QualitySettings, _Before, _data, _finetune, _score, tune
from classifiers.report import Table
from classifiers.runtime import LaunchSettings, launch
from classifiers.sfn import describe, load_sfn
from classifiers.train import LossWeights
from configs.errors import InputError, WorkspaceError
from labeling.workspace import Workspace

VALUES = ("low", "median", "high")


def test_precision_and_recall_by_hand() -> None:
    score, wanted = np.array([0.1, 0.4, 0.6, 0.9]), np.array([False, True, False, True])
    assert precision_recall(score, wanted, 0.5) == (1 / 2, 1 / 2)
    assert precision_recall(score, wanted, 0.0) == (2 / 4, 1.0)
    assert precision_recall(score, wanted, 0.95) == (0.0, 0.0)
    assert precision_recall(score, np.zeros(4, bool), 0.5) == (0.0, 0.0)
    assert precision_recall(score, wanted, 0.4) == (2 / 3, 1.0)  # a score at the threshold passes


def test_thresholds_of_scores_made_by_hand() -> None:
    score = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    codes = np.array([0, 0, 0, 1, 0, 1, 1, 2, 2, 2])
    found = calibrate(score, codes, VALUES, precision=0.85)
    assert found.threshold == 0.4  # from here on 6 of 7 are not low
    assert found.levels == {"low": 0.0, "median": 0.4, "high": 0.8}
    assert found.rates["accepted is not low"] == {"threshold": 0.4, "precision": 6 / 7, "recall": 1.0}
    assert found.rates["accepted is high"]["precision"] == pytest.approx(3 / 7)
    assert found.rates["at least high"] == {"threshold": 0.8, "precision": 1.0, "recall": 1.0}
    assert found.rates["accepted"]["share"] == pytest.approx(0.7)
    assert found.labels == {"low": 4, "median": 3, "high": 3}
    assert calibrate(score, codes, VALUES, precision=0.9).threshold == 0.6
    assert calibrate(score, codes, VALUES, precision=0.3).threshold == 0.0  # all may pass


def test_a_precision_that_cannot_be_had_takes_the_best_there_is() -> None:
    rng = np.random.default_rng(0)
    score, codes = rng.random(200), rng.integers(0, 3, 200)
    found = calibrate(score, codes, VALUES, precision=1.0)
    assert found.rates["accepted"]["share"] >= 0.2
    best = max(precision_recall(score, codes > 0, limit)[0] for limit in score if (score >= limit).mean() >= 0.2)
    assert found.rates["accepted is not low"]["precision"] == pytest.approx(best)


def test_each_gender_has_its_own_threshold() -> None:
    score = np.concatenate([np.linspace(0.5, 1, 40), np.linspace(0, 0.5, 40)])  # the rare gender is drawn less well
    codes = np.tile(np.repeat([0, 2], 20), 2)
    gender = np.repeat([0, 1], 40)
    found = calibrate(score, codes, VALUES, 0.9, gender, ("female", "male"))
    assert found.by_gender["female"] > 0.7 > found.by_gender["male"] > 0.2
    assert found.rates["accepted male is not low"]["precision"] >= 0.9
    few = calibrate(score[:45], codes[:45], VALUES, 0.9, gender[:45], ("female", "male"))
    assert few.by_gender["male"] == few.threshold  # five labels are no ground for a threshold


def test_thresholds_move_to_where_as_many_pass() -> None:
    score, codes = np.linspace(0, 1, 100), np.repeat([0, 1, 2], [40, 30, 30])
    gender = np.tile([0, 1], 50)
    found = calibrate(score, codes, VALUES, 0.9, gender, ("female", "male"))
    fresh = np.linspace(0, 0.5, 400)  # the last network says half of what the folds' networks say
    moved = rescale(found, score, gender, fresh, np.tile([0, 1], 200), ("female", "male"))
    assert moved.threshold == pytest.approx(found.threshold / 2, abs=0.01)
    assert moved.by_gender["male"] == pytest.approx(found.by_gender["male"] / 2, abs=0.02)
    assert moved.levels["low"] == 0
    assert moved.rates == found.rates


def test_levels_never_cross_and_the_highest_asks_at_least_what_acceptance_asks() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        gender = np.repeat([0, 1], 40)
        found = calibrate(rng.random(80), rng.integers(0, 3, 80), VALUES, 0.8, gender, ("female", "male"))
        assert 0 <= found.levels["median"] <= found.levels["high"] <= 1
        assert found.levels["high"] >= found.threshold
        for name, accept in found.by_gender.items():
            assert found.levels_by_gender["high"][name] >= max(accept, found.levels_by_gender["median"][name])


def test_rates_are_of_thresholds_that_never_saw_the_label() -> None:
    """Scores that mean nothing: chosen and measured on the same labels the precision looks good, cross-fitted it does not."""
    rng = np.random.default_rng(0)
    same, crossed = [], []
    for _ in range(40):
        score, codes, fold = rng.random(60), rng.integers(0, 3, 60), np.arange(60) % 4
        for found, fold_or_none in ((same, None), (crossed, fold)):
            found.append(calibrate(score, codes, VALUES, 0.95, fold=fold_or_none).rates["accepted is not low"]["precision"])
    assert np.mean(crossed) == pytest.approx(2 / 3, abs=0.03)  # two labels in three are not low
    assert np.mean(same) > np.mean(crossed) + 0.04


def test_a_label_of_weight_three_counts_as_three_labels() -> None:
    rng = np.random.default_rng(2)
    gender, fold, weight = np.tile([0, 1], 120), np.arange(240) // 2 % 4, rng.integers(1, 4, 240)
    score = rng.random(240)
    codes = np.digitize(score + rng.normal(0, 0.3, 240), [0.3, 0.7])
    columns = (score, codes, gender, fold)

    def found(columns: Any, weight: np.ndarray | None) -> Any:
        score, codes, gender, fold = columns
        told = calibrate(score, codes, VALUES, 0.9, gender, ("female", "male"), fold, weight)
        return told, rescale(told, score, gender, fresh, np.tile([0, 1], 200), ("female", "male"), weight)

    fresh = rng.random(400)
    weighted, moved = found(columns, weight.astype(float))
    repeated, as_moved = found([column.repeat(weight) for column in columns], None)
    for name in ("threshold", "by_gender", "levels", "levels_by_gender"):
        assert getattr(weighted, name) == getattr(repeated, name)
    assert moved.by_gender == pytest.approx(as_moved.by_gender)
    for name, rate in weighted.rates.items():
        assert rate == pytest.approx(repeated.rates[name])
    assert sum(weighted.labels.values()) == 240
    assert found(columns, np.full(240, 4.0))[0] == found(columns, None)[0]
    assert weighted.threshold != found(columns, None)[0].threshold


def test_labels_of_very_different_weight_are_no_ground_for_a_threshold() -> None:
    gender, score = np.repeat([0, 1], 40), np.tile(np.linspace(0, 1, 40), 2)
    codes, weight = np.tile(np.repeat([0, 2], 20), 2), np.ones(80)
    score[40:] /= 2  # the men's own threshold is half as high
    own = calibrate(score, codes, VALUES, 0.9, gender, ("female", "male"), weight=weight)
    assert own.by_gender["male"] < own.by_gender["female"] / 1.5
    weight[40:50] = 50.0  # ten of forty say nearly all
    few = calibrate(score, codes, VALUES, 0.9, gender, ("female", "male"), weight=weight)
    assert few.by_gender["male"] == few.threshold


@pytest.fixture(scope="module")
def settings(tiny_settings: dict[str, dict[str, Any]]) -> QualitySettings:
    return QualitySettings.model_validate(tiny_settings["quality"])


@pytest.fixture(scope="module")
def tuned(gan_workspace: Path, settings: QualitySettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import shutil

    root = Path(shutil.copytree(gan_workspace, tmp_path_factory.mktemp("tuned") / "workspace"))
    tune(Workspace(root), settings, progress=False)
    return root


def rank_auc(score: np.ndarray, wanted: np.ndarray) -> float:
    """Chance that a wanted one scores above another."""
    above = score[wanted][:, None] > score[~wanted][None]
    equal = score[wanted][:, None] == score[~wanted][None]
    return float((above + 0.5 * equal).mean())


def drawn_quality(folder: Path, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sample faces as if a generator had drawn them, half distorted (0) and half clean (2), and people had said so."""
    import csv

    from PIL import Image

    from labeling.samples import SampleSettings, write_samples

    mix = {"low": 0.5, "median": 0.0, "high": 0.5}
    write_samples(SampleSettings.model_validate({"count": count, "size": 64, "seed": seed, "quality": mix}), folder)
    with (folder / "truth.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    images = np.stack([np.asarray(Image.open(folder / row["file"])) for row in rows])
    return images, np.array([VALUES.index(row["quality"]) for row in rows])


def test_the_judge_ranks_high_above_low_on_labels_it_never_saw(
    sfn_workspace: Path, settings: QualitySettings, tmp_path: Path
) -> None:
    """One fold of `tune`, long enough to learn what a distorted face is: 200 labels are learnt from, 120 held out."""
    images, codes = drawn_quality(tmp_path / "drawn", 320, 5)
    space = Workspace(sfn_workspace)
    table, fabric = space.table(), launch(settings.launch)
    still = AugmentSettings(rotate=0, scale=0, shift=0.03, erase=0)  # few labels, few steps: nothing but the faces
    weights = LossWeights(gender=1, style=1, quality=4)
    update = {"images": 4800, "learning_rate": 4e-3, "augment": still, "loss": weights}
    longer = settings.model_copy(update={"fit": settings.fit.model_copy(update=update)})
    keys = np.array([f"5/{index}/female" for index in range(320)], dtype=object)
    data, labelled, _ = _data(space, table, "quality", LabelledFaces(images, codes, keys, np.zeros(320, np.int64)), longer)
    held = labelled[-120:]
    before = _Before.ask(space, data.pixels, data.rows[data.rows < len(table)], fabric)
    network = _finetune(space, table, data, held, before, longer, fabric)
    now, _ = describe(network, data.pixels, before.rows, fabric)
    for name in ("gender", "hair_color", "smile"):  # every class as probable in the mean as before
        shares = [
            probabilities(table.schema, name, torch.from_numpy(told)).numpy().mean(axis=0) for told in (before.logits, now)
        ]
        np.testing.assert_allclose(shares[1], shares[0], atol=1e-3)
    assert np.abs(now - before.logits).max() > 0.1
    logits, _ = describe(network, data.pixels, held, fabric)
    ranked = rank_auc(_score(table, "quality", logits), data.codes["quality"][held] == 2)
    assert ranked > 0.6, ranked  # by chance 0.5 ± 0.053


def test_the_files_of_a_finetuning(tuned: Path) -> None:
    folder, table = tuned / "quality", Workspace(tuned).table()
    calibration = json.loads((folder / "calibration.json").read_text())
    learnable = table.labelled("quality") & ~table.in_split("test")
    assert sum(calibration["labels"].values()) == learnable.sum()
    assert 0 <= calibration["threshold"] <= 1
    assert set(calibration["rates"]) == {
        "at least median",
        "at least high",
        "accepted is not low",
        "accepted is high",
        "accepted female is not low",
        "accepted male is not low",
        "accepted",
    }
    assert set(calibration["by_gender"]) == {"female", "male"}
    assert -1 <= calibration["style_correlation"] <= 1
    accuracy = Table.load(folder / "accuracy.json")
    assert {name: list(rows) for name, rows in accuracy.cells.items()} == {
        name: ["before", "after"] for name in ("gender", "hair_color", "smile")
    }
    before = Table.load(tuned / "sfn" / "table1.json").cells["gender"]["SFN"]["balanced"]
    assert accuracy.cells["gender"]["before"]["balanced"].value == pytest.approx(before.value)
    assert Workspace(tuned).state("quality") == "done"


def test_the_judges_style_is_standardised_again(tuned: Path) -> None:
    space = Workspace(tuned)
    table = space.table()
    network, _, _ = load_sfn(tuned / "quality" / "judge.safetensors")
    fabric = launch(LaunchSettings(accelerator="cpu", precision="32", threads=1))
    rows = np.flatnonzero(~table.in_split("test"))
    _, features = describe(network, load_pixels(space, table), rows, fabric)
    style = network.standardise(torch.from_numpy(features)).detach().numpy()
    np.testing.assert_allclose(style.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(style.std(axis=0), 0.5396, atol=2e-3)


def test_generated_faces_are_learnt_from_too(
    gan_workspace: Path, settings: QualitySettings, copy_of: Callable[[Path], Path]
) -> None:
    space = Workspace(copy_of(gan_workspace))
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (40, 64, 64, 3), dtype=np.uint8)  # no faces at all: low
    keys = np.array([f"0/{index}/female" for index in range(40)], dtype=object)
    plenty = settings.model_copy(update={"fit": settings.fit.model_copy(update={"images": 320})})
    found = tune(space, plenty, LabelledFaces(noise, np.zeros(40, np.int64), keys, np.zeros(40, np.int64)), progress=False)
    without = tune(space, plenty, progress=False).acceptance.labels
    assert found.acceptance.labels == {**without, "low": without["low"] + 40}


def test_too_few_labels_say_how_to_get_some(
    gan_workspace: Path, settings: QualitySettings, copy_of: Callable[[Path], Path]
) -> None:
    space = Workspace(copy_of(gan_workspace))
    table = space.table()
    table.frame["quality"] = table.frame["quality"].where(np.arange(len(table)) < 8)
    table.frame["quality_confidence"] = table.frame["quality_confidence"].where(np.arange(len(table)) < 8)
    table.frame["quality_source"] = table.frame["quality_source"].where(table.frame["quality"].notna(), 0)
    table.save(space.labels_path)
    with pytest.raises(InputError, match="sga quality draw"):
        tune(space, settings, progress=False)
    assert not (space.folder("quality") / "judge.safetensors").exists()


def test_it_needs_a_generator(sfn_workspace: Path, settings: QualitySettings) -> None:
    with pytest.raises(WorkspaceError, match="sga train"):
        tune(Workspace(sfn_workspace), settings, progress=False)


def test_heads_are_aimed_once(gan_workspace: Path, settings: QualitySettings, copy_of: Callable[[Path], Path]) -> None:
    """A finetuning that changes nothing leaves the judge where the SFN was: the correction for gender is not added twice."""
    space = Workspace(copy_of(gan_workspace))
    still = settings.model_copy(update={"fit": settings.fit.model_copy(update={"images": 16, "learning_rate": 1e-12})})
    tune(space, still, progress=False)
    before, schema, _ = load_sfn(space.folder("sfn") / "network.safetensors")
    after, _, _ = load_sfn(space.folder("quality") / "judge.safetensors")
    gender = schema.logit_slices["gender"]
    shift = (after.heads.bias - before.heads.bias)[gender].detach()
    assert float((shift[1] - shift[0]).abs()) < 0.2


def test_a_tuning_that_was_killed_goes_on(
    gan_workspace: Path, settings: QualitySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the third of three networks: the first two folds' scores are kept, and the judge is the same bit for bit."""
    import shutil

    from classifiers import quality

    settings = settings.model_copy(update={"folds": 2})
    whole, broken = (Workspace(shutil.copytree(gan_workspace, tmp_path / name)) for name in ("whole", "broken"))
    tune(whole, settings, progress=False)
    real, trained = quality.fit, []

    def killed(*arguments: Any, **named: Any) -> Any:
        trained.append(named["checkpoint"].name)
        if len(trained) == 3:
            raise KeyboardInterrupt
        return real(*arguments, **named)

    monkeypatch.setattr(quality, "fit", killed)
    with pytest.raises(KeyboardInterrupt):
        tune(broken, settings, progress=False)
    assert broken.state("quality") == "started"
    tune(broken, settings, progress=False)
    assert trained == [f"{name}.checkpoint.pt" for name in ("fold0", "fold1", "judge", "judge")]
    folders = [space.folder("quality") for space in (whole, broken)]
    one, other = (load_sfn(folder / "judge.safetensors")[0].state_dict() for folder in folders)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert len({(folder / "calibration.json").read_text() for folder in folders}) == 1
    assert not [*folders[1].glob("fold*"), *folders[1].glob("*.checkpoint.pt")]
