"""A registry of avatars: no two of them nearer to each other than a minimum distance, whoever registers them.

An ID takes its best attempt that is far enough from all registered ones: first its own, then the next best in the critic's
order. The distance is one of pixels, for latents do not tell how alike two faces look: a fingerprint is a face averaged over
8 x 8 fields, three bytes each, and the distance the root mean square of their differences, in levels of 255, in integers.

Pixels differ by up to 2/255 between machines, so two machines with equal registries might decide differently close to the
minimum. Therefore the registry stores the attempt that was taken, and that rules from then on, everywhere: what a registered ID
looks like never depends on pixels again. Who registers first keeps the own face; so an ID may look different in a registry.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from configs.errors import InputError, MissingExtra, ModelError
from configs.files import atomic_path, hold, read_parquet
from sga.generation.avatar import id_digest
from sga.generation.face import Face
from sga.generation.face_model import FaceModel
from sga.model_names import name_of

__all__ = ["DEFAULT_DISTANCE", "FIELDS", "AvatarRegistry", "Registered", "fingerprint", "squared_distances"]

FIELDS = 8
"""Edge of a fingerprint; it has FIELDS x FIELDS x 3 bytes."""
WIDTH = FIELDS * FIELDS * 3
DEFAULT_DISTANCE = 24.0
"""Levels of 255, root mean square."""
FORMAT = "1"
_CHUNK = 16384

Pair = tuple[str, str | None]


@dataclass(frozen=True, eq=False)
class Registered:
    """An ID's entry. attempt: the one that it has for good; face: drawn, where it was registered just now."""

    attempt: int
    face: Face | None


@dataclass(eq=False)
class _Content:
    """The rows of a registry. name: 16 random hex digits; attempts: by (ID's digest, gender); prints: (n, WIDTH) uint8, those
    of the file; added: those since."""

    distance: float
    name: str = field(default_factory=lambda: secrets.token_hex(8))
    attempts: dict[tuple[str, str], int] = field(default_factory=dict)
    prints: np.ndarray = field(default_factory=lambda: np.zeros((0, WIDTH), np.uint8))
    added: list[np.ndarray] = field(default_factory=list)

    def clear(self, prints: np.ndarray) -> np.ndarray:
        """(n,) bool of (n, WIDTH) uint8: whether each keeps the distance to the rows of the file."""
        return _nearest(prints, self.prints) >= self.distance**2 * WIDTH

    def clear_of_added(self, print_: np.ndarray) -> bool:
        """Whether (WIDTH,) uint8 keeps the distance to the rows since."""
        added = np.stack(self.added) if self.added else np.zeros((0, WIDTH), np.uint8)
        return bool(_nearest(print_[None], added)[0] >= self.distance**2 * WIDTH)


