"""How well and how fast faces are found in illustrations.

`pytest tests/benchmarks/test_detection.py -o addopts=--import-mode=importlib -s` prints them (SGA_BENCHMARK_PICTURES=60: fast).
The settings were chosen on the pictures of seed 100; these here are others.
"""

from __future__ import annotations

import io
import os
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labeling.detection import DetectionSettings, find_faces, make_detector, overlap, score_boxes
from labeling.ingest import IngestSettings, ingest
from labeling.samples.illustrations import IllustrationSettings, page_of, render_illustration
from labeling.samples.page import face_box

COUNT = int(os.environ.get("SGA_BENCHMARK_PICTURES", "300"))
SEED = 2011

Picture = tuple[np.ndarray, np.ndarray]
"""(h, w, 3) uint8 RGB and the true boxes (n, 4)."""

_MARGIN = 0.15  # of a pasted face, over which it fades into the background


def composed(seed: int, count: int) -> Iterator[Picture]:
    """Our own illustrations."""
    settings = IllustrationSettings(seed=seed)
    for index in range(count):
        boxes = [face_box(person) for person in page_of(index, settings).people]
        yield render_illustration(index, settings), np.array(boxes, dtype=np.float64).reshape(-1, 4)


def pasted(archive: Path, seed: int, count: int) -> Iterator[Picture]:
    """One to three real faces of 48 … 300 px a picture, on backgrounds without figures.

    The real faces are about what a cascade's box holds, so their squares are the true boxes.
    """
    from labeling.samples.parts.page import render_page

    settings, rng = IllustrationSettings(seed=seed), np.random.default_rng(seed)
    with tarfile.open(archive) as tar:
        members = [member for member in tar.getmembers() if member.isfile()]
        for index in range(count):
            page = page_of(index, settings)
            empty = replace(page, panels=tuple(replace(panel, people=()) for panel in page.panels))
            pixels, boxes = render_page(empty).astype(np.float32), np.empty((0, 4))
            for _ in range(rng.integers(1, 4)):
                member = members[rng.integers(len(members))]
                side = int(rng.uniform(48, 300))
                margin = max(1, round(side * _MARGIN))
                whole = side + 2 * margin
                left, top = (int(rng.uniform(0, max(1, length - whole))) for length in pixels.shape[1::-1])
                box = np.array([[left + margin, top + margin, side, side]], dtype=np.float64)
                if left + whole > pixels.shape[1] or top + whole > pixels.shape[0] or overlap(box, boxes)[0].any():
                    continue
                data = tar.extractfile(member)
                assert data is not None
                with Image.open(io.BytesIO(data.read())) as image:
                    face = np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.LANCZOS), dtype=np.float32)
                face = np.pad(face, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
                edge = np.minimum(np.arange(whole), np.arange(whole)[::-1]) / margin
                alpha = np.clip(np.minimum(edge[:, None], edge[None]), 0, 1)[..., None]
                place = pixels[top : top + whole, left : left + whole]
                place[:] = place * (1 - alpha) + face * alpha
                boxes = np.concatenate([boxes, box])
            yield pixels.astype(np.uint8), boxes


def measure(pictures: Iterable[Picture], cascade: Path) -> tuple[float, float, int, float]:
    """Recall, precision, true faces, seconds a picture in find_faces."""
    settings = DetectionSettings(cascade=str(cascade))
    detector, results, seconds, count = make_detector(settings), [], 0.0, 0
    for pixels, true in pictures:
        image, started = Image.fromarray(pixels), time.perf_counter()
        found = sorted(find_faces(image, detector, settings), key=lambda one: -one.score)
        seconds, count = seconds + time.perf_counter() - started, count + 1
        results.append((np.array([one.box for one in found]).reshape(-1, 4), true))
    scored = score_boxes(results)
    return scored.recall, scored.precision, scored.true, seconds / count


def test_composed_illustrations(cascade: Path, figure: Callable[[str], None]) -> None:
    recall, precision, faces, seconds = measure(composed(SEED, COUNT), cascade)
    figure(f"composed illustrations: recall {recall:.3f}, precision {precision:.3f} of {faces} faces; {seconds * 1e3:.0f} ms")
    assert recall >= 0.85
    assert precision >= 0.95


def test_real_faces_on_backgrounds(cascade: Path, figure: Callable[[str], None]) -> None:
    archive = cascade.with_name("faces-0.tar")
    if not archive.is_file():
        pytest.skip(f"no real faces at {archive}")
    recall, precision, faces, seconds = measure(pasted(archive, SEED, COUNT), cascade)
    figure(f"real faces pasted: recall {recall:.3f}, precision {precision:.3f} of {faces} faces; {seconds * 1e3:.0f} ms")
    assert recall >= 0.85
    assert precision >= 0.9


def test_pictures_a_second(cascade: Path, figure: Callable[[str], None], tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index, (pixels, _) in enumerate(composed(SEED, COUNT)):
        image = Image.fromarray(pixels)
        scale = 1000 / max(image.size)
        size = (round(image.width * scale), round(image.height * scale))
        image.resize(size, Image.Resampling.LANCZOS).save(folder / f"{index:05}.jpg", quality=92)
    settings = IngestSettings(detection=DetectionSettings(cascade=str(cascade)), workers=2)
    for name in ("first", "again"):
        report = ingest([folder], tmp_path / "workspace", settings)
        figure(f"ingest of {COUNT} JPEGs of 1,000 px on 2 cores, {name}: {COUNT / report.seconds:.1f} a second")
