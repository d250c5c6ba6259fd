"""Super-resolution of faces: a compact residual network, its training on real faces, and what it gains over plain filters."""

from sga.upscale.settings import DegradationSettings, UpscaleSettings, UpscaleWeights

__all__ = ["DegradationSettings", "UpscaleSettings", "UpscaleWeights"]
