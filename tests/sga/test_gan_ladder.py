"""Every rung of the ladder differs from the base in its candidate alone, and trains."""

import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from configs import load_settings, preset_names
from labeling.workspace import Workspace
from sga.training import GanSettings, load_generator, train

gan = runpy.run_path(str(Path(__file__).with_name("gan_run.py")))
RUNGS: dict[str, set[str]] = {
    "ada": {"diff_augment", "adaptive_augment", "adaptive_images"},
    "balance": {"balance_gender"},
    "base": set(),
    "blur": {"blur", "blur_images"},
    "cleaning": {"cleaning"},
    "diffaugment": {"diff_augment"},
    "empirical": {"style_prior"},
    "film": {"generator"},
    "hinge-sn": {"adversarial", "penalty", "weights", "discriminator"},
    "label-confusion": {"label_noise"},
    "label-soft": {"label_noise"},
    "projected": {"adversarial", "penalty", "weights", "diff_augment", "discriminator"},
    "projected-mixed": {"adversarial", "penalty", "weights", "diff_augment", "discriminator"},
    "projection": {"discriminator"},
    "r1-r2": {"adversarial", "penalty", "weights"},
    "ramp": {"condition_after", "condition_ramp_images"},
    "spectrum": {"weights"},
}
NARROW = "{widths: [4, 8, 8], blocks: [0, 1, 0]}"
TINY = (
    *("size=16", "style_size=4", "noise_size=8", "batch=4", "images=8", "preview_columns=3"),
    "launch={accelerator: cpu, threads: 1}",
    "generator.arguments={channels: 8, blocks: 1, up_channels: [8, 8, 4], last_kernel: 3}",
)


def load(name: str, *overrides: str) -> GanSettings:
    return load_settings(GanSettings, "gan", name, overrides)


def test_every_rung_is_expected_here() -> None:
    assert preset_names("gan/ladder") == sorted(RUNGS)


@pytest.mark.parametrize("rung", sorted(RUNGS))
def test_a_rung_differs_from_the_base_in_its_candidate_alone(rung: str) -> None:
    base, other = load("ladder/base").model_dump(), load(f"ladder/{rung}").model_dump()
    assert {name for name in base if base[name] != other[name]} == RUNGS[rung]


@pytest.mark.parametrize("name", [*(f"ladder/{rung}" for rung in sorted(RUNGS)), "best96", "best96-cpu"])
def test_every_rung_takes_two_steps(name: str, tmp_path: Path) -> None:
    preset, tiny = load(name), list(TINY)
    arguments: dict[str, Any] = preset.discriminator.arguments
    if preset.discriminator.name != "projected":
        tiny.append(f"discriminator.arguments={NARROW}")
    elif "trunk" in arguments:
        tiny += ["discriminator.arguments.width=4", f"discriminator.arguments.trunk={NARROW}"]
    if preset.warm_start is not None:
        tiny += ["warm_start={images: 16, batch: 8, channels: 8, layers: 2}"]
    gan["write_sfn"](tmp_path / "sfn" / "network.safetensors")
    faces = gan["draw_faces"]()
    if preset.label_noise != "weight":
        faces = replace(faces, gender_doubt=np.full((len(faces), 2), 0.5, np.float32))
    space = Workspace(tmp_path)
    assert train(space, load(name, *tiny), faces, progress=False).finished
    drawn = load_generator(tmp_path / "gan")(torch.randn(2, 8), torch.tensor([0, 1]), torch.randn(2, 4))
    assert torch.isfinite(drawn).all()
