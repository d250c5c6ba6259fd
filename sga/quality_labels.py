"""Labels of generated faces, in CSVs: a face is named by (seed, index, gender), so a label outlives its picture."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from configs.errors import InputError
from configs.files import atomic_path
from labeling.schema import Attribute, Schema
from labeling.workspace import Workspace
from sga.quality_faces import Key, answered_keys, face_key, generator_of

__all__ = ["STUDIO_LABELS", "Label", "gather", "of_other_generators", "put_aside", "read_labels", "write_labels"]

STUDIO_LABELS = "labels-studio.csv"
"""What people said in Label Studio, of all generators, in the folder of the stage quality. Every pull writes it, from all
answers; labels whose answers were lost stay in it."""
_COLUMNS = ("seed", "index", "gender")
_GENERATOR = "generator"
"""Column that names the generator which drew a face. It may be left out: then the labels are of the one that is here now."""
_MORE = ("strategy", "weight", "source")
"""Columns of a `Label`; without them all are of faces as they come, given by hand."""


@dataclass(frozen=True)
class Label:
    """level: a value of the schema's quality, "" = none yet; strategy: by which the face was picked, "" = as they come; weight:
    how many faces of the generator's ordinary output it stands for, > 0, six digits are kept; source: `file` was given by hand
    and stays, `studio` is what the answers in Label Studio came to."""

    level: str
    strategy: str = ""
    weight: float = 1.0
    source: Literal["file", "studio"] = "file"


def write_labels(path: Path, quality: Attribute, labels: Mapping[str, Mapping[Key, Label]]) -> None:
    """Write a CSV of labels by generator and face, whole or not at all."""
    rows = [(generator, key, label) for generator, faces in labels.items() for key, label in faces.items()]
    more = any(label != Label(label.level) for _, _, label in rows)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow([*_COLUMNS, quality.name, _GENERATOR, *(_MORE if more else ())])
        for generator, key, label in rows:
            cells = (label.strategy, f"{label.weight:.6g}", label.source) if more else ()
            writer.writerow([*key, label.level, generator, *cells])


def read_labels(path: Path, schema: Schema, generator: str) -> dict[str, dict[Key, Label]]:
    """The rows of a CSV by generator and face, those without a label too. generator: whose the rows are that name none.

    Raises:
        InputError: no CSV, a column is missing, or a cell is wrong.
    """
    quality, gender = _attributes(schema)
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle, restval="")
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"Expected a CSV of labels at {path}, found none that can be read ({error}). Check the path."
        ) from error
    wanted = [*_COLUMNS, quality.name]
    if not set(wanted) <= set(reader.fieldnames or []):
        raise InputError(
            f"Expected the columns {', '.join(wanted)} in {path}, found {', '.join(reader.fieldnames or ['none'])}. "
            "Type: sga quality draw, which writes such a file."
        )
    found: dict[str, dict[Key, Label]] = {}
    for number, row in enumerate(rows, start=2):
        _check(row, quality, gender, f"row {number} of {path}")
        # As `write_labels` writes it: what is read equals what is kept of it, and a copy equals what was copied.
        weight = float(f"{float(row.get('weight') or 1):.6g}")
        source: Literal["file", "studio"] = "studio" if row.get("source") == "studio" else "file"
        label = Label(row[quality.name], row.get("strategy") or "", weight, source)
        found.setdefault(row.get(_GENERATOR) or generator, {})[int(row["seed"]), int(row["index"]), row["gender"]] = label
    return found


def gather(workspace: Workspace, files: Sequence[Path] = ()) -> dict[Key, Label]:
    """All labels of the workspace's generator: those kept in `quality/`, Label Studio's, and those of `files`.

    Of one face the newest file counts, and a file before Label Studio, whose answers are read anew each time: a kept label of
    theirs goes where the store of answers knows the face and says something else. A row of a file that repeats what Label
    Studio says, strategy and weight too, is a copy of that and stays Label Studio's.

    Raises:
        InputError: as `read_labels`; or a file has labels of another generator.
        WorkspaceError: there is no generator.
    """
    made, schema, folder = generator_of(workspace), workspace.table().schema, workspace.folder("quality")

    def told(paths: Iterable[Path]) -> dict[Key, Label]:
        merged: dict[Key, Label] = {}
        for path in paths:
            merged |= {key: one for key, one in read_labels(path, schema, made).get(made, {}).items() if one.level}
        return merged

    kept = told(path for path in (_aside(folder, made), folder / "labels.csv") if path.is_file())
    answered = answered_keys(workspace)
    studio = {key: one for key, one in kept.items() if one.source == "studio" and face_key(made, key) not in answered}
    now = told(path for path in [folder / STUDIO_LABELS] if path.is_file())
    studio |= {key: replace(one, source="studio") for key, one in now.items()}
    for path in files:
        other = sorted(set(read_labels(path, schema, made)) - {made})
        if other:
            raise InputError(
                f"Expected labels of this workspace's generator ({made}) in {path}, found those of {other[0]}, which "
                f"drew other faces. Type: sga quality draw --seed NUMBER --workspace {workspace.root}, and label those."
            )
    by_hand = {key: one for key, one in kept.items() if one.source == "file"}
    for key, one in told(files).items():
        copied = replace(one, source="studio")
        by_hand[key] = copied if studio.get(key) == copied else replace(one, source="file")
    return studio | by_hand


def put_aside(workspace: Workspace) -> None:
    """Move `quality/labels.csv` out of the way where it is of another generator: the same seeds draw other faces now."""
    made, folder = generator_of(workspace), workspace.folder("quality")
    kept = folder / "labels.csv"
    if kept.is_file():
        other = sorted(set(read_labels(kept, workspace.table().schema, made)) - {made})
        if other:
            kept.replace(_aside(folder, other[0]))


def of_other_generators(workspace: Workspace) -> int:
    """How many of Label Studio's labels are of generators that are not here any more: kept, not used."""
    path, made = workspace.folder("quality") / STUDIO_LABELS, generator_of(workspace)
    if not path.is_file():
        return 0
    counts = Counter({name: len(faces) for name, faces in read_labels(path, workspace.table().schema, made).items()})
    return counts.total() - counts[made]


def _aside(folder: Path, generator: str) -> Path:
    return folder / f"labels-{generator}.csv"


def _attributes(schema: Schema) -> tuple[Attribute, Attribute]:
    return schema.with_role("quality")[0], schema.with_role("gender")[0]


def _check(row: Mapping[str, str], quality: Attribute, gender: Attribute, place: str) -> None:
    if not (row["seed"].isdecimal() and row["index"].isdecimal()) or int(row["seed"]) >= 2**64:
        raise InputError(
            f"Expected whole numbers for seed and index in {place}, found {row['seed']!r}, {row['index']!r}. Correct that row."
        )
    for attribute, value in ((gender, row["gender"]), (quality, row[quality.name] or quality.values[0])):
        try:
            attribute.code(value)
        except InputError as error:
            raise InputError(f"{error} (in {place})") from None
    weight = math.nan
    with suppress(ValueError):
        weight = float(row.get("weight") or 1)
    if not 0 < weight < math.inf:
        raise InputError(f"Expected a weight above 0 in {place}, found {row['weight']!r}. Correct it, or leave it empty.")
