"""How far a completed gender can be trusted, as the ensemble itself was measured on labels that it had not learnt from.

A flat weight (`completed_weight`) says of all completed labels the same. Two other readings, `GanSettings.label_noise`:

- `confusion`: a label is an observation; given the true gender it is what the ensemble's confusion matrix says of it (forward
  correction, Patrini et al. 2017).
- `soft`: a label is the ensemble's calibrated probability of either gender.

Labels of people are beyond doubt in both, and every known face weighs 1.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from configs.errors import WorkspaceError
from labeling.predictions import Predictions
from labeling.provenance import MISSING_CODE, Source
from labeling.table import LabelTable
from labeling.workspace import Workspace

__all__ = ["confusion", "gender_doubt"]

_GENDERS = 2


def gender_doubt(workspace: Workspace, table: LabelTable, reading: Literal["confusion", "soft"]) -> np.ndarray:
    """(n, 2) float32 of the table's faces: with `confusion` the likelihood of a face's label under either true gender, with
    `soft` the probability of either; one-hot for labels of people, ½ each where nothing is known.

    Raises:
        WorkspaceError: as `confusion`.
    """
    name = table.schema.with_role("gender")[0].name
    codes, known = table.codes(name), table.codes(name) != MISSING_CODE
    completed = table.sources(name) == Source.COMPLETED
    doubt = np.full((len(table), _GENDERS), 1 / _GENDERS, np.float32)
    doubt[known] = np.eye(_GENDERS, dtype=np.float32)[codes[known]]
    if reading == "confusion":
        doubt[completed] = confusion(workspace, name).T[codes[completed]]
    else:
        sure = table.confidence(name)[completed]
        doubt[completed] = (1 - sure)[:, None]
        doubt[np.flatnonzero(completed), codes[completed]] = sure
    return doubt


def confusion(workspace: Workspace, name: str) -> np.ndarray:
    """(2, 2) float32, rows the true gender, columns what completion fills in, rows summing to 1.

    Counted over the labelled faces that the ensemble learnt from, each judged by the networks that left it out; those of the
    split test stay out of all training. One face more in each cell keeps a gender of few labels from certainty.

    Raises:
        WorkspaceError: the ensemble's predictions cannot be read, or hold nothing of this attribute.
    """
    path = workspace.folder("ensemble") / "predictions.npz"
    predictions = Predictions.load(path)
    if name not in predictions.probabilities:
        raise WorkspaceError(
            f"Expected what the ensemble says of {name} in {path}, found {', '.join(predictions.probabilities) or 'nothing'}. "
            f"Label some faces and type: sga complete --workspace {workspace.root}, or set label_noise=weight"
        )
    table = workspace.table()
    rows = table.rows(predictions.faces)
    filled = predictions.natural(name)
    least = (workspace.record("ensemble") or {}).get("settings", {}).get("min_confidence", 0.0)
    usable = (rows >= 0) & predictions.out_of_fold & (filled.max(axis=1) >= least)  # completion leaves the others empty
    usable[usable] = (table.labelled(name) & table.kept())[rows[usable]]
    counts = np.ones((_GENDERS, _GENDERS))
    np.add.at(counts, (table.codes(name)[rows[usable]], filled[usable].argmax(axis=1)), 1)
    matrix: np.ndarray = counts / counts.sum(axis=1, keepdims=True)
    return matrix.astype(np.float32)
