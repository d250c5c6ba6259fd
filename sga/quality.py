"""Faces for people to judge, and the judge that learns from what they say."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from classifiers.quality import LabelledFaces, QualityReport, QualitySettings, check_generator, tune
from classifiers.runtime import alone, launch
from classifiers.sfn import load_sfn
from configs.errors import InputError, WorkspaceError
from configs.files import atomic_path, hold
from labeling.provenance import MISSING_CODE
from labeling.workspace import Workspace
from sga.export.model import ExportSettings, build_model_folder
from sga.generation.face_model import FaceModel
from sga.generation.sheet import Cell, contact_sheet
from sga.quality_asked import take_in_answers
from sga.quality_faces import Key, generator_of
from sga.quality_labels import Label, gather, put_aside, read_labels, write_labels

__all__ = ["Drawn", "ask_for_labels", "draft_model", "draw_faces", "draw_for_labels", "labels_taken_in", "tune_judge"]

_SHEET = 49
_FRESH = 512
"""Unlabelled faces on which the judge's thresholds are set."""
_FRESH_SEED = 2**64 - 1


@dataclass(frozen=True)
class Drawn:
    """Where the faces to judge are. csv: to be filled in; sheets: the same faces, in the order of the CSV."""

    csv: Path
    sheets: list[Path]
    count: int


def draft_model(workspace: Workspace) -> FaceModel:
    """The workspace's generator with the untuned SFN as its judge; made anew when the generator is another.

    Once made it holds all that draws the generator's faces, so it is used whatever became of labels and stages since. It is
    made only while they are those of the generator: other labels would give other styles, and the same key another face.

    Raises:
        WorkspaceError: there is no generator, or none was made of it before faces, labels or stages changed.
    """
    folder, stamp = workspace.folder("quality") / "draft", workspace.folder("quality") / "draft.txt"
    generator = workspace.record("gan") or workspace.require("gan")
    made = f"{generator['inputs'].get('sfn', '')}/{generator['output']}"
    with hold(workspace.folder("quality") / ".draft.lock"):  # another command may be making it, or reading it
        if not (folder / "model.json").is_file() or not stamp.is_file() or stamp.read_text() != made:
            workspace.require("gan")
            network, _, _ = load_sfn(workspace.folder("sfn") / "network.safetensors")
            build_model_folder(workspace, folder, network, {"quality": 0.0, "gender": 0.0}, ExportSettings(name="draft"), {})
            if workspace.record("gan") != generator:  # a training takes its record back before it writes
                raise WorkspaceError(
                    f"Expected the generator in {workspace.folder('gan')} to stay while its faces are drawn, found it in "
                    "training. Wait until sga train is done, then type the same command again."
                )
            stamp.write_text(made)
        return FaceModel.load(folder)


def draw_for_labels(workspace: Workspace, count: int, seed: int) -> Drawn:
    """Draw `count` faces as they come, genders in turn, and write `quality/to-label-SEED.csv` with contact sheets beside it.

    Raises:
        InputError: the CSV is there and has labels in it, which would be lost.
    """
    if count < 1:
        raise InputError(f"Expected a count of at least 1, found {count}. Type, for example: --count 400")
    model = draft_model(workspace)
    folder = workspace.folder("quality")
    path = _to_label(workspace, seed)
    made, schema = generator_of(workspace), workspace.table().schema
    if path.is_file() and any(label.level for faces in read_labels(path, schema, made).values() for label in faces.values()):
        raise InputError(f"Expected no labels in {path} yet, found some. Type another --seed, and label those faces too.")
    keys = [(seed, index, model.spec.gender.values[index % model.spec.gender.size]) for index in range(count)]
    images = draw_faces(model, keys)
    write_labels(path, model.spec.quality, {made: dict.fromkeys(keys, Label(""))})
    sheets = []
    for start in range(0, count, _SHEET):
        part = range(start, min(count, start + _SHEET))
        sheet = folder / "sheets" / f"{seed}-{start:05d}.png"
        with atomic_path(sheet) as temporary:
            cells = [Cell(images[i].repeat(2, axis=0).repeat(2, axis=1), f"{keys[i][1]} {keys[i][2]}") for i in part]
            temporary.write_bytes(contact_sheet(cells, 2 * model.size))
        sheets.append(sheet)
    return Drawn(path, sheets, count)


