"""Presets as YAML, the loader that turns them into frozen settings, and the base of every error a user can cause."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from configs.errors import UserError
    from configs.files import atomic_path, atomic_write_text, check_space, read_json, write_json
    from configs.loader import load_settings, preset_names
    from configs.settings import Settings

__all__ = [
    "Settings",
    "UserError",
    "atomic_path",
    "atomic_write_text",
    "check_space",
    "load_settings",
    "preset_names",
    "read_json",
    "write_json",
]

_HOME = {"Settings": "settings", "UserError": "errors", "load_settings": "loader", "preset_names": "loader"}


def __getattr__(name: str) -> Any:
    """Import on first use: an error class must not cost `sga --help` pydantic and yaml."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"configs.{_HOME.get(name, 'files')}"), name)
