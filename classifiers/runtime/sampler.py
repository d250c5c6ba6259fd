"""Data order and noise as functions of (seed, images seen), so the same command continues the same run."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
import torch

__all__ = ["batch_rows", "seed_step", "weighted_rows"]


def _generator(*position: int | str) -> np.random.Generator:
    digest = hashlib.blake2b("/".join(map(str, position)).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


@lru_cache(maxsize=2)  # the steps of an epoch share its order; a batch reaches into the next one
def _epoch(rows: int, seed: int, epoch: int) -> np.ndarray:
    """(rows,) int64, not to be written to."""
    order = _generator("order", seed, epoch).permutation(rows)
    order.flags.writeable = False
    return order


def batch_rows(rows: int, seed: int, seen: int, batch: int) -> np.ndarray:
    """(batch,) int64 rows in [0, rows) at position `seen` of an endless series of permutations, one an epoch."""
    picked: list[np.ndarray] = []
    while batch > 0:
        epoch, start = divmod(seen, rows)
        part = _epoch(rows, seed, epoch)[start : start + batch]
        picked.append(part)
        seen, batch = seen + len(part), batch - len(part)
    return np.concatenate(picked)


def weighted_rows(cumulative: np.ndarray, seed: int, seen: int, batch: int) -> np.ndarray:
    """(batch,) int64 rows drawn with replacement; cumulative: (rows,) float64, the running sum of positive weights."""
    draws = _generator("weighted", seed, seen).random(batch) * cumulative[-1]
    return np.searchsorted(cumulative, draws, side="right").clip(max=len(cumulative) - 1)


def seed_step(seed: int, seen: int, rank: int = 0) -> None:
    """Seed every torch generator for the step that starts at image `seen`: dropout, augmentation and noise follow from it."""
    digest = hashlib.blake2b(f"step/{seed}/{seen}/{rank}".encode(), digest_size=7).digest()
    torch.manual_seed(int.from_bytes(digest, "little"))
