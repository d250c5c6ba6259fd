"""Which engine, lanes, rows and session options draw fastest, and how much faster than PyTorch: ratios within one run.

Type: pytest tests/benchmarks/test_drawing_engines.py -o addopts=--import-mode=importlib

`sga/generation/engines.py` and `micro_batch` hold what won here. Run it on an idle machine.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from configs.machine import cores
from sga import FaceModel
from sga.generation.engines import ENGINES, Lanes, OnnxRuntimeSession
from sga.generation.sessions import Network
from sga.model_folder import ModelFolder

Figure = Callable[[str], None]
ROWS, ROUNDS = 96, 9
INSTALLED = [engine for engine in ENGINES if find_spec(engine)]


@dataclass(frozen=True)
class Candidate:
    """A way of running both networks. lanes: (passes at a time, threads of each); batch: rows of a pass."""

    engine: str
    lanes: tuple[int, int]
    batch: int = 8
    spinning: bool = False

    def __str__(self) -> str:
        return f"{self.engine}, {self.lanes[0]} lanes of {self.lanes[1]}, {self.batch} rows{', spinning' * self.spinning}"


def candidates() -> list[Candidate]:
    total = cores()
    found = []
    for engine in INSTALLED:
        found += [Candidate(engine, (total, 1), batch) for batch in (8, 1, 2, 4, 16)]
        if total > 1:
            found += [Candidate(engine, (1, total)), Candidate(engine, (total, 2)), Candidate(engine, (1, total), 4)]
    if total > 1:
        found.append(Candidate("onnxruntime", (1, total), 8, spinning=True))
    return found


def networks(folder: ModelFolder, one: Candidate, monkeypatch: pytest.MonkeyPatch) -> tuple[Network, Network]:
    spec = folder.spec
    latents: dict[str, tuple[int, ...]] = {"noise": (spec.noise_size,), "gender": (), "style": (spec.style_size,)}
    with monkeypatch.context() as patch:
        patch.setattr(Lanes, "of", classmethod(lambda cls, threads: cls(*one.lanes)))
        patch.setattr(OnnxRuntimeSession, "entries", {"session.intra_op.allow_spinning": str(int(one.spinning))})
        generator = Network(folder.read("generator.onnx"), "generator", one.batch, latents, {"image"}, None, one.engine)
        images = {"image": (spec.size, spec.size, 3)}
        judge = Network(folder.read("judge.onnx"), "judge", one.batch, images, {"quality"}, None, one.engine)
    return generator, judge


def test_candidates(figure: Figure, measured_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every way in turn, many times: what else the machine does meets all of them alike."""
    folder = ModelFolder.load(measured_model)
    latents = feed(FaceModel(folder, engine="onnxruntime", threads=1))
    ways = {one: networks(folder, one, monkeypatch) for one in candidates()}
    seconds: dict[Candidate, list[float]] = {one: [] for one in ways}
    for _ in range(ROUNDS + 1):
        for one, (generator, judge) in ways.items():
            started = time.perf_counter()
            judge(image=generator(**latents)["image"])
            seconds[one].append(time.perf_counter() - started)
    median = {one: float(np.median(times[1:])) for one, times in seconds.items()}
    for engine in INSTALLED:
        default = median[Candidate(engine, (cores(), 1))]
        figure(f"{engine}: {ROWS / default:.0f} attempts/s as it is; other ways, over that:")
        for one, value in sorted(median.items(), key=lambda item: item[1]):
            if one.engine == engine:
                figure(f"  {default / value:.2f}  {one}")
    if len(INSTALLED) > 1:
        one, other = (median[Candidate(engine, (cores(), 1))] for engine in ENGINES)
        figure(f"OpenVINO over ONNX Runtime, generator and judge: {one / other:.2f}")


def feed(model: FaceModel) -> dict[str, np.ndarray]:
    drawn = [model.draw(0, index, gender="any") for index in range(ROWS)]
    arrays = {"noise": np.stack([one.noise for one in drawn]), "gender": np.array([one.gender for one in drawn])}
    return {**arrays, "style": np.stack([one.style for one in drawn])}


