"""File names after IDs: readable where that is safe, and never the same for two IDs, on any file system."""

from __future__ import annotations

import re

from sga.generation.avatar import id_digest
from sga.generation.conditions import ANY

__all__ = ["avatar_name", "readable"]

_PLAIN = re.compile(r"[a-z0-9_][a-z0-9._-]{0,79}")
_TAKEN = {"sheet", "index"}  # files of our own beside the faces
_DEVICES = {"con", "prn", "aux", "nul", "conin$", "conout$"} | {
    f"{name}{digit}" for name in ("com", "lpt") for digit in range(10)
}
_LONGEST = 40


def avatar_name(identity: str, gender: str | None = None) -> str:
    """The file name, without folder, of an ID's face; of an asked gender it says that too, for that is another face.

    An ID of at most 80 small ASCII letters, digits, dots, `_` and `-` is its own name, unless Windows reserves it, it would be
    hidden, looks like an option, or ends in a dot. Any other has its readable part, `~` and the digest of the ID, which its PNG
    carries too: so IDs that differ in case alone stay apart where the file system does not tell case apart. No plain name has a
    `~`, hence none is another's.
    """
    plain = _PLAIN.fullmatch(identity) and not identity.endswith(".")
    if not plain or identity in _TAKEN or identity.partition(".")[0] in _DEVICES:
        identity = f"{readable(identity)}~{id_digest(identity)}"
    return f"{identity}.png" if gender in (None, ANY, "") else f"{identity}~{readable(str(gender))}.png"


def readable(text: str) -> str:
    """At most 40 ASCII letters, digits, `_` and `-` of a text, beginning with none but the first three."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text).lstrip("-")[:_LONGEST] or "_"
