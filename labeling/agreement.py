"""How far people agree with each other and with the pre-annotations, and how fast they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from labeling.answers import TABLE, Answer, ballots, resolve
from labeling.studio.interface import UNCLEAR

__all__ = ["Agreement", "Estimate", "Pace", "cohen_kappa", "fleiss_kappa", "measure", "pace", "share"]

_DRAWS = 2000


@dataclass(frozen=True)
class Estimate:
    """A measured number with its 95 % interval and the number of faces behind it. NaN where it is not defined."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        if np.isnan(self.value):
            return f"not defined (n = {self.n})"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}] (n = {self.n})"


@dataclass(frozen=True)
class Pace:
    """faces_per_minute: 60 over the median of the seconds a face; n: the faces behind it."""

    faces_per_minute: float
    n: int


@dataclass(frozen=True)
class Agreement:
    """Of one attribute.

    pairs: Cohen's kappa of every two annotators with at least two faces in common; fleiss: Fleiss' kappa, where there are more
    than two annotators; both of the answers to the first question about a face, before a dispute was asked about again.
    predicted: how often the pre-annotation was what people settled on in the end, on the faces that were asked about (not a
    sample of all); by_class: the same for the faces that people say are of a value; pace: None without lead times.
    """

    attribute: str
    pairs: dict[tuple[str, str], Estimate]
    fleiss: Estimate | None
    predicted: Estimate | None
    by_class: dict[str, Estimate]
    pace: Pace | None

    def lines(self) -> list[str]:
        """One line a figure, for people."""
        name = self.attribute
        lines = [f"{name}: Cohen's kappa of {a} and {b}: {value}" for (a, b), value in self.pairs.items()]
        if self.fleiss is not None:
            lines.append(f"{name}: Fleiss' kappa of all annotators: {self.fleiss}")
        if self.predicted is not None:
            lines.append(f"{name}: pre-annotation right: {self.predicted}")
            lines += [f"{name}: pre-annotation right where people say {value}: {one}" for value, one in self.by_class.items()]
        if self.pace is not None:
            lines.append(f"{name}: {self.pace.faces_per_minute:.1f} faces a minute (median, n = {self.pace.n})")
        return lines


def measure(answers: Sequence[Answer], attribute: str) -> Agreement:
    """All figures of one attribute (its name), from the newest rows of a store."""
    asked = [answer for answer in answers if answer.server != TABLE]
    said = ballots((answer for answer in asked if answer.purpose != "review"), attribute, first=True)
    settled = {key: told.value for key, told in resolve(answers, attribute).items() if told.value not in (None, UNCLEAR)}
    rated = [{annotator: str(answer.value) for annotator, answer in votes.items()} for votes in said.values()]
    rated = [votes for votes in rated if len(votes) > 1]
    shown = [(str(settled[key]), told) for key, votes in said.items() if key in settled and (told := _shown(votes.values()))]
    right = Counter(value for value, told in shown if value == told)
    met = Counter(value for value, _ in shown)
    return Agreement(
        attribute,
        _pairs(rated),
        _fleiss_of(rated) if len({annotator for votes in rated for annotator in votes}) > 2 else None,
        share(right.total(), met.total()) if met else None,
        {value: share(right[value], met[value]) for value in sorted(met)},
        pace(answer for answer in asked if answer.attribute == attribute),
    )


def _shown(answers: Iterable[Answer]) -> str | None:
    """The pre-annotation that was shown last."""
    told = [(answer.updated, answer.predicted) for answer in answers if answer.predicted is not None]
    return max(told)[1] if told else None


def _pairs(rated: Sequence[Mapping[str, str]]) -> dict[tuple[str, str], Estimate]:
    both: dict[tuple[str, str], tuple[list[str], list[str]]] = {}
    for votes in rated:
        for a, b in combinations(sorted(votes), 2):
            first, second = both.setdefault((a, b), ([], []))
            first.append(votes[a])
            second.append(votes[b])
    return {pair: cohen_kappa(*values) for pair, values in sorted(both.items()) if len(values[0]) > 1}


def _fleiss_of(rated: Sequence[Mapping[str, str]]) -> Estimate:
    values = sorted({value for votes in rated for value in votes.values()})
    counts = [[list(votes.values()).count(value) for value in values] for votes in rated]
    return fleiss_kappa(np.asarray(counts))


