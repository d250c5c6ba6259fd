"""Training the upscaler: resume, stop, the discriminator; what is measured, drawn and exported of it; and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from classifiers.runtime import Stopped, load_checkpoint, stop_after
from configs.errors import DivergedError, InputError, WorkspaceError
from configs.files import hold
from labeling.workspace import Workspace
from sga.cli import main as cli
from sga.generation.enlarge import Enlarger
from sga.model_folder import UPSCALER, ModelFolder
from sga.upscale import UpscaleSettings
from sga.upscale.data import load_originals, read_originals
from sga.upscale.measure import MeasureSettings, measure, report
from sga.upscale.training import train_upscaler

ROOT = Path(__file__).parents[2]
TINY: dict[str, Any] = {
    **{"channels": 8, "blocks": 1, "images": 48, "batch": 8, "crop": 16, "tick_images": 16},
    "launch": {"accelerator": "cpu", "precision": "32", "threads": 1},
}


def settings(**changes: Any) -> UpscaleSettings:
    return UpscaleSettings.model_validate({**TINY, **changes})


def space(faces: Path, root: Path) -> Workspace:
    """A workspace of its own with the faces of another."""
    root.mkdir(parents=True)
    (root / "faces").symlink_to(faces / "faces")
    shutil.copyfile(faces / "labels.parquet", root / "labels.parquet")
    return Workspace(root)


def state(workspace: Workspace) -> dict[str, Any]:
    stored = load_checkpoint(workspace.root / "upscale" / "checkpoint.pt")
    assert stored is not None
    return stored


def same(left: Any, right: Any) -> bool:
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    return torch.equal(left, right) if isinstance(left, torch.Tensor) else left == right


def sga(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stop:
        cli.main([str(argument) for argument in arguments])
    return int(stop.value.code or 0)


@pytest.fixture(scope="module")
def straight(faces_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = space(faces_workspace, tmp_path_factory.mktemp("straight") / "w")
    assert train_upscaler(workspace, settings(), progress=False).images == 48
    return workspace


@pytest.fixture(scope="module")
def learned(faces_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Trained for long enough to beat the filters on drawn faces."""
    workspace = space(faces_workspace, tmp_path_factory.mktemp("learned") / "w")
    wanted = settings(channels=16, blocks=2, images=6400, batch=16, learning_rate=4e-3, degradation={"plain": 1.0})
    train_upscaler(workspace, wanted, progress=False)
    return workspace


# -- training ------------------------------------------------------------------------------------------------------------------


def test_what_a_training_leaves(straight: Workspace) -> None:
    folder = straight.root / "upscale"
    lines = [json.loads(line) for line in (folder / "stats.jsonl").read_text().splitlines()]
    assert [line["images"] for line in lines] == [16, 32, 48]
    assert all({"loss/pixel", "loss/edge", "learning_rate"} <= line.keys() for line in lines)
    assert "loss/adversarial" not in lines[0]
    assert json.loads((folder / "upscaler.json").read_text())["images"] == 48
    assert (folder / UPSCALER).stat().st_size < 40_000
    assert not list(folder.glob(".*.tmp"))


@pytest.mark.parametrize("adversarial", [0.0, 0.05])
def test_a_stopped_training_ends_in_the_same_weights(
    adversarial: float, straight: Workspace, faces_workspace: Path, tmp_path: Path
) -> None:
    wanted = settings(weights={"adversarial": adversarial})
    if adversarial:
        straight = space(faces_workspace, tmp_path / "straight")
        train_upscaler(straight, wanted, progress=False)
        terms = json.loads((straight.root / "upscale" / "stats.jsonl").read_text().splitlines()[-1])
        assert {"loss/discriminator", "loss/adversarial"} <= terms.keys()
    workspace = space(faces_workspace, tmp_path / "stopped")
    seen = []
    for _ in range(20):
        try:
            with stop_after(0):  # a step in each call
                train_upscaler(workspace, wanted, progress=False)
            break
        except Stopped:
            seen.append(state(workspace)["seen"])
            assert not (workspace.root / "upscale" / UPSCALER).exists()
    assert seen == [8, 16, 24, 32, 40]
    assert same(state(workspace), state(straight))
    for name in ("upscaler.safetensors", UPSCALER):
        assert (workspace.root / "upscale" / name).read_bytes() == (straight.root / "upscale" / name).read_bytes()


