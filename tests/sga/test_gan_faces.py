"""The candidates of the data: completed labels in doubt, and faces that are left out."""

import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from classifiers.runtime import LaunchSettings, launch
from classifiers.sfn import describe, load_sfn
from configs.errors import WorkspaceError
from labeling.predictions import Predictions
from labeling.provenance import Source
from labeling.schema import Schema
from labeling.table import LabelTable
from labeling.workspace import Workspace
from sga.condition import Condition
from sga.models import srresnet_discriminator
from sga.training import train
from sga.training.cleaning import clean_rows, kept_rows, saturation, sharpness, stored_rows
from sga.training.data import RealBatch, load_training_faces
from sga.training.label_noise import confusion, gender_doubt
from sga.training.steps import discriminator_step

gan = runpy.run_path(str(Path(__file__).with_name("gan_run.py")))


@pytest.fixture(scope="module")
def fabric() -> Any:
    return launch(LaunchSettings(accelerator="cpu", precision="32", threads=1))


def weights(root: Path) -> torch.Tensor:
    """Of the generator's first layer."""
    stored: torch.Tensor = torch.load(root / "gan" / "checkpoint.pt", weights_only=True)["generator"]["fc.weight"]
    return stored


# -- doubted labels --------------------------------------------------------------------------------------------------------


@pytest.fixture
def labelled(tmp_path: Path) -> Workspace:
    """12 faces: 4 labelled women, 4 labelled men, 3 completed, 1 of unknown gender; the ensemble errs with one woman and two
    men."""
    names = [f"{number:064x}" for number in range(12)]
    table = LabelTable.empty(Schema.load("faces"), names, names, ["train"] * 12, names)
    table.fill("gender", np.arange(8), np.repeat([0, 1], 4), Source.HUMAN)
    table.fill("gender", np.arange(8, 11), np.array([1, 0, 1]), Source.COMPLETED, np.array([0.9, 0.6, 0.7]))
    space = Workspace(tmp_path)
    table.save(space.labels_path)
    male = np.array([0.1, 0.2, 0.3, 0.6, 0.2, 0.3, 0.8, 0.9, 0.9, 0.4, 0.7, 0.5])
    told = {"gender": np.stack([1 - male, male], axis=1)[:, None].astype(np.float32)}
    even = {"gender": np.array([0.5, 0.5])}
    (tmp_path / "ensemble").mkdir()
    seen = np.arange(12) < 8
    Predictions(np.array(names, object), ("one",), told, seen, even, even).save(tmp_path / "ensemble" / "predictions.npz")
    return space


def test_the_confusion_is_counted_on_labels_that_were_held_out(labelled: Workspace) -> None:
    # Women: 3 right, 1 wrong; men: 2 right, 2 wrong; one more in each cell.
    np.testing.assert_allclose(confusion(labelled, "gender"), [[4 / 6, 2 / 6], [3 / 6, 3 / 6]], rtol=1e-6)
    labelled.finish("ensemble", "e", {"min_confidence": 0.75})  # completion leaves the unsure ones empty
    np.testing.assert_allclose(confusion(labelled, "gender"), [[3 / 4, 1 / 4], [2 / 5, 3 / 5]], rtol=1e-6)


def test_labels_of_people_are_beyond_doubt(labelled: Workspace) -> None:
    table = labelled.table()
    sure = [[1, 0]] * 4 + [[0, 1]] * 4
    soft = gender_doubt(labelled, table, "soft")
    np.testing.assert_allclose(soft, [*sure, [0.1, 0.9], [0.6, 0.4], [0.3, 0.7], [0.5, 0.5]], atol=1e-6)
    forward = gender_doubt(labelled, table, "confusion")
    male, female = [2 / 6, 3 / 6], [4 / 6, 3 / 6]  # of such a label, by the true gender
    np.testing.assert_allclose(forward, [*sure, male, female, male, [0.5, 0.5]], atol=1e-6)


