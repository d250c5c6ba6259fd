"""t-SNE of faces (van der Maaten and Hinton 2008), and layouts in which no face covers another."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from configs.errors import InputError, MissingExtra
from sga.explore.data.faces import DataFaces
from sga.explore.data.features import Features, face_features_of

__all__ = ["FEWEST", "MOST", "Embedding", "embed", "snap"]

FEWEST, MOST = 12, 4000
"""Faces of a t-SNE: fewer have no neighbourhoods, for more the layouts take minutes."""

_PERPLEXITY = 30
_AIR = 2.2  # cells a face of the airy layout: groups stay apart


@dataclass(frozen=True, eq=False)
class Embedding:
    """features: of the faces shown, with their rows; places: (k, 2) float64 in [0, 1], where t-SNE puts them; airy, grid:
    (k, 2) int64 column and row of each face's own cell in a square of `airy_side`, `grid_side` cells, near that place."""

    features: Features
    places: np.ndarray
    airy: np.ndarray
    airy_side: int
    grid: np.ndarray
    grid_side: int

    @classmethod
    def of(cls, faces: DataFaces, count: int, seed: int) -> Embedding:
        """At most `count` faces, drawn by seed.

        Raises:
            InputError: a count out of its range, or too few faces.
        """
        if not FEWEST <= count <= MOST:
            raise InputError(f"Expected a count from {FEWEST} to {MOST}, found {count}. Type, for example: --count 1500")
        features = face_features_of(faces, count, seed)
        number = len(features.rows)
        if number < FEWEST:
            raise InputError(
                f"Expected at least {FEWEST} faces for a t-SNE, found {number} in {faces.space.root}. Ingest more faces, or "
                "name other pictures, for example: --only labels,samples"
            )
        places = embed(features.vectors, seed)
        airy_side, grid_side = math.ceil(math.sqrt(_AIR * number)), math.ceil(math.sqrt(number))
        return cls(features, places, snap(places, airy_side), airy_side, snap(places, grid_side), grid_side)


def embed(vectors: np.ndarray, seed: int) -> np.ndarray:
    """(k, 2) float64 in [0, 1]: t-SNE of (k, d) vectors, both axes scaled to their range.

    On one thread: with several the order of sums, and so the picture, would differ from run to run.
    """
    try:
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise MissingExtra("scikit-learn", "train") from error

    perplexity = min(_PERPLEXITY, (len(vectors) - 1) / 3)
    with threadpool_limits(1):
        places = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(vectors).astype(np.float64)
    low, high = places.min(axis=0), places.max(axis=0)
    scaled: np.ndarray = (places - low) / np.maximum(high - low, 1e-12)
    return scaled


def snap(places: np.ndarray, side: int) -> np.ndarray:
    """(k, 2) int64 column and row: a cell of its own for each place in a square of side × side cells, the summed squared
    distances being the least possible. places: (k, 2) in [0, 1], k ≤ side²."""
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    cells = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2)
    _, chosen = linear_sum_assignment(cdist(places, (cells + 0.5) / side, "sqeuclidean"))
    taken: np.ndarray = cells[chosen]
    return taken
