"""Trainings that stop at a length, the clock that measures it, faces kept on a device, and ways of computing a step."""

import json
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from classifiers.data import Feed
from classifiers.runtime import load_checkpoint, stop_after
from classifiers.runtime.compiling import missing_to_compile
from labeling.workspace import Workspace
from sga.training import GanSettings, TrainingResult, train
from sga.training.clock import Clock
from sga.training.resident import ResidentFaces, resident
from sga.training.state import open_run

CPU = torch.device("cpu")
gan = runpy.run_path(str(Path(__file__).with_name("gan_run.py")))


def run(root: Path, *overrides: str, **arguments: Any) -> TrainingResult:
    return train(Workspace(root), gan["settings"](*overrides), gan["draw_faces"](), progress=False, **arguments)


def state(root: Path) -> dict[str, Any]:
    stored = load_checkpoint(root / "gan" / "checkpoint.pt")
    assert stored is not None
    return stored


def same(left: Any, right: Any) -> bool:
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    return torch.equal(left, right) if isinstance(left, torch.Tensor) else left == right


def assert_same_run(left: Path, right: Path) -> None:
    one, other = state(left), state(right)
    assert one.keys() == other.keys()
    for part in one.keys() - {"settings", "clock"}:
        assert same(one[part], other[part]), part


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("straight")
    assert run(root).finished
    return root


def test_a_training_stops_at_a_length_and_goes_on(straight: Path, tmp_path: Path) -> None:
    first = run(tmp_path, stop_after=10, measure="images")
    assert (first.images, first.finished) == (12, False)
    assert (tmp_path / "gan" / "generator.safetensors").is_file()
    assert Workspace(tmp_path).state("gan") == "started"
    again = run(tmp_path, stop_after=10, measure="images")  # it is there already: not a step more
    assert (again.images, again.finished) == (12, False)
    assert again.seconds == pytest.approx(first.seconds, abs=0.05)
    assert first.seconds > 0
    last = run(tmp_path)
    assert (last.images, last.finished) == (40, True)
    assert last.seconds > first.seconds
    assert_same_run(tmp_path, straight)


@pytest.mark.parametrize("measure", ["seconds", "cpu_seconds"])
def test_time_counts_over_all_calls(measure: Any, tmp_path: Path) -> None:
    spent = 0.0
    for _ in range(3):
        spent += 0.15
        result = run(tmp_path, "images=100000000", "checkpoint_images=100000000", stop_after=spent, measure=measure)
        assert not result.finished
        assert spent <= getattr(result, measure) < spent + 1
        assert state(tmp_path)["clock"][measure] == pytest.approx(getattr(result, measure), abs=0.05)


def test_the_time_of_the_command_stops_it_too(straight: Path, tmp_path: Path) -> None:
    calls = 0
    finished = False
    while not finished:
        with stop_after(0):
            finished = run(tmp_path).finished
        calls += 1
    assert calls == 10  # a step each
    assert_same_run(tmp_path, straight)


