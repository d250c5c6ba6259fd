"""The networks for all requests: each session call takes rows of whoever waits.

A request is worked on in a thread of its own, by the same `FaceModel` code as anywhere else, so its faces are the same. Only
its networks are others: a `SharedNetwork` hands its rows to the `Batcher` and waits. A row's result does not depend on its
company (see `sga.generation.sessions`), so rows of avatars and of attempts may share a call.
"""

from __future__ import annotations

import copy
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from typing import Protocol, TypeAlias

import numpy as np

from sga.generation import FaceModel

__all__ = ["Batcher", "Cancelled", "SharedNetwork", "Ticket", "Tickets", "check_wanted", "share_networks", "working_for"]

Arrays: TypeAlias = Mapping[str, np.ndarray]


class Cancelled(Exception):  # noqa: N818 - says what happened, as asyncio's does
    """Nobody waits for the result any more."""


class Ticket:
    """Stands for a request while its faces are drawn."""

    cancelled = False


class Tickets:
    """Stands for several requests that are worked on together: given up with the last of them."""

    def __init__(self, tickets: Sequence[Ticket]) -> None:
        self._tickets = tickets

    @property
    def cancelled(self) -> bool:
        return all(ticket.cancelled for ticket in self._tickets)


_TICKET: ContextVar[Ticket | Tickets | None] = ContextVar("ticket", default=None)


@contextmanager
def working_for(ticket: Ticket | Tickets) -> Iterator[None]:
    """What this thread hands to a `SharedNetwork` inside belongs to a request. Raises `Cancelled` where that was given up."""
    if ticket.cancelled:
        raise Cancelled
    token = _TICKET.set(ticket)
    try:
        yield
    finally:
        _TICKET.reset(token)


def check_wanted() -> None:
    """For long work between the networks' calls. Raises `Cancelled` where the request of this thread was given up."""
    ticket = _TICKET.get()
    if ticket is not None and ticket.cancelled:
        raise Cancelled


class Runner(Protocol):
    """A network: rows in, rows out, `batch` of them in one session call."""

    name: str
    batch: int

    def __call__(self, **inputs: np.ndarray) -> dict[str, np.ndarray]: ...


