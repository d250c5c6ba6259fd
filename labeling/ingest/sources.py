"""Folders, tar files and single pictures: listed first (names only), then streamed. Nothing is ever extracted to a path."""

from __future__ import annotations

import lzma
import os
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from configs.errors import InputError

__all__ = ["MAX_BYTES", "SIDECARS", "Listing", "Picture", "as_text", "list_pictures", "read_pictures"]

MAX_BYTES = 128 * 2**20
"""A larger file is refused unread."""

SIDECARS = (".txt", ".json")
"""Endings of files beside pictures that hold their tags."""

_DAMAGE = (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError)


@dataclass(frozen=True)
class Picture:
    """A file that may be a face.

    `name`: what reports call it, `<base>/<inner>` (longer where two PATHs share a base); `base`: PATH's last part; `inner`: its
    path below PATH.
    """

    name: str
    base: str
    inner: str
    root: Path
    path: Path | None  # None inside a tar
    offset: int = 0  # of the tar member's bytes: tells members of one name apart


@dataclass(frozen=True)
class Listing:
    """What the PATHs hold: pictures to try, (name, reason) of everything that cannot be one, and files of tags beside
    pictures."""

    pictures: tuple[Picture, ...]
    rejected: tuple[tuple[str, str], ...]
    sidecars: tuple[Picture, ...] = ()


def list_pictures(paths: Sequence[str | Path], skip: Sequence[Path] = (), *, sidecars: bool = False) -> Listing:
    """List PATHs: folders with all that is below them, tar files (compressed ones too), single pictures.

    skip: files and folders that are left out (the workspace, the labels CSV); sidecars: `.txt` and `.json` are no pictures but
    their tags. A file reached by two PATHs is listed once.

    Raises:
        InputError: a PATH does not exist, cannot be read or is a damaged tar; or nothing is found at all.
    """
    pictures: list[Picture] = []
    rejected: list[tuple[str, str]] = []
    skipped = {path.resolve() for path in skip}
    seen = set(skipped)
    titles = _titles([Path(path) for path in paths])
    for root, title in titles.items():
        if root.is_dir():
            _list_folder(root, title, seen, pictures, rejected)
        elif not root.is_file():
            raise InputError(f"Expected a folder or a tar file of cropped faces at {root}, found nothing. Check the path.")
        elif root not in seen:
            seen.add(root)
            if tarfile.is_tarfile(root):
                _list_tar(root, title, pictures, rejected)
            elif ".tar" in root.suffixes or root.suffix == ".tgz":
                raise _damaged(root, "it does not open as tar")
            else:
                pictures.append(Picture(title, root.name, root.name, root, root))
                beside = list(_beside(root, title, skipped)) if sidecars else []
                seen |= {file.path.resolve() for file in beside if file.path}
                pictures += beside
    tags = [file for file in pictures if sidecars and _is_sidecar(file)]
    if tags:
        pictures = [file for file in pictures if not _is_sidecar(file)]
    if not pictures:
        named = ", ".join(str(path) for path in paths) or "no PATH"
        raise InputError(
            f"Expected pictures of cropped faces in {named}, found no file. Name a folder or tar file that holds some."
        )
    return Listing(tuple(pictures), tuple(rejected), tuple(tags))


def _is_sidecar(file: Picture) -> bool:
    return PurePosixPath(file.inner).suffix.lower() in SIDECARS


def _beside(picture: Path, title: str, skipped: set[Path]) -> Iterator[Picture]:
    """The sidecars of a picture that is a PATH itself; one may be that of several pictures."""
    for suffix in SIDECARS:
        for path in dict.fromkeys((picture.with_name(picture.name + suffix), picture.with_suffix(suffix))):
            if path.is_file() and path.resolve() not in skipped:
                yield Picture(str(PurePosixPath(title).with_name(as_text(path.name))), picture.name, path.name, picture, path)


def _titles(paths: Sequence[Path]) -> dict[Path, str]:
    """Each PATH, resolved, by the fewest last parts that tell it from the others."""
    roots = sorted({path.resolve() for path in paths})
    titles: dict[Path, str] = {}
    left, parts = roots, 1
    while left:
        times = Counter(root.parts[-parts:] for root in left)
        alone = [root for root in left if times[root.parts[-parts:]] == 1 or parts >= len(root.parts)]
        titles |= {root: as_text("/".join(root.parts[-parts:])) for root in alone}
        left, parts = [root for root in left if root not in titles], parts + 1
    return {root: titles[root] for root in roots}


def _list_folder(root: Path, title: str, seen: set[Path], pictures: list[Picture], rejected: list[tuple[str, str]]) -> None:
    def refuse(error: OSError) -> None:
        rejected.append((as_text(str(error.filename)), f"cannot be read: {error.strerror}"))

    for folder, folders, files in os.walk(root, onerror=refuse):
        here = Path(folder)
        links = [name for name in folders if (here / name).is_symlink()]
        folders[:] = sorted(name for name in folders if (here / name).resolve() not in seen)
        for file in sorted([*files, *links]):
            path = here / file
            inner = as_text(path.relative_to(root).as_posix())
            if not path.is_file():
                rejected.append((f"{title}/{inner}", "a linked folder" if file in links else "not a regular file"))
            elif path.resolve() not in seen:
                seen.add(path.resolve())
                pictures.append(Picture(f"{title}/{inner}", root.name, inner, root, path))


def _list_tar(root: Path, title: str, pictures: list[Picture], rejected: list[tuple[str, str]]) -> None:
    last: dict[str, Picture] = {}
    try:
        with tarfile.open(root) as tar:
            for member in tar:
                inner = _normal(member.name)
                if member.isfile():
                    last[inner] = Picture(f"{title}/{inner}", root.name, inner, root, None, member.offset_data)
                elif not member.isdir():
                    rejected.append((f"{title}/{inner}", "a link or device in a tar, not a file"))
            if _behind(tar):
                rejected.append((title, "data behind the end of the tar (several joined?), not read"))
    except _DAMAGE as error:
        raise _damaged(root, error) from error
    pictures.extend(last.values())  # of members of one name the last counts, as for tar itself


def _behind(tar: tarfile.TarFile) -> bool:
    """Whether data follow the end mark. Reads to the end, which also checks a compressed file's checksum.

    Raises:
        tarfile.ReadError: what ended the list was no end mark but a damaged header, which tarfile passes over in silence.
    """
    file = cast(IO[bytes], tar.fileobj)
    file.seek(tar.offset)
    if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
        raise tarfile.ReadError(f"no header at byte {tar.offset}")
    behind = 0
    while block := file.read(2**20):
        behind += len(block.strip(b"\0"))
    return behind > 0


def _damaged(root: Path, error: Exception | str) -> InputError:
    return InputError(f"Expected a whole tar file at {root}, found a damaged one ({error}). Copy or make it again.")


def _normal(name: str) -> str:
    return as_text(PurePosixPath(name.replace("\\", "/")).as_posix())


def as_text(name: str) -> str:
    """A file name as valid text: bytes that are no UTF-8 become escapes, so that every report can name the file."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


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
    except _DAMAGE as error:
        raise _damaged(root, error) from error