class AvatarRegistry:
    """A parquet file of registered avatars. Several processes may register at a time: each holds a lock while it decides and
    writes, and the file is replaced in one step.

    >>> registry = AvatarRegistry(model, "avatars.parquet")
    >>> [one] = registry.register([("user-42", None)])
    >>> face = one.face or model.draw_avatars([("user-42", None, one.attempt)])[0]
    """

    batch = 256
    """IDs that are best registered at a time: the file is read and written once for each call."""

    def __init__(self, model: FaceModel, path: str | Path, min_distance: float | None = None) -> None:
        """min_distance: in levels of 255, above 0; None = as the registry has it, or DEFAULT_DISTANCE for a new one.

        Raises:
            InputError: a distance out of its range or not the registry's, or a file that is no registry.
            ModelError: a registry of another model; says which to name.
            MissingExtra: pyarrow is not installed (extra `tables`).
        """
        if min_distance is not None and not 0 < min_distance <= 255:
            raise InputError(
                f"Expected a minimum distance above 0 and up to 255, found {min_distance}. Type: --min-distance 24"
            )
        self.model = model
        self.path = Path(path)
        self.asked = min_distance
        _pyarrow()
        self._read()

    def register(self, pairs: Sequence[Pair]) -> list[Registered]:
        """The attempts of (ID, gender) pairs, in their order. Those that are registered keep theirs; the others are registered
        in the order given, each with its best attempt that keeps the minimum distance to all before it.

        An ID is registered once for each gender that it is drawn with.

        Raises:
            InputError: an empty ID, an unknown gender, or an ID none of whose attempts is far enough.
        """
        if not pairs:
            return []
        own = self._own(pairs)
        with self._lock():
            content = self._named()  # read again: others may have registered meanwhile
            known = len(content.attempts)
            prints = [fingerprint(face.image) for face in own.values()]
            clear = content.clear(np.stack(prints)) if own else np.zeros(0, bool)
            tried = {
                pair: [(face, print_)] if far else []
                for pair, face, print_, far in zip(own, own.values(), prints, clear, strict=True)
            }
            registered = [self._register(content, pair, tried) for pair in pairs]
            if len(content.attempts) > known:
                self._write(content)
        how = self._how(content)
        return [one if one.face is None else replace(one, face=replace(one.face, how=how)) for one in registered]

    @property
    def how(self) -> dict[str, str]:
        """What the `how` of a registered avatar says: it names the registry."""
        with self._lock():
            return self._how(self._named())

    def __len__(self) -> int:
        return len(self._read().attempts)

    @property
    def min_distance(self) -> float:
        """Levels of 255 below which no two registered avatars are."""
        return self._read().distance

    def _how(self, content: _Content) -> dict[str, str]:
        return {"made": "registered", "registry": content.name}

    def _own(self, pairs: Sequence[Pair]) -> dict[Pair, Face]:
        """The own faces of those that are not registered, drawn before the lock is taken so that others need not wait."""
        attempts = self._read().attempts
        chosen = [(*one, self.model.avatar_attempt(*one)) for one in dict.fromkeys(pairs) if self._key(one) not in attempts]
        return {one[:2]: face for one, face in zip(chosen, self.model.draw_avatars(chosen), strict=True)}

    def _key(self, pair: Pair) -> tuple[str, str]:
        """Under which a pair is registered: with the gender that it is drawn with, for "any" and that one are the same face."""
        return id_digest(pair[0]), self.model.spec.gender.values[self.model.avatar_gender(*pair)]

    def _register(self, content: _Content, pair: Pair, tried: Mapping[Pair, list[tuple[Face, np.ndarray]]]) -> Registered:
        """tried: of each pair whose own face is drawn, that one, where it keeps the distance to the rows of the file."""
        key = self._key(pair)
        if key in content.attempts:
            return Registered(content.attempts[key], None)
        for face, print_ in chain(tried.get(pair, []), self._candidates(content, pair, begin=int(pair in tried))):
            if content.clear_of_added(print_):
                content.attempts[key] = face.attempt
                content.added.append(print_)
                return Registered(face.attempt, face)
        raise InputError(
            f"Expected an attempt of {pair[0]!r} at least {content.distance:g} away from {len(content.attempts)} registered "
            f"avatars, found none. Begin another registry with a lower --min-distance."
        )

    def _candidates(self, content: _Content, pair: Pair, begin: int) -> Iterator[tuple[Face, np.ndarray]]:
        """The ID's faces, best first, from place `begin` of that order on, that keep the distance to the rows of the file."""
        order, step = self.model.avatar_order(*pair)[begin:], self.model.spec.micro_batch
        for start in range(0, len(order), step):
            faces = self.model.draw_avatars([(*pair, attempt) for attempt in order[start : start + step]])
            prints = np.stack([fingerprint(face.image) for face in faces])
            yield from ((face, one) for face, one, far in zip(faces, prints, content.clear(prints), strict=True) if far)

    # -- the file ----------------------------------------------------------------------------------------------------------

    def _lock(self) -> AbstractContextManager[None]:
        return hold(self.path.with_name(f".{self.path.name}.lock"))

    def _named(self) -> _Content:
        """What the file holds. A new one is written first, so that its name stays; under the lock."""
        content = self._read()
        if not self.path.exists():
            self._write(content)
        return content

    def _read(self) -> _Content:
        if not self.path.exists():
            return _Content(DEFAULT_DISTANCE if self.asked is None else float(self.asked))
        arrow, _ = _pyarrow()
        try:
            table = read_parquet(self.path)
            notes = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
            if notes.get("sga.registry") != FORMAT:
                raise ValueError(f"no registry of format {FORMAT}")
            distance = float(notes["sga.min_distance"])
            columns = [table[name].to_pylist() for name in ("id", "gender", "attempt")]
            content = table["fingerprint"].combine_chunks().cast(arrow.binary(WIDTH))
            prints = np.frombuffer(b"".join(content.to_pylist()), np.uint8).reshape(-1, WIDTH)
        except (OSError, ValueError, KeyError, arrow.ArrowException) as error:
            raise InputError(
                f"Expected a registry of avatars at {self.path}, found: {error}. Name another file with --registry."
            ) from error
        self._check(notes, distance)
        keys = zip(columns[0], columns[1], strict=True)
        return _Content(distance, notes.get("sga.name", ""), dict(zip(keys, columns[2], strict=True)), prints)

    def _check(self, notes: Mapping[str, str], distance: float) -> None:
        model, folder = notes.get("sga.drawing", ""), self.model.folder
        if model != folder.drawing_hash:
            name = name_of(model)
            way = f"Type: --model {name}" if name else "Name that model's folder with --model, or another --registry."
            raise ModelError(
                f"Expected a registry of the model {folder.spec.name} ({folder.hash}), found one of "
                f"{notes.get('sga.model_name')} ({notes.get('sga.model')}) at {self.path}. {way}"
            )
        if self.asked not in (None, distance):
            raise InputError(
                f"Expected the minimum distance of {self.path}, which is {distance:g}, found {self.asked:g}. "
                "Leave --min-distance out, or begin another registry."
            )

    def _write(self, content: _Content) -> None:
        arrow, parquet = _pyarrow()
        folder = self.model.folder
        notes = {
            "sga.registry": FORMAT,
            "sga.name": content.name,
            "sga.drawing": folder.drawing_hash,
            "sga.model": folder.hash,
            "sga.model_name": folder.spec.name,
            "sga.algorithm": str(folder.spec.algorithm),
            "sga.min_distance": repr(content.distance),
        }
        prints = np.concatenate([content.prints, *(one[None] for one in content.added)])
        columns = {
            "id": arrow.array([digest for digest, _ in content.attempts], arrow.string()),
            "gender": arrow.array([gender for _, gender in content.attempts], arrow.string()),
            "attempt": arrow.array(list(content.attempts.values()), arrow.int32()),
            "fingerprint": arrow.FixedSizeBinaryArray.from_buffers(
                arrow.binary(WIDTH), len(prints), [None, arrow.py_buffer(prints.tobytes())]
            ),
        }
        table = arrow.table(columns).replace_schema_metadata(notes)
        with atomic_path(self.path) as temporary:
            parquet.write_table(table, temporary)


