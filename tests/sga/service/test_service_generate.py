"""POST /generate draws the faces of Python and the command line; health, metrics and CORS tell the truth."""

from __future__ import annotations

import base64
import io
import zipfile
from pathlib import Path
from typing import Any

import pytest

from sga import FaceModel, Report
from sga.version import __version__


@pytest.fixture(scope="module")
def model(model_path: Path) -> FaceModel:
    return FaceModel.load(model_path)


@pytest.mark.parametrize(
    "asked",
    [
        {"gender": "female", "count": 12, "seed": 7},
        {"count": 3, "seed": 2**53 - 1},
        {"gender": "male", "count": 5, "seed": 3, "where": {"hair_color": "blue"}, "max_attempts": 30},
        {"gender": "female", "count": 9, "seed": 1, "min_quality": "high", "max_attempts": 2},
        {"gender": "female", "count": 9, "seed": 1, "min_quality": 0.9, "max_attempts": 1, "on_exhausted": "gap"},
    ],
)
def test_the_faces_are_those_of_python(server, model: FaceModel, asked: dict[str, Any]) -> None:
    answer, report = server.generate(**asked), Report()
    faces = model.generate(report=report, **asked)
    told = answer.json()
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert [base64.b64decode(face["png"]) for face in told["faces"]] == [face.png() for face in faces]
    assert (told["model"], told["seed"], told["attempts"]) == (model.hash, asked["seed"], report.attempts)
    assert told["acceptance"] == report.acceptance
    for one, face in zip(told["faces"], faces, strict=True):
        for name in ("index", "gender", "accepted", "attempt", "attempts", "quality"):
            assert one[name] == getattr(face, name)
        assert one["failed"] == list(face.failed)
        assert one["probabilities"]["gender"][face.gender] == face.probabilities["gender"][model.spec.gender.code(face.gender)]
        assert one["probabilities"]["glasses"]["yes"] == face.probabilities["glasses"]


def test_a_zip_holds_the_files_of_the_command_line(server, model: FaceModel) -> None:
    answer = server.generate(gender="male", count=4, seed=9, format="zip")
    assert answer.headers["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert archive.testzip() is None
        found = {name: archive.read(name) for name in archive.namelist()}
    assert found == {f"male-9-{face.index:04d}.png": face.png() for face in model.generate("male", 4, seed=9)}
    assert server.generate(gender="male", count=4, seed=9, format="zip").body == answer.body


def test_without_a_seed_it_tells_the_one_it_took(server) -> None:
    first, second = (server.generate(count=1).json() for _ in range(2))
    assert first["seed"] != second["seed"]
    assert server.generate(count=1, seed=first["seed"]).json() == first


@pytest.mark.parametrize(
    ("body", "status", "found"),
    [
        (b"", 422, "body"),
        (b"{", 422, "JSON"),
        (b"[]", 422, "[]"),
        ({"count": 0}, 422, "count"),
        ({"count": 65}, 422, "65"),
        ({"count": "3"}, 422, "'3'"),
        ({"count": True}, 422, "True"),
        ({"cuont": 3}, 422, "cuont"),
        ({"seed": -1}, 422, "-1"),
        ({"seed": 2**53}, 422, "9007199254740992"),
        ({"gender": "men"}, 422, "'men'"),
        ({"where": {"hair_color": "bleu"}}, 422, "'bleu'"),
        ({"where": {"gender": "male"}}, 422, "gender"),
        ({"min_quality": 1.5}, 422, "1.5"),
        ({"min_quality": "best"}, 422, "'best'"),
        ({"max_attempts": 65}, 422, "65"),
        (b'{"min_quality": NaN}', 422, "min_quality"),
        ({"where": {"hair_color": "green", "glasses": "no"}, "seed": 1}, 409, "hair_color=green, glasses=no"),
        (b" " * 20000, 413, "16384"),
    ],
)
def test_a_wrong_request_is_told_in_a_sentence(server, body: Any, status: int, found: str) -> None:
    answer = server.ask("POST", "/generate", body, **({"Content_Type": "application/json"} if body else {}))
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
    detail = answer.json()["detail"]
    assert detail.startswith("Expected ")
    assert found in detail


def test_a_body_of_unknown_length_is_bounded_too(server) -> None:
    """Chunked, so that no header tells the length."""
    import http.client

    connection = http.client.HTTPConnection(server.address, timeout=30)
    connection.request("POST", "/generate", iter([b" " * 8000] * 3), {"Content-Type": "application/json"}, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("POST", "/avatar/a.png", "GET, HEAD"), ("GET", "/generate", "POST"), ("DELETE", "/health", "GET, HEAD")],
)
def test_another_method_is_told_the_right_one(server, method: str, path: str, allowed: str) -> None:
    answer = server.ask(method, path)
    assert (answer.status, answer.headers["Allow"]) == (405, allowed)
    assert allowed in answer.json()["detail"]


