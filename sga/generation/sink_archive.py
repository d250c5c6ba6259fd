"""Files of many faces, in the order in which the faces were asked for; the tar among them.

Faces are done out of order and a run may be killed, so each is appended, as it is done, to a hidden tar beside the file: a torn
end is cut off when the same command comes again. When all faces are there, the file itself is written from it in order, whole
or not at all. Its bytes do not depend on the order in which faces were done, nor on where the run was killed.
"""

from __future__ import annotations

import json
import os
import tarfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeAlias, cast

from configs.errors import InputError
from configs.files import atomic_path, explain_os_error, hold
from sga.generation.face import Face
from sga.generation.sink import check_left_out, mismatch, passed, read_back, read_note

__all__ = ["Archive", "Record", "TarSink"]

Record: TypeAlias = tuple[str, bytes]
"""The name and the PNG of a face; no bytes: it was left out."""
_BLOCK = tarfile.BLOCKSIZE


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a PNG lies in the hidden tar. size: 0 of a face that was left out."""

    offset: int
    size: int


class Archive(ABC):
    """A file of faces that is finished from a hidden tar."""

    def __init__(
        self, path: Path, expected: Mapping[str, str], *, overwrite: bool = False, gaps: bool = True, best: bool = True
    ) -> None:
        self.path = path
        self.expected = dict(expected)
        self.overwrite = overwrite
        self.gaps = gaps
        self.best = best
        self._part = path.with_name(f".{path.name}.part")
        self._lock_file = path.with_name(f".{path.name}.lock")
        self._places: dict[str, _Place] = {}
        self._asked: dict[str, None] = {}
        self._finished: set[str] = set()
        self._failed: set[str] = set()
        """Best attempts of faces that never passed, where those are to be drawn."""
        self._records: Iterator[Record] = iter(())
        self._handle: BinaryIO | None = None
        self._lock = threading.Lock()
        self._held = ExitStack()

    # -- what the formats know -------------------------------------------------------------------------------------------

    @abstractmethod
    def _note(self) -> dict[str, Any] | None:
        """What `_write_all` noted in the finished file, None where another program wrote it."""

    @abstractmethod
    def _read_all(self) -> Iterator[Record]:
        """The faces of the finished file."""

    @abstractmethod
    def _write_all(self, path: Path, note: dict[str, Any], records: Iterator[Record]) -> None:
        """Write the finished file to `path`."""

    # -- a sink ------------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        busy = f"another command that writes {self.path.name}. Wait for that one, or name another file with --to."
        self._held.enter_context(hold(self._lock_file, busy))
        try:
            for left in self.path.parent.glob(
                f".{self.path.name}*.tmp"
            ):  # of a process that was killed: nobody else writes here
                left.unlink()
            self._take_stock()
        except BaseException:
            self._close()
            raise
        return self

    def has(self, name: str) -> bool:
        """See `Sink`."""
        self._asked[name] = None
        return (name in self._finished or name in self._places) and name not in self._failed

    def write(self, face: Face, name: str) -> None:
        """See `Sink`. Several threads may write at a time."""
        self._append(name, face.png())

    def leave_out(self, name: str) -> None:
        """See `Sink`."""
        if name in self._failed:
            check_left_out(self.path, name, overwrite=self.overwrite)
        self._append(name, b"")

    def read(self, name: str) -> bytes | None:
        """See `Sink`."""
        if name in self._places:
            with self._part.open("rb") as handle:
                return _read(handle, self._places[name]) or None
        if name not in self._finished:
            return None
        for _ in range(2):  # whoever reads in the file's order finds each one right behind the last
            for found, content in self._records:
                if found == name:
                    return content
            self._records = self._read_all()
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if error is None and self._places:
                self._finish()
                self._part.unlink(missing_ok=True)
        finally:
            self._close()

    # -- the hidden tar ----------------------------------------------------------------------------------------------------

    def _take_stock(self) -> None:
        """Look at the finished file and at what an interrupted run left."""
        if self.path.is_dir():
            raise InputError(f"Expected to write the file {self.path}, found a folder of that name. Name another with --to.")
        if self.path.is_file():
            note = self._note()
            found = " that sga did not write" if note is None else mismatch(self.expected, note["faces"])
            if found and not self.overwrite:
                raise InputError(
                    f"Expected no other file at {self.path}, found one{found}. Name another with --to, or add --overwrite."
                )
            if note is not None and not found:
                self._finished = {self._counted(*record) for record in self._read_all()} | self._gaps_of(note)
        if self._part.is_file():
            self._places = self._whole_members()
            if self._places:  # it holds what the finished file had, too
                self._finished = set()

    def _whole_members(self) -> dict[str, _Place]:
        """What the hidden tar holds; cuts a torn end off.

        Raises:
            InputError: it was begun with other faces.
        """
        places: dict[str, _Place] = {}
        end = 0
        with self._part.open("r+b") as handle:
            for name, place, after in _members(handle):
                metadata = read_back(_read(handle, place)) if place.size else self.expected
                if metadata is None:  # torn, as the end is after a loss of power
                    break
                found = mismatch(self.expected, metadata)
                if found and not self.overwrite:
                    seed = metadata.get("seed")
                    again = "Type that command again" if seed == self.expected.get("seed") else f"Add --seed {seed}"
                    raise InputError(
                        f"Expected to go on with {self.path}, found that it was begun with faces{found}. {again}, name another "
                        "file with --to, or add --overwrite."
                    )
                if found:
                    places, end = {}, 0
                    break
                if place.size or self.gaps:
                    places[name] = place
                self._note_failed(name, metadata)
                end = after
            handle.truncate(end)
        return places

    def _append(self, name: str, content: bytes) -> None:
        with self._lock:
            if self._handle is None:
                self._begin()
            try:
                self._places[name] = _put(cast(BinaryIO, self._handle), name, content)
            except OSError as error:
                raise explain_os_error(error, self.path) from error

    def _begin(self) -> None:
        """Open the hidden tar; where a finished file lacks faces, with all that it has."""
        try:
            if self._finished:
                left_out = sorted(self._gaps_of(self._note()))
                with atomic_path(self._part) as temporary, temporary.open("w+b") as handle:
                    for name, content in chain(self._read_all(), ((name, b"") for name in left_out)):
                        self._places[name] = _put(handle, name, content)
                self._finished = set()
            self._handle = self._part.open("r+b" if self._part.exists() else "w+b", buffering=0)
        except OSError as error:
            raise explain_os_error(error, self.path) from error

    def _counted(self, name: str, content: bytes) -> str:
        """The name of a finished face, which is noted where it never passed and that matters."""
        self._note_failed(name, None if self.best else read_back(content))
        return name

    def _note_failed(self, name: str, metadata: Mapping[str, str] | None) -> None:
        (self._failed.discard if self.best or passed(metadata) else self._failed.add)(name)

    def _gaps_of(self, note: Mapping[str, Any] | None) -> set[str]:
        """Faces that are left out for good; none where gaps are to be filled."""
        return set(note["left_out"]) if note and self.gaps else set()

    def _finish(self) -> None:
        """Write the file in the order of asking; behind it, by name, what was there and not asked for this time."""
        others = sorted(self._places.keys() - self._asked.keys(), key=lambda name: (len(name), name))
        places = {name: self._places[name] for name in [*self._asked, *others]}
        note = {"faces": self.expected, "left_out": [name for name, place in places.items() if not place.size]}
        with self._part.open("rb") as handle, atomic_path(self.path) as temporary:
            records = ((name, _read(handle, place)) for name, place in places.items() if place.size)
            self._write_all(temporary, note, records)

    def _close(self) -> None:
        if self._handle is not None:
            self._handle.close()
            self._handle = None
        try:
            with suppress(OSError):  # elsewhere than on POSIX nobody removes an open file
                self._lock_file.unlink()
        finally:
            self._held.close()


class TarSink(Archive):
    """A tar of PNGs. A comment in its head says how the faces were drawn."""

    def _note(self) -> dict[str, Any] | None:
        try:
            with tarfile.open(self.path) as tar:
                tar.next()
                return read_note(tar.pax_headers["comment"])
        except (tarfile.TarError, OSError, KeyError, ValueError):
            return None

    def _read_all(self) -> Iterator[Record]:
        with self.path.open("rb") as handle:
            for name, place, _ in _members(handle):
                yield name, _read(handle, place)

    def _write_all(self, path: Path, note: dict[str, Any], records: Iterator[Record]) -> None:
        with path.open("wb") as handle:
            handle.write(tarfile.TarInfo.create_pax_global_header({"comment": json.dumps(note, sort_keys=True)}))
            for name, content in records:
                _put(handle, name, content)
            handle.write(bytes(2 * _BLOCK))
            handle.write(bytes(-handle.tell() % tarfile.RECORDSIZE))


def _put(handle: BinaryIO, name: str, content: bytes) -> _Place:
    """Append a member, with nothing in its head that differs from run to run."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), 0o644
    head = info.tobuf(tarfile.PAX_FORMAT)
    start = handle.seek(0, os.SEEK_END)
    try:
        handle.write(head + content + bytes(-len(content) % _BLOCK))
    except OSError:
        with suppress(OSError):
            handle.truncate(start)
        raise
    return _Place(start + len(head), len(content))


def _members(handle: BinaryIO) -> Iterator[tuple[str, _Place, int]]:
    """Name, place and end of each whole member of a tar, up to a torn one."""
    size = handle.seek(0, os.SEEK_END)
    handle.seek(0)
    with suppress(tarfile.TarError, EOFError), tarfile.open(fileobj=handle, mode="r:") as tar:
        while (member := tar.next()) is not None:
            setattr(tar, "members", [])  # noqa: B010 - else it keeps every one; typeshed does not know it
            end = member.offset_data + member.size + -member.size % _BLOCK
            if end > size:
                return
            yield member.name, _Place(member.offset_data, member.size), end


def _read(handle: BinaryIO, place: _Place) -> bytes:
    handle.seek(place.offset)
    return handle.read(place.size)
