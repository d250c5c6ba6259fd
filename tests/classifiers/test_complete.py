"""Label completion: who is judged by whom, what is written and what never is, and going on after an interruption."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from classifiers.calibration import target_prior
from classifiers.complete import complete
from classifiers.data import load_pixels
from classifiers.ensemble import EnsembleSettings, build_member, fold_of, predict_member, train_member
from classifiers.heads import probabilities
from classifiers.report import Table
from classifiers.runtime import launch
from configs.errors import InputError
from configs.files import hold
from labeling.history import read_rounds
from labeling.predictions import Predictions
from labeling.provenance import Source
from labeling.table import LabelTable
from labeling.workspace import Workspace

NAMES = ("gender", "hair_color", "smile")


@pytest.fixture(scope="module")
def settings(tiny_settings: dict[str, dict[str, Any]]) -> EnsembleSettings:
    return EnsembleSettings.model_validate(tiny_settings["ensemble"])


@pytest.fixture(scope="module")
def short(settings: EnsembleSettings) -> EnsembleSettings:
    return settings.model_copy(update={"fit": settings.fit.model_copy(update={"images": 32})})


def test_folds_never_split_a_group() -> None:
    groups = np.array([f"{number:016x}" for number in np.random.default_rng(0).integers(0, 50, 500)], dtype=object)
    folds = fold_of(groups, 3)
    assert set(folds) == {0, 1, 2}
    assert all(len(set(folds[groups == group])) == 1 for group in set(groups))
    assert fold_of(groups[::-1], 3).tolist() == folds[::-1].tolist()


def test_near_duplicates_share_a_fold(ensemble_workspace: Path) -> None:
    frame = Workspace(ensemble_workspace).table().frame
    folds = fold_of(frame["group"].to_numpy(), 2)
    assert set(folds) == {0, 1}
    assert all(len(set(folds[rows])) == 1 for rows in frame.groupby("group").indices.values())


def test_every_face_is_judged_by_networks_that_left_it_out(ensemble_workspace: Path, settings: EnsembleSettings) -> None:
    space = Workspace(ensemble_workspace)
    table, fabric = space.table(), launch(settings.launch)
    pixels, folder = load_pixels(space, table), space.folder("ensemble")
    files = [folder / "resnet" / f"fold{index}.safetensors" for index in range(2)]
    said, single, trained = predict_member(files, "resnet", table, pixels, settings, fabric)
    test, folds = table.in_split("test"), fold_of(table.frame["group"].to_numpy(), 2)
    known = np.any([table.labelled(name) for name in NAMES], axis=0)
    assert trained.tolist() == (known & ~test).tolist()

    from safetensors.torch import load_file

    told = []
    for path in files:
        network = build_member(table.schema, settings, "resnet").eval()
        network.load_state_dict(load_file(path))
        images = torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2) / 127.5 - 1
        with torch.no_grad():
            logits = (network(images) + network(images.flip(3))) / 2
        told.append(probabilities(table.schema, "hair_color", logits).numpy())
    one = np.where(folds[:, None] == 0, told[0], told[1])  # the network whose training left the face's fold out
    expected = np.where(trained[:, None], one, (told[0] + told[1]) / 2)
    np.testing.assert_allclose(said["hair_color"], expected, atol=2e-4)
    np.testing.assert_allclose(single["hair_color"], np.stack(told)[:, test], atol=2e-4)
    assert Predictions.load(folder / "predictions.npz").out_of_fold.tolist() == trained.tolist()


def test_neither_the_test_split_nor_the_own_fold_is_trained_on(
    faces_workspace: Path, short: EnsembleSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import classifiers.ensemble as ensemble

    space = Workspace(faces_workspace)
    table, met = space.table(), []
    real = ensemble.fit

    def watch(network: Any, schema: Any, data: Any, *arguments: Any, **named: Any) -> Any:
        met.append(data.rows)
        return real(network, schema, data, *arguments, **named)

    monkeypatch.setattr(ensemble, "fit", watch)
    train_member(
        tmp_path, "densenet", table, load_pixels(space, table), short, launch(short.launch), lambda fold, seen, values: None
    )
    folds, test = fold_of(table.frame["group"].to_numpy(), 2), table.in_split("test")
    known = np.any([table.labelled(name) for name in NAMES], axis=0)
    assert [rows.tolist() for rows in met] == [np.flatnonzero(known & ~test & (folds != fold)).tolist() for fold in (0, 1)]


def test_completion_fills_the_missing_and_nothing_else(faces_workspace: Path, ensemble_workspace: Path) -> None:
    before, after = Workspace(faces_workspace).table(), Workspace(ensemble_workspace).table()
    told = Predictions.load(ensemble_workspace / "ensemble" / "predictions.npz")
    assert told.faces.tolist() == after.faces.tolist()
    assert told.members == ("resnet", "densenet")
    for name in NAMES:
        known = before.labelled(name)
        assert 0 < known.sum() < len(known)
        assert after.codes(name)[known].tolist() == before.codes(name)[known].tolist()
        assert after.sources(name)[known].tolist() == before.sources(name)[known].tolist()
        assert (after.sources(name)[~known] == Source.COMPLETED).all()
        mean = told.natural(name)
        np.testing.assert_allclose(mean.sum(axis=1), 1, atol=2e-3)
        np.testing.assert_allclose(after.confidence(name)[~known], mean[~known].max(axis=1), atol=2e-3)
        assert (after.codes(name)[~known] == mean[~known].argmax(axis=1)).mean() > 0.97  # stored in half precision
    assert after.sources("quality").tolist() == before.sources("quality").tolist()  # people's word alone


def test_weak_networks_do_not_fill_in_one_value_alone(
    faces_workspace: Path, short: EnsembleSettings, copy_of: Callable[[Path], Path]
) -> None:
    """Two steps teach nothing of hair colours; EM alone would end in one of them, at a confidence of 1."""
    space = Workspace(copy_of(faces_workspace))
    done = complete(space, short, progress=False)
    shares = np.array(list(done.shares["hair_color"].values()))
    assert shares.max() < 0.6
    table = space.table()
    filled = table.sources("hair_color") == Source.COMPLETED
    assert float(table.confidence("hair_color")[filled].mean()) < 0.7


def test_labels_entered_meanwhile_stay_and_show_the_stage_stale(
    ensemble_workspace: Path, settings: EnsembleSettings, copy_of: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours of training must not be lost because somebody pulled."""
    import classifiers.complete as stage

    space = Workspace(copy_of(ensemble_workspace))
    row = np.flatnonzero(~space.table().labelled("gender"))[:1]
    real = stage.predict_member

    def while_it_predicts(*arguments: Any, **named: Any) -> Any:
        table = space.table()
        table.fill("gender", row, np.array([1]), Source.HUMAN)
        space.relabelled(table)
        return real(*arguments, **named)

    monkeypatch.setattr(stage, "predict_member", while_it_predicts)
    complete(space, settings, progress=False)
    table = space.table()
    assert (table.codes("gender")[row[0]], table.sources("gender")[row[0]]) == (1, Source.HUMAN)
    assert (table.sources("gender") >= Source.COMPLETED).all()
    assert space.state("ensemble") == "stale"
    monkeypatch.undo()
    complete(space, settings, progress=False)
    assert space.state("ensemble") == "done"


