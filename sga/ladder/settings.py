"""Settings of a ladder."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from configs.settings import Settings
from sga.training.clock import Measure

__all__ = ["LadderSettings"]


class LadderSettings(Settings):
    """Which recipes are compared, for how long each, and by which evaluation."""

    rungs: list[str] = Field(
        min_length=1, description="presets of sga train, those in its folder ladder by their own name; the first is the base"
    )
    seeds: int = Field(1, ge=1, description="trainings a rung, with the seeds 0, 1, …")
    minutes: float = Field(15.0, gt=0, description="length of each training, minutes of training alone")
    images: int | None = Field(None, ge=1, description="length in images instead of minutes; None = minutes")
    clock: Literal["wall", "cpu"] = Field(
        "wall", description="of minutes; cpu = CPU time of all threads, where others work too"
    )
    points: int = Field(3, ge=1, description="snapshots of each training, evenly over its length; the last is its result")
    warm_start_from: str | None = Field(
        None, description="gan folder of a run; rungs with a warm start begin with its, whose time does not count"
    )
    overrides: list[str] = Field([], description="KEY=VALUE of sga train, for every rung")
    evaluation: str = Field("quick", description="preset of sga evaluate")
    evaluation_overrides: list[str] = Field([], description="KEY=VALUE of sga evaluate")
    strip: int = Field(6, ge=1, description="faces of each gender on a rung's strip")

    @model_validator(mode="after")
    def _each_once(self) -> LadderSettings:
        twice = sorted({name for name in self.rungs if self.rungs.count(name) > 1})
        if twice:
            raise ValueError(f"rungs must name each preset once, found {', '.join(twice)} more often")
        return self

    @property
    def measure(self) -> Measure:
        """What the length is measured by."""
        if self.images is not None:
            return "images"
        return "cpu_seconds" if self.clock == "cpu" else "seconds"

    @property
    def amount(self) -> float:
        """The length of a training, in units of `measure`."""
        return 60 * self.minutes if self.images is None else self.images
