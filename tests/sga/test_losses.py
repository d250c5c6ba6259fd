from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sga.losses import (
    ADVERSARIAL,
    PENALTIES,
    SpectralExcess,
    dragan_penalty,
    forward_gender_loss,
    gender_loss,
    r1_penalty,
    soft_gender_loss,
    spectrum,
    style_loss,
)
from sga.losses.dragan import perturb

REAL, FAKE = np.array([2.0, -1.0]), np.array([0.5, -3.0])


def softplus(x: np.ndarray) -> np.ndarray:
    return np.log1p(np.exp(x))


EXPECTED = {
    "logistic": (softplus(-REAL).mean() + softplus(FAKE).mean(), softplus(-FAKE).mean()),
    "hinge": ((0 + 2) / 2 + (1.5 + 0) / 2, 1.25),
    "relativistic": (softplus(FAKE - REAL).mean(), softplus(REAL - FAKE).mean()),
}


def test_every_adversarial_term_is_expected_here() -> None:
    assert EXPECTED.keys() == ADVERSARIAL.keys()


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_adversarial_terms(name: str) -> None:
    real, fake = torch.tensor(REAL), torch.tensor(FAKE)
    assert ADVERSARIAL[name].discriminator(real, fake).item() == pytest.approx(EXPECTED[name][0], rel=1e-6)
    assert ADVERSARIAL[name].generator(fake, real).item() == pytest.approx(EXPECTED[name][1], rel=1e-6)
    if not ADVERSARIAL[name].generator_reads_real:
        assert ADVERSARIAL[name].generator(fake, None).item() == pytest.approx(EXPECTED[name][1], rel=1e-6)


def test_logistic_terms_are_finite_for_extreme_logits() -> None:
    extreme = torch.tensor([1e4, -1e4], requires_grad=True)
    loss = ADVERSARIAL["logistic"].discriminator(extreme, -extreme)
    loss.backward()
    assert loss.item() == pytest.approx(1e4)
    assert torch.isfinite(extreme.grad).all()


def test_gender_loss_weighs_the_known() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [9.0, -9.0], [5.0, 5.0]], requires_grad=True)
    gender, weight = torch.tensor([0, 0, -1, 1]), torch.tensor([1.0, 0.2, 1.0, 0.0])
    # Cross-entropy is softplus(other - own): row 0 softplus(-2), row 1 softplus(1); row 2 is unknown, row 3 weighs 0.
    expected = (1.0 * softplus(np.array(-2.0)) + 0.2 * softplus(np.array(1.0))) / 1.2
    loss = gender_loss(logits, gender, weight)
    loss.backward()
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    assert logits.grad[2:].abs().max() == 0
    # Each row's gradient is weight / total · (softmax - one-hot); of row 0, first column: (σ(2) - 1) / 1.2.
    assert logits.grad[0, 0].item() == pytest.approx((1 / (1 + np.exp(-2)) - 1) / 1.2, rel=1e-5)
    unweighted = (softplus(np.array(-2.0)) + softplus(np.array(1.0)) + np.log(2)) / 3
    assert gender_loss(logits, gender).item() == pytest.approx(unweighted, rel=1e-6)


def test_gender_loss_of_unknown_faces_is_zero() -> None:
    logits = torch.randn(4, 2, requires_grad=True)
    loss = gender_loss(logits, torch.full((4,), -1), torch.ones(4))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros(4, 2))


def test_forward_gender_loss_against_numbers() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0], [9.0, -9.0]], requires_grad=True)
    likelihood = torch.tensor([[1.0, 0.0], [0.3, 0.8], [0.5, 0.5], [0.0, 1.0]])
    weight = torch.tensor([1.0, 1.0, 1.0, 0.0])
    male = 1 / (1 + np.exp(-1.0))  # of row 1
    expected = np.array([softplus(np.array(-2.0)), -np.log(0.3 * (1 - male) + 0.8 * male), np.log(2)])
    loss = forward_gender_loss(logits, likelihood, weight)
    loss.backward()
    assert loss.item() == pytest.approx(expected.mean(), rel=1e-6)
    # By the second logit: p(male) less the probability of male given the label; of two equal likelihoods nothing is learnt.
    given = 0.8 * male / (0.3 * (1 - male) + 0.8 * male)
    assert logits.grad[1, 1].item() == pytest.approx((male - given) / 3, rel=1e-5)
    torch.testing.assert_close(logits.grad[2:], torch.zeros(2, 2), atol=1e-7, rtol=0)


