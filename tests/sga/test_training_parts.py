import copy
import itertools
import json
import runpy
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from classifiers.runtime import LaunchSettings, launch
from configs import load_settings, preset_names
from configs.errors import ConfigError, InputError, WorkspaceError
from sga.condition import Condition, ConditionPrior, truncated_normal
from sga.models import DiscriminatorOutput, make_network
from sga.training import GanSettings, load_generator
from sga.training.data import RealBatch, step_rows
from sga.training.ema import update_average
from sga.training.preview import eval_mode, fixed_conditions, grid
from sga.training.snapshot import load_weights, read_generator, save_generator
from sga.training.steps import discriminator_step, generator_step, learning_rate_factor

gan = runpy.run_path(str(Path(__file__).with_name("gan_run.py")))
CPU = torch.device("cpu")


class Biases(nn.Module):
    """A discriminator whose verdict is its parameters, so that gradients can be worked out by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.source = nn.Parameter(torch.tensor(1.0))
        self.gender = nn.Parameter(torch.tensor([0.5, -0.5]))
        self.style = nn.Parameter(torch.tensor([1.0, 2.0]))

    def forward(self, images: Tensor) -> DiscriminatorOutput:
        n = len(images)
        source = self.source + 0.0 * images.flatten(1).sum(1)
        return DiscriminatorOutput(source, self.gender.expand(n, -1), self.style.expand(n, -1))


def test_discriminator_step_weighs_once_and_reports_raw_terms() -> None:
    fabric = launch(LaunchSettings(accelerator="cpu", precision="32", threads=1))
    settings = gan["settings"]("style_size=2", "weights={adversarial: 2, gender: 5, style: 0.3, penalty: 0.5}")
    settings = settings.model_copy(update={"penalty_interval": 4, "diff_augment": ()})
    network = Biases()
    real = RealBatch(
        torch.rand(2, 3, 4, 4), torch.tensor([0, -1]), torch.tensor([1.0, 1.0]), torch.tensor([[0.0, 0.0], [1.0, 3.0]])
    )
    condition = Condition(torch.zeros(2, 1), torch.tensor([0, 1]), torch.zeros(2, 2))
    optimiser = torch.optim.SGD(network.parameters(), lr=1.0)
    terms = discriminator_step(fabric, settings, network, optimiser, real, torch.rand(2, 3, 4, 4), condition, penalise=True)
    sigmoid = 1 / (1 + np.exp(-1.0))  # of the source logit 1, and of the difference of the gender logits 1
    assert terms["D/adversarial"].item() == pytest.approx(np.log1p(np.exp(-1)) + np.log1p(np.exp(1)), rel=1e-6)
    assert terms["D/gender"].item() == pytest.approx(np.log1p(np.exp(-1)), rel=1e-6)
    assert terms["D/style"].item() == pytest.approx((1 + 4 + 0 + 1) / 4)
    assert terms["D/penalty"].item() == pytest.approx(1.0)  # the gradient is 0, (0 - 1)² = 1
    assert terms["D/score_real"].item() == 1.0
    # SGD at rate 1 subtracts the weighted gradient.
    assert network.source.item() == pytest.approx(1 - 2 * (-(1 - sigmoid) + sigmoid), rel=1e-5)
    assert network.gender[0].item() == pytest.approx(0.5 - 5 * (sigmoid - 1), rel=1e-5)
    expected = np.array([1.0, 2.0]) - 0.3 * (np.array([1.0, 2.0]) - np.array([0.5, 1.5]))
    np.testing.assert_allclose(network.style.detach().numpy(), expected, rtol=1e-5)


class Gains(nn.Module):
    """Source, gender and style logits are fixed multiples of the mean pixel."""

    def forward(self, images: Tensor) -> DiscriminatorOutput:
        mean = images.mean(dim=(1, 2, 3))
        return DiscriminatorOutput(mean, torch.stack([-mean, mean], 1), torch.stack([mean, 2 * mean], 1))


def test_generator_step_asks_for_the_condition() -> None:
    fabric = launch(LaunchSettings(accelerator="cpu", precision="32", threads=1))
    settings = gan["settings"]("style_size=2", "weights={adversarial: 2, gender: 1, style: 0.3}")
    settings = settings.model_copy(update={"diff_augment": ()})
    level = nn.ParameterList([torch.tensor(0.5)])
    fake = level[0].expand(2, 3, 4, 4)
    condition = Condition(torch.zeros(2, 1), torch.tensor([1, 1]), torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    real = RealBatch(torch.rand(2, 3, 4, 4), torch.zeros(2).long(), torch.ones(2), torch.zeros(2, 2))
    terms = generator_step(fabric, settings, level, Gains(), torch.optim.SGD(level.parameters(), lr=1.0), real, fake, condition)
    assert terms["G/adversarial"].item() == pytest.approx(np.log1p(np.exp(-0.5)), rel=1e-6)
    assert terms["G/gender"].item() == pytest.approx(np.log1p(np.exp(-1.0)), rel=1e-6)
    assert terms["G/style"].item() == pytest.approx((0.25 + 1 + 0.25 + 0) / 4, rel=1e-6)
    # By the level l at 0.5: 2·(σ(l) - 1) + 2·(σ(2l) - 1) + 0.3·mean(2 (l - t₁), 4 (2l - t₂)).
    gradient = 2 * (1 / (1 + np.exp(-0.5)) - 1) + 2 * (1 / (1 + np.exp(-1)) - 1) + 0.3 * (2 * (-0.5) + 4 + 2 * 0.5 + 0) / 4
    assert level[0].item() == pytest.approx(0.5 - gradient, rel=1e-5)


def test_average_has_the_half_life_it_says() -> None:
    average, network = nn.BatchNorm1d(1), nn.BatchNorm1d(1)
    nn.init.constant_(network.weight, 0.0)
    network.running_mean.fill_(7.0)
    for step in range(10):  # from 1 towards 0 for one half-life of 1000 images
        update_average(average, network, batch=100, seen=10**6 + step, half_life=1000, ramp=0.05)
    assert average.weight.item() == pytest.approx(0.5, rel=1e-5)
    assert average.running_mean.item() == 7.0
    update_average(average, network, batch=100, seen=2000, half_life=1000, ramp=0.05)  # half-life 0.05 · 2000 = 100
    assert average.weight.item() == pytest.approx(0.25, rel=1e-5)
    update_average(average, network, batch=100, seen=2000, half_life=0, ramp=0.05)
    assert average.weight.item() == 0


def test_learning_rate_halves_after_the_decay_begins() -> None:
    settings = gan["settings"]("decay_after=100", "decay_half_life=50")
    assert [learning_rate_factor(settings, seen) for seen in (0, 100, 150, 200)] == [1, 1, 0.5, 0.25]
    assert learning_rate_factor(gan["settings"]("decay_after=null"), 10**9) == 1


def test_truncated_normal_is_one() -> None:
    torch.manual_seed(0)
    draws = truncated_normal(200_000)
    assert draws.abs().max() <= 1
    assert draws.mean().item() == pytest.approx(0, abs=0.01)
    density, mass = np.exp(-0.5) / np.sqrt(2 * np.pi), 0.6826894921  # variance 1 - 2 φ(1) / (2Φ(1) - 1)
    assert draws.var().item() == pytest.approx(1 - 2 * density / mass, abs=0.005)


def test_empirical_styles_are_those_of_the_drawn_gender() -> None:
    faces = gan["draw_faces"]()
    torch.manual_seed(0)
    prior = ConditionPrior.from_faces(gan["settings"]("style_jitter=0"), faces, CPU)
    drawn = prior.draw(200)
    for gender, style in zip(drawn.gender.numpy(), drawn.style.numpy(), strict=True):
        rows = np.flatnonzero((faces.style == style).all(1))
        assert (faces.gender[rows] == gender).all()
        assert len(rows)
    assert 60 < drawn.gender.sum() < 140
    jittered = ConditionPrior.from_faces(gan["settings"]("style_jitter=0.25"), faces, CPU).draw(50)
    distance = (jittered.style[:, None] - torch.from_numpy(faces.style)).abs().amax(2).amin(1)
    assert 0 < distance.max() <= 0.25


def test_empirical_gender_has_the_share_of_the_known() -> None:
    faces = gan["draw_faces"]()
    faces.gender[:] = np.where(np.arange(len(faces)) < 15, 0, 1)
    faces.gender_weight[:] = 1
    prior = ConditionPrior.from_faces(gan["settings"]("gender_prior=empirical"), faces, CPU)
    torch.manual_seed(0)
    assert prior.draw(4000).gender.float().mean().item() == pytest.approx(0.25, abs=0.03)
    faces.gender[:] = 0
    with pytest.raises(InputError, match="20 and 0"):
        ConditionPrior.from_faces(gan["settings"](), faces, CPU)


def test_balanced_sampling_draws_both_genders_equally() -> None:
    faces = gan["draw_faces"](40)
    faces.gender[:] = np.where(np.arange(40) < 30, 0, np.where(np.arange(40) < 32, 1, -1))

    def shares(balance: float) -> np.ndarray:
        rows = step_rows(faces, faces.sampling(balance), seed=0, seen=0, batch=20_000)
        return np.array([(faces.gender[rows] == code).mean() for code in (0, 1, -1)])

    np.testing.assert_allclose(shares(1.0), [0.4, 0.4, 0.2], atol=0.02)
    np.testing.assert_allclose(shares(0.5), [0.575, 0.225, 0.2], atol=0.02)
    np.testing.assert_allclose(shares(0.0), [0.75, 0.05, 0.2], atol=1e-9)


def test_preview_conditions_pair_the_genders_and_stay(tmp_path: Path) -> None:
    settings = gan["settings"]("style_prior=truncated_normal")
    prior = ConditionPrior.from_faces(settings, gan["draw_faces"](), CPU)
    drawn = fixed_conditions(tmp_path, settings, prior, write=True)
    assert drawn.gender.view(3, 2, 3).tolist() == [[[0] * 3, [1] * 3]] * 3
    for values in (drawn.noise, drawn.style):
        pairs = values.view(3, 2, 3, -1)
        assert torch.equal(pairs[:, 0], pairs[:, 1])
    torch.manual_seed(99)
    again = fixed_conditions(tmp_path, settings, prior, write=True)
    assert torch.equal(again.noise, drawn.noise)
    assert torch.equal(again.style, drawn.style)
    with pytest.raises(WorkspaceError, match="another"):
        fixed_conditions(tmp_path, gan["settings"]("noise_size=9"), prior, write=True)


def test_grid_is_row_by_row() -> None:
    images = np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1).repeat(3, axis=3)
    assert grid(images, 3)[:, :, 0].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_eval_mode_puts_the_mode_back() -> None:
    network = nn.Dropout()
    with eval_mode(network):
        assert not network.training
        assert not torch.is_grad_enabled()
    assert network.training

    def fail() -> None:
        with eval_mode(network):
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert network.training
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("name", preset_names("gan"))
def test_every_preset_loads(name: str) -> None:
    settings = load_settings(GanSettings, "gan", name)
    assert settings.size == int("".join(letter for letter in name if letter.isdigit()) or 96)
    if name == "sga96":
        weights = settings.weights
        assert (weights.adversarial, weights.gender, weights.style, weights.penalty) == (2, 1, 0.3, 0.5)
        assert (settings.batch, settings.betas[0], settings.learning_rate, settings.decay_after) == (64, 0.5, 2e-4, 50_000 * 64)
    if name == "ga96":
        assert (settings.style_size, settings.weights.style, settings.weights.adversarial) == (0, 0, 2)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("style_size=0", r"weights\.style > 0 needs style_size > 0"),
        ("penalty=null", r"penalty null and weights\.penalty 0"),
        ("generator.name=srresnt", "Did you mean srresnet"),
        ("discriminator.arguments={width: [4]}", "Did you mean widths"),
        ("generator.arguments={size: 32}", "set it at the top"),
        ("betas=[0.5, 1.0]", "betas must lie"),
        ("size=20", "size"),
        ("learning_rat=1", "did you mean learning_rate"),
    ],
)
def test_contradictions_are_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        gan["settings"](override)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        gan["settings"]().batch = 2


def test_a_generator_is_read_while_a_training_replaces_it(tmp_path: Path) -> None:
    """What is read is one checkpoint, never the description of one with the weights of the next."""
    settings, over = gan["settings"](), threading.Event()
    network = make_network("generator", settings.generator.name, **settings.network_arguments("generator"))

    def write(images: int) -> None:
        nn.init.constant_(network.last.bias, images)
        save_generator(tmp_path, network, settings, gan["SCHEMA"], images)

    def keep_writing() -> None:
        for images in itertools.count(1):
            if over.is_set():
                return
            write(images)

    write(0)
    writer, deadline, seen = threading.Thread(target=keep_writing), time.monotonic() + 120, set[int]()
    writer.start()
    try:
        while len(seen) < 20 and time.monotonic() < deadline:
            stored = read_generator(tmp_path)
            seen.add(stored.described["images"])
            assert stored.network().last.bias.tolist() == [stored.described["images"]] * 3
            assert stored.hash == stored.described["weights"]
    finally:
        over.set()
        writer.join()
    assert len(seen) >= 20


def test_a_generator_of_two_checkpoints_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = gan["settings"]()
    network = make_network("generator", settings.generator.name, **settings.network_arguments("generator"))
    save_generator(tmp_path, network, settings, gan["SCHEMA"], 4)
    described = (tmp_path / "generator.json").read_text()
    nn.init.ones_(network.last.bias)
    save_generator(tmp_path, network, settings, gan["SCHEMA"], 8)
    (tmp_path / "generator.json").write_text(described)  # a training was killed between the two files
    monkeypatch.setattr("sga.training.snapshot._PATIENCE", 0.1)
    with pytest.raises(WorkspaceError, match=r"generator\.json names, found those of another checkpoint .*same sga train"):
        load_generator(tmp_path)
    unnamed = json.loads(described)
    del unnamed["weights"]  # as earlier versions wrote it
    (tmp_path / "generator.json").write_text(json.dumps(unnamed))
    assert load_generator(tmp_path).last.bias.tolist() == [1, 1, 1]


def test_a_generator_that_cannot_be_read_is_explained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"generator\.json"):
        load_generator(tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(b"no weights")
    with pytest.raises(WorkspaceError, match="found others"):
        load_weights(copy.deepcopy(nn.Linear(1, 1)), tmp_path / "weights.safetensors")
