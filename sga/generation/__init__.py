"""Drawing faces from a model folder: latents as a function of position, sessions, the judge's loop, avatars. No torch."""

from sga.generation.face import Face, Verdict
from sga.generation.face_model import FaceModel
from sga.generation.latents import Latents
from sga.generation.until_good import Report

__all__ = ["Face", "FaceModel", "Latents", "Report", "Verdict"]
