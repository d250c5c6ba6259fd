"""Randomness as a function of position: (seed or ID, index, attempt) → latents, equal bit for bit on every machine.

BLAKE2b of the position keys a Philox counter generator; its raw 64-bit words become numbers by integer arithmetic alone. No
exp, log or erf of a C library takes part (their last bit differs between platforms), and no NumPy distribution (their
streams may change between versions; those of the bit generators may not).
"""

from __future__ import annotations

import hashlib
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from numbers import Integral
from typing import Any

import numpy as np

from configs.errors import InputError
from sga.model_folder import ALGORITHM

__all__ = [
    "LATENT_BITS",
    "Position",
    "below",
    "check_whole",
    "each_below",
    "id_subject",
    "quantiles",
    "seed_subject",
    "truncated_normal",
    "truncated_normals",
    "words",
]

LATENT_BITS = 24
"""Draws of `truncated_normal` are integers over 2**24: a float32 holds each of them exactly."""

_SEGMENTS = 1024
_TABLE_BITS = 30
_WORK_BITS = 80
_MAX_SEED = 2**64
_OF_THREAD = threading.local()
_ZEROS = (0, 0, 0, 0)
_KEY = struct.Struct("<QQ")


@dataclass(frozen=True, order=True)
class Position:
    """Attempt `attempt` of face `index` of a subject."""

    subject: str
    index: int
    attempt: int


def check_whole(name: str, value: object) -> None:
    """Refuse what is no whole number: a text, a fraction, True.

    Raises:
        InputError: says what was found.
    """
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise InputError(f"Expected a whole number as {name}, found {value!r}. Write, for example: {name}=7")


def seed_subject(seed: int) -> str:
    """The subject of a seed in [0, 2**64).

    Raises:
        InputError: outside, or no whole number.
    """
    check_whole("seed", seed)
    if not 0 <= seed < _MAX_SEED:
        raise InputError(f"Expected a seed from 0 to {_MAX_SEED - 1}, found {seed}. Type, for example: --seed 7")
    return f"seed:{seed}"


def id_subject(identity: str) -> str:
    """The subject of an ID: any non-empty text. It is taken byte by byte as UTF-8, without Unicode normalisation.

    Raises:
        InputError: no text, empty, or no valid Unicode.
    """
    if not isinstance(identity, str):
        raise InputError(f"Expected an ID as text, found {identity!r}. Write it in quotes, for example: 'user-42'")
    try:
        identity.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"Expected an ID of valid Unicode text, found {identity!r}.") from error
    if not identity:
        raise InputError("Expected an ID of at least one character, found an empty text.")
    return f"id:{identity}"


def words(purpose: str, position: Position, count: int) -> np.ndarray:
    """(count,) uint64: the first raw Philox words of `purpose` ("noise", "style", …) at a position."""
    return _words(purpose, [position], count)[0]


def _words(purpose: str, positions: Sequence[Position], count: int) -> np.ndarray:
    """(n, count) uint64: `words` at each of n positions."""
    if not hasattr(_OF_THREAD, "generator"):
        # One for each thread, set to a key at a time: making one reads the system's entropy, which takes longer than drawing.
        _OF_THREAD.generator = np.random.Philox(key=0, counter=0)
    generator: np.random.Philox = _OF_THREAD.generator
    inner: dict[str, tuple[int, ...]] = {"counter": _ZEROS}
    # Numbers in tuples: the generator reads them one by one, which takes arrays three times as long.
    state: Any = {"bit_generator": "Philox", "state": inner, "buffer": _ZEROS, "buffer_pos": 4, "has_uint32": 0, "uinteger": 0}
    size = None if count == 1 else count  # a number alone comes without an array around it
    drawn = []
    for position in positions:
        digest = _begun(purpose, position.subject, position.index).copy()
        digest.update(_attempt(position.attempt))
        inner["key"] = _KEY.unpack(digest.digest())
        generator.state = state
        drawn.append(generator.random_raw(size))
    return np.array(drawn, np.uint64)[:, None] if size is None else np.concatenate(drawn).reshape(len(positions), count)


@lru_cache(maxsize=256)
def _begun(purpose: str, subject: str, index: int) -> hashlib.blake2b:
    """What the attempts of a face have in common; to be copied, never updated."""
    parts = (purpose, str(ALGORITHM), subject, str(index))
    return hashlib.blake2b(b"".join(map(_part, parts)), digest_size=16, person=b"sga-latents")


