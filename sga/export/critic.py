"""Fit the latent critic: a small integer network that foretells from the latents what the judge will say of the pixels."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from configs.files import atomic_path, read_json
from sga.export.attempts import Attempts
from sga.generation.critic import INPUT_SCALE, LatentCritic, quantise
from sga.generation.face_model import FaceModel
from sga.model_folder import seal_model_folder

__all__ = ["CriticReport", "add_critic", "integer_layers"]

_LOG_ODDS = 4.0  # beyond 98 % a surer gender makes no better face
_ACTIVATION = 16384


@dataclass(frozen=True)
class CriticReport:
    """How well the critic foretells the judge, on faces it was not fitted on.

    correlation: Spearman's, of its integer score with the judge's; accepted, accepted_random: shares of avatars and of first
    attempts that the judge accepts; spread: mean standard deviation of the avatars' styles over that of first attempts'.
    """

    samples: int
    correlation: float
    accepted: float
    accepted_random: float
    spread: float


def add_critic(path: str | Path, attempts: Attempts, *, hidden: int = 64, avatars: int = 256, seed: int = 0) -> CriticReport:
    """Fit the critic on seven of eight attempts of a model folder, write `critic.npz` and seal the folder anew.

    The score learnt is the judge's quality plus its log-odds of the asked gender, each standardised.

    Raises:
        ModelError: the folder is not whole.
        ModuleNotFoundError: scikit-learn is not installed (extra `train`).
    """
    from sklearn.neural_network import MLPRegressor

    path, samples = Path(path), len(attempts)
    before = FaceModel.load(path)
    inputs, target = quantise(attempts.latents, before.spec.gender.size), _score(before, attempts)
    kept = samples - samples // 8
    network = MLPRegressor(hidden_layer_sizes=(hidden,), alpha=1e-3, early_stopping=True, max_iter=500, random_state=seed)
    network.fit(inputs[:kept] / INPUT_SCALE, target[:kept])
    arrays = integer_layers(network.coefs_, network.intercepts_, inputs[:kept])
    score = LatentCritic(arrays, inputs.shape[1])(inputs[kept:])

    with atomic_path(path / "critic.npz") as temporary, temporary.open("wb") as handle:
        np.savez(handle, **cast(Any, arrays))
    raw = read_json(path / "model.json")
    seal_model_folder(path, raw)
    report = _report(before, FaceModel.load(path), samples, spearman(score, target[kept:]), avatars)
    seal_model_folder(path, {**raw, "metrics": {**raw.get("metrics", {}), "critic": asdict(report)}})
    return report


def integer_layers(weights: list[np.ndarray], biases: list[np.ndarray], inputs: np.ndarray) -> dict[str, np.ndarray]:
    """A ReLU network in float, weights (in, out), on inputs / INPUT_SCALE, as the arrays of a LatentCritic.

    inputs: (n, in) int64, typical ones, by which the shifts are chosen so that hidden activations stay within int16.
    """
    arrays: dict[str, np.ndarray] = {}
    shifts = []
    hidden, scale = inputs, float(INPUT_SCALE)
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        step = 32767 / max(float(np.abs(weight).max()), 1e-12)
        integer = np.rint(weight.T * step).astype(np.int16)
        scale *= step
        arrays[f"weight{layer}"] = integer
        arrays[f"bias{layer}"] = np.rint(bias * scale).astype(np.int64)
        if layer + 1 < len(weights):
            total = hidden @ integer.T.astype(np.int64) + arrays[f"bias{layer}"]
            shift = max(0, int(np.ceil(np.log2(max(float(total.max()), 1) / _ACTIVATION))))
            shifts.append(shift)
            hidden, scale = (total >> shift).clip(0, 32767), scale / 2**shift
    arrays["shift"] = np.array(shifts, dtype=np.int64)
    return arrays


def spearman(one: np.ndarray, other: np.ndarray) -> float:
    """Rank correlation of two (n,) arrays, ties in order of appearance."""
    ranks = [np.argsort(np.argsort(values, kind="stable"), kind="stable") for values in (one, other)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _score(model: FaceModel, attempts: Attempts) -> np.ndarray:
    """(n,) float64: what the critic foretells."""
    seen = attempts.verdict.probabilities[model.spec.gender.name][np.arange(len(attempts)), attempts.gender]
    seen = seen.astype(np.float64).clip(1e-6, 1 - 1e-6)
    odds = np.log(seen / (1 - seen)).clip(-_LOG_ODDS, _LOG_ODDS)
    parts = (attempts.verdict.quality.astype(np.float64), odds)
    return np.asarray(sum((values - values.mean()) / max(float(values.std()), 1e-9) for values in parts))


def _report(before: FaceModel, after: FaceModel, samples: int, correlation: float, avatars: int) -> CriticReport:
    """Compare the avatars of the folder with and without its critic; `before` may have an older critic, which is put aside."""
    identities = [f"critic-{number}" for number in range(avatars)]
    chosen = after.avatars(identities, judged=True)
    before._critic = None
    first = before.avatars(identities, judged=True)
    spread = [float(np.stack([face.style for face in faces]).std(axis=0).mean()) for faces in (chosen, first)]
    rates = [sum(face.accepted for face in faces) / avatars for faces in (chosen, first)]
    return CriticReport(samples, correlation, rates[0], rates[1], spread[0] / spread[1] if spread[1] else 1.0)
