"""A model folder is whole and is the one that was exported, or it is refused in a sentence."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from configs.errors import ModelError
from sga import FaceModel
from sga.model_folder import DEFAULT_MODEL, ModelFolder, seal_model_folder

MakeModel = Callable[..., Path]


@pytest.fixture
def copy(model_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_path, tmp_path / "model"))


def edit(folder: Path, **changes: Any) -> None:
    """Change model.json; None removes a key."""
    raw = json.loads((folder / "model.json").read_text())
    raw = {key: value for key, value in {**raw, **changes}.items() if value is not None}
    (folder / "model.json").write_text(json.dumps(raw))


def test_a_folder_tells_its_spec(model_path: Path) -> None:
    folder = ModelFolder.load(model_path)
    assert folder.spec.attributes.names == ("gender", "hair_color", "glasses", "quality")
    assert folder.spec.columns() == {"gender": slice(0, 2), "hair_color": slice(2, 5), "glasses": slice(5, 6)}
    assert set(folder.read_all()) == {"generator.onnx", "judge.onnx", "styles.npz", "critic.npz"}


def test_the_hash_names_the_contents(model_path: Path, make_model: MakeModel, copy: Path) -> None:
    known = ModelFolder.load(model_path).hash
    raw = json.loads((copy / "model.json").read_text())
    (copy / "model.json").write_text(json.dumps(dict(reversed(raw.items())), indent=7))
    assert ModelFolder.load(copy).hash == known  # layout does not count
    assert ModelFolder.load(make_model(critic=True, name="other")).hash != known
    assert ModelFolder.load(make_model(critic=True, contrast=3.0)).hash != known
    assert len(known) == 16
    int(known, 16)


@pytest.mark.parametrize("name", ["generator.onnx", "judge.onnx", "styles.npz", "critic.npz"])
def test_a_missing_or_changed_file_is_refused(copy: Path, name: str) -> None:
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ModelError, match=rf"{name} to have the SHA-256 .* Copy the whole folder again"):
        FaceModel.load(copy)
    (copy / name).unlink()
    with pytest.raises(ModelError, match=f"Expected {name} in the model folder"):
        FaceModel.load(copy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "Expected format 1 .* found 2"),
        ({"algorithm": 9}, "Expected algorithm 1 .* found 9"),
        ({"format": None}, "Expected format 1 .* found None"),
        ({"noise_size": None}, "noise_size: Field required"),
        ({"micro_batch": 0}, "micro_batch"),
        ({"style_prior": "uniform"}, "style_prior"),
        ({"schema": {"name": "x", "attributes": []}}, "schema"),
        ({"files": {"generator.onnx": "00"}}, "pin plain file names"),
    ],
)
def test_another_model_json_is_refused(copy: Path, changes: dict[str, Any], message: str) -> None:
    edit(copy, **changes)
    with pytest.raises(ModelError, match=message):
        FaceModel.load(copy)


def test_a_path_outside_the_folder_is_refused(copy: Path) -> None:
    files = json.loads((copy / "model.json").read_text())["files"]
    edit(copy, files={**files, "../secret": "00"})
    with pytest.raises(ModelError, match="plain file names"):
        ModelFolder.load(copy)


@pytest.mark.parametrize("text", ["", "{", "[1]", "\udcff"])
def test_a_damaged_model_json_is_refused(copy: Path, text: str) -> None:
    (copy / "model.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ModelError, match=r"Expected (JSON|a JSON object) in .*model\.json"):
        FaceModel.load(copy)


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_a_number_that_is_not_json_is_refused(copy: Path, number: str) -> None:
    edit(copy, metrics={"x": "NUMBER"})
    path = copy / "model.json"
    path.write_text(path.read_text().replace('"NUMBER"', number))
    with pytest.raises(ModelError, match=r"Expected JSON in .*model\.json, found: .* Copy the whole folder again"):
        FaceModel.load(copy)


def test_a_checkout_leaves_the_shipped_bytes_alone() -> None:
    """Line endings turned into those of another system would be other bytes than model.json pins."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists() or shutil.which("git") is None:
        pytest.skip("no git checkout")
    names = [f"sga/default_model/{name}" for name in ("card.md", "model.json", "quality-labels.csv", "generator.onnx")]
    done = subprocess.run(["git", "-C", root, "check-attr", "text", *names], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{name}: text: unset" for name in names]


def test_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"Expected a model folder .* found none\. Name another with --model"):
        FaceModel.load(tmp_path / "absent")


