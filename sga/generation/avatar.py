"""Avatars: one ID, one face, on every machine.

How another face by rounding is ruled out: the attempt that an ID takes is decided before any pixel exists, by the latent
critic (`critic.py`), from latents that are integers over 2**24 drawn from BLAKE2b and Philox (`rng.py`), in integers
throughout. Neither generator nor judge takes part, so no score can fall on the other side of a threshold; the judge is not even
asked unless the caller wants to know (`judged`). Batch size, threads and engine move pixels by 2/255 at most and latents not at
all. The version of the algorithm is hashed with the ID, and the model's critic and styles are pinned by its hash: an ID's face
changes with the model alone, and a model stays addressable by its name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from configs.errors import InputError
from sga.generation.conditions import draw, draw_attempts, own_gender, resolve
from sga.generation.core import Core
from sga.generation.criterion import Criterion
from sga.generation.critic import quantise
from sga.generation.face import Face
from sga.generation.latents import Latents
from sga.generation.rng import Position, id_subject

__all__ = ["HOW", "Avatars", "id_digest"]

HOW = {"made": "avatar"}
"""What an avatar's `how` says."""


def id_digest(identity: str) -> str:
    """16 hex digits that stand for an ID in pictures, file names and registries.

    Raises:
        InputError: an empty ID, or no valid Unicode.
    """
    return hashlib.blake2b(id_subject(identity).encode(), digest_size=8).hexdigest()


class Avatars(Core):
    """What a model draws for IDs."""

    def avatar(self, identity: str, gender: str | None = None, *, judged: bool = False) -> Face:
        """The face of an ID: the same for ever, on every machine. Different IDs have different faces.

        identity: any non-empty text, compared as UTF-8 bytes; gender: None or "any" = the ID decides that too; judged: ask the
        judge, who only reports. Without it `quality` is None and `probabilities` is empty.

        Which attempt is taken is decided by the latent critic in integers (attempt 0 where the model has none).

        Raises:
            InputError: an empty ID or an unknown gender.
        """
        return self.avatars([identity], gender, judged)[0]

    def avatars(
        self, identities: Sequence[str], gender: str | Sequence[str | None] | None = None, judged: bool = False
    ) -> list[Face]:
        """As `avatar`, of many IDs: the same faces, several times faster than one by one, in the order of the IDs.

        gender: one for all, or one for each ID.

        Raises:
            InputError: an empty ID, an unknown gender, or another number of genders than of IDs.
        """
        if isinstance(identities, str):
            raise InputError(f"Expected a list of IDs, found the text {identities!r}. Type avatar({identities!r}) for one.")
        genders = [gender] * len(identities) if gender is None or isinstance(gender, str) else list(gender)
        if len(genders) != len(identities):
            raise InputError(f"Expected one gender for each of {len(identities)} IDs, found {len(genders)}.")
        asked = list(zip(identities, genders, strict=True))
        for identity, one in asked:
            id_subject(identity)
            resolve(self.spec, one)
        return list(self.stream_avatars(asked, judged=judged))

    def stream_avatars(self, asked: Iterable[tuple[str, str | None]], *, judged: bool = False) -> Iterator[Face]:
        """As `avatars`, of (ID, gender) pairs, one face at a time and in order: memory does not grow with their number."""
        pairs = iter(asked)
        while part := list(islice(pairs, self.rows)):
            yield from self.draw_avatars([(*pair, self.avatar_attempt(*pair)) for pair in part], judged=judged)

    def draw_avatars(
        self, chosen: Sequence[tuple[str, str | None, int]], *, judged: bool = False, how: Mapping[str, str] = HOW
    ) -> list[Face]:
        """The faces of (ID, gender, attempt). Attempts other than an ID's own are other faces, as a registry takes them.

        judged: see `avatar`; how: what `how` of the faces says.
        """
        if not chosen:
            return []
        positions = [Position(id_subject(identity), 0, attempt) for identity, _, attempt in chosen]
        latents = [self.avatar_latents(*one) for one in chosen]
        faces = self._faces(positions, latents, Criterion.of(self.spec) if judged else None)
        return [replace(face, identity=id_digest(one[0]), how=how) for face, one in zip(faces, chosen, strict=True)]

    def avatar_latents(self, identity: str, gender: str | None = None, attempt: int | None = None) -> Latents:
        """What the generator reads for an ID, equal bit for bit everywhere. attempt: None = the ID's own."""
        attempt = self.avatar_attempt(identity, gender) if attempt is None else attempt
        return draw(self._prior, resolve(self.spec, gender), Position(id_subject(identity), 0, attempt))

    def avatar_gender(self, identity: str, gender: str | None = None) -> int:
        """The code of the gender that an ID is drawn with: the asked one, or its own."""
        return own_gender(self.spec, resolve(self.spec, gender), Position(id_subject(identity), 0, 0))

    def avatar_attempt(self, identity: str, gender: str | None = None) -> int:
        """The attempt an ID takes: the highest integer score among the first `avatar_attempts`, the earliest of equals."""
        return self.avatar_order(identity, gender)[0]

    def avatar_order(self, identity: str, gender: str | None = None) -> list[int]:
        """An ID's attempts, the best first: by falling integer score of the critic, the earlier of equals first.

        Where the model has no critic, they are in the order of their numbers.
        """
        subject, conditions = id_subject(identity), resolve(self.spec, gender)
        attempts = range(self.spec.avatar_attempts)
        if self._critic is None:
            return list(attempts)
        latents = draw_attempts(self._prior, conditions, Position(subject, 0, 0), attempts)
        return np.argsort(-self._critic(quantise(latents, self.spec.gender.size)), kind="stable").tolist()
