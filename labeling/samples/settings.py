"""What to draw and how much of the truth to tell."""

from __future__ import annotations

from pydantic import Field, model_validator

from configs.settings import Settings

__all__ = ["QualityMix", "SampleSettings"]


class QualityMix(Settings):
    """How often each quality is drawn, as weights."""

    low: float = Field(0.15, ge=0, description="distorted faces")
    median: float = Field(0.20, ge=0, description="plain or blurry faces")
    high: float = Field(0.65, ge=0, description="clean faces")

    @model_validator(mode="after")
    def _something(self) -> QualityMix:
        if self.low + self.median + self.high <= 0:
            raise ValueError("at least one quality needs a weight above 0")
        return self


class SampleSettings(Settings):
    """Settings of `sga samples`. Face i depends on `seed`, i, `quality` and `male` alone, never on count or workers."""

    count: int = Field(1000, ge=1, le=1_000_000, description="faces to draw")
    size: int = Field(96, ge=64, le=512, description="side of a face, pixels")
    seed: int = Field(0, ge=0, description="another seed, other faces")
    hidden: float = Field(0.5, ge=0, le=1, description="rate at which a label is hidden, each cell on its own")
    hidden_by_attribute: dict[str, float] = Field(default_factory=dict, description="another rate for single attributes")
    quality: QualityMix = Field(default_factory=QualityMix, description="mix of qualities")
    male: float = Field(0.3, ge=0, le=1, description="share of male faces")
    workers: int = Field(1, ge=1, le=256, description="processes that draw")

    @model_validator(mode="after")
    def _rates(self) -> SampleSettings:
        from labeling.samples.truth import sample_schema

        for name, rate in self.hidden_by_attribute.items():
            if name not in sample_schema():
                raise ValueError(f"hidden_by_attribute: {name!r} is no attribute of schema moe34")
            if not 0 <= rate <= 1:
                raise ValueError(f"hidden_by_attribute: the rate of {name} must be in 0 … 1, found {rate}")
        return self

    def hidden_rate(self, attribute: str) -> float:
        """The rate at which labels of `attribute` are hidden, in [0, 1]."""
        return self.hidden_by_attribute.get(attribute, self.hidden)
