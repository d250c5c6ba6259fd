"""How fast sample faces are drawn and how many a face detector finds, and how long `sga run smoke` takes.

Not part of the tests; type: pytest tests/benchmarks -o addopts=--import-mode=importlib [--cascade FILE]
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
SEED = 21
Figure = Callable[[str], None]


def test_sample_faces(benchmark: Any, figure: Figure) -> None:
    """Drawing alone, in CPU seconds: neither more cores nor other work on them shows. Files and labels are left out."""
    pytest.importorskip("skia", reason="sample faces are drawn with skia-python")
    from labeling.samples import SampleSettings, draw_truth, render_face

    settings, count = SampleSettings(), 200

    def draw() -> float:
        started = time.process_time()
        for index in range(count):
            render_face(draw_truth(SEED, index, settings), (SEED, index), 96)
        return count / (time.process_time() - started)

    speeds: list[float] = []
    benchmark.pedantic(lambda: speeds.append(draw()), rounds=5, warmup_rounds=1)
    figure(f"sample faces of 96 px: {np.median(speeds):.0f} a second and core (aim 100)")


def test_the_cascade_finds_sample_faces(figure: Figure, cascade: Path) -> None:
    """The real cascade on 256-px faces of all qualities, in the mix that `sga samples` draws."""
    pytest.importorskip("skia", reason="sample faces are drawn with skia-python")
    cv2 = pytest.importorskip("cv2", reason="the cascade is OpenCV's")
    from labeling.samples import SampleSettings, draw_truth, render_face

    settings, detector = SampleSettings(), cv2.CascadeClassifier(str(cascade))
    found: dict[str, list[bool]] = {}
    for index in range(400):
        truth = draw_truth(SEED, index, settings)
        gray = cv2.equalizeHist(cv2.cvtColor(render_face(truth, (SEED, index), 256), cv2.COLOR_RGB2GRAY))
        hits = detector.detectMultiScale(gray, scaleFactor=1.1, minNeighbors=5, minSize=(24, 24))
        found.setdefault(truth["quality"], []).append(len(hits) > 0)
    share = 100 * np.mean(np.concatenate(list(found.values())))
    told = ", ".join(f"{quality} {100 * np.mean(hits):.0f} % of {len(hits)}" for quality, hits in sorted(found.items()))
    figure(f"sample faces of 256 px in which the cascade finds a face: {share:.0f} % (aim 80 %): {told}")


def test_the_whole_path(benchmark: Any, figure: Figure, tmp_path: Path) -> None:
    """`sga run smoke` into an empty workspace, from the typed command to its end."""
    words = [sys.executable, "-m", "sga.cli.main", "run", "smoke", "--workspace", str(tmp_path / "workspace")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def run() -> None:
        done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=3600, check=False)
        assert done.returncode == 0, done.stderr[-2000:]

    benchmark.pedantic(run, rounds=1)
    assert (tmp_path / "workspace" / "model" / "model.json").is_file()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    figure(f"sga run smoke: {benchmark.stats['max']:.0f} s on {cores} cores (aim 300 s on two)")
