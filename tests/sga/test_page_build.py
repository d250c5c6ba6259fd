"""The committed page is what its sources give, and the ports to JavaScript equal the original. Needs node and a registry."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from sga import FaceModel
from sga.generation.critic import quantise
from sga.generation.rng import Position, below, id_subject, seed_subject, truncated_normal, words
from sga.model_folder import ModelFolder
from sga.web import DIST, page_files

SOURCE = Path(__file__).parents[2] / "sga" / "web" / "source"  # an installed package has none
COPIED = ("node_modules", "test-build")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources with their packages installed."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node is not installed: https://nodejs.org, 20.19 or newer")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip()
    if tuple(map(int, version.lstrip("v").split(".")[:2])) < (20, 19):
        pytest.skip(f"node {version} is too old: https://nodejs.org, 20.19 or newer")
    web = tmp_path_factory.mktemp("web")
    copy = Path(shutil.copytree(SOURCE, web / "source", ignore=shutil.ignore_patterns(*COPIED)))
    try:
        install = npm(copy, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1", "--fetch-timeout=30000")
    except subprocess.TimeoutExpired:
        pytest.skip("npm ci took too long, which needs a network")
    if install.returncode:
        pytest.skip(f"npm ci did not work, which needs a network: {install.stderr.strip()[-300:]}")
    return copy


def npm(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    words = ["npm", *arguments]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=600, env={**os.environ, "NO_COLOR": "1"})


def contents(folder: Path) -> dict[str, bytes]:
    """Files by relative path; what is packed is compared unpacked, for zlib may pack differently elsewhere."""
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: gzip.decompress(content) if name.endswith(".bin") else content for name, content in found.items()}


def test_the_committed_page_is_what_the_sources_give(source: Path) -> None:
    built = npm(source, "run", "build")
    assert built.returncode == 0, built.stdout + built.stderr
    # Packed sizes stand in the worker, and another zlib may give others; the name of each file follows from its content.
    mine, theirs = contents(source.parent / "dist"), contents(DIST)
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if mine[name] != theirs[name]] == []


def test_the_ports_equal_the_original(source: Path, model_path: Path, tmp_path: Path) -> None:
    model = FaceModel.load(model_path)
    files = page_files(ModelFolder.load(model_path), model)
    for name in ("model.json", json.loads(files["model.json"])["files"]["arrays"]["path"]):
        (tmp_path / Path(name).name).write_bytes(files[name])
    (tmp_path / "vectors.json").write_text(json.dumps(vectors(model)), encoding="utf-8")
    words = ["npm", "test"]
    environment = {**os.environ, "SGA_VECTORS": str(tmp_path), "NO_COLOR": "1"}
    done = subprocess.run(words, cwd=source, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "# pass" in done.stdout or "ℹ pass" in done.stdout
    assert "skipped 0" in done.stdout


def vectors(model: FaceModel) -> dict[str, object]:
    """What Python says, for the tests in `source/test`."""
    positions = [
        Position(seed_subject(7), 0, 0),
        Position(seed_subject(2**64 - 1), 99, 63),
        Position(id_subject("はなこ"), 0, 1),
    ]
    asked = [
        {"subject": one.subject, "index": one.index, "attempt": one.attempt, "words": [str(w) for w in words("noise", one, 9)]}
        | {"normal": truncated_normal("noise", one, 700).tolist(), "below": [below("row", one, n) for n in (2, 3, 60, 12137)]}
        for one in positions
    ]
    avatars = []
    for identity in ("Ada", "user-1", "user-2", "😀", "x" * 300):
        latents = model.avatar_latents(identity)
        score = model._critic(quantise([latents], model.spec.gender.size))[0] if model._critic else 0
        avatars.append(
            {"identity": identity, "attempt": model.avatar_attempt(identity), "score": int(score), "gender": latents.gender}
            | {"noise": latents.noise.tolist(), "style": latents.style.tolist(), "text": latents.to_text()}
        )
    floats = np.array([0.0, -0.0, 1.0, -1.5, 0.1, 1 / 3, 1e-4, 9.9e-5, 1.5e-7, 2.0**-24, 123456.0, 0.30000001], np.float32)
    return {"positions": asked, "avatars": avatars, "floats": [[float(one), str(one)] for one in floats]}
