"""From scores and thresholds to marks: which faces are left out, why, and in favour of which other."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from configs.errors import WorkspaceError
from configs.files import hold
from labeling.answers import table_lock
from labeling.cleaning.duplicates import choose
from labeling.cleaning.record import KEEP, LEAVE_OUT, Record, beside, read_record, record_path, with_former
from labeling.cleaning.scores import FaceFinder, Scores, score, stored_styles
from labeling.cleaning.settings import LABEL_TABLE, PERSON, REASONS, CleanSettings
from labeling.provenance import Source
from labeling.table import LEFT_OUT, LabelTable
from labeling.workspace import Workspace, fingerprint

__all__ = ["CleanReport", "Plan", "clean_lock", "clean_report", "is_marked", "mark", "plan_marks", "write_marks"]


@dataclass(frozen=True)
class CleanReport:
    """marked[reason]: faces that scores, or a label table, leave out; by_people: that people left out; kept: that people put
    back; spared: that only a human label keeps in; exact: pictures of equal pixels, which ingest dropped; faces: in the table;
    newly, back: faces whose mark came and went with this command; remembered: faces with the no_face score of an earlier
    command, whose detector this one did not name."""

    marked: dict[str, int]
    by_people: int
    kept: int
    spared: int
    exact: int
    faces: int
    newly: int = 0
    back: int = 0
    left_out: int = 0
    remembered: int = 0

    def lines(self) -> list[str]:
        """For people."""
        share = 100 * self.left_out / max(1, self.faces)
        lines = [
            f"{self.left_out:,} of {self.faces:,} faces are left out ({share:.1f} %): {self.newly:,} new, {self.back:,} back."
        ]
        measures = {LABEL_TABLE: "left out in one that was ingested"} | {name: one.measure for name, one in REASONS.items()}
        lines += [f"  {reason:<14} {count:>7,}  {measures[reason]}" for reason, count in self.marked.items()]
        if self.by_people:
            lines.append(f"  {PERSON:<14} {self.by_people:>7,}  left out by people")
        if self.kept:
            lines.append(f"{self.kept:,} faces were put back by people and stay.")
        if self.spared:
            lines.append(f"{self.spared:,} faces stay for their human labels alone; --also-labelled marks them too.")
        if self.remembered:
            lines.append(
                f"no_face stands as an earlier command's detector measured it in {self.remembered:,} of {self.faces:,} faces; "
                "--cascade or --detector measures it anew, --set no_face=null drops it."
            )
        lines.append(f"{self.exact:,} exact duplicates were dropped by sga ingest.")
        return lines


@dataclass(frozen=True)
class Plan:
    """What the scores say, in the order of the label table: reason (n,) object, "" = stays; instead (n,) int64 row of the face
    that stays in its place, -1; distance (n,) float32 to it; spared (n,) bool, faces that a human label keeps in."""

    reason: np.ndarray
    instead: np.ndarray
    distance: np.ndarray
    spared: np.ndarray


def mark(
    space: Workspace,
    settings: CleanSettings,
    *,
    features: np.ndarray | None = None,
    finder: FaceFinder | None = None,
    dry_run: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[CleanReport, Scores, Plan]:
    """Score every face, leave out those beyond a threshold, put back those that no longer are; people's verdicts stay.

    The same command with the same settings changes no byte of the label table. Without a finder the no_face scores of an
    earlier marking stand. dry_run: tell, and write nothing but the cache of scores. Other arguments: as `score`.

    Raises:
        WorkspaceError: no faces, a damaged file, or faces that came or left meanwhile.
    """
    space.require("faces")
    table = space.table()
    if features is None and settings.features == "sfn":
        features = stored_styles(space, table)
    scores = score(space, table, settings, features=features, finder=finder, on_progress=on_progress)
    with clean_lock(space):
        now = space.table()
        if not np.array_equal(now.faces, table.faces):
            raise WorkspaceError(
                f"Expected the faces that were measured in {space.root}, found others: some came or left meanwhile. "
                "Type the same command again."
            )
        record = read_record(space)
        mine, before = with_former(space, record, now), now.in_split(LEFT_OUT)
        frame, looked, remembered = mine.frame, "" if finder is None else finder.name, 0
        if finder is None:
            known = frame["no_face"].to_numpy(np.float32)
            remembered = int(np.isfinite(known).sum())
            scores = replace(scores, values={**scores.values, "no_face": known})
            looked = mine.facts.get("finder", "") if remembered == len(now) else ""
        plan = plan_marks(now, scores, mine, settings)
        for name, values in scores.values.items():
            frame[name] = values
        frame["near_duplicate"] = plan.distance
        frame["reason"] = plan.reason
        frame["duplicate_of"] = np.where(plan.instead >= 0, now.faces[np.maximum(plan.instead, 0)], "")
        mine.facts = _facts(space, now, mine, settings, looked, features)
        if dry_run:
            mine.apply(now)
        else:
            write_marks(space, now, mine, record)
        report = clean_report(space, now, mine, before, int(plan.spared.sum()))
        report = report if settings.no_face is None else replace(report, remembered=remembered)
    return report, scores, plan


def plan_marks(table: LabelTable, scores: Scores, record: Record, settings: CleanSettings) -> Plan:
    """What the thresholds say of each face. record: of exactly the table's faces."""
    count, verdict = len(table), record.of(table).frame["verdict"].to_numpy()
    human = np.any([table.sources(name) == Source.HUMAN for name in table.schema.names], axis=0)
    protected = (verdict == KEEP) | (human & (not settings.also_labelled) & (verdict == ""))
    reason = np.full(count, "", dtype=object)
    for name, one in REASONS.items():
        threshold = settings.threshold(name)
        if name in scores.values and threshold is not None:
            with np.errstate(invalid="ignore"):
                beyond = one.applies_to(scores.values[name], threshold)
            reason[beyond & (reason == "")] = name
    spared = protected & (reason != "") & (verdict != KEEP)
    reason[protected] = ""
    instead, distance = np.full(count, -1, np.int64), np.full(count, np.nan, np.float32)
    if settings.duplicates:
        near = scores.pairs.within(settings.distance, settings.most_bits, mirrored=settings.mirrors)
        near, rank = near.among((reason == "") & (verdict != LEAVE_OUT)), _rank(table, scores, human)
        instead, distance = choose(count, near, rank, protected)
        reason[instead >= 0] = "near_duplicate"
        spared |= protected & (verdict != KEEP) & (choose(count, near, rank, verdict == KEEP)[0] >= 0)
    return Plan(reason, instead, distance, spared)


