"""Which original and human labels look wrong: confident learning on what networks say that never saw the face."""

from __future__ import annotations

import csv
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from configs.errors import InputError, MissingExtra
from configs.files import atomic_path
from labeling.answers import store_of
from labeling.predictions import Predictions
from labeling.provenance import Source
from labeling.queue import standing
from labeling.schema import Attribute
from labeling.studio.tasks import Question
from labeling.workspace import Workspace

__all__ = ["Audit", "Suspect", "audit", "find_suspects", "review_questions"]

_LOOKED_AT = ("answer", "skip", "refused")


@dataclass(frozen=True)
class Suspect:
    """A label that looks wrong.

    key: the face; file: below the workspace; given: the label; source: who gave it, `original` or `human`; suggested: what the
    ensemble would say; score: how far the ensemble is with the label, in [0, 1], 0 = not at all.
    """

    key: str
    file: str
    given: str
    source: str
    suggested: str
    score: float


@dataclass(frozen=True)
class Audit:
    """suspects: most suspicious first; path: their CSV; judged[value], judged[source]: how many labels were looked at."""

    attribute: Attribute
    suspects: tuple[Suspect, ...]
    path: Path
    judged: dict[str, int]
    sources: dict[str, int]

    def lines(self) -> list[str]:
        """For people: suspected of how many, by value and by source."""
        total, found = sum(self.judged.values()), len(self.suspects)
        told = f"{found:,} of {total:,} {self.attribute.name} labels look wrong ({100 * found / total:.1f} %)"
        lines = [f"{told}, the most suspicious first in {self.path}."]
        given, sources = Counter(one.given for one in self.suspects), Counter(one.source for one in self.suspects)
        for value, count in self.judged.items():
            instead = Counter(one.suggested for one in self.suspects if one.given == value).most_common(3)
            told = ", ".join(f"{name} {times:,}" for name, times in instead)
            lines.append(f"  {value}: {given[value]:,} of {count:,}{f' (rather {told})' if told else ''}")
        lines.append(
            "  by source: " + ", ".join(f"{name} {sources[name]:,} of {count:,}" for name, count in self.sources.items())
        )
        return lines


def find_suspects(codes: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels that are probably wrong, by confident learning (Northcutt et al. 2021).

    codes: (n,) int64 labels in [0, k), of two classes at least; probabilities: (n, k), each from networks that never saw the
    face. Returns (m,) int64 rows, most suspicious first, and (n,) float64 scores in [0, 1] of all labels, the probability of
    the given one beside the likeliest other (normalised margin), low = suspicious. A class's only label is never suspicious.

    Raises:
        MissingExtra: cleanlab is not installed.
    """
    told = probabilities.astype(np.float64)
    told /= told.sum(axis=1, keepdims=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # cleanlab's, of progress bars and of classes with a single label
        try:
            from cleanlab.filter import find_label_issues
            from cleanlab.rank import get_label_quality_scores
        except ModuleNotFoundError as error:
            raise MissingExtra("cleanlab", "audit") from error
        scores = np.asarray(get_label_quality_scores(codes, told, method="normalized_margin"), dtype=np.float64)
        wrong = np.flatnonzero(find_label_issues(codes, told, n_jobs=1))
    return wrong[np.argsort(scores[wrong], kind="stable")], scores


def audit(space: Workspace, name: str) -> Audit:
    """Look at every original and human label of an attribute that the ensemble was trained on, with what the networks say that
    left its face out; write `<workspace>/labeling/audit-ATTRIBUTE.csv`.

    Labels of the split test are not looked at: were only those mended that the ensemble disagrees with, it would seem to judge
    better than it does.

    Raises:
        WorkspaceError: there are no predictions.
        InputError: the ensemble does not judge the attribute, or too few labels are there to tell.
        MissingExtra: cleanlab is not installed.
    """
    table, predictions = space.table(), Predictions.load(space.folder("ensemble") / "predictions.npz")
    attribute = table.schema[name]
    if name not in predictions.probabilities:
        raise InputError(
            f"Expected an attribute that the ensemble judges ({', '.join(predictions.probabilities)}), found {name}. "
            f"Name one of them, or label {name} and type: sga complete --workspace {space.root}"
        )
    rows = table.rows(predictions.faces)  # of the label table, -1 for a face that has left it
    here = (rows >= 0) & predictions.out_of_fold
    here[here] = (table.labelled(name) & table.kept())[rows[here]]
    rows, told = rows[here], predictions.mean(name)[here]
    codes, sources = table.codes(name)[rows], table.sources(name)[rows]
    if len(np.unique(codes)) < 2:
        raise InputError(
            f"Expected {name} labels of at least two values that the ensemble was trained on, found {len(codes)} labels of "
            f"{len(np.unique(codes))}. Label more faces, then type: sga complete --workspace {space.root}"
        )
    wrong, scores = find_suspects(codes, told)
    values, files = attribute.values, table.frame["file"].to_numpy()
    suspects = tuple(
        Suspect(
            key=str(table.faces[rows[one]]),
            file=str(files[rows[one]]),
            given=values[codes[one]],
            source=Source(sources[one]).name.lower(),
            suggested=values[_other(told[one], int(codes[one]))],
            score=float(scores[one]),
        )
        for one in wrong
    )
    path = space.root / "labeling" / f"audit-{name}.csv"
    _write(path, suspects)
    judged = dict(zip(values, np.bincount(codes, minlength=attribute.size).tolist(), strict=True))
    by_source = {source.name.lower(): int((sources == source).sum()) for source in (Source.ORIGINAL, Source.HUMAN)}
    return Audit(attribute, suspects, path, judged, {source: count for source, count in by_source.items() if count})


def review_questions(space: Workspace, found: Audit, count: int, asked: Mapping[str, int]) -> list[Question]:
    """The `count` most suspicious labels that nobody is being asked about, as questions that show the label and no prediction:
    an annotator must not be led.

    asked: the newest round of each key that is on the server, in projects for labels and for reviews. A label that somebody
    has looked at in a review, if only to skip it, is not asked about again unless people disagree. The round is above that of
    every answer there is, so that a review decides alone.
    """
    name, answers = found.attribute.name, store_of(space.root).all()
    now = standing(answers, name, asked)
    reviews = (one for one in answers if one.attribute == name and one.purpose == "review")
    done = {one.key for one in reviews if one.state in _LOOKED_AT} - now.disputed | now.waiting
    return [
        Question(
            key=one.key,
            image=space.root / one.file,
            file=one.file,
            strategy="audit",
            utility=1 - one.score,
            round=max(1, now.asked.get(one.key, 0)) + 1,  # the label itself is what was said first
            current=one.given,
        )
        for one in [one for one in found.suspects if one.key not in done][:count]
    ]


def _other(probabilities: np.ndarray, given: int) -> int:
    """The likeliest value but the given one."""
    others = probabilities.copy()
    others[given] = -1
    return int(others.argmax())


def _write(path: Path, suspects: tuple[Suspect, ...]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(("key", "file", "given", "source", "suggested", "score"))
        for one in suspects:
            writer.writerow((one.key, one.file, one.given, one.source, one.suggested, f"{one.score:.4f}"))
