"""A generator of tags as a model folder: its bank, what it draws, and what it does not confuse with the judge's style."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from classifiers.quality import QualitySettings, tune
from classifiers.sfn import load_sfn
from configs.errors import ConfigError, InputError
from labeling.workspace import Workspace
from sga import FaceModel
from sga.cli import main as cli
from sga.export.graphs import GeneratorGraph
from sga.export.model import ExportSettings, build_model_folder, export
from sga.model_folder import ModelFolder, ModelSpec
from sga.tags import tag_columns, tag_vectors
from sga.training import GanSettings, load_generator, train

TAGS = 14  # 13 hair colours and smile, of the small workspace's schema


@pytest.fixture(scope="module")
def trained(sfn_workspace: Path, tiny_settings: dict[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DCGAN generator that took four steps on uniform tags, and a judge tuned a little. One face lacks a tag."""
    root = Path(shutil.copytree(sfn_workspace, tmp_path_factory.mktemp("tags") / "workspace"))
    space, labels = Workspace(root), Workspace(root).table()
    labels.clear("smile", np.flatnonzero(~labels.in_split("test"))[:1])
    labels.save(space.labels_path)
    tags = {"style_source": "tags", "style_size": TAGS, "style_prior": "uniform_tags", "style_jitter": 0.0}
    network = {"name": "dcgan", "arguments": {"widths": [16, 16, 8]}}
    train(space, GanSettings.model_validate({**tiny_settings["gan"], **tags, "generator": network}), progress=False)
    wanted = {**tiny_settings["quality"], "fit": {**tiny_settings["quality"]["fit"], "images": 64}}
    tune(space, QualitySettings.model_validate(wanted), progress=False)
    return root


@pytest.fixture(scope="module")
def exported(trained: Path) -> Path:
    return export(Workspace(trained), ExportSettings(name="tags", critic_samples=64)).path


