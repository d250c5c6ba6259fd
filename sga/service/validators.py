"""Entity tags: whether the client's copy is still good."""

from __future__ import annotations

import hashlib

from starlette.requests import Request

__all__ = ["avatar_etag", "not_modified"]


def avatar_etag(*parts: str | int) -> str:
    """The entity tag of what follows from `parts` alone. Weak: pixels may differ by 2/255 between machines, and so may the
    compression of a PNG between versions of its library, which is the same avatar nevertheless."""
    digest = hashlib.blake2b(digest_size=12, person=b"sga-etag")
    for part in parts:
        encoded = str(part).encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return f'W/"{digest.hexdigest()}"'


def not_modified(request: Request, etag: str) -> bool:
    """Whether If-None-Match names the tag; compared weakly, as RFC 9110 asks for."""
    asked = ",".join(request.headers.getlist("if-none-match"))
    return asked.strip() == "*" or etag.removeprefix("W/") in {tag.strip().removeprefix("W/") for tag in asked.split(",")}
