"""What is done with every request: HEAD, bodies within bounds, counting."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sga.service.metrics import Metrics
from sga.service.problems import problem_response
from sga.service.settings import ServiceSettings

__all__ = ["HEAD", "ROUTE", "Bounded", "Counted"]

HEAD = "sga.head"
"""Key of a request's scope: True where it was HEAD and is answered as GET, whose body the server leaves out."""
ROUTE = "sga.route"
"""Key of a request's scope: under which name it is counted, where not under its path's template."""


class Counted:
    """Counts answers and their time by route, and answers HEAD as GET."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        method, started, status = scope["method"], time.perf_counter(), 500
        inner = {**scope, "method": "GET", HEAD: True} if method == "HEAD" else scope

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message["headers"] = list(message.get("headers", ()))
                if not any(name == b"x-content-type-options" for name, _ in headers):
                    headers.append((b"x-content-type-options", b"nosniff"))
            await send(message)

        try:
            await self.app(inner, receive, counted)
        finally:
            route = _route(inner)
            self.metrics.requests.labels(route, method if method in _METHODS else "other", str(status)).inc()
            self.metrics.seconds.labels(route).observe(time.perf_counter() - started)


_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


def _route(scope: Any) -> str:
    """The template of the path, of which there are few, whatever is asked for."""
    return scope.get(ROUTE) or getattr(scope.get("route"), "path_format", "none")


class Bounded:
    """Reads the body before anything else does, and refuses what is too long or too slow."""

    def __init__(self, app: ASGIApp, settings: ServiceSettings) -> None:
        self.app = app
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("POST", "PUT", "PATCH"):
            return await self.app(scope, receive, send)
        try:
            async with asyncio.timeout(self.settings.timeout):
                body = await self._read(scope, receive)
        except TimeoutError:
            late = f"Expected the body within {self.settings.timeout:g} s, found part of it. Send it at once."
            return await problem_response(408, late, {"Connection": "close"})(scope, receive, send)
        except asyncio.CancelledError:  # by the server, whose time to stop is up
            stops = "Expected the body before the service stops, found part of it. Ask again in 1 s."
            return await problem_response(503, stops, {"Connection": "close", "Retry-After": "1"})(scope, receive, send)
        if body is None:
            long = f"Expected a body of at most {self.settings.max_body} bytes, found more. Send less."
            return await problem_response(413, long, {"Connection": "close"})(scope, receive, send)
        pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return pending.pop() if pending else await receive()

        return await self.app(scope, again, send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        """The body, None where it is too long."""
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value) > self.settings.max_body:
                return None
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return b""
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self.settings.max_body:
                return None
        return body
