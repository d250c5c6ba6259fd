"""`sga explore`: pictures of what a model draws. The model folder is all they need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sga.explore import Picture

__all__ = ["between", "conditions", "gender", "judged", "noise", "styles"]

DEFAULT_OUT = Path("explore-out")

Model = Annotated[str | None, typer.Option("--model", help="Model folder, or name of a model. Without it: the one that ships.")]
Seed = Annotated[int, typer.Option("--seed", help="Same seed, same picture.")]
Gender = Annotated[str, typer.Option("--gender", help="female, male, or any: all of them.")]
Rows = Annotated[int, typer.Option("--rows", help="Rows of faces.")]
Columns = Annotated[int, typer.Option("--columns", help="Columns of faces.")]
Unselected = Annotated[
    bool, typer.Option("--unselected", help="Noise and style of first attempts instead of faces that the judge accepted.")
]
Size = Annotated[int | None, typer.Option("--size", help="Edge of a face in pixels. Without it: as the model draws.")]
Out = Annotated[Path | None, typer.Option("--out", help="PNG to write, with a JSON beside. Without it: in explore-out.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace other files of the same names.")]


class Way(StrEnum):
    """How the noise runs from one face to the other."""

    SPHERICAL = "spherical"
    LINEAR = "linear"


def styles(
    rows: Rows = 3,
    columns: Columns = 10,
    gender: Gender = "any",
    seed: Seed = 0,
    unselected: Unselected = False,
    size: Size = None,
    model: Model = None,
    out: Out = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw one noise a row and one style a column, each as woman and man."""
    from sga import explore

    numbers = {"rows": rows, "columns": columns, "unselected": unselected}
    _draw(explore.styles, "styles", model, out, overwrite, seed=seed, gender=gender, size=size, **numbers)


def noise(
    rows: Rows = 3,
    columns: Columns = 10,
    gender: Gender = "any",
    seed: Seed = 0,
    unselected: Unselected = False,
    size: Size = None,
    model: Model = None,
    out: Out = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw one style a row and one noise a column: what the style leaves open."""
    from sga import explore

    numbers = {"rows": rows, "columns": columns, "unselected": unselected}
    _draw(explore.noise, "noise", model, out, overwrite, seed=seed, gender=gender, size=size, **numbers)


def gender(
    columns: Columns = 9,
    gender: Annotated[str, typer.Option("--gender", help="Whose noise and style: female, male, or any.")] = "any",
    seed: Seed = 0,
    unselected: Unselected = False,
    size: Size = None,
    model: Model = None,
    out: Out = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw the same noise and style as woman and man, and the difference of their pixels."""
    from sga import explore

    numbers = {"columns": columns, "unselected": unselected}
    told = _draw(explore.gender, "gender", model, out, overwrite, seed=seed, gender=gender, size=size, **numbers)
    typer.echo(f"mean absolute difference: {told['difference']:.1f} of 255 (two faces: {told['between_faces']:.1f})")


def judged(
    count: Annotated[int, typer.Option(help="First attempts a gender, of which the picture shows some.")] = 160,
    rows: Rows = 3,
    columns: Columns = 6,
    gender: Gender = "any",
    seed: Seed = 0,
    size: Size = None,
    model: Model = None,
    out: Out = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw accepted faces beside rejected ones with their scores, and histograms with the thresholds."""
    from sga import explore

    numbers = {"count": count, "rows": rows, "columns": columns}
    told = _draw(explore.judged, "judged", model, out, overwrite, seed=seed, gender=gender, size=size, **numbers)
    for name, one in told["rates"].items():
        typer.echo(f"{name}: {one['accepted']} of {count} accepted")


def conditions(
    attribute: Annotated[
        str | None, typer.Option(help="Attribute of style, such as eye_color. Without it: the first exclusive one.")
    ] = None,
    count: Annotated[int, typer.Option(help="Faces a value and gender.")] = 3,
    gender: Gender = "any",
    seed: Seed = 0,
    accepted: Annotated[bool, typer.Option("--accepted", help="Draw again until the judge is content.")] = False,
    size: Size = None,
    model: Model = None,
    out: Out = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw each hair colour (or value of another attribute) in a column, and mark which the judge sees."""
    from sga import explore

    kind = f"conditions-{attribute}" if attribute else "conditions"
    asked = {"attribute": attribute, "count": count, "accepted": accepted}
    told = _draw(explore.conditions, kind, model, out, overwrite, seed=seed, gender=gender, size=size, **asked)
    hits, asked_for = (sum(one[key] for one in told["values"].values()) for key in ("seen", "asked"))
    typer.echo(f"{told['attribute']}: seen in {hits} of {asked_for} faces")


def between(
    faces: Annotated[list[str], typer.Argument(metavar="FACE", help="seed:7, seed:7:3, id:user-42, or a PNG of ours.")],
    steps: Annotated[int, typer.Option(help="Faces on the strip from one face to the next.")] = 9,
    frames: Annotated[int, typer.Option(help="Pictures of the animation from one face to the next.")] = 48,
    seconds: Annotated[float, typer.Option(help="Time from one face to the next.")] = 2.0,
    hold: Annotated[float, typer.Option(help="Seconds for which each given face stands.")] = 0.5,
    ping_pong: Annotated[bool, typer.Option("--ping-pong/--one-way", help="Run back to the first face.")] = True,
    loop: Annotated[bool, typer.Option("--loop/--once", help="Begin again for ever (GIF, WebP).")] = True,
    way: Annotated[Way, typer.Option(help="How the noise runs: on a great circle of its prior, or straight.")] = Way.SPHERICAL,
    gender: Annotated[
        list[str] | None, typer.Option("--gender", help="Of seeds and IDs: once for all, or once for each face.")
    ] = None,
    size: Annotated[int | None, typer.Option(help="Edge of a face. Without it: as drawn on the strip, 256 in motion.")] = None,
    model: Model = None,
    out: Annotated[
        list[Path] | None,
        typer.Option(
            "--out", help="File to write: .png (strip), .gif, .webp, .mp4. Repeatable. Without it: png, gif and webp."
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw the way from one face to another: a strip, and an animation."""
    from sga.explore import Motion, write_way
    from sga.generation import FaceModel

    motion = Motion(frames, seconds, hold, ping_pong, loop)
    written = write_way(
        FaceModel.load(model),
        faces,
        motion,
        genders=gender or (),
        steps=steps,
        way=way.value,
        size=size,
        folder=DEFAULT_OUT,
        paths=out or (),
        overwrite=overwrite,
    )
    _tell(written)


def _draw(
    draw: Callable[..., Picture], name: str, model: str | None, out: Path | None, overwrite: bool, **asked: Any
) -> dict[str, Any]:
    """Draw a picture, write it, and give its record."""
    from sga.generation import FaceModel

    picture = draw(FaceModel.load(model), **asked)
    gender = "" if asked["gender"] == "any" else f"-{asked['gender']}"
    _tell(picture.save(out or DEFAULT_OUT / f"{name}{gender}-{asked['seed']}.png", overwrite=overwrite))
    return picture.record


def _tell(written: Sequence[Path]) -> None:
    typer.echo("\n".join(map(str, written)))
