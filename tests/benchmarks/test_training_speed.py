"""Images a second of the GAN's training, as a ratio to the same networks in plain eager PyTorch (float32, contiguous) in the
same run; and on a GPU the part of the time in which it waits for the host.

Not part of the tests; type: pytest tests/benchmarks/test_training_speed.py -o addopts=--import-mode=importlib
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from classifiers.runtime import launch
from classifiers.runtime.compiling import missing_to_compile
from classifiers.sfn import SfnSettings, StyleFeatureNetwork
from configs import load_settings
from labeling.schema import Attribute, Schema
from sga.condition import ConditionPrior
from sga.models import FrozenFeatures, reads_features
from sga.training import GanSettings, TrainingFaces
from sga.training.data import RealBatch
from sga.training.resident import resident
from sga.training.state import open_run
from sga.training.stepper import Stepper

Figure = Callable[[str], None]
GPU = torch.cuda.is_available()
SCHEMA = Schema(
    name="noise", attributes=(Attribute(name="gender", kind="exclusive", role="gender", values=("female", "male")),)
)
ROUNDS = 5


class ContiguousFaces(TrainingFaces):
    """Batches as PyTorch makes them if nobody asks: channels first."""

    def batch(self, rows: np.ndarray, device: torch.device) -> RealBatch:
        whole = super().batch(rows, device)
        return RealBatch(whole.images.contiguous(), whole.gender, whole.weight, whole.style)


def noise(settings: GanSettings, kind: type[TrainingFaces], count: int) -> TrainingFaces:
    """What a face shows does not change how long it takes."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, settings.size, settings.size, 3), dtype=np.uint8)
    gender, style = np.arange(count) % 2, random.standard_normal((count, settings.style_size)).astype(np.float32)
    return kind(images, gender, np.ones(count, np.float32), style, SCHEMA)


def untrained_features(settings: GanSettings, device: torch.device) -> FrozenFeatures | None:
    """What a projected discriminator looks through: the release's style feature network, before it has learnt anything."""
    if not reads_features("discriminator", settings.discriminator.name):
        return None
    network = StyleFeatureNetwork.build(Schema.load("faces"), load_settings(SfnSettings, "sfn", "release"))
    backbone = network.backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return FrozenFeatures(backbone, "untrained").to(device)


class Run:
    """A training in one way of computing it. plain: as eager PyTorch would without any of the options."""

    def __init__(self, preset: str, *overrides: str, plain: bool = False, tmp: Path) -> None:
        alone = ("warm_start=null", "weights.anchor=0", "selection=1", "cleaning=0")
        self.settings = load_settings(GanSettings, "gan", preset, [*alone, *overrides])
        self.fabric = launch(self.settings.launch)
        self.plain, device = plain, self.fabric.device
        self.faces = noise(self.settings, ContiguousFaces if plain else TrainingFaces, 4096 if GPU else 512)
        self.faces = self.faces if plain else resident(self.faces, device)
        self.state = open_run(None, tmp, self.settings, device, untrained_features(self.settings, device))
        if plain:
            for name in ("generator", "discriminator"):
                network = getattr(self.state, name).to(memory_format=torch.contiguous_format)
                adam = torch.optim.Adam(network.parameters(), lr=self.settings.learning_rate, betas=self.settings.betas)
                setattr(self.state, f"{name}_optimiser", adam)
        self.step = Stepper(
            self.fabric, self.settings, self.state, self.faces, ConditionPrior.from_faces(self.settings, self.faces, device)
        )

    def seconds(self, steps: int) -> float:
        """Time of so many steps: CPU time on a CPU, where other work must not show, else time on the wall."""
        torch.set_float32_matmul_precision("highest" if self.plain else "high")
        torch.backends.cudnn.benchmark = GPU and not self.plain
        clock = time.perf_counter if GPU else time.process_time
        self._wait()
        begun = clock()
        for _ in range(steps):
            self.step()
        self._wait()
        return clock() - begun

    def _wait(self) -> None:
        if GPU:
            torch.cuda.synchronize()


def compare(runs: dict[str, Run], steps: int) -> dict[str, float]:
    """Images a second of each, as a ratio to the first; in turns, so that a busy minute strikes all alike."""
    for run in runs.values():
        run.seconds(steps if GPU else 1)
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            taken[name].append(run.seconds(steps))
    speed = {name: runs[name].settings.batch * steps / float(np.median(times)) for name, times in taken.items()}
    base = next(iter(speed.values()))
    return {name: value / base for name, value in speed.items()} | {"images/s of the first": base}


def told(ratios: dict[str, float]) -> str:
    base = ratios.pop("images/s of the first")
    first, *rest = ratios
    return f"{first} {base:.1f} images/s; " + ", ".join(f"{name} ×{ratios[name]:.2f}" for name in rest)


