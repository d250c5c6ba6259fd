"""Where many faces go: a folder, a tar or a parquet file, each of which goes on after a kill where it was.

    with open_sink(place, expected) as sink:
        for name in names:                       # in the order that the finished file shall have
            if not sink.has(name):
                sink.write(face_of(name), name)

What is there already is known by reading it back: a PNG carries the seed, the options and the model that it was drawn with.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from configs.errors import InputError
from configs.files import explain_os_error
from sga.generation.face import Face, write_once
from sga.generation.png import SIGNATURE

__all__ = ["SUFFIXES", "FolderSink", "Sink", "check_left_out", "mismatch", "open_sink", "passed", "read_back", "read_note"]

SUFFIXES = (".tar", ".parquet")
"""Files that hold many faces."""


class Sink(Protocol):
    """Takes faces in any order; leaving the block without an error finishes it.

    What a killed or failed run has written stays, and the same run goes on from there.
    """

    def has(self, name: str) -> bool:
        """Whether a face of this name was written, or left out, by an earlier run. Ask once for each name, in the order that
        the finished file shall have.

        Raises:
            InputError: another picture has this name.
        """

    def write(self, face: Face, name: str) -> None:
        """Write a face. name: plain, ending in .png, the only one of that name in a run."""

    def leave_out(self, name: str) -> None:
        """There will be no face of this name: it never passed the judge.

        Raises:
            InputError: an earlier run has written its best attempt, and nothing may be overwritten.
        """

    def read(self, name: str) -> bytes | None:
        """The PNG of a face that is there, None where none is."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


def open_sink(
    place: str | Path, expected: Mapping[str, str], *, overwrite: bool = False, gaps: bool = True, best: bool = True
) -> Sink:
    """A sink of faces that all carry `expected` among their metadata.

    place: a file ending in .tar or .parquet, else a folder; overwrite: replace pictures, or a file, of another run; gaps: faces
    that an earlier run left out are done, False = they are to be drawn; best: so are faces that never passed the judge and that
    an earlier run wrote as their best attempts.

    Raises:
        InputError: the place is taken by something else.
        MissingExtra: pyarrow is not installed (parquet; extra `tables`).
    """
    from sga.generation.sink_beside import BesideSink

    return BesideSink(_sink(Path(place), expected, overwrite=overwrite, gaps=gaps, best=best))


def _sink(path: Path, expected: Mapping[str, str], **how: bool) -> Sink:
    if path.suffix.lower() not in SUFFIXES:
        return FolderSink(path, expected, **how)
    if path.suffix.lower() == ".tar":
        from sga.generation.sink_archive import TarSink

        return TarSink(path, expected, **how)
    from sga.generation.sink_parquet import ParquetSink

    return ParquetSink(path, expected, **how)


class FolderSink:
    """One PNG a face, whole or absent, in a folder that may hold other files."""

    def __init__(
        self, folder: Path, expected: Mapping[str, str], *, overwrite: bool = False, gaps: bool = True, best: bool = True
    ) -> None:
        self.folder = folder
        self.gaps = gaps
        self.best = best
        self.expected = dict(expected)
        self.overwrite = overwrite
        digest = hashlib.blake2b(json.dumps(self.expected, sort_keys=True).encode(), digest_size=8).hexdigest()
        self._left_out_file = folder / f".{digest}.left-out"
        self._left_out: set[str] = set()

    def has(self, name: str) -> bool:
        """See `Sink`."""
        if name in self._left_out:
            return True
        path = self.folder / name
        try:
            metadata = read_back(path.read_bytes())
        except FileNotFoundError:
            return False
        except OSError as error:
            raise explain_os_error(error, path) from error
        found = mismatch(self.expected, metadata)
        if found and not self.overwrite:
            raise InputError(
                f"Expected no other picture at {path}, found one{found}. Name another with --out, or add --overwrite."
            )
        return not found and (self.best or passed(metadata))

    def write(self, face: Face, name: str) -> None:
        """See `Sink`."""
        write_once(self.folder / name, face.png(), overwrite=self.overwrite)

    def leave_out(self, name: str) -> None:
        """See `Sink`."""
        path = self.folder / name
        if path.exists():
            check_left_out(path, name, overwrite=self.overwrite)
            path.unlink()
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._left_out_file.open("a", encoding="utf-8") as handle:
            handle.write(f"{name}\n")

    def read(self, name: str) -> bytes | None:
        """See `Sink`."""
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def __enter__(self) -> Self:
        if self.folder.is_dir():
            _remove_leftovers(self.folder)
        if self.gaps and self._left_out_file.is_file():  # a torn last line names no face
            self._left_out = set(self._left_out_file.read_text(encoding="utf-8").split("\n"))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self._left_out_file.unlink(missing_ok=True)


