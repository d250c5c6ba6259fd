"""Faces at another size over HTTP: the bytes that the library and the command write, with an upscaler and without."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sga import Face, FaceModel
from sga.service.batcher import Cancelled, Ticket, working_for


@pytest.mark.parametrize("size", [40, 96, 130, 384, 900])
def test_the_service_sends_what_the_library_draws(server: Any, model_path: Path, size: int) -> None:
    assert server.avatar("user-42", f"?size={size}").body == FaceModel.load(model_path).avatar("user-42", size=size).png()


def test_so_it_does_with_an_upscaler(serve: Callable[..., Any], sharp: Path) -> None:
    server, model = serve("--no-page", model=sharp), FaceModel.load(sharp)
    for size in (64, 96, 150, 384, 1000):
        assert server.avatar("ä/b", f"?size={size}").body == model.avatar("ä/b", size=size).png(), size
    # A picture of the upscaler is for ever as long as the whole folder is the same; one as drawn, as long as the drawing is.
    drawing, whole = model.folder.drawing_hash, model.hash
    assert drawing != whole
    for query, named, kept in (
        ("", drawing, "immutable"),
        ("size=64&", drawing, "immutable"),
        ("size=384&", whole, "immutable"),
    ):
        answer = server.avatar("x", f"?{query}model={named}")
        assert kept in answer.headers["Cache-Control"]
        assert answer.headers["Content-Location"].endswith(f"model={named}")
    assert "immutable" not in server.avatar("x", f"?size=384&model={drawing}").headers["Cache-Control"]


@pytest.fixture(scope="module")
def sharp_server(serve: Callable[..., Any], sharp: Path) -> Any:
    """A server of the model with an upscaler, that lets a request have no more pixels than two faces of 384 px."""
    return serve("--no-page", "--set", "max_pixels=294912", model=sharp)


def command(*words: str) -> str:
    """What a command says."""
    done = subprocess.run(
        [sys.executable, "-m", "sga.cli.main", *words], check=True, capture_output=True, text=True, timeout=120
    )
    return done.stdout


@pytest.mark.parametrize("size", [40, 96, 130, 384, None])
def test_generated_faces_are_those_of_the_library(
    server: Any, sharp_server: Any, model_path: Path, sharp: Path, size: int | None
) -> None:
    asked: dict[str, Any] = {"gender": "female", "count": 2, "seed": 7}
    for one, path in ((server, model_path), (sharp_server, sharp)):
        answer = one.generate(size=size, **asked)
        assert answer.status == 200
        expected = FaceModel.load(path).generate(size=size, **asked)
        assert [base64.b64decode(face["png"]) for face in answer.json()["faces"]] == [face.png() for face in expected]


def test_a_zip_of_larger_faces_is_what_the_command_writes(sharp_server: Any, sharp: Path, tmp_path: Path) -> None:
    """File by file; and the command draws a face of the service again, from what its PNG says."""
    answer = sharp_server.generate(gender="male", count=2, seed=3, size=200, format="zip")
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    drawn = tmp_path / "drawn"
    asked = ("--gender", "male", "--count", "2", "--seed", "3", "--size", "200")
    command("generate", *asked, "--model", str(sharp), "--out", str(drawn))
    assert found == {path.name: path.read_bytes() for path in drawn.glob("*.png")}
    assert len(found) == 2
    sent = tmp_path / "sent.png"
    sent.write_bytes(found["male-3-0001.png"])
    told = command("generate", "--again", str(sent), "--model", str(sharp), "--out", str(tmp_path / "again"))
    assert "the same file bit for bit" in told
    assert (tmp_path / "again" / "sent.png").read_bytes() == sent.read_bytes()


@pytest.mark.parametrize(
    ("body", "status", "found"),
    [
        ({"size": 15}, 422, "15"),
        ({"size": 1025}, 422, "1025"),
        ({"size": "96"}, 422, "'96'"),
        ({"size": 96.5}, 422, "96.5"),
        ({"size": True}, 422, "True"),
        ({"size": 384, "count": 3}, 409, "3 of 384 × 384, which are 442368. Ask for 2 at a time"),
        ({"size": 1000, "count": 2}, 409, "Ask for 1 at a time"),
    ],
)
def test_a_size_out_of_bounds_is_told_in_a_sentence(sharp_server: Any, body: dict[str, Any], status: int, found: str) -> None:
    answer = sharp_server.generate(**body)
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert answer.json()["detail"].startswith("Expected ")
    assert found in answer.json()["detail"]


def test_what_is_not_larger_or_alone_is_not_counted(sharp_server: Any) -> None:
    """Faces as drawn are bounded by their count, and one of any size is as an avatar."""
    for body in (
        {"size": 96, "count": 40},
        {"count": 40},
        {"size": 64, "count": 40},
        {"size": 1024},
        {"size": 384, "count": 2},
    ):
        assert sharp_server.generate(seed=1, max_attempts=1, **body).status == 200, body


def test_the_description_tells_the_size(sharp_server: Any) -> None:
    told = sharp_server.get("/openapi.json").json()
    size = told["components"]["schemas"]["Generate"]["properties"]["size"]
    query = {one["name"]: one for one in told["paths"]["/avatar/{id}.png"]["get"]["parameters"]}["size"]
    assert size["anyOf"][0] == {"type": "integer", "minimum": 16, "maximum": 1024}
    assert size["description"].startswith(query["description"])
    assert "294912 pixels" in size["description"]


def test_others_are_answered_while_faces_are_enlarged(serve: Callable[..., Any], sharp: Path) -> None:
    server, answers = serve("--no-page", model=sharp), []
    asked = {"count": 9, "size": 1000, "seed": 5, "max_attempts": 1, "format": "zip"}
    drawing = threading.Thread(target=lambda: answers.append(server.generate(**asked)))
    drawing.start()
    waits = []
    while drawing.is_alive():
        started = time.monotonic()
        assert server.get("/health").status == 200
        waits.append(time.monotonic() - started)
    drawing.join()
    assert answers[0].status == 200
    assert len(waits) > 3
    assert max(waits) < sum(waits) / 2


def test_enlarging_ends_when_nobody_waits(model_path: Path) -> None:
    pytest.importorskip("fastapi")
    from sga.service.generating import _encoded

    model, ticket, drawn = FaceModel.load(model_path), Ticket(), []

    def faces() -> Iterator[Face]:
        for face in model.stream("female", 3, seed=1, size=200):
            drawn.append(face.index)
            yield face

    with working_for(ticket):
        encoded = _encoded(faces())
        next(encoded)
        ticket.cancelled = True
        with pytest.raises(Cancelled):
            next(encoded)
    assert len(drawn) == 1
