"""Generated faces as an evaluation draws them: functions of (seed, position), asked for what the report says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from classifiers.sfn import load_sfn
from configs.errors import InputError, WorkspaceError
from labeling.workspace import Workspace
from sga.evaluation.sampler import AcceptedFaces, GeneratorFaces
from sga.export.model import ExportSettings, build_model_folder
from sga.generation.face_model import FaceModel
from sga.models import make_network
from sga.tags import tag_columns, tag_count
from sga.training import GanSettings, snapshot
from sga.training.data import training_rows
from sga.training.snapshot import save_generator

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model(vivid_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> FaceModel:
    """The workspace's generator with its style feature network as the judge, which accepts every face of the right gender."""
    network, _, _ = load_sfn(vivid_workspace / "sfn" / "network.safetensors")
    folder = tmp_path_factory.mktemp("evaluated") / "model"
    build_model_folder(
        Workspace(vivid_workspace), folder, network, {"quality": 0.0, "gender": 0.0}, ExportSettings(max_attempts=3), {}
    )
    return FaceModel.load(folder, threads=1)


def source(workspace: Path, folder: Path | None = None, seed: int = 5, batch: int = 8) -> GeneratorFaces:
    return GeneratorFaces(Workspace(workspace), folder or workspace / "gan", seed, CPU, batch)


