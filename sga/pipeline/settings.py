"""Settings of a run: all stages from one YAML."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from configs.settings import Settings

__all__ = ["PRESETS", "PipelineSettings"]

PRESETS = ("ensemble", "sfn", "gan", "quality", "model", "evaluation")
"""Stages whose presets can be overridden."""


class PipelineSettings(Settings):
    """A run: where the faces come from, and the preset (or file) of each stage with overrides by stage."""

    samples: dict[str, Any] | None = Field(None, description="draw sample faces first: settings of sga samples; null = off")
    paths: list[str] = Field([], description="folders and tar files of faces, where samples is null")
    labels: str | list[str] = Field([], description="CSVs of partial labels of `paths`")
    illustrations: bool = Field(False, description="`paths` hold whole illustrations: a run without a face detector is refused")
    ingest: dict[str, Any] = Field(default_factory=dict, description="settings of sga ingest")
    clean: dict[str, Any] | None = Field(
        None, description="settings of sga clean mark, beside them cascade or detector: a file; {} = as they are, null = off"
    )
    ensemble: str = Field("cpu", description="preset of sga complete")
    sfn: str = Field("cpu", description="preset of sga sfn")
    gan: str = Field("sga96-cpu", description="preset of sga train")
    quality: str = Field("cpu", description="preset of sga quality tune")
    quality_labels: list[str] = Field([], description="CSVs of labelled generated faces")
    ask: int = Field(
        0, ge=0, description="faces to draw for people to label while there are too few labels; 0 = that ends the run"
    )
    export: str = Field("default", description="preset of sga export")
    evaluation: str | None = Field(None, description="preset of sga evaluate, at the end; null = off")
    overrides: dict[str, list[str]] = Field(default_factory=dict, description="KEY=VALUE by stage")