def test_a_label_beyond_doubt_is_the_plain_cross_entropy() -> None:
    torch.manual_seed(0)
    gender, weight = torch.tensor([0, 1, 1, 0, -1]), torch.tensor([1.0, 1.0, 0.2, 1.0, 0.0])
    sure = torch.nn.functional.one_hot(gender.clamp(min=0), 2).float()
    gradients = []
    for loss, target in ((gender_loss, gender), (forward_gender_loss, sure), (soft_gender_loss, sure)):
        logits = (100 * torch.randn(5, 2, generator=torch.Generator().manual_seed(1))).requires_grad_(True)
        value = loss(logits, target, weight)
        value.backward()
        gradients.append((value.item(), logits.grad))
    for value, gradient in gradients[1:]:
        assert value == pytest.approx(gradients[0][0], rel=1e-5)
        torch.testing.assert_close(gradient, gradients[0][1], atol=1e-5, rtol=1e-4)


def test_soft_gender_loss_is_least_at_its_target() -> None:
    target, weight = torch.tensor([[0.9, 0.1], [0.25, 0.75]]), torch.tensor([2.0, 1.0])
    loss = soft_gender_loss(target.log(), target, weight)
    entropy = -(target * target.log()).sum(1).numpy()
    assert loss.item() == pytest.approx((2 * entropy[0] + entropy[1]) / 3, rel=1e-6)
    logits = target.log().requires_grad_(True)
    soft_gender_loss(logits, target, weight).backward()
    assert logits.grad.abs().max() < 1e-7


@pytest.mark.parametrize("loss", [forward_gender_loss, soft_gender_loss])
def test_where_nothing_is_known_nothing_is_learnt(loss: Callable[..., Tensor]) -> None:
    logits = torch.randn(3, 2, requires_grad=True)
    value = loss(logits, torch.full((3, 2), 0.5), torch.zeros(3))
    value.backward()
    assert value.item() == 0
    assert torch.equal(logits.grad, torch.zeros(3, 2))


def test_style_loss() -> None:
    prediction, target = torch.tensor([[1.0, 2.0], [0.0, -1.0]]), torch.tensor([[0.0, 2.0], [2.0, 1.0]])
    assert style_loss(prediction, target).item() == pytest.approx((1 + 0 + 4 + 4) / 4)


class Linear(nn.Module):
    """D(x) = w · x, whose gradient is w everywhere."""

    def __init__(self, shape: tuple[int, ...], norm: float) -> None:
        super().__init__()
        weight = torch.arange(1.0, 1 + int(np.prod(shape))).view(shape)
        self.weight = nn.Parameter(weight * norm / weight.norm())

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.weight).flatten(1).sum(1)


@pytest.mark.parametrize("norm", [0.25, 1.0, 3.0])
def test_penalties_of_a_linear_discriminator(norm: float) -> None:
    score = Linear((3, 4, 4), norm)
    real = torch.rand(5, 3, 4, 4)
    penalty = dragan_penalty(score, real)
    penalty.backward()
    assert penalty.item() == pytest.approx((norm - 1) ** 2, abs=1e-6)
    # d(‖w‖ - 1)²/dw = 2 (‖w‖ - 1) w / ‖w‖
    torch.testing.assert_close(score.weight.grad, 2 * (norm - 1) * score.weight.detach() / norm, atol=1e-6, rtol=1e-5)
    score.zero_grad()
    penalty = r1_penalty(score, real)
    penalty.backward()
    assert penalty.item() == pytest.approx(norm**2 / 2, rel=1e-6)
    torch.testing.assert_close(score.weight.grad, score.weight.detach())


def test_r1_and_r2_are_one_term_at_both_kinds_of_faces() -> None:
    assert {name for name, penalty in PENALTIES.items() if penalty.reads_fake} == {"r1_r2"}
    assert PENALTIES["r1_r2"].term is PENALTIES["r1"].term
    torch.manual_seed(0)
    faces = torch.rand(4, 3, 5, 5)
    # D(x) = ½ ‖x‖² has the gradient x: the term is ½ E ‖x‖².
    value = PENALTIES["r1_r2"].term(lambda x: 0.5 * x.square().flatten(1).sum(1), faces)
    assert value.item() == pytest.approx(0.5 * faces.square().flatten(1).sum(1).mean().item(), rel=1e-6)


def test_the_verdict_of_many_is_their_mean() -> None:
    weight = torch.randn(3 * 4 * 4, 5)
    many = r1_penalty(lambda x: x.flatten(1) @ weight, torch.rand(2, 3, 4, 4))
    assert many.item() == pytest.approx(0.5 * weight.mean(dim=1).square().sum().item(), rel=1e-5)


def test_the_penalty_trains_the_weights_as_finite_differences_say() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.Tanh(), nn.Linear(6, 1)).double()
    faces = torch.rand(3, 3, 2, 2).double()

    def penalty() -> Tensor:  # in double throughout: `r1_penalty` casts its faces to float32
        points = faces.clone().requires_grad_(True)
        (gradient,) = torch.autograd.grad(network(points).sum(), points, create_graph=True)
        return 0.5 * gradient.square().flatten(1).sum(1).mean()

    network.float()
    r1_penalty(lambda x: network(x).squeeze(1), faces).backward()
    found = network[1].weight.grad.double().clone()
    network.double()
    step, expected = 1e-5, torch.zeros_like(found)
    for place in np.ndindex(*found.shape):
        values = []
        for sign in (1, -1):
            network[1].weight.data[place] += sign * step
            values.append(penalty().item())
            network[1].weight.data[place] -= sign * step
        expected[place] = (values[0] - values[1]) / (2 * step)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)


