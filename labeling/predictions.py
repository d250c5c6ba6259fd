"""The file where labelling and classifiers meet: probabilities per face, attribute and ensemble member."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from configs.errors import WorkspaceError
from configs.files import atomic_path

__all__ = ["UNSEEN", "Predictions", "adjust_prior", "mutual_information"]

UNSEEN = 1e-7
"""A class without a label has a share of 1e-9 or less in training, one with a single label far more."""


@dataclass(frozen=True)
class Predictions:
    """faces: (n,) text; members: names; probabilities[attribute]: (n, members, size) float32, rows summing to 1, under the
    class prior decision[attribute] (size,), by which values are decided and faces are picked.

    out_of_fold: (n,) bool, True where a face was trained on and its numbers come from networks that never saw it;
    shares[attribute]: (size,) estimated class prior of the unlabelled faces.
    """

    faces: np.ndarray
    members: tuple[str, ...]
    probabilities: dict[str, np.ndarray]
    out_of_fold: np.ndarray
    decision: dict[str, np.ndarray] = field(default_factory=dict)
    shares: dict[str, np.ndarray] = field(default_factory=dict)

    def mean(self, name: str) -> np.ndarray:
        """(n, size) float32: the ensemble's probabilities of one attribute (SGA-GAN 2.1: the members' average)."""
        average: np.ndarray = self.probabilities[name].mean(axis=1)
        return average

    def natural(self, name: str) -> np.ndarray:
        """(n, size) float32: the members' average under the shares of the unlabelled faces: how likely each value really is."""
        moved: np.ndarray = adjust_prior(self.probabilities[name], self.decision[name], self.shares[name]).mean(axis=1)
        return moved.astype(np.float32)

    def suggestions(self, name: str, values: Sequence[str]) -> dict[str, tuple[str, float]]:
        """Face → the value of an attribute that completion would fill in, and how likely it is, in [0, 1].

        values: the attribute's. Empty where nothing is predicted of it, or of other values.
        """
        if name not in self.shares or len(self.shares[name]) != len(values):
            return {}
        natural = self.natural(name)
        told = zip(self.faces.tolist(), natural.argmax(axis=1).tolist(), natural.max(axis=1).tolist(), strict=True)
        return {face: (values[code], round(share, 6)) for face, code, share in told}

    def disagreement(self, name: str) -> np.ndarray:
        """(n,) float32 in [0, 1]: `mutual_information` of the members, as a part of its maximum."""
        return mutual_information(self.probabilities[name])

    @cached_property
    def version(self) -> str:
        """`ensemble-` and 8 hex digits of the content: their name in Label Studio, the same before and after `save`."""
        digest = hashlib.blake2b("\x1f".join((*self.faces.tolist(), *self.members)).encode(), digest_size=4)
        for name, value in self.probabilities.items():
            digest.update(name.encode() + value.astype(np.float16).tobytes())
            digest.update(b"".join(np.float32(part[name]).tobytes() for part in (self.decision, self.shares) if name in part))
        return f"ensemble-{digest.hexdigest()}"

    def save(self, path: str | Path) -> None:
        """Write one compressed npz, whole or not at all; half precision is far finer than these numbers are certain."""
        arrays: dict[str, Any] = {
            f"probabilities/{name}": value.astype(np.float16) for name, value in self.probabilities.items()
        }
        arrays |= {f"decision/{name}": value for name, value in self.decision.items()}
        arrays |= {f"shares/{name}": value for name, value in self.shares.items()}
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
                    decision={name: stored[f"decision/{name}"] for name in names},
                    shares={name: stored[f"shares/{name}"] for name in names},
                )
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
            raise WorkspaceError(
                f"Expected the ensemble's predictions at {path}, found none that can be read. Type first: sga complete"
            ) from error


def adjust_prior(probabilities: np.ndarray, training: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(…, k) probabilities under the class prior `training` (k,), moved to the prior `target` (k,) by Bayes' rule.

    A class that training never met gets 0: nothing is known of it, and what smoothing gives it must not be blown up.
    """
    met = training > UNSEEN
    scaled = probabilities * np.where(met, target / np.where(met, training, 1.0), 0.0)
    corrected: np.ndarray = scaled / scaled.sum(axis=-1, keepdims=True)
    return corrected


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
