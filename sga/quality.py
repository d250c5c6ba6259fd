"""Faces for people to judge, and the way back: each is named by (seed, index, gender), so a label outlives its picture."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from classifiers.quality import LabelledFaces, QualityReport, QualitySettings, tune
from classifiers.sfn import load_sfn
from configs.errors import InputError
from configs.files import atomic_path
from labeling.schema import Attribute
from labeling.workspace import Workspace
from sga.export.model import ExportSettings, build_model_folder
from sga.generation.face_model import FaceModel
from sga.generation.sheet import Cell, contact_sheet

__all__ = ["Drawn", "draw_for_labels", "draft_model", "tune_judge"]

_COLUMNS = ("seed", "index", "gender")
_SHEET = 49


@dataclass(frozen=True)
class Drawn:
    """Where the faces to judge are. csv: to be filled in; sheets: the same faces, in the order of the CSV."""

    csv: Path
    sheets: list[Path]
    count: int


def draft_model(workspace: Workspace) -> FaceModel:
    """The workspace's generator with the untuned SFN as its judge; made anew when the generator is another."""
    made = workspace.require("gan")
    folder, stamp = workspace.folder("quality") / "draft", workspace.folder("quality") / "draft.txt"
    if not (folder / "model.json").is_file() or not stamp.is_file() or stamp.read_text() != made["output"]:
        network, _, _ = load_sfn(workspace.folder("sfn") / "network.safetensors")
        build_model_folder(workspace, folder, network, {"quality": 0.0, "gender": 0.0}, ExportSettings(name="draft"), {})
        stamp.write_text(made["output"])
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
    path = folder / f"to-label-{seed}.csv"
    quality = model.spec.quality
    if path.is_file() and any(row.get(quality.name) for row in _read(path, quality)):
        raise InputError(f"Expected no labels in {path} yet, found some. Type another --seed, and label those faces too.")
    keys = [(seed, index, model.spec.gender.values[index % model.spec.gender.size]) for index in range(count)]
    images = _draw(model, keys)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow([*_COLUMNS, quality.name])
        writer.writerows([*key, ""] for key in keys)
    sheets = []
    for start in range(0, count, _SHEET):
        part = range(start, min(count, start + _SHEET))
        sheet = folder / "sheets" / f"{seed}-{start:05d}.png"
        with atomic_path(sheet) as temporary:
            cells = [Cell(images[i].repeat(2, axis=0).repeat(2, axis=1), f"{keys[i][1]} {keys[i][2]}") for i in part]
            temporary.write_bytes(contact_sheet(cells, 2 * model.size))
        sheets.append(sheet)
    return Drawn(path, sheets, count)


def tune_judge(workspace: Workspace, settings: QualitySettings, labels: list[Path], *, progress: bool = True) -> QualityReport:
    """Take in the labels of CSV files (kept in `quality/labels.csv`, newest wins), draw their faces again and tune the judge.

    Raises:
        InputError: a file without the columns seed, index, gender and quality, or with an unknown value.
    """
    quality = workspace.table().schema.with_role("quality")[0]
    kept = workspace.folder("quality") / "labels.csv"
    known: dict[tuple[int, int, str], str] = {}
    for path in [*([kept] if kept.is_file() else []), *labels]:
        for row in _read(path, quality):
            if row[quality.name]:
                quality.code(row[quality.name])
                known[(int(row["seed"]), int(row["index"]), row["gender"])] = row[quality.name]
    generated = None
    if known:
        keys = sorted(known)
        with atomic_path(kept) as temporary, temporary.open("w", encoding="utf-8", newline="") as handle:
            writer = csv.writer(handle)
            writer.writerow([*_COLUMNS, quality.name])
            writer.writerows([*key, known[key]] for key in keys)
        codes = np.asarray([quality.code(known[key]) for key in keys], dtype=np.int64)
        names = np.asarray(["/".join(map(str, key)) for key in keys], dtype=object)
        generated = LabelledFaces(_draw(draft_model(workspace), keys), codes, names)
    return tune(workspace, settings, generated, progress=progress)


def _draw(model: FaceModel, keys: list[tuple[int, int, str]]) -> np.ndarray:
    """(n, size, size, 3) uint8: the first attempt of each face, unjudged."""
    latents = [model.draw(seed, index, 0, gender) for seed, index, gender in keys]
    genders = [one.gender for one in latents]
    return model.render(np.stack([one.noise for one in latents]), genders, np.stack([one.style for one in latents]))


def _read(path: Path, quality: Attribute) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle)
            rows = list(reader)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"Expected a CSV of labels at {path}, found none that can be read ({error}). Check the path."
        ) from error
    wanted = {*_COLUMNS, quality.name}
    if not wanted <= set(reader.fieldnames or []):
        raise InputError(
            f"Expected the columns {', '.join([*_COLUMNS, quality.name])} in {path}, found {', '.join(reader.fieldnames or ['none'])}. "
            "Type: sga quality draw, which writes such a file."
        )
    for number, row in enumerate(rows, start=2):
        if not (row["seed"].isdigit() and row["index"].isdigit()):
            raise InputError(
                f"Expected whole numbers for seed and index in row {number} of {path}, found {row['seed']!r}, {row['index']!r}."
            )
    return rows
