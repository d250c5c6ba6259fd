"""Contact sheets of what is left out and what just stays: one set a reason, the worst first, with a line between the two."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from configs.files import atomic_path, atomic_write_text
from labeling.cleaning.duplicates import Pairs
from labeling.cleaning.mark import CleanReport, Plan
from labeling.cleaning.scores import Scores, read_face
from labeling.cleaning.settings import REASONS, CleanSettings
from labeling.table import LabelTable
from labeling.workspace import Workspace

__all__ = ["draw_sheets", "pair_picture"]

_FACE, _GAP, _CAPTION = 96, 4, 13
_WIDE = 12  # faces in a row
_ROWS = 16
_NEXT = 60  # faces that stay, shown behind the line
_INK, _MUTED, _LINE, _PAPER = "#1f2328", "#656d76", "#cf222e", "#ffffff"


@dataclass(frozen=True)
class _Cell:
    """rows: of one face, or of a face and the one that stays in its place; text: below it; muted: it stays for another
    reason."""

    rows: tuple[int, ...]
    text: str
    muted: bool = False


@dataclass(frozen=True)
class _Line:
    """The threshold, between what is left out and what stays."""

    text: str


def draw_sheets(
    space: Workspace, table: LabelTable, scores: Scores, plan: Plan, settings: CleanSettings, report: CleanReport
) -> Path:
    """Write `faces/cleaning/REASON-NN.png` and index.html; returns the latter. Sheets of an earlier marking go."""
    folder = space.folder("faces") / "cleaning"
    folder.mkdir(parents=True, exist_ok=True)
    for old in [path for name in REASONS for path in folder.glob(f"{name}-*.png")]:
        old.unlink()
    parts = []
    for name, reason in REASONS.items():
        threshold = settings.threshold(name)
        if threshold is None:
            continue
        cells = _pairs(scores, plan, settings) if name == "near_duplicate" else _singles(name, scores, plan, threshold)
        sheets = list(_pages(space, table, cells)) if any(isinstance(cell, _Cell) for cell in cells) else []
        files = [f"{name}-{number:02}.png" for number in range(1, len(sheets) + 1)]
        for file, sheet in zip(files, sheets, strict=True):
            with atomic_path(folder / file) as temporary:
                sheet.save(temporary, format="PNG", compress_level=6)
        beyond = "above" if reason.above else "below"
        told = f"{report.marked.get(name, 0):,} left out: {escape(reason.measure)} {beyond} {threshold:g}"
        images = "".join(f'<p><img src="{file}" alt="{name}"></p>' for file in files) or "<p>Nothing was measured.</p>"
        parts.append(
            f"<h2>{name}</h2><p>{told}. The worst first; red: the threshold, behind it the next that stay.</p>{images}"
        )
    summary = "".join(f"<li>{escape(line)}</li>" for line in report.lines())
    head = f'<!doctype html><meta charset="utf-8"><title>Cleaning of {escape(space.root.name)}</title>'
    style = "<style>body{font:15px sans-serif;margin:2em;color:#1f2328}img{max-width:100%}li{white-space:pre-wrap}</style>"
    atomic_write_text(folder / "index.html", f"{head}{style}<h1>Cleaning</h1><ul>{summary}</ul>{''.join(parts)}\n")
    return folder / "index.html"


def pair_picture(faces: list[np.ndarray], side: int = 192) -> Image.Image:
    """Faces (s, s, 3) uint8 side by side, each `side` px."""
    out = Image.new("RGB", (len(faces) * side + (len(faces) - 1) * _GAP, side), _PAPER)
    for place, face in enumerate(faces):
        out.paste(Image.fromarray(face).resize((side, side), Image.Resampling.LANCZOS), (place * (side + _GAP), 0))
    return out


def _singles(name: str, scores: Scores, plan: Plan, threshold: float) -> list[_Cell | _Line]:
    """All faces beyond the threshold, whatever becomes of them, and the next."""
    values, reason = scores.values[name], REASONS[name]
    order = np.argsort(-values if reason.above else values, kind="stable")
    order = order[~np.isnan(values[order])]
    with np.errstate(invalid="ignore"):
        count = int(reason.applies_to(values, threshold).sum())
    cells: list[_Cell | _Line] = []
    for row in order[:count].tolist():
        other = str(plan.reason[row])
        also = "" if other == name else f" {other or ('labelled' if plan.spared[row] else 'kept')}"
        cells.append(_Cell((row,), f"{values[row]:.3g}{also}", muted=other == ""))
    stay = [_Cell((row,), f"{values[row]:.3g}") for row in order[count : count + _NEXT].tolist()]
    return [*cells, _Line(f"{name} {threshold:g}: what follows stays"), *stay]


def _pairs(scores: Scores, plan: Plan, settings: CleanSettings) -> list[_Cell | _Line]:
    """Each near duplicate beside the face that stays, and the nearest pairs that are none."""
    gone = np.flatnonzero(plan.instead >= 0)
    gone = gone[np.argsort(plan.distance[gone], kind="stable")]
    cells: list[_Cell | _Line] = [_Cell((row, int(plan.instead[row])), f"{plan.distance[row]:.3f}") for row in gone.tolist()]
    pairs = scores.pairs.among(plan.reason == "")
    within = pairs.within(settings.distance, settings.most_bits, mirrored=settings.mirrors)
    cells += [_pair(within, place, " both kept", muted=True) for place in _nearest(within)]
    cells.append(_Line(f"near_duplicate {settings.distance:g}, {settings.most_bits} bits: of what follows both stay"))
    beyond = pairs.beyond(settings.distance, settings.most_bits)
    return [*cells, *(_pair(beyond, place, f", {beyond.bits[place]} bits") for place in _nearest(beyond)[:_NEXT])]


def _nearest(pairs: Pairs) -> list[int]:
    order: list[int] = np.argsort(pairs.distance, kind="stable").tolist()
    return order


def _pair(pairs: Pairs, place: int, note: str, *, muted: bool = False) -> _Cell:
    one, other = pairs.rows[place].tolist()
    return _Cell((one, other), f"{pairs.distance[place]:.3f}{note}", muted)


def _pages(space: Workspace, table: LabelTable, cells: list[_Cell | _Line]) -> Iterator[Image.Image]:
    """Sheets of `_ROWS` rows of faces."""
    lines: list[list[_Cell] | _Line] = []
    for cell in cells:
        if isinstance(cell, _Line):
            lines.append(cell)
        elif lines and isinstance(lines[-1], list) and sum(len(one.rows) for one in lines[-1]) + len(cell.rows) <= _WIDE:
            lines[-1].append(cell)
        else:
            lines.append([cell])
    for start in range(0, len(lines), _ROWS):
        yield _page(space, table, lines[start : start + _ROWS])


def _page(space: Workspace, table: LabelTable, lines: list[list[_Cell] | _Line]) -> Image.Image:
    pitch, high, rule = _FACE + _GAP, _FACE + _CAPTION + _GAP, 22
    height = sum(rule if isinstance(line, _Line) else high for line in lines)
    page = Image.new("RGB", (_WIDE * pitch + _GAP, height + _GAP), _PAPER)
    pen, font, files = ImageDraw.Draw(page), ImageFont.load_default(10), table.frame["file"]
    y = _GAP
    for line in lines:
        if isinstance(line, _Line):
            pen.line((0, y + rule - 6, page.width, y + rule - 6), fill=_LINE, width=3)
            pen.text((_GAP, y), line.text, fill=_LINE, font=font)
            y += rule
            continue
        x = _GAP
        for cell in line:
            for place, row in enumerate(cell.rows):
                face = Image.fromarray(read_face(space, str(files.iat[row])))
                if face.width != _FACE:
                    face = face.resize((_FACE, _FACE), Image.Resampling.LANCZOS)
                page.paste(face, (x + place * (_FACE + 1), y))
            pen.text((x, y + _FACE), cell.text, fill=_MUTED if cell.muted else _INK, font=font)
            x += len(cell.rows) * pitch
        y += high
    return page