@pytest.mark.parametrize("reading", ["weight", "confusion", "soft"])
def test_training_faces_carry_the_doubt(reading: Any, labelled: Workspace) -> None:
    table = labelled.table()
    for file in table.frame["file"]:
        Image.new("RGB", (16, 16)).save(labelled.root / file, format="PNG")
    labelled.folder("sfn").mkdir()
    styles = labelled.folder("sfn") / "styles.npz"
    np.savez(styles, face=table.faces.astype("U64"), style=np.zeros((12, 4), np.float32))
    for stage in ("faces", "ensemble", "sfn"):
        labelled.finish(stage, stage, {})
    faces = load_training_faces(labelled, gan["settings"](f"label_noise={reading}"))
    if reading == "weight":
        assert faces.gender_doubt is None
        np.testing.assert_allclose(faces.gender_weight, [1] * 8 + [0.2] * 3 + [0])
        return
    np.testing.assert_allclose(faces.gender_weight, [1] * 11 + [0])
    assert np.array_equal(faces.gender_doubt, gender_doubt(labelled, table, reading))
    assert np.array_equal(faces.select(np.array([9, 2])).gender_doubt, faces.gender_doubt[[9, 2]])
    batch = faces.batch(np.array([10, 8]), torch.device("cpu"))
    assert np.array_equal(batch.gender_doubt.numpy(), faces.gender_doubt[[8, 10]])
    other = replace(faces, gender_doubt=1 - faces.gender_doubt)
    assert faces.fingerprint() != other.fingerprint()


def test_predictions_that_are_not_there_are_explained(labelled: Workspace) -> None:
    path = labelled.folder("ensemble") / "predictions.npz"
    stored = Predictions.load(path)
    replace(stored, probabilities={}, decision={}, shares={}).save(path)
    with pytest.raises(WorkspaceError, match=r"what the ensemble says of gender .*found nothing.*sga complete"):
        confusion(labelled, "gender")
    path.unlink()
    with pytest.raises(WorkspaceError, match="Type first: sga complete"):
        confusion(labelled, "gender")


@pytest.mark.parametrize("reading", ["confusion", "soft"])
def test_the_gender_term_reads_the_doubt(reading: str, fabric: Any) -> None:
    settings = gan["settings"]("style_size=3", f"label_noise={reading}", "penalty=null", "weights.penalty=0", "diff_augment=[]")
    network = srresnet_discriminator(16, 3, widths=(4, 8), blocks=(0, 0), he=True)
    doubt = torch.tensor([[0.8, 0.2], [0.4, 0.6], [1.0, 0.0], [0.0, 1.0]])
    images = torch.rand(4, 3, 16, 16) * 2 - 1
    real = RealBatch(images, torch.arange(4) % 2, torch.ones(4), torch.randn(4, 3), gender_doubt=doubt)
    with torch.no_grad():
        said = network(real.images).gender.softmax(dim=1)
    per_face = -(doubt * said.log()).sum(1) if reading == "soft" else -(doubt * said).sum(1).log()
    condition = Condition(torch.zeros(4, 5), torch.tensor([0, 1, 1, 0]), torch.zeros(4, 3))
    optimiser = torch.optim.SGD(network.parameters(), lr=0.0)
    terms = discriminator_step(fabric, settings, network, optimiser, real, real.images, condition, penalise=False)
    assert terms["D/gender"].item() == pytest.approx(per_face.mean().item(), rel=1e-5)


# -- cleaning --------------------------------------------------------------------------------------------------------------


def test_sharpness_and_saturation_against_numbers() -> None:
    point = np.zeros((1, 5, 5, 3), np.uint8)
    point[0, 2, 2] = 255  # Laplacian over the inner 3 × 3: -4 in the middle, 1 at its four neighbours, 0 in the corners
    values = np.array([0, 1, 0, 1, -4, 1, 0, 1, 0])
    assert sharpness(point)[0] == pytest.approx(values.var(), rel=1e-5)
    assert saturation(point)[0] == 0
    colour = np.broadcast_to(np.array([200, 98, 149], np.uint8), (2, 4, 4, 3))
    np.testing.assert_allclose(saturation(colour), 102 / 255, rtol=1e-6)
    np.testing.assert_allclose(sharpness(colour), 0, atol=1e-9)


