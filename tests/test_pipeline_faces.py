"""What `sga run` ingests again: other PATHs, other pictures below them, other labels; and what it refuses to mix.

No face has a label, so each run ends in one sentence at the first network: nothing is trained here."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from configs.errors import ConfigError, InputError, UserError, WorkspaceError
from labeling.detection import DetectionSettings
from labeling.ingest import IngestSettings, labels_taken_in
from labeling.ingest.taken import taken_with
from labeling.workspace import Workspace
from sga.pipeline import PipelineSettings, run

SIZE = 32


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(exist_ok=True)
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    Image.fromarray(small).resize((SIZE, SIZE), Image.Resampling.BICUBIC).save(path)


def faces_step(space: Workspace, settings: PipelineSettings) -> list[str]:
    """What a run says of its stage faces, before the next one finds no label."""
    said: list[str] = []
    with pytest.raises(InputError, match="Expected some labelled faces"):
        run(space, settings, said.append, progress=False)
    assert said[-1] == "ensemble: sga complete"
    return said[:-1]


def of(*paths: Path) -> PipelineSettings:
    return PipelineSettings(paths=[str(path) for path in paths], ingest={"size": SIZE})


def test_other_paths_are_ingested(tmp_path: Path) -> None:
    a, b, space = tmp_path / "a", tmp_path / "b", Workspace(tmp_path / "w")
    for seed in range(3):
        picture(a / f"{seed}.png", seed)
        picture(b / f"{seed}.png", 10 + seed)
    again = ["faces: sga ingest PATH"]
    assert faces_step(space, of(a)) == again
    record = space.folder("faces") / "stage.json"
    before = record.read_bytes()
    assert faces_step(space, of(a)) == ["faces: done"]
    assert record.read_bytes() == before
    assert faces_step(space, of(a, b)) == again
    assert len(space.table()) == 6
    assert faces_step(space, of(a, b)) == ["faces: done"]
    done, told = faces_step(space, of(b))  # faces are only ever added, and the run says so
    assert done == "faces: done"
    assert f"those of {a.resolve()} are in the workspace too" in told

    picture(b / "9.png", 9)
    assert faces_step(space, of(a, b)) == again
    assert len(space.table()) == 7
    picture(b / "9.png", 99)
    os.utime(b / "9.png", (1, 1))
    assert faces_step(space, of(a, b)) == again
    for path in a.iterdir():
        path.unlink()
    a.rmdir()
    assert faces_step(space, of(a, b)) == ["faces: done"]  # ingested, and gone from the disk since


def gray(path: Path, outputs: int, seed: int) -> None:
    """A tagger of its own: random weights of the mean colours."""
    onnx = pytest.importorskip("onnx")
    weights = np.random.default_rng(seed).normal(size=(3, outputs)).astype(np.float32)
    nodes = [
        onnx.helper.make_node("GlobalAveragePool", ["image"], ["means"]),
        onnx.helper.make_node("Flatten", ["means"], ["flat"]),
        onnx.helper.make_node("MatMul", ["flat", "weights"], ["linear"]),
        onnx.helper.make_node("Sigmoid", ["linear"], ["tags"]),
    ]
    shapes = {"image": ["n", 3, SIZE, SIZE], "tags": ["n", outputs]}
    image, tags = (onnx.helper.make_tensor_value_info(name, 1, shape) for name, shape in shapes.items())
    graph = onnx.helper.make_graph(nodes, "gray", [image], [tags], [onnx.numpy_helper.from_array(weights, "weights")])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), path)


def test_other_contents_of_the_tagger_and_its_files_are_taken_in(tmp_path: Path) -> None:
    for seed in range(3):
        picture(tmp_path / "a" / f"{seed}.png", seed)
    model, tags, meaning = tmp_path / "tagger.onnx", tmp_path / "tags.txt", tmp_path / "map.yaml"
    gray(model, 2, seed=0)
    tags.write_text("solo\nfur\n")
    meaning.write_text("meaning: {glasses: {yes: [fur]}}")
    known = {"tag_map": str(meaning), "tag_threshold": 1.0, "tagger": {"model": str(model), "tags": str(tags)}}
    settings = PipelineSettings(paths=[str(tmp_path / "a")], ingest={"schema_name": "moe34", "size": SIZE, **known})
    space, told = Workspace(tmp_path / "w"), []

    def step() -> str:
        with pytest.raises(UserError):  # at the first network
            run(space, settings, told.append, progress=False)
        return told[-2]

    again, done = "faces: sga ingest PATH", "faces: done"
    assert (step(), step()) == (again, done)
    gray(model, 2, seed=1)
    assert (step(), step()) == (again, done)
    tags.write_text("fur\nsolo\n")
    assert (step(), step()) == (again, done)
    meaning.write_text("meaning: {hat: {yes: [fur]}}")
    assert (step(), step()) == (again, done)


@pytest.mark.parametrize("name", ["cascade", "detector"])
def test_the_file_of_a_detector_is_among_those_taken_in(tmp_path: Path, name: str) -> None:
    file = tmp_path / "faces.bin"
    file.write_bytes(b"one")
    settings = IngestSettings(detection=DetectionSettings(**{name: str(file)}))
    space = Workspace(tmp_path / "w")
    taken = taken_with(space, [], settings.other_files)
    space.finish("faces", "", {}, **taken)
    assert labels_taken_in(space, settings.other_files)
    file.write_bytes(b"two")
    assert not labels_taken_in(space, settings.other_files)


def test_a_run_of_illustrations_needs_a_detector(tmp_path: Path) -> None:
    space, told = Workspace(tmp_path / "w"), []
    wanted = PipelineSettings(paths=[str(tmp_path)], illustrations=True)
    with pytest.raises(ConfigError, match=r"found none\. Type --set ingest\.detection\.cascade=FILE\.xml"):
        run(space, wanted, told.append, progress=False)
    assert told == []
    assert not space.root.exists()


def test_a_workspace_inside_its_path_is_done(tmp_path: Path) -> None:
    for seed in range(3):
        picture(tmp_path / "all" / f"{seed}.png", seed)
    space = Workspace(tmp_path / "all" / "w")
    assert faces_step(space, of(tmp_path / "all")) == ["faces: sga ingest PATH"]
    assert faces_step(space, of(tmp_path / "all")) == ["faces: done"]


@pytest.mark.parametrize("change", [{"count": 9}, {"seed": 1}, {"hidden": 0.5}])
def test_other_samples_need_another_workspace(tmp_path: Path, change: dict[str, float]) -> None:
    pytest.importorskip("skia")
    space = Workspace(tmp_path / "w")
    samples = {"count": 6, "size": 64, "hidden": 1.0, "workers": 1}
    wanted = PipelineSettings(samples=samples, ingest={"schema_name": "moe34", "size": 64})
    assert faces_step(space, wanted) == ["faces: sga ingest PATH"]
    assert faces_step(space, wanted) == ["faces: done"]
    same = wanted.model_copy(update={"samples": {**samples, "workers": 2}})
    assert faces_step(space, same) == ["faces: done"]
    state = {path: path.read_bytes() for path in space.root.rglob("*") if path.is_file()}
    said: list[str] = []
    with pytest.raises(WorkspaceError, match=rf"samples\.{next(iter(change))} as .* new --workspace"):
        run(space, wanted.model_copy(update={"samples": {**samples, **change}}), said.append, progress=False)
    assert said == []
    assert {path: path.read_bytes() for path in space.root.rglob("*") if path.is_file()} == state
