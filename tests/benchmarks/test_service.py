"""How much of the bare session's speed the service keeps, and which rate it holds. Not part of the tests; type:

    pytest tests/benchmarks/test_service.py -o addopts=--import-mode=importlib -s

Sixteen clients in a process of their own, each on one connection, ask for avatars of different IDs. The bare session is the
generator's, fed full batches of ready latents in this process, before and after: same model, same engine, same minute. Beside
it stands what one process draws without HTTP (`FaceModel.avatars` and PNG), and the CPU time of both, which other work on the
machine changes least. Clients, service and networks share the cores: the clients are raw sockets, whose CPU time is told too.

/generate is compared with the bare sessions of generator and judge together, which draw and judge each face once, as it does.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest

from sga import FaceModel

for package in ("fastapi", "uvicorn", "prometheus_client"):
    pytest.importorskip(package, reason="the extra serve runs the service")

ROOT = Path(__file__).parents[2]
CLIENTS = 16
FACES = 8
"""Of a request to /generate."""
SECONDS = float(os.environ.get("SGA_LOAD_SECONDS", "20"))
ROWS = "sga_session_rows"
HELD = 0.6
"""The stated rate, as a part of the highest."""
Figure = Callable[[str], None]


@pytest.fixture
def url(measured_model: Path) -> Iterator[str]:
    """A service on a free port."""
    words = ["-m", "sga.cli.main", "serve", "--no-page", "--port", "0", "--model", str(measured_model)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    found = re.search(r"(http://\S+?);", process.stdout.readline())
    assert found is not None
    yield found[1]
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0


def load(url: str, seconds: float, rate: float = 0.0, first: int = 0, faces: int = 0) -> dict[str, Any]:
    """What the clients saw."""
    words = [sys.executable, str(ROOT / "tests/benchmarks/service_clients.py"), url, CLIENTS, seconds, rate, first, faces]
    done = subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True, timeout=600)
    return json.loads(done.stdout)


def bare_rate(model: FaceModel, seconds: float, *, judged: bool = False) -> tuple[float, float]:
    """Faces a second of the generator's session alone, or of both sessions in turn, and CPU seconds a face."""
    network = model._generator
    latents = [model.draw(0, index, gender="any") for index in range(network.rows)]
    inputs = {
        "noise": np.stack([one.noise for one in latents]),
        "gender": np.array([one.gender for one in latents], np.int64),
        "style": np.stack([one.style for one in latents]),
    }
    model._judge(image=network(**inputs)["image"])
    started, cpu, faces = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - started < seconds:
        images = network(**inputs)["image"]
        if judged:
            model._judge(image=images)
        faces += network.rows
    return faces / (time.perf_counter() - started), (time.process_time() - cpu) / faces


def direct_rate(model: FaceModel, seconds: float) -> float:
    """Avatars a second as PNG in one process without HTTP."""
    started, faces = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        for face in model.avatars([f"direct-{faces + row}" for row in range(model.spec.micro_batch)]):
            face.png()
            faces += 1
    return faces / (time.perf_counter() - started)


def figures_of(url: str) -> dict[str, float]:
    """CPU seconds, session calls and their rows, from /metrics."""
    with urlopen(f"{url}/metrics") as answer:
        lines = [line.rpartition(" ") for line in answer.read().decode().splitlines() if line[:1] != "#"]
    wanted = {f"{ROWS}_{end}": f'{ROWS}_{end}{{network="generator"}}' for end in ("sum", "count")}
    samples = {name: float(value) for name, _, value in lines}
    return {"process_cpu_seconds_total": samples["process_cpu_seconds_total"]} | {k: samples[v] for k, v in wanted.items()}


def told(seen: dict[str, Any]) -> str:
    """Rate, times and errors in words."""
    times = np.array(seen["times"])
    p50, p99 = (1000 * float(np.quantile(times, part)) for part in (0.5, 0.99))
    wrong = sum(number for status, number in seen["statuses"].items() if status != "200")
    return f"{len(times) / seen['seconds']:.0f} avatars/s, p50 {p50:.0f} ms, p99 {p99:.0f} ms, {wrong} errors of {len(times)}"


def test_load(url: str, figure: Figure, measured_model: Path) -> None:
    model = FaceModel.load(measured_model)
    load(url, min(2.0, SECONDS), first=10**9)  # warm
    before, _ = bare_rate(model, SECONDS / 4)
    start = figures_of(url)
    fastest = load(url, SECONDS)
    end = figures_of(url)
    after, cpu_bare = bare_rate(model, SECONDS / 4)
    direct = direct_rate(model, SECONDS / 4)
    rate = len(fastest["times"]) / fastest["seconds"]
    bare = (before + after) / 2
    spent = {name: end[name] - start[name] for name in start}
    cpu, rows = spent["process_cpu_seconds_total"] / len(fastest["times"]), spent[ROWS + "_sum"] / spent[ROWS + "_count"]
    held = load(url, SECONDS, HELD * rate, first=10**8)
    figure(f"service, {CLIENTS} clients: {told(fastest)}")
    figure(f"  {rate / bare:.2f} of the bare session's {bare:.0f} faces/s (aim 0.90), {rate / direct:.2f} of avatars and PNG")
    figure(
        f"  CPU time a face {1000 * cpu:.1f} ms, bare {1000 * cpu_bare:.1f}, of a client "
        f"{1000 * fastest['cpu'] / len(fastest['times']):.2f}; {rows:.1f} of {model.spec.micro_batch} rows a call"
    )
    figure(f"service at a stated rate of {HELD * rate:.0f}/s: {told(held)}")
    assert fastest["statuses"].keys() == held["statuses"].keys() == {"200"}
    assert len(held["times"]) >= 0.95 * HELD * rate * SECONDS


def test_generate(url: str, figure: Figure, measured_model: Path) -> None:
    model = FaceModel.load(measured_model)
    load(url, min(2.0, SECONDS), first=10**9, faces=FACES)  # warm
    before, _ = bare_rate(model, SECONDS / 4, judged=True)
    start = figures_of(url)
    seen = load(url, SECONDS, faces=FACES)
    spent = {name: value - start[name] for name, value in figures_of(url).items()}
    after, cpu_bare = bare_rate(model, SECONDS / 4, judged=True)
    faces = FACES * len(seen["times"])
    rate, bare = faces / seen["seconds"], (before + after) / 2
    cpu = spent["process_cpu_seconds_total"] / faces
    figure(f"/generate, {CLIENTS} clients, {FACES} faces each: {rate:.0f} faces/s")
    figure(f"  {rate / bare:.2f} of the bare sessions' {bare:.0f} faces/s")
    figure(f"  CPU time a face {1000 * cpu:.1f} ms, bare {1000 * cpu_bare:.1f}, of a client {1000 * seen['cpu'] / faces:.2f}")
    assert seen["statuses"].keys() == {"200"}
