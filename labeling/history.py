"""`labeling/history.jsonl`: what each completion learnt from and how well it then did, the points of the learning curves."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from configs.errors import WorkspaceError
from labeling.workspace import Workspace

__all__ = ["Round", "append_rounds", "read_rounds"]


@dataclass(frozen=True)
class Round:
    """labels: those learnt from, of which human; value, low, high in [0, 1]: the score and its 95 % interval on n held-out
    labels; metric: balanced or accuracy; time: when, UTC."""

    attribute: str
    labels: int
    human: int
    metric: str
    value: float
    low: float
    high: float
    n: int
    time: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))


def append_rounds(workspace: Workspace, rounds: Iterable[Round]) -> None:
    """Add points; one that is there already (nothing has changed since) is not added again."""
    standing = [_without_time(one) for one in read_rounds(workspace)]
    path = workspace.root / "labeling" / "history.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as handle:
        for one in rounds:
            if _without_time(one) not in standing:
                handle.write(json.dumps(asdict(one), allow_nan=False) + "\n")
        handle.flush()
        os.fsync(handle.fileno())


def read_rounds(workspace: Workspace) -> list[Round]:
    """All points, oldest first; a line that an interruption cut off is passed over.

    Raises:
        WorkspaceError: another line is damaged.
    """
    path = workspace.root / "labeling" / "history.jsonl"
    if not path.is_file():
        return []
    rounds = []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        try:
            rounds.append(Round(**json.loads(line)))
        except (ValueError, TypeError) as error:
            if number == len(lines) and not line.endswith("\n"):
                break
            raise WorkspaceError(f"Expected a point of a learning curve in row {number} of {path}, found {line!r}.") from error
    return rounds


def _without_time(one: Round) -> tuple[object, ...]:
    return tuple(value for name, value in asdict(one).items() if name != "time")
