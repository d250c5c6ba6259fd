"""Pictures and label files, made on the spot."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def _picture(seed: int, size: int = 96) -> Image.Image:
    """A smooth random picture: two of different seeds differ in about half of their hash."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((size, size), Image.Resampling.BICUBIC)


@pytest.fixture(scope="session")
def picture() -> Callable[..., Image.Image]:
    """`picture(seed, size=96)`: an RGB picture of its own."""
    return _picture


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """`folder(seeds, name="pictures")`: a folder of PNGs named 000.png, 001.png … by seed."""

    def make(seeds: Iterable[int], name: str = "pictures") -> Path:
        place = tmp_path / name
        place.mkdir(exist_ok=True)
        for seed in seeds:
            _picture(seed).save(place / f"{seed:03}.png")
        return place

    return make


@pytest.fixture
def table_file(tmp_path: Path) -> Callable[..., Path]:
    """`table_file(header, *rows, name="labels.csv")`: a CSV."""

    def make(header: Sequence[str], *rows: Sequence[str], name: str = "labels.csv") -> Path:
        path = tmp_path / name
        with path.open("w", encoding="utf-8", newline="") as handle:
            csv.writer(handle).writerows([header, *rows])
        return path

    return make
