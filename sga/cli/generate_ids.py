"""`sga generate --id` and `--ids`: the faces of IDs, by name, with an index beside many."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sga.cli.generate_cells import image_of

if TYPE_CHECKING:
    from sga.generation import FaceModel
    from sga.generation.avatar_files import Drawn
    from sga.generation.ids import IdTable
    from sga.generation.sheet import Cell
    from sga.generation.sink import Sink

__all__ = ["draw_ids"]


def draw_ids(
    model: FaceModel,
    identity: str | None,
    table: Path | None,
    gender: str | None,
    out: Path,
    registry: Path | None,
    min_distance: float | None,
    overwrite: bool,
    cells: int,
    size: int | None = None,
) -> tuple[list[Cell], int]:
    """Draw one ID, or those of a CSV, and tell what was done. size: edge of the pictures, px; None = as drawn.

    Returns what a sheet shows of the first `cells`, and how many faces there are.
    """
    from configs.errors import InputError
    from sga.cli.progress import drawing
    from sga.generation.avatar import HOW
    from sga.generation.avatar_files import check_index, draw_avatars, write_index
    from sga.generation.conditions import resolve
    from sga.generation.ids import read_ids
    from sga.generation.registry import AvatarRegistry
    from sga.generation.rng import id_subject
    from sga.generation.sink import SUFFIXES, open_sink

    if registry is None and min_distance is not None:
        raise InputError("Expected --registry beside --min-distance, found none. Type, for example: --registry avatars.parquet")
    found = None if table is None else read_ids(table, model.spec, gender)
    if identity is not None:
        id_subject(identity)
        resolve(model.spec, gender)
    registered = None if registry is None else AvatarRegistry(model, registry, min_distance)
    expected = {"drawing": model.folder.drawing_hash, "algorithm": str(model.spec.algorithm), "made": HOW["made"]}
    if registered is not None:
        expected |= registered.how
    expected |= model.size_notes(size)
    with open_sink(out, expected, overwrite=overwrite) as sink:
        if found is None:
            drawn = draw_avatars(model, [(str(identity), gender)], sink, registered, size)
            return _told(drawn, sink, cells, model.size, out=out)
        index = out / f"{found.path.stem}.index.csv" if out.suffix.lower() not in SUFFIXES else out.with_suffix(".index.csv")
        check_index(index, overwrite=overwrite)
        drawn = write_index(index, draw_avatars(model, found, sink, registered, size), overwrite=overwrite)
        with drawing(len(found)) as moved:
            shown, total = _told(drawn, sink, cells, model.size, moved)
    _tell(found, total, out, index)
    return shown, total


def _told(
    drawn: Iterator[Drawn],
    sink: Sink,
    cells: int,
    edge: int,
    moved: Callable[[int, float], None] = lambda done, rate: None,
    out: Path | None = None,
) -> tuple[list[Cell], int]:
    """Draw all of them; the first are kept for the sheet, at that edge in px. moved: told how many are there, and the rate of
    drawing, in faces a second; out: tell each, in this folder."""
    shown: list[Cell] = []
    total = new = 0
    started = time.perf_counter()
    for one in drawn:
        total += 1
        new += one.face is not None
        moved(total, new / max(time.perf_counter() - started, 1e-9))
        if out is not None:
            typer.echo(f"{one.identity}: {one.gender}, attempt {one.attempt}, in {out / one.file}")
        if len(shown) < cells:
            shown.append(_cell(one, sink, edge))
    return shown, total


def _cell(one: Drawn, sink: Sink, edge: int) -> Cell:
    from sga.generation.sheet import Cell

    caption = one.file.removesuffix(".png")[:16]
    if one.face is not None:
        return Cell.of(one.face.image, edge, caption)
    content = sink.read(one.file)  # written by an earlier run
    if content is None:
        return Cell(None, caption)
    return Cell.of(image_of(content), edge, caption)


def _tell(table: IdTable, total: int, out: Path, index: Path) -> None:
    typer.echo(f"{total} face{'' if total == 1 else 's'} of {table.path}, in {out}; index: {index}")
    if table.duplicates:
        typer.echo(f"Rows that repeat an ID, which was drawn once: {table.duplicates}.", err=True)
    if table.ignored:
        typer.echo(f"Columns that are not read: {', '.join(table.ignored)}.", err=True)
    if table.spaced:
        typer.echo(f"{table.spaced} IDs begin or end with a space, which is part of them.", err=True)
