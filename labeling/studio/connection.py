"""Where a Label Studio is and what opens it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from configs.errors import InputError, StudioError, UserError
from labeling.workspace import Workspace

__all__ = ["LOOPBACK", "Connection", "find_connection"]

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""Hosts of a URL by which a machine names itself."""


@dataclass(frozen=True)
class Connection:
    """A Label Studio and the token of one of its users. `repr` leaves the token out.

    url: scheme and host without a slash at the end; files_at: folder whose sub-folders the server can be let read on its own
    disk (the local server of a workspace: the workspace's root), None = pictures travel inside the tasks; server: what files
    call the server, the same when a local one moves to another port (default: the URL, whichever name it has for this machine).
    """

    url: str
    token: str = field(repr=False)
    files_at: Path | None = None
    server: str = ""

    def __post_init__(self) -> None:
        if not self.server:
            object.__setattr__(self, "server", _by_one_name(self.url))

    @property
    def is_local(self) -> bool:
        """Whether the URL leads to this machine."""
        return urlsplit(self.url).hostname in LOOPBACK


def find_connection(workspace: Workspace, url: str | None = None, token: str | None = None) -> Connection:
    """The Label Studio at `url`, or else the running local server of the workspace. Nothing is asked of a server at a `url`.

    Raises:
        InputError: one of url and token without the other, or what cannot be a URL or a token.
        StudioError: neither was given, and no local server runs, or it refuses the token that the workspace keeps.
    """
    from labeling.studio.credentials import at_work, running

    if not url and not token:
        local = running(workspace)
        if local is None:
            raise StudioError(
                f"Expected a running Label Studio for {workspace.root}, found none. Type first: sga label studio --workspace "
                f"{workspace.root} (and leave it running), or name one with --url and --token."
            )
        return local
    given = Connection(_checked_url(url), _checked_token(token))
    with suppress(UserError):  # a damaged folder of the local server is no reason against another one
        known = at_work(workspace)
        if known is not None and known.url == given.server:  # the same server, for another user or with a renewed token
            return replace(known.connection, token=given.token)
    return given


def _by_one_name(url: str) -> str:
    """The URL with a host in small letters, and with one name for this machine: a browser shows another than a person types."""
    parts = urlsplit(url)
    host = "127.0.0.1" if parts.hostname in LOOPBACK else parts.hostname or ""
    port = "" if parts.port is None else f":{parts.port}"
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{parts.path}"


def _checked_url(url: str | None) -> str:
    if not url:
        raise InputError(
            "Expected --url beside --token (LABEL_STUDIO_URL beside LABEL_STUDIO_API_KEY), found a token alone. "
            "Name the server too, or leave both out for the workspace's own."
        )
    try:
        parts = urlsplit(url.strip())
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        sound = sound and not (parts.username or parts.password or parts.query or parts.fragment)
    except ValueError:
        sound = False
    if not sound:
        raise InputError("Expected --url as http://HOST:PORT or https://HOST, found something else. Correct it.")
    return url.strip().rstrip("/")


def _checked_token(token: str | None) -> str:
    if not token:
        raise InputError(
            "Expected --token beside --url (or the environment variable LABEL_STUDIO_API_KEY), found none. "
            "Copy it from Account & Settings in Label Studio."
        )
    token = token.strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        raise InputError("Expected --token as Label Studio shows it, found characters that no token has. Copy it again.")
    return token
