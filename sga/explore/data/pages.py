"""Pages that stand alone: style, script and data in one file, nothing fetched from anywhere, in light and dark."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["index_page", "page"]

_BESIDE = Path(__file__).parent


def page(title: str, text: str, script: str, data: Mapping[str, Any], sheet: str) -> bytes:
    """An application of its own. script: name of its JavaScript and body beside this file; data: what it reads; sheet: the
    faces as a data URL."""
    told = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    body = _read(f"{script}.html").replace("{title}", html.escape(title)).replace("{text}", html.escape(text))
    body += f'<script type="application/json" id="data">{told}</script>\n<img id="sheet" alt="" hidden src="{sheet}">\n'
    return _document(title, body, _read("page.css") + _read(f"{script}.css"), _read(f"{script}.js"))


def index_page(title: str, text: str, entries: Sequence[Mapping[str, Any]]) -> bytes:
    """All pictures and sentences below one another. entries: as `Exhibit.entry` gives them, with a `note` where there is one
    to add."""
    parts = [f"<main>\n<h1>{html.escape(title)}</h1>\n<p>{html.escape(text)}</p>"]
    links = "".join(f'<li><a href="#{_name(entry)}">{_escaped(entry["title"])}</a></li>' for entry in entries)
    parts.append(f'<nav aria-label="Pictures"><ul>{links}</ul></nav>')
    parts += [_section(entry) for entry in entries]
    return _document(title, "\n".join([*parts, "</main>\n"]), _read("page.css"), "")


def _section(entry: Mapping[str, Any]) -> str:
    name, title = _name(entry), _escaped(entry["title"])
    head = f'<section id="{name}" aria-labelledby="{name}-title">\n<h2 id="{name}-title">{title}</h2>'
    note = f'\n<p class="note">{_escaped(entry["note"])}</p>' if entry.get("note") else ""
    if "sentence" in entry:
        return f'{head}{note}\n<p class="none">{_escaped(entry["sentence"])}</p>\n</section>'
    file, alt = _escaped(entry["file"]), _escaped(entry["alt"])
    if file.endswith(".html"):
        return f'{head}{note}\n<p>{alt}</p>\n<p><a class="open" href="{file}">Open the map</a></p>\n</section>'
    size = f'width="{int(entry["width"])}" height="{int(entry["height"])}"'
    image = f'<a href="{file}"><img src="{file}" alt="{title}: described below" {size} loading="lazy"></a>'
    told = f"<figcaption><details><summary>In words</summary><p>{alt}</p></details></figcaption>"
    return f"{head}{note}\n<figure>{image}{told}</figure>\n</section>"


def _document(title: str, body: str, style: str, script: str) -> bytes:
    sources = f"'sha256-{_digest(script)}'" if script else "'none'"
    policy = f"default-src 'none'; img-src 'self' file: data:; style-src 'sha256-{_digest(style)}'; script-src {sources}"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}; base-uri 'none'; form-action 'none'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="generator" content="sga-gan">\n'
        f"<title>{html.escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n{body}"
        + (f"<script>{script}</script>\n" if script else "")
        + "</body>\n</html>\n"
    ).encode()


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _read(name: str) -> str:
    return (_BESIDE / name).read_text(encoding="utf-8")


def _escaped(text: Any) -> str:
    return html.escape(str(text))


def _name(entry: Mapping[str, Any]) -> str:
    return _escaped(entry["name"])
