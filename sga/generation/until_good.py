"""Draw until good: attempts of several faces at a time, in full batches, with the result of drawing one by one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Generic, Literal, Protocol, TypeVar

__all__ = ["OnExhausted", "Outcome", "Report", "until_good"]

OnExhausted = Literal["best", "gap", "error"]


class Candidate(Protocol):
    """A judged attempt. `merit` orders attempts that were not accepted: higher is better."""

    @property
    def accepted(self) -> bool: ...

    @property
    def merit(self) -> tuple[float, ...]: ...


C = TypeVar("C", bound=Candidate)


@dataclass(frozen=True)
class Outcome(Generic[C]):
    """A face that is done: the first accepted attempt, or after the last one the best. attempts: how many it took."""

    index: int
    candidate: C
    attempts: int


@dataclass
class Report:
    """What a call of `generate` did. seconds: wall time; attempts: as many as one-by-one drawing would have made."""

    faces: int = 0
    accepted: int = 0
    attempts: int = 0
    seconds: float = 0.0
    exhausted: list[int] = field(default_factory=list)

    @property
    def acceptance(self) -> float:
        """Share of attempts that the judge accepted, in [0, 1]."""
        return self.accepted / self.attempts if self.attempts else 0.0

    def add(self, outcome: Outcome[C]) -> None:
        """Count one face."""
        self.faces += 1
        self.attempts += outcome.attempts
        if outcome.candidate.accepted:
            self.accepted += 1
        else:
            self.exhausted.append(outcome.index)

    def __str__(self) -> str:
        rate = f"{self.accepted} of {self.attempts} attempts accepted ({100 * self.acceptance:.0f} %)"
        return f"{self.faces} face{'' if self.faces == 1 else 's'}, {rate}, {self.seconds:.2f} s"


class _Pending(Generic[C]):
    def __init__(self, index: int) -> None:
        self.index = index
        self.drawn = 0
        self.seen = 0
        self.best: C | None = None

    def see(self, candidate: C) -> None:
        """Take attempts in order; those drawn ahead of an accepted one do not count."""
        if self.best is not None and self.best.accepted:
            return
        self.seen += 1
        if self.best is None or (candidate.accepted, candidate.merit) > (self.best.accepted, self.best.merit):
            self.best = candidate


def until_good(
    faces: int | Iterable[int],
    judge: Callable[[Sequence[tuple[int, int]]], Sequence[C]],
    *,
    batch: int,
    max_attempts: int,
    report: Report | None = None,
) -> Iterator[Outcome[C]]:
    """Faces as they are done. faces: a number of them, or their indices, which are asked for one by one.

    judge: draws and judges up to `batch` (index, attempt) pairs; the answer to a pair must depend on the pair alone. Each batch
    takes the next attempt of the first `batch` pending faces; when fewer are pending, the free rows draw their later attempts
    ahead. At most `batch` faces are held at a time, however many are asked for.
    """
    started = time.perf_counter()
    waiting = (_Pending[C](index) for index in (range(faces) if isinstance(faces, int) else faces))
    active: list[_Pending[C]] = []
    while True:
        active += islice(waiting, batch - len(active))
        if not active:
            return
        pairs = _fill(active, batch, max_attempts)
        for (face, _), candidate in zip(pairs, judge([(face.index, attempt) for face, attempt in pairs]), strict=True):
            face.see(candidate)
        for face in active:
            best = face.best
            if best is not None and (best.accepted or face.seen == max_attempts):
                outcome = Outcome(face.index, best, face.seen)
                if report is not None:
                    report.add(outcome)
                    report.seconds = time.perf_counter() - started
                yield outcome
        active = [f for f in active if f.best is None or not (f.best.accepted or f.seen == max_attempts)]


def _fill(active: list[_Pending[C]], batch: int, max_attempts: int) -> list[tuple[_Pending[C], int]]:
    pairs: list[tuple[_Pending[C], int]] = []
    while len(pairs) < batch:
        open_faces = [face for face in active if face.drawn < max_attempts][: batch - len(pairs)]
        if not open_faces:
            break
        for face in open_faces:
            pairs.append((face, face.drawn))
            face.drawn += 1
    return pairs
