"""Pictures as the judge takes them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from configs.errors import InputError
from sga.generation.face import Face

__all__ = ["Picture", "as_images", "as_path", "open_picture", "read_rgb"]

Picture: TypeAlias = str | Path | np.ndarray | Face
"""A path, (size, size, 3) uint8 RGB, or a face, also one that was resized."""


def as_images(pictures: Picture | Iterable[Picture], size: int) -> np.ndarray:
    """(n, size, size, 3) uint8 RGB from such an array, or from paths of pictures and faces of any size and arrays
    (size, size, 3).

    Files are turned upright, put onto white where transparent, cropped to a square and resized with anti-aliasing; so are
    faces of another size.

    Raises:
        InputError: another shape or dtype, no picture at all, a file that is missing, damaged or too large, or something else
            than a picture.
    """
    if isinstance(pictures, np.ndarray):
        array = pictures
        if array.ndim != 4 or array.shape[1:] != (size, size, 3) or array.dtype != np.uint8 or not len(array):
            raise InputError(
                f"Expected pictures as uint8 of shape (n, {size}, {size}, 3), found {array.dtype} of shape {array.shape}. "
                "Resize them, or hand in the paths of the files."
            )
        return array
    if isinstance(pictures, Face) or not isinstance(pictures, Iterable) or isinstance(pictures, str | bytes):
        pictures = [pictures]
    images = [_image(one, size) for one in pictures]
    if not images:
        raise InputError("Expected at least one picture, found none.")
    return np.stack(images)


def as_path(picture: object) -> Path:
    """The path that names a picture.

    Raises:
        InputError: something else.
    """
    if not isinstance(picture, str | PathLike):
        raise InputError(f"Expected the path of a picture, found {type(picture).__name__}. Save it and name the file.")
    return Path(picture)


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


def _image(picture: Picture, size: int) -> np.ndarray:
    if isinstance(picture, np.ndarray):
        return as_images(picture[None], size)[0]
    pixels = picture.image if isinstance(picture, Face) else read_rgb(as_path(picture))
    return np.asarray(ImageOps.fit(Image.fromarray(pixels), (size, size), Image.Resampling.LANCZOS))
