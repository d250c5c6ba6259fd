"""Values in JSON that people or other programs wrote: what is not of its kind counts as absent, and nothing raises."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

__all__ = ["as_integer", "as_list", "as_number", "as_share", "as_text", "as_time"]


def as_list(value: Any) -> list[Any]:
    """A list, or an empty one."""
    return value if isinstance(value, list) else []


def as_text(value: Any) -> str:
    """A text, or the empty one."""
    return value if isinstance(value, str) else ""


def as_time(value: Any) -> str:
    """An ISO 8601 time as it stands, or the epoch."""
    try:
        datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return "1970-01-01T00:00:00Z"
    return str(value)


def as_integer(value: Any) -> int | None:
    """A whole number; true and false are none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def as_number(value: Any) -> float | None:
    """A finite number; a text that reads like one is none."""
    try:
        number = float(value) if not isinstance(value, bool | str) else math.nan
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def as_share(value: Any) -> float | None:
    """A number in [0, 1]."""
    number = as_number(value)
    return number if number is not None and 0 <= number <= 1 else None
