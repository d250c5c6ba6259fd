"""What one look at a face's pixels tells: sharpness, spread of colours, contrast; and the descriptor of its appearance.

NumPy and Pillow only. Faces of any size are compared at fixed sizes, so that a threshold means the same for all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from labeling.ingest.groups import BITS, difference_hash

__all__ = ["DESCRIPTOR", "Look", "look"]

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_CHROMA = np.array([[-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]], dtype=np.float32).T
_LARGEST = 96  # px at which sharpness is measured: a larger picture is reduced first
_EDGES = 0.99  # the share of places whose edges are weaker than the one that counts
_RANGE = (0.02, 0.98)
_LEAST_RANGE = 4.0
_SIDE, _CELL, _ORIENTATIONS = 32, 4, 8
_THUMBNAIL = _SIDE // 2
_COLOURS = _SIDE // _CELL
_LEAST_CONTRAST = 5.0

DESCRIPTOR = _COLOURS**2 * _ORIENTATIONS + _THUMBNAIL**2 + _COLOURS**2 * 2
"""Numbers of a descriptor."""


@dataclass(frozen=True)
class Look:
    """What a block of faces looks like.

    sharpness, colours, contrast: (b,) float32; descriptor, mirrored: (b, DESCRIPTOR) float32, of the faces and of their mirror
    images; hashes: (b, 2, 32) uint8, the same two.
    """

    sharpness: np.ndarray
    colours: np.ndarray
    contrast: np.ndarray
    descriptor: np.ndarray
    mirrored: np.ndarray
    hashes: np.ndarray

    @classmethod
    def join(cls, parts: list[Look]) -> Look:
        """Blocks behind one another."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))


def look(pixels: np.ndarray) -> Look:
    """Look at (b, s, s, 3) uint8 RGB faces."""
    small = _resized(pixels, _SIDE)
    luma = pixels @ _LUMA
    tint = small - (small @ _LUMA)[..., None]
    tint = tint - tint.mean(axis=(1, 2), keepdims=True)
    hashes = [[np.frombuffer(difference_hash(one), np.uint8) for one in (face, face[:, ::-1])] for face in pixels]
    return Look(
        _sharpness(luma if pixels.shape[1] <= _LARGEST else _resized(pixels, _LARGEST) @ _LUMA),
        np.sqrt(np.square(tint).sum(axis=3)).mean(axis=(1, 2)),
        luma.std(axis=(1, 2)),
        _describe(small),
        _describe(small[:, :, ::-1]),
        np.asarray(hashes, dtype=np.uint8).reshape(len(pixels), 2, BITS // 8),
    )


def _resized(pixels: np.ndarray, side: int) -> np.ndarray:
    filters = Image.Resampling.BOX if pixels.shape[1] >= side else Image.Resampling.BICUBIC
    return np.stack([np.asarray(Image.fromarray(face).resize((side, side), filters)) for face in pixels])


def _sharpness(luma: np.ndarray) -> np.ndarray:
    """The 99th percentile of the Laplacian's size over the range of the luma, (b,).

    A high percentile instead of the variance: a soft drawing with sharp eyes is sharp, and a blurred one in black and white,
    whose variance is large, is not. The range takes the contrast out.
    """
    inner = luma[:, 1:-1, 1:-1]
    neighbours = luma[:, :-2, 1:-1] + luma[:, 2:, 1:-1] + luma[:, 1:-1, :-2] + luma[:, 1:-1, 2:]
    edges = np.abs(4 * inner - neighbours).reshape(len(luma), -1)
    flat = luma.reshape(len(luma), -1)
    low, high = (_quantile(flat, share) for share in _RANGE)
    return _quantile(edges, _EDGES) / np.maximum(high - low, _LEAST_RANGE)


def _quantile(rows: np.ndarray, share: float) -> np.ndarray:
    """(b,) the value of each row below which `share` of it lies."""
    place = round(share * (rows.shape[1] - 1))
    return np.partition(rows, place, axis=1)[:, place]


def _describe(small: np.ndarray) -> np.ndarray:
    """(b, 32, 32, 3) uint8 → (b, DESCRIPTOR) float32: histograms of oriented gradients (Dalal & Triggs 2005) and a thumbnail,
    both of the luma without its mean and contrast, and the colours of 8×8 cells. Each part has a length of about 1."""
    luma = small @ _LUMA
    luma = luma - luma.mean(axis=(1, 2), keepdims=True)
    luma = luma / np.maximum(luma.std(axis=(1, 2), keepdims=True), _LEAST_CONTRAST)
    thumbnail = _cells(luma[..., None], _THUMBNAIL)
    colours = _cells(small @ _CHROMA, _COLOURS) / np.float32(43.5 * np.sqrt(DESCRIPTOR // _ORIENTATIONS))
    parts = (_unit(_gradients(luma)), _unit(thumbnail), colours)
    return np.concatenate(parts, axis=1).astype(np.float32)


def _gradients(luma: np.ndarray) -> np.ndarray:
    down, right = np.gradient(luma, axis=(1, 2))
    size = np.hypot(down, right)
    least = np.maximum(size, 1e-6)
    # Twice the angle: an edge from dark to light is the same edge the other way round.
    along, across = (right**2 - down**2) / least, 2 * right * down / least
    turns = np.arange(_ORIENTATIONS) * (2 * np.pi / _ORIENTATIONS)
    parts = [_cells(np.maximum(along * np.cos(turn) + across * np.sin(turn), 0)[..., None], _COLOURS) for turn in turns]
    return np.concatenate(parts, axis=1)


def _cells(image: np.ndarray, side: int) -> np.ndarray:
    """(b, s, s, c) → (b, side² · c) means of square cells."""
    count, edge = len(image), image.shape[1] // side
    means: np.ndarray = image.reshape(count, side, edge, side, edge, -1).mean(axis=(2, 4)).reshape(count, -1)
    return means


def _unit(rows: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return scaled
