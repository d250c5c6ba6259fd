"""What PATHs are called in names of pictures: the fewest last parts that tell them apart, in one ingest and in later ones."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from labeling.ingest.report import write_csv
from labeling.workspace import Workspace

__all__ = ["as_text", "keep_titles", "read_titles", "titles_of"]


def titles_of(paths: Iterable[str | Path], before: Mapping[str, str]) -> dict[Path, str]:
    """The title of each PATH, resolved, in their order.

    before: titles by PATH of earlier ingests, see `read_titles`. A PATH keeps its own; one that is not there any more leaves
    its title to another, for folders are moved.
    """
    roots = sorted({Path(path).resolve() for path in paths})
    titles = {root: before[as_text(str(root))] for root in roots if as_text(str(root)) in before}
    taken = {title: path for path, title in before.items()}
    left, parts = [root for root in roots if root not in titles], 1
    while left:
        named = {root: as_text("/".join(root.parts[-parts:])) for root in left}
        times = Counter(named.values())
        alone = {
            root: title
            for root, title in named.items()
            if parts >= len(root.parts) or (times[title] == 1 and not (title in taken and os.path.lexists(taken[title])))
        }
        titles |= alone
        left, parts = [root for root in left if root not in alone], parts + 1
    return {root: titles[root] for root in roots}


def read_titles(space: Workspace) -> dict[str, str]:
    """Title by PATH, of those that have been ingested: `faces/paths.csv`; none where the file is lost or damaged."""
    titles: dict[str, str] = {}
    with suppress(OSError, ValueError, csv.Error), _path(space).open(encoding="utf-8", newline="") as handle:
        titles = dict(list(csv.reader(handle))[1:])
    return titles


def keep_titles(space: Workspace, titles: Mapping[Path, str]) -> None:
    """Write these beside the others, but for those whose title went over to one of these."""
    fresh = {as_text(str(path)): title for path, title in titles.items()}
    kept = {path: title for path, title in read_titles(space).items() if path not in fresh and title not in fresh.values()}
    write_csv(_path(space), ("path", "title"), sorted({**kept, **fresh}.items()))


def _path(space: Workspace) -> Path:
    return space.folder("faces") / "paths.csv"


def as_text(name: str) -> str:
    """A file name as valid text: bytes that are no UTF-8 become escapes, so that every report can name the file."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
