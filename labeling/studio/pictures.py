"""What the page loads for a picture."""

from __future__ import annotations

from base64 import b64encode
from mimetypes import guess_type
from pathlib import Path
from urllib.parse import quote

from configs.errors import InputError
from labeling.studio.client import StudioClient

__all__ = ["Pictures"]


class Pictures:
    """A function of a file: a path where the server reads that file from its own disk, else the file's bytes as a data URI.

    The first file of a folder lets the project (`pid`) read what is below the document root's sub-folder that holds it.
    """

    def __init__(self, client: StudioClient, pid: int) -> None:
        root = client.connection.files_at
        self._client, self._pid = client, pid
        self._root = None if root is None else root.resolve()
        self._attached: set[Path] = set()

    def __call__(self, path: Path) -> str:
        whole = path.resolve()
        if self._root is None or self._root not in whole.parent.parents:  # the root itself is never served
            return _embedded(path)
        inner = whole.relative_to(self._root)
        folder = self._root / inner.parts[0]
        if folder not in self._attached:
            self._client.attach_files(self._pid, folder)
            self._attached.add(folder)
        return f"/data/local-files/?d={quote(inner.as_posix())}"


def _embedded(path: Path) -> str:
    kind = guess_type(path.name)[0] or ""
    if not kind.startswith("image/"):
        raise InputError(f"Expected a picture such as FACE.png to push, found {path}.")
    return f"data:{kind};base64,{b64encode(path.read_bytes()).decode()}"
