"""Every format and mode becomes RGB of one size, or a reason."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from labeling.ingest.decode import Rejected, decode_face

Picture = Callable[..., Image.Image]


def encode(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def test_a_face_of_the_right_size_keeps_every_pixel(picture: Picture) -> None:
    image = picture(1)
    np.testing.assert_array_equal(decode_face(encode(image), 96), np.asarray(image))


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM"])
def test_formats(picture: Picture, format: str) -> None:
    pixels = decode_face(encode(picture(1, 200), format), 96)
    assert pixels.shape == (96, 96, 3)
    assert pixels.dtype == np.uint8
    expected = np.asarray(picture(1, 200).resize((96, 96), Image.Resampling.LANCZOS), dtype=float)
    assert np.abs(pixels - expected).mean() < (12 if format == "GIF" else 3)  # GIF has 256 colours


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "RGBX", "CMYK", "YCbCr", "I;16", "I", "F"])
def test_modes_become_rgb(picture: Picture, mode: str) -> None:
    gray = picture(2).convert("L")
    if mode == "I;16":
        image = Image.fromarray(np.asarray(gray).astype(np.uint16) * 257)
    elif mode == "I":
        image = Image.fromarray(np.asarray(gray).astype(np.int32) * 257)
    elif mode == "F":
        image = Image.fromarray(np.asarray(gray).astype(np.float32) / 255)
    else:
        image = picture(2).convert(mode)
    pixels = decode_face(encode(image, "TIFF" if mode not in ("I;16", "LA") else "PNG"), 96)
    assert pixels.shape == (96, 96, 3)
    if mode in ("I;16", "I", "F", "L", "LA"):
        np.testing.assert_array_equal(pixels, np.asarray(gray.convert("RGB")))


@pytest.mark.parametrize(("orientation", "turn"), [(3, 2), (6, 3), (8, 1)])
def test_exif_orientation_is_applied(picture: Picture, orientation: int, turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = np.asarray(picture(3))
    np.testing.assert_array_equal(decode_face(encode(picture(3), exif=exif), 96), np.rot90(upright, turn))


def test_damaged_exif_is_no_reason_to_lose_a_face(picture: Picture) -> None:
    data = encode(picture(3), "JPEG", exif=b"Exif\x00\x00MM\x00\x2a\xff\xff\xff\xff", quality=95)
    assert np.abs(decode_face(data, 96).astype(int) - np.asarray(picture(3))).mean() < 3


def test_transparency_goes_onto_white(picture: Picture) -> None:
    image = picture(4).convert("RGBA")
    image.paste((10, 20, 30, 0), (0, 0, 48, 96))
    pixels = decode_face(encode(image), 96)
    assert (pixels[:, :48] == 255).all()
    np.testing.assert_array_equal(pixels[:, 48:], np.asarray(picture(4))[:, 48:])


def test_half_transparent_black_is_gray() -> None:
    pixels = decode_face(encode(Image.new("RGBA", (40, 40), (0, 0, 0, 128))), 32)
    assert (pixels == 127).all()


def test_palette_and_gray_transparency_go_onto_white() -> None:
    palette = Image.new("P", (32, 32), 1)
    palette.putpalette([0, 0, 255, 200, 0, 0])
    palette.paste(0, (0, 0, 16, 32))
    pixels = decode_face(encode(palette, transparency=0), 32)
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[0, 31].tolist() == [200, 0, 0]
    gray = decode_face(encode(Image.new("L", (32, 32), 7), transparency=7), 32)
    assert (gray == 255).all()


def test_the_first_frame_of_an_animation_counts(picture: Picture) -> None:
    frames = [Image.new("RGB", (64, 64), color) for color in ("red", "blue", "green")]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode_face(data, 32)[0, 0].tolist() == [255, 0, 0]
    data = encode(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert decode_face(data, 32)[0, 0].tolist() == [255, 0, 0]


def test_resizing_is_antialiased() -> None:
    """A one-pixel checkerboard averages to gray; sampling without a filter would keep black and white."""
    board = (np.indices((960, 960)).sum(axis=0) % 2 * 255).astype(np.uint8)
    pixels = decode_face(encode(Image.fromarray(board)), 96).astype(int)
    assert np.abs(pixels - 127).max() <= 2


def test_a_picture_that_is_not_square_is_cropped_or_padded() -> None:
    image = Image.new("RGB", (60, 40), "green")
    image.paste((255, 0, 0), (0, 0, 10, 40))
    image.paste((255, 0, 0), (50, 0, 60, 40))
    assert (decode_face(encode(image), 40) == (0, 128, 0)).all()
    padded = decode_face(encode(image), 60, fit="pad")
    assert (padded[:10] == 255).all()
    assert (padded[50:] == 255).all()
    np.testing.assert_array_equal(padded[10:50], np.asarray(image))


def huge_png(side: int) -> bytes:
    """A black 1-bit PNG of side×side px, a few kilobytes long."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((side // 8 + 1) * side), 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_what_is_rejected_and_why(picture: Picture) -> None:
    good = encode(picture(5), "JPEG")
    cases = {
        b"": "empty file",
        b"hello, I am text": "not an image",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>": "not an image",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n": "not an image",
        good[: len(good) // 2]: "cannot be decoded: ",
        encode(picture(5))[:300]: "cannot be decoded: ",
        encode(Image.new("RGB", (1, 1))): "1×1 px, under 16 px",
        encode(Image.new("RGB", (300, 100))): "300×100 px, longer than 2 : 1",
        huge_png(9_000): "9000×9000 px, over 64 megapixels",
        huge_png(20_000): "over 64 megapixels",
    }
    for data, reason in cases.items():
        with pytest.raises(Rejected) as caught:
            decode_face(data, 96)
        assert reason in str(caught.value)


def test_a_large_picture_under_the_limit_is_taken() -> None:
    assert (decode_face(huge_png(7_000), 96) == 0).all()
