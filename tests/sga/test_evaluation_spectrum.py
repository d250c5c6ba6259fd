"""A grid of dots is found by its period, real faces have none, and the batches of a stream change nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from classifiers.data import load_pixels
from labeling.workspace import Workspace
from sga.evaluation.spectrum import MeanSpectrum, spectrum_of


@pytest.fixture(scope="module")
def faces(sfn_workspace: Path) -> np.ndarray:
    """(n, size, size, 3) uint8."""
    space = Workspace(sfn_workspace)
    table = space.table()
    return np.stack([np.asarray(one) for one in load_pixels(space, table)])


def of(images: np.ndarray) -> MeanSpectrum:
    return spectrum_of(images, np.arange(len(images)))


def test_faces_of_one_kind_have_no_grid(faces: np.ndarray) -> None:
    half = of(faces[::2]).against(of(faces[1::2]))
    assert half is not None
    assert 0 < half.power < 6
    assert half.locked < 10


@pytest.mark.parametrize("period", [2, 4, 8])
def test_a_grid_is_found_by_its_period(faces: np.ndarray, period: int) -> None:
    dots = np.zeros(faces.shape[1:3], dtype=np.float32)
    dots[::period] = 60
    dotted = np.clip(faces.astype(np.float32) + dots[None, :, :, None], 0, 255).astype(np.uint8)
    found = of(dotted).against(of(faces))
    assert found is not None
    assert found.power > 10
    assert found.locked > 20
    for one in (found.period, found.locked_period):
        order = period / one  # a grid has all harmonics of its period
        assert round(order) >= 1
        assert order == pytest.approx(round(order), abs=0.05)


def test_a_stream_is_the_sum_of_its_batches(faces: np.ndarray) -> None:
    whole, parts = of(faces), MeanSpectrum()
    for start in range(0, len(faces), 7):
        parts.update(faces[start : start + 7])
    real = of(faces[:20])
    assert parts.n == whole.n == len(faces)
    one, other = whole.against(real), parts.against(real)
    assert one is not None
    assert other is not None
    assert one.power == pytest.approx(other.power, rel=1e-4)
    assert one.locked == pytest.approx(other.locked, rel=1e-3)
    assert one.period == other.period


def test_without_faces_there_is_no_spectrum(faces: np.ndarray) -> None:
    assert MeanSpectrum().against(of(faces[:4])) is None
    assert of(faces[:4]).against(MeanSpectrum()) is None
