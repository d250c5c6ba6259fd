"""Near duplicates: a 256-bit difference hash, an exact search within a Hamming radius, groups, and the split of each group."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

__all__ = ["BITS", "assign_groups", "connected", "difference_hash", "near_pairs", "split_of"]

BITS = 256
_ROWS = 1024  # rows of the product at once: 120 MiB at 30,000 faces


def difference_hash(pixels: np.ndarray) -> bytes:
    """256-bit difference hash of (h, w, 3) uint8 RGB: is each cell of a 16×17 gray reduction brighter than its left neighbour?

    Integer arithmetic only, so the same picture hashes the same everywhere. Returns 32 bytes, row by row.
    """
    small = Image.fromarray(pixels).convert("L").resize((17, 16), Image.Resampling.BOX)
    gray = np.asarray(small).astype(np.int16)
    return np.packbits(gray[:, 1:] > gray[:, :-1]).tobytes()


def near_pairs(hashes: Sequence[bytes], radius: int) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of hashes at most `radius` bits apart: ((m, 2) int64 with first < second, (m,) int32 distances). Exact.

    Hashes as ±1 vectors make the distance a matrix product, (256 - a·b) / 2, exact in float32: 28,000 faces take 3 s on two
    cores. Banding would not do: near duplicates differ in up to 52 bits, and bands short enough for that hold everything.
    Equal hashes are compared once: k uniform pictures give k - 1 pairs with their first, not k²/2.
    """
    if not len(hashes):
        return np.empty((0, 2), np.int64), np.empty(0, np.int32)
    packed = np.frombuffer(b"".join(hashes), dtype=np.uint8).reshape(len(hashes), BITS // 8)
    unique, first, inverse = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    inverse = inverse.reshape(-1)
    equal = np.flatnonzero(first[inverse] != np.arange(len(packed)))
    pairs: list[np.ndarray] = [np.stack([first[inverse[equal]], equal], axis=1)]
    distances: list[np.ndarray] = [np.zeros(len(equal), np.int32)]
    signs = np.unpackbits(unique, axis=1).astype(np.float32) * 2 - 1
    for start in range(0, len(signs), _ROWS):
        alike = signs[start : start + _ROWS] @ signs[start:].T
        a, b = np.nonzero(alike >= BITS - 2 * radius)
        later = a < b
        a, b = a[later], b[later]
        pairs.append(first[np.stack([a, b], axis=1) + start])
        distances.append(((BITS - alike[a, b]) / 2).astype(np.int32))
    both, apart = np.sort(np.concatenate(pairs), axis=1).astype(np.int64), np.concatenate(distances)
    order = np.lexsort((both[:, 1], both[:, 0]))
    return both[order], apart[order]


def connected(count: int, pairs: np.ndarray) -> np.ndarray:
    """(count,) int64: the smallest index of each item's connected component under `pairs` (m, 2). Union-find."""
    parent = list(range(count))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for a, b in pairs.tolist():
        one, other = sorted((root(a), root(b)))
        parent[other] = one
    return np.array([root(item) for item in range(count)], dtype=np.int64)


def split_of(group: str, test: float, validation: float) -> str:
    """The split of a group, a function of its id alone: the order and number of files never matter."""
    position = int.from_bytes(hashlib.blake2b(group.encode(), digest_size=8, person=b"sga.split").digest(), "big") / 2**64
    return "test" if position < test else "validation" if position < test + validation else "train"


def _same_name(faces: Sequence[str], together: Mapping[str, str]) -> np.ndarray:
    """(m, 2) int64: each face with the first of its name."""
    first: dict[str, int] = {}
    named = [(row, together[face]) for row, face in enumerate(faces) if together.get(face)]
    return np.array([(first.setdefault(name, row), row) for row, name in named], dtype=np.int64).reshape(-1, 2)


def assign_groups(
    faces: Sequence[str], hashes: Sequence[bytes], known: dict[str, str], radius: int, together: Mapping[str, str] | None = None
) -> tuple[dict[str, str], list[tuple[str, tuple[str, ...]]]]:
    """The group of every face: near duplicates share one; its id is the smallest identity in it when it was made.

    known: group of the faces that have one already; they keep it, so they keep their split. New faces near a known one join the
    nearest known group. together: a name by face; faces of one name belong together as if they were equal. Returns face →
    group, and for new faces that lie between several known groups (face, those groups).
    """
    pairs, distances = near_pairs(hashes, radius)
    if together:
        same = _same_name(faces, together)
        pairs, distances = np.concatenate([pairs, same]), np.concatenate([distances, np.zeros(len(same), np.int32)])
    old = np.array([face in known for face in faces], dtype=bool)
    fresh = ~old[pairs].any(axis=1)
    component = connected(len(faces), pairs[fresh])
    touching: dict[int, dict[str, int]] = {}
    for (a, b), apart in zip(pairs.tolist(), distances.tolist(), strict=True):
        if old[a] != old[b]:
            new, there = (b, a) if old[a] else (a, b)
            near = touching.setdefault(int(component[new]), {})
            group = known[faces[there]]
            near[group] = min(apart, near.get(group, BITS))
    smallest: dict[int, str] = {}
    for face, part, is_old in zip(faces, component.tolist(), old, strict=True):
        if not is_old:
            smallest[part] = min(face, smallest.get(part, face))
    groups, between = dict(known), []
    for face, part, is_old in zip(faces, component.tolist(), old, strict=True):
        if is_old:
            continue
        near = touching.get(part, {})
        groups[face] = min(near, key=lambda group: (near[group], group)) if near else smallest[part]
        if len(near) > 1:
            between.append((face, tuple(sorted(near))))
    return groups, between
