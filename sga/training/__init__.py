"""Training of the GAN: settings, one loop, the steps beside it."""

from sga.training.data import TrainingFaces, load_training_faces
from sga.training.loop import TrainingResult, train
from sga.training.settings import GanSettings
from sga.training.snapshot import load_generator

__all__ = ["GanSettings", "TrainingFaces", "TrainingResult", "load_generator", "load_training_faces", "train"]