def test_the_worst_by_any_measure_are_left_out() -> None:
    gender = np.array([0] * 5 + [1] * 5 + [-1] * 2)
    sharp = np.array([5, 1, 3, 4, 9, 50, 10, 30, 40, 90, 1, 2])
    bright = np.array([1, 5, 4, 3, 2, 2, 5, 1, 3, 4, 1, 2])
    rows = kept_rows({"sharpness": sharp, "saturation": bright}, gender, 0.4, always=0)
    # Of each five the sharpest-ranked last and the greyest go; of two faces 0.8, rounded, goes one.
    assert rows.tolist() == [2, 3, 4, 5, 8, 9, 11]
    assert kept_rows({"sharpness": sharp}, gender, 0.4, always=0).tolist() == [0, 3, 4, 5, 8, 9, 11]
    assert kept_rows({"sharpness": sharp}, gender, 0.4, always=5).tolist() == list(range(12))  # none to spare


def test_a_run_goes_on_with_the_faces_that_it_kept(tmp_path: Path, fabric: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sga.training.cleaning.kept_rows", lambda *measured: kept_rows(*measured, always=0))
    space, faces = Workspace(tmp_path), gan["draw_faces"]()
    settings = gan["settings"]("cleaning=0.25", "images=4")
    train(space, settings, faces, progress=False)
    path = space.folder("gan") / "cleaning.npz"
    with np.load(path) as stored:
        assert len(stored["rows"]) == 14  # of 6, 7 and 7 faces of either gender and of none, two each are left out
        assert {"sharpness", "saturation"} <= set(stored.files)
        arrays = dict(stored)
    np.savez(path, **{**arrays, "rows": np.arange(12)})
    assert stored_rows(space, faces, settings).tolist() == list(range(12))
    assert clean_rows(space, faces, settings, fabric, fresh=False).tolist() == list(range(12))
    assert stored_rows(space, faces, settings.model_copy(update={"cleaning": 0.5})) is None
    assert stored_rows(space, gan["draw_faces"](seed=1), settings) is None
    assert len(clean_rows(space, faces, settings, fabric, fresh=True)) == 14
    other = tmp_path / "other"
    train(Workspace(other), gan["settings"]("images=4"), faces, progress=False)
    assert not (other / "gan" / "cleaning.npz").exists()
    assert not torch.equal(weights(other), weights(tmp_path))


def test_a_judge_that_is_not_there_is_asked_for(tmp_path: Path) -> None:
    settings = gan["settings"]("cleaning=0.25", "cleaning_by=[judge]", "images=4")
    with pytest.raises(WorkspaceError, match=r"Expected a judge at .*quality/judge\.safetensors.*Leave it out"):
        train(Workspace(tmp_path), settings, gan["draw_faces"](), progress=False)


def test_a_judge_tells_the_quality_of_real_faces(tmp_path: Path, fabric: Any) -> None:
    schema = Schema(name="judged", attributes=(*gan["SCHEMA"].attributes, Schema.load("faces")["quality"]))
    judge = gan["write_sfn"](tmp_path / "quality" / "judge.safetensors", schema=schema)
    settings, faces = gan["settings"]("cleaning=0.3", "cleaning_by=[judge]"), gan["draw_faces"]()
    assert len(clean_rows(Workspace(tmp_path), faces, settings, fabric, fresh=True)) == len(faces)  # too few to spare one
    network, _, _ = load_sfn(judge)
    logits, _ = describe(network, faces.images, np.arange(len(faces)), fabric)
    with np.load(tmp_path / "gan" / "cleaning.npz") as stored:
        expected = torch.from_numpy(logits[:, schema.logit_slices["quality"]])[:, 0].sigmoid().numpy()
        np.testing.assert_allclose(stored["judge"], expected, rtol=1e-5)
    assert expected.std() > 0
