import json
import resource
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from configs.errors import ConfigError, DivergedError, InputError, WorkspaceError
from labeling.workspace import Workspace
from sga.training import TrainingFaces, load_generator, train
from sga.training.data import RealBatch
from sga.training.loop import slow_on_cpu
from sga.training.snapshot import save_weights
from sga.training.state import open_run

SCRIPT = Path(__file__).with_name("gan_run.py")
gan = runpy.run_path(str(SCRIPT))


def run(root: Path, *overrides: str, accept_changes: bool = False) -> Any:
    return train(
        Workspace(root), gan["settings"](*overrides), gan["draw_faces"](), accept_changes=accept_changes, progress=False
    )


def checkpoint(root: Path) -> dict[str, Any]:
    return torch.load(root / "gan" / "checkpoint.pt", weights_only=True)


def ticks(root: Path) -> list[dict[str, float]]:
    lines = (root / "gan" / "stats.jsonl").read_text().splitlines()
    return [{name: value for name, value in json.loads(line).items() if not name.startswith("time/")} for line in lines]


def assert_same(left: Any, right: Any, place: str = "") -> None:
    """Equal bit for bit, tensors included."""
    if isinstance(left, dict):
        assert left.keys() == right.keys(), place
        for key in left:
            assert_same(left[key], right[key], f"{place}/{key}")
    elif isinstance(left, (list, tuple)):
        assert len(left) == len(right), place
        for number, (one, other) in enumerate(zip(left, right, strict=True)):
            assert_same(one, other, f"{place}/{number}")
    elif isinstance(left, torch.Tensor):
        assert torch.equal(left, right), place
    else:
        assert left == right, place


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("straight")
    result = run(root)
    assert (result.images, result.finished) == (40, True)
    return root


def test_a_run_writes_all_it_promises(straight: Path) -> None:
    folder = straight / "gan"
    assert [tick["images"] for tick in ticks(straight)] == [12, 24, 36, 40]
    terms = {"adversarial", "gender", "style", "penalty"}
    assert {f"D/{term}" for term in terms} | {f"G/{term}" for term in terms - {"penalty"}} <= ticks(straight)[0].keys()
    assert sorted(path.name for path in (folder / "preview").iterdir()) == ["0000000.png", "0000040.png", "conditions.npz"]
    with Image.open(folder / "preview" / "0000040.png") as image:
        assert image.size == (3 * 16, 6 * 16)
    record = Workspace(straight).require("gan")
    assert record["images"] == 40
    assert record["settings"]["learning_rate"] == 2e-4
    assert any((folder / "tensorboard").iterdir())
    assert not list(folder.rglob(".*.tmp"))


def test_the_snapshot_is_the_averaged_generator(straight: Path) -> None:
    generator = load_generator(straight / "gan")
    stored = checkpoint(straight)
    assert not generator.training
    assert_same(dict(generator.state_dict()), dict(stored["average"]))
    assert not torch.equal(stored["average"]["last.weight"], stored["generator"]["last.weight"])
    described = json.loads((straight / "gan" / "generator.json").read_text())
    assert described["schema"] == json.loads(gan["SCHEMA"].to_json())
    with np.load(straight / "gan" / "preview" / "conditions.npz") as conditions:
        inputs = [torch.from_numpy(conditions[name]) for name in ("noise", "gender", "style")]
    drawn = generator(*inputs).add(1).mul(127.5).round().byte().permute(0, 2, 3, 1)
    with Image.open(straight / "gan" / "preview" / "0000040.png") as image:
        preview = np.asarray(image)
    assert np.array_equal(preview[:16, :16], drawn[0].numpy())
    assert np.array_equal(preview[16:32, 32:48], drawn[5].numpy())


def test_both_networks_and_the_average_move(straight: Path, tmp_path: Path) -> None:
    run(tmp_path, "images=4")
    early, late = checkpoint(tmp_path), checkpoint(straight)
    for network in ("generator", "discriminator", "average"):
        for name, value in early[network].items():
            assert not torch.equal(value, late[network][name]), name


def test_a_finished_run_can_be_lengthened_and_equals_a_long_one(straight: Path, tmp_path: Path) -> None:
    first = run(tmp_path, "images=20")
    assert (first.images, first.finished) == (20, True)
    before = checkpoint(tmp_path)["generator"]["last.weight"]
    run(tmp_path, "images=20")
    assert torch.equal(before, checkpoint(tmp_path)["generator"]["last.weight"])
    run(tmp_path, "tick_images=400", "checkpoint_images=8")
    for part in ("generator", "discriminator", "average", "generator_optimiser", "discriminator_optimiser"):
        assert_same(checkpoint(tmp_path)[part], checkpoint(straight)[part], part)