def test_dragan_looks_around_the_real_faces() -> None:
    real = torch.rand(6, 3, 8, 8) * 2 - 1
    torch.manual_seed(3)
    points = perturb(real)
    moved = (points - real).flatten(1)
    assert moved.min() >= 0
    assert moved.max() <= 0.5 * real.std()
    assert moved.std() > 0
    # D(x) = ½ ‖x‖² has the gradient x: the penalty is the mean of (‖x̂‖ - 1)² at the same points.
    torch.manual_seed(3)
    penalty = dragan_penalty(lambda x: 0.5 * x.square().flatten(1).sum(1), real)
    expected = np.mean((np.linalg.norm(points.flatten(1).numpy(), axis=1) - 1) ** 2)
    assert penalty.item() == pytest.approx(expected, rel=1e-5)


def test_penalty_is_float32_under_autocast() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(8 * 36, 1))
    real = torch.rand(4, 3, 8, 8)

    def penalty() -> Tensor:
        torch.manual_seed(1)
        return dragan_penalty(lambda x: network(x).squeeze(1), real)

    outside = penalty()
    with torch.autocast("cpu", torch.bfloat16):
        inside = penalty()
    assert inside.dtype == torch.float32
    assert torch.equal(inside, outside)


def test_the_power_of_a_wave_is_at_its_frequency() -> None:
    place = torch.arange(16.0)
    wave = torch.cos(2 * torch.pi * place / 4).expand(1, 3, 16, 16)  # a period of four pixels along a row
    found = spectrum(0.2 + 0.5 * torch.cat([wave, -wave, wave, wave]))
    windowed = 0.5 * wave[0, 0].double() * torch.outer(*2 * [torch.hann_window(16, periodic=False).double()])
    direct = sum(complex(windowed[y, x]) * np.exp(-2j * np.pi * x / 4) for y in range(16) for x in range(16))
    assert found.power.shape == found.mean.shape == (3, 16, 9)
    assert found.power[:, 0, 4].tolist() == pytest.approx(3 * [abs(direct) ** 2 / 16**2], rel=1e-4)
    assert found.power[0].argmax() == 4
    assert found.locked[:, 0, 4].tolist() == pytest.approx(3 * [abs(direct / 2) ** 2 / 16**2], rel=1e-4)  # one of four cancels


def noise(count: int, seed: int) -> Tensor:
    return torch.rand(count, 3, 24, 24, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_chance_and_what_is_missing_cost_nothing() -> None:
    real = noise(512, 0)
    term = SpectralExcess(spectrum(real))
    assert term(noise(32, 1)) < 1e-3
    assert term(0.3 * real[:32]) == 0


def test_a_grid_of_dots_costs_its_excess_in_both_spectra() -> None:
    real = noise(512, 0)
    term, dots = SpectralExcess(spectrum(real)), torch.zeros(24, 24)
    dots[::4, ::4] = 1
    dotted = (real[:32] * 0.5 + dots).requires_grad_(True)
    all_of_them, batch = spectrum(real), spectrum(dotted.detach())
    strength = ((batch.power / all_of_them.power).log() - 1).clamp(min=0)
    chance = all_of_them.locked + all_of_them.power / 32
    likeness = ((batch.locked / chance).log() - 2).clamp(min=0)
    loss = term(dotted)
    assert loss.item() == pytest.approx((strength**2).mean().item() + (likeness**2).mean().item(), rel=1e-2)
    assert strength.sum() > 0
    assert likeness.sum() > strength.sum()
    loss.backward()
    assert dotted.grad is not None
    assert term(dotted.detach() - 50 * dotted.grad) < loss  # the gradient leads out of it


def test_dots_too_weak_for_the_power_are_found_in_the_mean_face() -> None:
    real = noise(512, 0)
    term, dots = SpectralExcess(spectrum(real)), torch.zeros(24, 24)
    dots[::4, ::4] = 0.5
    assert term(noise(32, 1) + dots) > 20 * term(noise(32, 1))
    moved = torch.stack([face + dots.roll((k % 4, k // 4 % 4), (0, 1)) for k, face in enumerate(noise(32, 1))])
    assert term(moved) < 0.2 * term(noise(32, 1) + dots)  # the same dots, elsewhere in every face


def test_the_spectrum_is_float32_whatever_the_faces() -> None:
    faces = noise(4, 2).bfloat16()
    assert spectrum(faces).power.dtype == torch.float32
    assert torch.allclose(spectrum(faces.float()).power, spectrum(faces).power)