@lru_cache(maxsize=1024)
def _attempt(attempt: int) -> bytes:
    return _part(str(attempt))


def _part(part: str) -> bytes:
    encoded = part.encode()
    return len(encoded).to_bytes(8, "little") + encoded  # lengths keep ("a", "bc") and ("ab", "c") apart


def truncated_normal(purpose: str, position: Position, count: int) -> np.ndarray:
    """(count,) float32 in [-1, 1]: standard normal truncated to it, through the inverse distribution function.

    The function is interpolated between 1025 exact quantiles (error below 2e-6), in integers.
    """
    return truncated_normals(purpose, [position], count)[0]


def truncated_normals(purpose: str, positions: Sequence[Position], count: int) -> np.ndarray:
    """(n, count) float32: `truncated_normal` at each of n positions, several times faster than one by one."""
    bits = _words(purpose, positions, count).view(np.int64)
    segment = (bits >> 54) & (_SEGMENTS - 1)  # the upper 10 bits choose the segment, the next 32 the place in it
    starts, lengths = _segments()
    value = (bits >> 22) & 0xFFFFFFFF
    value *= lengths.take(segment)
    value += starts.take(segment)  # at scale 2**62
    value >>= _TABLE_BITS + 32 - LATENT_BITS
    return value.astype(np.float32) * np.float32(2.0**-LATENT_BITS)


def below(purpose: str, position: Position, bound: int) -> int:
    """An integer in [0, bound), each equally likely."""
    limit = 2**64 - 2**64 % bound
    count = 4
    while True:
        for word in words(purpose, position, count).tolist():
            if word < limit:
                return word % bound
        count *= 2


def each_below(purpose: str, positions: Sequence[Position], bound: int) -> list[int]:
    """`below` at each of n positions, several times faster than one by one."""
    limit = 2**64 - 2**64 % bound
    first = _words(purpose, positions, 1)[:, 0].tolist()
    return [
        word % bound if word < limit else below(purpose, position, bound)
        for word, position in zip(first, positions, strict=True)
    ]


@cache
def _segments() -> tuple[np.ndarray, np.ndarray]:
    """(1024,) int64 each: where a segment of `quantiles` begins, at scale 2**62, and how long it is, at scale 2**30."""
    table = quantiles()
    return table[:-1] << 32, np.diff(table)


@cache
def quantiles() -> np.ndarray:
    """(1025,) int64: quantiles 0, 1/1024, …, 1 of the truncated normal, times 2**30, rounded.

    With S(x) = ∫₀ˣ exp(-t²/2) dt the distribution function is 1/2 + S(x) / 2S(1): no constant but rational ones. S is summed as
    a series and inverted by Newton's method, both in fixed point.
    """
    one = 1 << _WORK_BITS
    whole = _area(one)
    half, x = [0], 0
    for step in range(1, _SEGMENTS // 2 + 1):
        target = whole * step // (_SEGMENTS // 2)
        for _ in range(4):
            x += ((target - _area(x)) << _WORK_BITS) // _density(x)
        half.append((x + (1 << (_WORK_BITS - _TABLE_BITS - 1))) >> (_WORK_BITS - _TABLE_BITS))
    table = np.array([-value for value in reversed(half[1:])] + half, dtype=np.int64)
    table.setflags(write=False)
    return table


def _area(x: int) -> int:
    """∫₀ˣ exp(-t²/2) dt = Σ (-1)ⁿ x²ⁿ⁺¹ / (2ⁿ n! (2n+1)) in fixed point, x in [0, 1]."""
    square = x * x >> _WORK_BITS
    power, total, n = x, x, 0
    while power:
        n += 1
        power = (power * square >> _WORK_BITS) // (2 * n)
        total += (-power if n % 2 else power) // (2 * n + 1)
    return total


def _density(x: int) -> int:
    """exp(-x²/2) as its series in fixed point."""
    square = x * x >> _WORK_BITS
    power = total = 1 << _WORK_BITS
    n = 0
    while power:
        n += 1
        power = (power * square >> _WORK_BITS) // (2 * n)
        total += -power if n % 2 else power
    return total