class _Call:
    """Rows for which one thread waits. number: they came in this order."""

    def __init__(self, inputs: Arrays, number: int) -> None:
        self.inputs = inputs
        self.number = number
        self.ticket = _TICKET.get()
        self.rows = len(next(iter(inputs.values())))
        self.taken = self.given = 0
        self.parts: dict[int, Arrays] = {}
        self.error: Exception | None = None
        self.done = threading.Event()

    @property
    def given_up(self) -> bool:
        return self.ticket is not None and self.ticket.cancelled

    def part(self, start: int, rows: int) -> Arrays:
        """The inputs of some rows."""
        return {name: value[start : start + rows] for name, value in self.inputs.items()}

    def give(self, start: int, rows: int, part: Arrays) -> None:
        """The results of these rows."""
        self.parts[start] = part
        self.given += rows
        if self.given == self.rows:
            self.done.set()

    def fail(self, error: Exception) -> None:
        self.error = error
        self.done.set()

    def result(self) -> dict[str, np.ndarray]:
        self.done.wait()
        if self.error is not None:
            raise self.error
        if len(self.parts) == 1:
            return dict(self.parts[0])
        parts = [self.parts[start] for start in sorted(self.parts)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


Share: TypeAlias = tuple[_Call, int, int]
"""A call, the first of its rows that are run together with others, and how many."""


class SharedNetwork:
    """A network whose rows are run together with those of other threads."""

    def __init__(self, network: Runner, batcher: Batcher) -> None:
        self.network = network
        self.name = network.name
        self.batch = network.batch
        self.waiting: deque[_Call] = deque()
        self._batcher = batcher

    def __call__(self, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """As the network itself; `Cancelled` where the request of this thread was given up."""
        return self._batcher.run(self, inputs)

    def share_out(self) -> list[Share]:
        """What goes into the next session call: a row of each waiting call in turn until it is full, so that nobody's many rows
        keep the others waiting. Calls with rows left go to the end."""
        calls = list(self.waiting)[: self.batch]
        shares = dict.fromkeys(calls, 0)
        free = self.batch
        while free and calls:
            for call in calls[:free]:
                shares[call] += 1
            free -= min(free, len(calls))
            calls = [call for call in calls if call.taken + shares[call] < call.rows]
        taken = [(call, call.taken, rows) for call, rows in shares.items()]
        for call, _, rows in taken:
            self.waiting.popleft()
            call.taken += rows
            if call.taken < call.rows:
                self.waiting.append(call)
        return taken


class Batcher:
    """The threads that run shared networks. lanes: session calls at the same time; on_run: told of each one: network, rows that
    were asked for, seconds."""

    def __init__(self, lanes: int = 1, on_run: Callable[[str, int, float], None] = lambda name, rows, seconds: None) -> None:
        self._on_run = on_run
        self._numbers = count()
        self._networks: list[SharedNetwork] = []
        self._ready = threading.Condition()
        self._closed = False
        self._threads = [threading.Thread(target=self._loop, name=f"lane {lane}", daemon=True) for lane in range(lanes)]

    def share(self, network: Runner) -> SharedNetwork:
        """The network as several threads may use it."""
        self._networks.append(SharedNetwork(network, self))
        return self._networks[-1]

    def start(self) -> None:
        """Begin to run what waits."""
        for thread in self._threads:
            thread.start()

    @property
    def alive(self) -> bool:
        """Whether calls are being run."""
        return all(thread.is_alive() for thread in self._threads)

    def close(self) -> None:
        """Give up what waits, and end each thread behind the session call that it runs."""
        with self._ready:
            self._closed = True
            self._give_up(lambda call: True)
            self._ready.notify_all()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def cancel(self, ticket: Ticket) -> None:
        """Rows of this request are not run any more, those of a running session call excepted."""
        with self._ready:
            ticket.cancelled = True
            self._give_up(lambda call: call.given_up)

    def run(self, network: SharedNetwork, inputs: Arrays) -> dict[str, np.ndarray]:
        """Wait in this thread until the rows have been run."""
        call = _Call(inputs, next(self._numbers))
        with self._ready:
            if self._closed or call.given_up:
                raise Cancelled
            network.waiting.append(call)
            self._ready.notify()
        return call.result()

    def _give_up(self, chosen: Callable[[_Call], bool]) -> None:
        for network in self._networks:
            for call in [call for call in network.waiting if chosen(call)]:
                network.waiting.remove(call)
                call.fail(Cancelled())

    def _loop(self) -> None:
        while True:
            with self._ready:
                self._ready.wait_for(lambda: self._closed or any(network.waiting for network in self._networks))
                if self._closed:
                    return
                # The network whose first call came first: neither can starve the other.
                network = min((one for one in self._networks if one.waiting), key=lambda one: one.waiting[0].number)
                shares = network.share_out()
            self._run(network, shares)

    def _run(self, network: SharedNetwork, shares: list[Share]) -> None:
        started = time.perf_counter()
        parts = [call.part(start, rows) for call, start, rows in shares]
        try:
            outputs = network.network(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
        except Exception as error:  # whatever it is, it belongs to those who wait
            with self._ready:
                for call, _, _ in shares:
                    if call in network.waiting:
                        network.waiting.remove(call)
                    call.fail(error)
            return
        self._on_run(network.name, sum(rows for _, _, rows in shares), time.perf_counter() - started)
        place = 0
        with self._ready:
            for call, start, rows in shares:
                call.give(start, rows, {name: value[place : place + rows] for name, value in outputs.items()})
                place += rows


def share_networks(model: FaceModel, batcher: Batcher) -> FaceModel:
    """The same model, drawing through the batcher: for any number of threads, each inside `working_for`."""
    shared = copy.copy(model)
    shared._generator = batcher.share(model._generator)  # type: ignore[assignment]
    shared._judge = batcher.share(model._judge)  # type: ignore[assignment]
    return shared
