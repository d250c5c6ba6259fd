"""Faces for people to judge, and the way back: each is named by (seed, index, gender), so a label outlives its picture."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from classifiers.quality import LabelledFaces, QualityReport, QualitySettings, tune
from classifiers.sfn import load_sfn
from configs.errors import InputError
from configs.files import atomic_path
from labeling.provenance import MISSING_CODE
from labeling.schema import Attribute
from labeling.workspace import Workspace
from sga.export.model import ExportSettings, build_model_folder
from sga.generation.face_model import FaceModel
from sga.generation.sheet import Cell, contact_sheet

__all__ = ["Drawn", "draft_model", "draw_for_labels", "labels_taken_in", "tune_judge"]

Key: TypeAlias = tuple[int, int, str]
_COLUMNS = ("seed", "index", "gender")
_GENERATOR = "generator"
"""Column that names the generator which drew a face. It may be left out: then the labels are of the one that is here now."""
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
    """The workspace's generator with the untuned SFN as its judge; made anew when the generator is another."""
    made = "/".join(workspace.require(stage)["output"] for stage in ("sfn", "gan"))
    folder, stamp = workspace.folder("quality") / "draft", workspace.folder("quality") / "draft.txt"
    if not (folder / "model.json").is_file() or not stamp.is_file() or stamp.read_text() != made:
        network, _, _ = load_sfn(workspace.folder("sfn") / "network.safetensors")
        build_model_folder(workspace, folder, network, {"quality": 0.0, "gender": 0.0}, ExportSettings(name="draft"), {})
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
    path = folder / f"to-label-{seed}.csv"
    quality = model.spec.quality
    if path.is_file() and any(row[quality.name] for row in _read(path, quality, model.spec.gender)):
        raise InputError(f"Expected no labels in {path} yet, found some. Type another --seed, and label those faces too.")
    keys = [(seed, index, model.spec.gender.values[index % model.spec.gender.size]) for index in range(count)]
    images = _draw(model, keys)
    _write(path, quality, dict.fromkeys(keys, ""), workspace.require("gan")["output"])
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
        InputError: a file without the columns seed, index, gender and quality, with an unknown value, or of another generator.
    """
    made = workspace.require("gan")
    schema = workspace.table().schema
    quality, gender = schema.with_role("quality")[0], schema.with_role("gender")[0]
    kept = workspace.folder("quality") / "labels.csv"
    known: dict[Key, str] = {}
    for path in [*([kept] if kept.is_file() else []), *labels]:
        rows = _read(path, quality, gender)
        other = sorted({row.get(_GENERATOR) or made["output"] for row in rows} - {made["output"]})
        if other and path == kept:  # the same seeds draw other faces now
            kept.replace(kept.with_name(f"labels-{other[0]}.csv"))
            continue
        if other:
            raise InputError(
                f"Expected labels of this workspace's generator ({made['output']}) in {path}, found those of {other[0]}, which "
                f"drew other faces. Type: sga quality draw --seed NUMBER --workspace {workspace.root}, and label those."
            )
        known |= {(int(row["seed"]), int(row["index"]), row["gender"]): row[quality.name] for row in rows if row[quality.name]}
    generated = fresh = None
    if known:
        keys = sorted(known)
        images = _draw(draft_model(workspace), keys)
        _write(kept, quality, {key: known[key] for key in keys}, made["output"])
        codes = np.asarray([quality.code(known[key]) for key in keys], dtype=np.int64)
        names = np.asarray(["/".join(map(str, key)) for key in keys], dtype=object)
        asked = np.asarray([gender.code(key[2]) for key in keys], dtype=np.int64)
        generated = LabelledFaces(images, codes, names, asked)
        others = [(_FRESH_SEED, index, gender.values[index % gender.size]) for index in range(_FRESH)]
        codes, asked = np.full(_FRESH, MISSING_CODE), np.arange(_FRESH) % gender.size
        fresh = LabelledFaces(_draw(draft_model(workspace), others), codes, np.arange(_FRESH).astype(str), asked)
    return tune(workspace, settings, generated, fresh, progress=progress)


def labels_taken_in(workspace: Workspace, labels: list[Path]) -> bool:
    """Whether `quality/labels.csv` holds every label of the CSV files: the judge has learnt from them.

    Raises:
        InputError: as `tune_judge`.
    """
    schema = workspace.table().schema
    quality, gender = schema.with_role("quality")[0], schema.with_role("gender")[0]
    kept = workspace.folder("quality") / "labels.csv"

    def cells(path: Path) -> set[tuple[str, ...]]:
        rows = _read(path, quality, gender)
        return {(row["seed"], row["index"], row["gender"], row[quality.name]) for row in rows if row[quality.name]}

    known = cells(kept) if kept.is_file() else set()
    return all(cells(path) <= known for path in labels)


def _draw(model: FaceModel, keys: list[Key]) -> np.ndarray:
    """(n, size, size, 3) uint8: the first attempt of each face, unjudged."""
    latents = [model.draw(seed, index, 0, gender) for seed, index, gender in keys]
    genders = [one.gender for one in latents]
    return model.render(np.stack([one.noise for one in latents]), genders, np.stack([one.style for one in latents]))


def _write(path: Path, quality: Attribute, labels: Mapping[Key, str], generator: str) -> None:
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow([*_COLUMNS, quality.name, _GENERATOR])
        writer.writerows([*key, label, generator] for key, label in labels.items())


def _read(path: Path, quality: Attribute, gender: Attribute) -> list[dict[str, str]]:
    """The rows of a CSV, their cells checked."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle, restval="")
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"Expected a CSV of labels at {path}, found none that can be read ({error}). Check the path."
        ) from error
    wanted = {*_COLUMNS, quality.name}
    if not wanted <= set(reader.fieldnames or []):
        raise InputError(
            f"Expected the columns {', '.join([*_COLUMNS, quality.name])} in {path}, "
            f"found {', '.join(reader.fieldnames or ['none'])}. Type: sga quality draw, which writes such a file."
        )
    for number, row in enumerate(rows, start=2):
        place = f"row {number} of {path}"
        if not (row["seed"].isdecimal() and row["index"].isdecimal()) or int(row["seed"]) >= 2**64:
            raise InputError(
                f"Expected whole numbers for seed and index in {place}, found {row['seed']!r}, {row['index']!r}. "
                "Correct that row."
            )
        for attribute, value in ((gender, row["gender"]), (quality, row[quality.name] or quality.values[0])):
            try:
                attribute.code(value)
            except InputError as error:
                raise InputError(f"{error} (in {place})") from None
    return rows
