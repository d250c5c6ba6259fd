"""A service in a process of its own, asked over HTTP."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session", autouse=True)
def _extra() -> None:
    """Each test here is skipped, with the reason, where the service cannot run."""
    for package in ("fastapi", "uvicorn", "prometheus_client"):
        pytest.importorskip(package, reason="the extra serve runs the service")


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """`sga serve` on a free port."""

    def __init__(self, model: Path, *options: str) -> None:
        words = [sys.executable, "-m", "sga.cli.main", "serve", "--port", "0", "--model", str(model), *options]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
        self.process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment
        )
        assert self.process.stdout is not None
        found = re.search(r"http://(\S+?);", self.process.stdout.readline())
        if found is None:
            raise AssertionError(self.process.communicate(timeout=20)[1])
        self.url = f"http://{found[1]}"
        self.address = urlsplit(self.url).netloc

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One request on a connection of its own. path: sent as it stands; headers: _ stands for -."""
        connection = http.client.HTTPConnection(self.address, timeout=60)
        try:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            if body is not None and not isinstance(body, bytes):
                body, sent = json.dumps(body).encode(), {"Content-Type": "application/json", **sent}
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, **headers)

    def avatar(self, identity: str, query: str = "", **headers: str) -> Answer:
        return self.get(f"/avatar/{quote(identity, safe='')}.png{query}", **headers)

    def generate(self, **body: Any) -> Answer:
        return self.ask("POST", "/generate", body)

    def figures(self) -> dict[str, float]:
        """Samples of /metrics by name with its labels."""
        lines = self.get("/metrics").body.decode().splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}

    def figure(self, name: str) -> float:
        return self.figures().get(name, 0.0)

    def stop(self) -> tuple[int, str]:
        """Exit code and stderr after SIGTERM."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        errors = self.process.communicate(timeout=60)[1]
        return self.process.returncode, errors


Serve = Callable[..., Server]


@pytest.fixture(scope="session")
def serve(model_path: Path) -> Iterator[Serve]:
    """A function that starts a server with these options, of the tiny model unless another is named. All are stopped."""
    servers = []

    def start(*options: str, model: Path | None = None) -> Server:
        servers.append(Server(model or model_path, *options))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.stop()


@pytest.fixture(scope="session")
def server(serve: Serve) -> Server:
    """One server for all tests that neither stop nor fill it."""
    return serve("--no-page")


@pytest.fixture(scope="session")
def endless(make_model: Callable[..., Path]) -> Path:
    """A model whose judge turns everything down."""
    return make_model(critic=True, contrast=1000.0)
