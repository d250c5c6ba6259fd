"""All pictures of a workspace's data, and the page that shows them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.errors import InputError
from configs.files import atomic_path, read_json
from labeling.workspace import Workspace, fingerprint
from sga.explore.data.averages import averages
from sga.explore.data.counts import count_by_edge, count_by_label, count_by_year
from sga.explore.data.embedding import FEWEST, MOST, Embedding
from sga.explore.data.exhibit import Exhibit
from sga.explore.data.faces import DataFaces
from sga.explore.data.map_page import tsne_page
from sga.explore.data.map_picture import tsne_pictures
from sga.explore.data.pages import index_page
from sga.explore.data.samples import samples
from sga.explore.data.together import co_occurrence
from sga.explore.picture import json_bytes

__all__ = ["PARTS", "Drawn", "explore_data"]

PARTS = ("tsne", "years", "edges", "labels", "together", "samples")
"""What can be drawn by itself."""

_KIND = "data"
_ORDER = ("tsne", "average-years", "average-labels", "count-years", "count-edges", "count-labels", "together", "samples")
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Drawn:
    """index: the page to open; files: all that were written; sentences: what stands where there was nothing to draw."""

    index: Path
    files: list[Path]
    sentences: list[str]


def explore_data(
    space: Workspace,
    out: Path,
    *,
    count: int = 1500,
    seed: int = 0,
    only: Collection[str] = (),
    completed: bool = False,
    progress: Progress = lambda done, total: None,
) -> Drawn:
    """Draw the parts `only` names (none = all of PARTS) into the folder `out`, each file whole or not at all, then `index.html`
    and `index.json`, which keep the pictures of earlier runs that this one does not draw.

    count: faces of the t-SNE; completed: completed labels count as known ones in averages and co-occurrences; progress: told
    how many of the faces have been read for the averages. The same workspace and numbers give the same bytes.

    Raises:
        InputError: an unknown part, a count out of its range, too few faces for a t-SNE that was asked for by name, or a
            folder with other things in it.
        WorkspaceError: no faces there, or one of the files is damaged.
    """
    _check(only, count)
    faces = DataFaces.load(space, completed=completed)
    made_from, earlier = _made_from(faces), _earlier(out)
    _save(out / "index.json", _index(faces, earlier, made_from)["index.json"])  # a run that is broken off can go on here
    entries: list[dict[str, Any]] = []
    written: list[Path] = []
    for exhibit in _exhibits(faces, set(only) or set(PARTS), count, seed, by_name=bool(only), progress=progress):
        written += _write(exhibit, out)
        entries.append(exhibit.entry(made_from))
    index = _index(faces, _together(entries, earlier, out), made_from)
    for name, content in index.items():
        _save(out / name, content)
    sentences = [entry["sentence"] for entry in entries if "sentence" in entry]
    return Drawn(out / "index.html", [*written, *(out / name for name in index)], sentences)


def _check(only: Collection[str], count: int) -> None:
    unknown = [name for name in only if name not in PARTS]
    if unknown:
        raise InputError(
            f"Expected --only with some of {', '.join(PARTS)}, found {unknown[0]!r}. Type, for example: --only tsne"
        )
    if not FEWEST <= count <= MOST:
        raise InputError(f"Expected a count from {FEWEST} to {MOST}, found {count}. Type, for example: --count 1500")


def _exhibits(
    faces: DataFaces, parts: Collection[str], count: int, seed: int, *, by_name: bool, progress: Progress
) -> Iterator[Exhibit]:
    """One after the other, so that one picture is in memory at a time."""
    if "tsne" in parts:
        yield from _tsne(faces, count, seed, by_name)
    if {"years", "labels"} & set(parts):
        yield from averages(faces, years="years" in parts, labels="labels" in parts, progress=progress)
    for part, draw in (("years", count_by_year), ("edges", count_by_edge), ("labels", count_by_label)):
        if part in parts:
            yield draw(faces)
    if "together" in parts:
        yield from co_occurrence(faces)
    if "samples" in parts:
        yield from samples(faces, seed)


def _tsne(faces: DataFaces, count: int, seed: int, by_name: bool) -> Iterator[Exhibit]:
    if len(faces) < FEWEST and not by_name:  # one of many pictures: the others are drawn all the same
        sentence = f"A t-SNE needs at least {FEWEST} faces; there are {len(faces)}."
        yield Exhibit("tsne", "Faces by likeness", sentence=sentence)
        return
    told = Embedding.of(faces, count, seed)
    pixels = faces.read(told.features.rows)
    yield from tsne_pictures(faces, told, pixels, seed)
    yield tsne_page(faces, told, pixels, seed)


# -- the folder ----------------------------------------------------------------------------------------------------------------


def _earlier(out: Path) -> list[dict[str, Any]]:
    """The entries of the index in a folder that earlier runs made; none in a new or empty one.

    Raises:
        InputError: something else is there.
    """
    other = InputError(
        f"Expected a new or empty folder, or one of earlier pictures of data, found something else at {out}. "
        "Name another with --out."
    )
    if out.is_dir() and not any(path for path in out.iterdir() if not path.name.startswith(".")):
        return []
    if not out.exists():
        return []
    if not (out / "index.json").is_file():
        raise other
    told = read_json(out / "index.json")
    if not isinstance(told, dict) or told.get("kind") != _KIND:
        raise other
    entries: list[dict[str, Any]] = told["pictures"]
    return [one for one in entries if "made_from" in one and str(one.get("name", "")).startswith(tuple(_ORDER))]


def _together(entries: Sequence[dict[str, Any]], earlier: Sequence[dict[str, Any]], out: Path) -> list[dict[str, Any]]:
    """The new entries and those of earlier runs whose files are still there, in the order of the page."""
    names = {entry["name"] for entry in entries}
    kept = [
        entry for entry in earlier if entry["name"] not in names and ("file" not in entry or (out / entry["file"]).is_file())
    ]
    every = [*entries, *kept]
    return sorted(every, key=lambda entry: next(place for place, part in enumerate(_ORDER) if entry["name"].startswith(part)))


def _index(faces: DataFaces, entries: list[dict[str, Any]], made_from: str) -> dict[str, bytes]:
    title = "Pictures of the data"
    text = f"{faces.told} Labels: schema {faces.table.schema.name}."
    record = {"kind": _KIND, "title": title, "text": text, "made_from": made_from, **faces.facts(), "pictures": entries}
    old = "Drawn earlier, from other faces, labels or settings than the newest pictures here."
    shown = [entry if entry["made_from"] == made_from else {**entry, "note": old} for entry in entries]
    return {"index.json": json_bytes(record), "index.html": index_page(title, text, shown)}


def _made_from(faces: DataFaces) -> str:
    """Names the faces, their labels and metadata, and whether completed labels count."""
    from labeling.workspace import table_fingerprint

    return fingerprint(
        table_fingerprint(faces.table, completed=True), faces.metadata.to_csv(index=False), faces.left_out, faces.completed
    )


def _write(exhibit: Exhibit, out: Path) -> list[Path]:
    files = exhibit.files(out)
    for path, content in files.items():
        _save(path, content)
    for ending in (".png", ".html", ".json"):  # of an earlier run that had something else to draw
        path = (out / exhibit.name).with_suffix(ending)
        if path not in files:
            path.unlink(missing_ok=True)
    return list(files)


def _save(path: Path, content: bytes) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
