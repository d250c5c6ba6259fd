"""A stage of a run, and whether it is done."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from pydantic import ValidationError

from configs.settings import Settings
from labeling.workspace import STAGES, Workspace

__all__ = ["Step", "stage_step"]


@dataclass(frozen=True)
class Step:
    """A stage of a run: its command, whether it is done with the run's settings and files, and what does it."""

    command: str
    done: Callable[[], bool]
    do: Callable[[], object]


def stage_step(
    workspace: Workspace,
    name: str,
    settings: Settings,
    do: Callable[[], object],
    taken_in: Callable[[], bool] = lambda: True,
) -> Step:
    """A stage of the workspace. taken_in: whether it has taken in the files that the run names."""

    def done() -> bool:
        return workspace.state(name) == "done" and _made_with(workspace, name, settings) and taken_in()

    return Step(STAGES[name].command, done, do)


def _made_with(workspace: Workspace, name: str, wanted: Settings) -> bool:
    """Whether the record of a stage has the wanted settings; where it runs does not count."""
    made = dict((workspace.record(name) or {}).get("settings", {}))
    with suppress(ValidationError):  # a record of an older version: a setting it did not know was as the default says
        made = type(wanted).model_validate(made).model_dump(mode="json") if made else made
    asked = wanted.model_dump(mode="json")
    return {**made, "launch": None} == {**asked, "launch": None}
