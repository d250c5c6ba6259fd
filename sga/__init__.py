"""SGA-GAN: anime faces by gender and style, from partly labelled pictures.

>>> from sga import FaceModel
>>> faces = FaceModel.load().generate(gender="female", count=16, seed=7)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sga.version import __version__

if TYPE_CHECKING:
    from sga.generation import Face, FaceModel, Report, Verdict

__all__ = ["Face", "FaceModel", "Report", "Verdict", "__version__"]


def __getattr__(name: str) -> Any:
    """Import the drawing side on first use: `sga --help` and the training code do not need ONNX Runtime."""
    if name in __all__:
        import sga.generation

        return getattr(sga.generation, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
