"""An evaluation from beginning to end: real faces, generated faces, what they have in common, and the report."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from classifiers.data import load_pixels
from classifiers.report import Table
from classifiers.runtime import launch, progress_bar
from configs.files import atomic_write_text, write_json
from labeling.workspace import Workspace, table_fingerprint
from sga.evaluation.attributes import diversity, value_reports
from sga.evaluation.crowd import Copies, Crowd, Eyes
from sga.evaluation.features import Extractor, inception, pretrained
from sga.evaluation.frechet import PrefixMoments
from sga.evaluation.likeness import Plan, compare, floor
from sga.evaluation.neighbours import NearestFaces
from sga.evaluation.pictures import Album
from sga.evaluation.rates import mean_rate, rate
from sga.evaluation.reality import OVERALL, Reality, group_rows
from sga.evaluation.referee import Referee, train_referee
from sga.evaluation.report import Acceptance, Copying, Report, SourceReport, markdown
from sga.evaluation.sampler import AcceptedFaces, Faces, GeneratorFaces
from sga.evaluation.settings import EvaluationSettings
from sga.evaluation.spectrum import spectrum_of
from sga.evaluation.tables import report_tables
from sga.generation.face_model import FaceModel
from sga.version import __version__

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["evaluate", "evaluate_generator", "evaluation_folder"]

Bank: TypeAlias = tuple[NearestFaces, dict[str, np.ndarray]]
"""What `Reality.training_bank` gives."""

_FORMAT = 1
_PICTURES = ("unselected", "accepted", "nearest", "attributes")


def evaluation_folder(workspace: Workspace) -> Path:
    """Where evaluations of a workspace are kept. No stage: nothing is made from it, so it makes nothing stale."""
    return workspace.root / "evaluation"


def evaluate(workspace: Workspace, settings: EvaluationSettings, model: Path | None = None, *, progress: bool = True) -> Report:
    """Evaluate the trained generator of a workspace, and with its judge where there is a model folder; write
    `evaluation/report.json`, `report.md` and pictures.

    model: None = the workspace's own, where it has one.

    Raises:
        WorkspaceError: no generator, no faces in the split test, or a model or generator of another schema.
        InputError: a KID subset larger than the faces there are, or weights of an extractor that are not there.
        MissingExtra: torch-fidelity is asked for and not installed.
    """
    folder = workspace.folder("gan")
    if not (folder / "generator.json").is_file():
        workspace.require("gan")
    if model is None and (workspace.folder("model") / "model.json").is_file():
        model = workspace.folder("model")
    with progress_bar(progress) as bar:
        evaluation = _Evaluation(workspace, settings, bar)
        report = evaluation.report(folder, model)
    out = evaluation_folder(workspace)
    evaluation.album.write(out, _PICTURES)
    atomic_write_text(out / "report.md", markdown(report_tables(report)))
    write_json(out / "report.json", report.as_json())
    return report


def evaluate_generator(
    workspace: Workspace, gan_folder: Path, settings: EvaluationSettings, *, progress: bool = True
) -> Report:
    """Evaluate the unselected faces of the generator in any folder against the real faces of a workspace. Nothing is written
    but what the next evaluation needs again: the referee and the features of the real faces.

    Raises:
        As `evaluate`; InputError also where there is no generator.json.
    """
    with progress_bar(progress) as bar:
        return _Evaluation(workspace, settings, bar).report(gan_folder, None)


class _Evaluation:
    """One evaluation: what it reads, and the pictures that it has made so far."""

    def __init__(self, workspace: Workspace, settings: EvaluationSettings, bar: Progress) -> None:
        self.workspace, self.settings, self.bar = workspace, settings, bar
        self.fabric = launch(settings.launch)
        self.table = workspace.table()
        self.gender = self.table.schema.with_role("gender")[0]
        self.rows = group_rows(self.table, settings.split, settings.seed)
        self.plan = Plan.of({name: len(rows) for name, rows in self.rows.items()}, settings)
        self.pixels = load_pixels(workspace, self.table)
        self.album = Album()
        self.spectrum = spectrum_of(self.pixels, self.rows[OVERALL])
        self._seconds: dict[str, float] = {}

    def report(self, gan_folder: Path, model: Path | None) -> Report:
        """Everything that the settings ask for."""
        settings, plan = self.settings, self.plan
        source = GeneratorFaces(self.workspace, gan_folder, settings.seed, self.fabric.device, settings.batch)
        accepted = self._accepted(model)
        eyes = Eyes(*self._networks())
        with self._timed("real faces"), self._task("real faces", None) as advance:
            features = evaluation_folder(self.workspace) / "features"
            reality = Reality(features, self.table, self.pixels, eyes.extractor, self.rows, advance)
            between_real = {name: floor(group, plan.n(name), settings) for name, group in reality.groups.items()}
            bank = reality.training_bank() if settings.nearest else None

        unselected = self._source("unselected", source, eyes, reality, bank)
        chosen = None if accepted is None else self._source("accepted", accepted, eyes, reality, bank)
        with self._timed("attributes"), self._task("attributes", None) as advance:
            values = value_reports(source, accepted, eyes.referee, settings, self.album, advance)
        with self._timed("diversity"), self._task("diversity", None) as advance:
            varied = diversity(source, eyes, reality, self.gender, settings, advance)
        table = Table.load(evaluation_folder(self.workspace) / "referee" / "accuracy.json")
        referee = {name: rows["referee"] for name, rows in table.cells.items()}
        facts = self._facts(source, accepted, eyes, reality)
        halves = (spectrum_of(self.pixels, half) for half in np.array_split(self.rows[OVERALL], 2))
        spectrum_floor = next(halves).against(next(halves))
        return Report(facts, between_real, unselected, chosen, varied, values, referee, spectrum_floor)

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._seconds[name] = round(self._seconds.get(name, 0.0) + time.perf_counter() - started, 2)

    @contextmanager
    def _task(self, name: str, total: int | None) -> Iterator[Any]:
        task = self.bar.add_task(name, total=total, note="")
        yield lambda count: self.bar.advance(task, count)
        done = self.bar.tasks[task].completed
        self.bar.update(task, total=done, completed=done)

    def _accepted(self, model: Path | None) -> AcceptedFaces | None:
        if model is None:
            return None
        settings = self.settings
        loaded = FaceModel.load(model, threads=settings.launch.threads)
        return AcceptedFaces(loaded, self.table.schema, settings.seed, settings.max_attempts, settings.batch)

    def _networks(self) -> tuple[Referee, Extractor]:
        settings, device = self.settings, self.fabric.device
        if settings.features == "inception":  # refused before the referee is trained
            extractor: Extractor | None = inception(settings.inception_weights, device, settings.batch)
        else:
            extractor = None if settings.features == "referee" else pretrained(settings.features, device, settings.batch)
        fit = settings.referee.fit
        with self._timed("referee"):
            task = self.bar.add_task("referee", total=fit.images, note="")

            def on_step(seen: int, values: dict[str, float]) -> None:
                self.bar.update(task, completed=min(seen, fit.images), note=f"loss {values['loss']:.3f}")

            folder = evaluation_folder(self.workspace) / "referee"
            referee = train_referee(folder, self.table, self.pixels, settings.referee, self.fabric, settings.batch, on_step)
            self.bar.update(task, completed=fit.images)
        return referee, extractor or referee

    def _source(self, name: str, faces: Faces, eyes: Eyes, reality: Reality, bank: Bank | None) -> SourceReport:
        """Draw and watch the faces of every gender, then compare."""
        settings, plan = self.settings, self.plan
        judged = self.gender.name if self.gender.name in eyes.referee.known else None
        crowds: dict[str, Crowd] = {}
        with self._timed(name):
            for code, value in enumerate(self.gender.values):
                moments = PrefixMoments(reality.width, plan.cuts(value))
                copies = Copies(bank[0], bank[1][value], settings.nearest) if bank and len(bank[1][value]) else None
                crowd = crowds[value] = Crowd(code, moments, settings.keep, settings.sheet, copies)
                with self._task(f"{name} {value}", settings.count) as advance:
                    crowd.watch(faces.stream(code, settings.count), eyes, judged, advance)
        with self._timed("distances"):
            groups = {group: compare(group, crowds, real, plan, settings) for group, real in reality.groups.items()}
        self._pictures(name, crowds, reality)
        gender = {}
        if judged is not None:
            each = {value: rate(crowd.right, crowd.n) for value, crowd in crowds.items()}
            gender = {OVERALL: mean_rate(list(each.values())), **each}
        copying = {value: _copying(crowd.copies) for value, crowd in crowds.items() if crowd.copies and crowd.copies.distances}
        told = {value: crowd.spectrum.against(self.spectrum) for value, crowd in crowds.items()}
        spectra = {value: one for value, one in told.items() if one is not None}
        return SourceReport(groups, gender, copying, _acceptance(faces), spectra)

    def _pictures(self, name: str, crowds: dict[str, Crowd], reality: Reality) -> None:
        for value, crowd in crowds.items():
            self.album.faces(f"{name}-{value}", crowd.sheet)
            pairs = crowd.copies.pairs if crowd.copies else []
            limit = crowd.copies.limit if crowd.copies else 0.0
            shown = [
                (pair.image, np.asarray(self.pixels[reality.training[pair.row]]), f"{pair.distance:.2f} of {limit:.2f}")
                for pair in pairs
            ]
            self.album.pairs(f"nearest-{name}-{value}", shown)

    def _facts(self, source: GeneratorFaces, accepted: AcceptedFaces | None, eyes: Eyes, reality: Reality) -> dict[str, Any]:
        """What was compared, by which means; nothing that names the machine."""
        settings = self.settings.model_dump(mode="json")
        if settings["inception_weights"]:
            settings["inception_weights"] = Path(settings["inception_weights"]).name
        model = None
        if accepted is not None:
            model = {"name": accepted.model.spec.name, "hash": accepted.model.hash, "max_attempts": accepted.max_attempts}
        packages = ("torch", "timm", "numpy", "onnxruntime")
        return {
            "format": _FORMAT,
            "split": settings["split"],
            "count": settings["count"],
            "seed": settings["seed"],
            "generator": {"hash": source.hash, "images": source.images, "architecture": source.settings.generator.name},
            "model": model,
            "referee": {"hash": eyes.referee.fingerprint, "network": settings["referee"]["network"]["backbone"]},
            "features": {
                "name": eyes.extractor.name,
                "hash": eyes.extractor.fingerprint,
                "width": reality.width,
            },
            "real": {
                "faces": {name: len(rows) for name, rows in self.rows.items()},
                "training_faces": len(reality.training),
                "held_out_faces": len(reality.held_out),
                "labels": table_fingerprint(self.table, completed=True),
            },
            "gender": self.gender.name,
            "settings": settings,
            "versions": {"sga": __version__, **{name: importlib.metadata.version(name) for name in packages}},
            "seconds": dict(self._seconds),
        }


def _copying(copies: Copies) -> Copying:
    return Copying(copies.share, copies.ratio, copies.limit, min(copies.distances), len(copies.held_out))


def _acceptance(faces: Faces) -> dict[str, Acceptance]:
    """What drawing took, by gender, where a judge took part."""
    if not isinstance(faces, AcceptedFaces):
        return {}
    return {
        value: Acceptance(one.accepted, one.attempts, rate(one.accepted, one.attempts), len(one.exhausted))
        for value, one in faces.attempts.items()
    }