def test_the_discriminator_learns_and_changes_the_network(faces_workspace: Path, straight: Workspace, tmp_path: Path) -> None:
    """Two steps of each."""
    runs = {}
    for weight in (0.0, 1.0):
        workspace = space(faces_workspace, tmp_path / str(weight))
        train_upscaler(workspace, settings(images=16, weights={"adversarial": weight}), progress=False)
        runs[weight] = state(workspace)
    assert "discriminator" not in runs[0.0]
    assert not same(runs[0.0]["network"], runs[1.0]["network"])
    steps = {value["step"].item() for value in runs[1.0]["discriminator/optimizer"]["state"].values()}
    assert steps == {2.0}


def test_sigterm_saves_and_the_same_command_goes_on(faces_workspace: Path, tmp_path: Path) -> None:
    workspace = space(faces_workspace, tmp_path / "w")
    sets = ["images=100000000", "checkpoint_seconds=1e9", "launch.accelerator=cpu", "launch.threads=1", "launch.precision=32"]
    words = [sys.executable, "-m", "sga.cli.main", "upscale", "train", "--preset", "smoke", "--workspace", str(workspace.root)]
    words += [word for one in sets for word in ("--set", one)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True)
    stats = workspace.root / "upscale" / "stats.jsonl"
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None and not (stats.is_file() and stats.stat().st_size):
        time.sleep(0.05)
    assert stats.is_file(), "the training did not begin"
    process.send_signal(signal.SIGTERM)
    told = process.communicate(timeout=300)[1]
    assert process.returncode == 130, told
    assert "Type the same command to go on." in told
    assert state(workspace)["seen"] >= 32


def test_refusals(straight: Workspace, faces_workspace: Path, tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="Remove it to train an upscaler anew"):
        train_upscaler(straight, settings(learning_rate=2e-3), progress=False)
    with pytest.raises(InputError, match=r"Expected crops of at most 32 px.*found 33.*--set crop=32"):
        train_upscaler(space(faces_workspace, tmp_path / "w"), settings(crop=33), progress=False)
    with pytest.raises(WorkspaceError, match="sga ingest"):
        train_upscaler(Workspace(tmp_path / "none"), settings(), progress=False)
    with pytest.raises(DivergedError, match="--set learning_rate="):
        train_upscaler(space(faces_workspace, tmp_path / "far"), settings(learning_rate=1e30), progress=False)
    busy = space(faces_workspace, tmp_path / "busy")
    with (
        hold(busy.root / "upscale" / ".lock"),
        pytest.raises(InputError, match="found another sga upscale train"),
    ):
        train_upscaler(busy, settings(), progress=False)
    assert [path.name for path in (busy.root / "upscale").iterdir()] == [".lock"]


# -- measuring -----------------------------------------------------------------------------------------------------------------


def test_what_is_learnt_is_more_than_the_filters_give(learned: Workspace) -> None:
    upscaler = Enlarger((learned.root / "upscale" / UPSCALER).read_bytes())
    held_out = load_originals(learned, "test").images
    rows = measure(upscaler, held_out, MeasureSettings(scales=(2,)))
    plain, realistic = rows
    assert (plain.degradation, plain.scale, plain.n) == ("plain", 2, len(held_out))
    assert plain.gains["bicubic"]["psnr"].low > 0.3
    assert plain.gains["bicubic"]["psnr"].low < plain.gains["bicubic"]["psnr"].value < plain.gains["bicubic"]["psnr"].high
    assert plain.means["Lanczos"]["psnr"] > plain.means["bicubic"]["psnr"]  # as it is known to be
    assert realistic.means["bicubic"]["psnr"] < plain.means["bicubic"]["psnr"]
    assert f"| plain | 2× | {len(held_out)} | bicubic |" in report(rows)