def test_two_completions_at_once_are_refused(
    ensemble_workspace: Path, settings: EnsembleSettings, copy_of: Callable[[Path], Path]
) -> None:
    space = Workspace(copy_of(ensemble_workspace))
    with hold(space.folder("ensemble") / ".lock", "nobody"), pytest.raises(InputError, match="another sga complete"):
        complete(space, settings, progress=False)
    complete(space, settings, progress=False)


def test_human_cells_stay_and_completed_ones_are_filled_again(
    ensemble_workspace: Path, settings: EnsembleSettings, copy_of: Callable[[Path], Path]
) -> None:
    space = Workspace(copy_of(ensemble_workspace))
    table = space.table()
    completed = np.flatnonzero(table.sources("hair_color") == Source.COMPLETED)
    other = (table.codes("hair_color")[completed] + 1) % table.schema["hair_color"].size
    table.fill("hair_color", completed[:1], other[:1], Source.HUMAN)
    table.fill("hair_color", completed[1:], other[1:], Source.COMPLETED, 0.01)  # nonsense
    said = table.codes("hair_color")[completed[0]]
    table.save(space.labels_path)
    told = Predictions.load(space.folder("ensemble") / "predictions.npz").natural("hair_color").max(axis=1)
    least = float(np.median(told[completed]))
    wanted = settings.model_copy(update={"min_confidence": least})
    done = complete(space, wanted, progress=False)
    after = space.table()
    assert (after.codes("hair_color")[completed[0]], after.sources("hair_color")[completed[0]]) == (said, Source.HUMAN)
    rest = completed[1:]
    assert (after.confidence("hair_color")[rest][after.sources("hair_color")[rest] == Source.COMPLETED] >= least).all()
    assert done.filled["hair_color"] == int((after.sources("hair_color") == Source.COMPLETED).sum())
    unsure = rest[after.sources("hair_color")[rest] == Source.MISSING]
    assert (after.codes("hair_color")[unsure] == -1).all()
    assert 0 < len(unsure) < len(rest)


