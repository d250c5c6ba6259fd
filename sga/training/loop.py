"""The training loop: maintenance first, then a step of the discriminator, a step of the generator, and the average."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from classifiers.runtime import RunLog, Stopped, agree, alone, launch, progress_bar, stop_requests
from configs.errors import ConfigError
from configs.files import check_space
from labeling.workspace import Workspace, fingerprint
from sga.condition import ConditionPrior
from sga.training.cleaning import clean_rows
from sga.training.clock import Clock, Measure
from sga.training.data import TrainingFaces, load_training_faces
from sga.training.features import load_features
from sga.training.preview import fixed_conditions, write_preview
from sga.training.resident import resident
from sga.training.settings import GanSettings
from sga.training.snapshot import save_generator
from sga.training.state import RunState, Tally, check_changes, open_run, read_run
from sga.training.stepper import Stepper
from sga.training.steps import learning_rate_factor
from sga.training.warm_start import prepare_warm_start, select_faces, warm_start_clock

if TYPE_CHECKING:
    from lightning.fabric import Fabric

__all__ = ["TrainingResult", "slow_on_cpu", "train"]

_MEASURED_STEPS = 3
"""Steps, at least, from which the speed is told; a whole round of penalties and anchors is awaited too."""


@dataclass(frozen=True)
class TrainingResult:
    """images: seen in all. finished: the training reached its length (False: it was stopped; the same command goes on).

    seconds, cpu_seconds: of training over all calls, a warm start included; loading, previews and checkpoints are not.
    """

    images: int
    finished: bool
    folder: Path
    seconds: float
    cpu_seconds: float


def train(
    workspace: Workspace,
    settings: GanSettings,
    faces: TrainingFaces | None = None,
    *,
    accept_changes: bool = False,
    progress: bool = True,
    stop_after: float | None = None,
    measure: Measure = "seconds",
    warm_start_from: Path | None = None,
) -> TrainingResult:
    """Train, or go on training, the generator of a workspace.

    Writes into `<workspace>/gan`: checkpoint.pt (the whole state), generator.safetensors and generator.json (the averaged
    generator), preview/, stats.jsonl, tensorboard/. The same call goes on where the checkpoint is, and ends in the same weights
    as a run that was never interrupted (bit for bit on a CPU).

    faces: None = those of the workspace that `training_rows` names. accept_changes: go on though settings or faces are not
    those of the run; where it is finished, `settings.images` must ask for more. stop_after: length at which to stop as at a
    signal, in units of `measure` over all calls (the result's fields of that name); None = at `settings.images` alone.
    warm_start_from: gan folder of a run whose warm start this one begins with, instead of its own; that
    one's time does not count.

    Raises:
        WorkspaceError: a stage before is missing, or the run in the workspace is of other faces.
        InputError: too little room on the disk, or another training at work in the workspace.
        ConfigError: settings that contradict the run in the workspace, or the number of processes.
        DivergedError: a loss or weight is not finite; the last good checkpoint is kept.
    """
    fabric = launch(settings.launch)
    if settings.batch % fabric.world_size or settings.batch // fabric.world_size < 2:
        raise ConfigError(
            f"Expected a batch that gives each of {fabric.world_size} processes the same number of faces, two or more, "
            f"found {settings.batch}. Type: --set batch={4 * fabric.world_size}"
        )
    faces = load_training_faces(workspace, settings) if faces is None else faces
    limit = _Limit(stop_after, measure)
    with alone(fabric, workspace.folder("gan"), "sga train"):
        return _train(workspace, settings, faces, fabric, limit, warm_start_from, accept_changes, progress)


def _train(
    workspace: Workspace,
    settings: GanSettings,
    faces: TrainingFaces,
    fabric: Fabric,
    limit: _Limit,
    warm_start_from: Path | None,
    accept_changes: bool,
    progress: bool,
) -> TrainingResult:
    folder, device, first = workspace.folder("gan"), fabric.device, fabric.is_global_zero
    if first:
        _remove_leftovers(folder)
    fabric.barrier()  # from here on every process writes there
    stored, data = read_run(folder), faces.fingerprint()
    if stored is not None:
        check_changes(stored, folder, settings, data, accept_changes=accept_changes)
    features = load_features(workspace, settings, fabric, stored)
    if settings.cleaning > 0:
        faces = faces.select(clean_rows(workspace, faces, settings, fabric, fresh=stored is None))
    whole, warm = resident(faces, device), settings.warm_start is not None
    try:
        anchor = (
            prepare_warm_start(workspace, settings, whole, fabric, limit.reached, warm_start_from, progress=progress)
            if warm
            else None
        )
    except Stopped:
        return _result(0, folder, warm_start_clock(folder))
    if anchor is not None and settings.selection < 1:
        faces = faces.select(select_faces(folder, anchor, whole, settings, fabric))
        whole = resident(faces, device)
    state = open_run(stored, folder, settings, device, features)
    if stored is None and anchor is not None:
        state.clock = warm_start_clock(folder)
    del stored  # as large as the run itself
    if first:
        check_space(folder, 2 * state.size())  # the new checkpoint is whole before the old one goes
        for kept, all_of_them in (("selection", settings.selection == 1), ("cleaning", settings.cleaning == 0)):
            if all_of_them:
                (folder / f"{kept}.npz").unlink(missing_ok=True)
        if state.seen < settings.images:
            workspace.begin("gan")
    prior = ConditionPrior.from_faces(settings, faces, device)
    preview = fixed_conditions(folder / "preview", settings, prior, write=first)
    begun = state.seen
    measured = begun + settings.batch * max(_MEASURED_STEPS, settings.penalty_interval, settings.anchor_interval)

    opened = RunLog(folder, seen=begun) if first else nullcontext()
    with opened as log, progress_bar(progress and first) as bar, stop_requests() as asked:
        task = bar.add_task("train", total=settings.images, completed=begun, note="")
        step = Stepper(
            fabric, settings, state, whole, prior, anchor, tell=lambda line: bar.console.print(line, highlight=False)
        )
        clock = state.clock.start()  # what came before was loading
        while True:
            done = state.seen >= settings.images
            enough = asked() or limit.reached(clock, state.seen)
            stopping, late = agree(fabric, enough, clock.since_save() >= 60 * settings.checkpoint_minutes)
            if _due(state.seen, state.ticked, settings.tick_images) or (done and state.seen > state.ticked):
                _tick(fabric, settings, state, log, folder, begun)
            fresh = _due(state.seen, state.previewed, settings.preview_images) or (done and state.seen > state.previewed)
            if first and fresh:
                with clock.paused(device):
                    write_preview(folder / "preview", state.average, preview, device, state.seen)
                state.previewed = state.seen
            if done or stopping or late or _due(state.seen, max(state.saved, 0), settings.checkpoint_images):
                with clock.paused(device):
                    state.check_finite(folder / "checkpoint.pt")
                    if first and state.seen > state.saved:
                        state.save(folder / "checkpoint.pt", settings, data)
                    if first:  # also after a kill between the two files
                        save_generator(folder, state.average, settings, faces.schema, state.seen)
                clock.saved()
            if done or stopping:
                clock.stop()
                break

            step()
            speed = (state.seen - begun) / max(clock.now(), 1e-9)
            bar.update(task, completed=state.seen, note=f"{speed:.1f} images/s")
            known = progress and first and device.type == "cpu" and state.seen == measured
            if known and (note := slow_on_cpu(speed, settings.images - state.seen)):
                bar.console.print(note, highlight=False, soft_wrap=True)

    if first and done and workspace.state("gan") != "done":  # no record yet, or the same data from stages done again
        output = fingerprint((folder / "generator.safetensors").read_bytes().hex())
        workspace.finish("gan", output, settings.model_dump(mode="json"), images=state.seen)
    fabric.barrier()
    return _result(state.seen, folder, clock, finished=done)


@dataclass(frozen=True)
class _Limit:
    """amount: None = none."""

    amount: float | None
    measure: Measure

    def reached(self, clock: Clock, seen: int = 0) -> bool:
        if self.amount is None:
            return False
        return (seen if self.measure == "images" else clock.totals()[self.measure]) >= self.amount


def _result(images: int, folder: Path, clock: Clock, *, finished: bool = False) -> TrainingResult:
    return TrainingResult(images, finished, folder, **clock.totals())


def slow_on_cpu(speed: float, images: int) -> str | None:
    """The line that warns of more than a day; None = nothing to say. speed: images/s; images: still to be seen."""
    days = images / max(speed, 1e-9) / 86_400
    if days <= 1:
        return None
    return (
        f"About {days:.1f} days at {speed:.1f} images/s on this CPU. Ctrl+C stops and saves; "
        "--preset sga96-cpu is made for a CPU, --set images=NUMBER trains shorter."
    )


def _tick(fabric: Fabric, settings: GanSettings, state: RunState, log: RunLog | None, folder: Path, begun: int) -> None:
    """Check that all is finite, write one line of means over all processes, and begin the next. begun: images before this
    call."""
    if fabric.world_size > 1:
        for name in sorted(state.tally.sums):
            state.tally.sums[name] = fabric.all_reduce(state.tally.sums[name], reduce_op="mean")
    state.check_finite(folder / "checkpoint.pt")
    if log is not None:
        rate = settings.learning_rate * learning_rate_factor(settings, state.seen)
        seconds = max(state.clock.now(), 1e-9)
        times = {"time/hours": seconds / 3600, "time/images_per_second": (state.seen - begun) / seconds}
        log.tick(state.seen, {**state.tally.means(), "learning_rate": rate, **times})
    state.tally, state.ticked = Tally(), state.seen


def _remove_leftovers(folder: Path) -> None:
    """Remove what a killed run was writing: nobody else will, and whoever holds the lock is alone there."""
    for leftover in [*folder.glob(".*.tmp"), *folder.glob("preview/.*.tmp")]:
        leftover.unlink(missing_ok=True)


def _due(seen: int, last: int, interval: int) -> bool:
    """Whether a multiple of `interval` lies in (last, seen]. last: -1 = never yet, so 0 counts."""
    return seen // interval > last // interval
