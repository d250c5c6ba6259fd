"""The latents of a face: all that the generator reads, as a value that can be kept, compared and read again."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

import numpy as np

from configs.errors import InputError

__all__ = ["Latents"]

_FLOATS = np.dtype("<f4")


@dataclass(frozen=True, eq=False)
class Latents:
    """All that the generator reads, and hence all that decides a face.

    noise: (noise_size,) float32, drawn in [-1, 1]; gender: code; style: (style_size,) float32, standardised features, or tags
    of -1 and 1.
    """

    noise: np.ndarray
    gender: int
    style: np.ndarray

    @property
    def digest(self) -> str:
        """16 hex digits that name these latents: BLAKE2b of the gender's code as a byte, noise and style as little-endian
        float32."""
        content = bytes([self.gender]) + self.noise.astype(_FLOATS).tobytes() + self.style.astype(_FLOATS).tobytes()
        return hashlib.blake2b(content, digest_size=8).hexdigest()

    def to_text(self) -> str:
        """Noise, then style, as base64 of little-endian float32: every bit of them. The gender is not in it."""
        floats = np.concatenate([self.noise, self.style]).astype(_FLOATS)
        return base64.b64encode(floats.tobytes()).decode()

    @classmethod
    def from_text(cls, text: str, gender: int, noise_size: int, style_size: int) -> Latents:
        """The inverse of `to_text`.

        Raises:
            InputError: no such text, another number of values, or values that are not finite.
        """
        try:
            content = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise InputError(f"Expected latents as base64, found: {error}. Take a picture as sga wrote it.") from error
        if len(content) != _FLOATS.itemsize * (noise_size + style_size):
            raise InputError(
                f"Expected {noise_size} + {style_size} values as latents, found {len(content) / _FLOATS.itemsize:g}. "
                "Take a picture that this model drew."
            )
        floats = np.frombuffer(content, _FLOATS).astype(np.float32)
        if not np.isfinite(floats).all():
            raise InputError("Expected finite numbers as latents, found others. Take a picture as sga wrote it.")
        return cls(floats[:noise_size], gender, floats[noise_size:])
