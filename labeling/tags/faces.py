"""A tagger on the stored faces: what it said is kept, so that a stopped run goes on and a later one asks about new faces
alone."""

from __future__ import annotations

import hashlib
import time
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from configs.errors import InputError, WorkspaceError
from configs.files import atomic_path
from labeling.ingest.store import face_file
from labeling.tags.meaning import Meaning
from labeling.tags.settings import TaggerSettings
from labeling.tags.tag_list import TagList
from labeling.tags.tagger import Tagger
from labeling.workspace import Workspace, fingerprint

__all__ = ["FaceTagger"]

_PASSES = 8  # batches between two looks at the clock
_SAVE_SECONDS = 30.0


class FaceTagger:
    """The tags of a tagger that say something of the schema, for faces of a workspace."""

    def __init__(self, settings: TaggerSettings, meaning: Meaning, threads: int = 0) -> None:
        """threads: 0 = one a core.

        Raises:
            InputError: model or list cannot be read, do not belong together, or say nothing of the schema.
        """
        listed = TagList.read(Path(settings.tags))
        self.columns = [place for place, tag in enumerate(listed.tags) if tag in meaning.useful]
        self.tags = [listed.tags[place] for place in self.columns]
        if not self.tags:
            raise InputError(
                f"Expected tags of schema {meaning.schema.name} in {listed.path} ({', '.join(sorted(meaning.useful)[:3])} …), "
                f"found none among {len(listed.tags):,}. Name the map of its tags with --tag-map."
            )
        self.tagger = Tagger(settings, listed, threads)
        how = (str(self.tagger.format), self.tagger.format.mean, self.tagger.format.std, self.tagger.logits)
        self.name = fingerprint(_digest(self.tagger.path), *self.tags, *self.columns, *how)

    def __call__(self, space: Workspace, faces: Sequence[str], progress: Callable[[int, int], None]) -> np.ndarray:
        """(n, k) float32 probabilities of the n faces, k = len(self.tags). Kept in `faces/tagger-<name>.npz`.

        Raises:
            WorkspaceError: a face cannot be read.
        """
        path = space.folder("faces") / f"tagger-{self.name}.npz"
        known = self._load(path)
        todo = [face for face in faces if face not in known]
        saved, step = time.monotonic(), _PASSES * self.tagger.batch
        try:
            for start in range(0, len(todo), step):
                part = todo[start : start + step]
                told = self.tagger([_read(space.root / face_file(face)) for face in part])[:, self.columns]
                known.update(zip(part, told, strict=True))
                progress(len(faces) - len(todo) + start + len(part), len(faces))
                if time.monotonic() - saved > _SAVE_SECONDS:
                    self._save(path, known)
                    saved = time.monotonic()
        finally:  # also where it is interrupted
            if todo:
                self._save(path, known)
        return np.stack([known[face] for face in faces]) if len(faces) else np.empty((0, len(self.tags)), np.float32)

    def text(self) -> str:
        """One line for people: how the model is fed, what it gives, and how many of its tags count."""
        given = "logits" if self.tagger.logits else "probabilities"
        every = f"{len(self.tagger.tag_list.tags):,}"
        return f"{self.tagger.path.name} ({self.tagger.format}, gives {given}): {len(self.tags)} of its {every} tags count"

    def _load(self, path: Path) -> dict[str, np.ndarray]:
        try:
            with np.load(path, allow_pickle=False) as stored:
                return dict(zip(stored["faces"].tolist(), stored["probabilities"], strict=True))
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error):  # lost or damaged: it is asked again
            return {}

    def _save(self, path: Path, known: dict[str, np.ndarray]) -> None:
        if known:
            with atomic_path(path) as temporary, temporary.open("wb") as handle:
                np.savez_compressed(handle, faces=np.array(list(known), dtype="U64"), probabilities=np.stack([*known.values()]))


def _digest(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _read(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except OSError as error:
        raise WorkspaceError(f"Expected a face at {path}, found none that opens. Ingest into a new workspace.") from error
