"""FID and KID against other implementations on the same features; streaming and batches change nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import linalg
from torch import Tensor, nn

from classifiers.metrics import Estimate
from configs.errors import InputError
from sga.evaluation.frechet import Moments, PrefixMoments, frechet_distance
from sga.evaluation.kernel import kernel_distance, polynomial_kernel, squared_discrepancy
from sga.evaluation.rates import mean_rate, rate

WIDTH = 12


def features(n: int, seed: int, shift: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(7).normal(size=(WIDTH, WIDTH))
    return (rng.normal(size=(n, WIDTH)) @ mixing + shift).astype(np.float32)


def by_scipy(one: np.ndarray, other: np.ndarray) -> float:
    """The formula as it is printed."""
    first, second = (np.cov(side.astype(np.float64), rowvar=False) for side in (one, other))
    step = one.mean(axis=0, dtype=np.float64) - other.mean(axis=0, dtype=np.float64)
    root = linalg.sqrtm(first @ second)
    return float(step @ step + np.trace(first + second - 2 * np.real(root)))


class Colours(nn.Module):
    """(n, 3, h, w) uint8 → (n, 12): means of quarters, as a stand-in for a network in torchmetrics."""

    num_features = WIDTH

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(images.double() / 255, 2).flatten(1)


def pictures(n: int, seed: int) -> Tensor:
    rng = np.random.default_rng(seed)
    centres = rng.integers(40, 216, (n, 3, 2, 2), dtype=np.int64)
    return torch.from_numpy(centres.repeat(8, axis=2).repeat(8, axis=3).astype(np.uint8))


@pytest.mark.parametrize("n", [400, WIDTH - 4])
def test_fid_is_that_of_scipy(n: int) -> None:
    one, other = features(n, 0), features(2 * n, 1, shift=0.3)
    expected = by_scipy(one, other)
    # A singular product (fewer faces than features) has a root only to about the root of the precision.
    assert frechet_distance(Moments.of(one), Moments.of(other)) == pytest.approx(expected, rel=1e-9 if n > WIDTH else 1e-5)


def test_fid_is_that_of_torchmetrics() -> None:
    from torchmetrics.image.fid import FrechetInceptionDistance

    real, fake, network = pictures(300, 0), pictures(200, 1), Colours()
    metric = FrechetInceptionDistance(feature=network, input_img_size=(3, 16, 16)).set_dtype(torch.float64)
    metric.update(real, real=True)
    metric.update(fake, real=False)
    moments = [Moments.of(network(side).numpy()) for side in (real, fake)]
    assert frechet_distance(*moments) == pytest.approx(float(metric.compute()), rel=1e-9)


def test_kid_is_that_of_torchmetrics() -> None:
    from torchmetrics.image.kid import KernelInceptionDistance

    real, fake, network = pictures(60, 0), pictures(60, 1), Colours()
    with pytest.warns(UserWarning, match="large memory footprint"):
        metric = KernelInceptionDistance(feature=network, subsets=1, subset_size=60).set_dtype(torch.float64)
    metric.update(real, real=True)
    metric.update(fake, real=False)
    ours = kernel_distance(network(fake).numpy(), network(real).numpy(), subset=60, subsets=1)
    assert ours.value == pytest.approx(float(metric.compute()[0]), rel=1e-9)


def test_the_fid_of_a_set_with_itself_is_none_and_grows_with_the_distance() -> None:
    same = Moments.of(features(300, 0))
    assert frechet_distance(same, Moments.of(features(300, 0)[::-1])) == pytest.approx(0, abs=1e-6)
    for shift in (1.0, 2.0):  # the covariance stays
        assert frechet_distance(same, Moments.of(features(300, 0, shift))) == pytest.approx(shift**2 * WIDTH, rel=1e-4)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_streaming_is_one_batch_whatever_the_batches(offset: float) -> None:
    """Sums of squares lose what varies where the mean is large; these moments do not."""
    whole = (features(500, 3).astype(np.float64) + offset).astype(np.float64)
    expected, cut = np.cov(whole, rowvar=False), 123
    for batch in (1, 7, 64, 500):
        stream = PrefixMoments(WIDTH, [cut, 400, 500])
        for start in range(0, len(whole), batch):
            stream.update(whole[start : start + batch])
        np.testing.assert_allclose(stream.upto(500).covariance, expected, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(stream.upto(500).mean, whole.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(stream.upto(cut).covariance, np.cov(whole[:cut], rowvar=False), rtol=1e-9, atol=1e-9)
        assert (stream.upto(cut).n, stream.upto(0).n, stream.n) == (cut, 0, 500)


def test_what_moments_hold_does_not_grow() -> None:
    stream = PrefixMoments(WIDTH, [10, 20])
    stream.update(features(30, 0))
    held = sum(part.scatter.nbytes + part.mean.nbytes for part in stream._segments)
    for seed in range(50):
        stream.update(features(100, seed))
    assert sum(part.scatter.nbytes + part.mean.nbytes for part in stream._segments) == held
    assert stream.upto(20).n == 20
    with pytest.raises(ValueError, match="cut must be one of"):
        stream.upto(15)


def test_one_face_has_no_covariance() -> None:
    with pytest.raises(InputError, match=r"at least 2 faces.*found 1"):
        frechet_distance(Moments.of(features(1, 0)), Moments.of(features(9, 0)))


def test_kid_is_the_double_loop() -> None:
    x, y = features(9, 0).astype(np.float64), features(7, 1, shift=0.2).astype(np.float64)

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return (sum(float(i) * float(j) for i, j in zip(a, b, strict=True)) / WIDTH + 1) ** 3

    within_x = sum(kernel(x[i], x[j]) for i in range(9) for j in range(9) if i != j) / (9 * 8)
    within_y = sum(kernel(y[i], y[j]) for i in range(7) for j in range(7) if i != j) / (7 * 6)
    across = sum(kernel(one, other) for one in x for other in y) / (9 * 7)
    assert squared_discrepancy(x, y) == pytest.approx(within_x + within_y - 2 * across, rel=1e-10)
    assert polynomial_kernel(x, y).shape == (9, 7)


def test_kid_is_unbiased_at_any_n() -> None:
    """Of equal distributions the mean is 0 also for few faces, where a FID is far from it."""
    found = [kernel_distance(features(20, 2 * seed), features(20, 2 * seed + 1), 20, 1).value for seed in range(200)]
    assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(200)
    assert frechet_distance(Moments.of(features(20, 0)), Moments.of(features(20, 1))) > 5


def test_kid_is_the_mean_of_its_subsets_and_follows_its_seed() -> None:
    x, y = features(80, 0), features(60, 1, shift=0.5)
    one = kernel_distance(x, y, subset=30, subsets=40, seed=3)
    assert one == kernel_distance(x, y, subset=30, subsets=40, seed=3)
    assert one != kernel_distance(x, y, subset=30, subsets=40, seed=4)
    assert one.low < one.value < one.high
    assert kernel_distance(x, y, None, 40, 3) == one  # half of the smaller side


def test_a_kid_subset_larger_than_the_faces_is_refused() -> None:
    with pytest.raises(InputError, match=r"at most 60 faces.*found 61.*kid_subset=60"):
        kernel_distance(features(80, 0), features(60, 1), subset=61)
    with pytest.raises(InputError, match="at least 2 faces"):
        squared_discrepancy(features(1, 0), features(5, 0))


def test_rates_have_wilsons_interval() -> None:
    one = rate(45, 50)  # 0.9 of 50: the example of every textbook
    assert (one.value, one.n) == (0.9, 50)
    assert (one.low, one.high) == (pytest.approx(0.7864, abs=1e-4), pytest.approx(0.9565, abs=1e-4))
    assert rate(0, 20).low == 0
    assert rate(20, 20).high == 1
    assert np.isnan(rate(0, 0).value)
    mean = mean_rate([one, rate(0, 0), Estimate(0.5, 0.4, 0.6, 10)])
    assert (mean.value, mean.n) == (pytest.approx(0.7), 60)
    assert mean.low == pytest.approx(0.7 - np.hypot(0.9 - one.low, 0.1) / 2)