def test_measure_and_draw_on_the_command_line(learned: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sga("upscale", "measure", "--workspace", learned.root, "--faces", "4") == 0
    assert "| plain | 4× | 4 | ours |" in capsys.readouterr().out
    found = json.loads((learned.root / "upscale" / "measured.json").read_text())
    assert [(row["degradation"], row["scale"]) for row in found["rows"]] == [
        *(("plain", 2), ("realistic", 2)),
        *(("plain", 4), ("realistic", 4)),
    ]
    pictures = [tmp_path / "wide.png", tmp_path / "clear.png"]
    image = load_originals(learned, "test").images[0]
    Image.fromarray(np.concatenate([image, image], axis=1)).save(pictures[0])
    Image.new("RGBA", (20, 30), (255, 0, 0, 0)).save(pictures[1])
    out = tmp_path / "out"
    draw = ["upscale", "draw", *pictures, "--scale", "4", "--workspace", learned.root, "--out", out, "--compare"]
    assert sga(*draw) == 0
    assert sorted(path.name for path in out.iterdir()) == ["clear-4x.png", "compare.png", "wide-4x.png"]
    with Image.open(out / "wide-4x.png") as wide, Image.open(out / "clear-4x.png") as clear:
        assert (wide.size, clear.size) == ((512, 256), (80, 120))
        assert np.asarray(clear).min() > 250  # transparent is white
    assert sga("upscale", "measure", "--workspace", learned.root, "--pictures", pictures[0], "--faces", "1") == 0
    assert sga("upscale", "measure", "--workspace", learned.root, "--pictures", tmp_path, "--faces", "1") == 2
    assert "Expected pictures of one size" in capsys.readouterr().err


def test_refusals_on_the_command_line(
    learned: Workspace, model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "face.png"
    Image.new("RGB", (20, 20)).save(picture)
    for added, sentence in (
        (["--scale", "3", "--workspace", learned.root], "Expected a scale of 2 or 4, found 3."),
        (["--model", model_path], "Expected a model with an upscaler, found tiny without."),
        (["--workspace", tmp_path], "Expected an upscaler at"),
        (["--workspace", learned.root, "--model", model_path], "Expected --model or --workspace, found both."),
        ([tmp_path / "none.png", "--workspace", learned.root], "Expected a picture at"),
        ([picture, "--workspace", learned.root], "Expected pictures of different names"),
    ):
        assert sga("upscale", "draw", picture, "--out", tmp_path / "out", *added) == 2
        told = capsys.readouterr().err
        assert told.startswith(f"sga: {sentence}")
        assert not (tmp_path / "out").exists()


def test_pictures_of_a_damaged_file_are_named(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"broken\.png"):
        read_originals([tmp_path])


# -- the model folder ----------------------------------------------------------------------------------------------------------


def test_the_export_takes_the_upscaler_along(
    gan_workspace: Path,
    straight: Workspace,
    tiny_settings: dict[str, dict[str, Any]],
    copy_of: Callable[[Path], Path],
) -> None:
    from classifiers.quality import QualitySettings, tune
    from sga.export.model import ExportSettings, export

    root = copy_of(gan_workspace)
    wanted = {**tiny_settings["quality"], "fit": {**tiny_settings["quality"]["fit"], "images": 64}}
    tune(Workspace(root), QualitySettings.model_validate(wanted), progress=False)
    plain = export(Workspace(root), ExportSettings(critic=False), progress=False)
    assert UPSCALER not in plain.spec.files
    shutil.copytree(straight.root / "upscale", root / "upscale")
    assert sga("upscale", "measure", "--workspace", root, "--faces", "3") == 0
    folder = export(Workspace(root), ExportSettings(critic=False), progress=False)
    assert "- 4x, made small in a realistic way: " in (folder.path / "card.md").read_text()
    assert folder.read(UPSCALER) == (straight.root / "upscale" / UPSCALER).read_bytes()
    assert folder.drawing_hash == plain.drawing_hash
    assert folder.hash != plain.hash
    (folder.path / UPSCALER).write_bytes(b"other")
    with pytest.raises(Exception, match="SHA-256"):
        ModelFolder.load(folder.path).read_all()
    shutil.rmtree(root / "upscale")
    assert UPSCALER not in export(Workspace(root), ExportSettings(critic=False), progress=False).spec.files
