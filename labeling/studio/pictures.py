"""What the page loads for a picture."""

from __future__ import annotations

import os
from base64 import b64encode
from contextlib import suppress
from mimetypes import guess_type
from pathlib import Path
from urllib.parse import quote

from configs.errors import InputError
from configs.files import explain_os_error
from labeling.studio.client import StudioClient
from labeling.studio.credentials import document_root

__all__ = ["Pictures", "attach_again"]

_OWN = "labeling"  # what people said, and the server's own folder: never served


class Pictures:
    """A function of a file: a path where the server reads that file from its own disk, else the file's bytes as a data URI.

    The first file of a folder lets the project (`pid`) read what is below the workspace's sub-folder that holds it.
    """

    def __init__(self, client: StudioClient, pid: int) -> None:
        root = client.connection.files_at
        self._client, self._pid = client, pid
        self._root = None if root is None else root.resolve()
        self._attached: set[str] = set()

    def __call__(self, path: Path) -> str:
        whole = path.resolve()
        if self._root is None or self._root not in whole.parent.parents:  # the root itself is never served
            return _embedded(path)
        inner = whole.relative_to(self._root)
        folder = inner.parts[0]
        if folder == _OWN:
            return _embedded(path)
        if folder not in self._attached:
            self._client.attach_files(self._pid, _linked(self._root, folder))
            self._attached.add(folder)
        return f"/data/local-files/?d={quote(inner.as_posix())}"


def attach_again(client: StudioClient, pid: int) -> None:
    """Let a project read its folders of pictures where the workspace lies now, after it was moved.

    Raises:
        StudioError: the server is not there or refuses.
    """
    root = client.connection.files_at
    for name in sorted({folder.name for folder in client.attached_files(pid)}):
        if root is not None and name not in ("", _OWN) and (root / name).is_dir():
            client.attach_files(pid, _linked(root, name))


def _linked(root: Path, name: str) -> Path:
    """Where the server finds a sub-folder of the workspace: a link below its document root, which moves with the workspace."""
    place = document_root(root) / name
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            place.symlink_to(Path(os.path.relpath(root.resolve() / name, place.parent)), target_is_directory=True)
    except OSError as error:
        raise explain_os_error(error, place) from error
    return place


def _embedded(path: Path) -> str:
    kind = guess_type(path.name)[0] or ""
    if not kind.startswith("image/"):
        raise InputError(f"Expected a picture such as FACE.png to push, found {path}.")
    return f"data:{kind};base64,{b64encode(path.read_bytes()).decode()}"
