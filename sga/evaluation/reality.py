"""The real faces that generated ones are compared with, as features; and how near real faces come to each other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from configs.errors import WorkspaceError
from labeling.table import LabelTable
from sga.evaluation.features import Extractor, stored_features
from sga.evaluation.frechet import Moments
from sga.evaluation.neighbours import NearestFaces, nearest_of_both
from sga.training.data import training_rows

__all__ = ["OVERALL", "Group", "Reality", "group_rows"]

OVERALL = "overall"
"""The group of all faces, genders as frequent as they are."""


@dataclass(frozen=True, eq=False)
class Group:
    """Real faces of a kind. features: (n, width) float32 in an order of chance that the seed fixes."""

    features: np.ndarray

    @property
    def n(self) -> int:
        """How many."""
        return len(self.features)

    @cached_property
    def moments(self) -> Moments:
        """Of all of them."""
        return Moments.of(self.features)

    def halves(self, most: int) -> tuple[np.ndarray, np.ndarray]:
        """Two disjoint sets of as many faces, at most `most` each."""
        size = min(most, self.n // 2)
        return self.features[:size], self.features[size : 2 * size]


def group_rows(table: LabelTable, split: str, seed: int) -> dict[str, np.ndarray]:
    """(n,) int64 rows of the real faces of each group, OVERALL first, in an order of chance. split: test, or all.

    Gender is as labelled, else as completed; faces of unknown gender are in OVERALL alone.

    Raises:
        WorkspaceError: no face in the split test.
    """
    held_out = table.in_split("test")
    if not held_out.any():
        raise WorkspaceError(
            "Expected faces in the split test, which no training sees, found none. Ingest more faces: a part of their groups "
            "falls into it."
        )
    digest = hashlib.blake2b(f"real/{seed}".encode(), digest_size=16).digest()
    rng = np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))
    rows = rng.permutation(np.flatnonzero(held_out) if split == "test" else np.flatnonzero(table.kept()))
    gender = table.schema.with_role("gender")[0]
    codes = table.codes(gender.name)[rows]
    return {OVERALL: rows} | {value: rows[codes == code] for code, value in enumerate(gender.values)}


class Reality:
    """Features of the real faces of a workspace, kept in a folder."""

    def __init__(
        self,
        folder: Path,
        table: LabelTable,
        pixels: np.ndarray,
        extractor: Extractor,
        rows: Mapping[str, np.ndarray],
        on_batch: Callable[[int], Any] = lambda count: None,
    ) -> None:
        """rows: of `group_rows`."""
        self._folder, self._pixels, self._extractor, self._on_batch = folder, pixels, extractor, on_batch
        self._table = table
        self.training = np.flatnonzero(training_rows(table))
        self.held_out = np.flatnonzero(table.in_split("test"))
        overall = rows[OVERALL]
        features = self._features(overall)
        place = np.full(len(table), -1)
        place[overall] = np.arange(len(overall))
        self.groups = {name: Group(features[place[part]]) for name, part in rows.items()}

    @property
    def width(self) -> int:
        """Features of a face."""
        return int(self.groups[OVERALL].features.shape[1])

    def _features(self, rows: np.ndarray) -> np.ndarray:
        """(k, width) float32 in the order of `rows`."""
        parts = {"test": self.held_out, "training": self.training}
        stored = {name: self._part(name, part) for name, part in parts.items() if np.isin(part, rows).any()}
        out = np.empty((len(rows), next(iter(stored.values())).shape[1]), dtype=np.float32)
        place = np.full(len(self._table), -1)
        place[rows] = np.arange(len(rows))
        for name, part in stored.items():
            wanted = place[parts[name]]
            out[wanted[wanted >= 0]] = part[wanted >= 0]
        return out

    def _part(self, name: str, rows: np.ndarray, *, mirror: bool = False) -> np.ndarray:
        faces = self._table.faces[rows]
        return stored_features(
            self._folder, name, self._extractor, self._pixels, rows, faces, mirror=mirror, on_batch=self._on_batch
        )

    def training_bank(self) -> tuple[NearestFaces, dict[str, np.ndarray]]:
        """The faces that a generator may have learnt by heart, and by gender the distances of held-out faces to them."""
        bank = NearestFaces(np.asarray(self._part("training", self.training)))
        plain, flipped = self._part("test", self.held_out), self._part("test", self.held_out, mirror=True)
        parts = [slice(start, start + 512) for start in range(0, len(plain), 512)]
        distances = np.concatenate([nearest_of_both(bank, plain[part], flipped[part])[0] for part in parts])
        gender = self._table.schema.with_role("gender")[0]
        codes = self._table.codes(gender.name)[self.held_out]
        return bank, {value: distances[codes == code] for code, value in enumerate(gender.values)}
