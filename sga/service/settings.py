"""What a service may be asked for, and how much of it at once."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from configs.settings import Settings

__all__ = ["ServiceSettings"]


class ServiceSettings(Settings):
    """Limits of the service, and where it listens."""

    host: str = Field("127.0.0.1", description="address to listen at; any but a loopback address lets others ask, too")
    port: int = Field(8000, ge=0, le=65535, description="port to listen at; 0 = a free one")
    cors: tuple[str, ...] = Field((), description="origins whose pages may call the API from a browser; * = all")
    page: bool = Field(True, description="show the page at /")
    access_log: bool = Field(False, description="a line on stderr for each request; it holds the IDs that were asked for")

    queue: int = Field(256, ge=1, description="faces taken on and not drawn yet; what would be more is answered 429")
    avatar_threads: int | None = Field(
        None, ge=1, le=64, description="groups of avatars worked on at the same time; null = as many as session calls run"
    )
    patience: float = Field(
        0.004,
        ge=0,
        le=1,
        description="seconds that avatars wait for another to share a session call; longer while more are due",
    )
    switch_interval: float = Field(
        0.002,
        gt=0,
        description="seconds after which a thread lets another have the interpreter: short feeds the networks sooner",
    )
    generate_threads: int = Field(4, ge=1, le=64, description="requests to /generate worked on at the same time")
    timeout: float = Field(30, gt=0, description="seconds a request may take, waiting included")
    stop_timeout: int = Field(10, ge=1, description="seconds in which a stop finishes what was taken on")
    idle_timeout: int = Field(15, ge=1, description="seconds that a connection without a request stays open")
    connections: int = Field(1024, ge=1, description="connections at the same time; one more is answered 503")

    max_id: int = Field(256, ge=1, le=2048, description="characters (Unicode code points) of an ID")
    min_size: int = Field(16, ge=16, description="least edge of a picture, pixels")
    max_size: int = Field(1024, ge=16, le=4096, description="largest edge of a picture, pixels")
    max_count: int = Field(64, ge=1, description="faces of one request to /generate")
    max_pixels: int = Field(
        64 * 384**2,
        ge=1,
        description="pixels of all faces of one request to /generate that are larger than drawn; a single one is not counted",
    )
    max_attempts: int = Field(64, ge=1, description="draws that a face of /generate may take")
    max_body: int = Field(16 * 1024, ge=64, description="bytes of a request's body")

    cache_bytes: int = Field(64 * 2**20, ge=0, description="memory for encoded avatars; 0 = none are kept")
    max_age: int = Field(
        3600, ge=0, le=31536000, description="seconds for which an avatar's URL that names no model may be kept by caches"
    )

    @field_validator("cors")
    @classmethod
    def _origins(cls, cors: tuple[str, ...]) -> tuple[str, ...]:
        for origin in cors:
            parts = urlsplit(origin)
            if origin != "*" and origin != f"{parts.scheme}://{parts.netloc}":
                raise ValueError(f"an origin is scheme://host[:port] without a path, or *; found {origin!r}")
        return cors

    @model_validator(mode="after")
    def _consistent(self) -> ServiceSettings:
        if self.max_count > self.queue:
            raise ValueError(f"max_count {self.max_count} faces never fit into a queue of {self.queue}")
        if self.min_size > self.max_size:
            raise ValueError(f"min_size {self.min_size} is above max_size {self.max_size}")
        return self
