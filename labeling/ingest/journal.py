"""`faces/detections/<key>.jsonl`: what was seen in which picture, a line each, by the content of the picture.

The key names the detector's file, the settings that decide what is found, and the size of the faces. A line that was not
written to its end counts as absent, as does one whose faces are no longer on disk; lines are only ever added.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.files import explain_os_error
from labeling.detection.detector import content_hash
from labeling.ingest.decoded import Decoded, face_file
from labeling.ingest.settings import IngestSettings

__all__ = ["NO_FACE", "Journal", "Seen", "content_key", "faces_seen"]

NO_FACE = "no face found"

_VERSION = 3
"""Of the search: with another one, pictures are searched again."""


@dataclass(frozen=True)
class Seen:
    """What an earlier run saw in a picture of this content: faces without the picture's name, or why there were none."""

    reason: str
    faces: tuple[tuple[Any, ...], ...]
    frames: int

    def named(self, name: str) -> list[Decoded]:
        """The outcome for a picture of that name."""
        if self.reason:
            return [Decoded(name, reason=self.reason, picture=name, frames=self.frames)]
        return [
            Decoded(f"{name}#{number}", face, bytes.fromhex(bits), "", name, tuple(box), edge, score, self.frames)
            for number, (face, bits, box, edge, score) in enumerate(self.faces)
        ]


def content_key(data: bytes) -> str:
    """By which a picture's bytes are known, 32 hex digits."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def faces_seen(root: Path) -> dict[str, set[str]]:
    """The faces that were seen in each picture with any detector and settings, by the picture's `content_key`."""
    seen: dict[str, set[str]] = {}
    for path in sorted((root / "faces" / "detections").glob("*.jsonl")):
        with path.open("rb") as handle:
            for line in handle:
                with suppress(ValueError, TypeError, KeyError, IndexError):
                    told = json.loads(line)
                    seen.setdefault(told["picture"], set()).update(face for face, *_ in told["faces"])
    return seen


class Journal:
    """The journal of one detector and its settings; a context manager that holds the file open for adding."""

    def __init__(self, root: Path, settings: IngestSettings) -> None:
        """Raises:
        InputError: the detector's file cannot be read.
        """
        how = settings.detection
        option = "--cascade" if how.cascade else "--detector"
        facts = how.model_dump(mode="json", exclude={"cascade", "detector"})
        limits = (settings.size, settings.min_size, settings.max_pixels)
        told = json.dumps([_VERSION, content_hash(how.cascade or how.detector, option), facts, limits], sort_keys=True)
        key = hashlib.blake2b(told.encode(), digest_size=8).hexdigest()
        self._root, self.path = root, root / "faces" / "detections" / f"{key}.jsonl"
        self._seen: dict[str, Seen] = {}
        self._digests: dict[str, str] = {}

    def __enter__(self) -> Journal:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._seen = dict(self._read())
            self._file = self.path.open("ab")
            if self._file.tell() and not self._ends_a_line():
                self._file.write(b"\n")  # behind what an interrupted run left
        except OSError as error:
            raise explain_os_error(error, self.path) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _ends_a_line(self) -> bool:
        with self.path.open("rb") as handle:
            handle.seek(-1, os.SEEK_END)
            return handle.read() == b"\n"

    def _read(self) -> Iterator[tuple[str, Seen]]:
        if not self.path.is_file():
            return
        with self.path.open("rb") as handle:
            for line in handle:
                with suppress(ValueError, TypeError, KeyError):
                    told = json.loads(line)
                    yield told["picture"], Seen(told["reason"], tuple(map(tuple, told["faces"])), told["frames"])

    def looked_up(self, pictures: Iterable[tuple[str, bytes | str]]) -> Iterator[tuple[str, bytes | str | Seen]]:
        """The pictures, with what was seen in them in the place of their bytes where that is known."""
        for name, data in pictures:
            if isinstance(data, str):
                yield name, data
                continue
            digest = content_key(data)
            seen = self._seen.get(digest)
            if seen is not None and all(self._there(face) for face, *_ in seen.faces):
                yield name, seen
            else:
                self._digests[name] = digest
                yield name, data

    @property
    def understood(self) -> bool:
        """Whether the detector ever found a face with these settings, or none."""
        return any(seen.faces or seen.reason.startswith(NO_FACE) for seen in self._seen.values())

    def _there(self, face: str) -> bool:
        with suppress(OSError):
            return (self._root / face_file(face)).stat().st_size > 0
        return False

    def keep(self, faces: list[Decoded]) -> None:
        """Add the outcome of a picture, unless it came from here or may be another one next time (`Decoded.fault`).

        Raises:
            InputError: the disk is full.
        """
        digest = self._digests.pop(faces[0].picture, "")
        if not digest or faces[0].fault:
            return
        reason = faces[0].reason
        found = [] if reason else [(one.face, one.hash.hex(), one.box, one.short_edge, one.detection) for one in faces]
        told = {"picture": digest, "reason": reason, "faces": found, "frames": faces[0].frames}
        line = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
        try:
            self._file.write(line.encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise explain_os_error(error, self.path) from error
