"""Settings of a tagger: where it lies, and how it wants its pictures where its file does not say so."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from configs.settings import Settings

__all__ = ["TaggerSettings"]


class TaggerSettings(Settings):
    """A network that gives every tag of a list a probability. What is None is read from the model, or as `InputFormat` says."""

    model: str = Field("", description="ONNX file")
    tags: str = Field("", description="its tags in order: one a line, a JSON list, or a CSV with a column name")
    layout: Literal["nchw", "nhwc"] | None = Field(None, description="order of the input's axes")
    size: int | None = Field(None, ge=8, le=2048, description="side of the input, px")
    channels: Literal["rgb", "bgr"] | None = Field(None, description="order of the colours")
    values: Literal["0..1", "-1..1", "0..255"] | None = Field(None, description="range of the pixels")
    mean: tuple[float, float, float] | None = Field(None, description="taken off each colour, after `values`")
    std: tuple[float, float, float] | None = Field(None, description="then divides each colour")
    output: Literal["probabilities", "logits"] | None = Field(None, description="what the model gives")
    batch: int = Field(16, ge=1, le=1024, description="pictures a pass, where the model leaves it open")

    @model_validator(mode="after")
    def _both(self) -> TaggerSettings:
        if bool(self.model) != bool(self.tags):
            raise ValueError("a tagger needs both files: --tagger MODEL.onnx and --tag-list TAGS.csv")
        if self.std is not None and 0 in self.std:
            raise ValueError(f"std must not be 0, found {self.std}")
        return self