class Recorder(nn.Module):
    """Keeps what a generator is asked for."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.asked: list[tuple[torch.Tensor, ...]] = []

    def forward(self, *asked: torch.Tensor) -> torch.Tensor:
        self.asked.append(asked)
        drawn: torch.Tensor = self.network(*asked)
        return drawn


def recorded(faces: GeneratorFaces) -> Recorder:
    faces._network = recorder = Recorder(faces._network)
    return recorder


def test_a_face_depends_on_seed_and_position_alone(vivid_workspace: Path) -> None:
    few = np.concatenate([*source(vivid_workspace).stream(1, 11)])
    assert (few.shape, few.dtype) == ((11, 64, 64, 3), np.uint8)
    np.testing.assert_array_equal(np.concatenate([*source(vivid_workspace).stream(1, 29)])[:11], few)
    other = np.concatenate([*source(vivid_workspace, batch=3).stream(1, 11)])
    assert np.abs(other.astype(int) - few).max() <= 1  # another batch may round another way
    assert not np.array_equal(np.concatenate([*source(vivid_workspace, seed=6).stream(1, 11)]), few)


def test_batches_are_drawn_when_they_are_asked_for(vivid_workspace: Path) -> None:
    faces = source(vivid_workspace)
    recorder, stream = recorded(faces), faces.stream(0, 10**9)
    assert len(next(stream)) == 8
    assert len(recorder.asked) == 1


def test_unselected_faces_are_the_first_attempts_of_the_model_folder(vivid_workspace: Path, model: FaceModel) -> None:
    """The same latents, whichever program draws: what is measured is what ships."""
    for gender, name in enumerate(model.spec.gender.values):
        latents = [model.draw(5, index, 0, name) for index in range(8)]
        drawn = model.render(
            np.stack([one.noise for one in latents]), [one.gender for one in latents], np.stack([one.style for one in latents])
        )
        ours = next(source(vivid_workspace).stream(gender, 8))
        assert np.abs(drawn.astype(int) - ours).max() <= 3  # the folder keeps weights and styles in half precision


def test_a_condition_is_fixed_and_its_noise_varies(vivid_workspace: Path) -> None:
    faces = source(vivid_workspace)
    recorder = recorded(faces)
    drawn = faces.varied(1, 4, 6)
    noise, gender, style = (part[:6] for part in recorder.asked[0])
    assert drawn.shape == (6, 64, 64, 3)
    assert set(gender.tolist()) == {1}
    assert len(style.unique(dim=0)) == 1
    assert len(noise.unique(dim=0)) == 6
    assert not torch.equal(style[0], source_style(faces, 1, 5))


def source_style(faces: GeneratorFaces, gender: int, condition: int) -> torch.Tensor:
    recorder = recorded(faces)
    faces.varied(gender, condition, 1)
    return recorder.asked[0][2][0]


def test_a_value_is_asked_for_by_the_style_of_a_face_that_is_labelled_so(vivid_workspace: Path) -> None:
    """Of training faces alone, whose label a person or the data said; everything else is as that face has it."""
    faces, table = source(vivid_workspace), Workspace(vivid_workspace).table()
    attribute = table.schema["hair_color"]
    usable = training_rows(table) & table.labelled("hair_color")
    code = int(np.bincount(table.codes("hair_color")[usable]).argmax())
    rows = np.flatnonzero(usable & (table.codes("hair_color") == code))
    with np.load(vivid_workspace / "sfn" / "styles.npz") as stored:
        style_of = dict(zip(stored["face"].tolist(), stored["style"], strict=True))
    wanted = np.stack([style_of[face] for face in table.faces[rows]])
    recorder = recorded(faces)
    found = faces.with_value(attribute, code, 12)
    assert found is not None
    images, genders = found
    assert (len(images), len(genders)) == (12, 12)
    asked = torch.cat([part[2][: min(8, 12 - 8 * i)] for i, part in enumerate(recorder.asked)]).numpy()
    apart = np.abs(asked[:, None] - wanted).max(axis=2)
    assert apart.min(axis=1).max() <= faces.settings.style_jitter + 1e-6
    nearest = rows[apart.argmin(axis=1)]
    np.testing.assert_array_equal(table.codes("gender")[nearest], genders)


def test_a_value_that_no_training_face_has_is_told(vivid_workspace: Path) -> None:
    faces = source(vivid_workspace)
    faces.bank.codes["hair_color"][:] = -1
    assert faces.with_value(faces.schema["hair_color"], 0, 4) is None


def test_tags_are_set_to_what_is_asked_for(
    vivid_workspace: Path, tiny_settings: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    schema = Workspace(vivid_workspace).table().schema
    wanted = {
        **tiny_settings["gan"],
        "style_source": "tags",
        "style_size": tag_count(schema),
        "style_prior": "uniform_tags",
        "style_jitter": 0,
    }
    settings = GanSettings.model_validate(wanted)
    torch.manual_seed(0)
    network = make_network("generator", settings.generator.name, **settings.network_arguments("generator"))
    save_generator(tmp_path, network, settings, schema, 0)
    faces = source(vivid_workspace, tmp_path)
    columns = tag_columns(schema)
    assert (np.abs(faces.bank.style) == 1).all()
    recorder = recorded(faces)
    for attribute, code in ((schema["hair_color"], 3), (schema["smile"], 1)):
        recorder.asked.clear()
        assert faces.with_value(attribute, code, 8) is not None
        style = recorder.asked[0][2][:8]
        one = style[:, columns[attribute.name]]
        assert (one.argmax(dim=1) == (code if attribute.logits > 1 else 0)).all()
        assert (one.sum(dim=1) == (2 - attribute.logits if attribute.logits > 1 else 1)).all()
        rest = torch.ones(style.shape[1], dtype=torch.bool)
        rest[columns[attribute.name]] = False
        assert len(style[:, rest].unique(dim=0)) > 1  # of real faces, not of one


def test_a_checkpoint_written_meanwhile_is_no_part_of_what_is_evaluated(
    vivid_workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(vivid_workspace / "gan", tmp_path / "gan"))
    before = source(vivid_workspace, folder)

    def meanwhile(*arguments: Any, **named: Any) -> nn.Module:
        network = make_network(*arguments, **named)
        save_generator(folder, network, before.settings, before.schema, before.images + 8)
        return network

    monkeypatch.setattr(snapshot, "make_network", meanwhile)
    found = source(vivid_workspace, folder)
    monkeypatch.undo()
    assert (found.hash, found.images) == (before.hash, before.images)
    assert all(torch.equal(value, found._network.state_dict()[name]) for name, value in before._network.state_dict().items())
    assert source(vivid_workspace, folder).images == before.images + 8


def test_a_generator_of_another_schema_is_refused(vivid_workspace: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(vivid_workspace / "gan", tmp_path / "gan"))
    described = json.loads((folder / "generator.json").read_text())
    described["schema"]["name"] = "another"
    (folder / "generator.json").write_text(json.dumps(described))
    with pytest.raises(WorkspaceError, match=r"schema tiny in .*found one of another schema, another\. Train it"):
        source(vivid_workspace, folder)
    with pytest.raises(InputError, match=r"generator\.json"):
        source(vivid_workspace, tmp_path / "nothing")


def test_the_faces_that_training_chose_are_those_whose_styles_are_drawn(
    vivid_workspace: Path, copy_of: Callable[[Path], Path]
) -> None:
    root = copy_of(vivid_workspace)
    folder = root / "gan"
    described = json.loads((folder / "generator.json").read_text())
    described["settings"] |= {"selection": 0.5, "warm_start": {}}
    (folder / "generator.json").write_text(json.dumps(described))
    whole = source(vivid_workspace).bank
    from sga.training import load_training_faces

    faces = load_training_faces(Workspace(root), GanSettings.model_validate(described["settings"]))
    rows = np.arange(0, len(faces), 2)
    np.savez(folder / "selection.npz", rows=rows, faces=faces.fingerprint())
    np.testing.assert_array_equal(source(root).bank.style, whole.style[rows])
    np.savez(folder / "selection.npz", rows=rows, faces="others")
    with pytest.raises(WorkspaceError, match="found other faces, labels or splits now"):
        source(root)


def test_accepted_faces_are_those_of_the_regenerate_loop(model: FaceModel) -> None:
    faces = AcceptedFaces(model, model.spec.attributes, seed=3, max_attempts=2, batch=4)
    for gender, name in enumerate(model.spec.gender.values):
        drawn = [*faces.stream(gender, 6)]
        wanted = model.generate(name, 6, 3, max_attempts=2, on_exhausted="gap")
        report = faces.attempts[name]
        assert report.faces == 6
        assert (report.accepted, len(report.exhausted)) == (len(wanted), 6 - len(wanted))
        assert report.attempts == sum(face.attempts for face in wanted) + 2 * len(report.exhausted)
        assert sum(map(len, drawn)) == len(wanted)
        found = {image.tobytes() for batch in drawn for image in batch}
        assert found == {face.image.tobytes() for face in wanted}


def test_the_judge_must_see_the_value_too(model: FaceModel) -> None:
    faces = AcceptedFaces(model, model.spec.attributes, seed=3, max_attempts=2, batch=4)
    for code in range(model.spec.attributes["hair_color"].size):
        images = faces.with_value(model.spec.attributes["hair_color"], code, [0, 0, 1])
        assert len(images) <= 3
        if len(images):
            seen = model.judge(images).probabilities["hair_color"].argmax(axis=1)
            assert set(seen.tolist()) == {code}


def test_a_model_of_another_schema_is_refused(model: FaceModel, model_path: Path) -> None:
    with pytest.raises(WorkspaceError, match=r"model folder of schema .*--model"):
        AcceptedFaces(model, FaceModel.load(model_path, threads=1).spec.attributes, seed=0)
