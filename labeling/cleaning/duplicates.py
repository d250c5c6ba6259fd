"""Near duplicates: a search among all faces by their features, confirmed by their hashes, and which face of a cluster stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from configs.errors import MissingExtra

__all__ = ["Pairs", "Projection", "choose", "find_pairs"]

_COMPONENTS = 96
_SAMPLE = 8192
_RIDGE = 0.02
_NEIGHBOURS, _MORE = 16, 4  # of each face; so many times as many where the last of them is a copy too
_CELLS = 1 << 19  # neighbours looked up at once
_ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1).astype(np.int64)
_WIDEST = 0.5
"""Pairs that are further apart are not kept: no threshold that makes sense reaches them."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of faces that may be near duplicates: rows (m, 2) int64, first < second; distance (m,) float32, 1 − the cosine of
    their features; bits (m,) int64 by which their hashes differ; mirrored (m,) bool: of one face and the other's mirror
    image."""

    rows: np.ndarray
    distance: np.ndarray
    bits: np.ndarray
    mirrored: np.ndarray

    def within(self, distance: float, bits: int, *, mirrored: bool) -> Pairs:
        """Those that are near by both measures; mirrored: also the mirrored ones."""
        return self._where((self.distance < distance) & (self.bits <= bits) & (mirrored | ~self.mirrored))

    def beyond(self, distance: float, bits: int) -> Pairs:
        """Those that are not near by one of the measures at least."""
        return self._where((self.distance >= distance) | (self.bits > bits))

    def among(self, faces: np.ndarray) -> Pairs:
        """Those of which both are among the faces, (n,) bool."""
        return self._where(faces[self.rows].all(axis=1))

    def _where(self, chosen: np.ndarray) -> Pairs:
        return Pairs(self.rows[chosen], self.distance[chosen], self.bits[chosen], self.mirrored[chosen])


class Projection:
    """The descriptors' main components, partly whitened: what all faces share counts less, what tells one from another more."""

    def __init__(self, sample: np.ndarray) -> None:
        """sample: (k, d) descriptors from which the components are learnt, no label is looked at."""
        self.mean = sample.mean(axis=0)
        centred = (sample - self.mean).astype(np.float64)
        values, axes = np.linalg.eigh(centred.T @ centred / max(1, len(sample)))  # by rising variance
        values, axes = values[::-1][:_COMPONENTS], axes[:, ::-1][:, :_COMPONENTS]
        # The square root of full whitening, which would make noise count as much as the face; the ridge holds where few faces
        # leave components without variance.
        self.axes = (axes / (np.maximum(values, 0) + _RIDGE * values[0] + 1e-12) ** 0.25).astype(np.float32)

    @staticmethod
    def sample_of(faces: Sequence[str]) -> np.ndarray:
        """(k,) int64 rows to learn from, the same whatever the order of the faces."""
        order = np.argsort(np.asarray(faces, dtype=str))
        return order[np.unique(np.linspace(0, len(order) - 1, min(_SAMPLE, len(order))).astype(np.int64))]

    def __call__(self, descriptors: np.ndarray) -> np.ndarray:
        """(b, d) → (b, c) float32."""
        projected: np.ndarray = (descriptors - self.mean) @ self.axes
        return projected


def find_pairs(
    features: np.ndarray, mirrored: np.ndarray | None, hashes: np.ndarray, *, distance: float = 0.0, bits: int = 256
) -> Pairs:
    """The nearest faces of each face: 16, and all those within both limits where there are more.

    features: (n, d) float32; mirrored: the same of the mirror images, None = those are not looked for; hashes: (n, 2, 32) uint8
    of faces and mirror images; distance, bits: the limits, so that no copy of a face that is there a hundred times is missed.
    Exact and a block of rows at a time: memory grows with n and the pairs found, not with n².
    """
    try:
        from sklearn.neighbors import NearestNeighbors
    except ModuleNotFoundError as error:
        raise MissingExtra("scikit-learn", "train") from error
    count = len(features)
    bank = _unit(features)
    index = NearestNeighbors(algorithm="brute").fit(bank)
    found = []
    for view, queries in enumerate([bank] if mirrored is None else [bank, _unit(mirrored)]):
        rows: np.ndarray = np.arange(count)
        near, reach, most = min(_NEIGHBOURS + 1, count), _WIDEST, 256
        while len(rows):
            crowded = []
            for block in np.array_split(rows, -(-len(rows) * near // _CELLS)):
                apart, second = index.kneighbors(queries[block], near)
                apart = np.square(apart) / 2
                crowded.append(block[apart[:, -1] < distance])
                first, second, apart = np.repeat(block, near), second.ravel(), apart.ravel()
                kept = (first != second) & (apart < reach)
                first, second, apart = first[kept], second[kept], apart[kept]
                differing = _ONES[hashes[first, view] ^ hashes[second, 0]].sum(axis=1)
                kept = differing <= most
                ends = np.sort(np.stack([first, second], axis=1)[kept], axis=1)
                found.append((ends, apart[kept].astype(np.float32), differing[kept], np.full(len(ends), view == 1)))
            # The last of these neighbours still is a copy: there may be more.
            rows = np.concatenate(crowded) if near < count else rows[:0]
            near, reach, most = min(_MORE * near, count), min(distance, _WIDEST), bits
    rows, apart, differing, turned = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((turned, apart, rows[:, 1], rows[:, 0]))  # of two ways to see a pair the nearer one
    once = order[np.diff(rows[order], axis=0, prepend=-1).any(axis=1)]
    return Pairs(rows[once], apart[once], differing[once], turned[once])


def choose(count: int, pairs: Pairs, rank: np.ndarray, fixed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which faces go, and for which other: ((count,) int64 row of the face that stays in its place, -1 where it stays itself;
    (count,) float32 distance to it, NaN).

    rank: (count,) the best face of a cluster has the highest; fixed: (count,) bool, faces that stay in any case. A cluster may
    be a chain whose ends are unlike each other: only what is near a face that stays goes, the rest is looked at again.
    """
    instead, distance = np.full(count, -1, np.int64), np.full(count, np.nan, np.float32)
    first, other = np.concatenate([pairs.rows, pairs.rows[:, ::-1]]).T
    order = np.argsort(first, kind="stable")
    other, apart = other[order], np.tile(pairs.distance, 2)[order]
    faces, starts = np.unique(first[order], return_index=True)
    ends = np.append(starts[1:], len(other))
    for place in np.lexsort((faces, -rank[faces], ~fixed[faces])).tolist():
        row, mine = faces[place], slice(starts[place], ends[place])
        if instead[row] >= 0:
            continue
        goes = ~fixed[other[mine]] & ((instead[other[mine]] < 0) | (apart[mine] < distance[other[mine]]))
        instead[other[mine][goes]], distance[other[mine][goes]] = row, apart[mine][goes]
    return instead, distance


def _unit(rows: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return np.ascontiguousarray(scaled, dtype=np.float32)
