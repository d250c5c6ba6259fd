"""Two IDs, two faces: exact duplicates and nearest neighbours among 10,000 IDs, beside jdenticon. Not part of the tests; type:

pytest tests/benchmarks/test_avatars.py -o addopts=--import-mode=importlib

Half of the IDs are numbers that differ in their last digits alone, half are words. SGA_BENCH_IDS sets how many there are. The
distance is that of a registry: each picture averaged over 8 x 8 fields and colours, root mean square, in levels of 255. It sees
colours and their places, as one does who glances at a small avatar, and nothing finer. jdenticon (npm) draws the same IDs at
the same size on white in the same run; that is skipped where node or npm is absent.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sga import FaceModel
from sga.generation.registry import DEFAULT_DISTANCE, fingerprint, squared_distances

COUNT = int(os.environ.get("SGA_BENCH_IDS", 10_000))
JDENTICON = "jdenticon@3.3.0"
Figure = Callable[[str], None]
SCRIPT = """
const { toPng } = require("jdenticon"), fs = require("fs");
const [size, from, to] = process.argv.slice(2);
const out = fs.openSync(to, "w");
for (const id of fs.readFileSync(from, "utf8").split("\\n").filter(Boolean)) {
  const png = toPng(id, Number(size), { backColor: "#fff" }), length = Buffer.alloc(4);
  length.writeUInt32LE(png.length);
  fs.writeSync(out, length); fs.writeSync(out, png);
}
fs.closeSync(out);
"""


@dataclass(frozen=True, eq=False)
class Measured:
    """duplicates: pictures equal to an earlier one; nearest: (n,) distance to the nearest other; earlier: (n,) to the nearest
    earlier one; digit: median distance of IDs that differ in the last digit alone; median: of all pairs in a sample."""

    duplicates: int
    nearest: np.ndarray
    earlier: np.ndarray
    digit: float
    median: float

    def __str__(self) -> str:
        least, percent, middle = np.percentile(self.nearest, [0, 1, 50])
        return (
            f"{self.duplicates} exact duplicates of {len(self.nearest)}; nearest neighbour {least:.1f} at least, "
            f"{percent:.1f} for 1 %, {middle:.1f} median; any two {self.median:.1f} median, "
            f"the last digit apart {self.digit:.1f}"
        )


def identities() -> list[str]:
    numbers = [f"user-{number:05d}" for number in range(COUNT // 2)]
    return numbers + [hashlib.sha256(str(number).encode()).hexdigest()[:12] for number in range(COUNT - len(numbers))]


def measure(pictures: Iterable[np.ndarray]) -> Measured:
    """Keep a digest and a fingerprint of each (size, size, 3) uint8."""
    digests, prints = set(), []
    for picture in pictures:
        digests.add(hashlib.sha256(picture.tobytes()).digest())
        prints.append(fingerprint(picture))
    return _distances(len(digests), np.stack(prints))


def _distances(different: int, prints: np.ndarray) -> Measured:
    count, width = prints.shape
    nearest, earlier = np.empty(count), np.full(count, np.inf)
    for start in range(0, count, 500):
        apart = np.sqrt(squared_distances(prints[start : start + 500], prints) / width)
        rows = np.arange(len(apart))
        apart[rows, start + rows] = np.inf
        nearest[start : start + 500] = apart.min(axis=1)
        earlier[start : start + 500] = np.where(np.arange(count) < (start + rows)[:, None], apart, np.inf).min(axis=1)
    tens = prints[: count // 20 * 10].reshape(-1, 10, width).astype(float)  # user-00010 … user-00019
    digit = np.sqrt(((tens[:, :-1] - tens[:, 1:]) ** 2).mean(axis=2))
    some = np.random.default_rng(0).permutation(count)[:1000]
    median = np.median(np.sqrt(squared_distances(prints[some], prints[some]) / width)[np.triu_indices(len(some), 1)])
    return Measured(count - different, nearest, earlier, float(np.median(digit)), float(median))


def identicons(folder: Path, ids: list[str], size: int) -> Iterator[np.ndarray]:
    """jdenticon's pictures of IDs: (size, size, 3) uint8 each."""
    (folder / "draw.js").write_text(SCRIPT)
    (folder / "ids.txt").write_text("\n".join(ids) + "\n")
    subprocess.run(["node", "draw.js", str(size), "ids.txt", "pictures"], cwd=folder, check=True, timeout=1200)
    with (folder / "pictures").open("rb") as handle:
        while head := handle.read(4):
            content = io.BytesIO(handle.read(int.from_bytes(head, "little")))
            picture = Image.open(content).convert("RGBA")
            yield np.asarray(Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB"))


@pytest.fixture(scope="module")
def faces() -> Measured:
    model = FaceModel.load()
    return measure(face.image for face in model.stream_avatars((identity, None) for identity in identities()))


def test_two_ids_two_faces(faces: Measured, figure: Figure) -> None:
    figure(f"avatars: {faces}")
    figure(f"  a registry at {DEFAULT_DISTANCE:g} would move {100 * (faces.earlier < DEFAULT_DISTANCE).mean():.1f} % of them")
    assert faces.duplicates == 0
    assert faces.nearest.min() > 0
    assert 0.95 < faces.digit / faces.median < 1.05


def test_beside_jdenticon(faces: Measured, figure: Figure, tmp_path: Path) -> None:
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("node and npm draw jdenticon's pictures, and are not here")
    (tmp_path / "package.json").write_text("{}")
    done = subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", JDENTICON], cwd=tmp_path, capture_output=True, timeout=300
    )
    if done.returncode:
        pytest.skip(f"npm could not fetch {JDENTICON}")
    ids = identities()
    others = measure(identicons(tmp_path, ids, FaceModel.load().size))
    figure(f"{JDENTICON}: {others}")
    assert len(others.nearest) == len(ids)
    assert np.median(faces.nearest) > np.median(others.nearest)
