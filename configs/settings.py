"""The base of all settings: frozen, typed, described; a typo names the field."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["Settings"]


class Settings(BaseModel):
    """Frozen settings of one stage. Unknown fields are refused, so a typo in a YAML is an error that names it."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)
