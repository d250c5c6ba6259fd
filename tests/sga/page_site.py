"""A static host for the page, with or without the headers of cross-origin isolation, and a browser to look at it with.

Test folders are no packages, so tests run this file by its path and take what they need; fixtures are then theirs.
SGA_SCREENSHOTS names a folder that takes pictures of the page.
"""

from __future__ import annotations

import functools
import io
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sga import FaceModel
from sga.model_folder import ModelFolder
from sga.web import HEADERS, write_page

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 60_000  # milliseconds
FAITHFUL = 2  # of 255
GPU = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"]
ISOLATING = ("Cross-Origin-Opener-Policy", "Cross-Origin-Embedder-Policy", "Cross-Origin-Resource-Policy")
Open = Callable[..., Any]


class _Quiet(SimpleHTTPRequestHandler):
    """Files of a folder and nothing said about it; `extra` headers go with each; of those with `paused` in their names the
    second half comes two seconds after the first."""

    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript"}  # noqa: RUF012 - as the base has it
    extra: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, *args: Any, paused: str = "", **more: Any) -> None:
        self.paused = paused
        super().__init__(*args, **more)  # answers at once

    def copyfile(self, source: Any, outputfile: Any) -> None:
        """Send a file."""
        if self.paused and self.paused in self.path:
            content = source.read()
            outputfile.write(content[: len(content) // 2])
            time.sleep(2)
            outputfile.write(content[len(content) // 2 :])
        else:
            super().copyfile(source, outputfile)

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
def site(folder: Path, *, isolated: bool, paused: str = "") -> Iterator[str]:
    """The address of a host on this machine that serves a folder until the block ends. paused: see `_Quiet`."""
    handler = functools.partial(_Isolating if isolated else _Quiet, directory=str(folder), paused=paused)
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


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    program = chromium()
    if program is None:
        pytest.skip("Chromium is not installed. Type, on Debian: apt-get install chromium")
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=program, args=["--no-sandbox", *GPU])  # root has no sandbox
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def written(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A host's folder; the page of the tiny model is below it, as on many hosts."""
    root = tmp_path_factory.mktemp("host")
    write_page(ModelFolder.load(model_path), root / "some" / "faces")
    return root


@pytest.fixture(scope="module")
def url(written: Path) -> Iterator[str]:
    with site(written, isolated=True) as address:
        yield f"{address}/some/faces/"


@pytest.fixture(scope="module")
def tiny(model_path: Path) -> FaceModel:
    return FaceModel.load(model_path)


@pytest.fixture(scope="module")
def drawing(browser: Any, url: str) -> Iterator[Any]:
    """A page whose `window.sga` several tests ask; nobody clicks on it."""
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{url}#s=4&i=0&a=0&g=male")
    when_ready(page)
    yield page
    page.close()


@pytest.fixture
def opened(browser: Any, url: str) -> Iterator[Open]:
    """`opened(fragment, settled=True, **context)`: the page in a fresh browser profile, when its first faces are drawn."""
    contexts = []

    def open_page(fragment: str = "", address: str = url, settled: bool = True, **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(address + fragment)
        when_ready(page, settled)
        return page

    yield open_page
    for context in contexts:
        context.close()


def when_ready(page: Any, settled: bool = True) -> None:
    """Wait until the page draws; it may reload itself once before."""
    page.wait_for_selector(".ways")
    page.evaluate("sga.settled" if settled else "sga.ready")


def until(page: Any, expression: str) -> None:
    """Wait until an expression of JavaScript is true; Playwright's own wait needs an `eval` that the page's policy forbids."""
    deadline = time.monotonic() + PATIENCE / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"{expression} never became true; the page says {page.inner_text('.ways')[:300]!r}"
        page.wait_for_timeout(50)


def picture(page: Any, name: str) -> None:
    folder = os.environ.get("SGA_SCREENSHOTS")
    if folder:
        page.screenshot(path=str(Path(folder) / f"page-{name}.png"))


def pixels(face: Any, size: int) -> np.ndarray:
    return np.array(face["pixels"], np.int64).reshape(size, size, 3)


def recipe(seed: int, index: int = 0, attempt: int = 0, gender: int | None = None, **where: int) -> dict[str, Any]:
    return {"kind": "seed", "seed": str(seed), "index": index, "attempt": attempt, "gender": gender, "where": where}


def identity(name: str, gender: int | None = None) -> dict[str, Any]:
    return {"kind": "id", "identity": name, "gender": gender}


def shown(page: Any) -> np.ndarray:
    """The chosen face as it would be downloaded."""
    with Image.open(io.BytesIO(bytes(page.evaluate("sga.png()")))) as image:
        return np.asarray(image).copy()
