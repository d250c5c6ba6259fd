"""Thousands of faces: memory, and what writing costs beside drawing.

Type: pytest tests/benchmarks/test_drawing_bulk.py -o addopts=--import-mode=importlib [--faces 1000]
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sga import FaceModel, Report

ROOT = Path(__file__).parents[2]
Figure = Callable[[str], None]
CHILD = """
import resource, sys
from sga.cli.main import main
try:
    main()
except SystemExit as end:
    print("rss", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    sys.exit(end.code)
"""


def generate(model: Path, count: int, *place: str | Path) -> tuple[int, str]:
    """Most memory that the command held, KiB, and what it told."""
    words = ["generate", "--gender", "female", "--seed", "1", "--count", count, "--model", model, *place]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", CHILD, *map(str, words)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split("rss ")[1]), done.stdout


@pytest.mark.parametrize("kind", ["folder", "tar", "parquet"])
def test_memory(figure: Figure, measured_model: Path, tmp_path: Path, kind: str, request: pytest.FixtureRequest) -> None:
    count = request.config.getoption("faces")
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    option = "--out" if kind == "folder" else "--to"
    names = [tmp_path / (f"{number}" if kind == "folder" else f"{number}.{kind}") for number in (100, count)]
    few, _ = generate(measured_model, 100, option, names[0])
    started = time.perf_counter()
    many, told = generate(measured_model, count, option, names[1])
    seconds = time.perf_counter() - started
    accepted = int(re.findall(r"(\d+) of \d+ attempts", told)[0])
    figure(f"{kind}: memory of {count} faces over that of 100: {many / few:.2f} (aim 1.2; {few / 1024:.0f} MiB)")
    figure(f"  {accepted / seconds:.0f} accepted/s from the typed command to its end")


def test_cost_of_writing(figure: Figure, measured_model: Path, tmp_path: Path) -> None:
    """The same faces drawn and dropped, and drawn and written, in turn."""
    from sga.generation.sink import open_sink

    model = FaceModel.load(measured_model)
    seconds: dict[str, list[float]] = {"nowhere": [], "folder": [], "faces.tar": []}
    for turn in range(5):
        for place, times in seconds.items():
            report = Report()
            stream = model.stream("female", 200, turn, report=report)
            started = time.perf_counter()
            if place == "nowhere":
                assert sum(1 for _ in stream) == 200
            else:
                with open_sink(tmp_path / str(turn) / place, stream.expected) as sink:
                    assert sum(1 for _ in stream.into(sink, lambda index: f"{index}.png")) == 200
            times.append(time.perf_counter() - started)
    best = {place: min(times) for place, times in seconds.items()}
    for place in ("folder", "faces.tar"):
        figure(f"writing to {place}: + {100 * (best[place] / best['nowhere'] - 1):.0f} % of the time of drawing alone")
