"""Pictures, label files and answers, made on the spot."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from labeling.answers import Answer, instant


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


@pytest.fixture(scope="session")
def said() -> Callable[..., Answer]:
    """`said(key, value, minute=0, by="ann", **fields)`: an answer about gender, given at a minute past eight."""

    def make(key: str, value: str | None, minute: int = 0, by: str = "ann", **fields: Any) -> Answer:
        time = instant(datetime(2026, 11, 21, 8, minute, tzinfo=UTC))
        number = sum(key.encode())  # an annotation of its own for every face and annotator
        whole: dict[str, Any] = {
            **{"server": "http://one", "project": 1, "task": number, "annotation": 1000 * sum(by.encode()) + number},
            **{"key": key, "attribute": "gender", "purpose": "label", "state": "answer", "value": value, "reason": ""},
            **{"annotator": by, "created": time, "updated": time, "lead_time": None, "predicted": None},
            **{"confidence": None, "model_version": None, "strategy": "random", "round": 1},
        }
        return Answer(**whole | fields)

    return make
