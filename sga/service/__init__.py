"""Faces over HTTP: avatars for IDs, faces until good, health, metrics and the page. Extra `serve`; no torch.

>>> from sga.service import ServiceSettings, create_app
>>> app = create_app(FaceModel.load(), ServiceSettings(queue=64))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sga.service.settings import ServiceSettings

if TYPE_CHECKING:
    from sga.service.app import create_app

__all__ = ["ServiceSettings", "create_app"]


def __getattr__(name: str) -> Any:
    """Import the web framework on first use: settings need none."""
    if name == "create_app":
        from sga.service.app import create_app

        return create_app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
