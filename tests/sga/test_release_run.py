"""A rehearsal of `sga run release` on sample faces: the same YAML at tiny sizes, in slices of seconds, killed in between, with
people's labels in the middle, ends in the model folder of a run that was never interrupted."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file

from classifiers.runtime import Stopped, stop_after
from configs.loader import load_settings
from labeling.schema import Schema
from labeling.workspace import STAGES, Workspace
from sga.cli.main import main
from sga.model_folder import ModelFolder
from sga.pipeline import PipelineSettings, run

ROOT = Path(__file__).parents[2]
LAUNCH = "launch={accelerator: cpu, precision: '32', threads: 1, graphs: true}"
TINY = "{backbone: resnet10t, arguments: {channels: [8, 16, 16, 32]}}"
FIT = ("fit.images=32", "fit.batch=16")
SIZES: dict[str, list[str]] = {
    "ensemble": [LAUNCH, *FIT, "folds=2", *(f"members.{name}={TINY}" for name in ("resnet", "densenet", "seresnet"))],
    "sfn": [LAUNCH, *FIT, f"backbone={TINY}", "hidden=32"],
    "gan": [
        *(LAUNCH, "size=64", "images=32", "batch=8", "preview_columns=2", "tick_images=16", "checkpoint_images=16"),
        "generator.arguments={channels: 8, blocks: 1, up_channels: [8, 8, 8], last_kernel: 3}",
        "discriminator.arguments={widths: [8, 16], blocks: [0, 0]}",
        "warm_start={images: 32, batch: 8, channels: 8, layers: 2}",
    ],
    "quality": [LAUNCH, *FIT, "folds=2"],
    "model": ["critic_samples=64", "max_attempts=2", "small_judge=null"],
    "evaluation": [
        *(LAUNCH, "count=6", "sheet=4", "nearest=0", "table_faces=0", "kid_subsets=2", "diversity_conditions=0"),
        *("referee.fit.images=32", "referee.fit.batch=16", "max_attempts=2"),
    ],
}
KEPT = ("gender", "hair_color", "smile", "quality")
"""Attributes of the rehearsal; nobody has labelled the quality of a face."""


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The release at tiny sizes: a YAML that extends it."""
    folder = tmp_path_factory.mktemp("release")
    whole = Schema.load("moe34")
    schema = {"name": "tiny", "attributes": [whole[name].model_dump(mode="json") for name in KEPT]}
    (folder / "schema.yaml").write_text(yaml.safe_dump(schema))
    ignored = [name for name in whole.names if name not in KEPT[:-1]]
    rehearsal = {
        "extends": "release",
        "samples": {"count": 96, "size": 64, "hidden": 0.3, "male": 0.4, "workers": 1},
        "ingest": {
            "schema_name": str(folder / "schema.yaml"),
            "size": 64,
            "ignore": ignored,
            "human": [],
            "drop": [],
            "workers": 1,
        },
        "ask": 24,
        "overrides": SIZES,
    }
    (folder / "rehearsal.yaml").write_text(yaml.safe_dump(rehearsal))
    return folder / "rehearsal.yaml"


def settings(preset: Path, labels: Path | None = None) -> PipelineSettings:
    return load_settings(PipelineSettings, "run", preset, [] if labels is None else [f"quality_labels=[{labels}]"])


def fill_in(workspace: Path) -> Path:
    """What a person does: a level for every face of the CSV."""
    path = workspace / "quality" / "to-label-0.csv"
    with path.open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 24
    out = workspace.parent / "labelled.csv"
    with out.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, rows[0].keys())
        writer.writeheader()
        writer.writerows({**row, "quality": ("low", "high", "median")[place % 3]} for place, row in enumerate(rows))
    return out


def states(workspace: Path) -> dict[str, str]:
    return {name: Workspace(workspace).state(name) for name in STAGES}


