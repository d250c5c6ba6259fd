"""Settings of `sga clean`: of every reason to leave a face out, where it begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from configs.settings import Settings

__all__ = ["LABEL_TABLE", "LIMITS", "PERSON", "REASONS", "CleanSettings", "Reason"]

PERSON = "person"
"""The reason of a face that a person left out without naming one."""
LABEL_TABLE = "label table"
"""The reason of a face that an ingested label table leaves out, until it is measured here."""


@dataclass(frozen=True)
class Reason:
    """Why a face is left out. measure: what is measured of it; above: left out above the threshold, else below it."""

    name: str
    measure: str
    above: bool = False

    def applies_to(self, values: np.ndarray, threshold: float) -> np.ndarray:
        """(n,) bool: which values lie beyond the threshold; what was not measured (NaN) never does."""
        beyond: np.ndarray = values > threshold if self.above else values < threshold
        return beyond


REASONS: dict[str, Reason] = {
    reason.name: reason
    for reason in (
        Reason("no_face", "the detector's score of the best face in it"),
        Reason("flat", "standard deviation of its luma, 0 … 127"),
        Reason("blur", "sharpness: the strongest edges over the contrast"),
        Reason("gray", "spread of its colours about their mean tint, 0 … 255"),
        Reason("tiny", "shorter side before resizing over the side as stored"),
        Reason("aspect", "longer over shorter side of the picture", above=True),
        Reason("near_duplicate", "distance to the face that is kept in its place"),
    )
}
"""In the order in which they count: a face that has several is told the first. Near duplicates are looked for among the others,
so that of a blurred and a sharp copy the sharp one stays."""

LIMITS = {"descriptor": (0.12, 112), "sfn": (0.03, 72)}
"""Of each kind of features: largest distance, and most differing bits of the hash."""


class CleanSettings(Settings):
    """Thresholds of the reasons; null = that one is off. The defaults were chosen by looking at sheets of 27,860 real faces."""

    no_face: float | None = Field(0.01, ge=0, description="least score of a face found; counts where a detector is named")
    flat: float | None = Field(10.0, ge=0, description="least standard deviation of the luma")
    blur: float | None = Field(0.24, ge=0, description="least sharpness")
    gray: float | None = Field(2.5, ge=0, description="least spread of the colours: gray and one-coloured pictures are below")
    tiny: float | None = Field(0.5, ge=0, description="least shorter side over the stored side: 0.5 = enlarged twice at most")
    aspect: float | None = Field(1.6, ge=1, description="longest side over shortest")
    duplicates: bool = Field(True, description="look for near duplicates")
    near_duplicate: float | None = Field(
        None, ge=0, le=2, description="largest distance of near duplicates; null = 0.12 of the descriptor, 0.03 of sfn"
    )
    bits: int | None = Field(
        None, ge=0, le=256, description="most differing bits of their 256-bit hashes; null = 112 of the descriptor, 72 of sfn"
    )
    mirrored: bool | None = Field(
        None, description="a mirrored copy is a near duplicate too; null = yes by the descriptor; sfn has no mirror images"
    )
    features: Literal["descriptor", "sfn"] = Field(
        "descriptor", description="what faces are compared by: gradients and colours, or the styles of sga sfn"
    )
    also_labelled: bool = Field(
        False, description="faces with a human label too: a person has looked at them, and their labels are what is scarcest"
    )

    @model_validator(mode="after")
    def _mirrors_can_be_seen(self) -> CleanSettings:
        if self.mirrored and self.features == "sfn":
            raise ValueError(
                "expected mirrored=false or null with features=sfn, which knows no styles of mirror images, found true; "
                "leave mirrored out, or features"
            )
        return self

    @property
    def mirrors(self) -> bool:
        """Whether mirrored copies are near duplicates."""
        return self.features == "descriptor" and self.mirrored is not False

    def threshold(self, reason: str) -> float | None:
        """Where a reason begins, None = off."""
        if reason == "near_duplicate":
            return self.distance if self.duplicates else None
        value: float | None = getattr(self, reason)
        return value

    @property
    def distance(self) -> float:
        """`near_duplicate`, or what it is for these features."""
        return LIMITS[self.features][0] if self.near_duplicate is None else self.near_duplicate

    @property
    def most_bits(self) -> int:
        """`bits`, or what they are for these features."""
        return LIMITS[self.features][1] if self.bits is None else self.bits