@contextmanager
def endless(root: Path, *overrides: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that trains in `root` and has written its first checkpoint."""
    command = [sys.executable, str(SCRIPT), str(root), "images=100000000", "checkpoint_images=20", *overrides]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            path, deadline = root / "gan" / "checkpoint.pt", time.monotonic() + 300
            while not path.is_file() and child.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            assert path.is_file(), "the training did not begin"
            yield child
        finally:
            child.kill()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_interrupted_run_goes_on_exactly(number: signal.Signals, tmp_path: Path) -> None:
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    with endless(broken, "penalty_interval=3") as child:
        child.send_signal(number)
        output, errors = child.communicate(timeout=120)
    seen = checkpoint(broken)["position"]["seen"]
    if number == signal.SIGKILL:
        assert child.returncode == -signal.SIGKILL
        assert seen % 20 == 0
    else:  # stopped between two steps, saved, and said so
        assert (child.returncode, output.strip()) == (0, "False"), errors
        with pytest.raises(WorkspaceError, match="sga train"):
            Workspace(broken).require("gan")
    end = f"images={seen + 28}"
    run(broken, end, "checkpoint_images=20", "penalty_interval=3")
    run(whole, end, "penalty_interval=3")
    left, right = checkpoint(broken), checkpoint(whole)
    for part in left.keys() - {"settings", "clock"}:
        assert_same(left[part], right[part], part)
    assert ticks(broken) == ticks(whole)
    assert not list(broken.rglob(".*.tmp"))


def test_two_trainings_at_once_are_refused_and_the_first_is_not_disturbed(tmp_path: Path) -> None:
    with endless(tmp_path) as first:
        writing = tmp_path / "gan" / f".generator.json.{first.pid}.tmp.tmp"  # as if it were: its own are gone at once
        writing.touch()
        for _ in range(2):
            with pytest.raises(InputError, match=r"only one at work in .*gan, found another sga train\. Wait until it is done"):
                run(tmp_path, "images=20", "checkpoint_images=20")
        assert writing.exists()
        assert first.poll() is None
        first.send_signal(signal.SIGTERM)
        assert first.communicate(timeout=120)[0] == "False\n"
    seen = checkpoint(tmp_path)["position"]["seen"]
    assert [tick["images"] for tick in ticks(tmp_path)] == list(range(12, seen + 1, 12))
    assert run(tmp_path, f"images={seen + 4}").finished  # the lock went with the process
    assert not writing.exists()


def test_changed_settings_are_named(straight: Path) -> None:
    with pytest.raises(ConfigError, match=r"weights\.style to be 0\.3 .*found 0\.5.*--accept-changes"):
        run(straight, "weights.style=0.5")
    with pytest.raises(ConfigError, match=r"Expected noise_size to be 8 .*found 9. Set it back, or remove") as refused:
        run(straight, "noise_size=9", accept_changes=True)
    assert "--accept-changes" not in str(refused.value)
    run(straight, "learning_rate=0.001", "images=44", accept_changes=True)
    assert checkpoint(straight)["position"]["seen"] == 44


def test_other_faces_are_refused(tmp_path: Path) -> None:
    run(tmp_path, "images=4")
    with pytest.raises(WorkspaceError, match=r"faces, labels and styles.*sga train --accept-changes --workspace"):
        train(Workspace(tmp_path), gan["settings"]("images=8"), gan["draw_faces"](seed=1), progress=False)


def test_a_finished_run_goes_on_with_other_faces_as_its_error_says(tmp_path: Path) -> None:
    run(tmp_path, "images=20")
    space, other = Workspace(tmp_path), gan["draw_faces"](seed=1)
    space.finish("sfn", "of other labels", {})
    assert space.state("gan") == "stale"
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "gan").rglob("*") if path.is_file()}
    for accept, error in ((False, WorkspaceError), (True, ConfigError)):
        with pytest.raises(error, match=rf"sga train --accept-changes --set images=25 --workspace {tmp_path}$"):
            train(space, gan["settings"]("images=20"), other, accept_changes=accept, progress=False)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert train(space, gan["settings"]("images=25"), other, accept_changes=True, progress=False).finished
    assert space.state("gan") == "done"
    train(space, gan["settings"]("images=25"), other, progress=False)  # they are the run's own now


def test_a_finished_run_does_not_pretend_to_have_taken_a_setting(tmp_path: Path) -> None:
    run(tmp_path, "images=8")
    with pytest.raises(ConfigError, match=r"more images than the 8.*--set images=12 "):
        run(tmp_path, "images=8", "learning_rate=0.001", accept_changes=True)
    assert Workspace(tmp_path).require("gan")["settings"]["learning_rate"] == 2e-4
    assert run(tmp_path, "images=8", "tick_images=4").images == 8  # nothing that the weights depend on


def test_the_same_data_from_stages_done_again_is_done_at_once(tmp_path: Path) -> None:
    run(tmp_path, "images=8")
    space = Workspace(tmp_path)
    space.finish("sfn", "made again", {})
    assert space.state("gan") == "stale"
    run(tmp_path, "images=8")
    assert space.state("gan") == "done"


class Stopping(TrainingFaces):
    """Faces that run out after four steps."""

    def batch(self, rows: np.ndarray, device: torch.device) -> RealBatch:
        STEPS.append(len(rows))
        if len(STEPS) > 4:
            raise KeyboardInterrupt
        return super().batch(rows, device)


STEPS: list[int] = []


@pytest.mark.parametrize(("images", "warned"), [("images=1000000000000", True), ("images=400", False)])
def test_days_on_a_cpu_are_announced(images: str, warned: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    STEPS.clear()
    faces = Stopping(**vars(gan["draw_faces"]()))
    settings = gan["settings"](images, "penalty_interval=1", "anchor_interval=1")
    with pytest.raises(KeyboardInterrupt):
        train(Workspace(tmp_path), settings, faces)
    assert ("sga96-cpu is made for a CPU" in capsys.readouterr().err) == warned


def test_the_announced_days_are_those_of_the_measured_speed() -> None:
    note = slow_on_cpu(2.0, 2 * 86_400 * 12)
    assert note is not None
    assert note.startswith("About 12.0 days at 2.0 images/s")
    assert slow_on_cpu(2.0, 86_400) is None


def test_a_diverging_run_stops_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    run(tmp_path, "images=20")
    good, lines = (tmp_path / "gan" / "checkpoint.pt").read_bytes(), ticks(tmp_path)
    weights = (tmp_path / "gan" / "generator.safetensors").read_bytes()
    with pytest.raises(DivergedError, match="20 images is kept"):
        run(tmp_path, "images=100", "learning_rate=1e30", accept_changes=True)
    assert (tmp_path / "gan" / "checkpoint.pt").read_bytes() == good
    assert (tmp_path / "gan" / "generator.safetensors").read_bytes() == weights
    assert ticks(tmp_path) == lines
    run(tmp_path, "images=24")
    assert checkpoint(tmp_path)["position"]["seen"] == 24


def test_a_run_that_diverges_at_once_writes_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match="before the first checkpoint"):
        run(tmp_path, "images=100", "learning_rate=1e30")
    assert not (tmp_path / "gan" / "checkpoint.pt").exists()


def test_a_damaged_checkpoint_is_explained(tmp_path: Path) -> None:
    run(tmp_path, "images=4")
    path = tmp_path / "gan" / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(WorkspaceError, match="damaged"):
        run(tmp_path, "images=8")


def test_a_disk_that_refuses_keeps_the_old_checkpoint(tmp_path: Path) -> None:
    run(tmp_path, "images=4")
    path = tmp_path / "gan" / "checkpoint.pt"
    good, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(good) // 2, limits[1]))
    try:
        with pytest.raises(InputError, match=r"Expected to write .*checkpoint\.pt"):
            run(tmp_path, "images=8")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == good
    assert not list(tmp_path.rglob(".*.tmp"))
    assert run(tmp_path, "images=8").images == 8


def test_a_warm_start_is_loaded_into_generator_and_average(straight: Path, tmp_path: Path) -> None:
    settings = gan["settings"]("warm_start={}")
    with pytest.raises(WorkspaceError, match=r"warm_start\.safetensors"):
        open_run(None, tmp_path, settings, torch.device("cpu"))
    warm = load_generator(straight / "gan")
    save_weights(warm, tmp_path / "warm_start.safetensors")
    state = open_run(None, tmp_path, settings, torch.device("cpu"))
    for network in (state.generator, state.average):
        assert_same(dict(network.state_dict()), dict(warm.state_dict()))


@pytest.mark.parametrize(
    "overrides",
    [
        ("style_size=0", "weights.style=0", "style_prior=truncated_normal"),
        ("adversarial=hinge", "penalty=null", "weights.penalty=0", "discriminator.arguments.spectral_norm=true"),
        ("adversarial=relativistic", "penalty=r1", "weights.penalty=1", "classify_fakes=true"),
        ("diff_augment=[color, translation, cutout]", "balance_gender=1", "gender_prior=empirical", "launch.precision=32"),
        ("discriminator.arguments.minibatch_std=true", "discriminator_learning_rate=0.0004", "penalty_interval=1"),
    ],
    ids=["ga", "hinge", "relativistic", "augmented", "deviation"],
)
def test_every_option_trains(overrides: tuple[str, ...], tmp_path: Path) -> None:
    run(tmp_path, "images=12", *overrides)
    assert all(np.isfinite(list(tick.values())).all() for tick in ticks(tmp_path))
    assert (tmp_path / "gan" / "generator.safetensors").is_file()


def test_both_networks_learn_the_condition(tmp_path: Path) -> None:
    overrides = ("images=1200", "batch=8", "tick_images=400", "learning_rate=0.002", "diff_augment=[]", "balance_gender=0")
    run(tmp_path, *overrides, "penalty_interval=1", "decay_after=null", "checkpoint_images=1200")
    first, *_, last = ticks(tmp_path)
    for term in ("D/gender", "G/gender"):
        assert last[term] < 0.2 * first[term]
    for term in ("D/style", "D/penalty"):
        assert last[term] < 0.95 * first[term]
