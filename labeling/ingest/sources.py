"""Folders, tar files and single pictures: listed first (names only), then streamed. Nothing is ever extracted to a path."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from configs.errors import InputError

__all__ = ["MAX_BYTES", "Listing", "Picture", "list_pictures", "read_pictures"]

MAX_BYTES = 128 * 2**20
"""A larger file is refused unread."""


@dataclass(frozen=True)
class Picture:
    """A file that may be a face. `name`: what reports call it, `<PATH's last part>/<inner>`; `inner`: its path below PATH."""

    name: str
    inner: str
    root: Path
    path: Path | None  # None inside a tar
    offset: int = 0  # of the tar member's bytes: tells members of one name apart


@dataclass(frozen=True)
class Listing:
    """What the PATHs hold: pictures to try, and (name, reason) of everything that cannot be one."""

    pictures: tuple[Picture, ...]
    rejected: tuple[tuple[str, str], ...]


def list_pictures(paths: Sequence[str | Path], skip: Sequence[Path] = ()) -> Listing:
    """List PATHs: folders with all that is below them, tar files (compressed ones too), single pictures.

    skip: files and folders that are left out (the workspace, the labels CSV). A file reached by two PATHs is listed once.

    Raises:
        InputError: a PATH does not exist, cannot be read or is a damaged tar; or nothing is found at all.
    """
    pictures: list[Picture] = []
    rejected: list[tuple[str, str]] = []
    seen = {path.resolve() for path in skip}
    for root in map(Path, paths):
        if root.is_dir():
            _list_folder(root, seen, pictures, rejected)
        elif root.is_file():
            if tarfile.is_tarfile(root):
                if root.resolve() not in seen:
                    _list_tar(root, pictures, rejected)
            elif root.resolve() not in seen:
                pictures.append(Picture(root.name, root.name, root, root))
            seen.add(root.resolve())
        else:
            raise InputError(f"Expected a folder or a tar file of cropped faces at {root}, found nothing. Check the path.")
    if not pictures:
        named = ", ".join(str(path) for path in paths) or "no PATH"
        raise InputError(f"Expected pictures of cropped faces in {named}, found no file. Name a folder or tar file that holds some.")
    return Listing(tuple(pictures), tuple(rejected))


def _list_folder(root: Path, seen: set[Path], pictures: list[Picture], rejected: list[tuple[str, str]]) -> None:
    base = root.resolve().name

    def refuse(error: OSError) -> None:
        rejected.append((str(error.filename), f"cannot be read: {error.strerror}"))

    for folder, folders, files in os.walk(root, onerror=refuse):
        folders[:] = sorted(name for name in folders if (Path(folder) / name).resolve() not in seen)
        for file in sorted(files):
            path = Path(folder) / file
            inner = path.relative_to(root).as_posix()
            if not path.is_file():
                rejected.append((f"{base}/{inner}", "not a regular file"))
            elif path.resolve() not in seen:
                seen.add(path.resolve())
                pictures.append(Picture(f"{base}/{inner}", inner, root, path))


def _list_tar(root: Path, pictures: list[Picture], rejected: list[tuple[str, str]]) -> None:
    last: dict[str, Picture] = {}
    try:
        with tarfile.open(root) as tar:
            for member in tar:
                inner = _normal(member.name)
                if member.isfile():
                    last[inner] = Picture(f"{root.name}/{inner}", inner, root, None, member.offset_data)
                elif not member.isdir():
                    rejected.append((f"{root.name}/{inner}", "a link or device in a tar, not a file"))
    except (tarfile.TarError, EOFError, OSError) as error:
        raise _damaged(root, error) from error
    pictures.extend(last.values())  # of members of one name the last counts, as for tar itself


def _damaged(root: Path, error: Exception) -> InputError:
    return InputError(f"Expected a whole tar file at {root}, found a damaged one ({error}). Copy or make it again.")


def _normal(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).as_posix()


def read_pictures(listing: Listing) -> Iterator[tuple[Picture, bytes | str]]:
    """Stream (picture, bytes), one file in memory at a time; text instead of bytes is the reason why there are none.

    Raises:
        InputError: a tar file is damaged further in.
    """
    tars: dict[Path, dict[int, Picture]] = {}
    for picture in listing.pictures:
        if picture.path is None:
            tars.setdefault(picture.root, {})[picture.offset] = picture
        else:
            yield picture, _read_file(picture.path)
    for root, members in tars.items():
        yield from _read_tar(root, members)


def _read_file(path: Path) -> bytes | str:
    try:
        if path.stat().st_size > MAX_BYTES:
            return f"over {MAX_BYTES >> 20} MiB"
        return path.read_bytes()
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _read_tar(root: Path, members: dict[int, Picture]) -> Iterator[tuple[Picture, bytes | str]]:
    try:
        with tarfile.open(root) as tar:
            for member in tar:
                picture = members.get(member.offset_data)
                if picture is None or not member.isfile():
                    continue
                if member.size > MAX_BYTES:
                    yield picture, f"over {MAX_BYTES >> 20} MiB"
                    continue
                handle = tar.extractfile(member)
                yield picture, b"" if handle is None else handle.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise _damaged(root, error) from error
