"""What only a GPU can show: faces that stay on it, recorded steps that do what eager ones do, one that cannot be recorded.

Skipped where there is no GPU: the logic around it is tested in test_training_stop.py and test_stopping.py.
"""

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from labeling.workspace import Workspace
from sga.training import train
from sga.training.resident import ResidentFaces, resident
from sga.training.stepper import Stepper

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
gan = runpy.run_path(str(Path(__file__).with_name("gan_run.py")))
GPU = ("launch={accelerator: gpu, precision: '32'}", "images=120", "tick_images=40", "penalty_interval=3")


def ticks(root: Path, *overrides: str) -> list[dict[str, float]]:
    train(Workspace(root), gan["settings"](*GPU, *overrides), gan["draw_faces"](), progress=False)
    lines = (root / "gan" / "stats.jsonl").read_text().splitlines()
    return [{name: value for name, value in json.loads(line).items() if not name.startswith("time/")} for line in lines]


def test_faces_stay_on_the_gpu_and_are_the_same() -> None:
    device, faces = torch.device("cuda", torch.cuda.current_device()), gan["draw_faces"]()
    kept, rows = resident(faces, device), np.array([3, 0, 7])
    assert isinstance(kept, ResidentFaces)
    mapped, held = faces.batch(rows, device), kept.batch(rows, device)
    assert torch.equal(mapped.images, held.images)
    assert torch.equal(mapped.gender, held.gender)
    assert held.images.device == device


@pytest.mark.parametrize("more", [(), ("diff_augment=[color, translation, cutout]", "adaptive_augment=0.6")])
def test_recorded_steps_do_what_eager_ones_do(more: tuple[str, ...], tmp_path: Path, monkeypatch: Any) -> None:
    """Both kinds of step, with and without a penalty, and noise that follows from the position."""
    replays: list[int] = []
    replay = torch.cuda.CUDAGraph.replay
    monkeypatch.setattr(torch.cuda.CUDAGraph, "replay", lambda graph: (replays.append(1), replay(graph))[1])
    eager = ticks(tmp_path / "eager", *more)
    assert not replays
    recorded = ticks(tmp_path / "recorded", *more, "launch.graphs=true")
    assert len(replays) == 30 - 2 * 3
    for one, other in zip(eager, recorded, strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            assert other[name] == pytest.approx(value, rel=0.02, abs=0.02), name


def test_a_step_that_waits_for_the_host_runs_as_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = Stepper._both

    def waiting(self: Stepper, *inputs: Any, **kind: Any) -> Any:
        terms = whole(self, *inputs, **kind)
        float(next(iter(terms.values())))
        return terms

    monkeypatch.setattr(Stepper, "_both", waiting)
    settings = gan["settings"](*GPU, "launch.graphs=true")
    assert train(Workspace(tmp_path), settings, gan["draw_faces"]()).finished
    assert "launch.graphs is off: this training cannot be recorded" in capsys.readouterr().err.replace("\n", " ")
