"""From an original to the small picture a user may have: kernels, blur, noise and JPEG as pictures meet them on the web.

Kinds and order follow the common practice of blind super-resolution (Zhang et al. 2021; Wang et al. 2021, Real-ESRGAN), each
milder, for faces are cropped from pictures that are fit to be seen, and half of the inputs are plain.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageFilter

from sga.upscale.settings import DegradationSettings

__all__ = ["PLAIN", "degrade", "position_rng", "shrink"]

PLAIN = DegradationSettings(plain=1.0)
"""The bicubic filter alone."""
_KERNELS = (Image.Resampling.BICUBIC, Image.Resampling.BILINEAR, Image.Resampling.BOX, Image.Resampling.LANCZOS)
"""All of Pillow's widen with the scale, which is anti-aliasing; BOX is the mean of an area."""


def position_rng(seed: int, position: int) -> np.random.Generator:
    """Randomness of one crop, a function of its position in the training alone."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, position])))


def shrink(image: np.ndarray, scale: int, kernel: Image.Resampling = Image.Resampling.BICUBIC) -> np.ndarray:
    """(h, w, 3) uint8, whose edges `scale` divides, to (h / scale, w / scale, 3) with anti-aliasing."""
    height, width, _ = image.shape
    return np.asarray(Image.fromarray(image).resize((width // scale, height // scale), kernel))


def degrade(image: np.ndarray, scale: int, settings: DegradationSettings, rng: np.random.Generator) -> np.ndarray:
    """(h, w, 3) uint8 to (h / scale, w / scale, 3) uint8 by a way that `rng` draws."""
    if rng.random() < settings.plain:
        return shrink(image, scale)
    if rng.random() < settings.blur_share:
        image = np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(settings.blur * rng.random())))
    small = shrink(image, scale, _KERNELS[rng.integers(len(_KERNELS))])
    if rng.random() < settings.noise_share:
        planes = 1 if rng.random() < 0.5 else 3
        noise = rng.standard_normal((*small.shape[:2], planes), dtype=np.float32) * (settings.noise * rng.random())
        small = np.rint(small + noise).clip(0, 255).astype(np.uint8)
    if rng.random() < settings.jpeg_share:
        small = _jpeg(small, int(rng.integers(settings.jpeg, 96)), chroma_halved=bool(rng.random() < 0.5))
    return small


def _jpeg(image: np.ndarray, quality: int, *, chroma_halved: bool) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=quality, subsampling=2 if chroma_halved else 0)
    with Image.open(buffer) as stored:
        return np.asarray(stored.convert("RGB"))
