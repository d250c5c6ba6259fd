"""What says that two faces are alike: the style feature network, before it the ensemble, before that their thumbnails."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from sga.explore.data.faces import DataFaces

__all__ = ["Features", "face_features_of"]

_SIDE, _COMPONENTS = 16, 30


@dataclass(frozen=True, eq=False)
class Features:
    """rows: (k,) int64, ascending, of the faces; vectors: (k, d) float32; name: what made them; note: what stands in for what,
    "" = nothing does."""

    rows: np.ndarray
    vectors: np.ndarray
    name: str
    note: str = ""


def face_features_of(faces: DataFaces, count: int, seed: int) -> Features:
    """At most `count` faces drawn by seed, with the best features that the workspace has of them.

    1. styles of the SFN (SGA-GAN 2.2): 30 numbers a face; 2. the ensemble's probabilities of every attribute, as square roots,
    whose Euclidean distance is Hellinger's; 3. the first 30 main components of thumbnails of 16 × 16 pixels.

    Raises:
        WorkspaceError: a file of the workspace is damaged.
    """
    from labeling.queue import face_styles, load_predictions

    stored = face_styles(faces.space)
    if stored is not None:
        made = _aligned(faces, *stored, count, seed)
        if len(made[0]):
            return Features(*made, "styles of the style feature network", _missing(faces, stored[0], "style"))
    said = load_predictions(faces.space)
    if said is not None:
        roots = [np.sqrt(said.mean(name)) for name in said.probabilities]
        made = _aligned(faces, said.faces, np.concatenate(roots, axis=1), count, seed)
        if len(made[0]):
            note = "There are no styles yet (sga sfn makes them): faces are near where the ensemble says the same of them."
            return Features(
                *made, "probabilities of the ensemble", f"{note} {_missing(faces, said.faces, 'prediction')}".strip()
            )
    rows = _drawn(np.arange(len(faces)), count, seed)
    note = "There are no styles yet (sga complete, then sga sfn make them): faces are near where their colours are alike."
    return Features(rows, _thumbnails(faces.read(rows)), "thumbnails", note)


def _aligned(faces: DataFaces, names: np.ndarray, vectors: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of drawn faces that have a vector, and the vectors."""
    rows = faces.table.rows(names.tolist())
    place = np.full(len(faces), -1, np.int64)
    place[rows[rows >= 0]] = np.flatnonzero(rows >= 0)
    drawn = _drawn(np.flatnonzero(place >= 0), count, seed)
    return drawn, vectors[place[drawn]].astype(np.float32)


def _drawn(rows: np.ndarray, count: int, seed: int) -> np.ndarray:
    if len(rows) <= count:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, count, replace=False))


def _missing(faces: DataFaces, names: np.ndarray, what: str) -> str:
    missing = len(faces) - len(set(faces.table.faces) & set(names.tolist()))
    return f"{missing:,} newer faces have no {what} yet." if missing else ""


def _thumbnails(pixels: np.ndarray) -> np.ndarray:
    small = [np.asarray(Image.fromarray(one).resize((_SIDE, _SIDE), Image.Resampling.BOX)) for one in pixels]
    flat = np.stack(small).reshape(len(small), -1).astype(np.float64) / 255
    flat -= flat.mean(axis=0)
    _, axes = np.linalg.eigh(flat.T @ flat)  # by rising variance
    return np.asarray(flat @ axes[:, -_COMPONENTS:], dtype=np.float32)