def cohen_kappa(first: Sequence[str], second: Sequence[str], draws: int = _DRAWS, seed: int = 0) -> Estimate:
    """Cohen's kappa of two annotators' values for the same faces (1 agreement, 0 that of chance), with its bootstrap interval.

    Not defined where both gave one and the same value to all.
    """
    from sklearn.metrics import cohen_kappa_score, confusion_matrix

    n, values = len(first), sorted({*first, *second})
    if len(values) < 2:
        return Estimate(np.nan, np.nan, np.nan, n)
    table = confusion_matrix(first, second, labels=values).ravel() / n
    drawn = np.random.default_rng(seed).multinomial(n, table, size=draws).reshape(draws, len(values), len(values)) / n
    chance = (drawn.sum(axis=1) * drawn.sum(axis=2)).sum(axis=1)
    kappas = _above_chance(np.trace(drawn, axis1=1, axis2=2), chance)
    return _estimate(float(cohen_kappa_score(first, second)), kappas, n)


def fleiss_kappa(counts: np.ndarray, draws: int = _DRAWS, seed: int = 0) -> Estimate:
    """Fleiss' kappa with its bootstrap interval. counts: (n, k) ints, how many annotators gave a face which value.

    The number of annotators may differ from face to face (Gwet, Handbook of Inter-Rater Reliability, 2014, chapter 2: a face
    that one annotator saw tells of the values' shares only); where it does not, this is Fleiss 1971.
    """
    counts = counts[counts.sum(axis=1) > 0]
    patterns, times = np.unique(counts, axis=0, return_counts=True)
    raters = patterns.sum(axis=1)
    several = raters > 1
    n = int(times[several].sum())
    if not n:
        return Estimate(np.nan, np.nan, np.nan, 0)
    pairs = np.maximum(raters * (raters - 1), 1)
    agreed = ((patterns**2).sum(axis=1) - raters) / pairs

    def kappas(times: np.ndarray) -> np.ndarray:  # (draws, patterns) how often each occurs → (draws,)
        tells = times[:, several]
        observed = np.divide(
            tells @ agreed[several], tells.sum(axis=1), where=tells.sum(axis=1) > 0, out=np.full(len(times), np.nan)
        )
        shares = times @ (patterns / raters[:, None]) / times.sum(axis=1, keepdims=True)
        return _above_chance(observed, (shares**2).sum(axis=1))

    drawn = np.random.default_rng(seed).multinomial(times.sum(), times / times.sum(), size=draws)
    return _estimate(float(kappas(times[None])[0]), kappas(drawn), n)


def _above_chance(observed: np.ndarray, chance: np.ndarray) -> np.ndarray:
    room = 1 - chance
    return np.divide(observed - chance, room, out=np.full(len(room), np.nan), where=room > 1e-12)


def _estimate(value: float, draws: np.ndarray, n: int) -> Estimate:
    draws = draws[np.isfinite(draws)]  # a draw of one value alone has no kappa
    if np.isnan(value) or not len(draws):
        return Estimate(value, np.nan, np.nan, n)
    low, high = np.percentile(draws, [2.5, 97.5])
    return Estimate(value, float(low), float(high), n)


def share(hits: int, n: int) -> Estimate:
    """A rate in [0, 1] with its Wilson interval, which stays honest where all or none of few hit."""
    from scipy.stats import binomtest

    interval = binomtest(hits, n).proportion_ci(method="wilson")
    return Estimate(hits / n, float(interval.low), float(interval.high), n)


def pace(answers: Iterable[Answer]) -> Pace | None:
    """From the lead times: every face that was looked at (an empty cell of a wall too) has its part of its task's time, and the
    median of the faces is taken, so a coffee break does not count. None without lead times."""
    tasks: dict[tuple[str, int, int], list[float]] = {}
    for answer in answers:
        if answer.state in ("answer", "open") and answer.lead_time:
            tasks.setdefault((answer.server, answer.project, answer.annotation), []).append(answer.lead_time)
    seconds = [time / len(times) for times in tasks.values() for time in times]
    return Pace(60 / float(np.median(seconds)), len(seconds)) if seconds else None
