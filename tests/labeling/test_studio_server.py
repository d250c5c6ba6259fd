"""A real Label Studio, started and stopped: what it leaves behind, what it lets others see, and how its end is told."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from configs.errors import InputError, StudioError, WorkspaceError
from labeling.studio import server as module
from labeling.studio.client import StudioClient
from labeling.studio.connection import find_connection
from labeling.studio.credentials import read_credentials
from labeling.studio.process import end_group
from labeling.studio.server import TESTED_VERSION, LocalServer, running
from labeling.workspace import Workspace

CONFIG = '<View><Text name="text" value="$text"/><Choices name="label" toName="text"><Choice value="a"/></Choices></View>'
Script = Callable[[str], Path]
Alive = Callable[[int], bool]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """`script(lines)`: a program of these shell commands in the place of label-studio."""

    def write(lines: str) -> Path:
        path = tmp_path / "label-studio"
        path.write_text(f"#!/bin/sh\n{lines}\n")
        path.chmod(0o755)
        return path

    return write


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    root = tmp_path / "workspace"
    root.mkdir()
    return Workspace(root)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def command_lines() -> str:
    """Those of all processes, as any user can read them."""
    if Path("/proc/self/cmdline").exists():
        lines = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):  # it ended meanwhile
                lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        return "\n".join(lines)
    if shutil.which("ps") is None:
        pytest.skip("neither /proc nor ps tells which processes run")
    return subprocess.run(["ps", "-ww", "-e", "-o", "args"], capture_output=True, text=True, check=True).stdout


def test_a_server_keeps_its_projects_user_and_port(
    space: Workspace, studio_executable: Path, studio_template: Path, alive: Alive
) -> None:
    with LocalServer.start(space, executable=studio_executable, template=studio_template) as server:
        first = server.connection
        assert running(space) == first == find_connection(space)
        assert first.files_at == space.root.resolve()
        assert server.version == TESTED_VERSION
        with StudioClient(first) as client:
            assert client.me() == server.username
            project = client.create_project("kept", CONFIG)
        with pytest.raises(StudioError, match=f"found one at {first.url} .process {server.pid}."):
            LocalServer.start(space, executable=studio_executable)
        for url in (f"{first.url}/", first.url.replace("127.0.0.1", "LocalHost")):
            assert find_connection(space, url, "another") == replace(first, token="another")
    assert not alive(server.pid)
    assert running(space) is None
    with pytest.raises(StudioError, match="Type first: sga label studio --workspace"):
        find_connection(space)
    with LocalServer.start(space, executable=studio_executable) as server:
        assert (server.connection, server.pid) == (first, read_credentials(server.folder).pid)  # type: ignore[union-attr]
        with StudioClient(server.connection) as client:
            assert client.project(project)["title"] == "kept"
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(StudioError, match=r"ended with code -9\. Its log .*studio\.log ends: "):
            server.wait()
        assert running(space) is None
    stopped = read_credentials(server.folder)
    assert stopped is not None
    assert (stopped.pid, stopped.started, stopped.token) == (None, None, first.token)


def test_secrets_stay_in_one_file_of_its_owner(studio_server: LocalServer, studio: StudioClient) -> None:
    folder, secrets = studio_server.folder, (studio_server.connection.token, studio_server.password)
    assert mode(folder) == 0o700
    for name in ("server.json", "studio.log", ".env"):
        assert mode(folder / name) == 0o600, name
    assert studio.me() == studio_server.username
    credentials = read_credentials(folder)
    shown = (command_lines(), studio_server.log.read_text(), repr(studio_server.connection), repr(credentials), repr(studio))
    assert "--enable-legacy-api-token" in shown[0]  # the command line of the server is among them
    for secret in secrets:
        assert len(secret) >= 12
        assert secret in (folder / "server.json").read_text()
        assert not any(secret in text for text in shown)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8 on its loopback")
def test_it_listens_on_the_loopback_alone(studio_server: LocalServer) -> None:
    port = int(studio_server.connection.url.rpartition(":")[2])
    socket.create_connection(("127.0.0.1", port), timeout=5).close()
    with pytest.raises(ConnectionRefusedError):  # a server on 0.0.0.0 would answer here
        socket.create_connection(("127.0.0.2", port), timeout=5)


def test_nobody_signs_up_without_an_invitation(studio_server: LocalServer, studio: StudioClient) -> None:
    import httpx

    def sign_up(page: str, email: str) -> int:
        with httpx.Client(base_url=studio_server.connection.url, trust_env=False) as browser:
            browser.get("/user/login/")
            form = {"csrfmiddlewaretoken": browser.cookies["csrftoken"], "email": email, "password": "quite a secret"}
            return browser.post(page, data=form).status_code

    assert sign_up("/user/signup/", "stranger@example.com") == 403
    assert "stranger@example.com" not in studio.users().values()
    token = {"Authorization": f"Token {studio_server.connection.token}"}
    invitation = httpx.get(f"{studio_server.connection.url}/api/invite", headers=token, trust_env=False).json()["invite_url"]
    assert sign_up(invitation, "invited@example.com") == 302
    assert "invited@example.com" in studio.users().values()


def test_a_taken_port_is_told(space: Workspace, taken: int, script: Script) -> None:
    with pytest.raises(StudioError, match=f"Expected port {taken} to be free, found it taken"):
        LocalServer.start(space, port=taken, executable=script("exit 0"))


def test_a_port_taken_at_the_last_moment_is_told(
    space: Workspace,
    taken: int,
    studio_executable: Path,
    studio_template: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "free_port", lambda wanted=0: wanted)  # it was free when we looked
    with pytest.raises(StudioError, match=f"Expected port {taken} to be free, found it taken"):
        LocalServer.start(space, port=taken, executable=studio_executable, template=studio_template)
    assert f"--port {taken}" not in command_lines()


def test_a_server_that_ends_is_told_with_its_last_words(space: Workspace, script: Script, tmp_path: Path) -> None:
    with pytest.raises(StudioError, match=r"ended with code 3\. Its log .* ends: no such table \[secret\]\.") as ended:
        LocalServer.start(space, executable=script('echo "no such table $LABEL_STUDIO_USER_TOKEN"; exit 3'))
    assert f"It is {tmp_path}/label-studio, version unknown; tested with {TESTED_VERSION}." in str(ended.value)
    assert running(space) is None


def test_a_silent_server_is_ended_with_its_children(
    space: Workspace, script: Script, tmp_path: Path, alive: Alive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "NEWS", 0.2)
    program, news = script(f"sleep 600 & echo $! > {tmp_path}/child; wait"), list[str]()
    silent = r"answer within 10 s, found it silent\. Its log .* ends: \(empty\)\. Type the same command again"
    with pytest.raises(StudioError, match=silent):
        LocalServer.start(space, executable=program, timeout=10.0, on_wait=news.append)
    assert news
    assert all(re.fullmatch(r"Making its database … \d+ s", line) for line in news)
    child, deadline = int((tmp_path / "child").read_text()), time.monotonic() + 60
    while alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert json.loads((space.root / "labeling/studio/server.json").read_text())["pid"] is None


def test_a_process_that_will_not_end_is_ended(script: Script, tmp_path: Path) -> None:
    program = script(f"trap '' TERM; touch {tmp_path}/ready; while true; do sleep 0.05; done")
    with subprocess.Popen([program], start_new_session=True) as process:
        while not (tmp_path / "ready").exists():
            time.sleep(0.01)
        end_group(process, patience=0.3)
        assert process.returncode == -signal.SIGKILL


STARTS = """
import signal, sys
from labeling.studio.server import LocalServer
from labeling.workspace import Workspace
signal.signal(signal.SIGINT, signal.default_int_handler)  # a script's background job is born deaf to it
LocalServer.start(Workspace(sys.argv[1]), executable=sys.argv[2])
"""


def test_two_starts_at_once_are_one(space: Workspace, script: Script, alive: Alive) -> None:
    program, pid = script("sleep 600"), None
    first = subprocess.Popen(
        [sys.executable, "-c", STARTS, str(space.root), str(program)], cwd=Path(__file__).parents[2], stderr=subprocess.DEVNULL
    )
    try:
        while not (space.root / "labeling/studio/server.json").is_file():
            assert first.poll() is None
            time.sleep(0.05)
        pid = json.loads((space.root / "labeling/studio/server.json").read_text())["pid"]
        with pytest.raises(StudioError, match="found another command starting or stopping it"):
            LocalServer.start(space, executable=program)
        assert alive(pid)
        first.send_signal(signal.SIGINT)
        first.wait(60)
        assert not alive(pid)
    finally:
        first.kill()
        first.wait()
        with suppress(ProcessLookupError, TypeError):
            os.killpg(pid, signal.SIGKILL)


def test_what_cannot_be_started_is_told(space: Workspace, script: Script, tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="found none"):
        LocalServer.start(Workspace(tmp_path / "nowhere"), executable=script("exit 0"))
    with pytest.raises(StudioError, match="Expected a data folder of Label Studio"):
        LocalServer.start(space, executable=script("exit 0"), template=tmp_path)
    with pytest.raises(StudioError, match=rf"found none as {tmp_path}/none\. Type: pip install label-studio=={TESTED_VERSION}"):
        LocalServer.start(space, executable=tmp_path / "none")
    (space.root / "labeling/studio").mkdir(parents=True, exist_ok=True)
    names = ("server", "username", "password", "token")
    odd = json.dumps({**dict.fromkeys(names, "x"), "url": "http://127.0.0.1:1", "pid": "1"})
    for text, kind in (('{"port": 1}', StudioError), (odd, StudioError), ("[]", StudioError), ("{", InputError)):
        (space.root / "labeling/studio/server.json").write_text(text)
        with pytest.raises(kind, match=r"server\.json"):
            LocalServer.start(space, executable=script("exit 0"))
        with pytest.raises(kind, match=r"server\.json"):
            find_connection(space)
        assert find_connection(space, "http://host", "abc").url == "http://host"


def test_the_command_starts_tells_and_stops(
    space: Workspace, studio_executable: Path, studio_template: Path, alive: Alive
) -> None:
    folder = space.root / "labeling/studio"
    folder.mkdir(parents=True)
    (folder / "label_studio.sqlite3").write_bytes((studio_template / "label_studio.sqlite3").read_bytes())
    command = [*(sys.executable, "-m", "sga.cli.main", "label", "studio"), "--workspace", str(space.root)]
    command += ["--executable", str(studio_executable)]
    where = {"cwd": Path(__file__).parents[2], "text": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **where) as process:  # type: ignore[call-overload]
        try:
            said = []
            for line in process.stdout:
                said.append(line)
                if line.startswith("Ctrl-C"):
                    break
            second = subprocess.run(command, **where, check=False)  # type: ignore[call-overload]
            known = read_credentials(folder)
        finally:
            process.send_signal(signal.SIGTERM)
        said += process.stdout.readlines()
        errors = process.stderr.read()
        assert process.wait(60) == 0, errors
    assert known is not None
    assert known.pid is not None
    text = "".join(said)
    assert f"Label Studio {TESTED_VERSION} runs at {known.url}" in text
    assert text.count(known.password) == 1
    assert f"user name  {known.username}" in text
    assert known.token not in text + errors + second.stdout + second.stderr
    assert f"Label Studio is stopped. To go on: sga label studio --workspace {space.root}" in said[-1]
    assert (second.returncode, second.stderr.startswith("sga: Expected no Label Studio to run")) == (2, True)
    assert known.url in second.stderr
    assert not alive(known.pid)
    assert running(space) is None