def bank(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "styles.npz", allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def test_the_bank_holds_the_tags_of_real_faces(exported: Path, trained: Path) -> None:
    table = Workspace(trained).table()
    kept = table.select(~table.in_split("test"))
    tags, _ = tag_vectors(kept)
    stored = bank(exported)
    assert not tags[0, 13]
    assert np.array_equal(stored["style"], tags[1:])  # a face that lacks a tag is no condition
    assert set(np.unique(stored["style"])) == {-1, 1}
    assert np.array_equal(stored["gender"], kept.codes("gender")[1:])
    columns = tag_columns(kept.schema)["hair_color"]
    assert np.array_equal(stored["style"][:, columns].argmax(axis=1), stored["hair_color"])


def test_model_json_says_what_a_style_is(exported: Path) -> None:
    spec = ModelFolder.load(exported).spec
    assert (spec.style_source, spec.style_size, spec.style_prior, spec.style_jitter) == ("tags", TAGS, "empirical", 0)
    assert "by gender and tags, with their judge" in (exported / "card.md").read_text()
    raw = json.loads((exported / "model.json").read_text())
    for change in ({"style_prior": "truncated_normal"}, {"style_jitter": 0.1}, {"style_size": TAGS + 1}):
        with pytest.raises(ValidationError, match="style_source tags needs style_size 14"):
            ModelSpec.model_validate({**raw, **change})
    del raw["style_source"]  # as a folder of an older version
    assert ModelSpec.model_validate({**raw, "style_size": 30}).style_source == "features"


def test_faces_are_drawn_from_tags_and_judged_by_features(exported: Path, trained: Path) -> None:
    model, stored = FaceModel.load(exported), bank(exported)
    for index in range(4):
        latent = model.draw(7, index, 0, "male", {"hair_color": "blue"} if 3 in stored["hair_color"] else None)
        rows = np.flatnonzero((stored["style"] == latent.style).all(axis=1))
        assert set(stored["gender"][rows]) & {1}
        drawn = model.render(latent.noise[None], [latent.gender], latent.style[None])
        graph = GeneratorGraph(load_generator(Workspace(trained).folder("gan")))
        with torch.no_grad():
            inputs = torch.from_numpy(latent.noise[None]), torch.tensor([latent.gender]), torch.from_numpy(latent.style[None])
            expected = graph(*inputs).numpy()
        assert np.abs(drawn.astype(int) - expected.astype(int)).max() <= 2
        assert model.judge(drawn).style.shape == (1, 30)
    other = np.where(latent.style == 1, -1, 1).astype(np.float32)
    assert not np.array_equal(model.render(latent.noise[None], [latent.gender], other[None]), drawn)


def test_where_chooses_faces_that_have_the_tag(exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, stored = FaceModel.load(exported), bank(exported)
    colours = model.spec.attributes["hair_color"].values
    codes = np.bincount(stored["hair_color"][stored["gender"] == 0], minlength=13)
    code = int(codes.argmax())
    for index in range(5):
        style = model.draw(1, index, 0, "female", {"hair_color": colours[code]}).style
        assert style[:13].argmax() == code
        assert (style[:13] == 1).sum() == 1
        assert model.draw(1, index, 0, "female", {"smile": "yes"}).style[13] == 1
    if not codes.all():
        with pytest.raises(InputError, match="found none in this model"):
            model.generate("female", where={"hair_color": colours[int(codes.argmin())]})
    asked = ["--hair-color", colours[code], "--max-attempts", "2", "--out", str(tmp_path)]
    with pytest.raises(SystemExit) as end:
        cli.main(["generate", "--gender", "female", "--count", "2", "--seed", "3", "--model", str(exported), *asked])
    assert not end.value.code
    assert len(list(tmp_path.glob("female-3-*.png"))) == 2
    assert "2 faces" in capsys.readouterr().out


def test_avatars_are_chosen_by_a_critic_that_reads_tags(exported: Path) -> None:
    model = FaceModel.load(exported)
    assert model._critic is not None
    assert model._critic.weights[0].shape[1] == model.spec.noise_size + TAGS + 2
    face = model.avatar("someone")
    assert face.image.tolist() == FaceModel.load(exported).avatar("someone").image.tolist()
    assert set(face.style.tolist()) == {-1.0, 1.0}


def test_control_after_pictures_sets_tags(exported: Path, tmp_path: Path) -> None:
    """A style from a picture is the most probable tags, a blend the mean of two, and a variation leaves tags alone."""
    model = FaceModel.load(exported)
    pictures = np.random.default_rng(0).integers(0, 256, (2, model.size, model.size, 3), dtype=np.uint8)
    seen = model.judge(pictures).probabilities
    one, other = (next(model.like(picture, min_quality=0, max_attempts=1)) for picture in pictures)
    for row, face in enumerate((one, other)):
        assert face.style.shape == (TAGS,)
        assert (face.style[:13] == np.where(np.arange(13) == seen["hair_color"][row].argmax(), 1, -1)).all()
        assert face.style[13] == (1 if seen["smile"][row] >= 0.5 else -1)
    blend = next(model.mix(*pictures, max_attempts=1)).style
    assert blend[:13].argmax() == seen["hair_color"].mean(axis=0).argmax()
    assert (blend == 1).sum() - (blend[13] == 1) == 1
    varied = next(model.variations(one, 1, strength=1.0, max_attempts=1))
    assert (varied.style == one.style).all()
    assert (varied.image != one.image).any()
    assert model.again(varied.save(tmp_path / "face.png")).png() == varied.png()


def test_tags_are_not_drawn_as_if_they_were_features(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"trained on tags.*found truncated_normal.*sga export --set style_prior=empirical"):
        export(Workspace(trained), ExportSettings(style_prior="truncated_normal"), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_generator_of_an_older_version_is_exported(
    gan_workspace: Path, copy_of: Callable[[Path], Path], tmp_path: Path
) -> None:
    """Its generator.json knows no style_source."""
    space = Workspace(copy_of(gan_workspace))
    path = space.folder("gan") / "generator.json"
    described = json.loads(path.read_text())
    del described["settings"]["style_source"]
    path.write_text(json.dumps(described))
    network, _, _ = load_sfn(space.folder("sfn") / "network.safetensors")
    settings, thresholds = ExportSettings(style_prior="truncated_normal"), {"quality": 0.0, "gender": 0.0}
    spec = build_model_folder(space, tmp_path / "old", network, thresholds, settings, {}).spec
    assert (spec.style_source, spec.style_size, spec.style_prior) == ("features", 30, "truncated_normal")
    assert FaceModel.load(tmp_path / "old").generate("male", count=1, max_attempts=1)[0].style.shape == (30,)
