"""Cropped faces or illustrations and a CSV of partial labels in; a workspace's faces and label table out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labeling.ingest.report import IngestReport
    from labeling.ingest.run import ingest
    from labeling.ingest.settings import IngestSettings
    from labeling.ingest.taken import labels_taken_in, other_paths, paths_taken_in

__all__ = ["IngestReport", "IngestSettings", "ingest", "labels_taken_in", "other_paths", "paths_taken_in"]

_HOME = {
    "IngestReport": "report",
    "IngestSettings": "settings",
    "ingest": "run",
    **dict.fromkeys(("labels_taken_in", "other_paths", "paths_taken_in"), "taken"),
}


def __getattr__(name: str) -> Any:  # the decoding processes import this package and must not wait for pandas
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