@pytest.mark.parametrize("engine", INSTALLED)
def test_over_pytorch(figure: Figure, measured_model: Path, tmp_path: Path, engine: str) -> None:
    """The generator of `best96-cpu` and the judge's network, untrained (their weights do not change their speed)."""
    torch = pytest.importorskip("torch", reason="PyTorch is what is compared with")
    from classifiers.sfn import SfnSettings, StyleFeatureNetwork
    from configs.loader import load_settings
    from labeling.schema import Schema
    from sga.export.graphs import GeneratorGraph, JudgeGraph, export_generator, export_judge
    from sga.models import make_network
    from sga.training import GanSettings

    spec = ModelFolder.load(measured_model).spec
    schema = Schema.from_json(json.dumps(json.loads((measured_model / "model.json").read_text())["schema"]))
    preset = load_settings(GanSettings, "gan", "best96-cpu").generator
    sizes = {"size": spec.size, "noise_size": spec.noise_size, "style_size": spec.style_size}
    generator = make_network("generator", preset.name, **sizes, **preset.arguments).eval()
    sfn = StyleFeatureNetwork.build(schema, load_settings(SfnSettings, "sfn", "cpu")).eval()
    export_generator(tmp_path / "generator.onnx", generator, spec.noise_size, spec.style_size)
    export_judge(tmp_path / "judge.onnx", sfn, schema, spec.size)
    arrays = feed(FaceModel.load(measured_model, engine="onnxruntime", threads=1))
    shapes = {name: value.shape[1:] for name, value in arrays.items()}
    ours = {
        "generator": Network((tmp_path / "generator.onnx").read_bytes(), "generator", 8, shapes, {"image"}, None, engine),
        "judge": Network(
            (tmp_path / "judge.onnx").read_bytes(), "judge", 8, {"image": (spec.size, spec.size, 3)}, {"quality"}, None, engine
        ),
    }
    images = ours["generator"](**arrays)["image"]
    feeds = {"generator": arrays, "judge": {"image": images}}
    theirs = {"generator": GeneratorGraph(generator), "judge": JudgeGraph(sfn, schema).eval()}
    tensors = {name: [torch.from_numpy(value) for value in values.values()] for name, values in feeds.items()}
    torch.set_num_threads(cores())
    drawn = theirs["generator"](*tensors["generator"]).detach().numpy()
    assert np.abs(drawn.astype(int) - images).max() <= 2  # stored in half precision here, not there
    ways: dict[tuple[str, str], Callable[[], object]] = {}
    for name in ours:
        ways["ours", name] = partial(ours[name], **feeds[name])
        ways["eager", name] = partial(theirs[name], *tensors[name])
    seconds: dict[tuple[str, str], list[float]] = {way: [] for way in ways}
    with torch.inference_mode():
        for _ in range(ROUNDS + 1):
            for way, work in ways.items():
                started = time.perf_counter()
                work()
                seconds[way].append(time.perf_counter() - started)
    median = {key: float(np.median(times[1:])) for key, times in seconds.items()}
    each = ", ".join(f"{name} {median['eager', name] / median['ours', name]:.2f}" for name in ours)
    whole = sum(median["eager", name] for name in ours) / sum(median["ours", name] for name in ours)
    figure(f"{engine} over PyTorch eager, faces/s on the same weights: {each} (aim 1.7), both {whole:.2f}")


@pytest.mark.parametrize("engine", INSTALLED)
def test_loading(figure: Figure, measured_model: Path, engine: str) -> None:
    """What the first face waits for, in a process of its own; CPU time of all threads beside."""
    code = (
        "import time; a, c = time.perf_counter(), time.process_time(); from sga import FaceModel; "
        f"model = FaceModel.load({str(measured_model)!r}, {engine!r}); b, d = time.perf_counter(), time.process_time(); "
        "model.avatar('user-42'); print(b - a, d - c, time.perf_counter() - b)"
    )
    root = Path(__file__).parents[2]
    runs = [
        [
            float(word)
            for word in subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
            ).stdout.split()
        ]
        for _ in range(7)
    ]
    load, work, first = np.median(np.array(runs), axis=0)
    figure(f"{engine}: import and load {load:.2f} s ({work:.2f} s of CPU time), first avatar {1e3 * first:.0f} ms")
