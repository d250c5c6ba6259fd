"""The first steps of a run: its faces, drawn or ingested, and what cleaning leaves out of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from configs.errors import ConfigError, WorkspaceError
from configs.files import read_json
from configs.loader import make_settings
from configs.settings import Settings
from labeling.workspace import Workspace
from sga.pipeline.settings import PipelineSettings
from sga.pipeline.step import Step, stage_step

__all__ = ["clean_step", "faces_step", "tell_other_faces"]


def faces_step(workspace: Workspace, settings: PipelineSettings) -> Step:
    from labeling.ingest import IngestSettings, ingest, labels_taken_in, paths_taken_in

    wanted = make_settings(IngestSettings, settings.ingest, "ingest of the run")
    if settings.illustrations and settings.samples is None and not wanted.detection.on:
        raise ConfigError(
            "Expected a detector that finds the faces in the illustrations of this run, found none. "
            "Type --set ingest.detection.cascade=FILE.xml, or --set ingest.detection.detector=FILE.onnx."
        )
    paths = [Path(path) for path in settings.paths]
    labels = [Path(path) for path in ([settings.labels] if isinstance(settings.labels, str) else settings.labels)]
    if settings.samples is None:
        told = [*labels, *wanted.tag_files, *([Path(wanted.metadata)] if wanted.metadata else []), *wanted.other_files]
        return stage_step(
            workspace,
            "faces",
            wanted,
            lambda: ingest(paths, workspace.root, wanted, labels),
            lambda: paths_taken_in(workspace, paths) and labels_taken_in(workspace, told),
        )
    from labeling.samples import SampleSettings, write_samples

    drawn, folder = make_settings(SampleSettings, settings.samples, "samples of the run"), _samples_folder(workspace)
    _check_samples(folder, drawn, workspace)

    def draw() -> None:
        report = write_samples(drawn, folder)
        ingest([report.faces], workspace.root, wanted, report.labels)

    def taken_in() -> bool:
        drawn = paths_taken_in(workspace, [folder / "faces"]) and (folder / "samples.json").is_file()
        return drawn and labels_taken_in(workspace, wanted.other_files)

    return stage_step(workspace, "faces", wanted, draw, taken_in)


def clean_step(workspace: Workspace, values: dict[str, Any]) -> Step:
    from labeling.cleaning.finder import make_finder
    from labeling.cleaning.mark import is_marked, mark
    from labeling.cleaning.settings import CleanSettings
    from labeling.cleaning.sheets import draw_sheets

    files = {name: str(values[name]) for name in ("cascade", "detector") if values.get(name)}
    rest = {name: value for name, value in values.items() if name not in ("cascade", "detector")}
    wanted, finder = make_settings(CleanSettings, rest, "clean of the run"), make_finder(**files)
    if wanted.features == "sfn":  # and styles that change with every cleaning would never let a run be done
        raise ConfigError(
            "Expected features=descriptor in clean of the run, found sfn, whose styles are made after cleaning. Leave features "
            "out; or write clean: null, and type after the run: sga clean mark --features sfn "
            f"--workspace {workspace.root}, then the run again."
        )

    def do() -> None:
        report, scores, plan = mark(workspace, wanted, finder=finder)
        draw_sheets(workspace, workspace.table(), scores, plan, wanted, report)

    return Step("clean mark", lambda: is_marked(workspace, wanted, "" if finder is None else finder.name), do)


def tell_other_faces(workspace: Workspace, settings: PipelineSettings, announce: Callable[[str], None]) -> None:
    """Faces are only ever added: those of a PATH that a run does not name any more are still there."""
    from labeling.ingest import other_paths

    named = settings.paths if settings.samples is None else [_samples_folder(workspace) / "faces"]
    others = other_paths(workspace, named)
    if others:
        announce(f"faces: those of {', '.join(others)} are in the workspace too. To leave them out, name a new --workspace.")


def _samples_folder(workspace: Workspace) -> Path:
    return workspace.root / "samples"


def _check_samples(folder: Path, wanted: Settings, workspace: Workspace) -> None:
    """Other sample settings need another workspace: faces and labels that are there cannot be taken back.

    Raises:
        WorkspaceError: the samples there are of other settings.
    """
    path = folder / "samples.json"
    if not path.is_file():
        return
    drawn, asked = read_json(path), wanted.model_dump(mode="json", exclude={"workers"})
    for name, value in asked.items():
        if name not in drawn or drawn[name] != value:
            raise WorkspaceError(
                f"Expected samples.{name} as {workspace.root} was made with ({drawn.get(name)}), found {value}. "
                "Leave it so, or name a new --workspace for other samples."
            )
