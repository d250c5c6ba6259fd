"""What is said when a Label Studio refuses, lies, hangs, is another one, or is not there.

Where a server has to do what a healthy one does not, a small HTTP proxy stands in front of the real one and changes or
withholds single answers (`proxy`); everything else goes through.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from configs.errors import MissingExtra, StudioError
from labeling.studio import transport
from labeling.studio.client import StudioClient
from labeling.studio.connection import Connection
from labeling.studio.server import TESTED_VERSION, LocalServer

httpx = pytest.importorskip("httpx")

Change: TypeAlias = "Callable[[str, str, httpx.Response | None], tuple[int, bytes] | None]"
"""(method, path, the real answer or None before it is asked for) → (status, body) to answer instead, or None."""
Proxy: TypeAlias = Callable[[Change], Connection]

CONFIG = '<View><Text name="text" value="$text"/><Choices name="label" toName="text"><Choice value="a"/></Choices></View>'
PERSONAL = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjQwMDAwMDAwMDAsInRva2VuX3R5cGUiOiJyZWZyZXNoIn0.AAAA"
"""The form of a personal token, valid for a century and signed by nobody."""


def task(number: int) -> dict[str, Any]:
    return {"data": {"text": f"{number}"}}


@pytest.fixture
def project(studio: StudioClient) -> int:
    """A project with seven tasks."""
    pid = studio.create_project("tests of refusals", CONFIG)
    assert studio.import_tasks(pid, [task(number) for number in range(7)]) == 7
    return pid


@pytest.fixture
def proxy(studio_server: LocalServer) -> Iterator[Proxy]:
    """`proxy(change)`: a connection to the real server through a proxy that changes answers."""
    with ExitStack() as stack:
        yield lambda change: stack.enter_context(_proxy(studio_server.connection, change))


@contextmanager
def _proxy(real: Connection, change: Change) -> Iterator[Connection]:
    class Handler(BaseHTTPRequestHandler):
        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            instead, answer = change(self.command, self.path, None), None
            if instead is None:
                kept = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
                answer = http.request(self.command, real.url + self.path, content=body, headers=kept)
                instead = change(self.command, self.path, answer) or (answer.status_code, answer.content)
            with suppress(ConnectionError):  # the client may have left
                self.send_response(instead[0])
                self.send_header("Content-Length", str(len(instead[1])))
                self.end_headers()
                self.wfile.write(instead[1])

        do_GET = do_POST = do_PATCH = do_DELETE = forward  # noqa: N815 - the names that the base class looks for

        def log_message(self, *arguments: Any) -> None:
            """Be silent."""

    with httpx.Client(trust_env=False, timeout=60) as http, ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield replace(real, url=f"http://127.0.0.1:{server.server_address[1]}")
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("token", ["x" * 40, PERSONAL])
def test_a_wrong_token_is_told(studio_server: LocalServer, token: str) -> None:
    with (
        StudioClient(Connection(studio_server.connection.url, token)) as client,
        pytest.raises(StudioError, match=r"found it refused \(.*[Tt]oken.*\)\. Copy it again") as refused,
    ):
        client.version()
    assert token not in str(refused.value)
    assert token not in repr(refused.value.__cause__)


def test_nobody_there_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK would wait three seconds."""
    slept = list[float]()
    monkeypatch.setattr(time, "sleep", slept.append)
    with socket.socket() as deaf:  # keeps the port, and nobody listens there
        deaf.bind(("127.0.0.1", 0))
        client = StudioClient(Connection(f"http://127.0.0.1:{deaf.getsockname()[1]}", "x" * 40))
        for ask in (client.version, client.users, lambda: client.import_tasks(1, [task(0)]), lambda: list(client.tasks(1))):
            with pytest.raises(StudioError, match=r"found nobody there .*Type sga label studio to start one, or correct --url"):
                ask()
        client.close()
    assert slept == []


def test_another_version_is_no_error(proxy: Proxy, tmp_path: Path) -> None:
    def older(method: str, path: str, answer: httpx.Response | None) -> tuple[int, bytes] | None:
        if answer is None or not path.startswith("/api/version"):
            return None
        return 200, json.dumps({**answer.json(), "release": "1.9.0"}).encode()

    from typer.testing import CliRunner

    from sga.cli.main import app

    connection = proxy(older)
    assert StudioClient(connection).version() == "1.9.0"
    seen = CliRunner().invoke(
        app,
        ["label", "studio", "--workspace", str(tmp_path), "--url", connection.url],
        env={"LABEL_STUDIO_API_KEY": connection.token},
    )
    assert seen.exit_code == 0, seen.output
    assert f"Label Studio 1.9.0 at {connection.url} takes the token of" in seen.output
    assert seen.output.count(f"tested with {TESTED_VERSION}") == 1
    assert connection.token not in seen.output
    assert not (tmp_path / "labeling").exists()


BODIES = [b"<html>Welcome</html>", b"[]", b'{"release": "2.0"}', b"\xff\xfe", b'{"release": 2}']


@pytest.mark.parametrize("body", BODIES)
def test_another_server_is_told(proxy: Proxy, body: bytes) -> None:
    with (
        StudioClient(proxy(lambda method, path, answer: (200, body))) as client,
        pytest.raises(StudioError, match="Correct --url"),
    ):
        client.version()


