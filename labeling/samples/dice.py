"""Randomness as a function of position: every part of every face draws from a stream of its own."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

__all__ = ["Dice"]

T = TypeVar("T")
_BLOCK = 64


class Dice:
    """Uniform numbers keyed by (entropy, part) alone: toggling one tag of a face leaves all of its other parts as they were."""

    def __init__(self, entropy: Sequence[int], part: str) -> None:
        sequence = np.random.SeedSequence((*entropy, zlib.crc32(part.encode())))
        self._rng = np.random.Generator(np.random.Philox(sequence))
        self._block: list[float] = []

    def unit(self) -> float:
        """A number in [0, 1)."""
        if not self._block:
            self._block = self._rng.random(_BLOCK).tolist()
        return self._block.pop()

    def uniform(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return low + (high - low) * self.unit()

    def bell(self, low: float, high: float) -> float:
        """A number in [low, high), the middle more often than the ends."""
        return low + (high - low) * (self.unit() + self.unit() + self.unit()) / 3

    def chance(self, probability: float) -> bool:
        """True at the given rate."""
        return self.unit() < probability

    def sign(self) -> int:
        """-1 or 1."""
        return 1 if self.unit() < 0.5 else -1

    def integer(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        return min(low + int((high - low + 1) * self.unit()), high)

    def pick(self, values: Sequence[T], weights: Sequence[float] | None = None) -> T:
        """One of `values`, by weight (not negative; they need not sum to one)."""
        if weights is None:
            return values[self.integer(0, len(values) - 1)]
        target = self.unit() * sum(weights)
        for value, weight in zip(values, weights, strict=True):
            target -= weight
            if target < 0:
                return value
        return values[-1]
