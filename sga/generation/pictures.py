"""Pictures as the judge takes them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from configs.errors import InputError

__all__ = ["as_images", "open_picture", "read_rgb"]


def as_images(pictures: np.ndarray | Iterable[str | Path | np.ndarray], size: int) -> np.ndarray:
    """(n, size, size, 3) uint8 RGB from such an array, or from paths of pictures of any size and arrays (size, size, 3).

    Files are turned upright, put onto white where transparent, cropped to a square and resized with anti-aliasing.

    Raises:
        InputError: another shape or dtype, no picture at all, or a file that is missing, damaged or too large.
    """
    if isinstance(pictures, np.ndarray):
        array = pictures
        if array.ndim != 4 or array.shape[1:] != (size, size, 3) or array.dtype != np.uint8 or not len(array):
            raise InputError(
                f"Expected pictures as uint8 of shape (n, {size}, {size}, 3), found {array.dtype} of shape {array.shape}. "
                "Resize them, or hand in the paths of the files."
            )
        return array
    if isinstance(pictures, str | Path):
        pictures = [pictures]
    images = [as_images(one[None], size)[0] if isinstance(one, np.ndarray) else _open(Path(one), size) for one in pictures]
    if not images:
        raise InputError("Expected at least one picture, found none.")
    return np.stack(images)


@contextmanager
def open_picture(path: str | Path | IO[bytes], name: str | None = None) -> Iterator[Image.Image]:
    """A picture file, opened and decoded. name: what errors call it; None = its path.

    Raises:
        InputError: it is missing, damaged or too large.
    """
    name = str(path) if name is None else name
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                opened.load()
                yield opened
    except FileNotFoundError as error:
        raise InputError(f"Expected a picture at {name}, found no such file. Check the path.") from error
    except UnidentifiedImageError as error:
        raise InputError(f"Expected a picture at {name}, found no known format. Leave it out or name another.") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"Expected a picture of a face at {name}, found: {error}. Leave it out or name another.") from error


def read_rgb(path: str | Path | IO[bytes], name: str | None = None) -> np.ndarray:
    """(h, w, 3) uint8 of a picture file, turned upright and put onto white where transparent. name: what errors call it.

    Raises:
        InputError: it is missing, damaged or too large.
    """
    with open_picture(path, name) as opened:
        picture = ImageOps.exif_transpose(opened).convert("RGBA")
    return np.asarray(Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB"))


def _open(path: Path, size: int) -> np.ndarray:
    return np.asarray(ImageOps.fit(Image.fromarray(read_rgb(path)), (size, size), Image.Resampling.LANCZOS))
