"""First attempts of a model, drawn and judged: what the latent critic and the small judge learn from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from configs.errors import InputError
from sga.generation.conditions import Latents, StylePrior, draw, resolve
from sga.generation.face import Verdict
from sga.generation.face_model import FaceModel
from sga.generation.rng import Position
from sga.model_folder import read_arrays

__all__ = ["Attempts", "judged_attempts"]

LEAST = 64
_CHUNK = 256


@dataclass(frozen=True, eq=False)
class Attempts:
    """n attempts, genders in turn. images: (n, size, size, 3) uint8; verdict: the model's judge on them."""

    latents: list[Latents]
    images: np.ndarray
    verdict: Verdict

    def __len__(self) -> int:
        return len(self.latents)

    @property
    def gender(self) -> np.ndarray:
        """(n,) int64: the asked codes."""
        return np.array([one.gender for one in self.latents], dtype=np.int64)

    def first(self, count: int) -> Attempts:
        """The first `count` of them."""
        told = self.verdict
        probabilities = {name: values[:count] for name, values in told.probabilities.items()}
        verdict = Verdict(probabilities, told.style[:count], told.quality[:count], told.gender[:count])
        return Attempts(self.latents[:count], self.images[:count], verdict)


def judged_attempts(
    model: FaceModel, count: int, seed: int = 0, on_drawn: Callable[[int], None] = lambda count: None
) -> Attempts:
    """Draw and judge `count` faces of a subject of their own, which no seed and no ID has. on_drawn: told of each further few.

    Raises:
        InputError: fewer than 64, from which nothing can be learnt.
    """
    if count < LEAST:
        raise InputError(
            f"Expected at least {LEAST} faces to learn from, found {count}. Ask for more, or switch that part off."
        )
    spec = model.spec
    prior = StylePrior(spec, read_arrays(model.folder.read("styles.npz"), "styles.npz") if spec.style_size else {})
    latents = [
        draw(prior, resolve(spec, spec.gender.values[index % spec.gender.size]), Position(f"critic:{seed}", index, 0))
        for index in range(count)
    ]
    images, verdicts = [], []
    for start in range(0, count, _CHUNK):
        part = latents[start : start + _CHUNK]
        images.append(model.render_latents(part))
        verdicts.append(model.judge(images[-1]))
        on_drawn(len(part))
    names = verdicts[0].probabilities
    verdict = Verdict(
        {name: np.concatenate([one.probabilities[name] for one in verdicts]) for name in names},
        np.concatenate([one.style for one in verdicts]),
        np.concatenate([one.quality for one in verdicts]),
        tuple(gender for one in verdicts for gender in one.gender),
    )
    return Attempts(latents, np.concatenate(images), verdict)
