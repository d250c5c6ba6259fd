"""The scores of every face of a workspace: measured once, kept until other faces are there."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from configs.errors import WorkspaceError
from configs.files import atomic_path
from configs.machine import cores
from labeling.cleaning.duplicates import Pairs, Projection, find_pairs
from labeling.cleaning.measures import Look, look
from labeling.cleaning.settings import LIMITS, CleanSettings
from labeling.metadata import read_metadata
from labeling.queue import face_styles
from labeling.table import LabelTable
from labeling.workspace import Workspace, fingerprint

__all__ = ["FaceFinder", "Scores", "read_face", "score", "stored_styles"]

Progress = Callable[[int, int], None]

_VERSION = 2  # of what is measured: another one measures anew
_BLOCK = 128
_PIXELS = ("flat", "blur", "gray")
_PAIRS = ("rows", "distance", "bits", "mirrored")


@dataclass(frozen=True)
class FaceFinder:
    """Looks for a face in a crop. name: tells one detector and its settings from others; best: (s, s, 3) uint8 RGB → the score
    of the best face, 0 where there is none."""

    name: str
    best: Callable[[np.ndarray], float]


@dataclass(frozen=True)
class Scores:
    """values[reason]: (n,) float32 in the order of the label table, NaN where nothing was measured, of every reason but near
    duplicates; pairs: of faces that look alike."""

    values: dict[str, np.ndarray]
    pairs: Pairs


def score(
    space: Workspace,
    table: LabelTable,
    settings: CleanSettings,
    *,
    features: np.ndarray | None = None,
    finder: FaceFinder | None = None,
    on_progress: Progress = lambda done, total: None,
) -> Scores:
    """Measure every face of the table. Kept in `faces/cleaning/scores-….npz`, named by the faces and by what was measured with.

    features: (n, d) to compare faces by instead of the descriptor; finder: looks for a face in each, None = no_face is not
    measured; on_progress: called with (faces done, faces in all).

    Raises:
        WorkspaceError: a face file is missing or damaged.
        MissingExtra: scikit-learn is not installed.
    """
    seen = "" if features is None else np.ascontiguousarray(features).tobytes()
    stamp = fingerprint(_VERSION, settings.duplicates, settings.mirrors, seen, finder and finder.name, *table.faces)
    path = space.folder("faces") / "cleaning" / f"scores-{stamp}.npz"
    values, limits = _load(path), np.asarray(_limits(settings))
    if values is None or (values.pop("limits") < limits).any():
        values = _measure(space, table, settings, features, finder, on_progress)
        path.parent.mkdir(parents=True, exist_ok=True)
        for old in path.parent.glob("scores-*.npz"):
            old.unlink()
        with atomic_path(path) as temporary, temporary.open("wb") as handle:
            np.savez(handle, limits=limits, **values)  # type: ignore[arg-type]  # of its own keyword
    pairs = Pairs(*(values.pop(name) for name in _PAIRS))
    return Scores({**values, **_of_pictures(space, table)}, pairs)


def stored_styles(space: Workspace, table: LabelTable) -> np.ndarray:
    """(n, d) float32 styles of the table's faces, as `sga sfn` stored them.

    Raises:
        WorkspaceError: there are none, or not of all faces.
    """
    stored = face_styles(space)
    faces, styles = stored if stored is not None else (np.zeros(0, dtype=str), np.zeros((0, 1), np.float32))
    place = {face: row for row, face in enumerate(faces.tolist())}
    lost = sum(face not in place for face in table.faces)
    if lost:
        raise WorkspaceError(
            f"Expected styles of all {len(table):,} faces for features=sfn in {space.folder('sfn')}, found none of {lost:,}. "
            f"Type first: sga sfn --workspace {space.root}, or leave --features out."
        )
    return styles[[place[face] for face in table.faces]]


def read_face(space: Workspace, file: str) -> np.ndarray:
    """(s, s, 3) uint8 RGB of a face by its `file` in the label table.

    Raises:
        WorkspaceError: it is missing or damaged.
    """
    try:
        with Image.open(space.root / file) as image:
            return np.asarray(image.convert("RGB"))
    except OSError as error:
        raise WorkspaceError(
            f"Expected a face at {space.root / file}, found none that can be read. Ingest the faces again: "
            f"sga ingest PATH --workspace {space.root}"
        ) from error


def _load(path: Path) -> dict[str, np.ndarray] | None:
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as stored:
            return {name: stored[name] for name in ("no_face", *_PIXELS, *_PAIRS, "limits")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None  # not there yet, or damaged: measured again


def _limits(settings: CleanSettings) -> tuple[float, int]:
    """Distance and bits within which all pairs are looked for: those of the defaults at least, so that stricter ones need no
    new search."""
    distance, bits = LIMITS[settings.features]
    return max(distance, settings.distance), max(bits, settings.most_bits)


def _measure(
    space: Workspace,
    table: LabelTable,
    settings: CleanSettings,
    features: np.ndarray | None,
    finder: FaceFinder | None,
    on_progress: Progress,
) -> dict[str, np.ndarray]:
    files, compare = table.frame["file"].tolist(), settings.duplicates and len(table) > 1
    project = None
    if compare and features is None:
        rows = Projection.sample_of(table.faces.tolist())
        project = Projection(Look.join([one for one, _ in _looks(space, [files[row] for row in rows], None)]).descriptor)
    parts: list[Look] = []
    found: list[float] = []
    for one, best in _looks(space, files, finder):
        found += best
        shown = (one.descriptor, one.mirrored) if project is None else (project(one.descriptor), project(one.mirrored))
        if not compare or features is not None:
            shown = (one.descriptor[:, :0], one.mirrored[:, :0])
        parts.append(Look(one.sharpness, one.colours, one.contrast, *shown, one.hashes))
        on_progress(len(found), len(files))
    whole = Look.join(parts)
    values = {
        "no_face": np.asarray(found, dtype=np.float32),
        "flat": whole.contrast,
        "blur": whole.sharpness,
        "gray": whole.colours,
    }
    if not compare:
        none = np.zeros(0)
        pairs = Pairs(none.reshape(0, 2).astype(np.int64), none.astype(np.float32), none.astype(np.int64), none.astype(bool))
    else:
        seen, turned = (whole.descriptor, whole.mirrored) if features is None else (np.asarray(features, np.float32), None)
        distance, bits = _limits(settings)
        pairs = find_pairs(seen, turned if settings.mirrors else None, whole.hashes, distance=distance, bits=bits)
    return values | {name: getattr(pairs, name) for name in _PAIRS}


def _looks(space: Workspace, files: list[str], finder: FaceFinder | None) -> Iterator[tuple[Look, list[float]]]:
    """What each block of files looks like, in order, and the scores of their faces."""

    def work(start: int) -> tuple[Look, list[float]]:
        faces = [read_face(space, file) for file in files[start : start + _BLOCK]]
        return look(np.stack(faces)), [float("nan") if finder is None else finder.best(face) for face in faces]

    # Pillow and the long loops of NumPy let other threads run.
    with ThreadPoolExecutor(cores()) as pool:
        yield from pool.map(work, range(0, len(files), _BLOCK))


def _of_pictures(space: Workspace, table: LabelTable) -> dict[str, np.ndarray]:
    """What the pictures' sizes tell."""
    known = read_metadata(space)
    short, width, height = (known[name].to_numpy(np.float32) for name in ("short_edge", "width", "height"))
    stored = read_face(space, table.frame["file"].iloc[0]).shape[0]
    with np.errstate(invalid="ignore", divide="ignore"):
        return {"tiny": short / np.float32(stored), "aspect": np.maximum(width, height) / np.minimum(width, height)}
