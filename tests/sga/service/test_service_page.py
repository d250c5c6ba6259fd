"""The page at /: media types, isolation, compression, validators; and what stands there without it."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from sga.model_folder import ModelFolder
from sga.web import HEADERS, immutable, page_files

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".bin": "application/octet-stream",
}


@pytest.fixture(scope="module")
def site(serve):
    """A server that shows the page."""
    return serve()


@pytest.fixture(scope="module")
def files(model_path: Path) -> dict[str, bytes]:
    return page_files(ModelFolder.load(model_path))


def test_every_file_of_the_page_is_there(site, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        answer = site.get(f"/{name}")
        assert (answer.status, answer.body) == (200, content), name
        assert answer.headers["Content-Type"] == TYPES[Path(name).suffix], name
        assert ("immutable" in answer.headers["Cache-Control"]) == immutable(name), name
        for header, value in HEADERS.items():
            assert answer.headers.get_all(header) == [value]
    assert site.get("/").body == files["index.html"]


def test_text_travels_compressed_where_it_may(site, files: dict[str, bytes]) -> None:
    packed = site.get("/", Accept_Encoding="br, gzip;q=0.8")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["Vary"] == "Accept-Encoding"
    assert len(packed.body) < len(files["index.html"])
    assert gzip.decompress(packed.body) == files["index.html"]
    for refused in ("", "identity", "gzip;q=0", "gzip; q=0.0"):
        plain = site.get("/", Accept_Encoding=refused)
        assert "Content-Encoding" not in plain.headers
        assert plain.body == files["index.html"]
    assert packed.headers["ETag"] != plain.headers["ETag"]


def test_a_copy_that_is_still_good_is_not_sent_again(site, files: dict[str, bytes]) -> None:
    for name in files:
        first = site.ask("HEAD", f"/{name}")
        assert first.body == b""
        assert int(first.headers["Content-Length"]) == len(files[name])
        assert site.get(f"/{name}", If_None_Match=first.headers["ETag"]).status == 304
    assert site.get("/", If_None_Match='"another"').status == 200


def test_the_api_is_beside_it(site) -> None:
    assert site.avatar("a").status == 200
    assert site.get("/index.htm").status == 404
    assert site.ask("POST", "/").status == 405
    assert site.figure('sga_requests_total{method="GET",route="page",status="200"}') > 0


def test_without_the_page_its_place_says_what_there_is(server) -> None:
    told = server.get("/").json()
    assert told["page"] is False
    assert "/avatar/{id}.png" in told["paths"]
    assert server.get("/index.html").status == 404
