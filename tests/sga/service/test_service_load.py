"""A service under load: a bounded queue, fair turns, clients that leave, and a stop that finishes what was taken on."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from configs.errors import InputError
from sga.service.server import bound_socket

FOREVER = {"count": 4, "seed": 1, "max_attempts": 1000000}


class Pending:
    """A request that was sent and is not answered yet."""

    def __init__(self, address: str, **body: object) -> None:
        self.connection = http.client.HTTPConnection(address, timeout=60)
        self.connection.request("POST", "/generate", json.dumps(body).encode(), {"Content-Type": "application/json"})

    def leave(self) -> None:
        assert self.connection.sock is not None
        self.connection.sock.shutdown(socket.SHUT_RDWR)
        self.connection.close()

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        response = self.connection.getresponse()
        told = response.status, dict(response.headers), response.read()
        self.connection.close()
        return told


def until(happened: Callable[[], bool], seconds: float = 30) -> float:
    """Wait for it; how long that was."""
    started = time.monotonic()
    while not happened():
        assert time.monotonic() - started < seconds, "it did not happen"
        time.sleep(0.02)
    return time.monotonic() - started


@pytest.fixture(scope="module")
def busy(serve, endless: Path) -> Any:
    """A server with little room, whose judge is never content: a request with many attempts keeps it busy until it leaves."""
    return serve("--no-page", "--set", "queue=8", "--set", "max_count=8", "--set", "max_attempts=1000000", model=endless)


def test_a_full_queue_is_429_with_the_time_to_wait(busy) -> None:
    assert busy.avatar("before").status == 200
    waiting = [Pending(busy.address, **FOREVER) for _ in range(2)]
    until(lambda: busy.figure("sga_queue_faces") == 8)
    refused = busy.avatar("one more")
    assert (refused.status, refused.headers["Content-Type"]) == (429, "application/problem+json")
    assert 1 <= int(refused.headers["Retry-After"]) <= 3600
    assert "queue of 8" in refused.json()["detail"]
    assert refused.headers["Retry-After"] in refused.json()["detail"]
    assert busy.generate(count=1, max_attempts=1).status == 429
    assert busy.avatar("before").status == 200  # from memory: no room is needed
    assert busy.get("/health").json()["queue"] == 8
    assert busy.figure('sga_refused_total{reason="queue full"}') == 2
    for one in waiting:
        one.leave()
    until(lambda: busy.figure("sga_queue_faces") == 0)
    assert busy.avatar("one more").status == 200


def test_a_client_that_left_takes_no_more_work(busy) -> None:
    runs = 'sga_session_rows_count{network="generator"}'
    gone = busy.figure('sga_refused_total{reason="client gone"}')
    pending = Pending(busy.address, **FOREVER)
    before = busy.figure(runs)
    until(lambda: busy.figure(runs) > before + 3)
    pending.leave()
    until(lambda: busy.figure("sga_queue_faces") == 0)
    after = busy.figure(runs)
    time.sleep(0.3)
    assert busy.figure(runs) == after
    assert busy.figure('sga_refused_total{reason="client gone"}') == gone + 1


def test_many_faces_do_not_starve_an_avatar(busy) -> None:
    """The avatar takes its turn among the attempts: its row is in one of the next calls."""
    runs = 'sga_session_rows_count{network="generator"}'
    pending = Pending(busy.address, **FOREVER)
    until(lambda: busy.figure("sga_queue_faces") == 4)
    before = busy.figure(runs)
    until(lambda: busy.figure(runs) > before + 3)
    for index in range(8):
        assert busy.avatar(f"meanwhile {index}").status == 200
    assert busy.figure("sga_queue_faces") == 4  # still at it
    pending.leave()
    until(lambda: busy.figure("sga_queue_faces") == 0)


def test_a_request_that_takes_too_long_is_503(serve, endless: Path) -> None:
    server = serve("--no-page", "--set", "timeout=0.5", "--set", "max_attempts=1000000", model=endless)
    answer = server.generate(**FOREVER)
    assert (answer.status, answer.headers["Content-Type"]) == (503, "application/problem+json")
    assert int(answer.headers["Retry-After"]) >= 1
    assert "0.5 s" in answer.json()["detail"]
    until(lambda: server.figure("sga_queue_faces") == 0)
    slow = socket.create_connection(server.address.rsplit(":", 1))
    slow.sendall(b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
    assert slow.recv(4096).startswith(b"HTTP/1.1 408")
    slow.close()


def test_a_stop_finishes_what_was_taken_on(serve, endless: Path) -> None:
    limits = ("--set", "stop_timeout=120", "--set", "timeout=120")
    server = serve("--no-page", "--set", "max_attempts=1000000", *limits, model=endless)

    def seconds() -> float:
        started = time.monotonic()
        assert server.generate(count=8, seed=1, max_attempts=100).status == 200
        return time.monotonic() - started

    attempts = max(200, round(100 * 4 / min(seconds() for _ in range(3))))  # takes about four seconds
    pending = Pending(server.address, count=8, seed=1, max_attempts=attempts)
    until(lambda: server.figure("sga_queue_faces") == 8)
    stopped: list[tuple[int, str]] = []
    stopping = threading.Thread(target=lambda: stopped.append(server.stop()))
    stopping.start()
    until(lambda: not listens(server.address))
    assert not stopped
    status, _, body = pending.answer()
    assert (status, json.loads(body)["attempts"]) == (200, 8 * attempts)
    stopping.join()
    assert stopped == [(0, "Stopped.\n")]


def test_a_connection_that_says_nothing_is_closed(serve) -> None:
    server = serve("--no-page", "--set", "idle_timeout=1")
    for said in (b"", b"GET /health HTTP/1.1\r\nHo"):
        silent = socket.create_connection(server.address.rsplit(":", 1), timeout=20)
        silent.sendall(said)
        assert silent.recv(100) == b""
        silent.close()
    assert server.get("/health").status == 200


def test_a_stop_does_not_wait_for_ever(serve, endless: Path) -> None:
    server = serve("--no-page", "--set", "stop_timeout=1", "--set", "max_attempts=1000000", model=endless)
    pending = Pending(server.address, **FOREVER)
    half = socket.create_connection(server.address.rsplit(":", 1), timeout=60)
    half.sendall(b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
    until(lambda: server.figure("sga_queue_faces") == 4)
    started = time.monotonic()
    code, errors = server.stop()
    assert code == 0
    assert "Traceback" not in errors
    assert time.monotonic() - started < 30
    status, headers, body = pending.answer()
    assert (status, headers["content-type"]) == (503, "application/problem+json")
    assert int(headers["retry-after"]) >= 1
    assert "service stops, found its 1 s" in json.loads(body)["detail"]
    assert half.recv(4096).startswith(b"HTTP/1.1 503")
    half.close()


def listens(address: str) -> bool:
    try:
        socket.create_connection(address.rsplit(":", 1), timeout=5).close()
    except OSError:
        return False
    return True


def command(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=120, env=environment)


def test_a_taken_port_is_told(server, model_path: Path) -> None:
    port = server.address.rpartition(":")[2]
    done = command("-m", "sga.cli.main", "serve", "--port", port, "--model", str(model_path))
    assert done.returncode == 2
    assert f"port {port}" in done.stderr
    assert "--port 0" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("host", ["256.1.1.1", "a" * 70, "198.51.100.7"])
def test_a_host_that_is_none_of_this_machine_is_told(host: str) -> None:
    with pytest.raises(InputError, match=r"Type, for example: --host 127\.0\.0\.1"):
        bound_socket(host, 0)


def test_listening_elsewhere_is_warned_of(serve) -> None:
    server = serve("--no-page", "--host", "0.0.0.0")
    assert server.get("/health").status == 200
    code, errors = server.stop()
    assert code == 0
    assert "Others reach this service at 0.0.0.0" in errors


def test_limits_that_contradict_each_other_are_refused() -> None:
    done = command("-m", "sga.cli.main", "serve", "--set", "queue=8", "--dry-run")
    assert done.returncode == 2
    assert "max_count 64 faces never fit into a queue of 8" in done.stderr
    done = command("-m", "sga.cli.main", "serve", "--set", "queu=8", "--dry-run")
    assert "did you mean queue?" in done.stderr
    done = command("-m", "sga.cli.main", "serve", "--cors", "https://x.example/path", "--dry-run")
    assert "without a path" in done.stderr


def test_without_the_extra_it_says_what_to_install() -> None:
    script = "import sys; sys.modules['fastapi'] = None\nfrom sga.cli.main import main; main(['serve'])"
    done = command("-c", script)
    assert done.returncode == 2
    assert "fastapi is needed here and is not installed. Type: pip install 'sga-gan[serve]'" in done.stderr


def test_the_service_needs_no_torch() -> None:
    script = "import sys, sga.service.server\nprint(*sys.modules)"
    loaded = set(command("-c", script).stdout.split())
    assert "fastapi" in loaded
    assert not loaded & {"torch", "torchvision", "timm", "pandas", "pyarrow", "scipy", "sklearn"}
