"""What Prometheus is told, in a registry of this service alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder

__all__ = ["Metrics"]

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class Metrics:
    """Counters, gauges and histograms of one service."""

    def __init__(self, batch: int) -> None:
        """batch: rows of a session call."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        own: dict[str, Any] = {"namespace": "sga", "registry": self.registry}
        rows = tuple(sorted({*range(1, min(batch, 16) + 1), *(2**k for k in range(5, 9) if 2**k < batch), batch}))
        self.requests = Counter("requests", "Answered requests.", ("route", "method", "status"), **own)
        self.seconds = Histogram("request_seconds", "From request to end of answer.", ("route",), buckets=_SECONDS, **own)
        self.refused = Counter("refused", "Requests that were given up, by reason.", ("reason",), **own)
        self.faces = Counter("faces", "Faces drawn and sent, by kind of request.", ("kind",), **own)
        self.attempts = Counter("attempts", "Attempts of /generate, by what the judge said.", ("verdict",), **own)
        self.cache = Counter("avatar_cache", "Avatars found in memory or not.", ("result",), **own)
        self.call_rows = Histogram("session_rows", "Rows in a session call.", ("network",), buckets=rows, **own)
        self.call_seconds = Histogram("session_seconds", "Time of a session call.", ("network",), buckets=_SECONDS, **own)

    def watch(self, queue: Callable[[], float], cache: Callable[[], float]) -> None:
        """Read the faces that wait and the bytes in memory whenever someone asks."""
        own: dict[str, Any] = {"namespace": "sga", "registry": self.registry}
        Gauge("queue_faces", "Faces taken on and not finished.", **own).set_function(queue)
        Gauge("avatar_cache_bytes", "Memory that encoded avatars take.", **own).set_function(cache)

    def session_call(self, network: str, rows: int, seconds: float) -> None:
        """Count a session call."""
        name = network.removesuffix(".onnx")
        self.call_rows.labels(name).observe(rows)
        self.call_seconds.labels(name).observe(seconds)

    def text(self, accept: str) -> tuple[bytes, str]:
        """Everything in the format that the client prefers, and its media type."""
        encoder, media_type = choose_encoder(accept)
        return encoder(self.registry), media_type
