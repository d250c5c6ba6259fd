"""What the routes share: the model behind a batcher, threads that draw, the desk, the cache, the metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from sga.generation import FaceModel
from sga.service.batcher import Batcher, Ticket, share_networks, working_for
from sga.service.cache import ByteCache
from sga.service.desk import Desk
from sga.service.gatherer import Gatherer
from sga.service.metrics import Metrics
from sga.service.settings import ServiceSettings

__all__ = ["AvatarAsked", "Service"]

T = TypeVar("T")


@dataclass(frozen=True)
class AvatarAsked:
    """An avatar as it was asked for. gender: None = the ID decides; size: edge in pixels."""

    identity: str
    gender: str | None
    size: int


class Service:
    """A model that many requests draw with at the same time."""

    def __init__(self, model: FaceModel, settings: ServiceSettings) -> None:
        spec = model.spec
        self.settings = settings
        self.spec = spec
        self.folder = model.folder
        self.metrics = Metrics(spec.micro_batch)
        lanes = model._generator.lanes.lanes
        self.batcher = Batcher(lanes, self.metrics.session_call)
        self.model = share_networks(model, self.batcher)
        self.desk = Desk(settings, self.batcher, self.metrics)
        self.cache = ByteCache(settings.cache_bytes)
        self._avatars: Gatherer[AvatarAsked, bytes] = Gatherer(
            self._draw_avatars, spec.micro_batch, settings.avatar_threads or lanes, settings.patience, "avatars"
        )
        self._others = ThreadPoolExecutor(settings.generate_threads, "generate")
        self.metrics.watch(lambda: self.desk.faces, lambda: self.cache.size)

    def start(self) -> None:
        """Begin to draw."""
        self.batcher.start()
        self._avatars.start()

    def close(self) -> None:
        """Give up what is not drawn yet, and end all threads."""
        self.batcher.close()
        self._avatars.close()
        self._others.shutdown(wait=True, cancel_futures=True)

    def begin_avatar(self, asked: AvatarAsked, ticket: Ticket) -> Future[bytes]:
        """An avatar's PNG, to come."""
        return self._avatars.submit(asked, ticket)

    def begin(self, work: Callable[[], T], ticket: Ticket) -> Future[T]:
        """What `work` returns in a thread of its own, to come."""

        def run() -> T:
            with working_for(ticket):
                return work()

        return self._others.submit(run)

    def _draw_avatars(self, asked: Sequence[AvatarAsked]) -> Iterator[tuple[int, bytes]]:
        faces = self.model.avatars([one.identity for one in asked], [one.gender for one in asked])
        for place in sorted(range(len(asked)), key=lambda place: asked[place].size):  # what takes longest comes last
            yield place, self.model.resized(faces[place], asked[place].size).png()
            self.metrics.faces.labels("avatar").inc()
