"""The torch runtime that every training shares: launch, lock, data order, checkpoint, run log, when to stop."""

from classifiers.runtime.alone import alone
from classifiers.runtime.checkpoint import load_checkpoint, restore_optimizer, save_checkpoint
from classifiers.runtime.launch import LaunchSettings, autocast_precision, launch, reads_terms
from classifiers.runtime.runlog import RunLog, progress_bar
from classifiers.runtime.sampler import batch_rows, seed_step, weighted_rows
from classifiers.runtime.stopping import Stopped, agree, stop_after, stop_requests, time_is_up

__all__ = [
    "LaunchSettings",
    "RunLog",
    "Stopped",
    "agree",
    "alone",
    "autocast_precision",
    "batch_rows",
    "launch",
    "load_checkpoint",
    "progress_bar",
    "reads_terms",
    "restore_optimizer",
    "save_checkpoint",
    "seed_step",
    "stop_after",
    "stop_requests",
    "time_is_up",
    "weighted_rows",
]
