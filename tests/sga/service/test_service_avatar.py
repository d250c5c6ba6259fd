"""Avatars over HTTP are those of Python and of the command line, and are drawn no more often than needed."""

from __future__ import annotations

import io
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sga import FaceModel

ONE_YEAR = "public, max-age=31536000, immutable"


@pytest.fixture(scope="module")
def model(model_path: Path) -> FaceModel:
    return FaceModel.load(model_path)


IDS = [
    *("user-42", "Käthe", "日本語", "👩‍👩‍👧", "a/b", "../x", "/", "//", ".", "..", "a.png", ".png", "%41", "%2F", "a b", "a+b"),
    *(
        "x\n",
        "\n",
        "x\r\ny",
        "\x00",
        "?",
        "#",
        "a?size=1",
        "a;b",
        "\\",
        "e\u0301",
        "\u00e9",
        "\u202e",
        "\U0010ffff",
        "😀" * 256,
    ),
]


def test_an_avatar_is_that_of_python(server, model: FaceModel) -> None:
    """Byte for byte, for every ID that Unicode allows."""
    seen = set()
    for identity in IDS:
        answer = server.avatar(identity)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "image/png"), identity
        assert answer.body == model.avatar(identity).png(), identity
        seen.add(answer.body)
    assert len(seen) == len(IDS)


@pytest.mark.parametrize("gender", ["female", "male", "any"])
def test_a_gender_is_heeded(server, model: FaceModel, gender: str) -> None:
    assert server.avatar("user-42", f"?gender={gender}").body == model.avatar("user-42", gender).png()


def test_a_slash_may_stand_as_it_is(server) -> None:
    assert server.get("/avatar/a/b.png").body == server.avatar("a/b").body


@pytest.mark.parametrize("size", [16, 95, 97, 1024])
def test_another_size_is_resampled(server, model: FaceModel, size: int) -> None:
    image = Image.open(io.BytesIO(server.avatar("user-42", f"?size={size}").body))
    native = model.avatar("user-42")
    expected = Image.fromarray(native.image).resize((size, size), Image.Resampling.LANCZOS)
    assert image.size == (size, size)
    assert (np.asarray(image) == np.asarray(expected)).all()
    upscaler = {"upscaler": "lanczos"} if size > 96 else {}
    assert image.info == {**Image.open(io.BytesIO(native.png())).info, "size": str(size), **upscaler}


def test_the_own_size_may_be_named(server) -> None:
    assert server.avatar("user-42", "?size=96").body == server.avatar("user-42").body


@pytest.mark.parametrize(
    ("path", "status", "found"),
    [
        ("/avatar/.png", 422, "at least 1"),
        ("/avatar/a.jpg", 404, "/avatar/a.jpg"),
        ("/avatar/a.png%0A", 404, ".png"),
        ("/avatar/%FF.png", 400, "xff"),
        ("/avatar/%ED%A0%80.png", 400, "xed"),
        (f"/avatar/{'a' * 257}.png", 422, "at most 256"),
        ("/avatar/a.png?size=15", 422, "'15'"),
        ("/avatar/a.png?size=1025", 422, "'1025'"),
        ("/avatar/a.png?size=x", 422, "'x'"),
        ("/avatar/a.png?size=", 422, "''"),
        ("/avatar/a.png?gender=femal", 422, "'femal'"),
        ("/avatar/a.png?sise=64", 422, "sise"),
        ("/avatar/a.png?size=64&size=65", 422, "size once"),
        ("/avatar/a.png?model=0123456789abcdef", 404, "0123456789abcdef"),
        ("/avatar/a.png?model=newest", 422, "'newest'"),
        ("/avatars/a.png", 404, "/avatars/a.png"),
    ],
)
def test_a_wrong_request_is_told_in_a_sentence(server, path: str, status: int, found: str) -> None:
    answer = server.get(path)
    problem = answer.json()
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert answer.headers["Cache-Control"] == "no-store"
    assert problem.keys() == {"type", "title", "status", "detail"}
    assert problem["status"] == status
    assert problem["detail"].startswith("Expected ")
    assert found in problem["detail"]
    assert problem["detail"].count(". ") >= 1


def test_a_copy_that_is_still_good_needs_no_drawing(server) -> None:
    etag = server.ask("HEAD", "/avatar/never%20drawn.png").headers["ETag"]
    before = server.figure('sga_faces_total{kind="avatar"}')
    for asked in (etag, etag.removeprefix("W/"), f'"other", {etag}', "*"):
        answer = server.avatar("never drawn", If_None_Match=asked)
        assert (answer.status, answer.body) == (304, b"")
        assert answer.headers["Cache-Control"]
    assert server.figure('sga_faces_total{kind="avatar"}') == before


def test_a_tag_follows_from_what_decides_the_picture(server) -> None:
    queries = ("", "?size=64", "?gender=male", "?gender=female")
    tags = {server.ask("HEAD", f"/avatar/{name}.png{query}").headers["ETag"] for name in "ab" for query in queries}
    assert len(tags) == 8
    assert server.ask("HEAD", "/avatar/a.png?size=96&gender=any").headers["ETag"] in tags
    assert server.avatar("a", If_None_Match=server.avatar("b").headers["ETag"]).status == 200


