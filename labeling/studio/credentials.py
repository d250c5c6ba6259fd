"""`server.json`: the local server's address, user and token, in a file for its owner alone; and whether that server runs."""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from configs.errors import StudioError
from configs.files import atomic_path, read_json
from labeling.studio.connection import Connection
from labeling.workspace import Workspace

__all__ = [
    "REFUSED",
    "Credentials",
    "at_work",
    "document_root",
    "free_port",
    "make_folder",
    "read_credentials",
    "refused_token",
    "running",
    "save_credentials",
    "status_of",
    "studio_folder",
    "version_of",
]

_HOST = "127.0.0.1"
_FILE = "server.json"

REFUSED = (401, 403)
"""HTTP statuses with which a server refuses a token."""


@dataclass(frozen=True)
class Credentials:
    """What server.json holds. server: the data folder's name for itself, whatever port it is served on; pid, started: None
    while it does not run; url: where it runs, or ran last; root: the workspace then, as an absolute path. A workspace elsewhere
    was moved or copied, and a process of that id is not its own."""

    server: str
    username: str
    password: str = field(repr=False)
    token: str = field(repr=False)
    url: str = ""
    pid: int | None = None
    started: str | None = None
    root: str = ""

    @classmethod
    def new(cls, root: Path) -> Credentials:
        """A user of a data folder that does not exist yet, for the workspace at `root`."""
        return cls(
            server=f"local-{secrets.token_hex(4)}",
            username="annotator@localhost",
            password=secrets.token_urlsafe(9),
            token=secrets.token_hex(20),
            root=str(root.resolve()),
        )

    @property
    def connection(self) -> Connection:
        """What a client needs."""
        return Connection(self.url, self.token, Path(self.root), self.server)

    @property
    def port(self) -> int:
        """0 while there was none."""
        return urlsplit(self.url).port or 0

    def at(self, port: int) -> Credentials:
        """The same at another port."""
        return replace(self, url=f"http://{_HOST}:{port}")

    def run_by(self, pid: int | None) -> Credentials:
        """The same, running as process `pid` from now on, or not running."""
        started = None if pid is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return replace(self, pid=pid, started=started)


def studio_folder(workspace: Workspace) -> Path:
    """Where the local server keeps everything."""
    return workspace.root / "labeling" / "studio"


def document_root(root: Path) -> Path:
    """What the local server of the workspace at `root` may read: links to its folders of pictures, see `Pictures`.

    Not the workspace itself: whoever may log in can have the server show any folder below its document root, and there lie the
    owner's token, the answers and the server's own data.
    """
    return root.resolve() / "labeling" / "studio" / "pictures"


def make_folder(workspace: Workspace) -> Path:
    """`studio_folder`, made for its owner alone."""
    folder = studio_folder(workspace)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


def read_credentials(folder: Path) -> Credentials | None:
    """What `save_credentials` wrote there, or None.

    Raises:
        StudioError: another JSON stands there.
        InputError: no JSON stands there.
    """
    path = folder / _FILE
    if not path.is_file():
        return None
    try:
        known = Credentials(**read_json(path))
        texts = (known.server, known.username, known.password, known.token, known.url, known.root)
        if not all(isinstance(text, str) for text in texts) or not isinstance(known.pid, int | None):
            raise TypeError("a value of another kind")
        if known.pid is not None and not known.port:
            raise ValueError("it runs nowhere")
        return known
    except (TypeError, ValueError) as error:
        raise StudioError(
            f"Expected the credentials of Label Studio in {path}, found another JSON. Correct it; without it, "
            f"the projects in {folder} have no key."
        ) from error


def save_credentials(folder: Path, credentials: Credentials) -> None:
    """Write server.json, readable by its owner alone from the first byte on."""
    with atomic_path(folder / _FILE) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(asdict(credentials), indent=1) + "\n", encoding="utf-8")


def at_work(workspace: Workspace) -> Credentials | None:
    """What server.json says while the process of the workspace's own server lives; nothing is asked of it."""
    known = read_credentials(studio_folder(workspace))
    if known is None or known.pid is None or known.root != str(workspace.root.resolve()) or not _alive(known.pid):
        return None
    return known


def running(workspace: Workspace) -> Connection | None:
    """The local server of the workspace, if it runs.

    Raises:
        StudioError: it runs, and refuses the token in server.json or is busy; or that file is damaged.
        InputError: no JSON stands there.
    """
    known = at_work(workspace)
    status = None if known is None else status_of(known)
    if known is None or status is None:
        return None
    if status in REFUSED and version_of(known.url) is not None:
        raise refused_token(studio_folder(workspace), known)
    if status >= 500:
        raise StudioError(
            f"Expected Label Studio at {known.url} to answer, found it busy: process {known.pid} runs, and says {status}. "
            f"Wait a minute and type the same command again, or stop it: kill {known.pid}"
        )
    return known.connection if status == 200 else None  # another program may have taken both its number and its port


def refused_token(folder: Path, known: Credentials) -> StudioError:
    """The server does not take the token in server.json any more: somebody renewed it on the page."""
    return StudioError(
        f"Expected Label Studio at {known.url} to take the token in {folder / _FILE}, found it refused: it was renewed there. "
        'Log in there, copy the new one from Account & Settings into that file, as "token", and type the same command again.'
    )


def status_of(credentials: Credentials) -> int | None:
    """HTTP status with which the server answers to its token: 200 = it is this one; 504 = no answer in time; None = nobody
    speaks HTTP there."""
    answer = _ask(f"{credentials.url}/api/current-user/whoami", credentials.token)
    return answer and answer[0]


def version_of(url: str) -> str | None:
    """The release that a Label Studio says it is, or None where it says nothing."""
    status, body = _ask(f"{url}/api/version") or (0, b"")
    with suppress(ValueError):
        told = json.loads(body)
        return str(told["release"]) if status == 200 and isinstance(told, dict) and "release" in told else None
    return None


def _ask(url: str, token: str | None = None, timeout: float = 10.0) -> tuple[int, bytes] | None:
    """Status and body; without the SDK, which takes seconds to import."""
    request = urllib.request.Request(url, headers={"Authorization": f"Token {token}"} if token else {})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy knows this machine's loopback
    try:
        with opener.open(request, timeout=timeout) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, b""
    except (OSError, HTTPException) as error:
        late = isinstance(getattr(error, "reason", error), TimeoutError)
        return (504, b"") if late else None


def free_port(wanted: int = 0) -> int | None:
    """`wanted` (0 = any) if nobody listens there on this machine, else None."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that was closed a moment ago is free
        try:
            probe.bind((_HOST, wanted))
        except OSError:
            return None
        return int(probe.getsockname()[1])


def _alive(pid: int) -> bool:
    with suppress(PermissionError):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
    return True
