"""The training loop: maintenance first, then a step of the discriminator, a step of the generator, and the average."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import numpy as np
import torch

from classifiers.runtime import RunLog, launch, progress_bar, seed_step
from configs.errors import ConfigError
from configs.files import check_space
from labeling.workspace import Workspace, fingerprint
from sga.augment import flip
from sga.condition import ConditionPrior
from sga.training.data import RealBatch, TrainingFaces, load_training_faces, step_rows
from sga.training.ema import update_average
from sga.training.preview import fixed_conditions, write_preview
from sga.training.settings import GanSettings
from sga.training.snapshot import save_generator
from sga.training.state import RunState, Tally, check_changes, open_run, read_run
from sga.training.steps import discriminator_step, generate, generator_step, learning_rate_factor
from sga.training.warm_start import Anchor, prepare_warm_start, select_faces

if TYPE_CHECKING:
    from lightning.fabric import Fabric

__all__ = ["TrainingResult", "slow_on_cpu", "train"]

_MEASURED_STEPS = 3
"""Steps, at least, from which the speed is told; a whole round of penalties and anchors is awaited too."""


@dataclass(frozen=True)
class TrainingResult:
    """images: seen in all. finished: the training reached its length (False: stopped by a signal; the same command goes on)."""

    images: int
    finished: bool
    folder: Path


def train(
    workspace: Workspace,
    settings: GanSettings,
    faces: TrainingFaces | None = None,
    *,
    accept_changes: bool = False,
    progress: bool = True,
) -> TrainingResult:
    """Train, or go on training, the generator of a workspace.

    Writes into `<workspace>/gan`: checkpoint.pt (the whole state), generator.safetensors and generator.json (the averaged
    generator), preview/, stats.jsonl, tensorboard/. The same call goes on where the checkpoint is, and ends in the same weights
    as a run that was never interrupted (bit for bit on a CPU).

    faces: None = those of the workspace that `training_rows` names. accept_changes: go on though settings or faces are not
    those of the run; where it is finished, `settings.images` must ask for more.

    Raises:
        WorkspaceError: a stage before is missing, or the run in the workspace is of other faces.
        InputError: too little room on the disk.
        ConfigError: settings that contradict the run in the workspace, or the number of processes.
        DivergedError: a loss or weight is not finite; the last good checkpoint is kept.
    """
    fabric = launch(settings.launch)
    if settings.batch % fabric.world_size or settings.batch // fabric.world_size < 2:
        raise ConfigError(
            f"Expected a batch that gives each of {fabric.world_size} processes the same number of faces, two or more, "
            f"found {settings.batch}. Type: --set batch={4 * fabric.world_size}"
        )
    folder, device, first = workspace.folder("gan"), fabric.device, fabric.is_global_zero
    faces = load_training_faces(workspace, settings) if faces is None else faces
    stored, data = read_run(folder), faces.fingerprint()
    if stored is not None:
        check_changes(stored, folder, settings, data, accept_changes=accept_changes)
    anchor = prepare_warm_start(workspace, settings, faces, fabric, progress=progress) if settings.warm_start else None
    if anchor is not None and settings.selection < 1:
        faces = faces.select(select_faces(folder, anchor, faces, settings, fabric))
    state = open_run(stored, folder, settings, device)
    del stored  # as large as the run itself
    if first:
        _remove_leftovers(folder)
        check_space(folder, 2 * state.size())  # the new checkpoint is whole before the old one goes
        if settings.selection == 1:
            (folder / "selection.npz").unlink(missing_ok=True)
        if state.seen < settings.images:
            workspace.begin("gan")
    prior = ConditionPrior.from_faces(settings, faces, device)
    preview = fixed_conditions(folder / "preview", settings, prior, write=first)
    sampling, clock = faces.sampling(settings.balance_gender), _Clock(state.seen)
    measured = state.seen + settings.batch * max(_MEASURED_STEPS, settings.penalty_interval, settings.anchor_interval)

    opened = RunLog(folder, seen=state.seen) if first else nullcontext()
    with opened as log, progress_bar(progress and first) as bar, _stop_signals() as stop:
        task = bar.add_task("train", total=settings.images, completed=state.seen, note="")
        while True:
            done = state.seen >= settings.images
            stopping, late = _agreed(fabric, stop.is_set(), clock.minutes_since_save() >= settings.checkpoint_minutes)
            if _due(state.seen, state.ticked, settings.tick_images) or (done and state.seen > state.ticked):
                _tick(fabric, settings, state, log, folder, clock)
            fresh = _due(state.seen, state.previewed, settings.preview_images) or (done and state.seen > state.previewed)
            if first and fresh:
                write_preview(folder / "preview", state.average, preview, device, state.seen)
                state.previewed = state.seen
            if done or stopping or late or _due(state.seen, max(state.saved, 0), settings.checkpoint_images):
                state.check_finite(folder / "checkpoint.pt")
                if first and state.seen > state.saved:
                    state.save(folder / "checkpoint.pt", settings, data)
                if first:  # also after a kill between the two files
                    save_generator(folder, state.average, settings, faces.schema, state.seen)
                clock.saved()
            if done or stopping:
                break

            _step(fabric, settings, state, faces, sampling, prior, anchor)
            speed = clock.speed(state.seen)
            bar.update(task, completed=state.seen, note=f"{speed:.1f} images/s")
            known = progress and first and device.type == "cpu" and state.seen == measured
            if known and (note := slow_on_cpu(speed, settings.images - state.seen)):
                bar.console.print(note, highlight=False, soft_wrap=True)

    if first and done and workspace.state("gan") != "done":  # no record yet, or the same data from stages done again
        output = fingerprint((folder / "generator.safetensors").read_bytes().hex())
        workspace.finish("gan", output, settings.model_dump(mode="json"), images=state.seen)
    fabric.barrier()
    return TrainingResult(state.seen, done, folder)


def slow_on_cpu(speed: float, images: int) -> str | None:
    """The line that warns of more than a day; None = nothing to say. speed: images/s; images: still to be seen."""
    days = images / max(speed, 1e-9) / 86_400
    if days <= 1:
        return None
    return (
        f"About {days:.1f} days at {speed:.1f} images/s on this CPU. Ctrl+C stops and saves; "
        "--preset sga96-cpu is made for a CPU, --set images=NUMBER trains shorter."
    )


def _step(
    fabric: Fabric,
    settings: GanSettings,
    state: RunState,
    faces: TrainingFaces,
    sampling: np.ndarray | None,
    prior: ConditionPrior,
    anchor: Anchor | None,
) -> None:
    """One step of both networks and of the average: all of it follows from (seed, images seen, rank)."""
    rows = step_rows(faces, sampling, settings.seed, state.seen, settings.batch)
    seed_step(settings.seed, state.seen, fabric.global_rank)
    real = faces.batch(rows[fabric.global_rank :: fabric.world_size], fabric.device)
    if settings.flip:
        real = RealBatch(flip(real.images), real.gender, real.weight, real.style)
    condition = prior.draw(len(real.images), fabric.device)
    factor = learning_rate_factor(settings, state.seen)
    rates = (settings.learning_rate, settings.discriminator_learning_rate or settings.learning_rate)
    for optimiser, rate in zip((state.generator_optimiser, state.discriminator_optimiser), rates, strict=True):
        optimiser.param_groups[0]["lr"] = rate * factor

    # Both steps use the same generated faces: one pass of the generator less, and the gradients are those of either alone.
    fake = generate(fabric, state.generator, condition)
    steps = state.seen // settings.batch
    penalise = steps % settings.penalty_interval == 0
    state.tally.add(
        discriminator_step(
            fabric, settings, state.discriminator, state.discriminator_optimiser, real, fake, condition, penalise=penalise
        )
    )
    held = anchor if settings.weights.anchor > 0 and steps % settings.anchor_interval == 0 else None
    state.tally.add(
        generator_step(
            fabric, settings, state.generator, state.discriminator, state.generator_optimiser, real, fake, condition, held
        )
    )
    state.seen += settings.batch
    update_average(
        state.average,
        state.generator,
        batch=settings.batch,
        seen=state.seen,
        half_life=settings.ema_half_life,
        ramp=settings.ema_ramp,
    )


def _tick(fabric: Fabric, settings: GanSettings, state: RunState, log: RunLog | None, folder: Path, clock: _Clock) -> None:
    """Check that all is finite, write one line of means over all processes, and begin the next."""
    if fabric.world_size > 1:
        for name in sorted(state.tally.sums):
            state.tally.sums[name] = fabric.all_reduce(state.tally.sums[name], reduce_op="mean")
    state.check_finite(folder / "checkpoint.pt")
    if log is not None:
        rate = settings.learning_rate * learning_rate_factor(settings, state.seen)
        times = {"time/hours": clock.hours(), "time/images_per_second": clock.speed(state.seen)}
        log.tick(state.seen, {**state.tally.means(), "learning_rate": rate, **times})
    state.tally, state.ticked = Tally(), state.seen


def _remove_leftovers(folder: Path) -> None:
    """Remove what a killed run was writing: nobody else will."""
    for leftover in [*folder.glob(".*.tmp"), *folder.glob("preview/.*.tmp")]:
        leftover.unlink(missing_ok=True)


def _due(seen: int, last: int, interval: int) -> bool:
    """Whether a multiple of `interval` lies in (last, seen]. last: -1 = never yet, so 0 counts."""
    return seen // interval > last // interval


def _agreed(fabric: Fabric, *flags: bool) -> list[bool]:
    """Each flag as true on all processes if it is on one: they stop and save at the same step."""
    if fabric.world_size == 1:
        return list(flags)
    summed = fabric.all_reduce(torch.tensor(flags, dtype=torch.float32, device=fabric.device), reduce_op="sum")
    return [bool(flag > 0) for flag in summed]


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """An event that SIGINT or SIGTERM sets; a second signal acts at once. The old handlers are put back."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread may set handlers
        return
    old = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, old[signal.Signals(number)])

    for number in old:
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


class _Clock:
    """Time of this call; it never enters the state."""

    def __init__(self, seen: int) -> None:
        self._start = self._save = time.monotonic()
        self._seen = seen

    def saved(self) -> None:
        self._save = time.monotonic()

    def minutes_since_save(self) -> float:
        return (time.monotonic() - self._save) / 60

    def hours(self) -> float:
        return (time.monotonic() - self._start) / 3600

    def speed(self, seen: int) -> float:
        """Images a second since this call began."""
        return (seen - self._seen) / max(time.monotonic() - self._start, 1e-9)
