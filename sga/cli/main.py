"""`sga`: the commands, and what becomes of an error. Each command's module is imported only when it runs."""

from __future__ import annotations

import errno
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, NoReturn

import typer

from configs.errors import MissingExtra, UserError
from sga.cli.lazy import LazyGroup, Table
from sga.version import __version__

__all__ = ["app", "main"]

_OF_TRAIN = frozenset(
    (
        *("torch", "torchvision", "timm", "lightning", "sklearn", "scipy", "pandas", "pyarrow", "cv2", "torchmetrics"),
        *("safetensors", "tensorboard", "onnx", "onnxscript", "skia"),
    )
)
"""Import names of the extra `train`."""


class QualityGroup(LazyGroup):
    """Teach the judge which faces are good."""

    table: ClassVar[Table] = {
        "draw": ("sga.cli.quality", "draw", "Draw faces for people to label, on sheets with a CSV."),
        "push": ("sga.cli.quality", "push", "Send generated faces to Label Studio."),
        "pull": ("sga.cli.quality", "pull", "Fetch what people said of them."),
        "tune": ("sga.cli.quality", "tune", "Finetune the judge on quality labels and calibrate it."),
    }


class LabelGroup(LazyGroup):
    """People label the faces that matter most, in Label Studio."""

    table: ClassVar[Table] = {
        "studio": ("sga.cli.label_studio", "studio", "Start a local Label Studio, or check another one."),
        "push": ("sga.cli.label_push", "push", "Pick faces and send them."),
        "pull": ("sga.cli.label_pull", "pull", "Fetch what people said."),
        "status": ("sga.cli.label_status", "status", "Show labels, queue and learning curve."),
        "audit": ("sga.cli.label_audit", "audit", "Find suspicious labels and have them reviewed."),
        "backend": ("sga.cli.label_backend", "backend", "Serve fresh predictions to the page; retrain after new labels."),
        "simulate": ("sga.cli.label_simulate", "simulate", "Measure label efficiency with a simulated annotator."),
    }


class CleanGroup(LazyGroup):
    """Leave out duplicates and bad faces, and have people check that."""

    table: ClassVar[Table] = {
        "mark": ("sga.cli.clean", "mark", "Score all faces, mark the bad ones, draw sheets."),
        "show": ("sga.cli.clean", "show", "Show how many are left out, and why."),
        "keep": ("sga.cli.clean", "keep", "Put faces back for good."),
        "push": ("sga.cli.clean", "push", "Send marked faces to Label Studio."),
        "pull": ("sga.cli.clean", "pull", "Fetch what people said of them."),
    }


class ExploreGroup(LazyGroup):
    """Draw pictures that show what the model does, and what it learns from."""

    table: ClassVar[Table] = {
        "styles": ("sga.cli.explore", "styles", "Draw one noise a row, one style a column, as woman and man."),
        "noise": ("sga.cli.explore", "noise", "Draw one style a row, one noise a column."),
        "gender": ("sga.cli.explore", "gender", "Draw faces as woman and man, and the difference of their pixels."),
        "between": ("sga.cli.explore", "between", "Draw the way from one face to another: strip, GIF, WebP, MP4."),
        "judged": ("sga.cli.explore", "judged", "Draw accepted faces beside rejected ones, and histograms of their scores."),
        "conditions": ("sga.cli.explore", "conditions", "Draw each hair colour in a column, and mark which the judge sees."),
        "data": ("sga.cli.explore_data", "data", "Draw the faces and labels of a workspace: t-SNE, averages, counts, samples."),
    }


class UpscaleGroup(LazyGroup):
    """Make faces larger: train the upscaler, measure it, use it."""

    table: ClassVar[Table] = {
        "train": ("sga.cli.upscale", "train", "Train the upscaler on the faces of a workspace."),
        "measure": ("sga.cli.upscale", "measure", "Measure PSNR and SSIM against bicubic and Lanczos."),
        "draw": ("sga.cli.upscale", "draw", "Enlarge pictures."),
    }


class RootGroup(LazyGroup):
    """All stages, in the order in which they run."""

    table: ClassVar[Table] = {
        "generate": ("sga.cli.generate", "generate", "Draw faces of a gender, again until the judge is content."),
        "samples": ("sga.cli.samples", "samples", "Draw sample faces with known labels."),
        "ingest": ("sga.cli.ingest", "ingest", "Take faces and their partial labels into a workspace."),
        "clean": CleanGroup,
        "label": LabelGroup,
        "complete": ("sga.cli.complete", "complete", "Train the ensemble and fill in missing labels."),
        "sfn": ("sga.cli.sfn", "sfn", "Train the style feature network."),
        "train": ("sga.cli.train", "train", "Train the generator."),
        "quality": QualityGroup,
        "evaluate": ("sga.cli.evaluate", "evaluate", "Measure how good the generated faces are."),
        "ladder": ("sga.cli.ladder", "ladder", "Compare recipes of the generator at equal time."),
        "explore": ExploreGroup,
        "upscale": UpscaleGroup,
        "export": ("sga.cli.export", "export", "Write the model folder that drawing needs."),
        "serve": ("sga.cli.serve", "serve", "Avatars, faces and the page over HTTP."),
        "run": ("sga.cli.run", "run", "Run all stages from one YAML."),
        "status": ("sga.cli.status", "status", "Show which stages are done, stale or missing."),
    }


app = typer.Typer(cls=RootGroup, no_args_is_help=True, pretty_exceptions_enable=False)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sga {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Anime faces by gender and style, from partly labelled pictures. First command to try: sga generate --gender female"""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line (default: this process's arguments) and exit.

    Exit codes: 0 done; 2 the user's error, told in a sentence on stderr; 75 stopped in time, type it again and it goes on; 130
    interrupted. A bug keeps its traceback.
    """
    for stream in (sys.stdout, sys.stderr):  # a terminal without this or that letter is no reason to fail
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        app(args=None if arguments is None else list(arguments), prog_name="sga")
    except UserError as error:
        _fail(error)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _OF_TRAIN:
            raise
        _fail(MissingExtra(package, "train"))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise
        from configs.files import explain_os_error

        _fail(explain_os_error(error, Path(str(error.filename or "the result"))))
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)


def _fail(error: UserError) -> NoReturn:
    print(f"sga: {error}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
