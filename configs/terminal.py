"""Where bars and tables are shown."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["console"]


def console(*, stderr: bool = False, **options: Any) -> Console:
    """rich's console on stdout or stderr, a terminal only where that stream is one: under FORCE_COLOR, which rich would obey
    in a pipe too, bars and escape codes would come into logs."""
    from rich.console import Console

    return Console(stderr=stderr, force_terminal=(sys.stderr if stderr else sys.stdout).isatty(), **options)
