"""The file where labelling and classifiers meet: probabilities per face, attribute and ensemble member."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from configs.errors import WorkspaceError
from configs.files import atomic_path

__all__ = ["Predictions", "mutual_information"]


@dataclass(frozen=True)
class Predictions:
    """faces: (n,) text; members: names; probabilities[attribute]: (n, members, size) float32, rows summing to 1.

    out_of_fold: (n,) bool, True where a face was trained on and its numbers come from networks that never saw it.
    """

    faces: np.ndarray
    members: tuple[str, ...]
    probabilities: dict[str, np.ndarray]
    out_of_fold: np.ndarray

    def mean(self, name: str) -> np.ndarray:
        """(n, size) float32: the ensemble's probabilities of one attribute (SGA-GAN 2.1: the members' average)."""
        average: np.ndarray = self.probabilities[name].mean(axis=1)
        return average

    def disagreement(self, name: str) -> np.ndarray:
        """(n,) float32 in [0, 1]: `mutual_information` of the members, as a part of its maximum."""
        return mutual_information(self.probabilities[name])

    def save(self, path: str | Path) -> None:
        """Write one compressed npz, whole or not at all; half precision is far finer than these numbers are certain."""
        arrays: dict[str, Any] = {
            f"probabilities/{name}": value.astype(np.float16) for name, value in self.probabilities.items()
        }
        with atomic_path(path) as temporary, temporary.open("wb") as handle:
            np.savez_compressed(
                handle,
                faces=self.faces.astype("U64"),
                members=np.asarray(self.members, dtype=np.str_),
                out_of_fold=self.out_of_fold,
                **arrays,
            )

    @classmethod
    def load(cls, path: str | Path) -> Predictions:
        """Read what `save` wrote.

        Raises:
            WorkspaceError: no such file, or a damaged one.
        """
        try:
            with Path(path).open("rb") as handle, np.load(handle, allow_pickle=False) as stored:
                names = [key.removeprefix("probabilities/") for key in stored.files if key.startswith("probabilities/")]
                return cls(
                    faces=stored["faces"],
                    members=tuple(stored["members"].tolist()),
                    probabilities={name: stored[f"probabilities/{name}"].astype(np.float32) for name in names},
                    out_of_fold=stored["out_of_fold"],
                )
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
            raise WorkspaceError(
                f"Expected the ensemble's predictions at {path}, found none that can be read. Type first: sga complete"
            ) from error


def mutual_information(probabilities: np.ndarray) -> np.ndarray:
    """Between the label and the member (BALD, Houlsby et al. 2011). (n, members, k) → (n,) float32 in [0, 1].

    0: all members say the same, however unsure; 1: each is certain of another value.
    """
    p = np.clip(probabilities.astype(np.float64), 1e-12, 1)
    mean = p.mean(axis=1)
    total = -(mean * np.log(mean)).sum(axis=1)
    expected = -(p * np.log(p)).sum(axis=2).mean(axis=1)
    most = np.log(min(p.shape[1], p.shape[2])) if min(p.shape[1:]) > 1 else 1.0
    return np.clip((total - expected) / most, 0, 1).astype(np.float32)
