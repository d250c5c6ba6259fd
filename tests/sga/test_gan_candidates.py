"""The candidates of the training: ramp of the condition, adaptive augmentation; and all candidates together."""

import json
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from classifiers.runtime import LaunchSettings, launch
from configs.errors import ConfigError
from labeling.workspace import Workspace
from sga.augment import POLICIES, blur, diff_augment
from sga.condition import Condition
from sga.models import srresnet, srresnet_discriminator
from sga.training import TrainingFaces, train
from sga.training.adaptive import AdaptiveAugment
from sga.training.data import RealBatch
from sga.training.steps import blur_sigma, condition_strength, discriminator_step, generate, generator_step

gan = runpy.run_path(str(Path(__file__).with_name("gan_run.py")))
TOGETHER = (
    "adversarial=relativistic",
    "penalty=r1_r2",
    "penalty_interval=2",
    "weights.penalty=1",
    "weights.spectrum=1",
    "blur=1",
    "blur_images=24",
    "diff_augment=[color, translation, cutout]",
    "adaptive_augment=0.1",
    "adaptive_images=60",
    "condition_after=8",
    "condition_ramp_images=16",
    "label_noise=confusion",
    "cleaning=0.2",
    "classify_fakes=true",
    "generator.arguments.film=true",
    "discriminator={name: projected, arguments: {width: 4, trunk: {widths: [4, 8], blocks: [0, 1], condition: both, "
    "minibatch_std: true, spectral_norm: true}}}",
    "checkpoint_images=8",
)


@pytest.fixture(scope="module")
def fabric() -> Any:
    return launch(LaunchSettings(accelerator="cpu", precision="32", threads=1))


def checkpoint(root: Path) -> dict[str, Any]:
    return torch.load(root / "gan" / "checkpoint.pt", weights_only=True)


def ticks(root: Path) -> list[dict[str, float]]:
    lines = (root / "gan" / "stats.jsonl").read_text().splitlines()
    return [{name: value for name, value in json.loads(line).items() if not name.startswith("time/")} for line in lines]


def doubted(count: int = 20) -> TrainingFaces:
    """The drawn faces, every other label of them in doubt."""
    faces = gan["draw_faces"](count)
    doubt = np.full((count, 2), 0.5, np.float32)
    known = faces.gender >= 0
    doubt[known] = np.eye(2, dtype=np.float32)[faces.gender[known]]
    doubt[::2] = 0.3 + 0.4 * doubt[::2]
    return replace(faces, gender_doubt=doubt)


def real_batch(count: int = 4, style: int = 3, **more: Tensor) -> RealBatch:
    images = torch.rand(count, 3, 16, 16) * 2 - 1
    return RealBatch(images, torch.arange(count) % 2, torch.ones(count), torch.randn(count, style), **more)


# -- ramp of the condition -------------------------------------------------------------------------------------------------


def test_the_condition_comes_in_linearly() -> None:
    ramped = gan["settings"]("condition_after=100", "condition_ramp_images=40")
    assert [condition_strength(ramped, seen) for seen in (0, 100, 110, 120, 140, 10**9)] == [0, 0, 0.25, 0.5, 1, 1]
    late = gan["settings"]("condition_after=100")
    assert [condition_strength(late, seen) for seen in (0, 99, 100)] == [0, 0, 1]
    assert condition_strength(gan["settings"](), 0) == 1


def test_the_blur_fades_in_quarters_of_a_pixel() -> None:
    blurred = gan["settings"]("blur=1", "blur_images=100")
    assert [blur_sigma(blurred, seen) for seen in (0, 1, 25, 26, 50, 99, 100, 10**9)] == [1, 1, 0.75, 0.75, 0.5, 0.25, 0, 0]
    assert blur_sigma(gan["settings"](), 0) == 0


