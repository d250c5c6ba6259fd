"""The masked losses against numbers computed by hand (SGA-GAN, Eq. 1)."""

import math

import pytest
import torch

from classifiers.losses import attribute_losses, masked_binary_cross_entropy, masked_cross_entropy, masked_squared_error
from classifiers.train import LossWeights, _total
from labeling.schema import Schema

SCHEMA = Schema.model_validate(
    {
        "name": "three",
        "attributes": [
            {"name": "gender", "kind": "exclusive", "role": "gender", "values": ["female", "male"]},
            {"name": "hair", "kind": "exclusive", "role": "style", "values": ["red", "green", "blue"]},
            {"name": "smile", "kind": "independent", "role": "style"},
            {"name": "quality", "kind": "ordinal", "role": "quality", "values": ["low", "median", "high"]},
        ],
    }
)


def test_cross_entropy_by_hand() -> None:
    logits = torch.tensor([[math.log(3.0), 0.0], [0.0, math.log(7.0)], [5.0, -5.0]])  # p = (3/4, 1/4), (1/8, 7/8)
    target, weight = torch.tensor([0, 0, -1]), torch.tensor([1.0, 0.2, 0.0])
    expected = (1.0 * -math.log(3 / 4) + 0.2 * -math.log(1 / 8)) / 1.2
    assert masked_cross_entropy(logits, target, weight).item() == pytest.approx(expected, rel=1e-6)


def test_label_smoothing_by_hand() -> None:
    logits = torch.tensor([[math.log(3.0), 0.0]])
    expected = -(0.95 * math.log(3 / 4) + 0.05 * math.log(1 / 4))  # 0.1 shared out over both classes
    loss = masked_cross_entropy(logits, torch.tensor([0]), torch.ones(1), smoothing=0.1)
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_binary_cross_entropy_by_hand() -> None:
    logits = torch.tensor([math.log(4.0), math.log(4.0), 9.0])  # p = 0.8
    target, weight = torch.tensor([1, 0, -1]), torch.tensor([1.0, 3.0, 0.0])
    expected = (-math.log(0.8) - 3 * math.log(0.2)) / 4
    assert masked_binary_cross_entropy(logits, target, weight).item() == pytest.approx(expected, rel=1e-6)


def test_squared_error_by_hand() -> None:
    loss = masked_squared_error(torch.tensor([0.5, 0.25, 0.9]), torch.tensor([1.0, 0.0, 0.0]), torch.tensor([1.0, 2.0, 0.0]))
    assert loss.item() == pytest.approx((0.25 + 2 * 0.0625) / 3, rel=1e-6)


@pytest.mark.parametrize(("code", "target"), [(0, 0.0), (1, 0.5), (2, 1.0)])
def test_ordinal_levels_are_regressed_to_equal_steps(code: int, target: float) -> None:
    logits = torch.zeros(1, SCHEMA.logit_width)
    logits[0, SCHEMA.logit_slices["quality"]] = math.log(3.0)  # sigmoid 0.75
    loss = attribute_losses(SCHEMA, logits, {"quality": torch.tensor([code])}, {"quality": torch.ones(1)})
    assert loss["quality"].item() == pytest.approx((0.75 - target) ** 2, rel=1e-6)


def test_everything_masked_is_zero_with_zero_gradients() -> None:
    logits = torch.randn(4, SCHEMA.logit_width, generator=torch.Generator().manual_seed(0)).mul(50).requires_grad_()
    codes = {name: torch.full((4,), -1) for name in SCHEMA.names}
    losses = attribute_losses(SCHEMA, logits, codes, {name: torch.ones(4) for name in SCHEMA.names}, smoothing=0.1)
    assert {name: loss.item() for name, loss in losses.items()} == dict.fromkeys(SCHEMA.names, 0.0)
    torch.stack(list(losses.values())).sum().backward()
    assert logits.grad is not None
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_known_cells_of_weight_zero_do_not_count() -> None:
    logits = torch.randn(3, SCHEMA.logit_width, requires_grad=True)
    codes = {name: torch.tensor([0, 1, 1]) for name in SCHEMA.names}
    losses = attribute_losses(SCHEMA, logits, codes, {name: torch.zeros(3) for name in SCHEMA.names})
    assert all(loss.item() == 0 for loss in losses.values())


def test_an_unknown_cell_never_counts_whatever_its_weight() -> None:
    logits = torch.randn(2, SCHEMA.logit_width, generator=torch.Generator().manual_seed(1))
    for name in SCHEMA.names:
        alone = attribute_losses(SCHEMA, logits[:1], {name: torch.tensor([1])}, {name: torch.ones(1)})[name]
        heavy = attribute_losses(SCHEMA, logits, {name: torch.tensor([1, -1])}, {name: torch.tensor([1.0, 1e6])})[name]
        assert heavy.item() == pytest.approx(alone.item(), rel=1e-6), name


def test_only_the_known_attributes_get_a_gradient() -> None:
    logits = torch.randn(2, SCHEMA.logit_width, requires_grad=True)
    codes = {"gender": torch.tensor([0, 1]), "hair": torch.tensor([-1, -1])}
    losses = attribute_losses(SCHEMA, logits, codes, {name: torch.ones(2) for name in codes})
    sum(losses.values(), torch.zeros(())).backward()
    assert logits.grad is not None
    assert logits.grad[:, SCHEMA.logit_slices["gender"]].abs().min() > 0
    rest = logits.grad.clone()
    rest[:, SCHEMA.logit_slices["gender"]] = 0
    assert torch.equal(rest, torch.zeros_like(rest))


def test_the_total_weighs_roles_and_averages_style() -> None:
    losses = {name: torch.tensor(value) for name, value in zip(SCHEMA.names, (1.0, 2.0, 4.0, 8.0), strict=True)}
    assert _total(SCHEMA, losses, LossWeights(gender=2, style=0.5, quality=0.25)).item() == 2 * 1 + 0.5 * 3 + 0.25 * 8
    assert _total(SCHEMA, losses, LossWeights()).item() == 1 + 3
    assert _total(SCHEMA, {"hair": losses["hair"]}, LossWeights()).item() == 2