def read_back(content: bytes) -> dict[str, str] | None:
    """The text of a PNG, None of anything that is not a whole one. No pixel is decoded: the checksums of its chunks tell."""
    if not content.startswith(SIGNATURE):
        return None
    text: dict[str, str] = {}
    place = len(SIGNATURE)
    while place + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        end = place + 12 + length
        body = content[place + 8 : end - 4]
        if end > len(content) or content[end - 4 : end] != zlib.crc32(kind + body).to_bytes(4, "big"):
            return None
        if kind == b"IEND":
            return text if end == len(content) else None
        key, _, value = body.partition(b"\0")
        if kind == b"tEXt":
            text[key.decode("latin-1")] = value.decode("latin-1")
        elif kind == b"iTXt":  # two bytes of compression, a language and a translation, each ended by a zero, precede the value
            text[key.decode("latin-1")] = value[2:].split(b"\0", 2)[-1].decode("utf-8", errors="replace")
        place = end
    return None


def read_note(text: str | bytes) -> dict[str, Any] | None:
    """What `Archive._finish` notes in a file, from its JSON; None of JSON of another shape.

    Raises:
        ValueError: no JSON.
    """
    note = json.loads(text)
    if not isinstance(note, dict) or not isinstance(note.get("faces"), dict):
        return None
    left_out = note.get("left_out")
    return note if isinstance(left_out, list) and all(isinstance(name, str) for name in left_out) else None


def mismatch(expected: Mapping[str, str], found: Mapping[str, str] | None) -> str:
    """The first thing in which metadata differ from what is expected, as the end of a sentence; "" where nothing does."""
    if found is None:
        return " that is no PNG or is damaged"
    for key, value in expected.items():
        if found.get(key) != value:
            named = "gender" if key == "asked" else key
            return f" whose {named} is {found[key]} (now: {value})" if key in found else f" that names no {named}"
    if "size" in found and "size" not in expected:  # faces of the model's own size do not name it
        return f" whose size is {found['size']} (now: as drawn)"
    return ""


def passed(metadata: Mapping[str, str] | None) -> bool:
    """Whether a face is not said to have been turned down by the judge."""
    return metadata is None or metadata.get("accepted") != "false"


def check_left_out(place: Path, name: str, *, overwrite: bool) -> None:
    """Refuse to take a face away that an earlier run has written.

    Raises:
        InputError: nothing may be overwritten.
    """
    if not overwrite:
        raise InputError(
            f"Expected no face {name} at {place}, found the best attempt of one that never passed the judge. "
            "Take --on-exhausted best, name another place with --out or --to, or add --overwrite."
        )


def _remove_leftovers(folder: Path) -> None:
    """Remove what processes that were killed were writing: `atomic_path` names the process in its temporary files."""
    for path in folder.glob(".*.png.*.tmp"):
        process = re.fullmatch(r".*\.png\.(\d+)\.tmp", path.name)
        if process is not None and not _alive(int(process[1])):
            path.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    if os.name != "posix":  # elsewhere signal 0 is no question
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
