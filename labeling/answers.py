"""What people answered: an append-only file, one row a change, and the one rule by which answers become a label."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeAlias

from configs.errors import InputError, WorkspaceError
from configs.files import explain_os_error, hold
from labeling.provenance import Source

__all__ = [
    "TABLE",
    "Answer",
    "AnswerStore",
    "Identity",
    "Resolution",
    "ballots",
    "instant",
    "quality_labels",
    "random_sample",
    "resolve",
    "store_of",
    "table_lock",
]

TABLE = "table"
"""Server, purpose and annotator of the rows that keep what the label table said, of itself. Their `annotation` is the `Source`
of the cell: HUMAN votes as an annotator of that name, ORIGINAL does not vote and comes back when nobody does."""

State: TypeAlias = Literal["answer", "skip", "open", "refused", "withdrawn"]
Identity: TypeAlias = tuple[str, int, int, str, str]


@dataclass(frozen=True)
class Answer:
    """One annotator's answer about one key and attribute, as one annotation on a server holds it.

    state: `answer`; `skip` (kept, asked again); `open` (a cell of a wall that was left empty); `refused` (what the server holds
    is no valid choice; `reason` says why); `withdrawn` (the annotation was deleted on the server; `value` is what it said).
    created, updated: as `instant` writes them. lead_time: seconds the annotator took for the task, a wall's for all its cells.
    predicted, confidence (in [0, 1]), model_version: the pre-annotation that was shown, None without one.
    """

    server: str
    project: int
    task: int
    annotation: int
    key: str
    attribute: str
    purpose: str
    state: State
    value: str | None
    reason: str
    annotator: str
    created: str
    updated: str
    lead_time: float | None
    predicted: str | None
    confidence: float | None
    model_version: str | None
    strategy: str
    round: int

    @property
    def identity(self) -> Identity:
        """What a later row replaces."""
        return self.server, self.project, self.annotation, self.key, self.attribute

    @property
    def votes(self) -> bool:
        """Whether it counts in `resolve`."""
        return self.state == "answer" and (self.server != TABLE or self.annotation == Source.HUMAN)


def instant(time: str | datetime) -> str:
    """A time in UTC with six digits behind the seconds: such texts sort as the times do. The empty text stays as it is.

    Raises:
        InputError: no ISO 8601 time.
    """
    if time == "":
        return ""
    try:
        moment = datetime.fromisoformat(time) if isinstance(time, str) else time
    except ValueError as error:
        raise InputError(f"Expected an ISO 8601 time, found {time!r}.") from error
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class AnswerStore:
    """`answers.jsonl`: one JSON object a line, only ever appended to. The newest row of an identity counts, all are kept."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._locked = False

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from appending; waits for one that does. May be entered again inside."""
        if self._locked:
            yield
            return
        with hold(self.path):
            self._locked = True
            try:
                yield
            finally:
                self._locked = False

    def append(self, answers: Iterable[Answer]) -> list[Answer]:
        """Write rows and wait until they are on the disk; returns those written.

        A row that says what the newest of its identity says already is passed over, so the same answers twice change nothing.
        What a crash left of a last line is moved to `answers.torn` first.

        Raises:
            InputError: the disk is full or the file cannot be written.
        """
        with self.locked():
            self._mend()
            newest = {answer.identity: answer for answer in self.all()}
            fresh = []
            for answer in answers:
                if newest.get(answer.identity) != answer:
                    newest[answer.identity] = answer
                    fresh.append(answer)
            if fresh:
                lines = "".join(json.dumps(asdict(answer), ensure_ascii=False, allow_nan=False) + "\n" for answer in fresh)
                _write(self.path, lines.encode())
            return fresh

    def all(self) -> list[Answer]:
        """The newest row of every identity, in the order of their first rows.

        Raises:
            WorkspaceError: a line is damaged.
        """
        return list({answer.identity: answer for answer in self.rows()}.values())

    def rows(self) -> Iterator[Answer]:
        """Every row, oldest first; a last line that is being written, or that a crash tore, is left out.

        Raises:
            WorkspaceError: a line is damaged.
        """
        if not self.path.is_file():
            return
        *lines, _ = self.path.read_bytes().split(b"\n")
        for number, line in enumerate(lines, 1):
            try:
                yield Answer(**json.loads(line))
            except (ValueError, TypeError) as error:
                raise WorkspaceError(
                    f"Expected an answer in line {number} of {self.path}, found: {error}. Move that line to another file, "
                    "delete nothing else, and fetch it again: sga label pull --all"
                ) from error

    def _mend(self) -> None:
        data = self.path.read_bytes() if self.path.is_file() else b""
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            _write(self.path.with_suffix(".torn"), data[whole:] + b"\n")
            os.truncate(self.path, whole)


def _write(path: Path, data: bytes) -> None:
    """Append, and wait for the disk."""
    try:
        with path.open("ab") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
    except OSError as error:
        raise explain_os_error(error, path) from error


def store_of(root: Path) -> AnswerStore:
    """The answers of the workspace in the folder `root`."""
    return AnswerStore(root / "labeling" / "answers.jsonl")


@contextmanager
def table_lock(root: Path) -> Iterator[None]:
    """Keep a pull from writing the label table of the workspace in `root` meanwhile; where nobody pulled yet, nothing does."""
    store = store_of(root)
    with store.locked() if store.path.is_file() else nullcontext():
        yield


@dataclass(frozen=True)
class Resolution:
    """What all answers about one key come to.

    value: a value of the attribute, UNCLEAR, or None while open; votes: how many annotators say what; annotators: how many
    there are; updated: the newest of their answers; disputed: most votes went to several values at once.
    """

    key: str
    attribute: str
    value: str | None
    votes: dict[str, int]
    annotators: int
    updated: str
    disputed: bool


def ballots(answers: Iterable[Answer], attribute: str, *, first: bool = False) -> dict[str, dict[str, Answer]]:
    """key → annotator → the newest answer that this annotator gave to the last question about the attribute (its name).

    A face is asked about again when people disagree or its label looks wrong; the answers to the new question then decide
    alone. first: to the first question instead, before anybody could know what others say. A skip, or an answer that was
    withdrawn or refused, is no vote, and takes none back that the same annotator gave elsewhere.
    """
    rounds: dict[str, dict[int, dict[str, Answer]]] = {}
    for answer in answers:
        if answer.attribute == attribute and answer.votes:
            said = rounds.setdefault(answer.key, {}).setdefault(max(1, answer.round), {})
            standing = said.get(answer.annotator)
            if standing is None or (answer.updated, answer.annotation) >= (standing.updated, standing.annotation):
                said[answer.annotator] = answer
    return {key: said[min(said) if first else max(said)] for key, said in rounds.items()}


def resolve(answers: Iterable[Answer], attribute: str) -> dict[str, Resolution]:
    """The resolution of every key that somebody votes on: of the `ballots`, the value that most annotators give wins; a tie is
    disputed and stays open."""
    return {key: _count(key, attribute, list(said.values())) for key, said in ballots(answers, attribute).items()}


def _count(key: str, attribute: str, answers: list[Answer]) -> Resolution:
    votes = Counter(str(answer.value) for answer in answers)
    first, *rest = votes.most_common(2)
    disputed = bool(rest) and rest[0][1] == first[1]
    newest = max(answer.updated for answer in answers)
    return Resolution(key, attribute, None if disputed else first[0], dict(votes), len(answers), newest, disputed)


def random_sample(answers: Iterable[Answer], attribute: str) -> Counter[str]:
    """How often people came to each value (and to UNCLEAR) of the faces that were picked at random, each face once: the one
    honest sample of all faces that had no label then, whatever other strategies asked about.

    A wall with empty cells is left out: who marks the men alone says nothing of how many there are.
    """
    mine = [answer for answer in answers if answer.attribute == attribute and answer.purpose in ("label", "review")]
    partial = {answer.identity[:3] for answer in mine if answer.state == "open"}
    chosen = (answer for answer in mine if answer.purpose == "label" and answer.strategy == "random")
    picked = {answer.key for answer in chosen if answer.identity[:3] not in partial}
    return Counter(one.value for key, one in resolve(mine, attribute).items() if key in picked and one.value is not None)


def quality_labels(store: AnswerStore) -> dict[str, str]:
    """What people say of generated faces (projects of purpose `quality`): key → value, those that are settled."""
    answers = [answer for answer in store.all() if answer.purpose == "quality"]
    names = sorted({answer.attribute for answer in answers})
    return {key: told.value for name in names for key, told in resolve(answers, name).items() if told.value is not None}
