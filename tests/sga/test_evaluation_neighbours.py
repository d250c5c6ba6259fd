"""Precision, recall, density and coverage against their definitions; the nearest face, exactly."""

from __future__ import annotations

import numpy as np
import pytest

from sga.evaluation.neighbours import NearestFaces, manifold_measures, mean_distance, nearest_of_both


def points(n: int, seed: int, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(n, 5)) * scale + shift).astype(np.float32)


def naive(real: np.ndarray, fake: np.ndarray, precision_k: int, coverage_k: int) -> tuple[float, float, float, float]:
    """As the papers write them down, face by face."""

    def radius(side: np.ndarray, i: int, k: int) -> float:
        return sorted(float(np.linalg.norm(side[i] - side[j])) for j in range(len(side)) if j != i)[k - 1]

    real, fake = real.astype(np.float64), fake.astype(np.float64)
    n, m = len(real), len(fake)
    apart = [[float(np.linalg.norm(fake[j] - real[i])) for i in range(n)] for j in range(m)]
    near, wide = ([radius(real, i, k) for i in range(n)] for k in (precision_k, coverage_k))
    around = [radius(fake, j, precision_k) for j in range(m)]
    precision = sum(any(apart[j][i] <= near[i] for i in range(n)) for j in range(m)) / m
    recall = sum(any(apart[j][i] <= around[j] for j in range(m)) for i in range(n)) / n
    density = sum(apart[j][i] <= wide[i] for i in range(n) for j in range(m)) / (coverage_k * m)
    coverage = sum(min(apart[j][i] for j in range(m)) <= wide[i] for i in range(n)) / n
    return precision, recall, density, coverage


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (0.4, 0.0), (1.0, 1.5)])
def test_measures_are_those_of_the_papers(scale: float, shift: float) -> None:
    real, fake = points(60, 0), points(60, 1, scale, shift)
    found = manifold_measures(real, fake, 3, 5)
    assert (found.precision, found.recall, found.density, found.coverage) == pytest.approx(naive(real, fake, 3, 5))
    assert found.n == 60


def test_measures_do_not_depend_on_how_the_rows_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = points(50, 0), points(50, 1)
    whole = manifold_measures(real, fake)
    monkeypatch.setattr("sga.evaluation.neighbours._ROWS", 7)
    assert manifold_measures(real, fake) == whole
    assert mean_distance(real) == pytest.approx(
        np.mean([np.linalg.norm(real[i] - real[j]) for i in range(50) for j in range(50) if i != j]), rel=1e-5
    )


def test_what_they_tell() -> None:
    real = points(400, 0)
    alike, narrow, far = (manifold_measures(real, points(400, 1, *how)) for how in ((1.0, 0.0), (0.2, 0.0), (1.0, 20.0)))
    assert narrow.precision > alike.precision
    assert narrow.recall < 0.5 * alike.recall
    assert narrow.coverage < 0.5 * alike.coverage
    assert alike.density == pytest.approx(1, abs=0.2)
    assert (far.precision, far.recall, far.density, far.coverage) == (0, 0, 0, 0)
    assert manifold_measures(points(3, 0), points(3, 1)).n == 3  # fewer than k + 1 faces
    with pytest.raises(ValueError, match="equally many"):
        manifold_measures(real, real[:5])


def test_the_nearest_face_is_found_exactly() -> None:
    bank = points(3000, 0) * 50 + 1000  # large numbers: a difference of squares would not see small distances
    asked = points(40, 1) * 50 + 1000
    asked[7], asked[8] = bank[1234], bank[55] + np.float32(0.01)
    distances, rows = NearestFaces(bank)(asked)
    expected = np.linalg.norm(asked[:, None].astype(np.float64) - bank, axis=2)
    np.testing.assert_array_equal(rows, expected.argmin(axis=1))
    np.testing.assert_allclose(distances, expected.min(axis=1), rtol=1e-12)
    assert (distances[7], rows[7], rows[8]) == (0, 1234, 55)


def test_of_a_face_and_its_mirror_image_the_nearer_counts() -> None:
    bank = NearestFaces(np.array([[0.0, 0.0], [10.0, 0.0]], dtype=np.float32))
    plain, flipped = np.array([[1.0, 0.0], [5.0, 1.0]], dtype=np.float32), np.array([[3.0, 0.0], [10.0, 2.0]], dtype=np.float32)
    distances, rows = nearest_of_both(bank, plain, flipped)
    assert (distances.tolist(), rows.tolist()) == ([1.0, 2.0], [0, 1])
