"""The page's files over HTTP: media types, ETags, gzip made beforehand, and the headers that the page asks for."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sga.service.middleware import ROUTE
from sga.service.validators import not_modified

__all__ = ["page_routes"]

_TEXT = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".md": "text/markdown; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
}
_OTHER = {".wasm": "application/wasm", ".png": "image/png", ".ico": "image/x-icon", ".woff2": "font/woff2"}
"""Not left to the machine's own table of types: a wrong one for a script or WebAssembly stops the page."""


class _File:
    """One file of the page."""

    def __init__(self, name: str, content: bytes, caching: str, headers: Mapping[str, str]) -> None:
        self.content = content
        ending = PurePosixPath(name).suffix
        self.media_type = _TEXT.get(ending) or _OTHER.get(ending, "application/octet-stream")
        # What is no text is packed already, or gains nothing.
        self.zipped = gzip.compress(content, 9, mtime=0) if ending in _TEXT else None
        self.etag = f'"{hashlib.blake2b(content, digest_size=8).hexdigest()}"'
        self.headers = {"Cache-Control": caching, "Vary": "Accept-Encoding", **headers}

    async def answer(self, request: Request) -> Response:
        """The file as the client takes it."""
        request.scope[ROUTE] = "page"
        zipped = self.zipped if _takes_gzip(request.headers.get("accept-encoding", "")) else None
        etag = self.etag if zipped is None else f'{self.etag[:-1]}-gzip"'
        headers = {"ETag": etag, **self.headers}
        if not_modified(request, etag):
            return Response(None, 304, headers)
        if zipped is None:
            return Response(self.content, headers=headers, media_type=self.media_type)
        return Response(zipped, headers={"Content-Encoding": "gzip", **headers}, media_type=self.media_type)


def page_routes(
    files: Mapping[str, bytes], headers: Mapping[str, str], for_ever: Callable[[str], bool] = lambda name: False
) -> list[Route]:
    """A route for each file by its relative path; index.html is at / too. for_ever: whether a name tells its content."""
    routes = []
    for name, content in files.items():
        caching = "public, max-age=31536000, immutable" if for_ever(name) else "no-cache"
        file = _File(name, content, caching, headers)
        routes += [Route(f"/{path}", file.answer, methods=["GET"]) for path in {name, "" if name == "index.html" else name}]
    return routes


def _takes_gzip(accepted: str) -> bool:
    for item in accepted.lower().split(","):
        coding, _, weight = item.partition(";")
        if coding.strip() in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
