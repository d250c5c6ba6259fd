"""Boxes: overlapping ones merged, squares inside the picture, crops, and the measure of a detector."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from labeling.detection import crop_square, match_boxes, merge_boxes, overlap, score_boxes, square_about
from labeling.detection.boxes import reading_order
from labeling.detection.find import _back, _turned


def test_overlap() -> None:
    union, contained = overlap(
        np.array([[0, 0, 10, 10]]), np.array([[5, 0, 10, 10], [2, 2, 4, 4], [20, 20, 5, 5], [0, 0, 0, 0]])
    )
    assert union[0] == pytest.approx([50 / 150, 16 / 100, 0, 0])
    assert contained[0] == pytest.approx([0.5, 1, 0, 0])


def test_one_box_a_face_whatever_the_order() -> None:
    boxes = np.array([[10, 10, 40, 40], [12, 11, 40, 40], [20, 20, 14, 14], [100, 10, 40, 40]], dtype=float)
    scores = np.array([0.6, 0.9, 0.7, 0.5])
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        kept, best = merge_boxes(boxes[order], scores[order], iou=0.3, inside=0.6)
        assert kept.tolist() == [[12, 11, 40, 40], [100, 10, 40, 40]]
        assert best.tolist() == [0.9, 0.5]
    kept, _ = merge_boxes(boxes[[1, 2]], scores[[1, 2]], iou=0.3, inside=1)
    assert len(kept) == 2  # the small one lies inside, which alone is allowed here
    equal = np.array([[5, 0, 10, 10], [0, 0, 10, 10]], dtype=float)
    for order in ([0, 1], [1, 0]):
        assert merge_boxes(equal[order], np.ones(2), 0.3, 0.6)[0].tolist() == [[0, 0, 10, 10]]
    assert merge_boxes(np.empty((0, 4)), np.empty(0), 0.3, 0.6)[0].shape == (0, 4)


def test_reading_order() -> None:
    boxes = np.array([[50, 20, 5, 5], [10, 20, 5, 5], [90, 3, 5, 5]])
    assert reading_order(boxes).tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    ("box", "picture", "zoom", "shift", "square"),
    [
        ((40, 40, 20, 20), (200, 100), 1.5, 0.0, (35, 35, 30)),  # in the middle: about the box
        ((40, 40, 20, 10), (200, 100), 1.5, 0.0, (35, 30, 30)),  # the longer side counts
        ((0, 0, 20, 20), (200, 100), 1.5, 0.0, (0, 0, 30)),  # moved inside
        ((185, 85, 20, 20), (200, 100), 1.5, 0.0, (170, 70, 30)),
        ((40, 40, 20, 20), (200, 100), 1.5, -0.1, (35, 32, 30)),  # higher by a tenth of its side
        ((10, 10, 80, 80), (200, 100), 1.5, 0.0, (0, -10, 120)),  # cannot be held: stands out alike above and below
        ((10, 10, 80, 80), (100, 100), 2.0, 0.0, (-30, -30, 160)),
    ],
)
def test_squares(box: tuple[int, ...], picture: tuple[int, int], zoom: float, shift: float, square: tuple[int, ...]) -> None:
    assert square_about(box, picture, zoom, shift) == square


def test_a_crop_is_the_picture_itself_where_nothing_is_resized() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (50, 80, 3), dtype=np.uint8)
    np.testing.assert_array_equal(crop_square(Image.fromarray(pixels), (20, 5, 32), 32, "edge"), pixels[5:37, 20:52])


def test_what_stands_out_is_padded() -> None:
    pixels = np.full((20, 40, 3), 7, dtype=np.uint8)
    pixels[0] = 90
    image = Image.fromarray(pixels)
    edge, white = (crop_square(image, (4, -6, 32), 32, pad) for pad in ("edge", "white"))
    assert (edge[:7] == 90).all()
    assert (edge[7:] == 7).all()
    assert (white[:6] == 255).all()
    assert (white[6] == 90).all()
    assert (white[26:] == 255).all()


def test_shrinking_does_not_alias() -> None:
    stripes = np.zeros((96 * 8, 96 * 8, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    small = crop_square(Image.fromarray(stripes), (0, 0, 96 * 8), 96, "edge").astype(float)
    assert np.abs(small - 127.5).max() < 2  # one column in eight, taken as it is, would be black or white


def test_recall_and_precision() -> None:
    true = np.array([[0, 0, 10, 10], [50, 0, 10, 10]])
    found = np.array([[1, 0, 10, 10], [0, 1, 10, 10], [48, 0, 20, 20]])
    assert match_boxes(found, true).tolist() == [0, -1, -1]  # twice the same face; a box of the wrong size
    scored = score_boxes([(found, true), (np.empty((0, 4)), true[:1]), (np.empty((0, 4)), np.empty((0, 4)))])
    assert (scored.right, scored.found, scored.true) == (1, 3, 3)
    assert scored.recall == pytest.approx(1 / 3)
    assert scored.precision == pytest.approx(1 / 3)


def test_a_box_counts_for_the_face_that_it_overlaps_most() -> None:
    true = np.array([[0, 0, 10, 10], [2, 0, 10, 10]])
    assert match_boxes(np.array([[2, 0, 10, 10], [1, 0, 10, 10]]), true).tolist() == [1, 0]


@pytest.mark.parametrize("degrees", [-30, 17, 30, 90])
def test_a_box_of_a_rotated_picture_comes_back_to_its_centre(degrees: float) -> None:
    pixels = np.full((120, 200, 3), 40, dtype=np.uint8)
    pixels[78:83, 148:153] = 255  # about (150.5, 80.5)
    image = Image.fromarray(pixels)
    turned = _turned(image, degrees)
    y, x = (axis.mean() + 0.5 for axis in np.nonzero(turned[..., 0] > 128))
    (box,) = _back(np.array([[x - 10, y - 10, 20, 20]]), image.size, turned.shape[1::-1], degrees)
    assert box == pytest.approx([140.5, 70.5, 20, 20], abs=0.4)
    assert turned.min() == 40  # corners have the mean colour


def test_a_picture_too_long_for_opencv_is_turned_too() -> None:
    image = Image.new("RGB", (40, 33000), (10, 20, 30))
    turned = _turned(image, 30)
    assert turned.shape == pytest.approx((28600, 16535, 3), abs=2)
    assert (turned[14300, 8267] == (10, 20, 30)).all()


@pytest.mark.parametrize("pad", ["edge", "white"])
def test_a_square_far_beyond_the_picture_costs_no_memory(pad: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (8, 10, 3), dtype=np.uint8).repeat(100, 0).repeat(100, 1)
    image = Image.fromarray(pixels)
    square = (-1000, -1100, 3000)
    whole = np.pad(
        pixels, ((1100, 1100), (1000, 1000), (0, 0)), **({"mode": "edge"} if pad == "edge" else {"constant_values": 255})
    )
    expected = np.asarray(Image.fromarray(whole).resize((32, 32), Image.Resampling.LANCZOS)).astype(int)
    assert np.abs(crop_square(image, square, 32, pad) - expected).mean() < 2
    assert crop_square(image, (-200_000, -200_000, 400_000), 32, pad).shape == (32, 32, 3)
