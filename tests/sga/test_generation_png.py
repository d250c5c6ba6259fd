"""PNG files of our own writing, read by others' libraries."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from sga.generation.png import encode_png
from sga.generation.sink import read_back

TEXT = {"Software": "sga-gan", "empty": "", "style": "0.5 -1.0", "note": "日本 é\nzwei Zeilen", "plain": "a=b: c"}


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (96, 96), (64, 33)])
def test_pixels_and_text_come_back(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    content = encode_png(image, TEXT)
    with Image.open(io.BytesIO(content)) as picture:
        picture.load()
        assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", shape[::-1])
        assert (np.asarray(picture) == image).all()
        assert picture.text == TEXT  # type: ignore[attr-defined]
    assert read_back(content) == TEXT
    assert encode_png(image, TEXT) == content


def test_what_lies_otherwise_in_memory_is_the_same_picture() -> None:
    image = np.random.default_rng(1).integers(0, 256, (20, 20, 3), np.uint8)
    assert encode_png(image[::-1, ::-1][::-1, ::-1], {}) == encode_png(image, {})
    assert encode_png(np.asfortranarray(image), {}) == encode_png(image, {})


def test_a_smooth_picture_is_packed() -> None:
    ramp = np.linspace(0, 255, 96).astype(np.uint8)
    image = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None], np.uint8(128)), axis=2)
    assert len(encode_png(image, {})) < image.size / 4
