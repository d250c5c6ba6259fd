"""All stages from one YAML, and what is done, stale or missing."""

from sga.pipeline.run import StageState, run, status
from sga.pipeline.settings import PipelineSettings
from sga.pipeline.steps import make_steps

__all__ = ["PipelineSettings", "StageState", "make_steps", "run", "status"]
