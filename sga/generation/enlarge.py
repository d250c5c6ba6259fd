"""Pictures made larger: a model folder's upscaler as far as it goes, then Lanczos' filter to the very size."""

from __future__ import annotations

import hashlib
import threading
from typing import Any

import numpy as np
from PIL import Image

from configs.errors import InputError, ModelError
from configs.machine import cores
from sga.generation.engines import Lanes, OnnxRuntimeSession

__all__ = ["FILTER", "LARGEST", "SMALLEST", "Enlarger", "check_size", "resample"]

SMALLEST, LARGEST = 16, 4096
"""Edges of a face that may be asked for, px."""
MOST = 4
"""Factor up to which a network enlarges, in one pass or several: no larger one was measured, and a pass by 2 costs four times
the one before."""
FILTER = "lanczos"
"""Named in a picture's metadata where no network enlarged it."""
_TILE, _MARGIN = 384, 32
_IN, _OUT, _PROBE = "image", "large", 8


def check_size(size: int) -> int:
    """The edge of a face that is asked for.

    Raises:
        InputError: out of its range.
    """
    if not isinstance(size, int | np.integer) or not SMALLEST <= size <= LARGEST:
        raise InputError(f"Expected a size from {SMALLEST} to {LARGEST} px, found {size!r}. Type, for example: --size 384")
    return size


def resample(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """(h, w, 3) uint8 to (height, width, 3) by Lanczos' filter, with anti-aliasing; the picture itself where it has that
    size."""
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS))


class Enlarger:
    """Enlarges pictures with the network of an `upscaler.onnx`, in any number of threads.

    It runs in ONNX Runtime whatever engine draws, a picture at a time on all cores: so a picture's pixels do not depend on the
    engine, on threads or on its company. The network is loaded when it is first used.
    """

    def __init__(self, content: bytes | None, threads: int | None = None) -> None:
        """content: the file; None = there is none, and Lanczos' filter does all. threads: None = one a core."""
        self._content, self._threads = content, cores() if threads is None else threads
        self._loading = threading.Lock()
        self._session: OnnxRuntimeSession | None = None
        self._scale = 0
        self.name = FILTER if content is None else hashlib.sha256(content).hexdigest()[:16]
        """What pictures say enlarged them: 16 hex digits of the file's SHA-256, or `FILTER`."""

    @property
    def learned(self) -> bool:
        """Whether there is a network."""
        return self._content is not None

    @property
    def scale(self) -> int:
        """Factor of one pass.

        Raises:
            ModelError: the file is no upscaler.
        """
        self._load()
        return self._scale

    def to_size(self, image: np.ndarray, size: int) -> np.ndarray:
        """(s, s, 3) uint8 to (size, size, 3): passes of the network until it is at least that large, up to `MOST` times the
        edge, then Lanczos' filter. A smaller size is Lanczos' alone."""
        if self.learned and size > len(image):
            factors = self.factors
            enough = next((factor for factor in factors if factor * len(image) >= size), factors[-1])
            image = self.times(image, enough)
        return resample(image, size, size)

    def times(self, image: np.ndarray, factor: int) -> np.ndarray:
        """(h, w, 3) uint8 to (factor·h, factor·w, 3) by the network alone.

        Raises:
            InputError: a factor that its passes do not give, or no network.
        """
        for _ in range(self.check_factor(factor)):
            image = self._pass(image)
        return image

    def check_factor(self, factor: int) -> int:
        """How many passes give a factor.

        Raises:
            InputError: none do, or there is no network.
            ModelError: the file is no upscaler.
        """
        factors = self.factors
        if factor not in factors:
            known = " or ".join(map(str, factors))
            raise InputError(f"Expected a scale of {known}, found {factor}. Type, for example: --scale {factors[-1]}")
        return factors.index(factor) + 1

    @property
    def factors(self) -> list[int]:
        """What one pass, two passes and so on give, up to `MOST`, but one pass in any case."""
        factors = [self.scale]
        while factors[-1] * self.scale <= MOST:
            factors.append(factors[-1] * self.scale)
        return factors

    def untiled(self, size: int) -> list[int]:
        """The `factors` by which a picture of that edge is enlarged without tiles, up to the largest size there is."""
        return [one for one in self.factors if size * one // self.scale <= _TILE + _MARGIN and size * one <= LARGEST]

    def _pass(self, image: np.ndarray) -> np.ndarray:
        """One pass, of a large picture in tiles: the memory is that of a tile, and the margin around each holds all that its
        pixels depend on."""
        height, width, _ = image.shape
        if max(height, width) <= _TILE + _MARGIN:
            return self._run(image)
        scale = self.scale
        large = np.empty((scale * height, scale * width, 3), np.uint8)
        for top in range(0, height, _TILE):
            for left in range(0, width, _TILE):
                above, before = min(top, _MARGIN), min(left, _MARGIN)
                tile = image[top - above : top + _TILE + _MARGIN, left - before : left + _TILE + _MARGIN]
                inner = self._run(tile)[scale * above :, scale * before :][: scale * _TILE, : scale * _TILE]
                large[scale * top :, scale * left :][: len(inner), : inner.shape[1]] = inner
        return large

    def _run(self, image: np.ndarray) -> np.ndarray:
        session = self._load()
        try:
            large: np.ndarray = session.run([_OUT], {_IN: np.ascontiguousarray(image[None])})[0][0]
        except Exception as error:  # the runtime's own exceptions share no base below Exception
            raise _no_upscaler(error) from error
        return large

    def _load(self) -> OnnxRuntimeSession:
        with self._loading:
            if self._session is None:
                self._session, self._scale = _opened(self._content, self._threads)
        return self._session


def _opened(content: bytes | None, threads: int) -> tuple[OnnxRuntimeSession, int]:
    """The session, and the factor of a pass as a small picture shows it."""
    if content is None:
        raise InputError("Expected an upscaler, found a model without. Name another with --model.")
    try:
        session = OnnxRuntimeSession(content, 1, Lanes(1, threads))
        probe: Any = session.run([_OUT], {_IN: np.zeros((1, _PROBE, _PROBE + 1, 3), np.uint8)})[0]
    except Exception as error:
        raise _no_upscaler(error) from error
    scale = probe.shape[1] // _PROBE
    if probe.dtype != np.uint8 or scale < 2 or probe.shape != (1, scale * _PROBE, scale * (_PROBE + 1), 3):
        raise ModelError(
            f"Expected upscaler.onnx to enlarge (1, h, w, 3) uint8 by a whole number, found that ({_PROBE}, {_PROBE + 1}) "
            f"becomes {probe.dtype} of shape {probe.shape}. Export the model anew."
        )
    return session, scale


def _no_upscaler(error: Exception) -> ModelError:
    line = " ".join(str(error).split())
    return ModelError(f"Expected an upscaler in upscaler.onnx, found: {line}. Export the model anew.")
