"""Which Label Studio a command means: the workspace's own, wherever the workspace lies now, or one that is named."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from PIL import Image

from configs.errors import StudioError, UserError
from labeling.studio import credentials as module
from labeling.studio.client import StudioClient
from labeling.studio.connection import Connection, find_connection
from labeling.studio.credentials import Credentials, document_root, make_folder, read_credentials, save_credentials
from labeling.studio.pictures import Pictures
from labeling.studio.projects import Project, add_project
from labeling.studio.server import LocalServer, running
from labeling.workspace import Workspace

CONFIG = '<View><Text name="text" value="$text"/><Choices name="label" toName="text"><Choice value="a"/></Choices></View>'


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    root = tmp_path / "workspace"
    root.mkdir()
    return Workspace(root)


@pytest.mark.parametrize(
    ("url", "token", "said"),
    [
        ("http://127.0.0.1:1", None, "Expected --token beside --url"),
        (None, "abc", "Expected --url beside --token"),
        ("127.0.0.1:8080", "abc", "Expected --url as http://HOST:PORT"),
        ("http://:8080", "abc", "Expected --url as http://HOST:PORT"),
        ("http://a:99999", "abc", "Expected --url as http://HOST:PORT"),
        ("http://user:word@host", "abc", "Expected --url as http://HOST:PORT"),
        ("http://host", "sec ret", "found characters that no token has"),
        ("http://host", "geheim\N{LATIN SMALL LETTER U WITH DIAERESIS}", "found characters that no token has"),
    ],
)
def test_a_wrong_url_or_token_is_told(space: Workspace, url: str | None, token: str | None, said: str) -> None:
    with pytest.raises(UserError, match=said) as refused:
        find_connection(space, url, token)
    assert token is None or token not in str(refused.value).replace("--token", "")
    assert "word" not in str(refused.value)


def test_a_given_server_is_named_by_its_url(space: Workspace) -> None:
    assert find_connection(space, " https://labels.example.com/ ", " abc\n") == Connection("https://labels.example.com", "abc")
    assert find_connection(space, "http://host:80", "abc").server == "http://host:80"
    for url in ("HTTP://Labels.Example.com", "https://labels.example.com:8080/base/"):
        known = find_connection(space, url, "abc")
        assert (known.url, known.server) == (url.rstrip("/"), url.rstrip("/").lower())
    for host in ("localhost", "LOCALHOST", "127.0.0.1", "[::1]"):
        known = find_connection(space, f"http://{host}:8080", "abc")
        assert (known.url, known.server) == (f"http://{host}:8080", "http://127.0.0.1:8080")
        assert known.is_local
    assert not find_connection(space, "http://[fe80::1]:8080", "abc").is_local
    assert not (space.root / "labeling").exists()


def test_a_token_renewed_on_the_page_is_told_and_put_right(
    space: Workspace, studio_executable: Path, studio_template: Path
) -> None:
    import httpx

    told = r"take the token in .*server\.json, found it refused: it was renewed there\. Log in there"
    with LocalServer.start(space, executable=studio_executable, template=studio_template) as server:
        first = server.connection
        header = {"Authorization": f"Token {first.token}"}
        token = httpx.post(f"{first.url}/api/current-user/reset-token/", headers=header, trust_env=False).json()["token"]
        for ask in (running, find_connection, lambda space: LocalServer.start(space, executable=studio_executable)):
            with pytest.raises(StudioError, match=told) as refused:
                ask(space)
            assert first.token not in str(refused.value)
        assert find_connection(space, first.url, token) == replace(first, token=token)
    with LocalServer.start(space, executable=studio_executable) as server:  # it runs, or nobody could look the new one up
        assert "copy the new one from Account & Settings" in server.trouble
        known = read_credentials(server.folder)
        assert known is not None
        save_credentials(server.folder, replace(known, token=token))
        assert running(space) == replace(server.connection, token=token)
    known = read_credentials(server.folder)
    assert known is not None
    assert (known.token, known.pid) == (token, None)  # what people wrote is kept


def test_a_workspace_that_was_copied_or_moved(
    space: Workspace, studio_executable: Path, studio_template: Path, tmp_path: Path
) -> None:
    face = space.root / "faces" / "ab" / "face.png"
    face.parent.mkdir(parents=True)
    Image.new("RGB", (96, 96), (200, 30, 90)).save(face)
    bytes_of_it = face.read_bytes()
    with LocalServer.start(space, executable=studio_executable, template=studio_template) as server:
        with StudioClient(server.connection) as client:
            project = client.create_project("pictures", CONFIG)
            for number in (project, 10**6):  # one that was deleted since
                add_project(space, Project(server.connection.server, number, "gender", "single", "label"))
            picture = Pictures(client, project)(face)
            assert client.image(picture) == bytes_of_it
        copy = Workspace(shutil.copytree(space.root, tmp_path / "copy"))  # follows the links to the pictures
        assert running(copy) is None  # that process is the original's
        with pytest.raises(StudioError, match="Type first: sga label studio"):
            find_connection(copy)
    shutil.rmtree(space.root)  # as if it had been moved
    with LocalServer.start(copy, executable=studio_executable) as server, StudioClient(server.connection) as client:
        assert running(copy) == server.connection
        assert server.connection.files_at == copy.root.resolve()
        assert client.image(picture) == bytes_of_it
        assert [path.is_symlink() for path in document_root(copy.root).iterdir()] == [True]


@contextmanager
def answering(answers: dict[str, int]) -> Iterator[int]:
    """A port at which a program answers paths with these statuses, others with 404, and always with an empty object."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(answers.get(self.path, 404))
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *arguments: Any) -> None:
            """Be silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def at_port(space: Workspace) -> Callable[[int], Workspace]:
    """`at_port(port)`: the workspace, whose server.json says that this very process serves at that port."""

    def write(port: int) -> Workspace:
        save_credentials(make_folder(space), Credentials.new(space.root).at(port).run_by(os.getpid()))
        return space

    return write


def test_a_busy_server_is_told_and_another_program_is_none(at_port: Callable[[int], Workspace]) -> None:
    who = "/api/current-user/whoami"
    with answering({who: 503}) as port, pytest.raises(StudioError, match=rf"found it busy: process {os.getpid()} runs"):
        find_connection(at_port(port))
    for answers in ({}, {who: 401}, {who: 403, "/api/version": 200}):  # what took the number and the port of one that is gone
        with answering(answers) as port:
            assert running(at_port(port)) is None


def test_a_server_that_does_not_answer_in_time_is_busy(
    at_port: Callable[[int], Workspace], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module._ask, "__defaults__", (None, 0.2))  # seconds
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        space = at_port(silent.getsockname()[1])
        with pytest.raises(StudioError, match="found it busy"):
            running(space)
    assert running(space) is None  # nobody listens any more
