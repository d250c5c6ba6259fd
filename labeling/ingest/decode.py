"""One file's bytes to one face, or to a whole upright picture: any format and mode becomes RGB, or a reason why not."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

__all__ = ["FORMATS", "Rejected", "ShortOfMemory", "decode_face", "decode_picture", "decode_sized"]

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""What is read. A closed list: other Pillow plugins start programs (EPS) or read further files."""

_FRAMED = ("GIF", "PNG", "TIFF", "WEBP")  # not the previews and depth maps that cameras put behind a JPEG
_WHITE = (255, 255, 255, 255)
_ORIENTATION, _SIDEWAYS = 0x0112, (5, 6, 7, 8)  # of EXIF
_REDUCING_GAP = 3.0  # a box reduction first, LANCZOS for the last factor of 3


class Rejected(Exception):  # noqa: N818 - a verdict, not a failure
    """The file holds no usable face; the text says why."""


class ShortOfMemory(Rejected):
    """Not the file is at fault: another time it may do."""

    def __init__(self) -> None:
        super().__init__("not enough memory for it now: type the same command again, with fewer --workers")


def decode_face(
    data: bytes,
    size: int,
    *,
    min_size: int = 16,
    max_pixels: int = 64_000_000,
    max_aspect: float = 2.0,
    fit: Literal["crop", "pad"] = "crop",
) -> np.ndarray:
    """Decode a picture to (size, size, 3) uint8 RGB.

    The first frame is taken, the EXIF orientation applied, transparency laid onto white, 16-bit and CMYK reduced to 8-bit RGB.
    A picture that is not square loses the ends of its longer side (`crop`) or gets white margins (`pad`); one that already
    measures size×size keeps every pixel.

    Raises:
        Rejected: not an image, damaged, under `min_size` px on a side, over `max_pixels`, longer than `max_aspect` : 1.
    """
    return decode_sized(data, size, min_size=min_size, max_pixels=max_pixels, max_aspect=max_aspect, fit=fit)[0]


def decode_sized(
    data: bytes, size: int, *, min_size: int, max_pixels: int, max_aspect: float, fit: Literal["crop", "pad"]
) -> tuple[np.ndarray, tuple[int, int], int]:
    """`decode_face`, the (width, height) that the upright picture had, and how many frames or pages the file holds."""
    with _opened(data, max_pixels) as image:
        _check(image, min_size, max_pixels)
        _check_aspect(image, max_aspect)
        found = _upright_size(image)
        image.draft("RGB", (3 * size, 3 * size))  # JPEG alone: decodes at 1/2, 1/4, 1/8
        return np.asarray(_fit(_upright(image), size, fit)), found, _frames(image, data)


def decode_picture(data: bytes, *, min_size: int, max_pixels: int) -> tuple[Image.Image, int]:
    """Decode a whole picture of any shape to upright RGB, as `decode_face` does but at its full size; and count its frames.

    Raises:
        Rejected: not an image, damaged, under `min_size` px on a side, over `max_pixels`.
    """
    with _opened(data, max_pixels) as image:
        _check(image, min_size, max_pixels)
        return _rgb(_upright(image)), _frames(image, data)


@contextmanager
def _opened(data: bytes, max_pixels: int) -> Iterator[Image.Image]:
    """The picture's first frame, not yet decoded; whatever goes wrong inside becomes a reason."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd but readable files
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                yield image
    except Rejected:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise Rejected(f"over {max_pixels / 1e6:g} megapixels; crop or shrink it first") from None
    except Image.UnidentifiedImageError:
        raise Rejected("empty file" if not data else f"not an image ({', '.join(FORMATS).lower()})") from None
    except MemoryError:
        raise ShortOfMemory from None
    except Exception as error:  # damaged bytes make Pillow raise nearly anything; each is a reason, none may stop the run
        raise Rejected(f"cannot be decoded: {' '.join(str(error).split()) or type(error).__name__}") from None


def _check(image: Image.Image, min_size: int, max_pixels: int) -> None:
    short, long = sorted(image.size)
    found = f"{image.width}×{image.height} px"
    if short * long > max_pixels:
        raise Rejected(f"{found}, over {max_pixels / 1e6:g} megapixels; crop or shrink it first")
    if short < min_size:
        raise Rejected(f"{found}, under {min_size} px")


def _check_aspect(image: Image.Image, max_aspect: float) -> None:
    short, long = sorted(image.size)
    if long > max_aspect * short:
        raise Rejected(f"{image.width}×{image.height} px, longer than {max_aspect:g} : 1: not a cropped face")


def _frames(image: Image.Image, data: bytes) -> int:
    """Frames of an animation or pages; 1 where the later ones are damaged."""
    if image.format in _FRAMED:
        with (
            suppress(Exception),
            Image.open(io.BytesIO(data), formats=[image.format]) as again,
        ):  # counting may move to the last
            return int(getattr(again, "n_frames", 1))
    return 1


def _upright_size(image: Image.Image) -> tuple[int, int]:
    with suppress(Exception):  # damaged EXIF: the picture counts as upright, see `_upright`
        if image.getexif().get(_ORIENTATION) in _SIDEWAYS:
            return image.height, image.width
    return image.width, image.height


def _upright(image: Image.Image) -> Image.Image:
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF: the pixels are still good
        return image


def _fit(image: Image.Image, size: int, fit: str) -> Image.Image:
    if fit == "crop":
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    image = _rgb(image)
    if fit == "pad" and image.width != image.height:
        side = max(image.size)
        square = Image.new("RGB", (side, side), _WHITE[:3])
        square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
        image = square
    if image.size == (size, size):
        return image
    return image.resize((size, size), Image.Resampling.LANCZOS, reducing_gap=_REDUCING_GAP)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        return _wide_gray(image).convert("RGB")
    if image.has_transparency_data:
        top = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", top.size, _WHITE), top).convert("RGB")
    return image.convert("RGB")


def _wide_gray(image: Image.Image) -> Image.Image:
    """16-bit and 32-bit integers span 0 … 65535; floats 0 … 1, or 0 … 255 where larger ones occur."""
    values = np.asarray(image).astype(np.float64)
    if image.mode == "F":
        values = values * 255 if values.max() <= 1 else values
    else:
        values = values / 257
    return Image.fromarray(np.clip(np.nan_to_num(values) + 0.5, 0, 255).astype(np.uint8))
