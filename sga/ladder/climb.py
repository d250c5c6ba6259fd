"""Trains the rungs of a ladder, point by point, and measures them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classifiers.runtime import Stopped, time_is_up
from configs.errors import ConfigError
from configs.files import atomic_write_text, read_json, write_json
from configs.loader import load_settings, preset_names
from labeling.workspace import Workspace, fingerprint, table_fingerprint
from sga.evaluation import EvaluationSettings, evaluate_generator
from sga.ladder.picture import draw_curves, draw_strips
from sga.ladder.report import Measured, markdown, summary
from sga.ladder.settings import LadderSettings
from sga.training import GanSettings, train

__all__ = ["climb"]

_SNAPSHOT = ("generator.safetensors", "generator.json", "selection.npz", "cleaning.npz")
"""Files of a run's folder that an evaluation reads."""


@dataclass(frozen=True)
class _Rung:
    """One training. folder: its own, with `gan/` and `points/NN/` in it."""

    name: str
    seed: int
    settings: GanSettings
    folder: Path

    def point(self, number: int) -> Path:
        """The folder of a snapshot, numbered from 1."""
        return self.folder / "points" / f"{number:02d}"


class _Space(Workspace):
    """A workspace whose generator is a rung's; all else is its own."""

    def __init__(self, root: Path, gan: Path) -> None:
        super().__init__(root)
        self._gan = gan

    def folder(self, stage: str) -> Path:
        return self._gan if stage == "gan" else super().folder(stage)


def climb(
    workspace: Workspace,
    settings: LadderSettings,
    out: Path | None = None,
    announce: Callable[[str], None] = print,
    *,
    progress: bool = True,
) -> dict[str, Any]:
    """Train and measure every rung; write `report.json`, `report.md`, `curves.png` and `strips.png`, and return the report.

    out: the ladder's folder; None = `<workspace>/ladder`. A training is in `NAME/seedN/gan`, its snapshots in
    `NAME/seedN/points`. The same call again goes on; rungs and seeds may be added, another length or start needs another
    folder.

    Raises:
        Stopped: it was asked to stop, or the time of `classifiers.runtime.stop_after` is up; what was trained is saved.
        ConfigError: a preset that is not there, settings that are wrong, or another length or start than the ladder in `out`.
        WorkspaceError: the style feature network of the workspace is not done, or a warm start is not there or does not fit.
    """
    out = workspace.root / "ladder" if out is None else out
    measured_by = load_settings(EvaluationSettings, "evaluation", settings.evaluation, settings.evaluation_overrides)
    rungs = [
        _Rung(name, seed, _gan_settings(name, seed, settings.overrides), out / _folder_name(name) / f"seed{seed}")
        for name in settings.rungs
        for seed in range(settings.seeds)
    ]
    workspace.require("sfn")
    _check_begun(out, settings)
    begun = False
    for number in range(1, settings.points + 1):
        for rung in rungs:
            if (rung.point(number) / "point.json").is_file():
                continue
            if begun and time_is_up():
                raise Stopped
            begun = True
            announce(f"{rung.name}, seed {rung.seed}: to point {number} of {settings.points}")
            _train(workspace, rung, number, settings, announce, progress)
    report = _report(out, rungs, settings, measured_by, workspace)
    for number in range(settings.points, 0, -1):  # results first
        for rung in rungs:
            if _known(workspace, rung.point(number), measured_by) or not (rung.point(number) / "generator.json").is_file():
                continue
            if begun and time_is_up():
                raise Stopped
            begun = True
            announce(f"{rung.name}, seed {rung.seed}: evaluation of point {number}")
            _evaluate(workspace, rung.point(number), measured_by, progress)
            report = _report(out, rungs, settings, measured_by, workspace)
    last = {rung.name: rung.point(settings.points) for rung in rungs if rung.seed == 0}
    draw_strips(out / "strips.png", workspace, last, settings.strip)
    return report


