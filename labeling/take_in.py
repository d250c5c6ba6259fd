"""Answers into the label table: always from the whole store, so whatever was interrupted is made good by the next time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import numpy as np

from configs.errors import InputError, WorkspaceError
from configs.files import atomic_write_text, read_json
from labeling.answers import TABLE, Answer, Identity, Resolution, ballots, instant, resolve, store_of
from labeling.provenance import MISSING_CODE, Source
from labeling.schema import Attribute
from labeling.studio.interface import UNCLEAR
from labeling.table import LabelTable
from labeling.workspace import Workspace

__all__ = ["Taken", "take_in", "take_in_stored"]

_PURPOSES = ("label", "review", TABLE)
_ATTEMPTS = 10
_RESTORE = "Restore the file from a copy; without it every pulled label would count as one from elsewhere."

Ledger: TypeAlias = dict[str, dict[str, list[str]]]
"""attribute → face → the values that answers put into the cell; two while it is being written. Another human label in the cell
came from elsewhere (`sga ingest`), and counts as a vote."""


@dataclass
class Taken:
    """What the answers came to, and what that changed in the label table.

    written[attribute][value]: cells that changed to a human label; restored[attribute]: cells whose label was taken back (the
    annotation was deleted, or somebody disagreed), which hold again what stood there before; resolutions[attribute][key]: of
    the faces in the table; absent: answered faces that are not in it; changed: whether labels or their record were written.
    """

    written: dict[str, Counter[str]] = field(default_factory=dict)
    restored: Counter[str] = field(default_factory=Counter)
    resolutions: dict[str, dict[str, Resolution]] = field(default_factory=dict)
    absent: int = 0
    changed: bool = False

    def disputed(self, attribute: str) -> list[str]:
        """The keys that stay open because of a tie."""
        return [key for key, told in self.resolutions.get(attribute, {}).items() if told.disputed]

    def settled(self, attribute: str) -> dict[str, str]:
        """key → value, of those that came to a value of the attribute."""
        found = {key: told.value for key, told in self.resolutions.get(attribute, {}).items()}
        return {key: value for key, value in found.items() if value is not None and value != UNCLEAR}

    def lines(self) -> list[str]:
        """One line a fact, for people."""
        lines = []
        for name, resolutions in self.resolutions.items():
            cells = ", ".join(f"{value} {count:,}" for value, count in sorted(self.written.get(name, {}).items()))
            unclear = sum(told.value == UNCLEAR for told in resolutions.values())
            disputed = len(self.disputed(name))
            parts = [f"cells written: {cells or 'none'}"]
            parts += [f"{self.restored[name]:,} taken back"] if self.restored[name] else []
            parts += [f"{unclear:,} unclear"] if unclear else []
            parts += [f"{disputed:,} disputed (the next sga label push asks again)"] if disputed else []
            lines.append(f"{name}: " + "; ".join(parts))
        if self.absent:
            lines.append(f"{self.absent:,} answered faces are not in the table (any more); their answers are kept.")
        return lines


@dataclass(frozen=True)
class _Cell:
    value: str | None
    source: Source
    confidence: float


_EMPTY = _Cell(None, Source.MISSING, float("nan"))


def take_in(space: Workspace) -> Taken:
    """Resolve all answers of purpose label and review and write them into the label table, as human labels.

    A cell becomes what most annotators say. A human label that came from elsewhere votes as an annotator of its own; so one
    contradicting answer makes a tie, and it stays. While nothing is settled the cell holds what it held without answers. What
    is replaced is kept in the store first. The same store and table again change no byte.

    Raises:
        WorkspaceError: no label table, or other commands changed it again and again meanwhile.
    """
    store = store_of(space.root)
    with store.locked():
        for _ in range(_ATTEMPTS):
            stamp, table, ledger = _stamp(space), space.table(), _read_ledger(space)
            answers = [answer for answer in store.all() if answer.purpose in _PURPOSES]
            taken, plans = Taken(), []
            for attribute in table.schema:
                mine = [answer for answer in answers if answer.attribute == attribute.name]
                plan = _plan(table, attribute, mine, ledger.get(attribute.name, {}), taken)
                _apply(table, attribute, plan.changes)
                plans.append(plan)
            store.append(answer for plan in plans for answer in plan.kept)
            after = {plan.name: plan.ours for plan in plans if plan.ours}
            if any(plan.changes for plan in plans):
                _write_ledger(space, _union(ledger, after))
            if _stamp(space) != stamp:
                continue  # another command wrote the table: the answers are safe, so begin again with what it wrote
            taken.changed = space.relabelled(table)
            _write_ledger(space, after)
            return taken
    raise WorkspaceError(
        f"Expected {space.labels_path} to rest for a moment, found other commands writing it again and again. The answers are "
        "kept; when the other command is done, type: sga label pull"
    )


def take_in_stored(space: Workspace) -> None:
    """`take_in` where anybody ever pulled: for commands that read or write the label table by themselves."""
    if store_of(space.root).path.is_file():
        take_in(space)


@dataclass(frozen=True)
class _Plan:
    """Of one attribute. changes: row → what the cell becomes; kept: labels that came from elsewhere, to be stored first."""

    name: str
    changes: dict[int, _Cell]
    kept: list[Answer]
    ours: dict[str, list[str]]


def _plan(
    table: LabelTable, attribute: Attribute, answers: Sequence[Answer], ours: Mapping[str, list[str]], taken: Taken
) -> _Plan:
    name = attribute.name
    keys = sorted({*ballots((answer for answer in answers if answer.server != TABLE), name), *ours})
    cells = {key: (int(row), cell) for key, row, cell in _cells(table, attribute, keys)}
    rows = {answer.identity: answer for answer in answers}
    kept = []
    for key, (_, cell) in cells.items():
        if cell.source >= Source.ORIGINAL and not (cell.source is Source.HUMAN and cell.value in ours.get(key, ())):
            told = _kept(key, name, cell)
            before = rows.get(told.identity)
            if before is None or (before.value, before.confidence) != (told.value, told.confidence):
                rows[told.identity] = told
                kept.append(told)
    found = {key: told for key, told in resolve(rows.values(), name).items() if key in cells}
    plan = _Plan(name, {}, kept, {key: values for key, values in ours.items() if key not in cells})
    written: Counter[str] = Counter()
    for key, (row, cell) in cells.items():
        value = found[key].value if key in found else None
        if value in attribute.values:
            target = _Cell(value, Source.HUMAN, 1.0)
            plan.ours[key] = [str(value)]
        else:
            target = _without_answers(cell, rows, key, name)
        if (target.value, target.source) != (cell.value, cell.source):
            plan.changes[row] = target
            if target.source is Source.HUMAN and key in plan.ours:
                written[str(target.value)] += 1
            else:
                taken.restored[name] += 1
    if found or plan.changes:
        taken.resolutions[name], taken.written[name] = found, written
    taken.absent += len(keys) - len(cells)
    return plan


def _without_answers(cell: _Cell, rows: Mapping[Identity, Answer], key: str, name: str) -> _Cell:
    """What a cell holds while the answers settle nothing: the human label from elsewhere, else what stood there before one."""
    for source in (Source.HUMAN, Source.ORIGINAL):
        kept = rows.get((TABLE, 0, int(source), key, name))
        if kept is not None and (source is Source.HUMAN or cell.source is Source.HUMAN):
            return _Cell(kept.value, source, 1.0 if kept.confidence is None else kept.confidence)
    return _EMPTY if cell.source is Source.HUMAN else cell


def _cells(table: LabelTable, attribute: Attribute, keys: Sequence[str]) -> Iterable[tuple[str, int, _Cell]]:
    """(key, row, cell) of those that are in the table."""
    codes, sources, confidence = (read(attribute.name) for read in (table.codes, table.sources, table.confidence))
    for key, row in zip(keys, table.rows(keys), strict=True):
        if row >= 0:
            value = None if codes[row] == MISSING_CODE else attribute.values[codes[row]]
            yield key, row, _Cell(value, Source(sources[row]), float(confidence[row]))


def _kept(key: str, name: str, cell: _Cell) -> Answer:
    now = instant(datetime.now(UTC))
    return Answer(
        server=TABLE,
        project=0,
        task=0,
        annotation=int(cell.source),
        key=key,
        attribute=name,
        purpose=TABLE,
        state="answer",
        value=cell.value,
        reason="",
        annotator=TABLE,
        created=now,
        updated=now,
        lead_time=None,
        predicted=None,
        confidence=cell.confidence,
        model_version=None,
        strategy="",
        round=0,
    )


def _apply(table: LabelTable, attribute: Attribute, changes: Mapping[int, _Cell]) -> None:
    lower = [row for row, cell in changes.items() if cell.source < Source.HUMAN]
    if lower:
        table.clear(attribute.name, np.asarray(lower))
    for source in (Source.ORIGINAL, Source.HUMAN):
        chosen = {row: cell for row, cell in changes.items() if cell.source is source}
        codes = [attribute.code(str(cell.value)) for cell in chosen.values()]
        confidence = np.asarray([cell.confidence for cell in chosen.values()], dtype=np.float32)
        if chosen:
            table.fill(attribute.name, np.asarray(list(chosen)), np.asarray(codes), source, confidence)


# -- files -----------------------------------------------------------------------------------------------------------------


def _stamp(space: Workspace) -> tuple[int, int] | None:
    """Tells one state of the label table from another."""
    if not space.labels_path.is_file():
        return None
    state = space.labels_path.stat()
    return state.st_ino, state.st_mtime_ns


def _ledger_path(space: Workspace) -> Path:
    return space.root / "labeling" / "taken.json"


def _read_ledger(space: Workspace) -> Ledger:
    path = _ledger_path(space)
    try:
        ledger = read_json(path) if path.is_file() else {}
    except InputError as error:
        raise WorkspaceError(f"Expected the labels that came from answers in {path}, found no JSON. {_RESTORE}") from error
    sound = isinstance(ledger, dict) and all(
        isinstance(faces, dict) and all(isinstance(values, list) for values in faces.values()) for faces in ledger.values()
    )
    if not sound:
        raise WorkspaceError(f"Expected the labels that came from answers in {path}, found something else. {_RESTORE}")
    return ledger


def _write_ledger(space: Workspace, ledger: Ledger) -> None:
    if ledger != _read_ledger(space):
        atomic_write_text(_ledger_path(space), json.dumps(ledger, sort_keys=True) + "\n")


def _union(before: Ledger, after: Ledger) -> Ledger:
    """Both values of a cell that is about to change: whichever a crash leaves there is known to come from answers."""
    both: Ledger = {}
    for name in {*before, *after}:
        old, new = before.get(name, {}), after.get(name, {})
        both[name] = {key: list(dict.fromkeys([*old.get(key, ()), *new.get(key, ())])) for key in {*old, *new}}
    return both
