"""`--where`: which pictures are taken, by what a CSV of metadata or the workspace says of them."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from configs.errors import InputError
from labeling.metadata import COLUMNS, Sheet, as_number, as_text, is_identifier, stored_metadata
from labeling.workspace import Workspace

__all__ = ["Condition", "Where"]

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "!=": operator.ne, "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt,
}  # fmt: skip


@dataclass(frozen=True)
class Condition:
    """One `--where`, such as year>2005."""

    text: str
    column: str
    sign: str
    value: str

    def failed(self, value: float | str | None) -> str:
        """Why a picture of this value (None = unknown) is not taken; "" if it is.

        Numbers are compared as numbers, also where the rest of their column is text; text that is no number has no value for
        a condition on numbers. An identifier such as 0012 equals itself alone.
        """
        if value is None:
            return f"no {self.column}, so not {self.text}"
        said, number, wanted = as_text(value), as_number(value), as_number(self.value)
        if self.sign in ("=", "!=") and (wanted is None or is_identifier(said) or is_identifier(self.value)):
            passed = _OPERATORS[self.sign](said, self.value)
        elif number is None:
            return f"no {self.column}, so not {self.text}: {said!r} is no number"
        else:
            passed = _OPERATORS[self.sign](number, wanted)
        return "" if passed else f"{self.column} is {said}, not {self.text}"


class Where:
    """The conditions of an ingest, and where the values stand: the sheet's word outweighs what is stored of a face."""

    def __init__(self, conditions: Sequence[str], sheet: Sheet | None, space: Workspace) -> None:
        """Read conditions on the columns of the sheet, whose rows are matched, and of what the workspace knows already.

        Raises:
            InputError: not COLUMN, one of = != < <= > >=, VALUE; no such column; or a word where numbers are compared.
        """
        self.sheet = sheet
        self._stored = stored_metadata(space).drop(columns=list(COLUMNS)) if conditions else pd.DataFrame()
        self.conditions = [self._read(text) for text in conditions]
        self.of_faces = frozenset(sheet.of_faces.values() if sheet and conditions else ())
        """The pictures of which the sheet has rows for single faces, so that only these can tell."""

    def _read(self, text: str) -> Condition:
        columns = dict.fromkeys([*(self.sheet.columns if self.sheet else ()), *self._stored.columns])
        parts = re.fullmatch(r"\s*([^=!<>]+?)\s*(=|!=|<=|>=|<|>)\s*([^=!<>].*?)\s*", text)
        if parts is None:
            raise InputError(
                f'Expected COLUMN, one of = != < <= > >=, and VALUE in --where, found {text!r}. Type --where "year>2005".'
            )
        condition = Condition(text, parts[1], parts[2], parts[3])
        if condition.column not in columns:
            there = ", ".join(columns) or "none: name their CSV with --metadata FILE"
            raise InputError(
                f"Expected a column of the metadata in --where {text!r}, found {parts[1]!r}; there are {there}. Correct it."
            )
        if as_number(condition.value) is None and (condition.sign not in ("=", "!=") or self._numbers(condition.column)):
            raise InputError(
                f"Expected a number for {condition.column} in --where {text!r}, found {condition.value!r}. Correct it."
            )
        return condition

    def _numbers(self, column: str) -> bool:
        """Whether the column holds nothing but numbers."""
        said = [value for value in (self.sheet.columns.get(column, ()) if self.sheet else ()) if value != ""]
        stored = column in self._stored and self._stored[column].dtype.kind != "f"
        return not stored and all(isinstance(value, float) for value in said)

    def failed(self, names: Iterable[str], faces: Iterable[str]) -> str:
        """Why what may be called `names` and came to be `faces` is not taken: the first condition that it fails; or ""."""
        names, faces = list(names), list(faces)
        told = (one.failed(self._value(one.column, names, faces)) for one in self.conditions)
        return next((reason for reason in told if reason), "")

    def _value(self, column: str, names: list[str], faces: list[str]) -> float | str | None:
        value = self.sheet.value(column, names) if self.sheet else None
        if value is None and column in self._stored:
            there: Iterable[Any] = (self._stored.at[face, column] for face in faces if face in self._stored.index)
            value = next((one for one in there if one != "" and one == one), None)
        return value
