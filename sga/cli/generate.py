"""`sga generate`: draw faces of a gender until the judge is content, the faces of IDs, or faces after a picture."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from configs.errors import ExhaustedError, InputError
from sga.cli.asking import GenerateCommand, asked_mode, attribute_values
from sga.cli.generate_cells import cell, cell_of, draw_sheet
from sga.cli.options import given

if TYPE_CHECKING:
    from sga.generation import FaceModel, Report
    from sga.generation.face_stream import FaceStream
    from sga.generation.sheet import Cell

__all__ = ["file_name", "generate"]

_BY_GENDER, _BY_ID, _BY_PICTURE = "Faces of a gender", "Faces of IDs", "Faces after a picture"


class Exhausted(StrEnum):
    """What becomes of a face that never passed the judge."""

    BEST = "best"
    GAP = "gap"
    ERROR = "error"


def generate(
    ctx: typer.Context,
    gender: Annotated[
        str | None, typer.Option(help="female, male, or any: each face draws its own. Of an ID or a picture: as it says.")
    ] = None,
    count: Annotated[int, typer.Option(help="Number of faces.")] = 1,
    seed: Annotated[int | None, typer.Option(help="Same seed, same files. Without it: a new one, printed.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the pictures.")] = Path("faces-out"),
    to: Annotated[
        Path | None, typer.Option(metavar="FILE", help="One file in place of a folder: FILE.tar or FILE.parquet.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Model folder, or a model by name. Without it: the one that ships.")] = None,
    engine: Annotated[str, typer.Option(help="onnxruntime, openvino, or auto: openvino where it is installed.")] = "auto",
    size: Annotated[
        int | None, typer.Option(metavar="PX", help="Edge of the pictures, 16 to 4096. Without it: as drawn.")
    ] = None,
    sheet: Annotated[str | None, typer.Option(metavar="[FILE]", help="Draw a contact sheet too; alone: OUT/sheet.png.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace other pictures of the same names.")] = False,
    min_quality: Annotated[
        str | None,
        typer.Option(help="low, median, high, or 0 to 1. Without it: as calibrated.", rich_help_panel=_BY_GENDER),
    ] = None,
    max_attempts: Annotated[
        int | None, typer.Option(help="Draws a face may take. Without it: the model's.", rich_help_panel=_BY_GENDER)
    ] = None,
    on_exhausted: Annotated[
        Exhausted,
        typer.Option(help="A face that never passed: its best attempt, no file, or an error.", rich_help_panel=_BY_GENDER),
    ] = Exhausted.BEST,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Such as hair_color=blue; for short: --hair-color blue. Repeatable.",
            rich_help_panel=_BY_GENDER,
        ),
    ] = None,
    attribute: Annotated[list[str] | None, typer.Option(hidden=True)] = None,
    truncation: Annotated[
        float, typer.Option(help="0 to 1: below 1, less varied and more typical.", rich_help_panel=_BY_GENDER)
    ] = 1.0,
    id_: Annotated[str | None, typer.Option("--id", help="Any text: always the same face.", rich_help_panel=_BY_ID)] = None,
    ids: Annotated[
        Path | None, typer.Option(help="CSV with a column id, and gender if wanted: a face each.", rich_help_panel=_BY_ID)
    ] = None,
    registry: Annotated[
        Path | None,
        typer.Option(help="Parquet file of avatars; none comes near another in it.", rich_help_panel=_BY_ID),
    ] = None,
    min_distance: Annotated[
        float | None,
        typer.Option(help="Of a new registry, 0 to 255. Without it: 24.", rich_help_panel=_BY_ID),
    ] = None,
    like: Annotated[Path | None, typer.Option(help="Faces in the style of a picture.", rich_help_panel=_BY_PICTURE)] = None,
    mix: Annotated[
        tuple[Path, Path] | None,
        typer.Option(help="Style of one, noise of another; of other pictures, both styles.", rich_help_panel=_BY_PICTURE),
    ] = None,
    variations: Annotated[
        Path | None, typer.Option(help="Faces a small step away from a face of ours.", rich_help_panel=_BY_PICTURE)
    ] = None,
    strength: Annotated[
        float | None, typer.Option(help="How large that step is, 0 to 1. Without it: 0.5.", rich_help_panel=_BY_PICTURE)
    ] = None,
    again: Annotated[
        Path | None, typer.Option(help="The same face, from what its PNG says.", rich_help_panel=_BY_PICTURE)
    ] = None,
) -> None:
    """Draw faces of a gender, again until the judge agrees on gender and quality; or faces of IDs, or after a picture."""
    asked = asked_mode(lambda name: bool(given(ctx, "id_" if name == "id" else name)))
    from sga.generation import FaceModel
    from sga.generation.sheet import MAX_CELLS

    place = _place(out, to, both=bool(given(ctx, "out")))
    loaded = FaceModel.load(model, engine)
    _tell_filter(loaded, size)
    pairs = attribute_values(asked, where or [], attribute or [], loaded.spec, _options(ctx))
    if id_ is not None or ids is not None:
        from sga.cli.generate_ids import draw_ids

        cells, total = draw_ids(
            loaded, id_, ids, gender, place, registry, min_distance, overwrite, 0 if sheet is None else MAX_CELLS, size
        )
    elif again is not None:
        cells, total = [_again(loaded, again, out, overwrite)], 1
    else:
        total = 8 if variations is not None and "count" not in asked.given else count
        if seed is None:
            seed = secrets.randbelow(2**32)
            if total > 1:
                typer.echo(f"seed {seed}: stopped, it goes on with --seed {seed}", err=True)
        loop = _Loop(total, seed, min_quality, max_attempts, on_exhausted)
        if variations is not None:
            drawn = _variations(loaded, variations, strength, loop)
        elif like is not None:
            drawn = _like(loaded, like, gender, truncation, loop)
        elif mix is not None:
            drawn = _mix(loaded, mix, gender, truncation, loop)
        else:
            drawn = _of_gender(loaded, str(gender), pairs, truncation, loop)
        drawn = replace(drawn, faces=loaded.at_size(drawn.faces, size))
        cells = _write(drawn, loop, place, overwrite, 0 if sheet is None else min(total, MAX_CELLS), loaded.size)
    if sheet is not None:
        beside = out / "sheet.png" if to is None else to.with_suffix(".sheet.png")
        typer.echo(f"sheet: {draw_sheet(cells, total, loaded.size, Path(sheet) if sheet else beside)}")


generate.command_class = GenerateCommand  # type: ignore[attr-defined]


@dataclass(frozen=True)
class _Loop:
    """What all ways of drawing by a seed are asked for."""

    count: int
    seed: int
    min_quality: str | None
    max_attempts: int | None
    on_exhausted: Exhausted
    report: Report = field(default_factory=lambda: _report())

    @property
    def arguments(self) -> dict[str, Any]:
        """As the methods of `FaceModel` take them."""
        return {**{one.name: getattr(self, one.name) for one in fields(self)}, "on_exhausted": self.on_exhausted.value}


@dataclass(frozen=True)
class _Drawn:
    """Faces as they come. name: the file of an index; title: what is told of them."""

    faces: FaceStream
    name: Callable[[int], str]
    title: str


def _of_gender(model: FaceModel, gender: str, where: Mapping[str, str], truncation: float, loop: _Loop) -> _Drawn:
    faces = model.stream(gender, where=where, truncation=truncation, **loop.arguments)
    return _Drawn(faces, lambda index: file_name(gender, loop.seed, index), f"{gender}, seed {loop.seed}")


def _variations(model: FaceModel, picture: Path, strength: float | None, loop: _Loop) -> _Drawn:
    arguments = loop.arguments if strength is None else {**loop.arguments, "strength": strength}
    faces = model.variations(picture, **arguments)
    return _Drawn(faces, _numbered(f"variation-{_stem(picture)}", loop), f"variations of {picture}, seed {loop.seed}")


def _like(model: FaceModel, picture: Path, gender: str | None, truncation: float, loop: _Loop) -> _Drawn:
    faces = model.like(picture, gender=gender, truncation=truncation, **loop.arguments)
    return _Drawn(faces, _numbered(f"like-{_stem(picture)}", loop), f"like {picture}, seed {loop.seed}")


def _mix(model: FaceModel, pictures: tuple[Path, Path], gender: str | None, truncation: float, loop: _Loop) -> _Drawn:
    faces = model.mix(*pictures, gender=gender, truncation=truncation, **loop.arguments)
    stems = "-".join(map(_stem, pictures))
    if faces.expected["made"] == "mix":
        return _Drawn(faces, lambda _: f"mix-{stems}.png", f"style of {pictures[0]}, noise of {pictures[1]}")
    title = f"styles of {pictures[0]} and {pictures[1]} half and half, seed {loop.seed} (not both are faces of this model)"
    return _Drawn(faces, _numbered(f"mix-{stems}", loop), title)


def _again(model: FaceModel, picture: Path, out: Path, overwrite: bool) -> Cell:
    from sga.generation.pictures import as_images
    from sga.generation.sheet import Cell

    face = model.again(picture)
    path = out / f"{picture.stem}.png"
    same = face.png() == picture.read_bytes()
    apart = 0 if same else int(abs(as_images([picture], len(face.image))[0].astype(int) - face.image).max())
    face.save(path, overwrite=overwrite)
    found = "the same file bit for bit" if same else f"pixels within {apart} of 255" if apart else "the same pixels"
    typer.echo(f"{picture} again, {face.how.get('made', 'seed')}: {found}, in {path}")
    return Cell.of(face.image, model.size, picture.stem[:16])


def _tell_filter(model: FaceModel, size: int | None) -> None:
    """Check the size, and say once what a model without an upscaler does with it."""
    from sga.generation.enlarge import check_size

    if size is not None and check_size(size) > model.size and not model.enlarger.learned:
        typer.echo(
            f"The model {model.spec.name} has no upscaler: faces of {model.size} px are enlarged by Lanczos' filter.", err=True
        )


def file_name(gender: str, seed: int, index: int) -> str:
    """Of face `index` of a seed: the name does not depend on how many are drawn."""
    return f"{gender}-{seed}-{index:04d}.png"


def _numbered(title: str, loop: _Loop) -> Callable[[int], str]:
    return lambda index: file_name(title, loop.seed, index)


def _stem(path: Path) -> str:
    from sga.generation.names import readable

    return readable(path.stem)


def _report() -> Report:
    from sga.generation import Report

    return Report()


def _options(ctx: typer.Context) -> list[str]:
    return [name for param in ctx.command.params for name in param.opts if name != "--attribute"]


def _place(out: Path, to: Path | None, *, both: bool) -> Path:
    """Where the faces go. both: --out was typed, too."""
    from sga.generation.sink import SUFFIXES

    if to is None:
        return out
    if both:
        raise InputError("Expected --out FOLDER or --to FILE, found both. Leave one out.")
    if to.suffix.lower() not in SUFFIXES:
        raise InputError(f"Expected a file that ends in {' or '.join(SUFFIXES)}, found {to}. Type, for example: --to faces.tar")
    return to


def _write(drawn: _Drawn, loop: _Loop, place: Path, overwrite: bool, cells: int, edge: int) -> list[Cell]:
    """Write each face that is not there yet as it is done. Returns what a sheet shows of the first faces, so many; edge: of a
    cell, px."""
    from sga.cli.progress import drawing
    from sga.generation.sink import open_sink

    faces, report = drawn.faces, loop.report
    done = {"gaps": loop.on_exhausted is Exhausted.GAP, "best": loop.on_exhausted is Exhausted.BEST}
    shown: dict[int, Cell] = {}
    with (
        _kept(faces, loop, place),
        open_sink(place, faces.expected, overwrite=overwrite, **done) as sink,
        drawing(loop.count, "accepted/s") as moved,
    ):
        for face in faces.into(sink, drawn.name):
            moved(faces.there + report.faces, report.accepted / max(report.seconds, 1e-9))
            if face.index < cells:
                shown[face.index] = cell(face.image, edge, face.index, face.quality, accepted=face.accepted)
        first = [shown.get(index) or cell_of(sink.read(drawn.name(index)), edge, index) for index in range(cells)]
    _tell(loop, faces.there, drawn.title, place)
    return first


@contextmanager
def _kept(faces: FaceStream, loop: _Loop, place: Path) -> Iterator[None]:
    """A face that never passed ends the command; what was written before it stays, and is named."""
    try:
        yield
    except ExhaustedError as error:
        count = faces.there + loop.report.accepted
        if not count:
            raise
        from sga.generation.sink import SUFFIXES

        kept = f"{count} face{'' if count == 1 else 's'} done before it {'is' if count == 1 else 'are'} kept"
        where = f"beside {place}, which is not whole yet" if place.suffix.lower() in SUFFIXES else f"in {place}"
        raise ExhaustedError(
            f"{error} {kept} {where}: the same command with --on-exhausted best or gap goes on with them, "
            "for other options name another place or add --overwrite."
        ) from error


def _tell(loop: _Loop, there: int, title: str, place: Path) -> None:
    before = f" and {there} that were there already" if there else ""
    typer.echo(f"{title}: {loop.report}{before}, in {place}")
    if loop.report.exhausted:
        missed = sorted(loop.report.exhausted)
        named = ", ".join(str(index) for index in missed[:20]) + (" …" if len(missed) > 20 else "")
        kept = loop.on_exhausted is Exhausted.BEST
        are, attempts = ("is", "its best attempt") if len(missed) == 1 else ("are", "their best attempts")
        fate = f"written as {attempts} (accepted=false)" if kept else "left out"
        typer.echo(f"{len(missed)} never passed the judge and {are} {fate}: {named}", err=True)