def test_both_networks_see_blurred_faces(fabric: Any) -> None:
    """What differs in texture alone is the same to a discriminator behind a blur, of real and generated faces alike."""
    settings = gan["settings"]("style_size=3", "diff_augment=[]")
    condition = Condition(torch.zeros(4, 5), torch.tensor([0, 1, 1, 0]), torch.randn(4, 3))
    seen: list[Tensor] = []
    torch.manual_seed(0)
    discriminator = srresnet_discriminator(16, style_size=3, widths=(8, 16), blocks=(0, 0))
    discriminator.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach()))
    optimiser = torch.optim.SGD(discriminator.parameters(), lr=0.0)
    real, fake = real_batch(), torch.rand(4, 3, 16, 16, requires_grad=True)
    discriminator_step(fabric, settings, discriminator, optimiser, real, fake, condition, penalise=False, sigma=2.0)
    generator_step(
        fabric, settings, nn.Identity(), discriminator, torch.optim.SGD([fake], lr=0.0), real, fake, condition, sigma=2.0
    )
    for found, faces in zip(seen, (real.images, fake, fake), strict=True):
        torch.testing.assert_close(found, blur(faces.detach(), 2.0))


def test_the_generator_takes_the_condition_by_its_strength(fabric: Any) -> None:
    torch.manual_seed(0)
    generator = srresnet(16, noise_size=5, style_size=3, channels=8, blocks=1, up_channels=(8, 8, 4), last_kernel=3)
    noise, style = torch.randn(4, 5), torch.randn(4, 3)
    one, other = (
        Condition(noise, gender, kind) for gender, kind in ((torch.zeros(4).long(), style), (torch.ones(4).long(), -style))
    )
    given = []
    generator.fc.register_forward_pre_hook(lambda module, inputs: given.append(inputs[0]))
    with torch.no_grad():
        assert torch.equal(generate(fabric, generator, one, 0.0), generate(fabric, generator, other, 0.0))
        generate(fabric, generator, one, 0.5)
        generate(fabric, generator, other, 0.25)
        whole = generate(fabric, generator, other)
        assert torch.equal(whole, generator(noise, torch.ones(4).long(), -style))
    assert torch.equal(given[0], torch.cat([noise, torch.zeros(4, 4)], 1))
    assert torch.equal(given[2], torch.cat([noise, torch.full((4, 1), -0.5), 0.5 * style], 1))
    assert torch.equal(given[3], torch.cat([noise, torch.full((4, 1), 0.25), -0.25 * style], 1))


@pytest.mark.parametrize("strength", [0.0, 0.5])
def test_auxiliary_terms_and_projection_have_the_conditions_strength(strength: float, fabric: Any) -> None:
    settings = gan["settings"]("style_size=3", "penalty=null", "weights.penalty=0", "diff_augment=[]")
    condition = Condition(torch.zeros(4, 5), torch.tensor([0, 1, 1, 0]), torch.randn(4, 3))
    gradients = []
    for factor in (strength, 1.0):
        torch.manual_seed(0)
        network = srresnet_discriminator(16, 3, widths=(4, 8), blocks=(0, 0), he=True, condition="both")
        optimiser = torch.optim.SGD(network.parameters(), lr=0.0)
        real, fake = real_batch(), torch.rand(4, 3, 16, 16)
        discriminator_step(fabric, settings, network, optimiser, real, fake, condition, penalise=False, strength=factor)
        gradients.append({name: weight.grad for name, weight in network.named_parameters()})
    for name in ("gender.weight", "style.weight"):
        torch.testing.assert_close(gradients[0][name], strength * gradients[1][name])
        assert gradients[1][name].abs().max() > 0
    assert (gradients[0]["embedding.weight"].abs().max() > 0) == (strength > 0)


