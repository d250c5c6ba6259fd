"""The multi-label classifier by tag: average precision of every tag on held-out faces, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from classifiers.metrics import Estimate, average_precision, draw_counts
from configs.files import atomic_write_text, read_json, write_json
from labeling.schema import Attribute, Schema

__all__ = ["HeldOut", "PrecisionTable"]

_DRAWS = 500


@dataclass(frozen=True)
class HeldOut:
    """One attribute on the held-out faces: which of them have a label, (faces,) bool; the labels' codes (t,); and what each
    classifier says of those, (networks, t, size) probabilities by its name."""

    known: np.ndarray
    codes: np.ndarray
    told: Mapping[str, np.ndarray]


@dataclass
class PrecisionTable:
    """cells[tag][classifier], with the tag as `hair_color=blonde` or `smile`; means likewise, by attribute and over the
    attributes of style; positives[tag]: how many held-out faces carry it.

    A classifier of several networks, one a fold, counts as their mean. Only faces with a known label of the attribute count;
    a tag that all or none of them carry has no average precision and is left out.
    """

    cells: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    means: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    positives: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, schema: Schema, held_out: Mapping[str, HeldOut], draws: int = _DRAWS, seed: int = 0) -> PrecisionTable:
        """Measure every tag: an independent attribute is one, an exclusive one has a tag a value, against all others.

        The intervals draw faces, the same for all tags, so that those of the means are true to their dependence.
        """
        tags = {tag: (name, code) for name, one in held_out.items() for tag, code in _tags(schema[name], one)}
        table = cls(positives={tag: int((held_out[name].codes == code).sum()) for tag, (name, code) in tags.items()})
        faces = len(next(iter(held_out.values())).known) if tags else 0
        values: dict[tuple[str, str], list[np.ndarray]] = {}
        for counts in (None, *draw_counts(faces, draws, np.random.default_rng(seed))) if tags else ():
            for tag, (name, code) in tags.items():
                one = held_out[name]
                weights = None if counts is None else counts[:, one.known]
                for classifier, told in one.told.items():
                    measured = [average_precision(network[:, code], one.codes == code, weights) for network in told]
                    values.setdefault((tag, classifier), []).append(np.atleast_1d(np.mean(measured, axis=0)))
        found = {key: np.concatenate(parts) for key, parts in values.items()}  # the value itself, then one a draw
        for (tag, classifier), numbers in found.items():
            table.cells.setdefault(tag, {})[classifier] = _estimate(numbers, len(held_out[tags[tag][0]].codes))
        for mean, members in _groups(schema, {tag: name for tag, (name, _) in tags.items()}).items():
            for classifier in table.cells[members[0]]:
                averaged = _mean(np.stack([found[tag, classifier] for tag in members]))
                table.means.setdefault(mean, {})[classifier] = _estimate(averaged, faces)
        return table

    def markdown(self) -> str:
        """A row a tag, a column a classifier, percent with 95 % intervals; the means stand last."""
        title = "**Average precision by tag on held-out faces**"
        if not self.cells:
            return f"{title}\n\nNo held-out labels of two values.\n"
        classifiers = list(next(iter(self.cells.values())))
        head = f"| tag | faces with it, of | {' | '.join(classifiers)} |"
        lines = [title, "", head, "|" + "---|" * (len(classifiers) + 2)]
        for tag, row in self.cells.items():
            counts = f"{self.positives[tag]} of {next(iter(row.values())).n}"
            lines.append(f"| {tag} | {counts} | " + " | ".join(str(row[one]) for one in classifiers) + " |")
        for mean, row in self.means.items():
            lines.append(f"| *{mean}* | | " + " | ".join(str(row[one]) for one in classifiers) + " |")
        return "\n".join([*lines, "", "Percent, 95 % bootstrap intervals; chance is the share of faces with the tag.", ""])

    def save(self, stem: Path) -> None:
        """Write `stem`.md and `stem`.json."""
        atomic_write_text(stem.with_suffix(".md"), self.markdown())
        write_json(stem.with_suffix(".json"), asdict(self))

    @classmethod
    def load(cls, path: Path) -> PrecisionTable:
        """Read the JSON that `save` wrote."""
        raw: dict[str, Any] = read_json(path)
        cells, means = (
            {tag: {one: Estimate(**value) for one, value in row.items()} for tag, row in raw[part].items()}
            for part in ("cells", "means")
        )
        return cls(cells, means, raw["positives"])


def _tags(attribute: Attribute, one: HeldOut) -> Iterator[tuple[str, int]]:
    """(tag, code) of those that some labelled faces carry and some do not."""
    alone = attribute.kind == "independent"
    for code in (1,) if alone else range(attribute.size):
        if 0 < (one.codes == code).sum() < len(one.codes):
            yield attribute.name if alone else f"{attribute.name}={attribute.values[code]}", code


def _groups(schema: Schema, attribute_of: Mapping[str, str]) -> dict[str, list[str]]:
    """Name of a mean → its tags: each exclusive attribute's, then all of style."""
    groups: dict[str, list[str]] = {}
    for tag, name in attribute_of.items():
        if schema[name].kind == "exclusive":
            groups.setdefault(f"{name}, mean", []).append(tag)
    style = [tag for tag, name in attribute_of.items() if schema[name].role == "style"]
    return groups | ({f"mean of {len(style)} tags": style} if style else {})


def _mean(values: np.ndarray) -> np.ndarray:
    """(tags, draws) → (draws,) mean over the tags that a draw has positives of, NaN where it has none at all."""
    known = ~np.isnan(values)
    averaged: np.ndarray = np.where(known, values, 0).sum(axis=0) / np.where(known.any(axis=0), known.sum(axis=0), np.nan)
    return averaged


def _estimate(numbers: np.ndarray, n: int) -> Estimate:
    """numbers: the value itself, then one a draw, NaN where the draw has no positive.

    A draw has fewer different positives than the sample, and average precision is the higher the fewer there are: percentiles
    of the draws lie too high, for a mean of rare tags even beside the value. So their spread is laid about the value, as
    logits, which keeps it within 0 … 1.
    """
    value, drawn = float(numbers[0]), _logit(numbers[1:][~np.isnan(numbers[1:])])
    if not len(drawn):
        return Estimate(value, value, value, n)
    low, high = 1 / (1 + np.exp(-(_logit(numbers[0]) + np.percentile(drawn, [2.5, 97.5]) - drawn.mean())))
    return Estimate(value, min(value, float(low)), max(value, float(high)), n)


def _logit(share: np.ndarray) -> np.ndarray:
    inner = np.clip(share, 1e-4, 1 - 1e-4)
    odds: np.ndarray = np.log(inner / (1 - inner))
    return odds
