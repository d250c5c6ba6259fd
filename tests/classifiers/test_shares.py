"""The class shares of the faces that nobody has labelled."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from classifiers.shares import unlabelled_prior
from labeling.answers import Answer
from labeling.provenance import Source
from labeling.table import LabelTable
from labeling.workspace import Workspace


def _answer(number: int, face: str, value: str | None, **fields: object) -> Answer:
    whole = {
        **{"server": "http://one", "project": 1, "task": number, "annotation": number, "key": face, "attribute": "gender"},
        **{"purpose": "label", "state": "answer", "value": value, "reason": "", "annotator": "ann", "created": "2026"},
        **{"updated": "2026", "lead_time": None, "predicted": None, "confidence": None, "model_version": None},
        **{"strategy": "random", "round": 1},
    }
    return Answer(**(whole | fields))  # type: ignore[arg-type]


def shares(table: LabelTable, answers: list[Answer]) -> np.ndarray:
    mean = np.random.default_rng(0).dirichlet((4, 2), size=len(table))
    trained = table.labelled("gender") & ~table.in_split("test")
    return unlabelled_prior(table, "gender", mean, np.array([0.5, 0.5]), trained, answers)


def test_random_picks_tell_what_is_left(faces_workspace: Path) -> None:
    """Of the 40 faces that were answered 30 were picked at random, 6 of them men; ten more were looked for, all men."""
    table = Workspace(faces_workspace).table()
    open_ = np.flatnonzero(~table.labelled("gender"))
    rows, said = open_[:40], np.array([1] * 6 + [0] * 24 + [1] * 10)
    assert len(open_) > 40
    names = table.schema["gender"].values
    answers = [
        _answer(number, table.faces[row], names[code], strategy="random" if number < 30 else "combined")
        for number, (row, code) in enumerate(zip(rows, said, strict=True))
    ]
    table.fill("gender", rows, said, Source.HUMAN)
    men = max(0.0, 6 / 30 * len(open_) - 16)  # a fifth of all, but 16 are found already
    women = 24 / 30 * len(open_) - 24
    left = np.array([women, men]) / (women + men)
    np.testing.assert_allclose(shares(table, answers), (20 * shares(table, []) + 30 * left) / 50)


def test_a_wall_on_which_the_men_alone_are_marked_tells_nothing(faces_workspace: Path) -> None:
    table = Workspace(faces_workspace).table()
    faces = table.faces[~table.labelled("gender")][:24]
    wall = [
        _answer(1, face, "male" if place < 2 else None, state="answer" if place < 2 else "open")
        for place, face in enumerate(faces)
    ]
    np.testing.assert_allclose(shares(table, wall), shares(table, []))
    whole = [_answer(1, face, "male" if place < 2 else "female") for place, face in enumerate(faces)]
    assert shares(table, whole)[1] != shares(table, [])[1]
