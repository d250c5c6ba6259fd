"""What people say of marks: on the command line, in a CSV, in Label Studio. Their verdicts stand above every score."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from configs.errors import InputError
from configs.files import atomic_path
from labeling.answers import instant, resolve, store_of
from labeling.cleaning.mark import CleanReport, clean_lock, clean_report, write_marks
from labeling.cleaning.record import KEEP, LEAVE_OUT, Record, read_record, with_former
from labeling.cleaning.scores import read_face
from labeling.cleaning.settings import REASONS
from labeling.cleaning.sheets import pair_picture
from labeling.queue import standing
from labeling.studio.attributes import CLEANING
from labeling.studio.tasks import Question
from labeling.table import LEFT_OUT, LabelTable
from labeling.workspace import Workspace

__all__ = ["Verdict", "keep_faces", "marked_with", "questions", "read_review", "set_verdicts", "take_in_verdicts"]

SCORES = "scores"
"""In a review: nobody's verdict any more, the scores decide."""

_STUDIO = "Label Studio: "


@dataclass(frozen=True)
class Verdict:
    """keep, leave_out or "" (the scores decide); by whom, when: "" = nobody said anything."""

    value: str
    by: str
    time: str


def set_verdicts(space: Workspace, verdicts: Mapping[str, Verdict]) -> CleanReport:
    """Write what people said, by face, and put back or leave out. Faces that are not in the table are passed over.

    Raises:
        WorkspaceError: the record is damaged.
    """
    with clean_lock(space):
        table, record = space.table(), read_record(space)
        mine, before = with_former(space, record, table), table.in_split(LEFT_OUT)
        rows = table.rows(verdicts)
        said = [verdict for row, verdict in zip(rows, verdicts.values(), strict=True) if row >= 0]
        for name, values in (
            ("verdict", [one.value for one in said]),
            ("by", [one.by for one in said]),
            ("time", [one.time for one in said]),
        ):
            mine.frame.loc[rows[rows >= 0], name] = values
        write_marks(space, table, mine, record)
        return clean_report(space, table, mine, before)


def marked_with(space: Workspace, reason: str) -> list[str]:
    """The faces that scores leave out for a reason.

    Raises:
        InputError: no such reason.
    """
    if reason not in REASONS:
        raise InputError(
            f"Expected a reason ({', '.join(REASONS)}), found {reason!r}. Those with marks are told by: "
            f"sga clean show --workspace {space.root}"
        )
    mine = read_record(space).of(space.table())
    frame = mine.frame
    return frame["face"][(frame["reason"] == reason) & (frame["verdict"] == "") & mine.left_out()].tolist()


def keep_faces(space: Workspace, faces: Iterable[str], by: str = "command line") -> CleanReport:
    """Put faces back for good, by their identities or the beginnings of those.

    Raises:
        InputError: a beginning that fits no face, or several.
    """
    table = space.table()
    now = instant(datetime.now(UTC))
    return set_verdicts(space, {_find(table, face): Verdict(KEEP, by, now) for face in faces})


def read_review(space: Workspace, path: Path) -> dict[str, Verdict]:
    """A CSV with the columns face and verdict (keep, leave_out, or scores: as the scores say); others are passed over, and rows
    without a verdict.

    Raises:
        InputError: it cannot be read, a column is missing, or a row has another verdict, no such face or one that is there
        twice.
    """
    again = f"Write one, then type: sga clean keep --review FILE.csv --workspace {space.root}"
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            lines = list(csv.DictReader(handle))
            columns = set(lines[0]) if lines else set()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        found_there = "no such file" if isinstance(error, FileNotFoundError) else getattr(error, "strerror", None) or str(error)
        raise InputError(f"Expected a CSV with the columns face and verdict at {path}, found {found_there}. {again}") from error
    if not {"face", "verdict"} <= columns:
        there = ", ".join(sorted(columns)) or "no row"
        raise InputError(f"Expected the columns face and verdict in {path}, found {there}. {again}")
    table, now = space.table(), instant(datetime.now(UTC))
    found: dict[str, Verdict] = {}
    for number, line in enumerate(lines, 2):
        value = (line["verdict"] or "").strip()
        if value not in (KEEP, LEAVE_OUT, SCORES, ""):
            raise InputError(f"Expected {KEEP}, {LEAVE_OUT}, {SCORES} or nothing in row {number} of {path}, found {value!r}.")
        if value:
            face = _find(table, (line["face"] or "").strip())
            if face in found and found[face].value != value.replace(SCORES, ""):
                raise InputError(f"Expected one verdict about {face} in {path}, found two (row {number}). Remove one.")
            found[face] = Verdict(value.replace(SCORES, ""), path.name, now)
    return found


