import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from sga.augment import POLICIES, blur, diff_augment, flip


def test_no_policy_is_the_images_themselves() -> None:
    images = torch.rand(2, 3, 8, 8)
    assert diff_augment(images, ()) is images


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_every_face_draws_its_own_and_passes_gradients(policy: str) -> None:
    torch.manual_seed(0)
    images = (torch.rand(1, 3, 16, 16) * 2 - 1).expand(8, -1, -1, -1).clone().requires_grad_(True)
    out = diff_augment(images, (policy,))
    assert out.shape == images.shape
    assert len({face.detach().numpy().tobytes() for face in out}) > 4
    out.square().sum().backward()
    assert torch.isfinite(images.grad).all()
    assert (images.grad.flatten(1).abs().sum(1) > 0).all()
    torch.manual_seed(0)
    again = diff_augment((torch.rand(1, 3, 16, 16) * 2 - 1).expand(8, -1, -1, -1), (policy,))
    assert torch.equal(again, out)


def test_translation_moves_whole_pixels_and_fills_with_zero() -> None:
    torch.manual_seed(0)
    images = torch.arange(1.0, 257.0).view(1, 1, 16, 16).repeat(32, 3, 1, 1)
    shifts = set()
    for face in diff_augment(images, ("translation",))[:, 0]:
        row, column = (int(place) for place in (face > 0).nonzero()[0])
        first = int(face[row, column]) - 1
        down, right = row - first // 16, column - first % 16
        shifts.add((down, right))
        expected = torch.zeros(16, 16)
        rows, columns = slice(max(down, 0), 16 + min(down, 0)), slice(max(right, 0), 16 + min(right, 0))
        expected[rows, columns] = images[0, 0][max(-down, 0) : 16 - max(down, 0), max(-right, 0) : 16 - max(right, 0)]
        assert torch.equal(face, expected)
    assert all(abs(shift) <= 2 for pair in shifts for shift in pair)
    assert len(shifts) > 8


def test_cutout_hides_at_most_a_quarter() -> None:
    torch.manual_seed(0)
    hidden = (diff_augment(torch.ones(64, 3, 16, 16), ("cutout",)) == 0)[:, 0].flatten(1).sum(1)
    assert hidden.max() <= 64
    assert hidden.min() > 0
    assert len(hidden.unique()) > 3


def test_color_keeps_greys_grey() -> None:
    torch.manual_seed(0)
    grey = (torch.rand(4, 1, 8, 8) * 2 - 1).expand(-1, 3, -1, -1)
    out = diff_augment(grey, ("color",))
    torch.testing.assert_close(out.amax(1), out.amin(1), atol=1e-6, rtol=0)


def test_flip_mirrors_about_half() -> None:
    torch.manual_seed(0)
    images = torch.rand(400, 3, 4, 4)
    out = flip(images)
    mirrored = (out == images.flip(3)).flatten(1).all(1)
    kept = (out == images).flatten(1).all(1)
    assert (mirrored ^ kept).all()
    assert 150 < mirrored.sum() < 250


@pytest.mark.parametrize("sigma", [0.25, 1.5, 3.0])
def test_blur_is_that_of_scipy(sigma: float) -> None:
    images = torch.rand(2, 3, 24, 20) * 2 - 1
    reach = np.ceil(3 * sigma) / sigma  # where the Gaussian is cut off, in standard deviations
    expected = gaussian_filter(images.double().numpy(), (0, 0, sigma, sigma), mode="mirror", truncate=reach)
    np.testing.assert_allclose(blur(images, sigma).numpy(), expected, atol=1e-5)


def test_blur_keeps_the_mean_of_a_colour_and_passes_gradients() -> None:
    images = torch.full((1, 3, 8, 8), 0.25, requires_grad=True)
    blurred = blur(images, 5.0)  # wider than the picture
    torch.testing.assert_close(blurred, images)
    blurred.sum().backward()
    assert images.grad is not None
    assert images.grad.sum() == pytest.approx(3 * 64, rel=1e-5)
    assert blur(images, 0.0) is images


def test_blur_is_float32_also_under_autocast() -> None:
    images = torch.rand(2, 3, 16, 16)
    expected = blur(images, 1.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(blur(images, 1.0), expected)
        assert blur(images.bfloat16(), 1.0).dtype == torch.float32
