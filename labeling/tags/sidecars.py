"""Tags in files beside the pictures, in folders and in tar files: `pic.txt`, `pic.jpg.txt`, `pic.json`, `pic.jpg.json`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from labeling.ingest.sources import Listing, Picture, read_pictures
from labeling.tags.reading import Tags, join, tags_of_json, tags_of_text

__all__ = ["read_sidecars"]

_MOST = 2**20
"""Bytes of tags that are read; a longer text is none."""
_ALONE = "no picture of that name beside it"


def read_sidecars(listing: Listing) -> tuple[dict[str, Tags], list[tuple[str, str]]]:
    """Tags by the name of their picture, and (file, why) of the sidecars that give none.

    `pic.txt` belongs to every picture `pic.*` of its folder, `pic.jpg.txt` to `pic.jpg` alone; what several say is joined.
    """
    owners = _owners(listing.pictures)
    found: dict[str, Tags] = {}
    loose: list[tuple[Picture, str]] = []
    owned: set[Path] = set()
    for sidecar, data in read_pictures(Listing(listing.sidecars, ())):
        stem = str(PurePosixPath(sidecar.inner).with_suffix(""))
        names = owners.get((sidecar.root, stem), [])
        if not names:
            loose.append((sidecar, _ALONE))
            continue
        owned.add(_file(sidecar))
        tags = _tags(sidecar, data)
        if isinstance(tags, str):
            loose.append((sidecar, tags))
            continue
        for name in names:
            join(found.setdefault(name, {}), tags.items())
    # One beside pictures that are PATHs is listed for each of them, and once more where it is a PATH itself.
    unused = ((one.name, why) for one, why in loose if why != _ALONE or _file(one) not in owned)
    return found, list(dict.fromkeys(unused))


def _file(sidecar: Picture) -> Path:
    return sidecar.path.resolve() if sidecar.path else sidecar.root / sidecar.inner


def _owners(pictures: Iterable[Picture]) -> dict[tuple[Path, str], list[str]]:
    """(PATH, path below it without a sidecar's ending) → names of its pictures."""
    whole: dict[tuple[Path, str], list[str]] = {}
    stems: dict[tuple[Path, str], list[str]] = {}
    for picture in pictures:
        whole.setdefault((picture.root, picture.inner), []).append(picture.name)
        stems.setdefault((picture.root, str(PurePosixPath(picture.inner).with_suffix(""))), []).append(picture.name)
    return stems | whole


def _tags(sidecar: Picture, data: bytes | str) -> Tags | str:
    """What a sidecar says, or why it says nothing."""
    if isinstance(data, str):
        return data
    if len(data) > _MOST:
        return f"over {_MOST >> 20} MiB: no list of tags"
    try:
        text = data.decode("utf-8-sig")
        return tags_of_json(json.loads(text)) if sidecar.inner.lower().endswith(".json") else tags_of_text(text)
    except UnicodeDecodeError:
        return "not text in UTF-8"
    except (ValueError, RecursionError) as error:
        return f"no list of tags: {' '.join(str(error).split())}"