def _find(table: LabelTable, face: str) -> str:
    matching = [one for one in table.faces if one.startswith(face)] if face else []
    if len(matching) != 1:
        raise InputError(
            f"Expected the identity of one face (64 digits, or enough of them to tell it), found {face!r}, which fits "
            f"{len(matching):,}. They stand in faces/cleaning.parquet and in sga status --labels-csv."
        )
    return str(matching[0])


# -- Label Studio ----------------------------------------------------------------------------------------------------------


def questions(space: Workspace, count: int, asked: Mapping[str, int], reason: str | None = None) -> list[Question]:
    """What to push so that `count` marks wait for people: those they dispute, then marks nobody has judged, nearest to the
    threshold first, reasons in turn.

    asked: the newest round of each key on the server; reason: ask about these marks alone. The picture is the face, of a near
    duplicate with the one that stays in its place behind it.

    Raises:
        InputError: no such reason, or a count below 1.
    """
    if count < 1:
        raise InputError(f"Expected a count of at least 1, found {count}.")
    chosen = list(REASONS) if reason is None else [reason]
    table = space.table()
    record = read_record(space).of(table)
    now = standing((one for one in store_of(space.root).all() if one.purpose == "cleaning"), CLEANING.name, asked)
    room = count - len(now.waiting)
    queues = [
        [
            face
            for face in _doubtful(record, name, marked_with(space, name))
            if face not in now.settled | now.waiting | now.disputed
        ]
        for name in chosen
    ]
    turns = max(map(len, queues), default=0)
    fresh = [queue[turn] for turn in range(turns) for queue in queues if turn < len(queue)]
    disputed = [face for face in sorted(now.disputed) if table.rows([face])[0] >= 0]
    keys = [*disputed, *fresh][: max(0, room)]
    return [_question(space, table, record, key, now.asked.get(key, 0) + 1) for key in keys]


def _doubtful(record: Record, name: str, faces: list[str]) -> list[str]:
    """Faces marked for a reason, those near its threshold first."""
    values = record.frame.set_index("face")[name].loc[faces].to_numpy()
    return [faces[place] for place in np.argsort(values if REASONS[name].above else -values, kind="stable")]


def _question(space: Workspace, table: LabelTable, record: Record, key: str, round_: int) -> Question:
    row = int(table.rows([key])[0])
    told = record.frame.iloc[row]
    shown, reason = [row], str(told["reason"]) or "left out before"
    if told["duplicate_of"]:
        shown += [other for other in table.rows([told["duplicate_of"]]).tolist() if other >= 0 and table.kept()[other]]
    path = space.folder("faces") / "cleaning" / "review" / f"{fingerprint_of(shown, table)}.png"
    if not path.is_file():
        with atomic_path(path) as temporary:
            faces = [read_face(space, str(table.frame["file"].iat[one])) for one in shown]
            pair_picture(faces).save(temporary, format="PNG")
    value = told[reason] if reason in REASONS else float("nan")
    now = reason if np.isnan(value) else f"{reason} {value:.3g}"
    now += ", the second face stays in its place" if len(shown) > 1 else ""
    file = str(table.frame["file"].iat[row])
    return Question(key, path, file, strategy=reason, current=now, round=round_)


def fingerprint_of(rows: list[int], table: LabelTable) -> str:
    """Names the picture of these faces."""
    return "-".join(str(table.faces[row])[:16] for row in rows)


def take_in_verdicts(space: Workspace) -> tuple[CleanReport, Counter[str], int]:
    """Let what most annotators say become verdicts; returns the state, how many faces got which verdict in all, and how many
    are disputed. Always from the whole store: an answer that was taken back takes its verdict back. A later verdict from
    elsewhere stays."""
    answers = [one for one in store_of(space.root).all() if one.purpose == "cleaning"]
    told = resolve(answers, CLEANING.name)
    people: dict[str, set[str]] = {}
    for one in answers:
        if one.votes:
            people.setdefault(one.key, set()).add(one.annotator)
    frame = read_record(space).frame
    said = frame[(frame["verdict"] != "") | (frame["time"] != "")]  # "as the scores say" has a time too
    now = {str(face): Verdict(*rest) for face, *rest in said[["face", "verdict", "by", "time"]].itertuples(index=False)}
    verdicts = {face: Verdict("", "", "") for face, one in now.items() if one.by.startswith(_STUDIO)}
    for face, resolution in told.items():
        if resolution.value in CLEANING.values:
            here = now.get(face)
            if here is None or here.by.startswith(_STUDIO) or here.time < resolution.updated:
                by = _STUDIO + ", ".join(sorted(people[face]))
                verdicts[face] = Verdict(str(resolution.value), by, resolution.updated)
    report = set_verdicts(space, verdicts)
    counts = Counter(resolution.value for resolution in told.values() if resolution.value is not None)
    return report, counts, sum(resolution.disputed for resolution in told.values())
