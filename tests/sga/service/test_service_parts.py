"""The batcher with a real model and many threads, and the memory for pictures."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from sga import FaceModel
from sga.service import gatherer as gatherer_module
from sga.service.batcher import Batcher, Cancelled, SharedNetwork, Ticket, share_networks, working_for
from sga.service.cache import ByteCache
from sga.service.gatherer import Gatherer


@pytest.fixture(scope="module")
def model(model_path: Path) -> FaceModel:
    return FaceModel.load(model_path, threads=1)


def test_threads_that_share_networks_draw_what_each_would_alone(model: FaceModel) -> None:
    runs: list[tuple[str, int]] = []
    batcher = Batcher(2, lambda name, rows, seconds: runs.append((name, rows)))
    shared = share_networks(model, batcher)
    batcher.start()
    with ThreadPoolExecutor(20) as pool:
        avatars = [pool.submit(shared.avatar, f"id {index}") for index in range(40)]
        faces = [pool.submit(shared.generate, "any", 11, seed) for seed in range(4)]
        assert [one.result().png() for one in avatars] == [model.avatar(f"id {index}").png() for index in range(40)]
        for seed, one in enumerate(faces):
            assert [face.png() for face in one.result()] == [face.png() for face in model.generate("any", 11, seed)]
    batcher.close()
    assert not batcher.alive
    assert max(rows for _, rows in runs) == model.spec.micro_batch
    assert sum(rows for name, rows in runs if name == "generator.onnx") > sum(
        rows for name, rows in runs if name == "judge.onnx"
    )
    with pytest.raises(Cancelled):
        shared.avatar("too late")


class Rows:
    """A network that adds one, as many rows at a time as it is asked for at most; it notes what each run held."""

    name, batch = "rows", 4

    def __init__(self) -> None:
        self.runs: list[list[int]] = []
        self.begun, self.go_on = threading.Event(), threading.Event()

    def __call__(self, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        self.begun.set()
        assert self.go_on.wait(20)
        values = inputs["x"]
        assert len(values) <= self.batch
        self.runs.append(values.tolist())
        if -1 in values:
            raise ValueError("a broken network")
        return {"y": values + 1}


def waiting(network: SharedNetwork, count: int) -> None:
    for _ in range(1000):
        if len(network.waiting) == count:
            return
        time.sleep(0.01)
    raise AssertionError(f"{len(network.waiting)} calls wait, not {count}")


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture
def batcher(rows: Rows) -> Batcher:
    one = Batcher()
    yield one
    rows.go_on.set()
    one.close()


def ask(network: SharedNetwork, *values: int) -> list[int]:
    return network(x=np.array(values))["y"].tolist()


def test_calls_take_turns_row_by_row(rows: Rows, batcher: Batcher) -> None:
    """Ten rows of one do not keep single rows waiting, and all get their own results."""
    network = batcher.share(rows)
    batcher.start()
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(ask, network, 0)
        assert rows.begun.wait(20)
        many = pool.submit(ask, network, *range(10, 20))
        waiting(network, 1)
        singles = []
        for value in (1, 2, 3, 4):
            singles.append(pool.submit(ask, network, value))
            waiting(network, 1 + len(singles))
        rows.go_on.set()
        assert first.result(20) == [1]
        assert many.result(20) == list(range(11, 21))
        assert [one.result(20) for one in singles] == [[2], [3], [4], [5]]
    assert rows.runs[:3] == [[0], [10, 1, 2, 3], [4, 11, 12, 13]]
    assert len(rows.runs) == 5


def test_rows_that_nobody_waits_for_are_not_run(rows: Rows, batcher: Batcher) -> None:
    network, ticket = batcher.share(rows), Ticket()
    batcher.start()

    def work(*values: int) -> list[int]:
        with working_for(ticket):
            return ask(network, *values)

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(ask, network, 0)
        assert rows.begun.wait(20)
        given_up, kept = pool.submit(work, 7, 8), pool.submit(ask, network, 5)
        waiting(network, 2)
        batcher.cancel(ticket)
        with pytest.raises(Cancelled):
            given_up.result(20)
        rows.go_on.set()
        assert (first.result(20), kept.result(20)) == ([1], [6])
    assert rows.runs == [[0], [5]]
    with pytest.raises(Cancelled):
        work(9)


def test_a_failure_reaches_those_who_wait_and_nobody_else(rows: Rows, batcher: Batcher) -> None:
    network = batcher.share(rows)
    batcher.start()
    rows.go_on.set()
    with pytest.raises(ValueError, match="a broken network"):
        ask(network, -1, 1, 2, 3, 4)
    assert ask(network, 1) == [2]
    assert rows.runs == [[-1, 1, 2, 3], [1]]


def test_a_gatherer_works_on_what_comes_together_and_keeps_mistakes_apart() -> None:
    groups: list[list[int]] = []

    def work(asked: Sequence[int]) -> Iterator[tuple[int, int]]:
        groups.append(list(asked))
        for place in reversed(range(len(asked))):
            yield place, 12 // asked[place]

    gatherer: Gatherer[int, int] = Gatherer(work, most=3, threads=1, patience=0.2)
    futures = [gatherer.submit(value, Ticket()) for value in (1, 2, 3, 4, 0, 6, 3)]
    assert futures[3].cancel()
    gatherer.start()
    results = [future.result(20) for index, future in enumerate(futures) if index not in (3, 4)]
    assert results == [12, 6, 4, 2, 4]
    with pytest.raises(ZeroDivisionError):
        futures[4].result(20)
    assert groups[:2] == [[1, 2, 3], [0, 6]]
    assert groups[-1] == [3]
    gatherer.close()


def test_a_gatherer_waits_for_those_who_were_there_lately(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two come together; then the first of the next two is not worked on before the other came, who comes later than others
    are waited for. Who does not come at all is not waited for again."""
    monkeypatch.setattr(gatherer_module, "_LONGER", 25)  # 5 s: no stall of the machine is as long
    groups: list[list[int]] = []

    def work(asked: Sequence[int]) -> Iterator[tuple[int, int]]:
        groups.append(list(asked))
        return enumerate(asked)

    gatherer: Gatherer[int, int] = Gatherer(work, most=8, threads=1, patience=0.2)

    def ask(*values: int, pause: float = 0.0) -> float:
        started = time.monotonic()
        futures = []
        for value in values:
            futures.append(gatherer.submit(value, Ticket()))
            time.sleep(pause)
        assert [future.result(20) for future in futures] == list(values)
        return time.monotonic() - started

    both = [gatherer.submit(value, Ticket()) for value in (1, 2)]  # before it begins: no stall comes between them
    gatherer.start()
    assert [future.result(20) for future in both] == [1, 2]
    ask(3, 4, pause=0.4)
    assert groups == [[1, 2], [3, 4]]
    assert ask(5) > 4.5  # the other is waited for once
    assert ask(6) < 4.5
    assert groups[2:] == [[5], [6]]
    gatherer.close()


def test_the_cache_keeps_what_was_used_last_within_its_bytes() -> None:
    cache = ByteCache(3000)
    for name in "abc":
        cache.put(name, name.encode() * 700)
    assert cache.get("a") == b"a" * 700
    cache.put("d", b"d" * 700)
    assert cache.get("b") is None
    assert [name for name in "acd" if cache.get(name)] == ["a", "c", "d"]
    assert cache.size <= 3000
    cache.put("d", b"e" * 100)
    assert cache.get("d") == b"e" * 100
    cache.put("large", b"x" * 5000)
    assert cache.get("large") is None
    assert cache.get("d") is not None  # what does not fit drives nothing out
    nothing = ByteCache(0)
    nothing.put("a", b"a")
    assert nothing.get("a") is None


def test_parts_of_a_tag_do_not_run_into_each_other() -> None:
    from sga.service.validators import avatar_etag

    assert avatar_etag("ab", "c") != avatar_etag("a", "bc")
    assert avatar_etag("a", 1) == avatar_etag("a", "1")
