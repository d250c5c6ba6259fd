"""The paper's Table 1 for our data: every classifier, per attribute, on held-out labels, with bootstrap intervals."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from classifiers.metrics import Estimate, bootstrap
from configs.files import atomic_write_text, read_json, write_json

__all__ = ["Table", "compare", "score"]


def score(probabilities: np.ndarray, codes: np.ndarray) -> dict[str, Estimate]:
    """Accuracy and balanced accuracy of (t, k), or of (networks, t, k): then of the mean single network."""
    correct = _correct(probabilities, codes)
    return {metric: bootstrap(correct, codes, metric) for metric in ("accuracy", "balanced")}


def _correct(probabilities: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """(t,) float64 in [0, 1]: how many of the networks are right."""
    right = probabilities.argmax(axis=-1) == codes
    return right.mean(axis=0) if right.ndim == 2 else right.astype(np.float64)


def compare(better: np.ndarray, worse: np.ndarray, codes: np.ndarray, metric: str) -> Estimate:
    """Paired difference of a metric, `better` − `worse`, each as `score` takes them; the interval is of the difference."""
    difference = _correct(better, codes) - _correct(worse, codes)  # both metrics are linear in it
    return bootstrap(difference, codes, metric)


@dataclass
class Table:
    """cells[attribute][row][metric]; `title` says on which labels; `notes` are printed below."""

    title: str
    cells: dict[str, dict[str, dict[str, Estimate]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, attribute: str, row: str, probabilities: np.ndarray, codes: np.ndarray) -> None:
        """Score one classifier on one attribute."""
        self.cells.setdefault(attribute, {})[row] = score(probabilities, codes)

    def best(self, attribute: str, rows: list[str], metric: str) -> str:
        """The row with the highest value of a metric."""
        return max(rows, key=lambda row: self.cells[attribute][row][metric].value)

    def markdown(self) -> str:
        """The table as Markdown: a row a classifier, accuracy and balanced accuracy in percent with 95 % intervals."""
        names = list(self.cells)
        if not names:
            return f"**{self.title}**\n\nNo held-out labels.\n"
        head = "| classifier | " + " | ".join(f"{name} acc. | {name} bal. acc." for name in names) + " |"
        lines = [f"**{self.title}**", "", head, "|" + "---|" * (2 * len(names) + 1)]
        for row in self.cells[names[0]]:
            cells = [str(self.cells[name][row][metric]) for name in names for metric in ("accuracy", "balanced")]
            lines.append(f"| {row} | " + " | ".join(cells) + " |")
        counts = ", ".join(f"{name} n = {next(iter(self.cells[name].values()))['accuracy'].n}" for name in names)
        return "\n".join([*lines, "", f"{counts}. Percent, 95 % bootstrap intervals.", *self.notes, ""])

    def save(self, stem: Path) -> None:
        """Write `stem`.md and `stem`.json."""
        atomic_write_text(stem.with_suffix(".md"), self.markdown())
        write_json(stem.with_suffix(".json"), asdict(self))

    @classmethod
    def load(cls, path: Path) -> Table:
        """Read the JSON that `save` wrote."""
        raw: dict[str, Any] = read_json(path)
        cells = {
            attribute: {row: {metric: Estimate(**value) for metric, value in scores.items()} for row, scores in rows.items()}
            for attribute, rows in raw["cells"].items()
        }
        return cls(raw["title"], cells, raw["notes"])