def reseal(folder: Path, **changes: Any) -> None:
    raw = json.loads((folder / "model.json").read_text())
    seal_model_folder(folder, {**raw, **changes})


def test_other_contents_under_a_right_hash_are_refused(copy: Path) -> None:
    """What the hashes cannot see: a folder sealed over networks that do not fit."""
    generator = (copy / "generator.onnx").read_bytes()
    (copy / "generator.onnx").write_bytes((copy / "judge.onnx").read_bytes())
    reseal(copy)
    with pytest.raises(
        ModelError, match=r"Expected generator\.onnx to take gender \(n\), noise \(n, 16\), style \(n, 30\) and give image"
    ):
        FaceModel.load(copy)
    (copy / "generator.onnx").write_bytes(b"no network")
    reseal(copy)
    with pytest.raises(ModelError, match=r"Expected an ONNX model in generator\.onnx"):
        FaceModel.load(copy)
    (copy / "generator.onnx").write_bytes(generator)
    reseal(copy, noise_size=17)
    with pytest.raises(ModelError, match=r"noise \(n, 17\).* found that it takes .*noise \(n, 16\)"):
        FaceModel.load(copy)
    np.savez(copy / "styles.npz", style=np.zeros((4, 29), np.float16), gender=np.zeros(4, np.int8))
    reseal(copy, noise_size=16)
    with pytest.raises(ModelError, match=r"Expected style \(m, 30\) in styles\.npz"):
        FaceModel.load(copy)
    (copy / "styles.npz").write_bytes(b"PK no arrays")
    reseal(copy)
    with pytest.raises(ModelError, match=r"Expected arrays in styles\.npz"):
        FaceModel.load(copy)


def test_sealing_needs_every_file(copy: Path) -> None:
    raw = json.loads((copy / "model.json").read_text())
    (copy / "judge.onnx").unlink()
    with pytest.raises(ModelError, match=r"found no judge\.onnx"):
        seal_model_folder(copy, raw)


def test_sealing_leaves_no_wrong_model_json(copy: Path) -> None:
    raw = json.loads((copy / "model.json").read_text())
    with pytest.raises(ModelError, match="size"):
        seal_model_folder(copy, {**raw, "size": -1})
    assert not (copy / "model.json").exists()


@pytest.mark.skipif(not DEFAULT_MODEL.is_dir(), reason="no default model ships yet")
def test_the_default_model_draws() -> None:
    model = FaceModel.load()
    assert sum(len(content) for content in model.folder.read_all().values()) <= 25e6
    faces = model.generate("any", 5, seed=1)
    assert [face.png() for face in faces[:3]] == [face.png() for face in model.generate("any", 3, seed=1)]
    latents = [model.draw(3, index, gender="any") for index in range(13)]
    noise, style = np.stack([one.noise for one in latents]), np.stack([one.style for one in latents])
    gender = np.array([one.gender for one in latents])
    images = model.render(noise, gender, style)
    assert (model.render(noise[::-1], gender[::-1], style[::-1]) == images[::-1]).all()
    assert (model.judge(images[::-1]).quality == model.judge(images).quality[::-1]).all()
    one, other = (FaceModel.load(threads=threads).generate("female", 3, seed=2) for threads in (1, 2))
    assert [face.png() for face in one] == [face.png() for face in other]
    assert model.avatar("user-42").png() == model.avatar("user-42").png()