def _gan_settings(name: str, seed: int, overrides: list[str]) -> GanSettings:
    ladder = f"ladder/{name}"
    preset = ladder if name in preset_names("gan/ladder") else name
    return load_settings(GanSettings, "gan", preset, [*overrides, f"seed={seed}"])


def _folder_name(name: str) -> str:
    """A rung may be a YAML file anywhere."""
    return re.sub(r"[^\w.-]+", "-", name.removesuffix(".yaml")).strip("-.")


def _check_begun(out: Path, settings: LadderSettings) -> None:
    begin = None if settings.warm_start_from is None else str(Path(settings.warm_start_from).resolve())
    length = {"measure": settings.measure, "amount": settings.amount, "points": settings.points}
    path, wanted = out / "ladder.json", {**length, "warm_start_from": begin}
    if path.is_file() and (found := {"warm_start_from": None, **read_json(path)}) != wanted:
        told = "{points} points over {amount:g} {measure}, warm_start_from {warm_start_from}"
        raise ConfigError(
            f"Expected the length and start that the ladder in {out} was begun with ({told.format(**found)}), found "
            f"{told.format(**wanted)}. Set it back, or name another folder with --out."
        )
    write_json(path, wanted)


def _train(
    workspace: Workspace,
    rung: _Rung,
    number: int,
    settings: LadderSettings,
    announce: Callable[[str], None],
    progress: bool,
) -> None:
    """Bring a rung to a point and keep a snapshot of it."""
    goal, place = settings.amount * number / settings.points, rung.point(number)
    space = _Space(workspace.root, rung.folder / "gan")
    begin = None if settings.warm_start_from is None else Path(settings.warm_start_from)
    result = train(space, rung.settings, progress=progress, stop_after=goal, measure=settings.measure, warm_start_from=begin)
    spent = {"images": result.images, "seconds": result.seconds, "cpu_seconds": result.cpu_seconds}
    if not result.finished and spent[settings.measure] < goal:
        raise Stopped
    if result.images == 0:
        announce(
            f"{rung.name}: all of the time went into its warm start, there is nothing to evaluate. More --minutes, or "
            "--set warm_start_from=FOLDER, the gan folder of a run that has it"
        )
    building = place.with_name(f".{place.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    for name in _SNAPSHOT:
        if (result.folder / name).is_file() and result.images:  # before that, the warm start is still on its way
            shutil.copyfile(result.folder / name, building / name)
    write_json(building / "point.json", {**spent, "finished": result.finished})
    shutil.rmtree(place, ignore_errors=True)
    building.rename(place)


def _made_from(workspace: Workspace, settings: EvaluationSettings) -> str:
    return fingerprint(settings.model_dump_json(exclude={"launch"}), table_fingerprint(workspace.table(), completed=True))


def _known(workspace: Workspace, point: Path, settings: EvaluationSettings) -> dict[str, Any] | None:
    """The evaluation of a snapshot, where it is there with these settings."""
    path = point / "evaluation.json"
    stored: dict[str, Any] = read_json(path) if path.is_file() else {}
    return stored if stored.get("made_from") == _made_from(workspace, settings) else None


def _evaluate(workspace: Workspace, point: Path, settings: EvaluationSettings, progress: bool) -> None:
    report = evaluate_generator(workspace, point, settings, progress=progress)
    write_json(point / "evaluation.json", {"made_from": _made_from(workspace, settings), **report.as_json()})


def _report(
    out: Path, rungs: list[_Rung], settings: LadderSettings, measured_by: EvaluationSettings, workspace: Workspace
) -> dict[str, Any]:
    """What is known so far, written."""
    found = [
        Measured(rung.name, rung.seed, number, read_json(path), _known(workspace, rung.point(number), measured_by))
        for rung in rungs
        for number in range(1, settings.points + 1)
        if (path := rung.point(number) / "point.json").is_file()
    ]
    report = summary(found, settings)
    write_json(out / "report.json", report)
    pictures = "![FID over the training](curves.png)\n\n![The same conditions in every row](strips.png)\n"
    atomic_write_text(out / "report.md", f"{markdown(report)}\n{pictures}")
    draw_curves(out / "curves.png", report)
    return report