def test_previews_and_checkpoints_are_not_training(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("time.process_time", lambda: 2 * now[0])
    clock = Clock({"seconds": 100.0, "cpu_seconds": 50.0})
    now[0] = -5.0  # loading
    assert clock.totals() == {"seconds": 100.0, "cpu_seconds": 50.0}
    now[0] = 0.0
    clock.start()
    now[0] = 3.0
    with clock.paused(CPU):
        now[0] = 10.0
        assert clock.totals() == {"seconds": 103.0, "cpu_seconds": 56.0}  # as a checkpoint notes it
    now[0] = 11.0
    assert clock.now() == 4.0
    assert clock.totals() == {"seconds": 104.0, "cpu_seconds": 58.0}
    assert clock.since_save() == 11.0
    clock.saved()
    assert clock.since_save() == 0.0


@pytest.fixture(scope="module")
def warm(tiny_settings: dict[str, dict[str, Any]]) -> GanSettings:
    """With a warm start as a decoder."""
    return GanSettings.model_validate({**tiny_settings["gan"], "warm_start": {"images": 48, "batch": 8, "channels": 8}})


def test_a_warm_start_stops_and_its_time_counts(
    warm: GanSettings, sfn_workspace: Path, copy_of: Callable[[Path], Path], tmp_path: Path
) -> None:
    root, other = copy_of(sfn_workspace), Path(shutil.copytree(sfn_workspace, tmp_path / "other"))
    with stop_after(0):
        first = train(Workspace(root), warm, progress=False)
    assert (first.images, first.finished) == (0, False)
    stored = load_checkpoint(root / "gan" / "warm_start.checkpoint.pt")
    assert stored is not None
    assert stored["seen"] == 8  # a step, by which the time was over
    assert first.seconds == stored["clock"]["seconds"] > 0
    assert not train(Workspace(root), warm, progress=False, stop_after=first.seconds).finished
    again = load_checkpoint(root / "gan" / "warm_start.checkpoint.pt")
    assert again is not None
    assert again["seen"] == 8
    last = train(Workspace(root), warm, progress=False)
    noted = json.loads((root / "gan" / "warm_start.json").read_text())["clock"]
    assert noted["seconds"] > first.seconds
    assert last.seconds > noted["seconds"]
    assert last.finished
    assert train(Workspace(other), warm, progress=False).finished
    assert_same_run(root, other)


def test_faces_kept_on_a_device_are_those_of_the_memory_map(straight: Path, tmp_path: Path) -> None:
    """Also of a selection, with doubts and tags; and a training on them is the same, bit for bit."""
    whole = gan["draw_faces"](24)
    doubt, known = np.full((24, 2), 0.5, np.float32), np.ones_like(whole.style)
    more = type(whole)(**{**vars(whole), "style_weight": known, "gender_doubt": doubt})
    for faces in (whole, more, more.select(np.array([9, 2, 3, 20, 17]))):
        kept = ResidentFaces(faces, Feed(faces.images, CPU, resident=True))
        rows = np.array([4, 0, 3, 3])
        mapped, held = faces.batch(rows, CPU), kept.batch(rows, CPU)
        for name, value in vars(mapped).items():
            found = getattr(held, name)
            assert (value is None and found is None) or torch.equal(value, found), name
        assert kept.fingerprint() == faces.fingerprint()
    assert resident(whole, CPU) is whole
    faces = gan["draw_faces"]()
    kept = ResidentFaces(faces, Feed(faces.images, CPU, resident=True))
    train(Workspace(tmp_path), gan["settings"](), kept, progress=False)
    assert_same_run(tmp_path, straight)


def test_a_run_goes_on_whichever_adam_began_it(straight: Path, tmp_path: Path) -> None:
    """A checkpoint of another machine: its moments are taken over, how they are computed is not."""
    settings = gan["settings"]()
    stored = state(straight)
    other = open_run(None, tmp_path, settings, CPU)
    other.generator_optimiser = torch.optim.Adam(
        other.generator.parameters(), lr=torch.tensor(1e-3), betas=(0.5, 0.9), capturable=False
    )
    stored["generator_optimiser"]["param_groups"] = [
        {**other.generator_optimiser.state_dict()["param_groups"][0], "betas": settings.betas}
    ]
    state_now = open_run(stored, tmp_path, settings, CPU)
    (group,) = state_now.generator_optimiser.param_groups
    assert (group["fused"], group["capturable"], group["betas"]) == (True, False, settings.betas)
    assert isinstance(group["lr"], float)
    assert same(state_now.generator_optimiser.state_dict()["state"], state(straight)["generator_optimiser"]["state"])


def test_graphs_change_nothing_without_a_gpu(straight: Path, tmp_path: Path) -> None:
    run(tmp_path, "launch.graphs=true")
    assert_same_run(tmp_path, straight)


def test_without_a_compiler_a_training_goes_on(
    straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    train(Workspace(tmp_path), gan["settings"]("launch.compile=true"), gan["draw_faces"]())
    assert "launch.compile is off: torch.compile needs a C++ compiler" in capsys.readouterr().err.replace("\n", " ")
    assert_same_run(tmp_path, straight)


@pytest.mark.filterwarnings("ignore")  # torch hides its own warnings while it compiles, which turned into errors it cannot
@pytest.mark.skipif(bool(missing_to_compile(CPU)), reason="no C++ compiler here")
def test_a_compiled_training_goes_on_exactly(tmp_path: Path) -> None:
    """And comes close to the one that is not compiled."""
    compiled = ("launch.compile=true", "penalty_interval=3", "launch.precision=32")
    run(tmp_path / "whole", *compiled)
    run(tmp_path / "sliced", *compiled, stop_after=20, measure="images")
    assert run(tmp_path / "sliced", *compiled).finished
    assert_same_run(tmp_path / "sliced", tmp_path / "whole")
    run(tmp_path / "plain", *compiled[1:])
    ours, plain = (state(tmp_path / name)["tally"]["sums"] for name in ("whole", "plain"))
    for name, total in plain.items():
        torch.testing.assert_close(ours[name], total, rtol=2e-2, atol=2e-2)
