"""What a user can cause, as one tree. The command line catches the base alone, so a bug keeps its traceback.

UserError
├── ConfigError      a preset, a YAML file or a `key=value` is wrong
├── InputError       files, labels or numbers handed in are wrong
│   └── TooFewLabels people have not labelled enough yet
├── WorkspaceError   a workspace lacks a stage, or holds another schema or other faces
├── ModelError       a model folder is missing a file, was tampered with or is of another version
├── StudioError      Label Studio is not there, refuses, or answers what was not expected
├── MissingExtra     an optional package is not installed
├── DivergedError    a training run left the finite numbers
└── ExhaustedError   a face never passed the judge
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "ConfigError",
    "DivergedError",
    "ExhaustedError",
    "InputError",
    "MissingExtra",
    "ModelError",
    "StudioError",
    "TooFewLabels",
    "UserError",
    "WorkspaceError",
    "did_you_mean",
]


def did_you_mean(typed: str, known: Iterable[str]) -> str:
    """The end of an error: " Did you mean male?" where a known name is close to what was typed, in either case, else ""."""
    import difflib  # every command imports this module, few make a mistake

    names = {name.lower(): name for name in known}
    close = difflib.get_close_matches(typed.lower(), names, n=1)
    return f" Did you mean {names[close[0]]}?" if close else ""


class UserError(Exception):
    """One sentence: what was expected, what was found and what to type next. Exit code 2."""


class ConfigError(UserError):
    """A preset, a YAML file or a `key=value` is wrong."""


class InputError(UserError):
    """Files, labels or numbers handed in are wrong."""


class TooFewLabels(InputError):  # noqa: N818 - says what is wrong, as its siblings do
    """People have not labelled enough yet: the same command goes on when they have."""


class WorkspaceError(UserError):
    """A workspace lacks a stage, or holds another schema or other faces."""


class ModelError(UserError):
    """A model folder is missing a file, was tampered with or is of another version."""


class StudioError(UserError):
    """Label Studio is not there, refuses, or answers what was not expected. gone: the project was deleted on the server."""

    def __init__(self, message: str, *, gone: bool = False) -> None:
        super().__init__(message)
        self.gone = gone


class MissingExtra(UserError):  # noqa: N818 - says what is wrong, as its siblings do
    """An optional package is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is needed here and is not installed. Type: pip install 'sga-gan[{extra}]'")


class DivergedError(UserError):
    """A training run left the finite numbers."""


class ExhaustedError(UserError):
    """A face never passed the judge."""