@pytest.mark.filterwarnings("ignore")  # torch hides its own warnings while it compiles, which turned into errors it cannot
@pytest.mark.skipif(GPU, reason="the GPU is measured instead")
@pytest.mark.parametrize(("preset", "batch"), [("sga96-cpu", 32), ("best96-cpu", 32), ("sga96", 16)])
def test_speed_on_a_cpu(preset: str, batch: int, figure: Figure, tmp_path: Path) -> None:
    common = (f"batch={batch}", "launch.accelerator=cpu", "launch.threads=1")
    ways: dict[str, tuple[tuple[str, ...], bool]] = {
        "eager float32": (("launch.precision=32",), True),
        "channels-last float32": (("launch.precision=32",), False),
        "as trained here": ((), False),
        "as trained, compiled": (("launch.compile=true",), False),
    }
    if missing_to_compile(torch.device("cpu")):
        del ways["as trained, compiled"]
    runs = {name: Run(preset, *common, *more, plain=plain, tmp=tmp_path) for name, (more, plain) in ways.items()}
    ratios = compare(runs, steps=runs["eager float32"].settings.penalty_interval)
    precision = runs["as trained here"].fabric._precision.precision
    figure(f"training {preset}, batch {batch}, one CPU thread, {precision} here: {told(ratios)}")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(not GPU, reason="no GPU here")
@pytest.mark.parametrize("preset", ["sga96", "best96"])
def test_speed_on_a_gpu(preset: str, figure: Figure, tmp_path: Path) -> None:
    """The aim is three times eager float32."""
    ways: dict[str, tuple[tuple[str, ...], bool]] = {
        "eager float32": (("launch.precision=32",), True),
        "channels-last, on the device, fused": (("launch.precision=32",), False),
        "and bf16": (("launch.graphs=false", "launch.compile=false"), False),
        "and compiled": (("launch.graphs=false", "launch.compile=true"), False),
        "and recorded": (("launch.graphs=true", "launch.compile=false"), False),
        "and both": (("launch.graphs=true", "launch.compile=true"), False),
    }
    runs = {name: Run(preset, *more, plain=plain, tmp=tmp_path) for name, (more, plain) in ways.items()}
    figure(f"training {preset} on {torch.cuda.get_device_name()}: {told(compare(runs, steps=40))} (aim ×3)")
    for name in ("eager float32", "and bf16", "and recorded"):
        figure(f"training {preset}, {name}: the GPU is idle {100 * idle(runs[name], 20):.0f} % of the time")


def idle(run: Run, steps: int) -> float:
    """The part of the time in [0, 1] in which no kernel runs: the device waits for the host."""
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity, profile

    run.seconds(steps)
    with profile(activities=[ProfilerActivity.CUDA]) as trace:
        run.seconds(steps)
    spans = [event.time_range for event in trace.events() if event.device_type == DeviceType.CUDA]
    return 1 - covered((span.start, span.end) for span in spans)


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """The part of the time from the first start to the last end that lies in at least one span; 0 without any."""
    ordered = sorted(spans)
    if not ordered:
        return 0.0
    first = last = ordered[0][0]
    busy = 0.0
    for start, end in ordered:
        busy += max(0.0, end - max(start, last))
        last = max(last, end)
    return busy / (last - first)


def test_covered_time_counts_once() -> None:
    assert covered([(0, 2), (1, 3), (1, 2), (6, 8)]) == pytest.approx(5 / 8)
    assert covered([]) == 0


@pytest.mark.skipif(GPU, reason="the GPU is measured instead")
def test_the_parts_on_a_cpu(figure: Figure) -> None:
    """Optimiser, zeroed gradients and reading, alone: which way wins and by how much."""
    from sga.models import make_network

    settings = load_settings(GanSettings, "gan", "sga96")
    torch.set_num_threads(1)
    network: Any = make_network("discriminator", settings.discriminator.name, **settings.network_arguments("discriminator"))
    for parameter in network.parameters():
        parameter.grad = torch.randn_like(parameter)
    ways = {"one by one": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}
    taken = {name: best(torch.optim.Adam(network.parameters(), **way).step) for name, way in ways.items()}
    figure("Adam on a CPU, one thread: " + ratios_of(taken))
    zeroed = best(lambda: [parameter.grad.zero_() for parameter in network.parameters()])
    figure(f"zeroing gradients, which setting them to None spares: {1e3 * zeroed:.1f} ms")

    faces = noise(settings, TrainingFaces, 1024)
    rows = np.random.default_rng(0).integers(0, 1024, 64)
    device = torch.device("cpu")
    whole = best(lambda: faces.batch(rows, device))
    figure(f"reading a batch of 64 faces: {1e3 * whole:.1f} ms of CPU time")


def best(work: Callable[[], object], rounds: int = 7) -> float:
    """CPU seconds of one call, the least of several."""
    taken = []
    for _ in range(rounds):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return min(taken[1:])


def ratios_of(taken: dict[str, float]) -> str:
    base = next(iter(taken.values()))
    return ", ".join(f"{name} {1e3 * value:.1f} ms (×{base / value:.2f})" for name, value in taken.items())
