"""Randomness as a function of position: (seed or ID, index, attempt) → latents, equal bit for bit on every machine.

BLAKE2b of the position keys a Philox counter generator; its raw 64-bit words become numbers by integer arithmetic alone. No
exp, log or erf of a C library takes part (their last bit differs between platforms), and no NumPy distribution (their
streams may change between versions; those of the bit generators may not).
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np

from configs.errors import InputError
from sga.model_folder import ALGORITHM

__all__ = [
    "LATENT_BITS",
    "Position",
    "below",
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


@dataclass(frozen=True, order=True)
class Position:
    """Attempt `attempt` of face `index` of a subject."""

    subject: str
    index: int
    attempt: int


def seed_subject(seed: int) -> str:
    """The subject of a seed in [0, 2**64).

    Raises:
        InputError: outside.
    """
    if not 0 <= seed < _MAX_SEED:
        raise InputError(f"Expected a seed from 0 to {_MAX_SEED - 1}, found {seed}. Type, for example: --seed 7")
    return f"seed:{seed}"


def id_subject(identity: str) -> str:
    """The subject of an ID: any non-empty text. It is taken byte by byte as UTF-8, without Unicode normalisation.

    Raises:
        InputError: empty, or no valid Unicode.
    """
    try:
        identity.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"Expected an ID of valid Unicode text, found {identity!r}.") from error
    if not identity:
        raise InputError("Expected an ID of at least one character, found an empty text.")
    return f"id:{identity}"


def words(purpose: str, position: Position, count: int) -> np.ndarray:
    """(count,) uint64: the first raw Philox words of `purpose` ("noise", "style", …) at a position."""
    generator: np.random.Philox | None = getattr(_OF_THREAD, "generator", None)
    if generator is None:
        # One for each thread, set to a key at a time: making one reads the system's entropy, which takes longer than drawing.
        generator = _OF_THREAD.generator = np.random.Philox(key=0, counter=0)
        _OF_THREAD.start = generator.state
    state = _OF_THREAD.start
    state["state"]["key"] = _key(purpose, position)
    generator.state = state
    return generator.random_raw(count)


def _key(purpose: str, position: Position) -> np.ndarray:
    """(2,) uint64."""
    digest = _begun(purpose, position.subject, position.index).copy()
    _add(digest, str(position.attempt))
    return np.frombuffer(digest.digest(), dtype="<u8").astype(np.uint64)


@lru_cache(maxsize=256)
def _begun(purpose: str, subject: str, index: int) -> hashlib.blake2b:
    """What the attempts of a face have in common; to be copied, never updated."""
    digest = hashlib.blake2b(digest_size=16, person=b"sga-latents")
    for part in (purpose, str(ALGORITHM), subject, str(index)):
        _add(digest, part)
    return digest


def _add(digest: hashlib.blake2b, part: str) -> None:
    encoded = part.encode()
    digest.update(len(encoded).to_bytes(8, "little") + encoded)  # lengths keep ("a", "bc") and ("ab", "c") apart


def truncated_normal(purpose: str, position: Position, count: int) -> np.ndarray:
    """(count,) float32 in [-1, 1]: standard normal truncated to it, through the inverse distribution function.

    The function is interpolated between 1025 exact quantiles (error below 2e-6), in integers.
    """
    return truncated_normals(purpose, [position], count)[0]


def truncated_normals(purpose: str, positions: Sequence[Position], count: int) -> np.ndarray:
    """(n, count) float32: `truncated_normal` at each of n positions, several times faster than one by one."""
    raw = np.stack([words(purpose, position, count) for position in positions])
    segment = (raw >> np.uint64(54)).astype(np.int64)  # the upper 10 bits choose the segment, the next 32 the place in it
    place = ((raw >> np.uint64(22)) & np.uint64(0xFFFFFFFF)).astype(np.int64)
    table = quantiles()
    value = (table[segment] << 32) + (table[segment + 1] - table[segment]) * place  # at scale 2**62
    return (value >> (_TABLE_BITS + 32 - LATENT_BITS)).astype(np.float32) * np.float32(2.0**-LATENT_BITS)


def below(purpose: str, position: Position, bound: int) -> int:
    """An integer in [0, bound), each equally likely."""
    limit = 2**64 - 2**64 % bound
    count = 4
    while True:
        for word in words(purpose, position, count).tolist():
            if word < limit:
                return word % bound
        count *= 2


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
