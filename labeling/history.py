"""`labeling/history.jsonl`: what each completion learnt from and how well it then did, the points of the learning curves."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from configs.files import explain_os_error
from labeling.workspace import Workspace

__all__ = ["Round", "append_rounds", "read_rounds"]


@dataclass(frozen=True)
class Round:
    """labels: those learnt from, of which human; value, low, high in [0, 1]: the score and its 95 % interval on n held-out
    labels; metric: balanced or accuracy; settings, test: name the ensemble's settings and the held-out labels, so that points
    that can be compared are known; time: when, UTC."""

    attribute: str
    labels: int
    human: int
    metric: str
    value: float
    low: float
    high: float
    n: int
    settings: str = ""
    test: str = ""
    time: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))


def append_rounds(workspace: Workspace, rounds: Iterable[Round]) -> None:
    """Add points; one that is there already (nothing has changed since) is not added again.

    Raises:
        InputError: the disk is full or the file cannot be written.
    """
    standing = {_measured(one) for one in read_rounds(workspace)}
    lines = [json.dumps(asdict(one), allow_nan=False) + "\n" for one in rounds if _measured(one) not in standing]
    path = _path(workspace)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as handle:
            if handle.tell() and path.read_bytes()[-1:] != b"\n":  # what an interruption cut off stays a line of its own
                handle.write(b"\n")
            handle.write("".join(lines).encode())
            handle.flush()
            os.fsync(handle.fileno())
    except OSError as error:
        raise explain_os_error(error, path) from error


def read_rounds(workspace: Workspace) -> list[Round]:
    """All points, oldest first; a line that an interruption cut off is passed over: it is a figure, and the next completion
    measures anew."""
    path = _path(workspace)
    rounds = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []:
        with suppress(ValueError, TypeError):
            rounds.append(Round(**json.loads(line)))
    return rounds


def _path(workspace: Workspace) -> Path:
    return workspace.root / "labeling" / "history.jsonl"


def _measured(one: Round) -> tuple[object, ...]:
    """What makes a point another one: not when it was measured, nor who said a label that stayed the same."""
    return tuple(value for name, value in asdict(one).items() if name not in ("time", "human"))
