"""A real Label Studio, started and stopped: what it leaves behind, what it lets others see, and how its end is told."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from configs.errors import InputError, StudioError, UserError, WorkspaceError
from labeling.studio import server as module
from labeling.studio.client import StudioClient
from labeling.studio.connection import Connection, find_connection
from labeling.studio.credentials import Credentials, read_credentials, save_credentials
from labeling.studio.process import end_group
from labeling.studio.server import TESTED_VERSION, LocalServer, find_executable, running, version_warning
from labeling.workspace import Workspace

CONFIG = '<View><Text name="text" value="$text"/><Choices name="label" toName="text"><Choice value="a"/></Choices></View>'
Script = Callable[[str], Path]


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


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def command_lines() -> str:
    return subprocess.run(["ps", "-ww", "-e", "-o", "args"], capture_output=True, text=True, check=True).stdout


def test_a_server_keeps_its_projects_user_and_port(space: Workspace, studio_executable: Path, studio_template: Path) -> None:
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
        assert find_connection(space, first.url + "/", "another").server == first.server
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
    assert str(studio_server.pid) in subprocess.run(["ps", "-e", "-o", "pid"], capture_output=True, text=True).stdout
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


def test_a_token_renewed_on_the_server_is_told(space: Workspace, studio_executable: Path, studio_template: Path) -> None:
    with LocalServer.start(space, executable=studio_executable, template=studio_template) as server:
        folder, known = server.folder, read_credentials(server.folder)
    assert known is not None
    save_credentials(folder, Credentials(**{**vars(known), "token": "f" * 40}))
    with pytest.raises(StudioError, match=r"take the token in .*server\.json, found it refused") as refused:
        LocalServer.start(space, executable=studio_executable)
    assert "f" * 40 not in str(refused.value)
    assert running(space) is None


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


def test_a_server_that_ends_is_told_with_its_last_words(space: Workspace, script: Script) -> None:
    with pytest.raises(StudioError, match=r"found it ended with code 3\. Its log .* ends: no such table \[secret\]\."):
        LocalServer.start(space, executable=script('echo "no such table $LABEL_STUDIO_USER_TOKEN"; exit 3'))
    assert running(space) is None


def test_a_silent_server_is_ended_with_its_children(space: Workspace, script: Script, tmp_path: Path) -> None:
    program = script(f"sleep 600 & echo $! > {tmp_path}/child; wait")
    started = time.monotonic()
    with pytest.raises(StudioError, match=r"answer within 1 s, found it silent\. Its log .* ends: \(empty\)"):
        LocalServer.start(space, executable=program, timeout=1.0)
    child = int((tmp_path / "child").read_text())
    while alive(child):  # it is init's to bury
        assert time.monotonic() - started < 30
        time.sleep(0.05)
    assert json.loads((space.root / "labeling/studio/server.json").read_text())["pid"] is None


def test_a_process_that_will_not_end_is_ended(script: Script, tmp_path: Path) -> None:
    program = script(f"trap '' TERM; touch {tmp_path}/ready; while true; do sleep 0.05; done")
    with subprocess.Popen([program], start_new_session=True) as process:
        while not (tmp_path / "ready").exists():
            time.sleep(0.01)
        end_group(process, patience=0.3)
        assert process.returncode == -signal.SIGKILL


def test_two_starts_at_once_are_one(space: Workspace, script: Script) -> None:
    program = script("sleep 600")
    first = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "import sys; from labeling.studio.server import LocalServer; from labeling.workspace import Workspace; "
            "LocalServer.start(Workspace(sys.argv[1]), executable=sys.argv[2])",
            *(str(space.root), str(program)),
        ],
        cwd=Path(__file__).parents[2],
        stderr=subprocess.DEVNULL,
    )
    try:
        while not (space.root / "labeling/studio/server.json").is_file():
            assert first.poll() is None
            time.sleep(0.05)
        with pytest.raises(StudioError, match="found another command starting or stopping it"):
            LocalServer.start(space, executable=program)
        pid = json.loads((space.root / "labeling/studio/server.json").read_text())["pid"]
    finally:
        first.send_signal(signal.SIGINT)
        first.wait(30)
    assert not alive(pid)


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


def test_the_program_is_found(script: Script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SGA_LABEL_STUDIO", raising=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "elsewhere" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(StudioError, match="found none beside this Python or on PATH"):
        find_executable()
    program = script("exit 0")
    assert find_executable(str(program)) == program
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_executable() == program
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert find_executable() == program
    monkeypatch.setenv("SGA_LABEL_STUDIO", str(tmp_path / "none"))
    with pytest.raises(StudioError, match=f"found none as {tmp_path}/none"):
        find_executable()


def test_another_version_is_one_line() -> None:
    assert version_warning(TESTED_VERSION) is None
    assert version_warning("1.0.0") == (
        f"This Label Studio is version 1.0.0; tested with {TESTED_VERSION}. Should something fail, use that one."
    )


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
    assert not (space.root / "labeling").exists()


def test_the_command_starts_tells_and_stops(space: Workspace, studio_executable: Path, studio_template: Path) -> None:
    folder = space.root / "labeling/studio"
    folder.mkdir(parents=True)
    (folder / "label_studio.sqlite3").write_bytes((studio_template / "label_studio.sqlite3").read_bytes())
    command = [*(sys.executable, "-m", "sga.cli.main", "label", "studio"), "--workspace", str(space.root)]
    command += ["--executable", str(studio_executable)]
    where = {"cwd": Path(__file__).parents[2], "text": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **where) as process:  # type: ignore[call-overload]
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("Ctrl-C"):
                break
        second = subprocess.run(command, **where, check=False)  # type: ignore[call-overload]
        known = read_credentials(folder)
        process.send_signal(signal.SIGTERM)
        said += process.stdout.readlines()
        errors = process.stderr.read()
        assert process.wait(30) == 0, errors
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
