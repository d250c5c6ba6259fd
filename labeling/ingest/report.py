"""What an ingest did, in numbers and in CSV files that name every file it did not take."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.files import atomic_path
from labeling.histograms import format_histograms
from labeling.table import LEFT_OUT, SPLITS, Histogram, LabelTable

__all__ = ["Conflict", "IngestReport", "merge_csv", "write_csv"]

Conflict = tuple[str, str, str, str, str]
"""A label that was not taken: (file, face, attribute, kept value, refused value)."""


@dataclass(frozen=True)
class IngestReport:
    """Counts of one ingest, the state of the workspace after it, and where the files are named."""

    workspace: Path
    pictures: int  # files tried
    added: int
    present: int  # faces of an earlier ingest, met again
    duplicates: int
    rejected: int
    removed: int  # faces of an earlier ingest that a CSV says to drop
    conflicts: int  # labels that contradict what stands in the table, and were not taken
    unmatched_rows: int
    unlabelled: int  # pictures without a row in the CSV
    between: int  # new faces near faces of several earlier groups
    faces: int  # in the workspace now
    groups: int
    grouped: int  # faces with a near duplicate
    splits: dict[str, int]
    histograms: tuple[Histogram, ...]
    seconds: float
    framed: int = 0  # pictures of several frames, of which the first was taken
    left_out: int = 0  # faces that cleaning marked, of those in the workspace
    tagged: int = 0  # labels that tags amount to
    tag_conflicts: int = 0  # of `conflicts`: tags that contradict each other or a stronger label
    unknown_tags: int = 0
    commonest_unknown: tuple[tuple[str, int], ...] = ()  # (tag, pictures)
    tagger: str = ""  # how it was fed

    @classmethod
    def of(cls, table: LabelTable, **facts: Any) -> IngestReport:
        """The report with the state of the table that the ingest left."""
        members = table.frame["group"].value_counts()
        return cls(
            faces=len(table),
            groups=int((members > 1).sum()),
            grouped=int(members[members > 1].sum()),
            splits={split: int(table.in_split(split).sum()) for split in SPLITS},
            left_out=int(table.in_split(LEFT_OUT).sum()),
            histograms=tuple(table.histograms()),
            **facts,
        )

    def counts(self) -> dict[str, int]:
        """The numbers alone, for the stage's record."""
        return {name: value for name, value in vars(self).items() if isinstance(value, int)}

    def text(self) -> str:
        """The summary that `sga ingest` prints: counts, splits, and the histogram of every attribute."""
        folder = self.workspace / "faces"
        rate = self.pictures / max(self.seconds, 1e-9)
        lines = [
            f"{self.pictures:,} files in {self.seconds:.1f} s ({rate:,.0f} a second): {self.added:,} faces added, "
            f"{self.present:,} already there, {self.duplicates:,} exact duplicates, {self.rejected:,} rejected.",
            f"{self.faces:,} faces in {self.workspace}: "
            + ", ".join(f"{self.splits[split]:,} {split}" for split in SPLITS)
            + (f", {self.left_out:,} left out" if self.left_out else "")
            + f"; {self.grouped:,} have a near duplicate ({self.groups:,} groups).",
        ]
        for count, what, file in (
            (self.rejected, "rejected files and why", "rejected.csv"),
            (self.removed, "faces dropped from the workspace, with the labels they had", "removed.csv"),
            (self.duplicates, "exact duplicates", "duplicates.csv"),
            (self.framed, "animations or files of several pages, of which the first frame was taken", "frames.csv"),
            (self.conflicts, "contradicting labels, not taken", "conflicts.csv"),
            (self.unmatched_rows, "labels without a picture or face", "unmatched.csv"),
            (self.unlabelled, "pictures without a row of labels", "unmatched.csv"),
        ):
            if count:
                lines.append(f"{count:,} {what}: {folder / file}")
        if self.tagger:
            lines.append(f"Tagger {self.tagger}.")
        if self.tagged or self.tag_conflicts:
            lines.append(f"{self.tagged:,} labels follow from tags; {self.tag_conflicts:,} contradictions were left out.")
        if self.unknown_tags:
            common = ", ".join(f"{tag} ({count:,})" for tag, count in self.commonest_unknown)
            rest = "" if self.unknown_tags == len(self.commonest_unknown) else " …"
            lines.append(f"{self.unknown_tags:,} unknown tags, passed over: {common}{rest}: {folder / 'tags.csv'}")
        if self.between:
            lines.append(f"{self.between:,} new faces are near faces of several earlier groups and joined the nearest.")
        return "\n".join(lines) + "\n\n" + format_histograms(self.histograms)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a CSV, whole or not at all."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(header)
        writer.writerows(rows)


def merge_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]], seen: set[str]) -> None:
    """Write `rows`, after the rows an earlier ingest wrote about files (first column) that this one has not `seen`."""
    kept: list[Sequence[str]] = []
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as handle:
            rows_before = [row for row in list(csv.reader(handle))[1:] if row]
        kept = [row for row in rows_before if not {row[0], row[0].rpartition("#")[0]} & seen]  # PICTURE#k too
    write_csv(path, header, [*kept, *rows])
