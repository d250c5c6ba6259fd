"""The pictures of an ingest and what they were: decoded from PATHs, or those that the workspace's faces came from."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from configs.errors import InputError
from configs.files import check_space
from labeling.ingest.decode import Rejected
from labeling.ingest.decoded import Decoded, face_identity
from labeling.ingest.index import Index
from labeling.ingest.journal import content_key, faces_seen
from labeling.ingest.labels import Labels
from labeling.ingest.merge import LEFT, Found
from labeling.ingest.settings import IngestSettings
from labeling.ingest.sources import Listing, Picture, read_pictures
from labeling.ingest.store import decode_all, decode_with
from labeling.where import Where
from labeling.workspace import Workspace

__all__ = ["decode_pictures", "known_copies", "known_pictures", "names_of", "present_faces", "retire_names", "with_copies"]


def known_pictures(
    index: Index, pictures: Mapping[str, str], space: Workspace, said: Sequence[Labels], settings: IngestSettings
) -> Listing:
    """The pictures that the workspace's faces came from. pictures: name of the picture by face.

    Raises:
        InputError: CSVs of pictures, whose names are lost; or a setting that is for new faces alone.
    """
    if settings.group:
        raise InputError(
            "Expected PATHs with --group, which groups new faces only, found none. "
            f"Name them, or type --ignore {settings.group}."
        )
    if settings.sidecars:
        raise InputError("Expected PATHs with --tags sidecar, whose files lie beside the pictures, found none. Name them.")
    names = dict.fromkeys(pictures[face] for face, (name, _) in index.items() if name)
    if said and not names:
        raise InputError(
            f"Expected the names of the pictures in {space.folder('faces') / 'index.csv'}, found none. Name their PATHs again: "
            f"sga ingest PATH --labels {said[0].path} --workspace {space.root}"
        )
    return Listing(tuple(map(_known, names)), ())


def known_copies(index: Index, space: Workspace) -> dict[str, list[str]]:
    """What else faces were called where a picture, or a face of it, was their exact copy: `faces/duplicates.csv`."""
    path, copies = space.folder("faces") / "duplicates.csv", dict[str, list[str]]()
    if path.is_file():
        with suppress(ValueError, csv.Error), path.open(encoding="utf-8", newline="") as handle:
            for name, face, _ in list(csv.reader(handle))[1:]:
                if face in index:
                    picture, _, number = name.rpartition("#")
                    copies.setdefault(face, []).extend([name, picture] if number.isdecimal() and picture else [name])
    return copies


def with_copies(listing: Listing, copies: Mapping[str, Sequence[str]]) -> list[Picture]:
    """The pictures of the listing, and those that held copies."""
    there = {picture.name for picture in listing.pictures}
    return [
        *listing.pictures,
        *map(_known, dict.fromkeys(one for names in copies.values() for one in names if one not in there)),
    ]


def _known(name: str) -> Picture:
    base, _, inner = name.partition("/")
    return Picture(name, base, inner or base, Path(), None)


def present_faces(
    index: Index, pictures: Mapping[str, str], copies: Mapping[str, Sequence[str]], dropped: Mapping[str, str], where: Where
) -> Found:
    """The workspace's own faces, as if they had been met again.

    pictures: as for `known_pictures`; copies: see `known_copies`; dropped: why a picture, or a face of it, leaves, by name.
    """
    found = Found()
    for face, (name, bits) in index.items():
        picture = pictures[face]
        reason = dropped.get(name) or dropped.get(picture) or where.failed((name, picture, *copies.get(face, ())), [face])
        if reason:
            found.refuse(name or picture, reason, face)
            continue
        found.faces[face], found.copies[face] = Decoded(name, face, bits, picture=picture), [name]
        found.pictures[name] = picture if name else ""  # no row of labels is about a face that has no name
    return found


def names_of(found: Found, pictures: Mapping[str, str], more: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """What a CSV may call each face that was met: by its own name, then by its picture's, of the first copy before others.

    pictures: as for `known_pictures`, of the faces whose name is lost; more: see `known_copies`."""
    return {
        face: [name for copy in copies for name in (copy, found.pictures.get(copy) or pictures.get(face, "")) if name]
        + list(more.get(face, ()))
        for face, copies in found.copies.items()
    }


def retire_names(index: Index, pictures: Mapping[str, str], found: Found) -> Index:
    """The index without the names that mean another face now.

    A picture that was met again, with other settings or another picture under its name, numbers its faces anew: an earlier
    face of it that is not found under its name any more stays, with its labels, but loses the name, so that no row of labels
    can mean both."""
    met = set(found.pictures.values())
    return {
        face: ("" if pictures[face] in met and name not in found.copies.get(face, ()) else name, bits)
        for face, (name, bits) in index.items()
    }


def decode_pictures(
    listing: Listing,
    dropped: Mapping[str, str],
    where: Where,
    index: Index,
    pictures: Mapping[str, str],
    space: Workspace,
    settings: IngestSettings,
    progress: Callable[[int, int], None],
) -> Found:
    """Decode all; of copies of one face the first by name counts, so the order of PATHs and files never matters.

    dropped: why a picture, or a face of it, is left out, by name; pictures: as for `known_pictures`.
    """
    check_space(space.root, len(listing.pictures) * settings.size**2 + 2**24)
    _sweep(space)
    found = Found(rejected=list(listing.rejected))
    before = _Before(index, pictures, space, settings)
    there: dict[str, list[str]] = {}  # picture → its faces in the workspace
    refused: set[str] = set()

    def stream() -> Iterator[tuple[str, bytes | str]]:
        for picture, data in read_pictures(listing):
            name = picture.name
            if dropped.get(name) or where.conditions:
                there[name] = before.faces(name, data)
            undecided = name in where.of_faces  # a row of the sheet is about one of its faces
            reason = dropped.get(name) or ("" if undecided else where.failed([name], there.get(name, ())))
            if reason:
                refused.add(name)
            yield name, reason or data

    done = sorted(decode_all(stream(), len(listing.pictures), space.root, settings, progress), key=_by_name)
    found.framed = {one.picture: one.frames for one in done if one.frames > 1}
    leaving: list[tuple[str, Decoded]] = []
    for one in done:
        reason = one.reason or dropped.get(one.name, "")
        if not reason and one.picture in where.of_faces:
            reason = where.failed((one.name, one.picture), (one.face, *there.get(one.picture, ())))
        if reason:
            leaving.append((reason, one))
        else:
            found.faces.setdefault(one.face, one)
            found.copies.setdefault(one.face, []).append(one.name)
            found.pictures[one.name] = one.picture
    for reason, one in leaving:
        faces = [one.face] if one.face else there.get(one.name, []) if one.name in refused else []
        gone = [face for face in faces if face in index and pictures[face] in (one.picture, "") and face not in found.faces]
        found.removed |= dict.fromkeys(gone, one.name)
        found.rejected.append((one.name, reason + (LEFT if gone else "")))
    found.rejected.sort()
    if not found.faces and not found.removed:
        name, reason = found.rejected[0]
        raise InputError(
            f"Expected usable pictures of faces, found none in {len(listing.pictures)} files ({name}: {reason}). Name others."
        )
    return found


def _by_name(one: Decoded) -> tuple[str, int, str]:
    """By picture, and the faces of one in their order: #2 before #10."""
    return one.picture, int(one.name[len(one.picture) + 1 :] or 0), one.name


def _sweep(space: Workspace) -> None:
    """Remove what an interrupted ingest left half-written."""
    for path in space.folder("faces").glob("*/.*.tmp"):
        path.unlink(missing_ok=True)


class _Before:
    """The workspace's faces that came from a picture, by its content, as folders may share their names."""

    def __init__(self, index: Index, pictures: Mapping[str, str], space: Workspace, settings: IngestSettings) -> None:
        self._settings, self._root = settings, space.root
        self._of: dict[str, list[str]] = {}
        for face in index:
            self._of.setdefault(pictures[face], []).append(face)
        self._seen: dict[str, set[str]] | None = None

    def faces(self, name: str, data: bytes | str) -> list[str]:
        """Those that were seen in it with any settings, and the picture itself; none of pictures of other names."""
        own = dict.fromkeys([*self._of.get(name, ()), *self._of.get("", ())])
        if not own or isinstance(data, str):
            return []
        if self._seen is None:
            self._seen = faces_seen(self._root)
        seen = self._seen.get(content_key(data), set())
        if own.keys() - seen:
            with suppress(Rejected):
                seen = seen | {face_identity(decode_with(data, self._settings))}
        return [face for face in own if face in seen]
