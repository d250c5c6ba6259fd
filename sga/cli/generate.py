"""`sga generate`: draw faces until the judge is content."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from configs.errors import InputError

if TYPE_CHECKING:
    from sga.generation import Face, FaceModel, Report

__all__ = ["generate"]


class _GenerateCommand(TyperCommand):
    """`--sheet` alone names the default file; typer's options either always or never take a value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the empty value behind a `--sheet` that has none."""
        bare = [
            at for at, word in enumerate(args) if word == "--sheet" and (at + 1 == len(args) or args[at + 1].startswith("-"))
        ]
        return super().parse_args(ctx, ["--sheet=" if at in bare else word for at, word in enumerate(args)])


def generate(
    gender: Annotated[str, typer.Option(help="female, male, or any: each face draws its own.")],
    count: Annotated[int, typer.Option(help="Number of faces.")] = 1,
    seed: Annotated[
        int | None, typer.Option(help="Same seed, same files. None: a new one, which is printed.", show_default=False)
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the pictures.")] = Path("faces-out"),
    min_quality: Annotated[
        str | None, typer.Option(help="low, median, high or 0 … 1. None: what the model was calibrated to.", show_default=False)
    ] = None,
    max_attempts: Annotated[
        int | None, typer.Option(help="Draws a face may take. None: the model's.", show_default=False)
    ] = None,
    on_exhausted: Annotated[
        Literal["best", "gap", "error"], typer.Option(help="A face that never passed: its best attempt, no file, or an error.")
    ] = "best",
    where: Annotated[
        list[str] | None, typer.Option(metavar="ATTRIBUTE=VALUE", help="For example hair_color=blue. Repeatable.")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="Model folder. None: the one that ships.", show_default=False)] = None,
    sheet: Annotated[str | None, typer.Option(metavar="[FILE]", help="Draw a contact sheet too; alone: OUT/sheet.png.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace other pictures of the same names.")] = False,
) -> None:
    """Draw faces of a gender, again until the judge agrees on gender and quality."""
    import secrets

    from sga.generation import FaceModel, Report

    seed = secrets.randbelow(2**32) if seed is None else seed
    report = Report()
    loaded = FaceModel.load(model)
    faces = loaded.stream(gender, count, seed, min_quality, max_attempts, on_exhausted, _pairs(where or []), report)
    if on_exhausted == "error":
        faces = iter(list(faces))  # nothing is written before every face has passed
    cells = _write(faces, out, seed, gender, overwrite)
    _tell(report, cells, out, seed, gender, on_exhausted)
    if sheet is not None:
        path = _draw_sheet(loaded, cells, count, Path(sheet) if sheet else out / "sheet.png")
        typer.echo(f"sheet: {path}")


generate.command_class = _GenerateCommand  # type: ignore[attr-defined]


def _pairs(items: list[str]) -> Mapping[str, str]:
    pairs = {}
    for item in items:
        name, separator, value = item.partition("=")
        if not separator or not name or not value:
            raise InputError(f"Expected ATTRIBUTE=VALUE, found {item!r}. Type, for example: --where hair_color=blue")
        pairs[name] = value
    return pairs


def _write(faces: Iterator[Face], out: Path, seed: int, gender: str, overwrite: bool) -> dict[int, Face]:
    """Write each face as it is done; the first faces are kept for the sheet."""
    from sga.generation.sheet import MAX_CELLS

    kept = {}
    for face in faces:
        face.save(file_name(out, gender, seed, face.index), overwrite=overwrite)
        if face.index < MAX_CELLS:
            kept[face.index] = face
    return kept


def file_name(out: Path, gender: str, seed: int, index: int) -> Path:
    """Where face `index` of a seed goes: the name does not depend on how many are drawn."""
    return out / f"{gender}-{seed}-{index:04d}.png"


def _tell(report: Report, kept: Mapping[int, Face], out: Path, seed: int, gender: str, on_exhausted: str) -> None:
    typer.echo(f"{gender}, seed {seed}: {report} → {out}")
    if report.exhausted:
        named = ", ".join(str(index) for index in sorted(report.exhausted)[:20]) + (" …" if len(report.exhausted) > 20 else "")
        fate = "written as their best attempts (accepted=false)" if on_exhausted == "best" else "left out"
        typer.echo(f"{len(report.exhausted)} never passed the judge and are {fate}: {named}", err=True)


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