def test_health_names_the_model(server, model: FaceModel) -> None:
    told = server.get("/health").json()
    assert told == {
        "status": "ready",
        "model": "tiny",
        "hash": model.hash,
        "drawing_hash": model.folder.drawing_hash,
        "algorithm": model.spec.algorithm,
        "size": 96,
        "genders": ["female", "male"],
        "queue": 0,
        "version": __version__,
    }


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        (b"not json", "application/json", "found that it is none: Expecting value at character 0"),
        (b'{"count": 1,}', "application/json", "at character 12"),
        (b"", "application/json", "Expected a body of JSON, found none"),
        (b"{}", "text/plain", "Content-Type: application/json, found text/plain"),
        (b"[]", "application/json", "the body: "),
        (b"\xff", "application/json", "Expected "),
    ],
)
def test_a_body_that_is_no_json_is_told(server, body: bytes, kind: str, said: str) -> None:
    answer = server.ask("POST", "/generate", body, Content_Type=kind)
    assert answer.status in (400, 422)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert said in answer.json()["detail"]


def test_metrics_count_what_happens(server) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    before = server.figures()
    server.generate(gender="female", count=6, seed=21)
    server.get("/nowhere/at/all")
    server.ask("TRACE", "/health")
    after = server.figures()

    def more(name: str) -> float:
        return after[name] - before.get(name, 0)

    assert more('sga_requests_total{method="POST",route="/generate",status="200"}') == 1
    assert more('sga_requests_total{method="GET",route="none",status="404"}') == 1
    assert more('sga_requests_total{method="other",route="/health",status="405"}') == 1
    assert more('sga_request_seconds_count{route="/generate"}') == 1
    assert more('sga_faces_total{kind="generate"}') == 6
    assert more('sga_attempts_total{verdict="accepted"}') == 6
    assert more('sga_session_rows_sum{network="judge"}') >= 6 + more('sga_attempts_total{verdict="turned down"}')
    assert more('sga_session_seconds_count{network="generator"}') >= 1
    assert after["sga_queue_faces"] == 0
    families = {family.name for family in text_string_to_metric_families(server.get("/metrics").body.decode())}
    assert {"sga_requests", "sga_request_seconds", "sga_queue_faces", "process_resident_memory_bytes"} <= families


def test_browsers_of_other_origins_are_let_in_by_name_alone(serve, server) -> None:
    page, other = "https://page.example", "https://other.example"
    assert "Access-Control-Allow-Origin" not in server.avatar("a", Origin=page).headers
    assert server.ask("OPTIONS", "/generate", Origin=page, Access_Control_Request_Method="POST").status == 405
    opened = serve("--no-page", "--cors", page)
    assert opened.avatar("a", Origin=page).headers["Access-Control-Allow-Origin"] == page
    assert "ETag" in opened.avatar("a", Origin=page).headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Origin" not in opened.avatar("a", Origin=other).headers
    asked = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "content-type"}
    assert opened.ask("OPTIONS", "/generate", Origin=page, **asked).headers["Access-Control-Allow-Origin"] == page
    assert opened.ask("OPTIONS", "/generate", Origin=other, **asked).status == 400
    stopped = opened.stop()
    assert stopped == (0, "Stopped.\n")
