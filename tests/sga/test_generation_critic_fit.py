"""The fitted critic foretells the judge, so that most avatars pass it, without a pixel in the choice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from configs.errors import InputError
from sga import FaceModel
from sga.generation.critic import INPUT_SCALE, LatentCritic

MakeModel = Callable[..., Path]


def test_the_critic_raises_the_share_of_good_avatars(make_model: MakeModel) -> None:
    pytest.importorskip("sklearn", reason="the extra train fits the critic")
    from sga.export.attempts import judged_attempts
    from sga.export.critic import add_critic

    folder = make_model(avatar_attempts=16)
    before = FaceModel.load(folder)
    report = add_critic(folder, judged_attempts(before, 2048), avatars=96)
    after = FaceModel.load(folder)
    assert report.correlation > 0.5
    assert report.accepted > report.accepted_random + 0.1
    assert report.spread > 0.5
    assert after.hash != before.hash
    assert after.folder.path.joinpath("critic.npz").is_file()
    ids = [f"critic-{number}" for number in range(96)]
    assert sum(face.accepted for face in after.avatars(ids, judged=True)) / 96 == report.accepted
    # Faces by seed do not pass the critic: only the model's hash differs.
    assert (after.generate("female", 1, seed=1)[0].image == before.generate("female", 1, seed=1)[0].image).all()


def test_integers_rank_as_floats_do() -> None:
    from sga.export.critic import integer_layers, spearman

    rng = np.random.default_rng(0)
    weights = [rng.normal(0, 0.3, (40, 24)), rng.normal(0, 0.3, (24, 12)), rng.normal(0, 0.3, (12, 1))]
    biases = [rng.normal(0, 0.3, 24), rng.normal(0, 0.3, 12), rng.normal(0, 0.3, 1)]
    inputs = rng.integers(-127, 128, (500, 40))
    value = inputs / INPUT_SCALE
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        value = (value @ weight + bias).clip(0)
    floats = (value @ weights[-1] + biases[-1])[:, 0]
    score = LatentCritic(integer_layers(weights, biases, inputs), 40)(inputs)
    assert spearman(score, floats) > 0.9999


def test_too_few_samples_are_refused(make_model: MakeModel) -> None:
    from sga.export.attempts import judged_attempts

    with pytest.raises(InputError, match="at least 64 faces"):
        judged_attempts(FaceModel.load(make_model()), 10)