def test_a_second_run_keeps_the_networks(
    ensemble_workspace: Path, settings: EnsembleSettings, copy_of: Callable[[Path], Path]
) -> None:
    space = Workspace(copy_of(ensemble_workspace))
    files = sorted(space.folder("ensemble").glob("*/fold*.safetensors"))
    assert len(files) == 4
    stamps, before = [file.stat().st_mtime_ns for file in files], space.table()
    complete(space, settings, progress=False)
    assert [file.stat().st_mtime_ns for file in files] == stamps
    assert space.table().frame.equals(before.frame)
    assert space.record("ensemble")["output"] == Workspace(ensemble_workspace).record("ensemble")["output"]  # type: ignore[index]


def test_a_killed_run_goes_on_and_ends_the_same(
    faces_workspace: Path,
    short: EnsembleSettings,
    copy_of: Callable[[Path], Path],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import shutil

    import classifiers.ensemble as ensemble

    fast = short.model_copy(update={"fit": short.fit.model_copy(update={"images": 64, "checkpoint_seconds": 1e-9})})
    broken = Workspace(copy_of(faces_workspace))
    whole = Workspace(shutil.copytree(faces_workspace, tmp_path_factory.mktemp("whole") / "workspace"))
    complete(whole, fast, progress=False)
    real, steps = ensemble.fit, []

    def killed(*arguments: Any, on_step: Callable[[int, dict[str, float]], None], **named: Any) -> Any:
        def step(seen: int, values: dict[str, float]) -> None:
            steps.append(seen)
            on_step(seen, values)
            if len(steps) == 7:  # in the second network
                raise KeyboardInterrupt

        return real(*arguments, on_step=step, **named)

    monkeypatch.setattr(ensemble, "fit", killed)
    with pytest.raises(KeyboardInterrupt):
        complete(broken, fast, progress=False)
    finished = broken.folder("ensemble") / "resnet" / "fold0.safetensors"
    assert broken.state("ensemble") == "started"
    assert [path.name for path in sorted(finished.parent.glob("*.*"))] == ["fold0.safetensors", "fold1.checkpoint.pt"]
    assert [path.parent.name for path in sorted(finished.parent.glob("*/stats.jsonl"))] == ["fold0", "fold1"]
    assert broken.table().frame.equals(Workspace(faces_workspace).table().frame)
    stamp = finished.stat().st_mtime_ns
    complete(broken, fast, progress=False)
    assert finished.stat().st_mtime_ns == stamp
    assert steps[7] == 48  # the second network went on behind its checkpoint at 32 images
    for path in whole.folder("ensemble").glob("*/fold*.safetensors"):
        assert path.read_bytes() == (broken.folder("ensemble") / path.parent.name / path.name).read_bytes(), path
    assert broken.table().frame.equals(whole.table().frame)


def test_other_labels_make_the_networks_anew(
    ensemble_workspace: Path, short: EnsembleSettings, copy_of: Callable[[Path], Path]
) -> None:
    space = Workspace(copy_of(ensemble_workspace))
    old = (space.folder("ensemble") / "resnet" / "fold0.safetensors").read_bytes()
    complete(space, short, progress=False)
    assert (space.folder("ensemble") / "resnet" / "fold0.safetensors").read_bytes() != old


def only(table: LabelTable, name: str, keep: np.ndarray) -> None:
    """Empty the cells of one attribute but those at `keep`."""
    for column, value in ((name, None), (f"{name}_confidence", np.nan), (f"{name}_source", 0)):
        table.frame.loc[~keep, column] = value


def test_one_class_alone_is_refused(faces_workspace: Path, short: EnsembleSettings, copy_of: Callable[[Path], Path]) -> None:
    space = Workspace(copy_of(faces_workspace))
    table = space.table()
    only(table, "gender", table.codes("gender") == 0)
    table.save(space.labels_path)
    with pytest.raises(InputError, match="two values of gender, found only female"):
        complete(space, short, progress=False)
    assert not space.folder("ensemble").exists()


def test_no_labels_are_refused(faces_workspace: Path, short: EnsembleSettings, copy_of: Callable[[Path], Path]) -> None:
    space = Workspace(copy_of(faces_workspace))
    table = space.table()
    for name in NAMES:
        only(table, name, np.zeros(len(table), bool))
    table.save(space.labels_path)
    with pytest.raises(InputError, match="sga ingest"):
        complete(space, short, progress=False)


def test_labels_in_one_fold_alone_are_refused(
    faces_workspace: Path, short: EnsembleSettings, copy_of: Callable[[Path], Path]
) -> None:
    space = Workspace(copy_of(faces_workspace))
    table = space.table()
    inside = fold_of(table.frame["group"].to_numpy(), 2) == 0
    for name in NAMES:
        only(table, name, inside & table.labelled(name))
    table.save(space.labels_path)
    with pytest.raises(InputError, match="two of 2 folds"):
        complete(space, short, progress=False)


def test_a_value_without_a_label_is_never_filled_in(
    faces_workspace: Path, settings: EnsembleSettings, copy_of: Callable[[Path], Path]
) -> None:
    space = Workspace(copy_of(faces_workspace))
    table = space.table()
    common = np.bincount(table.codes("hair_color")[table.labelled("hair_color")]).argmax()
    only(table, "hair_color", table.labelled("hair_color") & (table.codes("hair_color") != common))
    seen = set(table.codes("hair_color")) - {-1}
    table.save(space.labels_path)
    done = complete(space, settings.model_copy(update={"fit": settings.fit.model_copy(update={"images": 160})}), progress=False)
    after = space.table()
    assert done.filled["hair_color"] > 50
    assert set(after.codes("hair_color")) <= seen
    assert done.shares["hair_color"][table.schema["hair_color"].values[common]] < 1e-6


def test_an_attribute_without_labels_is_left_alone(
    faces_workspace: Path, short: EnsembleSettings, copy_of: Callable[[Path], Path]
) -> None:
    space = Workspace(copy_of(faces_workspace))
    table = space.table()
    only(table, "smile", np.zeros(len(table), bool))
    table.save(space.labels_path)
    done = complete(space, short, progress=False)
    assert set(done.filled) == {"gender", "hair_color"}
    assert (space.table().codes("smile") == -1).all()


def test_table_1_has_every_row(ensemble_workspace: Path) -> None:
    folder, table = ensemble_workspace / "ensemble", Workspace(ensemble_workspace).table()
    for stem, split in (("table1", table.in_split("test")), ("table1-out-of-fold", ~table.in_split("test"))):
        read = Table.load(folder / f"{stem}.json")
        assert list(read.cells) == list(NAMES)
        for name, rows in read.cells.items():
            assert list(rows) == ["resnet", "densenet", "ensemble"]
            assert {cell.n for cells in rows.values() for cell in cells.values()} == {int((table.labelled(name) & split).sum())}
        assert (folder / f"{stem}.md").read_text() == read.markdown()
        assert len(read.notes) == 3
    calibration = json.loads((folder / "calibration.json").read_text())
    assert set(calibration["scalings"]) == {"resnet", "densenet"}
    assert all(len(one["gender"]["bias"]) == 2 for one in calibration["scalings"].values())
    assert sum(calibration["shares_of_unlabelled"]["gender"].values()) == pytest.approx(1)


def test_members_disagree_under_the_prior_of_decisions(ensemble_workspace: Path) -> None:
    """Under that of the unlabelled faces all would be sure that nobody is of a rare class."""
    folder = ensemble_workspace / "ensemble"
    told = Predictions.load(folder / "predictions.npz")
    shares = json.loads((folder / "calibration.json").read_text())["shares_of_unlabelled"]["gender"]
    assert told.decision["gender"].tolist() == [0.5, 0.5]
    np.testing.assert_allclose(told.shares["gender"], [shares["female"], shares["male"]])
    expected = told.disagreement("gender")
    written = pd.read_csv(folder / "faces.csv")["gender_disagreement"]
    np.testing.assert_allclose(written, expected, atol=2e-3)  # four digits are written, float32 stored
    assert written.max() > 0


def test_a_round_is_a_point_of_the_learning_curve(
    ensemble_workspace: Path, settings: EnsembleSettings, copy_of: Callable[[Path], Path]
) -> None:
    space = Workspace(copy_of(ensemble_workspace))
    table, scores = space.table(), Table.load(space.folder("ensemble") / "table1.json")
    rounds = {one.attribute: one for one in read_rounds(space)}
    assert list(rounds) == list(scores.cells)
    for name, one in rounds.items():
        learnt = table.labelled(name) & ~table.in_split("test")
        assert (one.labels, one.human) == (int(learnt.sum()), 0)
        assert one.metric == ("balanced" if name == "gender" else "accuracy")
        assert one.value == scores.cells[name]["ensemble"][one.metric].value
    complete(space, settings, progress=False)  # nothing new to learn from: no new point
    assert len(read_rounds(space)) == len(rounds)
    row = np.flatnonzero(~table.labelled("gender") & ~table.in_split("test"))[:1]
    table.fill("gender", row, np.array([1]), Source.HUMAN)
    table.save(space.labels_path)
    complete(space, settings, progress=False)
    latest = [one for one in read_rounds(space) if one.attribute == "gender"][-1]
    assert (latest.labels, latest.human) == (rounds["gender"].labels + 1, 1)


def test_gender_is_decided_as_if_both_were_equally_frequent(faces_workspace: Path) -> None:
    table = Workspace(faces_workspace).table()
    assert target_prior(table, "gender").tolist() == [0.5, 0.5]
    known = table.labelled("smile") & ~table.in_split("test")
    share = (table.codes("smile")[known].sum() + 0.5) / (known.sum() + 1)
    assert target_prior(table, "smile")[1] == pytest.approx(share)


def test_an_ensemble_of_one_is_refused(tiny_settings: dict[str, dict[str, Any]]) -> None:
    members = {"resnet": tiny_settings["ensemble"]["members"]["resnet"]}
    with pytest.raises(ValueError, match="two members"):
        EnsembleSettings.model_validate({"members": members})
