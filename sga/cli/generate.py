"""`sga generate`: draw faces until the judge is content."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from configs.errors import InputError

if TYPE_CHECKING:
    from sga.generation import Face, FaceModel, Report

__all__ = ["file_name", "generate"]


class Exhausted(StrEnum):
    """What becomes of a face that never passed the judge."""

    BEST = "best"
    GAP = "gap"
    ERROR = "error"


class _GenerateCommand(TyperCommand):
    """`--sheet` alone names the default file; typer's options either always or never take a value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the empty value behind a `--sheet` that has none."""
        pairs = zip(args, [*args, "-"][1:], strict=True)
        words = ["--sheet=" if word == "--sheet" and after.startswith("-") else word for word, after in pairs]
        return super().parse_args(ctx, words)


def generate(
    gender: Annotated[str, typer.Option(help="female, male, or any: each face draws its own.")],
    count: Annotated[int, typer.Option(help="Number of faces.")] = 1,
    seed: Annotated[int | None, typer.Option(help="Same seed, same files. Without it: a new one, printed.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the pictures.")] = Path("faces-out"),
    min_quality: Annotated[str | None, typer.Option(help="low, median, high, or 0 to 1. Without it: as calibrated.")] = None,
    max_attempts: Annotated[int | None, typer.Option(help="Draws a face may take. Without it: the model's.")] = None,
    on_exhausted: Annotated[
        Exhausted, typer.Option(help="A face that never passed: its best attempt, no file, or an error.")
    ] = Exhausted.BEST,
    where: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Such as hair_color=blue. Repeatable.")] = None,
    model: Annotated[Path | None, typer.Option(help="Model folder. Without it: the one that ships.")] = None,
    sheet: Annotated[str | None, typer.Option(metavar="[FILE]", help="Draw a contact sheet too; alone: OUT/sheet.png.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace other pictures of the same names.")] = False,
) -> None:
    """Draw faces of a gender, again until the judge agrees on gender and quality."""
    import secrets

    from sga.generation import FaceModel, Report

    seed = secrets.randbelow(2**32) if seed is None else seed
    report = Report()
    loaded = FaceModel.load(model)
    faces: Iterable[Face] = loaded.stream(
        gender, count, seed, min_quality, max_attempts, on_exhausted.value, _pairs(where or []), report
    )
    if on_exhausted is Exhausted.ERROR:
        faces = list(faces)  # nothing is written before every face has passed
    kept = _write(faces, out, seed, gender, overwrite)
    _tell(report, out, seed, gender, on_exhausted)
    if sheet is not None:
        typer.echo(f"sheet: {_draw_sheet(loaded, kept, count, Path(sheet) if sheet else out / 'sheet.png')}")


generate.command_class = _GenerateCommand  # type: ignore[attr-defined]


def file_name(out: Path, gender: str, seed: int, index: int) -> Path:
    """Where face `index` of a seed goes: the name does not depend on how many are drawn."""
    return out / f"{gender}-{seed}-{index:04d}.png"


def _pairs(items: list[str]) -> Mapping[str, str]:
    pairs = {}
    for item in items:
        name, separator, value = item.partition("=")
        if not separator or not name or not value:
            raise InputError(f"Expected NAME=VALUE, found {item!r}. Type, for example: --where hair_color=blue")
        pairs[name] = value
    return pairs


def _write(faces: Iterable[Face], out: Path, seed: int, gender: str, overwrite: bool) -> dict[int, Face]:
    """Write each face as it is done; the first faces are kept for the sheet."""
    from sga.generation.sheet import MAX_CELLS

    kept = {}
    for face in faces:
        face.save(file_name(out, gender, seed, face.index), overwrite=overwrite)
        if face.index < MAX_CELLS:
            kept[face.index] = face
    return kept


def _tell(report: Report, out: Path, seed: int, gender: str, on_exhausted: Exhausted) -> None:
    typer.echo(f"{gender}, seed {seed}: {report}, in {out}")
    if report.exhausted:
        missed = sorted(report.exhausted)
        named = ", ".join(str(index) for index in missed[:20]) + (" …" if len(missed) > 20 else "")
        fate = "written as their best attempts (accepted=false)" if on_exhausted is Exhausted.BEST else "left out"
        typer.echo(f"{len(missed)} never passed the judge and are {fate}: {named}", err=True)


def _draw_sheet(model: FaceModel, kept: Mapping[int, Face], count: int, path: Path) -> Path:
    from sga.generation.face import write_once
    from sga.generation.sheet import MAX_CELLS, Cell, contact_sheet

    cells = []
    for index in range(min(count, MAX_CELLS)):
        face = kept.get(index)
        if face is None:
            cells.append(Cell(None, f"{index} gap", accepted=False))
        else:
            cells.append(Cell(face.image, f"{index}  {face.quality:.2f}{'' if face.accepted else ' best'}", face.accepted))
    if count > MAX_CELLS:
        typer.echo(f"The sheet shows the first {MAX_CELLS} of {count} faces.", err=True)
    return write_once(path, contact_sheet(cells, model.size), overwrite=True)