def test_what_a_projecting_discriminator_is_told(fabric: Any) -> None:
    class Telling(nn.Module):
        reads_condition = True

        def __init__(self) -> None:
            super().__init__()
            self.inner = srresnet_discriminator(16, 2, widths=(4, 8), blocks=(0, 0), condition="projection")
            self.told: list[Tensor] = []

        def forward(self, images: Tensor, condition: Tensor) -> Any:
            self.told.append(condition)
            return self.inner(images, condition)

    settings = gan["settings"]("style_size=2", "penalty=r1_r2", "adversarial=relativistic")
    network, style = Telling(), torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]])
    real = RealBatch(torch.rand(4, 3, 16, 16), torch.tensor([0, 1, -1, 1]), torch.tensor([1.0, 0.2, 0.0, 0.0]), style)
    condition, fake = Condition(torch.zeros(4, 5), torch.tensor([1, 0, 1, 0]), -style), torch.rand(4, 3, 16, 16)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.0)
    terms = discriminator_step(fabric, settings, network, optimiser, real, fake, condition, penalise=True, strength=0.5)
    of_real = 0.5 * torch.cat([torch.tensor([[-1.0], [1.0], [0.0], [0.0]]), style], dim=1)
    of_fake = 0.5 * torch.cat([torch.tensor([[1.0], [-1.0], [1.0], [-1.0]]), -style], dim=1)
    for told, expected in zip(network.told, (of_real, of_fake, of_real, of_fake), strict=True):  # verdicts, then penalties
        torch.testing.assert_close(told, expected)
    assert {"D/penalty", "D/fake_penalty"} <= terms.keys()
    assert not {"D/gender", "D/style"} & terms.keys()
    network.told.clear()
    doubt = torch.tensor([[1.0, 0.0], [0.2, 0.6], [0.5, 0.5], [0.1, 0.9]])
    real = replace(real, gender_doubt=doubt)
    generator = nn.ParameterList([torch.tensor(0.5)])
    fake = generator[0] * torch.rand(4, 3, 16, 16)
    generator_step(fabric, settings, generator, network, torch.optim.SGD(generator.parameters(), lr=0.0), real, fake, condition)
    torch.testing.assert_close(network.told[0], 2 * of_fake)
    torch.testing.assert_close(network.told[1][:, 0], torch.tensor([-1.0, 0.5, 0.0, 0.8]))


# -- adaptive augmentation -------------------------------------------------------------------------------------------------


def test_the_probability_moves_against_overfitting(fabric: Any) -> None:
    adaptive = AdaptiveAugment(target=0.6, images=800)
    sure, torn = torch.tensor([3.0, 2.0, 1.0, 0.5, -1.0] * 2), torch.tensor([1.0, -1.0])
    found = []
    for verdicts in [sure] * 8 + [torch.ones(4)] * 8 + [torn] * 8:
        sign = adaptive.update(fabric, verdicts, batch=20)
        assert sign.item() == pytest.approx(verdicts.sign().mean().item())
        found.append(round(adaptive.probability.item(), 6))
    # The first have a mean sign of (4 - 1) / 5, exactly the target.
    assert found[:8] == [0] * 8
    assert found[8:16] == [0, 0, 0, 0.1, 0.1, 0.1, 0.1, 0.2]  # every fourth step by 4 · 20 / 800
    assert found[16:] == [0.2, 0.2, 0.2, 0.1, 0.1, 0.1, 0.1, 0]
    for _ in range(4):
        adaptive.update(fabric, torn, batch=20)
    assert adaptive.probability.item() == 0  # never below 0
    for _ in range(60):
        adaptive.update(fabric, torch.ones(2), batch=20)
    assert adaptive.probability.item() == 1


def test_the_position_between_two_corrections_is_saved(fabric: Any) -> None:
    one, other = AdaptiveAugment(0.0, 100), AdaptiveAugment(0.0, 100)
    for _ in range(3):
        one.update(fabric, torch.ones(2), batch=10)
    other.load_state_dict(one.state_dict())
    for adaptive in (one, other):
        adaptive.update(fabric, torch.ones(2), batch=10)
        assert adaptive.probability.item() == pytest.approx(0.4)


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_a_face_is_augmented_with_the_probability(policy: Any) -> None:
    torch.manual_seed(0)
    images = torch.rand(400, 3, 16, 16) + 0.5
    assert torch.equal(diff_augment(images, (policy,), torch.tensor(0.0)), images)
    changed = (diff_augment(images, (policy,), torch.tensor(0.3)) != images).flatten(1).any(1)
    assert 80 < changed.sum() < 160
    assert (diff_augment(images, (policy,), torch.tensor(1.0)) != images).flatten(1).any(1).sum() > 350


