"""A model is addressed by name, hash or folder, and former ones stay."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from configs.errors import ModelError
from sga import FaceModel
from sga.model_folder import DEFAULT_MODEL, ModelFolder
from sga.model_names import drawing_hash, find_model, known_models, model_hash, name_of


def test_the_model_that_ships_has_a_name() -> None:
    name = json.loads((DEFAULT_MODEL / "model.json").read_text(encoding="utf-8"))["name"]
    assert next(iter(known_models())) == name
    assert find_model() == find_model(name) == DEFAULT_MODEL
    folder = ModelFolder.load(name)
    assert name_of(folder.hash) == name_of(folder.drawing_hash) == name
    assert find_model(folder.hash) == DEFAULT_MODEL


def test_a_former_model_draws_what_it_drew(model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second model beside the one that ships: an avatar by its name is what it was when that was the default."""
    before = FaceModel.load(model_path).avatar("user-42")
    places = [tmp_path / "one", tmp_path / "two"]
    shutil.copytree(model_path, places[1] / "faces-2025-11")
    (places[1] / "no model").mkdir()
    monkeypatch.setenv("SGA_MODELS", os.pathsep.join(map(str, places)))
    assert list(known_models())[1:] == ["faces-2025-11"]
    assert FaceModel.load("faces-2025-11").avatar("user-42").png() == before.png()
    assert FaceModel.load(before.origin.model).avatar("user-42").png() == before.png()
    assert FaceModel.load().avatar("user-42").png() != before.png()


def test_former_models_of_the_package(model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(model_path, tmp_path / "former" / "faces-old")
    monkeypatch.setattr("sga.model_names.FORMER_MODELS", tmp_path / "former")
    assert ModelFolder.load("faces-old").spec.name == "tiny"
    damaged = tmp_path / "former" / "faces-damaged"
    damaged.mkdir()
    (damaged / "model.json").write_text("{")
    assert name_of("0" * 16) is None  # another's damage is no reason to fail
    with pytest.raises(ModelError, match="Expected JSON"):
        ModelFolder.load("faces-damaged")


def test_a_folder_is_a_folder(model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(model_path, tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    for named in ("mine", Path("mine"), "./mine", tmp_path / "mine", str(tmp_path / "mine")):
        assert ModelFolder.load(named).spec.name == "tiny"


def test_an_unknown_name_lists_those_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"Expected a model folder or the name of a model \(sga-faces.*\), found 'faces-x'"):
        FaceModel.load("faces-x")
    with pytest.raises(ModelError, match=r"Expected a model folder with a model\.json at nowhere/faces, found none"):
        FaceModel.load("nowhere/faces")


def test_the_drawing_hash_is_of_what_decides_faces(model_path: Path) -> None:
    raw = json.loads((model_path / "model.json").read_text(encoding="utf-8"))
    files = raw["files"]
    judge = {**raw, "files": {**files, "judge.onnx": "0"}, "thresholds": {}, "licence": "x", "name": "y"}
    assert drawing_hash(judge) == drawing_hash(raw)
    assert model_hash(judge) != model_hash(raw)
    for key, value in (("style_jitter", 0.5), ("avatar_attempts", 8), ("algorithm", 2)):
        assert drawing_hash({**raw, key: value}) != drawing_hash(raw)
    for name in ("generator.onnx", "styles.npz", "critic.npz"):
        assert drawing_hash({**raw, "files": {**files, name: "0"}}) != drawing_hash(raw)
