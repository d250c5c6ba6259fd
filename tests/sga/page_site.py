"""A static host for the page, with or without the headers of cross-origin isolation, and a browser to look at it with.

Run by path (`runpy.run_path`), because test folders are no packages.
"""

from __future__ import annotations

import functools
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from sga.web import HEADERS

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
ISOLATING = ("Cross-Origin-Opener-Policy", "Cross-Origin-Embedder-Policy", "Cross-Origin-Resource-Policy")


class _Quiet(SimpleHTTPRequestHandler):
    """Files of a folder and nothing said about it; `extra` headers go with each."""

    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript"}  # noqa: RUF012 - as the base has it
    extra: dict[str, str] = {}  # noqa: RUF012

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def end_headers(self) -> None:
        """Add what the host adds."""
        for name, value in self.extra.items():
            self.send_header(name, value)
        super().end_headers()


class _Isolating(_Quiet):
    extra = {name: HEADERS[name] for name in ISOLATING}  # noqa: RUF012


@contextmanager
def site(folder: Path, *, isolated: bool) -> Iterator[str]:
    """The address of a host on this machine that serves a folder until the block ends."""
    handler = functools.partial(_Isolating if isolated else _Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def chromium() -> str | None:
    """The path of a Chromium on this machine."""
    return next(filter(None, map(shutil.which, CHROMIUM)), None)