def test_relativistic_verdicts_count_by_their_lead(fabric: Any) -> None:
    class Level(nn.Module):
        """The verdict is 10 and a little more for brighter faces."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = srresnet_discriminator(16, 2, widths=(4, 8), blocks=(0, 0))

        def forward(self, images: Tensor) -> Any:
            return self.inner(images)._replace(source=10 + images.mean(dim=(1, 2, 3)) + 0 * self.inner.source.bias)

    condition = Condition(torch.zeros(4, 5), torch.tensor([1, 0, 1, 0]), torch.zeros(4, 2))
    real = replace(real_batch(style=2), images=torch.tensor([0.1, 0.2, 0.3, 0.4]).view(4, 1, 1, 1).expand(4, 3, 16, 16))
    fake = torch.tensor([0.0, 0.0, 0.0, 0.5]).view(4, 1, 1, 1).expand(4, 3, 16, 16)
    network = Level()
    for adversarial, expected in (("relativistic", 0.5), ("logistic", 1.0)):
        settings = gan["settings"](
            f"adversarial={adversarial}", "style_size=2", "adaptive_augment=0.6", "diff_augment=[cutout]"
        )
        terms = discriminator_step(
            *(fabric, settings, network, torch.optim.SGD(network.parameters(), lr=0.0), real, fake, condition),
            penalise=False,
            adaptive=AdaptiveAugment(0.6, 100),
        )
        assert terms["D/sign_real"].item() == expected
        assert terms["D/augment_probability"].item() == 0


def test_adaptive_augmentation_needs_policies() -> None:
    with pytest.raises(ConfigError, match="adaptive_augment needs diff_augment"):
        gan["settings"]("adaptive_augment=0.6", "diff_augment=[]")


# -- together --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_all_of_them_together_go_on_exactly(precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, whole, wanted = tmp_path / "broken", tmp_path / "whole", (*TOGETHER, "images=40", f"launch.precision={precision}")
    for root in (broken, whole):
        gan["write_sfn"](root / "sfn" / "network.safetensors")
    calls: list[int] = []

    def killed(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 6:  # behind a step of the discriminator, 4 images after the last checkpoint
            raise MemoryError
        return generator_step(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr("sga.training.stepper.generator_step", killed)
        with pytest.raises(MemoryError):
            train(Workspace(broken), gan["settings"](*wanted), doubted(), progress=False)
    assert checkpoint(broken)["position"]["seen"] == 16
    for root in (broken, whole):
        assert train(Workspace(root), gan["settings"](*wanted), doubted(), progress=False).finished
    left, right = checkpoint(broken), checkpoint(whole)
    for part in ("generator", "discriminator", "average", "adaptive"):
        assert left[part].keys() == right[part].keys()
        for name, value in right[part].items():
            assert torch.equal(left[part][name], value), (part, name)
    assert ticks(broken) == ticks(whole)
    assert all(np.isfinite(list(tick.values())).all() for tick in ticks(whole))
    assert ticks(whole)[-1]["D/augment_probability"] > 0
    terms = {"D/penalty", "D/fake_penalty", "D/gender", "D/style", "D/fake_gender", "D/sign_real", "G/adversarial", "G/gender"}
    assert terms <= {name for tick in ticks(whole) for name in tick}


def test_adaptive_augmentation_accepted_later_begins_there(tmp_path: Path) -> None:
    faces, policy = gan["draw_faces"](), "diff_augment=[cutout]"
    train(Workspace(tmp_path), gan["settings"]("images=8", policy), faces, progress=False)
    more = gan["settings"]("images=24", policy, "adaptive_augment=-0.9", "adaptive_images=160")
    train(Workspace(tmp_path), more, faces, progress=False, accept_changes=True)
    assert checkpoint(tmp_path)["adaptive"]["probability"].item() == pytest.approx(0.1)  # one correction of 4 · 4 / 160
