"""One file's bytes to one face: any format and mode becomes exactly size×size RGB, or a reason why not."""

from __future__ import annotations

import io
import warnings
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

__all__ = ["FORMATS", "Rejected", "decode_face"]

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
"""What is read. A closed list: other Pillow plugins start programs (EPS) or read further files."""

_WHITE = (255, 255, 255, 255)
_REDUCING_GAP = 3.0  # a box reduction first, LANCZOS for the last factor of 3


class Rejected(Exception):  # noqa: N818 - a verdict, not a failure
    """The file holds no usable face; the text says why."""


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
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd but readable files
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _check(image, min_size, max_pixels, max_aspect)
                image.draft("RGB", (3 * size, 3 * size))  # JPEG alone: decodes at 1/2, 1/4, 1/8
                return np.asarray(_fit(_upright(image), size, fit))
    except Rejected:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise Rejected(f"over {max_pixels / 1e6:g} megapixels; crop or shrink it first") from None
    except Image.UnidentifiedImageError:
        raise Rejected("empty file" if not data else f"not an image ({', '.join(FORMATS).lower()})") from None
    except Exception as error:  # damaged bytes make Pillow raise nearly anything; each is a reason, none may stop the run
        raise Rejected(f"cannot be decoded: {' '.join(str(error).split()) or type(error).__name__}") from None


def _check(image: Image.Image, min_size: int, max_pixels: int, max_aspect: float) -> None:
    short, long = sorted(image.size)
    found = f"{image.width}×{image.height} px"
    if short * long > max_pixels:
        raise Rejected(f"{found}, over {max_pixels / 1e6:g} megapixels; crop or shrink it first")
    if short < min_size:
        raise Rejected(f"{found}, under {min_size} px")
    if long > max_aspect * short:
        raise Rejected(f"{found}, longer than {max_aspect:g} : 1: not a cropped face")


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
