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
from sga.generation.conditions import draw, draw_rows, own_gender, resolve
from sga.generation.core import Core
from sga.generation.criterion import Criterion
from sga.generation.critic import quantise_rows
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

    def avatar(self, identity: str, gender: str | None = None, *, judged: bool = False, size: int | None = None) -> Face:
        """The face of an ID: the same for ever, on every machine. Different IDs have different faces.

        identity: any non-empty text, compared as UTF-8 bytes; gender: None or "any" = the ID decides that too; judged: ask the
        judge, who only reports. Without it `quality` is None and `probabilities` is empty; size: edge of the picture in px,
        16 … 4096, None = as drawn (see `resized`).

        Which attempt is taken is decided by the latent critic in integers (attempt 0 where the model has none).

        Raises:
            InputError: an ID that is empty or no text, an unknown gender or a size out of its range.
        """
        return self.avatars([identity], gender, judged, size)[0]

    def avatars(
        self,
        identities: Iterable[str],
        gender: str | Sequence[str | None] | None = None,
        judged: bool = False,
        size: int | None = None,
    ) -> list[Face]:
        """As `avatar`, of many IDs: the same faces, several times faster than one by one, in the order of the IDs.

        gender: one for all, or one for each ID.

        Raises:
            InputError: no list of IDs, an empty ID or one that is no text, an unknown gender, or another number of genders than
                of IDs.
        """
        if isinstance(identities, str):
            raise InputError(f"Expected a list of IDs, found the text {identities!r}. Type avatar({identities!r}) for one.")
        if not isinstance(identities, Iterable):
            raise InputError(f"Expected a list of IDs, found {identities!r}. Write, for example: ['user-42']")
        identities = list(identities)
        genders = list(gender) if isinstance(gender, Iterable) and not isinstance(gender, str) else [gender] * len(identities)
        if len(genders) != len(identities):
            raise InputError(f"Expected one gender for each of {len(identities)} IDs, found {len(genders)}.")
        asked = list(zip(identities, genders, strict=True))
        for identity, one in asked:
            id_subject(identity)
            resolve(self.spec, one)
        return list(self.stream_avatars(asked, judged=judged, size=size))

    def stream_avatars(
        self, asked: Iterable[tuple[str, str | None]], *, judged: bool = False, size: int | None = None
    ) -> Iterator[Face]:
        """As `avatars`, of (ID, gender) pairs, one face at a time and in order: memory does not grow with their number."""
        self.size_notes(size)  # refused before anything is drawn
        pairs = iter(asked)
        while part := list(islice(pairs, self.rows)):
            drawn = [self._own(*pair) for pair in part]
            chosen = [(*pair, attempt) for pair, (attempt, _) in zip(part, drawn, strict=True)]
            faces = self._drawn(chosen, [latents for _, latents in drawn], judged, HOW)
            yield from (self.resized(face, size) for face in faces)

    def draw_avatars(
        self, chosen: Sequence[tuple[str, str | None, int]], *, judged: bool = False, how: Mapping[str, str] = HOW
    ) -> list[Face]:
        """The faces of (ID, gender, attempt). Attempts other than an ID's own are other faces, as a registry takes them.

        judged: see `avatar`; how: what `how` of the faces says.
        """
        return self._drawn(chosen, [self.avatar_latents(*one) for one in chosen], judged, how) if chosen else []

    def _drawn(
        self, chosen: Sequence[tuple[str, str | None, int]], latents: Sequence[Latents], judged: bool, how: Mapping[str, str]
    ) -> list[Face]:
        """As `draw_avatars`, of latents that are drawn already."""
        positions = [Position(id_subject(identity), 0, attempt) for identity, _, attempt in chosen]
        faces = self._faces(positions, latents, Criterion.of(self.spec) if judged else None)
        return [replace(face, identity=id_digest(one[0]), how=how) for face, one in zip(faces, chosen, strict=True)]

    def avatar_latents(self, identity: str, gender: str | None = None, attempt: int | None = None) -> Latents:
        """What the generator reads for an ID, equal bit for bit everywhere. attempt: None = the ID's own."""
        if attempt is None:
            return self._own(identity, gender)[1]
        return draw(self._prior, resolve(self.spec, gender), Position(id_subject(identity), 0, attempt))

    def avatar_gender(self, identity: str, gender: str | None = None) -> int:
        """The code of the gender that an ID is drawn with: the asked one, or its own."""
        return own_gender(self.spec, resolve(self.spec, gender), Position(id_subject(identity), 0, 0))

    def avatar_attempt(self, identity: str, gender: str | None = None) -> int:
        """The attempt an ID takes: the highest integer score among the first `avatar_attempts`, the earliest of equals."""
        return self._own(identity, gender)[0]

    def avatar_order(self, identity: str, gender: str | None = None) -> list[int]:
        """An ID's attempts, the best first: by falling integer score of the critic, the earlier of equals first.

        Where the model has no critic, they are in the order of their numbers.
        """
        if self._critic is None:
            id_subject(identity), resolve(self.spec, gender)
            return list(range(self.spec.avatar_attempts))
        scores, _ = self._scored(identity, gender)
        return np.argsort(-scores, kind="stable").tolist()

    def _own(self, identity: str, gender: str | None) -> tuple[int, Latents]:
        """An ID's own attempt, and its latents."""
        if self._critic is None:
            return 0, self.avatar_latents(identity, gender, 0)
        scores, (noise, code, style) = self._scored(identity, gender)
        best = int(scores.argmax())  # the earliest of equals
        return best, Latents(noise[best].copy(), code, style[best].copy())

    def _scored(self, identity: str, gender: str | None) -> tuple[np.ndarray, tuple[np.ndarray, int, np.ndarray]]:
        """(n,) int64 scores of an ID's attempts, and what was scored, as `draw_rows` gives it."""
        assert self._critic is not None
        start, attempts = Position(id_subject(identity), 0, 0), range(self.spec.avatar_attempts)
        rows = draw_rows(self._prior, resolve(self.spec, gender), start, attempts)
        return self._critic(quantise_rows(*rows, self.spec.gender.size)), rows