def _rank(table: LabelTable, scores: Scores, human: np.ndarray) -> np.ndarray:
    """(n,) int64: of near duplicates the one with a human label is best, then that with most labels, the largest, the
    sharpest."""
    told = np.sum([table.labelled(name) for name in table.schema.names], axis=0)
    size = np.nan_to_num(np.minimum(scores.values["tiny"], 1), nan=1.0)
    order = np.lexsort((table.faces.astype(str), scores.values["blur"], size, told, human))
    rank = np.empty(len(table), np.int64)
    rank[order] = np.arange(len(table))
    return rank


def write_marks(space: Workspace, table: LabelTable, mine: Record, before: Record) -> bool:
    """Save the record, then let the label table follow; returns whether the table or its record changed."""
    beside(mine, before).save(space)
    mine.apply(table)
    return space.relabelled(table)


def clean_report(
    space: Workspace, table: LabelTable, mine: Record, before: np.ndarray | None = None, spared: int = 0
) -> CleanReport:
    """The state of the marks. before: (n,) bool, the faces that were left out before."""
    verdict, reasons = mine.frame["verdict"].to_numpy(), mine.frame["reason"].to_numpy()
    counts = Counter(reasons[(verdict == "") & mine.left_out()].tolist())
    out = table.in_split(LEFT_OUT)
    before = out if before is None else before
    return CleanReport(
        {name: counts[name] for name in (*REASONS, LABEL_TABLE) if counts[name]},
        int((verdict == LEAVE_OUT).sum()),
        int((verdict == KEEP).sum()),
        spared,
        _exact(space.folder("faces") / "duplicates.csv"),
        len(table),
        int((out & ~before).sum()),
        int((before & ~out).sum()),
        int(out.sum()),
    )


def is_marked(space: Workspace, settings: CleanSettings, finder: str = "") -> bool:
    """Whether the faces that are here now were marked with these settings and what people said, and the label table follows the
    record. finder: the detector's name; "" = none is named, whichever looked last stands."""
    if not record_path(space).is_file() or not space.labels_path.is_file():
        return False
    table, record = space.table(), read_record(space)
    features, mine = None, record.of(table)
    if settings.features == "sfn":
        try:
            features = stored_styles(space, table)
        except WorkspaceError:
            return False
    looked = finder or record.facts.get("finder", "")
    return record.facts == _facts(space, table, mine, settings, looked, features) and not record.apply(table)


@contextmanager
def clean_lock(space: Workspace) -> Iterator[None]:
    """One command at a time changes the marks of a workspace, and no pull its label table meanwhile; another waits."""
    with hold(space.folder("faces") / "cleaning" / ".lock"), table_lock(space.root):
        yield


def _facts(
    space: Workspace, table: LabelTable, mine: Record, settings: CleanSettings, finder: str, features: np.ndarray | None
) -> dict[str, Any]:
    """What marks are made from: settings, detector, the faces, what is known of their pictures, who labelled them, what people
    said of marks, and features other than the descriptor."""
    said = np.stack([np.where(table.labelled(name), table.sources(name), 0) for name in table.schema.names])
    known = space.folder("faces") / "metadata.parquet"
    pictures = known.read_bytes().hex() if known.is_file() else ""
    seen = "" if features is None else np.ascontiguousarray(features).tobytes().hex()
    inputs = fingerprint(*table.faces, said.astype(np.int8).tobytes().hex(), pictures, *mine.frame["verdict"], seen)
    return {"settings": settings.model_dump(mode="json"), "finder": finder, "inputs": inputs}


def _exact(path: Path) -> int:
    """Rows of the exact duplicates that ingest dropped."""
    if not path.is_file():
        return 0
    with path.open(encoding="utf-8", newline="") as handle:
        return max(0, sum(1 for _ in csv.reader(handle)) - 1)
