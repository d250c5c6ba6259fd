"""Near duplicates are found, all of them and no strangers, and share a split that never changes."""

from __future__ import annotations

import hashlib
import io
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from labeling.ingest.groups import assign_groups, connected, difference_hash, near_pairs, split_of

RADIUS = 52


def identity(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def flip(bits: bytes, count: int, seed: int = 0) -> bytes:
    array = np.unpackbits(np.frombuffer(bits, np.uint8))
    array[np.random.default_rng(seed).permutation(256)[:count]] ^= 1
    return np.packbits(array).tobytes()


def distance(a: Image.Image, b: Image.Image) -> int:
    one, other = (int.from_bytes(difference_hash(np.asarray(image.convert("RGB"))), "big") for image in (a, b))
    return (one ^ other).bit_count()


def test_the_hash_of_a_picture_is_pinned() -> None:
    """Groups and splits hang on it: a change would move faces of old workspaces between train and test."""
    ramp = np.add.outer(np.arange(96) * 2, (np.arange(96) * 7) % 64).astype(np.uint8)
    digest = hashlib.sha256(difference_hash(np.stack([ramp] * 3, axis=2))).hexdigest()
    assert digest[:16] == "00583cbe1bcaa416"


def test_variants_are_near_and_strangers_are_far(picture: Callable[..., Image.Image]) -> None:
    face = picture(1)
    buffer = io.BytesIO()
    face.save(buffer, "JPEG", quality=30)
    variants = [
        Image.open(buffer),
        face.resize((40, 40)).resize((96, 96)),
        ImageEnhance.Brightness(face).enhance(0.8),
        face.crop((1, 1, 96, 96)).resize((96, 96)),
    ]
    assert max(distance(face, variant) for variant in variants) <= RADIUS
    assert min(distance(face, picture(seed)) for seed in range(2, 200)) > RADIUS


@pytest.mark.parametrize("radius", [0, 7, 52])
def test_pairs_are_those_of_a_plain_search(radius: int) -> None:
    rng = np.random.default_rng(radius)
    hashes = [rng.bytes(32) for _ in range(60)]
    hashes += [flip(hashes[i % 60], count, i) for i, count in enumerate((0, 1, 6, 7, 8, 51, 52, 53, 0, 30))]
    numbers = [int.from_bytes(item, "big") for item in hashes]
    plain = {
        (a, b): (numbers[a] ^ numbers[b]).bit_count()
        for a in range(len(numbers))
        for b in range(a + 1, len(numbers))
        if (numbers[a] ^ numbers[b]).bit_count() <= radius
    }
    pairs, distances = near_pairs(hashes, radius)
    assert {tuple(pair): int(apart) for pair, apart in zip(pairs.tolist(), distances, strict=True)} == plain
    assert near_pairs([], radius)[0].shape == (0, 2)


def test_many_equal_hashes_stay_cheap() -> None:
    """20,000 uniform pictures: 200 million pairs if each were compared with each."""
    pairs, _ = near_pairs([bytes(32)] * 20_000, RADIUS)
    assert len(pairs) == 19_999
    assert (connected(20_000, pairs) == 0).all()


def test_ten_thousand_faces_in_seconds() -> None:
    rng = np.random.default_rng(0)
    hashes = [rng.bytes(32) for _ in range(10_000)]
    started = time.process_time()  # under one on a free core; other processes do not count
    pairs, _ = near_pairs(hashes, RADIUS)
    assert len(pairs) == 0
    assert time.process_time() - started < 15


def test_groups_do_not_depend_on_order() -> None:
    rng = np.random.default_rng(1)
    hashes = [rng.bytes(32) for _ in range(20)]
    hashes += [flip(hashes[0], 40, 1), flip(hashes[0], 40, 2), flip(hashes[5], 10)]
    faces = [identity(number) for number in range(len(hashes))]
    groups, _ = assign_groups(faces, hashes, {}, RADIUS)
    order = rng.permutation(len(faces))
    again, _ = assign_groups([faces[i] for i in order], [hashes[i] for i in order], {}, RADIUS)
    assert groups == again
    assert groups[faces[0]] == groups[faces[20]] == groups[faces[21]] == min(faces[0], faces[20], faces[21])
    assert groups[faces[5]] == groups[faces[22]]
    assert len(set(groups.values())) == 20


def test_known_groups_stay_and_new_faces_join_the_nearest() -> None:
    rng = np.random.default_rng(2)
    left = rng.bytes(32)
    right = flip(left, 80)
    bits = np.unpackbits(np.frombuffer(left, np.uint8)) != np.unpackbits(np.frombuffer(right, np.uint8))
    array = np.unpackbits(np.frombuffer(left, np.uint8))
    array[np.flatnonzero(bits)[:35]] ^= 1  # 35 from left, 45 from right
    middle = np.packbits(array).tobytes()
    faces = [identity(number) for number in range(3)]
    known = {faces[0]: "left", faces[1]: "right"}
    groups, between = assign_groups(faces, [left, right, middle], known, RADIUS)
    assert groups == {**known, faces[2]: "left"}
    assert between == [(faces[2], ("left", "right"))]


def test_splits_have_their_shares_and_are_pinned() -> None:
    shares = Counter(split_of(identity(number), 0.15, 0.10) for number in range(20_000))
    assert shares["test"] == pytest.approx(3_000, abs=200)
    assert shares["validation"] == pytest.approx(2_000, abs=170)
    assert "".join(split_of(identity(number), 0.15, 0.10)[:2] for number in range(12)) == "trtrtetrtrtetrtrtetrtrtr"
