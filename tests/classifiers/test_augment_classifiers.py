"""Augmentation of what classifiers see."""

import pytest
import torch

from classifiers.augment import AugmentSettings, augment

OFF = AugmentSettings(flip=False, rotate=0, scale=0, shift=0, brightness=0, contrast=0, erase=0)


def faces(n: int = 8, size: int = 32) -> torch.Tensor:
    small = torch.rand(n, 3, 4, 4, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8
    return torch.nn.functional.interpolate(small, size=(size, size), mode="bilinear", align_corners=False)


def test_all_off_changes_nothing() -> None:
    torch.testing.assert_close(augment(faces(), OFF), faces(), atol=1e-5, rtol=0)


def test_flip_alone_mirrors_some_and_leaves_the_rest() -> None:
    torch.manual_seed(0)
    images = faces(32)
    out = augment(images, OFF.model_copy(update={"flip": True}))
    same = (out - images).abs().amax(dim=(1, 2, 3)) < 1e-4
    mirrored = (out - images.flip(3)).abs().amax(dim=(1, 2, 3)) < 1e-4
    assert bool((same ^ mirrored).all())
    assert 4 < int(mirrored.sum()) < 28


def test_every_picture_draws_its_own_and_the_seed_decides() -> None:
    images = faces(1).expand(6, -1, -1, -1)
    torch.manual_seed(1)
    first = augment(images, AugmentSettings())
    torch.manual_seed(1)
    again = augment(images, AugmentSettings())
    assert torch.equal(first, again)
    assert len({tuple(image.flatten()[:50].tolist()) for image in first}) == 6
    assert first.shape == images.shape
    assert float(first.abs().max()) <= 1


def test_erasing_hides_a_square_of_at_most_the_asked_side() -> None:
    torch.manual_seed(2)
    images = torch.full((64, 3, 40, 40), 0.5)
    out = augment(images, OFF.model_copy(update={"erase": 0.3}))
    hidden = (out[:, 0] == 0).sum(dim=(1, 2))
    assert bool(((out == 0) | ((out - 0.5).abs() < 1e-5)).all())
    assert 0 < int(hidden.max()) <= 13**2


def test_hue_is_never_touched() -> None:
    """A grey picture stays grey, and the order of a colour's channels stays: colours are labels."""
    torch.manual_seed(3)
    settings = OFF.model_copy(update={"brightness": 0.1, "contrast": 0.2})
    colour = torch.tensor([0.5, 0.0, -0.5]).view(1, 3, 1, 1).expand(16, 3, 8, 8)
    out = augment(colour, settings)
    assert bool((out[:, 0] > out[:, 1]).all())
    assert bool((out[:, 1] > out[:, 2]).all())
    grey = augment(torch.full((16, 3, 8, 8), 0.2), settings)
    torch.testing.assert_close(grey[:, 0], grey[:, 1])


@pytest.mark.parametrize("name", ["rotate", "scale", "shift"])
def test_each_geometric_part_moves_pixels(name: str) -> None:
    torch.manual_seed(4)
    out = augment(faces(), OFF.model_copy(update={name: getattr(AugmentSettings(), name)}))
    assert float((out - faces()).abs().mean()) > 1e-3


def test_a_smaller_size_is_averaged_not_sampled() -> None:
    """A fine checkerboard shrinks to its mean; sampling points would keep its black and white."""
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    board = ((rows + columns) % 2 * 2.0 - 1).expand(2, 3, 64, 64)
    out = augment(board, OFF, 32)
    assert out.shape == (2, 3, 32, 32)
    assert out.abs().max() < 1e-5