def test_a_url_that_names_the_model_may_be_kept_for_ever(server, model: FaceModel) -> None:
    plain = server.avatar("a/b", "?size=64")
    assert plain.headers["Cache-Control"] == "public, max-age=3600"
    pinned = server.get(plain.headers["Content-Location"])
    assert pinned.body == plain.body
    assert pinned.headers["Cache-Control"] == ONE_YEAR
    assert pinned.headers["ETag"] == plain.headers["ETag"]
    for one in (model.hash, model.folder.drawing_hash):
        assert server.avatar("a/b", f"?model={one}").headers["Cache-Control"] == ONE_YEAR


def test_head_tells_what_get_tells_and_draws_nothing(server) -> None:
    before = server.figure('sga_faces_total{kind="avatar"}')
    head = server.ask("HEAD", "/avatar/headed.png")
    assert (head.status, head.body) == (200, b"")
    assert server.figure('sga_faces_total{kind="avatar"}') == before
    got = server.avatar("headed")
    for name in ("ETag", "Content-Type", "Cache-Control", "Content-Location"):
        assert head.headers[name] == got.headers[name]
    assert server.ask("HEAD", "/avatar/headed.png").headers["Content-Length"] == str(len(got.body))
    assert server.ask("HEAD", "/avatar/.png").status == 422


def test_a_picture_is_drawn_once(server) -> None:
    before = server.figures()
    pictures = {server.avatar("drawn once").body for _ in range(3)}
    after = server.figures()
    assert len(pictures) == 1
    changed = {name: after[name] - before.get(name, 0) for name in after}
    assert changed['sga_faces_total{kind="avatar"}'] == 1
    assert changed['sga_avatar_cache_total{result="hit"}'] == 2


def test_the_memory_for_pictures_is_bounded(serve, model_path: Path) -> None:
    server = serve("--no-page", "--set", "cache_bytes=100000")
    bodies = {name: server.avatar(name).body for name in "abcdefghijkl"}
    assert sum(map(len, bodies.values())) > 100000
    assert 0 < server.figure("sga_avatar_cache_bytes") <= 100000
    assert server.avatar("a").body == bodies["a"]
    assert server.figure('sga_faces_total{kind="avatar"}') == len(bodies) + 1  # the one unused for longest had gone


def test_requests_at_the_same_time_share_session_calls(server, model: FaceModel) -> None:
    """Different IDs fill the same calls, requests of the same ID wait for one face; all get their own."""
    before = server.figures()
    names = [f"together {index % 12}" for index in range(24)]
    with ThreadPoolExecutor(24) as pool:
        bodies = list(pool.map(lambda name: server.avatar(name, "?gender=female").body, names))
    after = server.figures()

    def more(name: str) -> float:
        return after[name] - before.get(name, 0)

    assert bodies == [model.avatar(name, "female").png() for name in names]
    assert more('sga_session_rows_sum{network="generator"}') == more('sga_faces_total{kind="avatar"}') == 12
    assert more('sga_session_rows_count{network="generator"}') < 12
    assert 'sga_session_rows_count{network="judge"}' not in after or not more('sga_session_rows_count{network="judge"}')


def test_other_sites_may_show_an_avatar(server) -> None:
    """A page that is isolated itself may embed it."""
    answer = server.avatar("a")
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_the_command_line_draws_the_same(server, model_path: Path, tmp_path: Path) -> None:
    import subprocess

    words = ["generate", "--id", "user-42", "--model", str(model_path), "--out", str(tmp_path)]
    subprocess.run([sys.executable, "-m", "sga.cli.main", *words], check=True, capture_output=True, timeout=120)
    (picture,) = tmp_path.glob("*.png")
    assert picture.read_bytes() == server.avatar("user-42").body


def test_what_is_answered_ahead_of_the_framework_is_the_same(serve, model_path: Path) -> None:
    """A query that was found valid once is not read again: all that is told of it stays, and so does what is refused."""
    server = serve("--no-page", "--set", "max_id=40")
    asked = [
        ("ada/x ü", "?size=48&gender=male"),
        ("ada", ""),
        ("a" * 41, ""),
        ("b", "?size=15"),
        ("b", "?model=0123456789abcdef"),
    ]
    answers = [[server.avatar(*one) for one in asked] for _ in range(2)]
    counted = 'sga_requests_total{method="GET",route="/avatar/{id}.png",status="%d"}'
    assert [one.status for one in answers[0]] == [200, 200, 422, 422, 404]
    for first, again in zip(*answers, strict=True):
        assert (first.status, first.body) == (again.status, again.body)
        told = ({name: value for name, value in one.headers.items() if name != "date"} for one in (first, again))
        assert next(told) == next(told)
    assert [server.figure(counted % status) for status in (200, 404, 422)] == [4, 2, 4]
    etag = answers[0][1].headers["ETag"]
    assert server.avatar("ada", If_None_Match=etag).status == 304
    head = server.ask("HEAD", "/avatar/ada.png")
    assert (head.status, head.body, head.headers["ETag"]) == (200, b"", etag)
    assert server.ask("HEAD", "/avatar/not-drawn.png").headers["Content-Length"] is None
    assert server.get("/avatar/%ff.png").status == 400
    assert server.ask("DELETE", "/avatar/ada.png").status == 405
    missing = server.get("/avatar/ada")
    assert (missing.status, "Expected /avatar/ID.png" in missing.json()["detail"]) == (404, True)