def test_a_user_who_is_not_told_is_no_label_studio(proxy: Proxy) -> None:
    change: Change = lambda method, path, answer: (200, b"{}") if "whoami" in path else None  # noqa: E731
    with StudioClient(proxy(change)) as client, pytest.raises(StudioError, match="Expected the token's user from"):
        client.version()


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy server is asked again at once."""
    monkeypatch.setattr(transport, "_WAITS", (0.0, 0.0, None))


@pytest.mark.usefixtures("soon")
def test_a_write_is_sent_once_and_a_read_again(proxy: Proxy, studio: StudioClient, project: int) -> None:
    seen: list[str] = []

    def busy(method: str, path: str, answer: httpx.Response | None) -> tuple[int, bytes] | None:
        if answer is None:
            return None
        seen.append(f"{method} {path.partition('?')[0]}")
        return (503, b"busy") if seen.count(seen[-1]) <= 2 else None  # the server has done it, and the answer got lost

    with StudioClient(proxy(busy)) as client:
        with pytest.raises(StudioError, match="found the answer 503: busy"):
            client.import_tasks(project, [task(7)])
        assert len(list(client.tasks(project))) == 8
        assert seen == [f"POST /api/projects/{project}/import", *["GET /api/tasks/"] * 3]
        with pytest.raises(StudioError, match="503"):
            client.update_project(project, title="once")
        assert seen.count(f"PATCH /api/projects/{project}/") == 1
    assert studio.project(project)["title"] == "once"


@pytest.mark.usefixtures("soon")
def test_a_long_answer_is_cut_and_the_token_left_out(proxy: Proxy, studio: StudioClient) -> None:
    token = studio.connection.token
    page = f"<html><style>p {{}}</style><script>var a = 1</script><p>Sorry {token}</p>{'<p>word</p>' * 30_000}</html>"
    with StudioClient(proxy(lambda method, path, answer: (500, page.encode()))) as client:
        for ask in (lambda: client.project(1), lambda: client.import_tasks(1, [task(0)]), lambda: client.image("/x")):
            with pytest.raises(StudioError, match=r"found the answer 500: Sorry \[token\] word word") as refused:
                ask()
            assert len(str(refused.value)) < 600
            assert token not in str(refused.value)


def test_a_hanging_server_is_left(proxy: Proxy) -> None:
    waited = threading.Event()

    def hang(method: str, path: str, answer: httpx.Response | None) -> tuple[int, bytes]:
        waited.wait(10)
        return 200, b"{}"

    with StudioClient(proxy(hang), timeout=0.2) as client, pytest.raises(StudioError, match="found no answer in time"):
        client.version()
    waited.set()


def test_a_redirect_and_a_refusal_are_told(proxy: Proxy) -> None:
    answers = iter([(301, b""), (403, b'{"detail": "not yours"}')])
    with StudioClient(proxy(lambda method, path, answer: next(answers))) as client:
        with pytest.raises(StudioError, match="as it stands in the browser"):
            client.project(1)
        with pytest.raises(StudioError, match=r"may not \(not yours\)"):
            client.project(1)


def test_a_server_that_works_off_later_is_told(proxy: Proxy, project: int) -> None:
    change: Change = lambda method, path, answer: (201, b'{"import": 5}') if "/import" in path else None  # noqa: E731
    with StudioClient(proxy(change)) as client, pytest.raises(StudioError, match="works it off later"):
        client.import_tasks(project, [task(0)])


def test_an_answer_without_an_id_is_told(proxy: Proxy) -> None:
    with StudioClient(proxy(lambda method, path, answer: (201, b"{}"))) as client:
        for ask in (lambda: client.create_project("a project", CONFIG), lambda: client.annotate(1, [])):
            with pytest.raises(StudioError, match="found another answer"):
                ask()


@pytest.mark.parametrize("package", ["label_studio_sdk", "httpx"])
def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with StudioClient(Connection("http://127.0.0.1:1", "x" * 40)) as client:
        for ask in (client.version, lambda: client.import_tasks(1, [task(0)])):
            with pytest.raises(MissingExtra, match=r"pip install 'sga-gan\[studio\]'"):
                ask()


@pytest.mark.parametrize("body", [b"{}", b"[]", b"[1]", b"3", b"null", b"<html></html>"])
def test_odd_answers_to_reads_are_told(proxy: Proxy, body: bytes) -> None:
    with StudioClient(proxy(lambda method, path, answer: (200, body))) as client:
        for ask in (client.me, lambda: client.project(1), lambda: list(client.tasks(1)), lambda: client.changed_tasks(1, None)):
            with pytest.raises(StudioError, match="found another text"):
                ask()


def test_a_missing_project_on_a_server_that_leaves_is_not_called_gone(proxy: Proxy, studio: StudioClient) -> None:
    change: Change = lambda method, path, answer: (401, b"") if "whoami" in path else (404, b"")  # noqa: E731
    with StudioClient(proxy(change)) as client, pytest.raises(StudioError, match="found nothing") as missing:
        client.import_tasks(1, [task(0)])
    assert not missing.value.gone


def test_a_closed_client_opens_again(studio: StudioClient) -> None:
    for _ in range(2):
        assert studio.me()
        studio.close()
