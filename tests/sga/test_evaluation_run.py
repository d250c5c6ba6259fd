"""`sga evaluate` from the command line, what it writes, and what its figures mean where the truth is known."""

from __future__ import annotations

import json
import shutil
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from classifiers.data import load_pixels
from classifiers.sfn import load_sfn
from configs.errors import InputError, WorkspaceError
from configs.loader import load_settings
from labeling.workspace import Workspace
from sga.cli.main import main
from sga.evaluation import EvaluationSettings, Report, evaluate, evaluate_generator, evaluation_folder
from sga.evaluation.crowd import Copies, Crowd, Eyes, Sight
from sga.evaluation.frechet import PrefixMoments
from sga.evaluation.likeness import Plan, compare
from sga.evaluation.neighbours import NearestFaces
from sga.evaluation.reality import OVERALL, Group, Reality, group_rows
from sga.evaluation.sampler import GeneratorFaces
from sga.export.model import ExportSettings, build_model_folder
from sga.pipeline import status
from sga.training.snapshot import save_generator

LAUNCH = ("launch.accelerator=cpu", "launch.threads=1")
TINY = (*LAUNCH, "referee.fit.images=128", "referee.fit.batch=16", "count=12", "sheet=5", "table_faces=2")


def settings(*overrides: str) -> EvaluationSettings:
    return load_settings(EvaluationSettings, "evaluation", "smoke", [*TINY, *overrides])


