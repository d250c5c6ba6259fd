"""From truth and a seed to pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from configs.errors import InputError
from labeling.samples.face import make_face
from labeling.samples.finish import finish
from labeling.samples.truth import sample_schema

__all__ = ["render_face"]


def render_face(truth: Mapping[str, str], seed: int | Sequence[int], size: int = 96) -> NDArray[np.uint8]:
    """Draw one face, uint8 RGB (size, size, 3): a function of its arguments alone.

    truth: a value name for every attribute of schema moe34. seed: an integer or several (as (seed, index)), not negative.
    size: pixels, 64 … 512. All other traits (face shape, pose, fringe, clothes, the artist's taste …) come from the seed, each
    part from a stream of its own, so two truths that differ in one tag give two pictures of one face.

    Raises:
        InputError: an attribute is missing or has an unknown value, or the size is out of range.
        MissingExtra: skia-python is not installed.
    """
    if not 64 <= size <= 512:
        raise InputError(f"Expected a face size of 64 … 512 pixels, found {size}.")
    schema = sample_schema()
    missing = [name for name in schema.names if name not in truth]
    if missing:
        raise InputError(f"Expected a value for every attribute of schema {schema.name}, found none for {', '.join(missing)}.")
    for attribute in schema:
        attribute.code(truth[attribute.name])
    from labeling.samples.parts import compose, surface

    face = make_face(truth, (seed,) if isinstance(seed, int) else tuple(seed))
    return finish(surface.rasterise(lambda canvas: compose.paint(canvas, face, size), size), face)
