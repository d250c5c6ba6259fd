"""Ingest: read what is asked, decode, drop duplicates, group, split, fill the table. Nothing counts before that is saved."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from configs.errors import InputError, WorkspaceError
from labeling.answers import table_lock
from labeling.cleaning.record import Record, follow_marks, former_splits, read_record
from labeling.ingest.index import Index, write_index
from labeling.ingest.merge import Found, extend_table, list_duplicates, rows_of_faces, write_labels
from labeling.ingest.pictures import decode_pictures, names_of, present_faces, retire_names
from labeling.ingest.plan import Plan, stamp_of
from labeling.ingest.report import Conflict, IngestReport, merge_csv, write_csv
from labeling.ingest.settings import IngestSettings
from labeling.ingest.tables import check_match, keep_removed, loose_faces, write_table
from labeling.metadata import write_metadata
from labeling.table import LabelTable
from labeling.take_in import take_in_stored
from labeling.workspace import Workspace, table_fingerprint

__all__ = ["ingest"]

Progress = Callable[[int, int], None]


def ingest(
    paths: Sequence[str | Path],
    workspace: str | Path,
    settings: IngestSettings | None = None,
    labels: str | Path | Sequence[str | Path] = (),
    progress: Progress = lambda done, total: None,
) -> IngestReport:
    """Add the faces in folders and tar files to a workspace, with the partial labels of CSVs.

    The pictures are cropped faces, or, where `settings.detection` names a cascade or detector, illustrations: their faces are
    found, cut out (Jin et al. 2017, section 3) and named `<picture>#<k>`; faces that other settings found before stay.

    paths: folders (with all below them), tar files, single pictures; none = the CSVs label the faces that are there already;
    labels: one CSV or several, see `read_labels` and `match`; label tables as `sga status --labels-csv` writes them are matched
    by the faces' identity and give their original and human cells; progress: called with (files done, files in all).

    A face that is there already keeps its group and split; a label is written where its source overrules what stands there,
    or equals it and comes from the same picture. A face that is there and that a CSV says to drop leaves the table; its
    labels stay in removed.csv and come back with it. One that cleaning left out stays so, also when it comes back, and so
    does one that a label table says is left out. Run it again after an interruption: the result is the same as without one.
    What was not taken is named in `<workspace>/faces/`: rejected.csv, duplicates.csv, conflicts.csv (labels), unmatched.csv
    (labels without a picture, pictures without labels). What tags say (`settings.tags`, `settings.tagger`) is weaker than any
    label that a CSV gave, whenever it did; `tags.csv` tells of every tag what it means.

    Raises:
        InputError: paths, labels or the disk; nothing is changed in the label table then.
        WorkspaceError: the workspace holds another schema or size, is damaged, or its labels changed meanwhile.
    """
    started = time.monotonic()
    files = [Path(labels)] if isinstance(labels, str | Path) else [Path(path) for path in labels]
    plan = Plan.read(paths, Workspace(workspace), settings or IngestSettings(), files)
    found, index = _look(plan, progress)
    outcome = _fill(plan, found, index, progress)
    report = _report(plan, found, outcome, time.monotonic() - started)
    _write_reports(plan, found, outcome)
    _save(plan, found, outcome, report)
    take_in_stored(plan.space)  # what people answered stands beside what the CSVs say
    return report


def _look(plan: Plan, progress: Progress) -> tuple[Found, Index]:
    """What the pictures are, and where the faces that were there come from now."""
    if plan.alone:
        return present_faces(plan.index, plan.homes, plan.copies, plan.dropped, plan.where), plan.index
    found = decode_pictures(plan.listing, plan.dropped, plan.where, plan.index, plan.homes, plan.space, plan.settings, progress)
    return found, retire_names(plan.index, plan.homes, found)


@dataclass(frozen=True)
class _Outcome:
    """What the workspace will be: its table and index, the faces that leave it, and what was not taken.

    marks: cleaning's record, where it changes; moved: faces that were there and have another picture now; names: what a CSV may
    call each face that was met; unlabelled: pictures of which no label is known.
    """

    table: LabelTable
    index: Index
    added: int
    leaving: LabelTable
    marks: Record | None
    moved: set[str]
    names: dict[str, list[str]]
    between: int
    conflicts: list[Conflict]
    duplicates: list[tuple[str, str, str]]
    unmatched: list[tuple[str, str]]
    unlabelled: list[str]


def _fill(plan: Plan, found: Found, index: Index, progress: Progress) -> _Outcome:
    """The table with the faces that were met and all that is said of them."""
    space, settings, tags, tables = plan.space, plan.settings, plan.tags, plan.tables
    leaves = plan.table.frame["face"].isin(found.removed).to_numpy()
    staying = plan.table.select(~leaves)
    rows, ambiguous = rows_of_faces(plan.rows, found)
    table, between = extend_table(staying, found, rows, index, settings, former_splits(read_record(space)))
    if not len(table):
        raise InputError(f"Expected faces to be left in {space.root}, found every one dropped. Correct --drop or the CSV.")
    check_match(tables, table)
    moved = {face for face, one in found.faces.items() if one.name and face in index and not index[face][0]}
    index = index | {face: (one.name, one.hash) for face, one in found.faces.items() if face not in index or face in moved}
    back = plan.removed.select(staying.rows(plan.removed.faces) < 0)
    conflicts = [conflict for one in (back, *tables.values()) for conflict in write_table(table, one, index)]
    conflicts += write_labels(table, found, rows, plan.sources, index, tables.values())
    conflicts += tags.write(table, found, rows, index, tables.values(), space, progress)
    names = names_of(found, plan.homes, plan.copies)
    return _Outcome(
        table=table,
        index=index,
        added=len(table) - len(staying),
        leaving=plan.table.select(leaves),
        marks=follow_marks(space, table, tables),
        moved=moved,
        names=names,
        between=len(between),
        conflicts=list(dict.fromkeys(conflicts)),  # a tag's label that was replaced, and is refused again
        duplicates=list_duplicates(found, index),
        unmatched=[
            *plan.loose,
            *loose_faces(tables, table),
            *ambiguous,
            *tags.loose,
            *(plan.sheet.loose(_named(names, found)) if plan.sheet else ()),
        ],
        unlabelled=_unlabelled(plan, found) if plan.labelled else [],
    )


def _named(names: dict[str, list[str]], found: Found) -> set[str]:
    """All that a CSV may call the faces that were met, and those that were rejected."""
    return {name for several in names.values() for name in several} | {name for name, _ in found.rejected}


def _unlabelled(plan: Plan, found: Found) -> list[str]:
    """Names of the pictures of which no CSV and no tag says a word, nor a label table of their face, sorted."""
    told = {face for one in plan.tables.values() for face in one.faces}
    names = {name for face, copies in found.copies.items() if face in told for name in copies}
    names |= plan.rows.keys() | plan.tags.rows.keys()
    of_faces = {found.pictures.get(name, name) for name in names} | {name.rpartition("#")[0] for name in names}
    return sorted({picture.name for picture in plan.listing.pictures} - names - of_faces)


def _report(plan: Plan, found: Found, outcome: _Outcome, seconds: float) -> IngestReport:
    return IngestReport.of(
        outcome.table,
        workspace=plan.space.root,
        pictures=len(plan.listing.pictures) + len(plan.listing.rejected),
        added=outcome.added,
        present=len(found.faces) - outcome.added,
        duplicates=len(outcome.duplicates),
        rejected=len(found.rejected),
        framed=len(found.framed),
        removed=len(outcome.leaving),
        conflicts=len(outcome.conflicts),
        unmatched_rows=len(outcome.unmatched),
        unlabelled=len(outcome.unlabelled),
        between=outcome.between,
        seconds=seconds,
        **plan.tags.facts(),
    )


def _write_reports(plan: Plan, found: Found, outcome: _Outcome) -> None:
    """Name in `<workspace>/faces/` where every face comes from, and what was not taken."""
    folder = plan.space.folder("faces")
    seen = {name for name, _ in found.rejected} | {name for names in found.copies.values() for name in names}
    seen |= set(found.pictures.values()) - {""}  # of faces whose name is lost
    seen |= {one.name for one in plan.listing.sidecars}  # an ingest without tags took them for pictures
    os.sync()  # the faces reach the disk before the table that names them
    write_index(plan.space, outcome.index)
    merge_csv(folder / "rejected.csv", ("file", "reason"), found.rejected, seen)
    framed = [(name, str(count)) for name, count in found.framed.items()]
    if framed or (folder / "frames.csv").is_file():
        merge_csv(folder / "frames.csv", ("file", "frames"), framed, seen)
    merge_csv(folder / "duplicates.csv", ("file", "face", "kept"), outcome.duplicates, seen)
    merge_csv(folder / "conflicts.csv", ("file", "face", "attribute", "kept", "refused"), outcome.conflicts, seen)
    if plan.labelled or plan.sheet:
        unlabelled = [(name, "no row of labels") for name in outcome.unlabelled]
        write_csv(folder / "unmatched.csv", ("file", "what"), [*outcome.unmatched, *unlabelled])
    plan.tags.save(folder)


def _save(plan: Plan, found: Found, outcome: _Outcome, report: IngestReport) -> None:
    """Make the outcome count.

    Raises:
        WorkspaceError: another command changed the labels meanwhile.
    """
    space, table = plan.space, outcome.table
    keep_removed(space, plan.removed, outcome.leaving, table)
    write_metadata(space, list(table.faces), found.faces, outcome.moved, plan.sheet, outcome.names)
    with table_lock(space.root):
        if stamp_of(space) != plan.stamp:
            raise WorkspaceError(
                f"Expected {space.labels_path} as it was when this ingest began, found it changed by another command. "
                "Type the same command again."
            )
        if outcome.marks is not None:
            outcome.marks.save(space)
        table.save(space.labels_path)
        facts = {"schema": plan.schema.hash, **report.counts(), **plan.taken}
        space.finish("faces", table_fingerprint(table, completed=False), plan.settings.model_dump(mode="json"), **facts)
