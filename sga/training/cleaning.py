"""Faces that are left out because they teach badly: blurred, grey, or low in the eyes of the workspace's judge.

Nothing is deleted: the rows that are kept are written to `gan/cleaning.npz`, and a run continues on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from classifiers.sfn import describe, load_sfn
from configs.errors import WorkspaceError
from configs.files import atomic_path
from labeling.workspace import Workspace

if TYPE_CHECKING:
    from lightning.fabric import Fabric

    from sga.training.data import TrainingFaces
    from sga.training.settings import GanSettings

__all__ = ["ALWAYS_KEPT", "CleaningScore", "clean_rows", "kept_rows", "saturation", "sharpness", "stored_rows"]

CleaningScore = Literal["sharpness", "saturation", "judge"]

_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
ALWAYS_KEPT = 1000
"""Faces of a gender that neither cleaning nor selection goes below: a rare gender has no face to spare."""
_CHUNK = 256


def sharpness(pixels: np.ndarray) -> np.ndarray:
    """(n,) float32 variance of the Laplacian of the luminance in [0, 1] (Pech-Pacheco et al. 2000): low where nothing is sharp.
    pixels: (n, h, w, 3) uint8."""
    light = pixels.astype(np.float32) @ _LUMINANCE / 255
    edges = light[:, :-2, 1:-1] + light[:, 2:, 1:-1] + light[:, 1:-1, :-2] + light[:, 1:-1, 2:] - 4 * light[:, 1:-1, 1:-1]
    found: np.ndarray = edges.reshape(len(pixels), -1).var(axis=1)
    return found


def saturation(pixels: np.ndarray) -> np.ndarray:
    """(n,) float32 mean chroma, the largest minus the smallest channel, in [0, 1]: 0 for a grey picture. pixels: (n, h, w, 3)
    uint8."""
    chroma = pixels.max(axis=3).astype(np.float32) - pixels.min(axis=3)
    mean: np.ndarray = chroma.reshape(len(pixels), -1).mean(axis=1) / 255
    return mean


def clean_rows(workspace: Workspace, faces: TrainingFaces, settings: GanSettings, fabric: Fabric, *, fresh: bool) -> np.ndarray:
    """(k,) int64 rows of `faces` that the training keeps. fresh: measure anew; else those that the run began with.

    Raises:
        WorkspaceError: the judge is asked and there is none.
    """
    if not fresh and (kept := stored_rows(workspace, faces, settings)) is not None:
        return kept
    measured: dict[str, Any] = {name: _measure(name, workspace, faces, fabric) for name in settings.cleaning_by}
    rows = kept_rows(measured, faces.gender, settings.cleaning)
    if fabric.is_global_zero:
        path = workspace.folder("gan") / "cleaning.npz"
        stamp: dict[str, Any] = {"faces": np.array(faces.fingerprint()), "part": np.array(settings.cleaning)}
        with atomic_path(path) as temporary, temporary.open("wb") as handle:
            np.savez(handle, rows=rows, by=np.array(settings.cleaning_by), **stamp, **measured)
    return rows


def stored_rows(workspace: Workspace, faces: TrainingFaces, settings: GanSettings) -> np.ndarray | None:
    """What `clean_rows` wrote for these faces and settings; None where it wrote nothing, or for others."""
    path = workspace.folder("gan") / "cleaning.npz"
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as stored:
        if (str(stored["faces"]), float(stored["part"])) != (faces.fingerprint(), settings.cleaning):
            return None
        rows: np.ndarray | None = stored["rows"] if tuple(stored["by"].tolist()) == settings.cleaning_by else None
        return rows


def kept_rows(measured: Mapping[str, np.ndarray], gender: np.ndarray, part: float, always: int = ALWAYS_KEPT) -> np.ndarray:
    """(k,) int64, ascending: of each gender, -1 included, all but the `part` whose lowest rank by any measure is lowest.

    measured: (n,) each, low = bad. always: so many faces of a gender stay in any case.
    """
    kept = []
    for group in (np.flatnonzero(gender == code) for code in (-1, 0, 1)):
        ranks = [np.argsort(np.argsort(values[group], kind="stable"), kind="stable") for values in measured.values()]
        count = max(len(group) - round(part * len(group)), min(len(group), always))
        order = np.argsort(np.min(ranks, axis=0), kind="stable")
        kept.append(group[order[len(group) - count :]])
    return np.sort(np.concatenate(kept))


def _measure(name: CleaningScore, workspace: Workspace, faces: TrainingFaces, fabric: Fabric) -> np.ndarray:
    if name == "judge":
        return _judged(workspace, faces, fabric)
    look = {"sharpness": sharpness, "saturation": saturation}[name]
    chunks = np.array_split(np.arange(len(faces)), -(-len(faces) // _CHUNK))
    return np.concatenate([look(faces.images[rows]) for rows in chunks])


def _judged(workspace: Workspace, faces: TrainingFaces, fabric: Fabric) -> np.ndarray:
    """(n,) float32 quality in [0, 1]."""
    path = workspace.folder("quality") / "judge.safetensors"
    if not path.is_file():
        raise WorkspaceError(
            f"Expected a judge at {path} for cleaning_by judge, found none. Leave it out, or train first without it and type: "
            f"sga quality draw --workspace {workspace.root}"
        )
    network, schema, _ = load_sfn(path)
    logits, _ = describe(network.to(fabric.device), faces.images, np.arange(len(faces)), fabric)
    column = schema.logit_slices[schema.with_role("quality")[0].name].start
    quality: np.ndarray = 1 / (1 + np.exp(-logits[:, column].astype(np.float32)))
    return quality
