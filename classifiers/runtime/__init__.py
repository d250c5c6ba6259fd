"""The torch runtime that every training shares: launch, data order, checkpoint, run log."""

from classifiers.runtime.checkpoint import load_checkpoint, save_checkpoint
from classifiers.runtime.launch import LaunchSettings, autocast_precision, launch
from classifiers.runtime.runlog import RunLog, progress_bar
from classifiers.runtime.sampler import batch_rows, seed_step, weighted_rows

__all__ = [
    "LaunchSettings",
    "RunLog",
    "autocast_precision",
    "batch_rows",
    "launch",
    "load_checkpoint",
    "progress_bar",
    "save_checkpoint",
    "seed_step",
    "weighted_rows",
]
