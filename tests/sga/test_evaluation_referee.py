"""The referee learns what people and the data said of the split train, once; what sees the faces can be another network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from classifiers.backbones import build_backbone
from classifiers.data import load_pixels
from classifiers.runtime import LaunchSettings, launch
from configs.errors import ConfigError, InputError, MissingExtra
from labeling.provenance import Source
from labeling.table import LabelTable
from labeling.workspace import Workspace
from sga.evaluation.features import TimmFeatures, in_batches, inception, pretrained, stored_features
from sga.evaluation.kernel import squared_discrepancy
from sga.evaluation.levels import Levels
from sga.evaluation.referee import Referee, train_referee
from sga.evaluation.settings import EvaluationSettings, RefereeSettings

SETTINGS = RefereeSettings.model_validate(
    {"fit": {"images": 128, "batch": 16, "learning_rate": 2e-3, "checkpoint_seconds": 1e-9}}
)
FABRIC: dict[str, Any] = {"accelerator": "cpu", "precision": "32", "threads": 1}


def train(folder: Path, table: LabelTable, pixels: np.ndarray, **more: Any) -> Referee:
    return train_referee(folder, table, pixels, SETTINGS, launch(LaunchSettings(**FABRIC)), **more)


@pytest.fixture(scope="module")
def faces(ensemble_workspace: Path) -> tuple[LabelTable, np.ndarray]:
    space = Workspace(ensemble_workspace)
    table = space.table()
    return table, load_pixels(space, table)


@pytest.fixture(scope="module")
def trained(faces: tuple[LabelTable, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("referee")
    train(folder, *faces)
    return folder


def test_it_is_trained_once_and_read_again(trained: Path, faces: tuple[LabelTable, np.ndarray]) -> None:
    before = {path: path.stat().st_mtime_ns for path in trained.iterdir()}
    steps: list[int] = []
    again = train(trained, *faces, on_step=lambda seen, values: steps.append(seen))
    assert not steps
    assert {path: path.stat().st_mtime_ns for path in trained.iterdir()} == before
    assert not (trained / "checkpoint.pt").exists()
    features, flipped, logits = again.look(faces[1][:5])
    assert (features.shape, logits.shape) == ((5, 256), (5, faces[0].schema.logit_width))
    np.testing.assert_array_equal(again.features(faces[1][:5]), features)
    np.testing.assert_array_equal(again.features(flipped_of(faces[1][:5])), flipped)
    np.testing.assert_allclose(again.logits(flipped_of(faces[1][:5])), logits, rtol=1e-5, atol=1e-6)
    assert again.known == ("gender", "hair_color", "smile")


def flipped_of(images: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(images[:, :, ::-1])


def test_what_it_is_worth_is_measured_on_faces_that_it_never_saw(trained: Path, faces: tuple[LabelTable, np.ndarray]) -> None:
    table, pixels = faces
    referee = train(trained, *faces)
    rows = np.flatnonzero(~table.in_split("train") & table.labelled("gender"))
    truth, told = table.codes("gender")[rows], referee.decide("gender", referee.logits(pixels[rows]))
    for code, value in enumerate(table.schema["gender"].values):
        skill = referee.skills["gender"][value]
        assert (skill.recall.n, skill.precision.n) == ((truth == code).sum(), (told == code).sum())
        assert skill.recall.value == pytest.approx((told[truth == code] == code).mean())
    assert (trained / "accuracy.md").is_file()


def test_it_does_not_read_completed_labels_nor_learns_from_held_out_ones(
    trained: Path, faces: tuple[LabelTable, np.ndarray], tmp_path: Path
) -> None:
    table, pixels = faces
    completed = LabelTable(table.schema, table.frame.copy())
    rows = np.flatnonzero(completed.sources("gender") == Source.COMPLETED)
    assert len(rows)
    completed.fill("gender", rows, 1 - completed.codes("gender")[rows], Source.COMPLETED)
    assert train(trained, completed, pixels, on_step=no_step).fingerprint  # the same referee

    held_out = LabelTable(table.schema, table.frame.copy())
    for name in ("gender", "hair_color"):
        rows = np.flatnonzero(held_out.labelled(name) & ~held_out.in_split("train"))
        held_out.fill(name, rows, table.schema[name].size - 1 - held_out.codes(name)[rows], Source.HUMAN)
    swapped, first = train(tmp_path, held_out, pixels), train(trained, table, pixels)
    assert swapped.fingerprint == first.fingerprint  # the same weights
    for value, other in (("female", "male"), ("male", "female")):  # and other truths
        assert swapped.skills["gender"][value].precision.n == first.skills["gender"][value].precision.n
        assert swapped.skills["gender"][value].recall.n == first.skills["gender"][other].recall.n


def no_step(seen: int, values: dict[str, float]) -> None:
    raise AssertionError("trained again")


def test_other_labels_make_another_referee(faces: tuple[LabelTable, np.ndarray], trained: Path, tmp_path: Path) -> None:
    import shutil

    table, pixels = faces
    folder = Path(shutil.copytree(trained, tmp_path / "referee"))
    changed = LabelTable(table.schema, table.frame.copy())
    changed.fill("gender", np.flatnonzero(changed.in_split("train"))[:3], np.array([1, 1, 1]), Source.HUMAN)
    assert train(folder, changed, pixels).fingerprint != train(trained, *faces).fingerprint


def test_an_interrupted_training_goes_on_to_the_same_weights(
    faces: tuple[LabelTable, np.ndarray], trained: Path, tmp_path: Path
) -> None:
    def stop(seen: int, values: dict[str, float]) -> None:
        if seen >= 64:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, *faces, on_step=stop)
    assert not (tmp_path / "network.safetensors").exists()
    steps: list[int] = []
    assert (
        train(tmp_path, *faces, on_step=lambda seen, values: steps.append(seen)).fingerprint
        == train(trained, *faces).fingerprint
    )
    assert min(steps) > 16  # it did not begin anew


def test_a_damaged_referee_is_made_again(faces: tuple[LabelTable, np.ndarray], trained: Path, tmp_path: Path) -> None:
    import shutil

    folder = Path(shutil.copytree(trained, tmp_path / "referee"))
    weights = folder / "network.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert train(folder, *faces).fingerprint == train(trained, *faces).fingerprint


def test_without_labels_there_is_no_referee(faces: tuple[LabelTable, np.ndarray], tmp_path: Path) -> None:
    table, pixels = faces
    bare = LabelTable(table.schema, table.frame.copy())
    for name in bare.schema.names:
        bare.clear(name, np.arange(len(bare)))
    with pytest.raises(InputError, match="labels in the split train"):
        train(tmp_path, bare, pixels)


def test_features_do_not_depend_on_company_and_hardly_on_the_batch(trained: Path, faces: tuple[LabelTable, np.ndarray]) -> None:
    referee, pixels = train(trained, *faces), faces[1]
    whole = referee.features(pixels[:40])
    np.testing.assert_array_equal(referee.features(pixels[30:40]), whole[30:])
    referee.batch = 7
    np.testing.assert_allclose(referee.features(pixels[:40]), whole, rtol=1e-4, atol=1e-5)


def test_all_levels_count_alike(trained: Path, faces: tuple[LabelTable, np.ndarray]) -> None:
    """Of each stage the first components, centred and varying by 1 on average over the faces that they were fitted to."""
    table, pixels = faces
    referee = train(trained, *faces)
    assert [tuple(one.shape) for one in referee.levels.maps] == [(64, 64), (128, 64), (256, 64), (512, 64)]
    found = referee.features(pixels[np.flatnonzero(table.in_split("train"))])
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-2)
    for start in range(0, 256, 64):
        part = found[:, start : start + 64]
        assert part.var(axis=0, ddof=1).mean() == pytest.approx(1, rel=1e-2)
        covariance = np.cov(part.astype(np.float64), rowvar=False)
        assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 1e-2 * np.diag(covariance).max()
        assert (np.diff(np.diag(covariance)) < 1e-3).all()


def test_features_see_what_a_blur_takes_away(trained: Path, faces: tuple[LabelTable, np.ndarray]) -> None:
    from PIL import Image, ImageFilter

    referee, pixels = train(trained, *faces), faces[1]
    blurred = np.stack([np.asarray(Image.fromarray(one).filter(ImageFilter.GaussianBlur(2))) for one in pixels[80:]])
    one, other, dull = (referee.features(part) for part in (pixels[:80], pixels[80:], blurred))
    clear, blunt = (squared_discrepancy(side, one) for side in (other, dull))
    assert blunt > 2 * abs(clear)
    early, last = slice(0, 64), slice(192, 256)  # the first level sees more of it than the last
    assert squared_discrepancy(dull[:, early], one[:, early]) > squared_discrepancy(dull[:, last], one[:, last])


def test_a_network_without_named_stages_gives_its_pooled_output() -> None:
    backbone = build_backbone("resnet10t", channels=[8, 8, 8, 8])
    del backbone.network.feature_info
    images = torch.zeros(2, 3, 32, 32)
    levels = Levels(backbone, most=5)
    assert [one.shape for one in levels.raw(images)] == [(2, backbone.width)]
    assert (levels.width, levels.reduce(levels.raw(images)).shape) == (5, (2, 5))


def test_every_pass_has_as_many_rows() -> None:
    rows: list[int] = []

    def network(images: torch.Tensor) -> torch.Tensor:
        rows.append(len(images))
        return images.mean(dim=(2, 3))

    images = np.random.default_rng(0).integers(0, 256, (10, 4, 4, 3)).astype(np.uint8)
    found = in_batches(network, images, 4, torch.device("cpu"))
    assert rows == [4, 4, 4]
    np.testing.assert_allclose(found, images.mean(axis=(1, 2)) / 127.5 - 1, rtol=1e-5, atol=1e-6)


def test_features_of_real_faces_are_made_once(faces: tuple[LabelTable, np.ndarray], trained: Path, tmp_path: Path) -> None:
    table, pixels = faces
    referee, rows, done = train(trained, *faces), np.array([3, 1, 9]), []
    found = stored_features(tmp_path, "part", referee, pixels, rows, table.faces[rows], on_batch=done.append)
    np.testing.assert_array_equal(found, referee.features(pixels[rows]))
    again = stored_features(tmp_path, "part", referee, pixels, rows, table.faces[rows], on_batch=done.append)
    np.testing.assert_array_equal(again, found)
    flipped = stored_features(tmp_path, "part", referee, pixels, rows, table.faces[rows], mirror=True)
    np.testing.assert_array_equal(flipped, referee.features(flipped_of(pixels[rows])))
    assert sum(done) == 3
    other = rows[:2]
    assert len(stored_features(tmp_path, "part", referee, pixels, other, table.faces[other])) == 2
    assert len(list(tmp_path.glob("referee-part-*.npy"))) == 2  # of these faces, and mirrored ones of those


def test_a_timm_network_sees_pictures_at_its_own_size(faces: tuple[LabelTable, np.ndarray]) -> None:
    backbone = build_backbone("resnet10t", channels=[8, 8, 8, 8])
    sizes: list[tuple[int, ...]] = []
    backbone.network.register_forward_pre_hook(lambda module, images: sizes.append(tuple(images[0].shape[2:])))
    seen = TimmFeatures("timm:resnet10t", backbone, torch.device("cpu"), batch=4).features(faces[1][:6])
    assert seen.shape == (6, backbone.width)
    assert set(sizes) == {tuple(backbone.network.pretrained_cfg["input_size"][1:])}
    assert sizes[0] != (64, 64)


def test_pretrained_weights_that_cannot_be_had_are_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(InputError, match=r"pretrained weights of resnet18\.a1_in1k.*--features referee"):
        pretrained("timm:resnet18.a1_in1k", torch.device("cpu"), 8)
    with pytest.raises(ConfigError, match="found 'resnett18'"):
        pretrained("timm:resnett18", torch.device("cpu"), 8)


def test_inception_says_what_it_needs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(MissingExtra, match=r"sga-gan\[fidelity\]"):
        inception(None, torch.device("cpu"), 8)


@pytest.mark.parametrize("name", ["referee", "inception", "timm:resnet50"])
def test_features_by_name(name: str) -> None:
    assert EvaluationSettings(features=name).features == name


def test_settings_refuse_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="must be referee, inception or timm:NAME"):
        EvaluationSettings(features="resnet50")
    with pytest.raises(ValueError, match="one process"):
        EvaluationSettings.model_validate({"launch": {"devices": 2}})
