"""A tiny GAN run on drawn faces; tests load it with runpy, and start it as a program to interrupt it.

python gan_run.py WORKSPACE [KEY=VALUE …]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from classifiers.sfn import SfnSettings, StyleFeatureNetwork, save_sfn
from configs import load_settings
from labeling.schema import Attribute, Schema
from labeling.workspace import Workspace
from sga.training import GanSettings, TrainingFaces, train

SIZE, STYLE = 16, 4
SCHEMA = Schema(
    name="tiny",
    attributes=(Attribute(name="gender", kind="exclusive", role="gender", values=("female", "male")),),
)
TINY = (
    f"size={SIZE}",
    f"style_size={STYLE}",
    "noise_size=8",
    "batch=4",
    "generator.arguments={channels: 8, blocks: 1, up_channels: [8, 8, 4], last_kernel: 3}",
    "discriminator.arguments={widths: [4, 8, 8], blocks: [0, 1, 0]}",
    "tick_images=12",
    "preview_images=40",
    "preview_columns=3",
    "checkpoint_images=32",
    "launch={accelerator: cpu, threads: 1}",
    "images=40",
    "warm_start=null",
    "selection=1",
    "weights.anchor=0",
    "discriminator.arguments.he=false",
    "discriminator_learning_rate=null",
    "balance_gender=0.5",
)


def settings(*overrides: str) -> GanSettings:
    """The preset `smoke` made tiny."""
    return load_settings(GanSettings, "gan", "smoke", (*TINY, *overrides))


def draw_faces(count: int = 20, seed: int = 0) -> TrainingFaces:
    """Ovals under hair of a colour each; men's hair is short. A third of the genders is unknown; the style is the colours."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:SIZE, 0:SIZE] / (SIZE - 1) - 0.5
    hair = random.uniform(0, 1, (count, 3))
    gender = np.arange(count) % 2
    images = np.ones((count, SIZE, SIZE, 3))
    for face in range(count):
        images[face, (np.abs(columns) < 0.4) & (rows < (0.4, -0.1)[gender[face]])] = hair[face]
        images[face, (columns / 0.3) ** 2 + (rows / 0.4) ** 2 < 1] = (1.0, 0.85, 0.75)
    style = np.concatenate([hair, hair.mean(1, keepdims=True)], axis=1) - 0.5
    known = np.arange(count) % 3 > 0
    return TrainingFaces(
        (images * 255).round().astype(np.uint8),
        np.where(known, gender, -1).astype(np.int64),
        known.astype(np.float32),
        style.astype(np.float32),
        SCHEMA,
    )


def write_sfn(path: Path, seed: int = 0, schema: Schema = SCHEMA) -> Path:
    """Write a style feature network that has learnt nothing; returns `path`."""
    torch.manual_seed(seed)
    backbone = {"backbone": "resnet10t", "arguments": {"channels": [4, 8, 8, 8]}}
    wanted = SfnSettings.model_validate({"backbone": backbone, "hidden": 8, "style_size": STYLE})
    path.parent.mkdir(parents=True, exist_ok=True)
    save_sfn(path, StyleFeatureNetwork.build(schema, wanted), schema, wanted)
    return path


if __name__ == "__main__":
    print(train(Workspace(sys.argv[1]), settings(*sys.argv[2:]), draw_faces(), progress=False).finished)
