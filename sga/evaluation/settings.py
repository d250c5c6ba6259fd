"""Settings of an evaluation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from classifiers.ensemble import MemberSettings
from classifiers.runtime import LaunchSettings
from classifiers.train import FitSettings
from configs.settings import Settings

__all__ = ["EvaluationSettings", "RefereeSettings"]


class RefereeSettings(Settings):
    """The classifier that neither generator nor judge ever saw. Its architecture is none of theirs."""

    network: MemberSettings = MemberSettings(backbone="cs3darknet_s")
    dropout: float = Field(0.2, ge=0, lt=1)
    seed: int = Field(0, ge=0)
    fit: FitSettings = FitSettings()


class EvaluationSettings(Settings):
    """What is measured, on how many faces."""

    count: int = Field(2000, ge=4, description="generated faces of each gender, unselected and accepted ones alike")
    seed: int = Field(0, ge=0, lt=2**64, description="of the generated faces; the same seed, the same report")
    split: Literal["test", "all"] = Field("test", description="real faces to compare with; test = those no training ever saw")
    features: str = Field("referee", description="what sees the faces: referee, timm:NAME (pretrained) or inception")
    inception_weights: str | None = Field(None, description="file of torch-fidelity's InceptionV3, for features=inception")
    batch: int = Field(64, ge=1, description="faces drawn and looked at in one pass")
    keep: int = Field(5000, ge=4, description="features kept of each gender for KID and the neighbour measures")
    kid_subset: int | None = Field(None, ge=2, description="faces of a KID subset; None = half of the faces, at most 500")
    kid_subsets: int = Field(100, ge=1)
    precision_neighbours: int = Field(3, ge=1, description="k of precision and recall")
    coverage_neighbours: int = Field(5, ge=1, description="k of density and coverage")
    diversity_conditions: int = Field(32, ge=0, description="conditions of each gender drawn with varied noise; 0 = off")
    diversity_draws: int = Field(8, ge=2, description="faces of each such condition")
    nearest: int = Field(2000, ge=0, description="faces of each gender looked up among the training faces; 0 = off")
    table_faces: int = Field(40, ge=0, description="faces of each value of an attribute (Jin et al., Table 2: 20); 0 = off")
    table_accepted: bool = Field(True, description="the same of faces that the judge accepts with that value asked for")
    max_attempts: int | None = Field(None, ge=1, description="draws an accepted face may take; None = the model's own")
    sheet: int = Field(48, ge=1, description="faces of each gender on a contact sheet")
    referee: RefereeSettings = RefereeSettings()
    launch: LaunchSettings = LaunchSettings()

    @field_validator("features")
    @classmethod
    def _known_features(cls, value: str) -> str:
        if value not in ("referee", "inception") and not (value.startswith("timm:") and len(value) > len("timm:")):
            raise ValueError(f"must be referee, inception or timm:NAME (such as timm:resnet50), found {value!r}")
        return value

    @model_validator(mode="after")
    def _one_process(self) -> EvaluationSettings:
        if self.launch.devices * self.launch.nodes > 1:
            raise ValueError("launch.devices and launch.nodes must be 1: an evaluation is one process")
        return self