@pytest.fixture(scope="module")
def whole(preset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without a stop, labelled in the middle."""
    root, said = tmp_path_factory.mktemp("whole") / "workspace", []
    run(Workspace(root), settings(preset), said.append, progress=False)
    assert states(root) == {**dict.fromkeys(STAGES, "done"), "quality": "started", "model": "missing"}
    waits = next(line for line in said if "waits for people" in line)
    assert f"--set 'quality_labels=[{root / 'quality' / 'to-label-0.csv'}]'" in waits
    assert said[-1] == "evaluation: sga evaluate"
    assert json.loads((root / "evaluation" / "report.json").read_text())["facts"]["model"] is None
    labels = fill_in(root)
    run(Workspace(root), settings(preset, labels), said.append, progress=False)
    assert said[-3:] == ["quality: sga quality tune", "model: sga export", "evaluation: sga evaluate"]
    assert states(root) == dict.fromkeys(STAGES, "done")
    return root


def in_slices(root: Path, wanted: PipelineSettings, seconds: float) -> int:
    """Run until nothing is left; returns how many slices that took."""
    for count in range(1, 500):
        try:
            with stop_after(seconds):
                run(Workspace(root), wanted, lambda line: None, progress=False)
            return count
        except Stopped:
            continue
    raise AssertionError("the slices make no progress")


def command(root: Path, preset: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "sga.cli.main", "run", str(preset), "--workspace", str(root), *options]


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def sliced(preset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run: killed in its first training, stopped by its time, then in slices that are over at once."""
    root = tmp_path_factory.mktemp("sliced") / "workspace"
    child = subprocess.Popen(
        command(root, preset), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    deadline = time.monotonic() + 300
    while not list(root.glob("ensemble/*/fold0.safetensors")) and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL, errors[-2000:]

    words = command(root, preset, "--stop-after", "0.01s")[3:]
    with pytest.raises(SystemExit) as end, redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as said:
        main(words)
    assert end.value.code == 75
    assert "Stopped as the time was up and saved. Type the same command to go on." in said.getvalue()
    assert in_slices(root, settings(preset), 0) > 10
    labels = fill_in(root)
    assert in_slices(root, settings(preset, labels), 0) > 5
    return root


def without_times(path: Path) -> Any:
    """A JSON file without what tells when, how long and where."""

    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            times = {"started", "finished", "hours", "seconds", "paths"}
            return {key: clean(item) for key, item in value.items() if key not in times and not key.endswith("card.md")}
        return [clean(item) for item in value] if isinstance(value, list) else value

    return clean(json.loads(path.read_text()))


def test_the_model_folder_is_that_of_the_run_without_a_stop(whole: Path, sliced: Path) -> None:
    ours, theirs = whole / "model", sliced / "model"
    names = sorted(path.name for path in ours.iterdir())
    assert names == sorted(path.name for path in theirs.iterdir())
    assert {"generator.onnx", "judge.onnx", "styles.npz", "critic.npz", "quality-labels.csv"} <= set(names)
    for name in set(names) - {"model.json", "card.md", "stage.json"}:
        assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name
    assert without_times(ours / "model.json") == without_times(theirs / "model.json")
    ModelFolder.load(theirs)


def test_so_is_all_that_it_was_made_from(whole: Path, sliced: Path) -> None:
    weights = sorted(path.relative_to(whole) for path in whole.glob("*/**/*.safetensors"))
    assert len(weights) >= 6 + 4  # the ensemble's, the style feature network, the generator, the judge, the referee
    for path in weights:  # the order of the header's entries is chance
        ours, theirs = load_file(whole / path), load_file(sliced / path)
        assert ours.keys() == theirs.keys()
        assert all(value.equal(theirs[name]) for name, value in ours.items()), path
    reports = [without_times(root / "evaluation" / "report.json") for root in (whole, sliced)]
    assert reports[0]["facts"]["model"].pop("hash") != reports[1]["facts"]["model"].pop("hash")  # model.json tells the time
    assert reports[0] == reports[1]
    assert not [
        path for path in sliced.rglob("*") if path.name.endswith((".tmp", "checkpoint.pt")) and path.parent.name != "gan"
    ]


def test_a_finished_release_does_nothing(whole: Path, preset: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*") if path.is_file()}
    said: list[str] = []
    run(Workspace(whole), settings(preset, whole.parent / "labelled.csv"), said.append, progress=False)
    assert said == [*(f"{name}: done" for name in STAGES), "evaluation: done"]
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_another_generator_is_evaluated_again(whole: Path, preset: Path, copy_of: Callable[[Path], Path]) -> None:
    from sga.pipeline import make_steps

    root = copy_of(whole)
    wanted = settings(preset, whole.parent / "labelled.csv")
    step = make_steps(Workspace(root), wanted, progress=False)["evaluation"]
    assert step.done()
    shutil.copy(root / "gan" / "generator.safetensors", root / "kept")
    (root / "gan" / "generator.safetensors").write_bytes(b"another")
    assert not step.done()
    shutil.copy(root / "kept", root / "gan" / "generator.safetensors")
    other = wanted.model_copy(update={"overrides": {**SIZES, "evaluation": [*SIZES["evaluation"], "count=8"]}})
    assert not make_steps(Workspace(root), other, progress=False)["evaluation"].done()


def test_the_release_fits_its_frame() -> None:
    """What ships stays below 25 MB; nothing is fetched from a network; people are asked for enough labels."""
    from classifiers.ensemble import EnsembleSettings
    from classifiers.sfn import SfnSettings, StyleFeatureNetwork
    from sga.models import make_network
    from sga.training import GanSettings

    wanted = load_settings(PipelineSettings, "run", "release")
    assert wanted.ask >= 1500
    gan = load_settings(GanSettings, "gan", wanted.gan, wanted.overrides["gan"])
    sfn = load_settings(SfnSettings, "sfn", wanted.sfn)
    assert not sfn.pretrained
    assert not load_settings(EnsembleSettings, "ensemble", wanted.ensemble).pretrained
    networks = (
        make_network("generator", gan.generator.name, **gan.network_arguments("generator")),
        StyleFeatureNetwork.build(Schema.load("faces"), sfn),
    )
    halves = sum(2 * parameter.numel() for network in networks for parameter in network.parameters())
    styles = 2 * 20_000 * gan.style_size
    assert halves + styles < 24e6
