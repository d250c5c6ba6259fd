"""Seconds of `sga clean` over 30,000 faces: measuring them, and the search for near duplicates among them.

pytest tests/benchmarks/test_cleaning_speed.py -s [--faces 3000]
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labeling.cleaning.mark import mark
from labeling.cleaning.scores import score
from labeling.cleaning.settings import CleanSettings
from labeling.ingest.store import face_file, face_identity, write_face
from labeling.schema import Schema
from labeling.table import LabelTable
from labeling.workspace import Workspace, table_fingerprint

COUNT = 30_000
EVERY = 20
"""Each of so many pictures is there twice, the second time as a JPEG would have it."""


def picture(seed: int) -> np.ndarray:
    """(96, 96, 3) uint8 of its own: blocks of colour with grain, about as much detail as a face."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (7, 7, 3), dtype=np.uint8)).resize((96, 96), Image.Resampling.BICUBIC)
    grain = rng.integers(-12, 13, (96, 96, 1))
    return np.clip(np.asarray(coarse).astype(np.int16) + grain, 0, 255).astype(np.uint8)


def test_seconds_of_cleaning(tmp_path: Path, figure: Callable[[str], None], request: pytest.FixtureRequest) -> None:
    asked = request.config.getoption("--faces")
    count = COUNT if asked == 10_000 else int(asked)
    faces: list[str] = []
    for seed in range(count):
        pixels = picture(seed) if seed % EVERY else np.clip(picture(seed + 1).astype(np.int16) + 4, 0, 255).astype(np.uint8)
        faces.append(face_identity(pixels))
        write_face(tmp_path, faces[-1], pixels)
    space = Workspace(tmp_path)
    table = LabelTable.empty(Schema.load("faces"), faces, list(map(face_file, faces)), ["train"] * count, faces)
    table.save(space.labels_path)
    space.finish("faces", table_fingerprint(table, completed=False), {"test": 0.15, "validation": 0.1})

    settings = CleanSettings(blur=None, gray=None)
    started = time.perf_counter()
    score(space, table, settings.model_copy(update={"duplicates": False}))
    alone = time.perf_counter() - started
    started = time.perf_counter()
    report, _, _ = mark(space, settings)
    both = time.perf_counter() - started
    started = time.perf_counter()
    mark(space, settings.model_copy(update={"flat": 12.0}))
    again = time.perf_counter() - started
    assert report.marked.get("near_duplicate", 0) >= 0.9 * count / EVERY
    figure(f"cleaning {count:,} faces: {both:.1f} s with near duplicates (plain and mirrored), {alone:.1f} s without,")
    figure(f"  {again:.1f} s with other thresholds; {report.marked.get('near_duplicate', 0):,} near duplicates found")
    if count == COUNT:
        assert both <= 120
