"""What an evaluation found: typed, as JSON, and as tables for people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from classifiers.metrics import Estimate
from sga.evaluation.kernel import Interval
from sga.evaluation.rates import mean_rate
from sga.evaluation.spectrum import Excess

__all__ = ["Acceptance", "Copying", "Diversity", "Likeness", "Report", "SourceReport", "TableBlock", "ValueReport", "markdown"]


@dataclass(frozen=True)
class Likeness:
    """How like real faces a set of faces is.

    n, n_real: faces on each side of FID; kid: mean over subsets of `kid_subset` faces a side, with the bounds of the middle
    95 % of them; precision, recall, density, coverage: of `neighbours_n` faces a side; fid_at_floor: FID of as few faces a side
    as the floor has (`floor_n`), which compares with it.
    """

    n: int
    n_real: int
    fid: float
    kid: Interval
    kid_subset: int
    precision: float
    recall: float
    density: float
    coverage: float
    neighbours_n: int
    fid_at_floor: float | None = None
    floor_n: int | None = None


@dataclass(frozen=True)
class Copying:
    """Nearness to training faces. share: nearer than `limit`, the 1 % quantile of held-out faces' distances; ratio: median
    distance over held-out faces'; closest: the least distance; held_out: how many held-out faces there are."""

    share: Estimate
    ratio: float
    limit: float
    closest: float
    held_out: int


@dataclass(frozen=True)
class Acceptance:
    """What drawing until the judge accepts took. rate: accepted faces over attempts; exhausted: faces that never passed."""

    faces: int
    attempts: int
    rate: Estimate
    exhausted: int


@dataclass(frozen=True)
class Diversity:
    """within: mean distance of two faces of one gender and style with different noise; overall: of two faces of the gender;
    both over that of two real faces of it. low, high: 95 % bounds of `within` over the conditions."""

    within: float
    low: float
    high: float
    overall: float
    conditions: int


@dataclass(frozen=True)
class SourceReport:
    """One source of faces. groups: by "overall" and gender, None where there are too few faces; gender: accuracy by the
    referee, "overall" = the mean of the genders, empty where it knows none; spectrum: by gender, against all real faces."""

    groups: dict[str, Likeness | None]
    gender: dict[str, Estimate]
    copying: dict[str, Copying] = field(default_factory=dict)
    acceptance: dict[str, Acceptance] = field(default_factory=dict)
    spectrum: dict[str, Excess] = field(default_factory=dict)


@dataclass(frozen=True)
class ValueReport:
    """Faces asked to have a value, as the referee judges them (Jin et al., Table 2). unselected, accepted: share that it sees
    so, None = not drawn; recall, precision: its own on real faces that it never saw."""

    attribute: str
    value: str
    unselected: Estimate | None
    accepted: Estimate | None
    recall: Estimate
    precision: Estimate


@dataclass(frozen=True)
class Report:
    """facts: what was compared, by which means; floor: real against real faces, by group."""

    facts: dict[str, Any]
    floor: dict[str, Likeness | None]
    unselected: SourceReport
    accepted: SourceReport | None = None
    diversity: dict[str, Diversity] = field(default_factory=dict)
    values: list[ValueReport] = field(default_factory=list)
    referee: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    """The referee's accuracy and balanced accuracy by attribute, on faces that it never saw."""
    spectrum_floor: Excess | None = None
    """Of one half of the real faces against the other."""

    @property
    def sources(self) -> dict[str, SourceReport]:
        """By name: unselected, and accepted where there is a model folder."""
        return {"unselected": self.unselected} | ({"accepted": self.accepted} if self.accepted else {})

    def attribute_means(self) -> dict[str, dict[str, Estimate]]:
        """By attribute the mean over its values of unselected and accepted precision and of the referee's own recall."""
        found: dict[str, dict[str, Estimate]] = {}
        for attribute in dict.fromkeys(row.attribute for row in self.values):
            rows = [row for row in self.values if row.attribute == attribute]
            kinds = ("unselected", "accepted", "recall")
            found[attribute] = {
                kind: mean_rate([one for row in rows if (one := getattr(row, kind)) is not None]) for kind in kinds
            }
        return found

    def as_json(self) -> dict[str, Any]:
        """Plain values; what does not exist is null."""
        plain = {"facts": self.facts, "referee": {name: _plain(rows) for name, rows in self.referee.items()}}
        plain |= {"floor": _plain(self.floor), "spectrum_floor": _plain(self.spectrum_floor)}
        plain |= {name: _plain(source) for name, source in self.sources.items()}
        plain |= {"diversity": _plain(self.diversity), "attributes": _plain(self.values)}
        plain["attribute_means"] = _plain(self.attribute_means())
        return plain


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return _plain(asdict(value))
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True)
class TableBlock:
    """A table for people: a title, a header, rows of text and notes."""

    title: str
    header: Sequence[str]
    rows: list[list[str]]
    notes: tuple[str, ...] = ()


def markdown(blocks: Sequence[TableBlock]) -> str:
    """The tables as Markdown."""
    parts = []
    for block in blocks:
        lines = [f"## {block.title}", "", "| " + " | ".join(block.header) + " |", "|" + "---|" * len(block.header)]
        lines += ["| " + " | ".join(row) + " |" for row in block.rows]
        parts.append("\n".join([*lines, *(f"\n{note}" for note in block.notes)]))
    return "# Evaluation\n\n" + "\n\n".join(parts) + "\n"
