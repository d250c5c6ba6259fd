"""Running the service in this process until it is told to stop."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack
from importlib import import_module
from importlib.util import find_spec
from ipaddress import ip_address
from typing import Any

import uvicorn
from fastapi import FastAPI

from configs.errors import InputError
from sga.service.settings import ServiceSettings

__all__ = ["bound_socket", "is_loopback", "serve", "url_of"]


def bound_socket(host: str, port: int) -> socket.socket:
    """A socket that listens; clients that come before `serve` wait.

    Raises:
        InputError: no such address here, or the port is taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with ExitStack() as on_failure:
            listener = on_failure.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(2048)
            on_failure.pop_all()
    except (OSError, UnicodeError) as error:  # the latter of a name too long for one
        found = (error.strerror or error) if isinstance(error, OSError) else "no name of a host"
        way = "--port 0" if getattr(error, "errno", 0) in (errno.EADDRINUSE, errno.EACCES) else "--host 127.0.0.1"
        raise InputError(f"Expected to listen at {host} port {port}, found: {found}. Type, for example: {way}") from error
    return listener


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def url_of(listener: socket.socket) -> str:
    """Where a browser on this machine finds it."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _protocol() -> type[asyncio.Protocol]:
    """HTTP by uvicorn's fastest parser that is installed, which closes silent connections."""
    if find_spec("httptools") is not None:
        module, name = "httptools_impl", "HttpToolsProtocol"
    else:
        module, name = "h11_impl", "H11Protocol"
    fastest: Any = getattr(import_module(f"uvicorn.protocols.http.{module}"), name)

    class Protocol(fastest):
        """uvicorn's timer of idle connections begins with the first answer; this one begins with the connection."""

        def connection_made(self, transport: asyncio.Transport) -> None:
            """See uvicorn."""
            super().connection_made(transport)
            self.loop.call_later(self.timeout_keep_alive, lambda: transport.close() if self.cycle is None else None)

    return Protocol


def serve(app: FastAPI, settings: ServiceSettings, listener: socket.socket, started: Callable[[], None]) -> None:
    """Answer until SIGTERM or SIGINT; then take nothing more on, finish what was taken on within `stop_timeout`, and return.

    One process: the networks use all cores already, and one queue fills their session calls better than several.
    """
    config = uvicorn.Config(
        app,
        http=_protocol(),
        lifespan="on",
        ws="none",
        log_level="info" if settings.access_log else "warning",
        access_log=settings.access_log,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=settings.connections,
        timeout_keep_alive=settings.idle_timeout,
        timeout_graceful_shutdown=settings.stop_timeout,
    )
    server = uvicorn.Server(config)
    for name in ("SIGTERM", "SIGINT"):  # uvicorn raises a signal again when it is done: by then it has been heeded
        signal.signal(getattr(signal, name), lambda *_: setattr(server, "should_exit", True))
    before = sys.getswitchinterval()
    sys.setswitchinterval(settings.switch_interval)
    try:
        started()
        server.run(sockets=[listener])
    finally:
        sys.setswitchinterval(before)