def fingerprint(image: np.ndarray) -> np.ndarray:
    """(WIDTH,) uint8 of (size, size, 3) uint8: the mean of each of 8 x 8 fields and colours, rounded in integers."""
    edges = np.arange(FIELDS) * len(image) // FIELDS
    sums = np.add.reduceat(np.add.reduceat(image.astype(np.int64), edges, axis=0), edges, axis=1)
    heights = np.diff([*edges, len(image)])
    areas = (heights[:, None] * heights[None])[..., None]
    return ((sums + areas // 2) // areas).astype(np.uint8).ravel()


def squared_distances(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(n, m) int64: sums of squared differences of (n, WIDTH) and (m, WIDTH) uint8. Exact: a sum of WIDTH products of bytes is
    below 2**24, which float32 holds."""
    products = (one.astype(np.float32) @ others.astype(np.float32).T).astype(np.int64)
    mine, theirs = ((values.astype(np.int64) ** 2).sum(axis=1) for values in (one, others))
    return mine[:, None] + theirs[None] - 2 * products


def _nearest(prints: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(n,) int64: the least squared distance of each to (m, WIDTH) uint8; beyond all there are where m is 0."""
    least = np.full(len(prints), np.iinfo(np.int64).max)
    for start in range(0, len(others), _CHUNK):
        least = np.minimum(least, squared_distances(prints, others[start : start + _CHUNK]).min(axis=1))
    return least


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtra("pyarrow", "tables") from error
    return pyarrow, pyarrow.parquet