@pytest.fixture(scope="module")
def space(vivid_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A trained workspace, and a model folder beside it whose judge is the style feature network."""
    root = Path(shutil.copytree(vivid_workspace, tmp_path_factory.mktemp("evaluated") / "workspace"))
    network, _, _ = load_sfn(root / "sfn" / "network.safetensors")
    wanted = ExportSettings(name="tiny", max_attempts=2)
    build_model_folder(Workspace(root), root.parent / "model", network, {"quality": 0.0, "gender": 0.0}, wanted, {})
    return Workspace(root)


@pytest.fixture(scope="module")
def report(space: Workspace) -> Report:
    return evaluate(space, settings(), space.root.parent / "model", progress=False)


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return int(end.value.code or 0)


def test_the_command_prints_tables_and_writes_a_report(
    space: Workspace, report: Report, capsys: pytest.CaptureFixture[str]
) -> None:
    states = status(space)
    options = [word for one in TINY for word in ("--set", one)]
    model = str(space.root.parent / "model")
    assert command("evaluate", "--workspace", str(space.root), "--model", model, "--preset", "smoke", *options) == 0
    text = capsys.readouterr().out
    for title in ("Likeness to real faces", "Gender", "Attributes", "Diversity", "Nearest training faces", "Spectrum"):
        assert title in text
    folder = evaluation_folder(space)
    assert f"Report and pictures: {folder}" in text
    written = json.loads((folder / "report.json").read_text())
    again = report.as_json()
    for made in (written, again):  # the same seed, the same report; times differ
        assert set(made["facts"].pop("seconds")) >= {"referee", "real faces", "unselected", "accepted"}
    assert written == again
    assert written["unselected"]["groups"]["female"]["n"] == 12
    assert list(written["unselected"]["spectrum"]) == ["female", "male"]
    assert 0 < written["spectrum_floor"]["power"] < written["unselected"]["spectrum"]["female"]["power"]
    assert (
        written["floor"]["female"]["n"]
        == written["floor"]["female"]["n_real"]
        <= written["facts"]["real"]["faces"]["female"] / 2
    )
    assert str(space.root) not in (folder / "report.json").read_text()
    assert "FID is biased upwards" in (folder / "report.md").read_text()
    assert status(space) == states  # an evaluation makes no stage stale


def test_every_picture_is_there(space: Workspace, report: Report) -> None:
    folder = evaluation_folder(space)
    names = {path.stem for path in folder.glob("*.png")}
    assert {"unselected-female", "unselected-male", "nearest-unselected-female", "attributes-unselected"} <= names
    assert any(name.startswith("accepted-") for name in names)
    with Image.open(folder / "unselected-female.png") as sheet:
        assert sheet.size == (5 * 68 + 4, 68 + 4)  # five faces of 64 px
        first = np.asarray(sheet)[4:68, 4:68]
    faces = GeneratorFaces(space, space.folder("gan"), 0, torch.device("cpu"))
    np.testing.assert_array_equal(first, next(faces.stream(0, 1))[0])
    with Image.open(folder / "attributes-unselected.png") as sheet:
        assert sheet.size[1] == len([row for row in report.values if row.unselected]) * 68 + 4


def test_another_seed_draws_other_faces(space: Workspace, report: Report) -> None:
    quick = ("nearest=0", "table_faces=0", "diversity_conditions=0")
    found = evaluate_generator(space, space.folder("gan"), settings("seed=1", *quick), progress=False)
    one, other = found.unselected.groups["female"], report.unselected.groups["female"]
    assert one is not None
    assert other is not None
    assert one.fid != pytest.approx(other.fid, rel=1e-4)
    assert found.accepted is None
    assert (found.values, found.diversity, found.unselected.copying) == ([], {}, {})


def test_a_generator_anywhere_is_measured_as_the_workspaces_own(space: Workspace, report: Report, tmp_path: Path) -> None:
    for name in ("generator.json", "generator.safetensors"):
        shutil.copy(space.folder("gan") / name, tmp_path / name)
    before = {path: path.stat().st_mtime_ns for path in evaluation_folder(space).rglob("*") if path.is_file()}
    found = evaluate_generator(space, tmp_path, settings(), progress=False)
    assert found.unselected == report.unselected
    assert {path: path.stat().st_mtime_ns for path in evaluation_folder(space).rglob("*") if path.is_file()} == before


def test_the_batch_changes_no_figure(space: Workspace, report: Report) -> None:
    found = evaluate_generator(space, space.folder("gan"), settings("batch=5"), progress=False)
    for group, one in report.unselected.groups.items():
        other = found.unselected.groups[group]
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert other.fid == pytest.approx(one.fid, rel=1e-3)
            assert other.kid.value == pytest.approx(one.kid.value, rel=1e-2, abs=1e-5)
            assert (other.n, other.precision, other.recall) == (one.n, one.precision, one.recall)


def test_a_generator_that_ignores_its_condition_has_gender_accuracy_of_chance(space: Workspace, tmp_path: Path) -> None:
    faces = GeneratorFaces(space, space.folder("gan"), 0, torch.device("cpu"))
    network = faces._network
    with torch.no_grad():
        network.fc.weight[:, faces.settings.noise_size :] = 0  # type: ignore[index,union-attr,operator]
    save_generator(tmp_path, network, faces.settings, faces.schema, 0)
    found = evaluate_generator(space, tmp_path, settings("nearest=0", "table_faces=0"), progress=False)
    assert found.unselected.gender[OVERALL].value == 0.5
    assert found.unselected.gender["female"].value + found.unselected.gender["male"].value == 1


class Real:
    """A source that hands out real faces, and counts the batches of them that somebody still holds."""

    def __init__(self, pixels: np.ndarray, rows: np.ndarray, batch: int = 8) -> None:
        self.pixels, self.rows, self.batch = pixels, rows, batch
        self.alive = self.most = 0

    def stream(self, gender: int, count: int) -> Iterator[np.ndarray]:
        for start in range(0, count, self.batch):
            images = self.pixels[self.rows[np.arange(start, min(count, start + self.batch)) % len(self.rows)]]
            self.alive += 1
            self.most = max(self.most, self.alive)
            weakref.finalize(images, self.gone)
            yield images
            del images

    def gone(self) -> None:
        self.alive -= 1


class Means:
    """An extractor of 48 colours, and a referee without a network."""

    name = fingerprint = "means"
    known: tuple[str, ...] = ()

    def features(self, images: np.ndarray) -> np.ndarray:
        cells = images.reshape(len(images), 4, images.shape[1] // 4, 4, images.shape[2] // 4, 3)
        return cells.mean(axis=(2, 4)).reshape(len(images), -1).astype(np.float32)

    def look(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.features(images), self.features(images[:, :, ::-1]), np.zeros((len(images), 1), dtype=np.float32)


@pytest.fixture
def eyes() -> Eyes:
    means: Any = Means()
    return Eyes(means, means)


def test_copies_of_training_faces_are_found(space: Workspace, eyes: Eyes, tmp_path: Path) -> None:
    """Also mirrored ones; faces that no training saw are no copies."""
    table = space.table()
    pixels = load_pixels(space, table)
    reality = Reality(tmp_path, table, pixels, eyes.extractor, group_rows(table, "test", 0))
    bank, held_out = reality.training_bank()
    distances = np.concatenate([*held_out.values()])
    copied = np.array(pixels[reality.training[[3, 14, 15]]])
    images = np.concatenate([copied, copied[:, :, ::-1], pixels[reality.held_out[:6]]])
    copies = Copies(bank, distances, most=100)
    crowd = Crowd(0, PrefixMoments(48, [12]), 100, 4, copies)
    crowd.watch([images[:5], images[5:]], eyes, None, lambda count: None)
    assert copies.distances[:6] == [0] * 6
    assert [pair.row for pair in sorted(copies.pairs[:6], key=lambda pair: pair.row)] == [3, 3, 14, 14, 15, 15]
    assert copies.share.value >= 0.5
    honest = Copies(bank, distances, most=100)
    crowd = Crowd(0, PrefixMoments(48, [16]), 100, 4, honest)
    crowd.watch([pixels[reality.held_out]], eyes, None, lambda count: None)
    assert honest.share.value <= 1 / 16
    assert honest.ratio == pytest.approx(1)


def test_no_more_than_a_few_batches_of_pixels_are_held(space: Workspace, eyes: Eyes) -> None:
    """However many faces: what is kept of them are moments, a fixed number of features, and the pictures of a sheet."""
    pixels = load_pixels(space, space.table())
    rows = np.arange(len(pixels))
    features = eyes.extractor.features(pixels)
    held: list[tuple[int, int, int, int]] = []
    for count in (80, 800):
        source = Real(pixels, rows)
        copies = Copies(NearestFaces(features), np.ones(5), most=30)
        crowd = Crowd(0, PrefixMoments(48, [count]), keep=40, sheet_size=4, copies=copies)
        crowd.watch(source.stream(0, count), eyes, None, lambda done: None)
        assert (crowd.n, source.alive) == (count, 0)
        assert source.most <= 2
        held.append((len(crowd.features), len(crowd.sheet), len(copies.pairs), len(copies.distances)))
    assert held == [(40, 4, 24, 30)] * 2


def test_real_faces_stand_at_their_place(space: Workspace, eyes: Eyes, tmp_path: Path) -> None:
    table = space.table()
    pixels = load_pixels(space, table)
    whole = Reality(tmp_path, table, pixels, eyes.extractor, group_rows(table, "all", 0))
    means = eyes.extractor.features(pixels)
    codes = table.codes("gender")
    for code, value in enumerate(table.schema["gender"].values):
        expected, found = means[codes == code], whole.groups[value].features
        np.testing.assert_array_equal(np.sort(found, axis=0), np.sort(expected, axis=0))
    one, other = whole.groups[OVERALL].halves(10**6)
    assert len(one) == len(other) == len(table) // 2
    assert not {row.tobytes() for row in one} & {row.tobytes() for row in other}
    test = Reality(tmp_path, table, pixels, eyes.extractor, group_rows(table, "test", 0))
    assert test.groups[OVERALL].n == table.in_split("test").sum()
    assert len(list(tmp_path.glob("means-t*.npy"))) == 2


def test_overall_has_the_genders_of_the_real_faces() -> None:
    real = {OVERALL: 110, "female": 75, "male": 25}  # of ten nobody knows
    plan = Plan.of(real, settings("count=300"))
    assert plan.faces == {OVERALL: {"female": 300, "male": 100}, "female": {"female": 300}, "male": {"male": 300}}
    assert plan.floor == {OVERALL: {"female": 41, "male": 14}, "female": {"female": 37}, "male": {"male": 12}}
    assert sorted(plan.cuts("male")) == [12, 14, 100, 300]
    assert plan.n(OVERALL) == 400
    nobody = Plan.of({OVERALL: 9, "female": 0, "male": 0}, settings("count=300"))
    assert nobody.n(OVERALL) == 0


def test_a_part_of_the_faces_overall_has_all_genders() -> None:
    """Where the generated faces are more than the real ones, as many of them as those are compared."""
    rng, wanted = np.random.default_rng(0), settings("count=100")
    plan = Plan.of({OVERALL: 40, "female": 20, "male": 20}, wanted)
    crowds = {}
    for code, value in enumerate(("female", "male")):
        crowd = crowds[value] = Crowd(code, PrefixMoments(3, plan.cuts(value)), 100, 0)
        crowd.n = 100
        crowd._kept.append(rng.normal(50.0 * code, size=(100, 3)).astype(np.float32))
        crowd.moments.update(crowd.features)
    real = np.concatenate([rng.normal(50.0 * code, size=(20, 3)) for code in range(2)]).astype(np.float32)
    found = compare(OVERALL, crowds, Group(real), plan, wanted)
    assert found is not None
    assert (found.n, found.n_real, found.neighbours_n) == (200, 40, 40)
    assert found.recall > 0.8
    assert found.coverage > 0.8
    crowds["male"].n = 10  # too few were accepted: women alone are not all faces
    assert compare(OVERALL, crowds, Group(real), plan, wanted) is None


def test_what_cannot_be_measured_is_one_sentence(
    space: Workspace, sfn_workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match=r"KID subset of at most \d+ faces.*found 1000.*kid_subset="):
        evaluate(space, settings("kid_subset=1000"), progress=False)
    with pytest.raises(WorkspaceError, match="sga train"):
        evaluate(Workspace(sfn_workspace), settings(), progress=False)
    assert command("evaluate", "--workspace", str(space.root), "--features", "resnet50") == 2
    assert "must be referee, inception or timm:NAME" in capsys.readouterr().err
    table = space.table()
    table.frame.loc[table.in_split("test"), "split"] = "train"
    with pytest.raises(WorkspaceError, match="faces in the split test"):
        group_rows(table, "test", 0)


def test_the_sight_of_the_referee_alone_is_one_pass(eyes: Eyes) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype(np.uint8)
    both, other = eyes.see(images), Eyes(eyes.referee, Means())
    assert isinstance(both, Sight)
    assert other.see(images).mirrored is None  # another extractor looks twice only where it must
    np.testing.assert_array_equal(other.see(images, mirror=True).mirrored, both.mirrored)
    np.testing.assert_array_equal(both.mirrored, eyes.extractor.features(np.ascontiguousarray(images[:, :, ::-1])))
