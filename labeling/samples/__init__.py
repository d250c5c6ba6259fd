"""Sample faces: our own procedural renderer of anime faces, every tag drawn and recorded."""

from labeling.samples.render import render_face
from labeling.samples.settings import QualityMix, SampleSettings
from labeling.samples.truth import draw_hidden, draw_truth, sample_schema
from labeling.samples.writer import SampleReport, write_samples

__all__ = [
    "QualityMix",
    "SampleReport",
    "SampleSettings",
    "draw_hidden",
    "draw_truth",
    "render_face",
    "sample_schema",
    "write_samples",
]
