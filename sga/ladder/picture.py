"""Pictures of a ladder: the distance to real faces over the training, and what each rung draws under the same conditions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from configs.files import atomic_path
from labeling.workspace import Workspace
from sga.evaluation.pictures import Row, write_rows
from sga.evaluation.sampler import GeneratorFaces

__all__ = ["draw_curves", "draw_strips"]

_WIDTH, _HEIGHT, _SCALE = 900, 520, 3  # drawn larger and shrunk: Pillow's lines have hard edges
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 210, 40, 50
_INK, _FAINT = (31, 41, 55), (226, 230, 235)


def draw_curves(path: Path, report: dict[str, Any], group: str = "overall") -> None:
    """A PNG of 900×520 px: FID over time (or images), a line a rung, mean over seeds; nothing while nothing is measured."""
    measure = report["length"]["measure"]
    unit, divisor = {"seconds": ("minutes", 60), "cpu_seconds": ("CPU minutes", 60), "images": ("images", 1)}[measure]
    lines = {rung["name"]: _line(rung["curve"], measure, divisor, group) for rung in report["rungs"]}
    lines = {name: line for name, line in lines.items() if len(line)}
    if not lines:
        return
    every = np.concatenate(list(lines.values()))
    across, up = _ticks(0, float(every[:, 0].max()), 8), _ticks(0, float(every[:, 1].max()), 7)
    image = Image.new("RGB", (_WIDTH * _SCALE, _HEIGHT * _SCALE), "white")
    pen = ImageDraw.Draw(image)

    def at(x: float, y: float) -> tuple[float, float]:
        return (
            _SCALE * (_LEFT + x / across[-1] * (_WIDTH - _LEFT - _RIGHT)),
            _SCALE * (_HEIGHT - _BOTTOM - y / up[-1] * (_HEIGHT - _TOP - _BOTTOM)),
        )

    for value in up:
        pen.line([at(0, value), at(across[-1], value)], fill=_FAINT, width=_SCALE)
        _write(pen, at(0, value), f"{value:g}", "rm", (-8, 0))
    for value in across:
        _write(pen, at(value, 0), f"{value:,g}", "mt", (0, 8))
    _write(pen, at(across[-1] / 2, 0), f"{unit} of training", "mt", (0, 28))
    _write(pen, at(0, up[-1]), f"FID, {group}", "lb", (-40, -14))
    colours = [_colour(place, len(lines)) for place in range(len(lines))]
    for line, colour in zip(lines.values(), colours, strict=True):
        points = [at(x, y) for x, y in line]
        pen.line(points, fill=colour, width=2 * _SCALE, joint="curve")
        for x, y in points:
            pen.ellipse([x - 9, y - 9, x + 9, y + 9], fill=colour)
    pitch = min(20, (_HEIGHT - _TOP - _BOTTOM) / len(lines))
    for place, (name, colour) in enumerate(zip(lines, colours, strict=True)):
        x, y = (_WIDTH - _RIGHT + 16) * _SCALE, (_TOP + place * pitch + 8) * _SCALE
        pen.line([(x, y), (x + 20 * _SCALE, y)], fill=colour, width=3 * _SCALE)
        _write(pen, (x, y), name, "lm", (28, 0))
    with atomic_path(path) as temporary:
        image.resize((_WIDTH, _HEIGHT), Image.Resampling.LANCZOS).save(temporary, format="PNG", optimize=True)


def _line(curve: list[dict[str, Any]], measure: str, divisor: float, group: str) -> np.ndarray:
    """(k, 2) float64: place and FID of each point, mean over the seeds that are measured."""
    points = []
    for number in sorted({one["point"] for one in curve}):
        here = [one for one in curve if one["point"] == number and one.get("fid", {}).get(group) is not None]
        if here:
            points.append([np.mean([one[measure] / divisor for one in here]), np.mean([one["fid"][group] for one in here])])
    return np.asarray(points)


def _ticks(low: float, high: float, most: int) -> np.ndarray:
    """At most `most` round numbers in equal steps from `low` to `high` or above."""
    rough = max(high - low, 1e-9) / (most - 1)
    power = 10 ** np.floor(np.log10(rough))
    step = next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= rough * (1 - 1e-9))
    ticks: np.ndarray = low + np.arange(int(np.ceil((high - low) / step - 1e-9)) + 1) * step
    return ticks


def _colour(place: int, count: int) -> tuple[int, int, int]:
    """The base in ink, the others around the circle of hues."""
    if place == 0:
        return _INK
    pixel = Image.new("HSV", (1, 1), (round(255 * (place - 1) / max(1, count - 1)), 200, (205, 150)[place % 2]))
    red, green, blue = pixel.convert("RGB").getpixel((0, 0))  # type: ignore[misc]
    return red, green, blue


def _write(pen: ImageDraw.ImageDraw, at: tuple[float, float], text: str, anchor: str, shift: tuple[int, int]) -> None:
    place = (at[0] + shift[0] * _SCALE, at[1] + shift[1] * _SCALE)
    pen.text(place, text, fill=_INK, font=ImageFont.load_default(13 * _SCALE), anchor=anchor)


def draw_strips(path: Path, workspace: Workspace, snapshots: dict[str, Path], faces: int, seed: int = 0) -> None:
    """A PNG with a row a rung: `faces` of each gender, from the same noise in every row; rungs without a snapshot are left out.

    snapshots: folder of each rung's generator.
    """
    rows, device = [], torch.device("cpu")
    for name, folder in snapshots.items():
        if not (folder / "generator.json").is_file():
            continue
        source = GeneratorFaces(workspace, folder, seed, device)
        genders = range(source.schema.with_role("gender")[0].size)
        rows.append(Row(name, [image for gender in genders for batch in source.stream(gender, faces) for image in batch]))
    if rows:
        write_rows(path, rows)
