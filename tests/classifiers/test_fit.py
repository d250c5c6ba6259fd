"""The training that ensemble, style feature network and judge share."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from classifiers.calibration import sampled_prior
from classifiers.data import load_pixels
from classifiers.heads import Classifier
from classifiers.runtime import LaunchSettings, launch, seed_step
from classifiers.train import FitData, FitSettings, attribute_weights, balancing, fit, predict_logits
from configs.errors import DivergedError, InputError, WorkspaceError
from labeling.provenance import Source
from labeling.table import LabelTable
from labeling.workspace import Workspace

SETTINGS = FitSettings(images=96, batch=16, learning_rate=3e-3, checkpoint_seconds=1e-9)


@pytest.fixture(scope="module")
def table(faces_workspace: Path) -> LabelTable:
    return Workspace(faces_workspace).table()


@pytest.fixture(scope="module")
def data(faces_workspace: Path, table: LabelTable) -> FitData:
    names = ("gender", "hair_color", "smile")
    codes = {name: table.codes(name) for name in names}
    weights = {name: attribute_weights(table, name, 0.2) for name in names}
    rows = np.flatnonzero(table.in_split("train"))
    pixels = load_pixels(Workspace(faces_workspace), table)
    return FitData.drawing(pixels, rows, codes, weights, balancing(codes, weights, rows, 0.5))


def network(table: LabelTable, **arguments: Any) -> Classifier:
    seed_step(7, -1)
    return Classifier.build(table.schema, "resnet10t", dropout=0.2, channels=[16, 32, 64, 64], **arguments)


def train(table: LabelTable, data: FitData, settings: FitSettings = SETTINGS, **arguments: Any) -> dict[str, torch.Tensor]:
    fabric = launch(LaunchSettings(accelerator="cpu", precision="32", threads=1))
    fitted = fit(network(table), table.schema, data, settings, fabric, seed=3, **arguments)
    assert not fitted.training
    return fitted.state_dict()


def test_an_interrupted_run_ends_in_the_same_weights(table: LabelTable, data: FitData, tmp_path: Path) -> None:
    checkpoint = tmp_path / "run.pt"
    straight: list[tuple[int, dict[str, float]]] = []
    whole = train(table, data, on_step=lambda seen, values: straight.append((seen, values)))

    def interrupt(seen: int, values: dict[str, float]) -> None:
        if seen == 64:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(table, data, checkpoint=checkpoint, on_step=interrupt)
    again: list[tuple[int, dict[str, float]]] = []
    resumed = train(table, data, checkpoint=checkpoint, on_step=lambda seen, values: again.append((seen, values)))
    assert again == straight[3:]  # it went on at 48 images, where the last checkpoint was
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
    assert set(straight[0][1]) == {"loss", "loss/gender", "loss/hair_color", "loss/smile"}


def test_a_checkpoint_of_another_run_is_refused(table: LabelTable, data: FitData, tmp_path: Path) -> None:
    checkpoint = tmp_path / "run.pt"
    train(table, data, checkpoint=checkpoint)
    with pytest.raises(WorkspaceError, match="Remove it"):
        train(table, data, SETTINGS.model_copy(update={"learning_rate": 1e-3}), checkpoint=checkpoint)


def test_it_learns_the_gender_of_sample_faces(table: LabelTable, data: FitData) -> None:
    losses: list[float] = []

    def on_step(seen: int, values: dict[str, float]) -> None:
        losses.append(values["loss/gender"])

    train(table, data, SETTINGS.model_copy(update={"images": 1280}), on_step=on_step)
    assert np.mean(losses[-16:]) < 0.85 * np.mean(losses[:16]), losses


def test_a_diverging_run_stops(table: LabelTable, data: FitData) -> None:
    with pytest.raises(DivergedError, match=r"fit\.learning_rate=3e\+29"):
        train(table, data, SETTINGS.model_copy(update={"learning_rate": 1e30}))


def test_weights_that_no_loss_has_seen_are_checked_too(table: LabelTable, data: FitData) -> None:
    net = network(table)
    with torch.no_grad():
        net.heads.bias[table.schema.logit_slices["quality"]] = torch.inf  # no label asks for it
    fabric = launch(LaunchSettings(accelerator="cpu", precision="32", threads=1))
    with pytest.raises(DivergedError, match="weights"):
        fit(net, table.schema, data, SETTINGS.model_copy(update={"images": 16}), fabric, seed=0)


def test_no_rows_are_an_error(table: LabelTable, data: FitData) -> None:
    with pytest.raises(InputError, match="Label more faces"):
        train(table, replace(data, rows=np.zeros(0, np.int64), sampling=np.zeros(0)))


def test_weights_follow_the_source(table: LabelTable) -> None:
    table = table.select(np.arange(len(table)))
    blank = np.flatnonzero(~table.labelled("smile"))
    table.fill("smile", blank[:5], np.ones(5, np.int64), Source.COMPLETED, 0.9)
    known = np.flatnonzero(table.labelled("smile"))
    table.fill("smile", known[:1], np.zeros(1, np.int64), Source.HUMAN)
    weights = attribute_weights(table, "smile", 0.2)
    assert weights.dtype == np.float32
    assert weights[blank[:5]].tolist() == pytest.approx([0.2] * 5)
    assert (weights[blank[5:]] == 0).all()
    assert (weights[known] == 1).all()


def test_sampling_favours_rare_classes_as_far_as_asked() -> None:
    codes = {"gender": np.array([0] * 8 + [1] * 2 + [-1] * 5)}
    weights = {"gender": np.ones(15)}
    rows = np.arange(15)
    for rarity, male in ((0.0, 0.2), (1.0, 0.5), (0.5, 0.2**0.5 / (0.2**0.5 + 0.8**0.5))):
        sampling = balancing(codes, weights, rows, rarity)
        assert sampled_prior(codes["gender"], sampling, 2)[1] == pytest.approx(male, abs=1e-6)
        assert sampling[10:].sum() < 1e-9  # a face that knows nothing teaches nothing


def test_every_attribute_brings_the_same_total() -> None:
    codes = {"gender": np.array([0, 1, -1, -1, -1, -1]), "smile": np.array([-1, -1, 0, 1, 0, 1])}
    sampling = balancing(codes, {name: np.ones(6) for name in codes}, np.arange(6), 0.5)
    assert sampling[:2].sum() == pytest.approx(sampling[2:].sum())


def test_a_completed_cell_counts_a_fifth_wherever_it_stands() -> None:
    """Faces 0 and 1 are all original, 2 and 3 all completed, 4 and 5 original in gender, completed in smile."""
    codes = {"gender": np.array([0, 1, 0, 1, 0, 1]), "smile": np.array([0, 1, 0, 1, 0, 1])}
    weights = {"gender": np.array([1, 1, 0.2, 0.2, 1, 1]), "smile": np.array([1, 1, 0.2, 0.2, 0.2, 0.2])}
    data = FitData.drawing(np.zeros((6, 8, 8, 3), np.uint8), np.arange(6), codes, weights, np.ones(6))
    for name, expected in weights.items():
        counts = data.sampling * data.weights[name]  # how often it is drawn × how much it weighs then
        np.testing.assert_allclose(counts / counts[0], expected)
    np.testing.assert_allclose(data.sampling / data.sampling[0], [1, 1, 0.2, 0.2, 1, 1])  # few images for little weight


def test_training_that_begins_with_small_pictures_sees_them_small(table: LabelTable, data: FitData) -> None:
    sizes: list[int] = []
    net = network(table)
    net.backbone.register_forward_pre_hook(lambda module, arguments: sizes.append(arguments[0].shape[-1]))
    side = data.pixels.shape[1]
    settings = SETTINGS.model_copy(update={"images": 8 * SETTINGS.batch, "small_share": 0.5, "small_size": 32})
    fit(net, table.schema, data, settings, launch(LaunchSettings(accelerator="cpu", precision="32", threads=1)), seed=0)
    assert sizes == [32] * 4 + [side] * 4


@pytest.mark.parametrize("mirror", [False, True])
def test_prediction_of_a_face_and_of_its_mirror_image(mirror: bool, table: LabelTable, data: FitData) -> None:
    fabric = launch(LaunchSettings(accelerator="cpu", precision="32", threads=1))
    net = network(table).eval()
    rows = np.arange(5)
    counts: list[int] = []
    logits = predict_logits(net, data.pixels, rows, fabric, batch=2, mirror=mirror, on_batch=counts.append)
    images = torch.from_numpy(np.array(data.pixels[rows])).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        expected = (net(images) + net(images.flip(3))) / 2 if mirror else net(images)
    np.testing.assert_allclose(logits, expected.numpy(), atol=1e-5)
    assert counts == [2, 2, 1]
