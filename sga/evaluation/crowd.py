"""What is kept of a stream of generated faces of one gender, however long: moments, a fixed number of features, counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from classifiers.metrics import Estimate
from sga.evaluation.features import Extractor, mirrored
from sga.evaluation.frechet import PrefixMoments
from sga.evaluation.neighbours import NearestFaces, nearest_of_both
from sga.evaluation.rates import rate
from sga.evaluation.referee import Referee
from sga.evaluation.spectrum import MeanSpectrum

__all__ = ["Copies", "Crowd", "Eyes", "Pair", "Sight"]

_PAIRS = 24
"""Closest pairs that are kept to be looked at."""


@dataclass(frozen=True)
class Sight:
    """What is seen of k faces: features (k, width), those of their mirror images or None, the referee's logits (k, …)."""

    features: np.ndarray
    mirrored: np.ndarray | None
    logits: np.ndarray


class Eyes:
    """The extractor and the referee, in one pass where they are the same network."""

    def __init__(self, referee: Referee, extractor: Extractor) -> None:
        self.referee, self.extractor = referee, extractor

    def see(self, images: np.ndarray, *, mirror: bool = False) -> Sight:
        """images: (k, size, size, 3) uint8. mirror: whether features of the mirror images are needed."""
        features, flipped, logits = self.referee.look(images)
        if self.extractor is self.referee:
            return Sight(features, flipped, logits)
        return Sight(self.extractor.features(images), self.extractor.features(mirrored(images)) if mirror else None, logits)


@dataclass(frozen=True, eq=False)
class Pair:
    """A generated face and the training face nearest to it. row: among the training faces."""

    distance: float
    image: np.ndarray
    row: int


class Copies:
    """How near generated faces come to training faces, measured by how near faces come that no training saw."""

    def __init__(self, bank: NearestFaces, held_out: np.ndarray, most: int) -> None:
        """bank: the training faces; held_out: (m,) distances of held-out real faces to it; most: faces looked up."""
        self._bank, self.held_out, self.most = bank, held_out, most
        self.limit = float(np.quantile(held_out, 0.01)) if len(held_out) else float("nan")
        """Held-out faces come nearer than this in 1 % of cases."""
        self.distances: list[float] = []
        self.pairs: list[Pair] = []

    @property
    def open(self) -> bool:
        """Whether more faces are to be looked up."""
        return len(self.distances) < self.most

    def see(self, images: np.ndarray, sight: Sight) -> None:
        """Look faces up, each as it is and mirrored: trainings mirror their faces."""
        assert sight.mirrored is not None
        distances, rows = nearest_of_both(self._bank, sight.features, sight.mirrored)
        for image, distance, row in zip(images, distances.tolist(), rows.tolist(), strict=True):
            if self.open:
                self.distances.append(distance)
                self.pairs.append(Pair(distance, image.copy(), row))
        self.pairs = sorted(self.pairs, key=lambda pair: pair.distance)[:_PAIRS]

    @property
    def share(self) -> Estimate:
        """Share of faces nearer than `limit`; 0.01 where they copy as little as held-out faces do."""
        return rate(int((np.asarray(self.distances) < self.limit).sum()), len(self.distances))

    @property
    def ratio(self) -> float:
        """Median distance over that of held-out faces; below 1: nearer to the training faces than these are."""
        return float(np.median(self.distances) / np.median(self.held_out))


@dataclass
class Crowd:
    """The faces of one gender. moments: of all and of the first few; spectrum: of all; features: (≤ keep, width); sheet: the
    first pictures."""

    gender: int
    moments: PrefixMoments
    keep: int
    sheet_size: int
    copies: Copies | None = None
    spectrum: MeanSpectrum = field(default_factory=MeanSpectrum)
    n: int = 0
    right: int = 0
    sheet: list[np.ndarray] = field(default_factory=list)
    _kept: list[np.ndarray] = field(default_factory=list)

    @property
    def features(self) -> np.ndarray:
        """(k, width) float32 of the first faces, `keep` of them at most."""
        return np.concatenate([np.zeros((0, self.moments.width), dtype=np.float32), *self._kept])[: self.keep]

    def watch(
        self, batches: Iterable[np.ndarray], eyes: Eyes, attribute: str | None, on_batch: Callable[[int], object]
    ) -> None:
        """Take in batches (k, size, size, 3) uint8 until they end. attribute: the gender's name, where the referee knows it."""
        for images in batches:
            copies = self.copies if self.copies is not None and self.copies.open else None
            sight = eyes.see(images, mirror=copies is not None)
            self.moments.update(sight.features)
            self.spectrum.update(images)
            if self.n < self.keep:
                self._kept.append(sight.features)
            if len(self.sheet) < self.sheet_size:
                self.sheet += [image.copy() for image in images[: self.sheet_size - len(self.sheet)]]
            if copies is not None:
                copies.see(images, sight)
            if attribute is not None:
                self.right += int((eyes.referee.decide(attribute, sight.logits) == self.gender).sum())
            self.n += len(images)
            on_batch(len(images))
