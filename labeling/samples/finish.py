"""After drawing: the colour grade, and what low and median quality do to pixels."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from labeling.samples.dice import Dice
from labeling.samples.face import Face

__all__ = ["finish"]

Pixels = NDArray[np.uint8]


def finish(pixels: Pixels, face: Face) -> Pixels:
    """Grade every picture a little; blur median ones that are not plain; warp low ones. uint8 RGB in and out."""
    quality = face.truth["quality"]
    if quality == "low":
        pixels = _distort(pixels, face, face.dice("distortion"))
    elif quality == "median" and face.look.detail:
        pixels = _blur(pixels, face.dice("blur"))
    return _grade(pixels, face.dice("grade"))


def _grade(pixels: Pixels, d: Dice) -> Pixels:
    """Contrast, warmth and a touch of haze, by one table a channel."""
    gain, haze, warmth = d.bell(0.92, 1.06), d.uniform(0, 0.07) * d.unit(), d.bell(-0.035, 0.035)
    ramp = np.arange(256, dtype=np.float64)
    tables = []
    for shift in (warmth, 0.0, -warmth):
        graded = ((ramp - 128) * gain + 128) * (1 + shift)
        tables.append(np.clip(np.rint(graded + (255 - graded) * haze), 0, 255).astype(np.uint8))
    return np.stack([table[pixels[..., c]] for c, table in enumerate(tables)], axis=-1)


def _blur(pixels: Pixels, d: Dice) -> Pixels:
    """Out of focus, or enlarged from a thumbnail."""
    image, size = Image.fromarray(pixels), pixels.shape[0]
    if d.chance(0.5):
        image = image.filter(ImageFilter.GaussianBlur(size * d.uniform(0.013, 0.022)))
    else:
        small = max(8, round(size * d.uniform(0.22, 0.32)))
        image = image.resize((small, small), Image.Resampling.BOX).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(image)


def _distort(pixels: Pixels, face: Face, d: Dice) -> Pixels:
    """Melt the face: a smooth field of waves displaces it, and a smear drags part of it."""
    size = pixels.shape[0]
    v, u = np.meshgrid(np.linspace(0, 1, size, dtype=np.float32), np.linspace(0, 1, size, dtype=np.float32), indexing="ij")
    du, dv = np.zeros_like(u), np.zeros_like(v)
    for _ in range(3):
        fu, fv, phase = d.uniform(-2.4, 2.4), d.uniform(-2.4, 2.4), d.uniform(0, math.tau)
        wave = np.sin(math.tau * (fu * u + fv * v) + phase) * face.defects.warp * 0.75
        du += wave * d.uniform(-1, 1)
        dv += wave * d.uniform(-1, 1)
    x, y, r, angle = d.uniform(0.3, 0.7), d.uniform(0.4, 0.75), d.uniform(0.16, 0.28), d.sign() * d.uniform(0.7, 1.6)
    near = np.exp(-((u - x) ** 2 + (v - y) ** 2) / (r * r)) * angle  # a swirl about one place
    du += (u - x) * (np.cos(near) - 1) - (v - y) * np.sin(near)
    dv += (u - x) * np.sin(near) + (v - y) * (np.cos(near) - 1)
    if face.defects.smear:
        row = d.uniform(0.4, 0.7)
        dv -= np.clip(v - row, 0, 0.18) * face.defects.smear * np.exp(-(((u - x) / 0.2) ** 2))
    return _sample(pixels, (u + du) * (size - 1), (v + dv) * (size - 1))


def _sample(pixels: Pixels, x: NDArray[np.float32], y: NDArray[np.float32]) -> Pixels:
    """Bilinear lookup, edges repeated."""
    last = pixels.shape[0] - 1
    x, y = np.clip(x, 0, last), np.clip(y, 0, last)
    x0, y0 = x.astype(np.int32), y.astype(np.int32)
    x1, y1 = np.minimum(x0 + 1, last), np.minimum(y0 + 1, last)
    fx, fy = (x - x0)[..., None], (y - y0)[..., None]
    source = pixels.astype(np.float32)
    top = source[y0, x0] * (1 - fx) + source[y0, x1] * fx
    bottom = source[y1, x0] * (1 - fx) + source[y1, x1] * fx
    return np.rint(top * (1 - fy) + bottom * fy).astype(np.uint8)
