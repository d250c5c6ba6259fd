"""How tags are written: one spelling for all of them, and the lists that stand in text files."""

from __future__ import annotations

import re

__all__ = ["parse_tags", "spell", "valid_text"]

_WEIGHT = re.compile(r":\s*\d+(?:\.\d+)?\s*\)+$")
_OPEN = re.compile(r"^[(\[{]+(?=.*\w)")
_OPENING, _CLOSING = (re.compile(r"(?<!\\)" + brackets) for brackets in (r"[(\[{]", r"[)\]}]"))
_CLOSED = re.compile(r"(?<!\\)[)\]}]$")
_ESCAPE = re.compile(r"\\(?=[()\[\]{}\\])")


def spell(tag: str) -> str:
    """The one spelling of a tag: lower case, spaces instead of underscores, `\\(series\\)` without its backslashes."""
    return " ".join(_ESCAPE.sub("", valid_text(tag)).replace("_", " ").lower().split())


def valid_text(text: str) -> str:
    """With `?` for the half characters (lone surrogates) that JSON may spell and no file can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def parse_tags(text: str) -> list[str]:
    """The tags of a list, each in its one spelling, without repeats, in order.

    Commas and line ends separate where there is a comma; else line ends, where a line has spaces and none has an underscore
    beside them; else all white space, as boorus write it. The weights of prompts are passed over: `(long hair:1.2)`,
    `((smile))`, `{blush}`.
    """
    text = text.strip().lstrip("\ufeff")
    spaced = [line for line in text.splitlines() if len(line.split()) > 1]
    if "," in text or ("\n" in text and not any("_" in line for line in spaced)):
        parts = re.split(r"[,\r\n]", text)
    else:
        parts = text.split()
    return list(dict.fromkeys(tag for tag in (spell(_unweighted(part.strip())) for part in parts) if tag))


def _unweighted(part: str) -> str:
    """Without a prompt's brackets: those it begins with, and closing ones at its end that nothing in it opens. Balanced or
    escaped ones belong to the tag, and so do those of faces: `ribbon_(trim)`, `:)`, `8)`."""
    part = _WEIGHT.sub("", part)
    bare = _OPEN.sub("", part)
    excess = len(_CLOSING.findall(bare)) - len(_OPENING.findall(bare))
    while excess > 0 and _CLOSED.search(bare) and re.search(r"\w", bare) and (bare != part or len(bare) > 2):
        bare, excess = bare[:-1], excess - 1
    return bare