def ask_for_labels(workspace: Workspace, count: int) -> tuple[Path, bool]:
    """A CSV for people to fill in, of faces of the generator that is here now: the one that is there, or a new one of `count`
    faces under the first free seed. And whether it is new."""
    made, schema = generator_of(workspace), workspace.table().schema
    for seed in itertools.count():
        path = _to_label(workspace, seed)
        if not path.is_file():
            return draw_for_labels(workspace, count, seed).csv, True
        if made in read_labels(path, schema, made):
            return path, False
    raise AssertionError  # the seeds do not end


def _to_label(workspace: Workspace, seed: int) -> Path:
    return workspace.folder("quality") / f"to-label-{seed}.csv"


def tune_judge(workspace: Workspace, settings: QualitySettings, labels: list[Path], *, progress: bool = True) -> QualityReport:
    """Take in the labels of CSV files and those pulled from Label Studio (kept in `quality/labels.csv`, see `gather`), draw
    their faces again and tune the judge.

    Raises:
        InputError: a file without the columns seed, index, gender and quality, with an unknown value, or of another generator;
            or another tuning at work in the workspace.
        WorkspaceError: there is no generator with the SFN that it was trained with.
    """
    check_generator(workspace)
    with alone(launch(settings.launch), workspace.folder("quality"), "sga quality tune"):
        return _tune_judge(workspace, settings, labels, progress)


def _tune_judge(workspace: Workspace, settings: QualitySettings, labels: list[Path], progress: bool) -> QualityReport:
    take_in_answers(workspace)
    known = gather(workspace, labels)
    put_aside(workspace)
    schema, kept, made = workspace.table().schema, _kept(workspace), generator_of(workspace)
    quality, gender = schema.with_role("quality")[0], schema.with_role("gender")[0]
    if not known:
        if kept.is_file():  # each label in it was taken back
            write_labels(kept, quality, {})
        return tune(workspace, settings, progress=progress)
    keys, model = sorted(known), draft_model(workspace)
    write_labels(kept, quality, {made: {key: known[key] for key in keys}})
    generated = LabelledFaces(
        draw_faces(model, keys),
        np.asarray([quality.code(known[key].level) for key in keys], dtype=np.int64),
        np.asarray(["/".join(map(str, key)) for key in keys], dtype=object),
        np.asarray([gender.code(key[2]) for key in keys], dtype=np.int64),
        np.asarray([known[key].weight for key in keys], dtype=np.float64),
    )
    others = [(_FRESH_SEED, index, gender.values[index % gender.size]) for index in range(_FRESH)]
    codes, asked = np.full(_FRESH, MISSING_CODE), np.arange(_FRESH) % gender.size
    fresh = LabelledFaces(draw_faces(model, others), codes, np.arange(_FRESH).astype(str), asked)
    return tune(workspace, settings, generated, fresh, progress=progress)


def labels_taken_in(workspace: Workspace, labels: list[Path]) -> bool:
    """Whether `quality/labels.csv` holds every label of the CSV files and of Label Studio: the judge has learnt from them.

    Raises:
        InputError: as `tune_judge`.
    """
    take_in_answers(workspace)
    made, kept = generator_of(workspace), _kept(workspace)
    known = read_labels(kept, workspace.table().schema, made).get(made, {}) if kept.is_file() else {}
    return _learnt(gather(workspace, labels)) == _learnt(known)


def _learnt(labels: Mapping[Key, Label]) -> dict[Key, tuple[str, float]]:
    """What of labels reaches the judge."""
    return {key: (label.level, label.weight) for key, label in labels.items()}


def _kept(workspace: Workspace) -> Path:
    return workspace.folder("quality") / "labels.csv"


def draw_faces(model: FaceModel, keys: Sequence[Key]) -> np.ndarray:
    """(n, size, size, 3) uint8: the first attempt of each face, unjudged."""
    latents = [model.draw(seed, index, 0, gender) for seed, index, gender in keys]
    genders = [one.gender for one in latents]
    return model.render(np.stack([one.noise for one in latents]), genders, np.stack([one.style for one in latents]))
