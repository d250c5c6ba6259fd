"""Latents are a function of position, by integer arithmetic alone. Golden vectors pin them for ever."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest

from configs.errors import InputError
from sga.generation.rng import (
    Position,
    below,
    each_below,
    id_subject,
    quantiles,
    seed_subject,
    truncated_normal,
    truncated_normals,
    words,
)

MASK = 2**64 - 1
GOLDEN_SEED = [-1326794, -13856744, -16164467, 1545663, -579785, -7920880]
GOLDEN_ID = [453975, 3327799, -2307094, 4388602, -10657455, 11430216]
GOLDEN_MANY = "46dda5f5e51573c4"
GOLDEN_TABLE = "01ef4671461ebaeb"
GOLDEN_BELOW = [6, 1, 3, 5, 1, 2, 2, 2, 4, 4]


def philox(key: tuple[int, int], blocks: int) -> list[int]:
    """Philox 4x64-10 after Salmon et al. 2011, section 3.3, from counter 1 on (NumPy counts before it draws)."""
    out = []
    for counter in range(1, blocks + 1):
        x, (k0, k1) = [counter, 0, 0, 0], key
        for _ in range(10):
            a, b = 0xD2E7470EE14C6C93 * x[0], 0xCA5A826395121157 * x[2]
            x = [(b >> 64) ^ x[1] ^ k0, b & MASK, (a >> 64) ^ x[3] ^ k1, a & MASK]
            k0, k1 = (k0 + 0x9E3779B97F4A7C15) & MASK, (k1 + 0xBB67AE8584CAA73B) & MASK
        out += x
    return out


def test_words_are_philox_keyed_by_blake2b() -> None:
    digest = hashlib.blake2b(digest_size=16, person=b"sga-latents")
    for part in ("noise", "1", "seed:7", "3", "2"):
        digest.update(len(part).to_bytes(8, "little") + part.encode())
    key = int.from_bytes(digest.digest()[:8], "little"), int.from_bytes(digest.digest()[8:], "little")
    assert words("noise", Position(seed_subject(7), 3, 2), 40).tolist() == philox(key, 10)


def test_golden_latents() -> None:
    first = truncated_normal("noise", Position(seed_subject(7), 0, 0), 6)
    assert (first.astype(np.float64) * 2**24).astype(np.int64).tolist() == GOLDEN_SEED
    avatar = truncated_normal("noise", Position(id_subject("user-42"), 0, 5), 6)
    assert (avatar.astype(np.float64) * 2**24).astype(np.int64).tolist() == GOLDEN_ID
    many = np.concatenate([truncated_normal("style", Position(seed_subject(0), i, 0), 30) for i in range(50)])
    assert hashlib.sha256(many.astype("<f4").tobytes()).hexdigest()[:16] == GOLDEN_MANY


def test_many_positions_at_once_are_each_alone() -> None:
    places = [Position(id_subject(name), index, attempt) for name in "ab" for index in (0, 9) for attempt in (3, 0, 1030)]
    many = truncated_normals("noise", places, 37)
    assert [row.tobytes() for row in many] == [truncated_normal("noise", place, 37).tobytes() for place in places]
    assert len({row.tobytes() for row in many}) == len(places)
    assert words("noise", places[0], 1).tolist() == words("noise", places[0], 5)[:1].tolist()
    # Of the second bound nearly half of all words are turned down, so that some take the next one.
    for bound in (12137, 2**63 + 1):
        assert each_below("row", places, bound) == [below("row", place, bound) for place in places]
    limit = 2**64 - 2**64 % (2**63 + 1)
    assert any(words("row", place, 1)[0] >= limit for place in places)


def test_golden_table() -> None:
    table = quantiles()
    assert hashlib.sha256(table.astype("<i8").tobytes()).hexdigest()[:16] == GOLDEN_TABLE
    assert (table == -table[::-1]).all()
    assert (np.diff(table) > 0).all()


def test_the_table_inverts_the_distribution_function() -> None:
    area = math.erf(math.sqrt(0.5))
    reached = [0.5 + math.erf(value / 2**30 / math.sqrt(2)) / (2 * area) for value in quantiles().tolist()]
    np.testing.assert_allclose(reached, np.arange(1025) / 1024, atol=1e-9)


def test_draws_follow_the_truncated_normal() -> None:
    draws = np.sort(np.concatenate([truncated_normal("noise", Position(seed_subject(1), i, 0), 128) for i in range(800)]))
    assert draws.dtype == np.float32
    assert -1 <= draws[0] < -0.999
    assert 0.999 < draws[-1] <= 1
    area = math.erf(math.sqrt(0.5))
    expected = np.array([0.5 + math.erf(value / math.sqrt(2)) / (2 * area) for value in draws.tolist()])
    distance = np.abs(expected - (np.arange(len(draws)) + 0.5) / len(draws)).max()
    assert distance < 1.63 / math.sqrt(len(draws))  # Kolmogorov-Smirnov at 1 %


def test_each_part_of_the_position_counts() -> None:
    places = [("noise", Position(seed_subject(7), 0, 0)), ("style", Position(seed_subject(7), 0, 0))]
    places += [("noise", Position(id_subject("7"), 0, 0)), ("noise", Position(seed_subject(8), 0, 0))]
    places += [("noise", Position(seed_subject(7), 1, 0)), ("noise", Position(seed_subject(7), 0, 1))]
    places += [("noise", Position(seed_subject(71), 0, 0)), ("noise", Position(seed_subject(7), 10, 0))]
    drawn = {truncated_normal(purpose, position, 8).tobytes() for purpose, position in places}
    assert len(drawn) == len(places)


def test_a_longer_draw_begins_as_a_shorter_one() -> None:
    position = Position(id_subject("ß日本"), 0, 0)
    assert (truncated_normal("noise", position, 128)[:30] == truncated_normal("noise", position, 30)).all()


def test_below_is_uniform_and_golden() -> None:
    drawn = [below("row", Position(seed_subject(3), i, 0), 7) for i in range(7000)]
    counts = np.bincount(drawn, minlength=7)
    assert ((counts - 1000) ** 2 / 1000).sum() < 16.8  # chi squared, 6 degrees of freedom, 1 %
    assert drawn[:10] == GOLDEN_BELOW


@pytest.mark.parametrize("bound", [1, 2, 3 * 2**62, 2**64 - 1])
def test_below_stays_below(bound: int) -> None:
    """3 · 2**62 rejects a quarter of the words."""
    drawn = [below("row", Position(seed_subject(3), i, 0), bound) for i in range(200)]
    assert all(0 <= value < bound for value in drawn)
    if bound > 2:
        assert max(drawn) > bound * 0.9


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_outside_is_refused(seed: int) -> None:
    with pytest.raises(InputError, match="Expected a seed from 0"):
        seed_subject(seed)


@pytest.mark.parametrize("identity", ["", "\ud800"])
def test_no_id_is_refused(identity: str) -> None:
    with pytest.raises(InputError, match="Expected an ID"):
        id_subject(identity)
