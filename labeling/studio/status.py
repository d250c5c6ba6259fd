"""What `sga label status` tells: labels, the queue of each project, the learning curves, and what more labels would bring."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from configs.errors import InputError, StudioError
from labeling.agreement import Estimate, Pace, pace, share
from labeling.answers import Answer, random_sample, resolve, store_of
from labeling.history import Round, read_rounds
from labeling.learning_curve import LearningCurve, Needed, Point, fit_curve
from labeling.queue import standing
from labeling.studio.client import StudioClient
from labeling.studio.interface import UNCLEAR
from labeling.studio.projects import Project, read_projects
from labeling.studio.tasks import asked_in
from labeling.table import LabelTable
from labeling.workspace import Workspace

__all__ = ["Chance", "Progress", "Queue", "Status", "curve_of", "format_status", "read_status"]

_EXTRA = (100, 300, 1000)  # labels whose worth is told
_PAYS = 0.1  # percentage points for every 100 more labels: less is lost in the noise of any held-out set
_BAR = 24


@dataclass(frozen=True)
class Chance:
    """What people said of faces that were picked at random, near duplicates counted once: an estimate of the class shares of
    all faces that had no label at that time. shares: of the values among the `decided`; unclear: those nobody could tell."""

    shares: dict[str, Estimate]
    unclear: int
    decided: int


@dataclass(frozen=True)
class Progress:
    """One attribute. cells: how many of each source; labels: original and human ones by value; both without the faces that
    cleaning left out; rounds: points of the learning
    curve, oldest first; chance: None without random picks; pace: None without lead times."""

    attribute: str
    cells: dict[str, int]
    labels: dict[str, int]
    rounds: tuple[Round, ...]
    chance: Chance | None
    pace: Pace | None


@dataclass(frozen=True)
class Queue:
    """One project, in keys. waiting: on the server without an answer as far as was pulled, None = the server was not asked;
    problem: why it was not, "" where it was; answered: with a value; disputed: those of the answered and unclear ones about
    which people disagree."""

    project: Project
    waiting: int | None
    answered: int
    unclear: int
    skipped: int
    open: int
    refused: int
    disputed: int
    problem: str = ""


@dataclass(frozen=True)
class Status:
    """Everything that is told, ready to be formatted. root: of the workspace."""

    root: Path
    progress: tuple[Progress, ...]
    queues: tuple[Queue, ...]


def read_status(space: Workspace, client: StudioClient | None = None, problem: str = "") -> Status:
    """The state of a workspace's labels. client: asked how much waits, None = nothing is asked; problem: why there is none.

    What goes wrong with the server is told in the queues, never raised.

    Raises:
        WorkspaceError: no label table, or a damaged file.
    """
    table, answers, rounds = space.table(), store_of(space.root).all(), read_rounds(space)
    progress = tuple(_progress(table, name, answers, rounds) for name in table.schema.names)
    queues = tuple(_queue(project, answers, client, problem) for project in read_projects(space))
    return Status(space.root, progress, queues)


def _progress(table: LabelTable, name: str, answers: Sequence[Answer], rounds: Sequence[Round]) -> Progress:
    attribute = table.schema[name]
    known = table.codes(name)[table.labelled(name) & table.kept()]
    return Progress(
        name,
        table.histogram(name).sources,
        {value: int((known == code).sum()) for code, value in enumerate(attribute.values)},
        tuple(one for one in rounds if one.attribute == name),
        _chance(answers, name, attribute.values),
        pace(answer for answer in answers if answer.attribute == name and answer.purpose == "label"),
    )


def _chance(answers: Iterable[Answer], name: str, values: Sequence[str]) -> Chance | None:
    said = random_sample(answers, name)
    unclear, decided = said.pop(UNCLEAR, 0), said.total()
    return Chance({value: share(said[value], decided) for value in values}, unclear, decided) if decided else None


def _queue(project: Project, answers: Sequence[Answer], client: StudioClient | None, problem: str) -> Queue:
    about = [answer for answer in answers if answer.attribute == project.attribute]
    mine = [answer for answer in about if (answer.server, answer.project) == (project.server, project.id)]
    states = _states(mine)
    voted = {key for key, state in states.items() if state in ("answered", UNCLEAR)}
    disputed = voted & {key for key, one in resolve(about, project.attribute).items() if one.disputed}
    waiting = None
    if client is not None and client.connection.server != project.server:
        problem = f"on another server, {project.server}"
    elif client is not None:
        try:
            waiting = len(standing(mine, project.attribute, _asked(client, project)).waiting)
        except StudioError as error:
            problem = "deleted on the server" if error.gone else str(error)
    count = Counter(states.values())
    return Queue(
        project,
        waiting,
        count["answered"],
        count[UNCLEAR],
        count["skip"],
        count["open"],
        count["refused"],
        len(disputed),
        problem,
    )


def _states(answers: Iterable[Answer]) -> dict[str, str]:
    """key → answered, unclear, skip, open or refused: an answer counts before whatever is none, the newer before the older."""
    newest: dict[str, Answer] = {}
    for answer in answers:
        standing_ = newest.get(answer.key)
        rank = (answer.state == "answer", answer.updated)
        if answer.state != "withdrawn" and (standing_ is None or rank >= (standing_.state == "answer", standing_.updated)):
            newest[answer.key] = answer
    return {key: _state(answer) for key, answer in newest.items()}


def _state(answer: Answer) -> str:
    if answer.state != "answer":
        return answer.state
    return UNCLEAR if answer.value == UNCLEAR else "answered"


def _asked(client: StudioClient, project: Project) -> dict[str, int]:
    asked: dict[str, int] = {}
    for _, data in client.tasks(project.id):
        for key, round_ in asked_in(data):
            asked[key] = max(round_, asked.get(key, 0))
    return asked


# -- for people ------------------------------------------------------------------------------------------------------------


def format_status(status: Status) -> str:
    """As plain text: a table of labels, one of queues, then a block for each attribute that people or the ensemble told of."""
    parts = [_labels(status.progress), _queues(status.queues, status.root)]
    parts += [block for one in status.progress if (block := _block(one))]
    return "\n\n".join(part for part in parts if part)


def _labels(progress: Sequence[Progress]) -> str:
    width = max(len(one.attribute) for one in progress)
    lines = [f"{'attribute':<{width}} {'human':>9} {'original':>9} {'completed':>9} {'missing':>9}  labels"]
    for one in progress:
        cells = " ".join(f"{one.cells[source]:>9,}" for source in ("human", "original", "completed", "missing"))
        values = ", ".join(f"{value} {count:,}" for value, count in one.labels.items())
        lines.append(f"{one.attribute:<{width}} {cells}  {values}")
    return "\n".join(lines)


def _queues(queues: Sequence[Queue], root: Path) -> str:
    if not queues:
        return f"No questions were sent yet. Type: sga label push --attribute NAME --workspace {root}"
    columns = ("waiting", "answered", "unclear", "skipped", "open", "disputed", "refused")
    names = [
        f"{queue.project.id} {queue.project.attribute} {queue.project.purpose}, {queue.project.layout}" for queue in queues
    ]
    width = max(*map(len, names), len("project"))
    lines = [f"{'project':<{width}} " + " ".join(f"{column:>8}" for column in columns)]
    for name, queue in zip(names, queues, strict=True):
        cells = ["?" if value is None else f"{value:,}" for value in (getattr(queue, column) for column in columns)]
        lines.append(f"{name:<{width}} " + " ".join(f"{cell:>8}" for cell in cells))
    reasons: dict[str, list[str]] = {}
    for queue in queues:
        if queue.problem:
            reasons.setdefault(queue.problem, []).append(str(queue.project.id))
    lines += [f"How much waits in project {', '.join(numbers)} is not known: {reason}" for reason, numbers in reasons.items()]
    if any(queue.waiting is not None for queue in queues):
        lines.append(f"Waiting as far as was pulled; what was answered since: sga label pull --workspace {root}")
    return "\n".join(lines)


def _block(one: Progress) -> str:
    lines = []
    if one.chance is not None:
        lines.append(
            f"  {one.chance.decided} random picks decided, {one.chance.unclear} unclear; of the faces that had no label: "
            + ", ".join(f"{value} {_percent(told)}" for value, told in one.chance.shares.items())
        )
    if one.pace is not None:
        lines.append(f"  {one.pace.faces_per_minute:.1f} faces a minute (median of {one.pace.n} faces)")
    if one.rounds:
        lines += [*_curve_table(one.rounds), *_outlook(one.rounds)]
    return "\n".join([one.attribute, *lines]) if lines else ""


def _curve_table(rounds: Sequence[Round]) -> list[str]:
    lines = [f"  {'labels':>8} {'human':>7} {rounds[-1].metric + ' accuracy' * (rounds[-1].metric == 'balanced'):>18}  when"]
    for one in rounds:
        bar = "█" * round(_BAR * one.value)
        score = f"{100 * one.value:.1f} [{100 * one.low:.1f}, {100 * one.high:.1f}]"
        lines.append(f"  {one.labels:>8,} {one.human:>7,} {score:>18}  {one.time[:10]}  {bar}".rstrip())
    return lines


def _outlook(rounds: Sequence[Round]) -> list[str]:
    """What more labels would bring, or why nobody can tell."""
    others = len(rounds) - len(_alike(rounds))
    lines = [f"  Not counted, being of other settings or held-out labels than the newest: {others}."] if others else []
    try:
        curve = curve_of(rounds)
    except InputError as error:
        return [*lines, f"  {error}"]
    gains = ", ".join(
        f"{extra:,} more labels {gain.value:+.1f} points [{gain.low:.1f}, {gain.high:.1f}]"
        for extra, gain in ((extra, curve.worth(extra)) for extra in _EXTRA)
    )
    last = curve.points[-1].labels
    percent = 100 * curve.predict(last).value
    step = 5 if percent < 95 else 1
    target = min(100, int(percent // step + 1) * step)
    needed, until = curve.labels_needed(target / 100), curve.pays_until(_PAYS)
    return [
        *lines,
        f"  Expected of {gains}.",
        f"  {_more(needed, last, '∞')} are likely to bring it to {target} %.",
        f"  {_more(until, last, 'any number')} are likely to pay off: 100 of them bring {_PAYS} points or more.",
    ]


def _more(needed: Needed, last: int, none: str) -> str:
    """How many more than the `last` labels, with the interval. none: what stands where there is no such number."""
    more, low, high = (none if end is None else f"{max(0, end - last):,}" for end in needed)
    return f"{more} more labels [{low}, {high}]"


def curve_of(rounds: Sequence[Round]) -> LearningCurve:
    """The learning curve of those of one attribute's rounds that were measured as the newest one was.

    Raises:
        InputError: it cannot be fitted (too few rounds, or no rise); says which.
    """
    # An interval of no width (all right) still is of n faces: half a face is the least that can be told.
    return fit_curve(Point(one.labels, one.value, max((one.high - one.low) / 3.92, 0.5 / one.n)) for one in _alike(rounds))


def _alike(rounds: Sequence[Round]) -> list[Round]:
    """Those with the metric, the ensemble's settings and the held-out labels of the newest one: another of them moves the score
    by more than labels do."""
    newest = rounds[-1]
    measured = (newest.metric, newest.settings, newest.test)
    return [one for one in rounds if (one.metric, one.settings, one.test) == measured and one.n]


def _percent(told: Estimate) -> str:
    return f"{100 * told.value:.1f} % [{100 * told.low:.1f}, {100 * told.high:.1f}]"
