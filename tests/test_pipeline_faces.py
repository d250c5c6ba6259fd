"""What `sga run` ingests again: other PATHs, other pictures below them, other labels; and what it refuses to mix.

No face has a label, so each run ends in one sentence at the first network: nothing is trained here."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from configs.errors import InputError, WorkspaceError
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
