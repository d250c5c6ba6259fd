"""How long `sga explore data` takes, and how much memory.

Not part of the tests; type: pytest tests/benchmarks/test_explore_data_speed.py -o addopts=--import-mode=importlib --faces 28000
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labeling.ingest.store import face_file, face_identity, write_face
from labeling.provenance import Source
from labeling.schema import Schema
from labeling.table import LabelTable
from labeling.workspace import Workspace

SIZE, DRAWN = 96, 64


def workspace(root: Path, count: int) -> Workspace:
    """Sample faces, each again and again with some pixels changed, all labels, years and styles."""
    from labeling.samples import SampleSettings, draw_truth, render_face

    settings, rng, schema = SampleSettings(), np.random.default_rng(0), Schema.load("moe34")
    drawn = [render_face(draw_truth(0, index, settings), (0, index), SIZE) for index in range(DRAWN)]
    faces = []
    for number in range(count):
        pixels = np.array(drawn[number % DRAWN])
        pixels[:4] = rng.integers(0, 256, (4, SIZE, 3))
        faces.append(face_identity(pixels))
        write_face(root, faces[-1], pixels)
    table = LabelTable.empty(schema, faces, [face_file(face) for face in faces], ["train"] * count, faces)
    for attribute in schema:
        codes = rng.integers(0, attribute.size, count)
        table.fill(attribute.name, np.arange(count), codes, Source.ORIGINAL)
    space = Workspace(root)
    table.save(space.labels_path)
    edge = rng.integers(30, 300, count)
    told = {"picture": "", "left": 0, "top": 0, "width": edge, "height": edge, "short_edge": edge, "detection": 0.9}
    frame = pd.DataFrame({**told, "year": rng.integers(2000, 2020, count)}, index=pd.Index(faces, name="face"))
    frame.to_parquet(space.folder("faces") / "metadata.parquet")
    space.folder("sfn").mkdir()
    centres = rng.normal(size=(12, 30))
    style = (centres[rng.integers(0, 12, count)] + 0.4 * rng.normal(size=(count, 30))).astype(np.float32)
    np.savez(space.folder("sfn") / "styles.npz", face=np.array(faces), style=style)
    return space


def test_all_pictures_of_the_data(request: pytest.FixtureRequest, figure: Callable[[str], None], tmp_path: Path) -> None:
    pytest.importorskip("skia", reason="sample faces are drawn with skia-python")
    count = request.config.getoption("faces")
    space = workspace(tmp_path / "workspace", count)
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-m", "sga.cli.main", "explore", "data", "--workspace", str(space.root)], check=True)
    taken = time.perf_counter() - begun
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10  # KiB on Linux
    figure(f"sga explore data, {count:,} faces of {SIZE} px, 34 tags: {taken:.0f} s (aim 120 at 28,000), {memory:.0f} MiB")
