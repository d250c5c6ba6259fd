"""Every preset of the GAN takes two real optimisation steps on sample faces, its networks narrowed where they are large.

Sizes, widths and amounts are scaled; losses, penalties, priors, augmentations and conditions are the preset's own.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from configs.loader import load_settings, preset_names
from labeling.workspace import Workspace
from sga.tags import tag_count
from sga.training import GanSettings, load_generator, train

SMALL = {
    "srresnet": "{channels: 8, blocks: 1, up_channels: [8, 8, 8], last_kernel: 3}",
    "dcgan": "{widths: [16, 8, 8, 8]}",
    "srresnet_discriminator": "{widths: [8, 8, 16, 16], blocks: [1, 0, 0, 1], kernels: null}",
}
"""Arguments that narrow a network of that name; a preset's others stay."""
STEPS = (
    *("images=8", "batch=4", "size=64", "preview_columns=2", "launch={accelerator: cpu, threads: 1, precision: '32'}"),
    *("tick_images=4", "decay_half_life=100", "selection=1"),
)


def scaled(name: str, tags: int) -> GanSettings:
    """The settings of a preset, of a size that takes a second."""
    whole = load_settings(GanSettings, "gan", name)
    networks = {kind: SMALL.get(getattr(whole, kind).name) for kind in ("generator", "discriminator")}
    changes = [*STEPS, *(f"{kind}.arguments={arguments}" for kind, arguments in networks.items() if arguments)]
    if whole.style_source == "tags":
        changes.append(f"style_size={tags}")
    if "trunk" in whole.discriminator.arguments:
        changes.append(f"discriminator.arguments.trunk={SMALL['srresnet_discriminator']}")
    if whole.warm_start:
        changes.append("warm_start={images: 16, batch: 8, channels: 8, layers: 1}")
    return load_settings(GanSettings, "gan", name, changes)


@pytest.mark.parametrize("name", preset_names("gan"))
def test_every_preset_takes_two_steps(name: str, sfn_workspace: Path, copy_of: Callable[[Path], Path]) -> None:
    space = Workspace(copy_of(sfn_workspace))
    settings = scaled(name, tag_count(space.table().schema))
    first = train(space, settings.model_copy(update={"images": 4}), progress=False)
    early = torch.load(space.folder("gan") / "checkpoint.pt", weights_only=True)
    last = train(space, settings, progress=False)
    late = torch.load(space.folder("gan") / "checkpoint.pt", weights_only=True)
    assert (first.images, last.images) == (4, 8)
    for network in ("generator", "discriminator"):
        weights = [key for key in early[network] if key.endswith(("weight", "weight.original"))]  # biases may cancel in a hinge
        still = [key for key in weights if torch.equal(early[network][key], late[network][key])]
        assert [key for key in still if not key.startswith(unmoved(network, settings))] == []
        assert len(still) < len(weights)
        assert all(torch.isfinite(value).all() for value in late[network].values())
    style = None if settings.style_size == 0 else torch.ones(2, settings.style_size)
    drawn = load_generator(space.folder("gan"))(torch.zeros(2, settings.noise_size), torch.tensor([0, 1]), style)
    assert drawn.shape == (2, 3, 64, 64)


def unmoved(network: str, settings: GanSettings) -> tuple[str, ...]:
    """Heads that nothing is asked of, and projections that are fixed."""
    if network == "discriminator" and settings.discriminator.name == "projected":
        return ("channels.", "scales.", "_extra_state")
    return ("gender.",) if network == "discriminator" and settings.weights.gender == 0 else ("nothing",)


def test_the_presets_of_jin_et_al_are_theirs() -> None:
    ours, baseline = (load_settings(GanSettings, "gan", name) for name in ("moe128", "dcgan128"))
    for settings in (ours, baseline):
        weights = settings.weights
        assert (weights.adversarial, weights.gender, weights.style, weights.penalty) == (34, 0, 1, 0.5)
        assert (settings.size, settings.noise_size, settings.style_size, settings.style_source) == (128, 128, 34, "tags")
        assert (settings.batch, settings.betas[0], settings.learning_rate, settings.decay_after) == (64, 0.5, 2e-4, 50_000 * 64)
        assert (settings.penalty, settings.adversarial, settings.classify_fakes) == ("dragan", "logistic", True)
        assert settings.discriminator == ours.discriminator
    assert (ours.style_prior, baseline.style_prior) == ("uniform_tags", "empirical")
    differs = {key for key, value in ours.model_dump().items() if value != baseline.model_dump()[key]}
    assert differs == {"generator", "style_prior"}


def test_the_small_siblings_differ_in_size_and_start_alone() -> None:
    kept = {
        "style_source",
        "style_size",
        "style_prior",
        "style_jitter",
        "penalty",
        "adversarial",
        "betas",
        "flip",
        "classify_fakes",
    }
    kept |= {"noise_size", "learning_rate", "discriminator_learning_rate", "diff_augment"}
    terms = {"adversarial", "gender", "style", "penalty"}
    for large, small in (("moe128", "moe64-cpu"), ("dcgan128", "dcgan64-cpu")):
        one, other = (load_settings(GanSettings, "gan", name) for name in (large, small))
        assert one.model_dump(include=kept) == other.model_dump(include=kept)
        assert one.weights.model_dump(include=terms) == other.weights.model_dump(include=terms)
    # What the small ones have beside the papers' terms, both have.
    moe, dcgan = (load_settings(GanSettings, "gan", f"{name}64-cpu") for name in ("moe", "dcgan"))
    differing = {"generator", "style_prior"}
    assert moe.model_dump(exclude=differing) == dcgan.model_dump(exclude=differing)
    assert moe.warm_start is not None
