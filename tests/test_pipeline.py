"""`sga run smoke`: the whole path on sample faces through the command line, `sga status` beside it, and drawing from its
model."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labeling.provenance import Source
from labeling.workspace import STAGES, Workspace
from sga.pipeline import status

ROOT = Path(__file__).parents[1]


def sga(*arguments: str, code: int = 0) -> str:
    """Run the command line in a process of its own, warnings as errors but those of other packages; returns stdout."""
    done = subprocess.run(
        [sys.executable, "-m", "sga.cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=1800,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == code, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    return done.stdout


def states(root: Path) -> dict[str, str]:
    return {stage.name: stage.state for stage in status(Workspace(root))}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace taken through all stages, interrupted once on the way."""
    root = tmp_path_factory.mktemp("run") / "workspace"
    text = sga("status", "--workspace", str(root))
    assert [line.split()[:2] for line in text.splitlines()[: len(STAGES)]] == [[name, "missing"] for name in STAGES]
    assert "Next: sga ingest PATH" in text

    arguments = [sys.executable, "-m", "sga.cli.main", "run", "smoke", "--workspace", str(root)]
    child = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    deadline = time.monotonic() + 900
    networks = root / "ensemble"
    while not list(networks.glob("*/fold*.safetensors")) and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    child.send_signal(signal.SIGKILL)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL, errors[-3000:]
    assert states(root) == {
        "faces": "done",
        "ensemble": "started",
        **dict.fromkeys(("sfn", "gan", "quality", "model"), "missing"),
    }
    kept = {path: path.stat().st_mtime_ns for path in networks.glob("*/fold*.safetensors")}

    text = sga("run", "smoke", "--workspace", str(root))
    assert kept
    assert {path: path.stat().st_mtime_ns for path in kept} == kept  # a finished network is not trained again
    assert text.splitlines()[0] == "faces: done"
    assert f"Next: sga generate --gender female --model {root / 'model'}" in text
    return root


def test_every_stage_is_done(finished: Path) -> None:
    text = sga("status", "--workspace", str(finished))
    assert [line.split()[:2] for line in text.splitlines()[: len(STAGES)]] == [[name, "done"] for name in STAGES]
    assert "unknown" in text  # the histograms of the labels
    table = Workspace(finished).table()
    for attribute in table.schema.with_role("gender", "style"):
        assert (table.sources(attribute.name) >= Source.COMPLETED).all(), attribute.name
    assert not list(finished.rglob(".*.tmp"))


def test_the_model_draws(finished: Path, tmp_path: Path) -> None:
    sga("generate", "--gender", "female", "--count", "2", "--model", str(finished / "model"), "--out", str(tmp_path / "faces"))
    files = sorted((tmp_path / "faces").rglob("*.png"))
    assert len(files) == 2
    for file in files:
        with Image.open(file) as image:
            assert (image.mode, image.size) == ("RGB", (96, 96))
            assert np.asarray(image).std() > 0


def test_the_model_carries_what_was_measured(finished: Path) -> None:
    spec = json.loads((finished / "model" / "model.json").read_text())
    rows = spec["metrics"]["classification"]["cells"]["gender"]
    assert list(rows) == ["resnet", "densenet", "seresnet", "ensemble", "SFN"]
    assert "sfn: finished" in (finished / "model" / "card.md").read_text()
    assert (finished / "gan" / "warm_start.safetensors").is_file()


def test_running_again_does_nothing(finished: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}
    text = sga("run", "smoke", "--workspace", str(finished))
    assert text.splitlines()[: len(STAGES)] == [f"{name}: done" for name in STAGES]
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()} == before


def test_other_labels_make_later_stages_stale(finished: Path, tmp_path: Path) -> None:
    import shutil

    root = Path(shutil.copytree(finished, tmp_path / "workspace", ignore=shutil.ignore_patterns("tensorboard", "*.onnx")))
    pictures = sorted((root / "samples" / "faces").iterdir())[:2]
    with Image.open(pictures[0]) as image:  # a face more
        image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "new.png")
    sga("ingest", str(tmp_path / "new.png"), "--workspace", str(root), "--schema", "moe34")
    assert states(root) == {"faces": "done", **dict.fromkeys(list(STAGES)[1:], "stale")}
    text = sga("status", "--workspace", str(root))
    assert f"Next: sga complete --workspace {root}" in text


def test_an_unknown_run_is_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sga.cli.main", "run", "smok", "--workspace", str(tmp_path / "workspace")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 2
    assert "Did you mean smoke?" in done.stderr
    assert not (tmp_path / "workspace").exists()
