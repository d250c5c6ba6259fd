"""Do what is not done of a run, and tell what is done, stale or missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from configs.errors import TooFewLabels
from labeling.workspace import STAGES, Workspace
from sga.pipeline.faces import tell_other_faces
from sga.pipeline.settings import PipelineSettings
from sga.pipeline.steps import make_steps

__all__ = ["StageState", "run", "status"]


@dataclass(frozen=True)
class StageState:
    """A stage as `sga status` shows it. command: what to type to do it, or do it again."""

    name: str
    state: str
    finished: str
    command: str


def run(
    workspace: Workspace, settings: PipelineSettings, announce: Callable[[str], None] = print, *, progress: bool = True
) -> None:
    """Run every stage that is not done with these settings, in order; the same call again goes on where it stopped.

    Where people have not labelled enough generated faces and `settings.ask` draws some for them, the judge and the model
    folder wait; the rest is done.

    Raises:
        Stopped: it was asked to stop, or the time of `classifiers.runtime.stop_after` is up; what was trained is saved.
        ConfigError: neither samples nor paths, illustrations without a detector, or settings of any stage that are wrong:
            before the first one begins.
        TooFewLabels: of generated faces, and the settings ask for none.
        WorkspaceError: the workspace's sample faces were drawn with other settings.
    """
    from classifiers.runtime import Stopped, time_is_up

    waiting = begun = False
    for name, step in make_steps(workspace, settings, progress).items():
        if waiting and name == "model":
            continue
        if step.done():
            announce(f"{name}: done")
        elif begun and time_is_up():
            raise Stopped
        else:
            announce(f"{name}: sga {step.command}")
            try:
                step.do()
                begun = True  # the shortest time brings a run one step further
            except TooFewLabels:
                if not (name == "quality" and settings.ask):
                    raise
                waiting, begun = True, _ask(workspace, settings.ask, announce)
        if name == "faces":
            tell_other_faces(workspace, settings, announce)


def _ask(workspace: Workspace, count: int, announce: Callable[[str], None]) -> bool:
    """Draw faces for people to label, where there are none yet, and say what to do with them; returns whether it drew any."""
    from sga.quality import ask_for_labels

    path, drawn = ask_for_labels(workspace, count)
    announce(
        f"quality: waits for people. Fill in {path} (low, median or high; the faces are in {path.parent / 'sheets'}), then "
        f"type the same command with --set 'quality_labels=[{path}]'"
    )
    return drawn


def status(workspace: Workspace) -> list[StageState]:
    """Every stage with its state, in order."""
    states = []
    for stage in STAGES.values():
        record = workspace.record(stage.name)
        finished = "" if record is None else str(record["finished"])
        states.append(StageState(stage.name, workspace.state(stage.name), finished, f"sga {stage.command}"))
    return states
