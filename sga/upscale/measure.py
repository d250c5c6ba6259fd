"""What the upscaler gains over plain filters on faces that it never saw."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from configs.errors import InputError
from configs.files import write_json
from configs.settings import Settings
from sga.generation.enlarge import Enlarger
from sga.upscale.degradation import PLAIN, degrade, position_rng
from sga.upscale.filters import FILTERS, enlarge_by
from sga.upscale.measures import luma, psnr, ssim
from sga.upscale.settings import DegradationSettings

__all__ = ["Gain", "MeasureSettings", "Row", "measure", "report", "write_report"]

OURS = "ours"
_DRAWS = 2000
_MOST = 100.0
"""Ratios above count as this, dB."""


class MeasureSettings(Settings):
    """What is measured."""

    scales: tuple[int, ...] | None = Field(None, description="factors; None = all that the upscaler gives, up to 4")
    faces: int = Field(1000, ge=1, description="at most so many, evenly picked")
    degradation: DegradationSettings = Field(
        DegradationSettings(plain=0.0), description="the realistic way of making faces small, beside the plain one"
    )
    seed: int = Field(0, ge=0)


@dataclass(frozen=True)
class Gain:
    """What ours has more than a filter, mean over the faces, with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"


@dataclass(frozen=True)
class Row:
    """One way of making n faces small, at one scale. means: by method, then by measure (psnr, psnr_y, ssim_y); gains: of ours
    over each filter, by measure."""

    degradation: str
    scale: int
    n: int
    means: Mapping[str, Mapping[str, float]]
    gains: Mapping[str, Mapping[str, Gain]]


def measure(
    upscaler: Enlarger,
    images: np.ndarray,
    settings: MeasureSettings | None = None,
    on_face: Callable[[int, int], None] = lambda done, total: None,
) -> list[Row]:
    """A row for each scale and each way of making small: plain (bicubic, anti-aliased) and realistic.

    images: (n, h, w, 3) uint8 originals; edges are cut to a multiple of the scale. PSNR is of all pixels and planes; PSNR and
    SSIM of luma leave out a border of `scale` px, as papers do.

    Raises:
        InputError: no pictures, a scale that is no power of the network's, or pictures too small for SSIM's window.
    """
    settings = settings or MeasureSettings()
    if not len(images):
        raise InputError("Expected pictures to measure on, found none.")
    ways = {"plain": PLAIN, "realistic": settings.degradation}
    scales = settings.scales or upscaler.factors
    total = len(ways) * len(scales) * len(images)
    rows: list[Row] = []
    for scale in scales:
        upscaler.check_factor(scale)
        height, width = (edge // scale * scale for edge in images.shape[1:3])
        if min(height, width) < 12 + 2 * scale:
            raise InputError(f"Expected pictures of at least {12 + 3 * scale} px, found {min(images.shape[1:3])} px.")
        originals = images[:, :height, :width]
        for name, way in ways.items():
            done = len(rows) * len(images)
            small = [degrade(one, scale, way, position_rng(settings.seed, place)) for place, one in enumerate(originals)]
            scores: dict[str, dict[str, np.ndarray]] = {
                method: _scores([enlarge_by(kernel)(one, scale) for one in small], originals, scale)
                for method, kernel in FILTERS.items()
            }
            enlarged = []
            for place, one in enumerate(small):
                enlarged.append(upscaler.times(one, scale))
                on_face(done + place + 1, total)
            scores[OURS] = _scores(enlarged, originals, scale)
            rows.append(_row(name, scale, scores, settings.seed))
    return rows


def _scores(enlarged: Sequence[np.ndarray], originals: np.ndarray, border: int) -> dict[str, np.ndarray]:
    images, inner = np.stack(enlarged), (slice(None), slice(border, -border), slice(border, -border))
    planes, wanted = luma(images[inner]), luma(originals[inner])
    # A flat picture is enlarged without any error: its infinite ratio would make the gains' mean no number.
    ratios = {"psnr": psnr(images, originals), "psnr_y": psnr(planes, wanted)}
    return {**{name: np.minimum(values, _MOST) for name, values in ratios.items()}, "ssim_y": ssim(planes, wanted)}


def _row(name: str, scale: int, scores: dict[str, dict[str, np.ndarray]], seed: int) -> Row:
    n = len(scores[OURS]["psnr"])
    picked = np.random.default_rng(seed).integers(0, n, (_DRAWS, n))

    def gain(key: str, over: str) -> Gain:
        more = scores[OURS][key] - scores[over][key]
        low, high = np.percentile(more[picked].mean(axis=1), [2.5, 97.5])
        return Gain(float(more.mean()), float(low), float(high))

    means = {method: {key: float(values.mean()) for key, values in found.items()} for method, found in scores.items()}
    return Row(name, scale, n, means, {over: {key: gain(key, over) for key in scores[over]} for over in FILTERS})


def report(rows: Sequence[Row]) -> str:
    """The rows as a table in Markdown, with what ours gains over the bicubic filter."""
    lines = [
        "| made small | scale | n | | PSNR, dB | PSNR of Y, dB | SSIM of Y |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        for method, found in row.means.items():
            told = f"{found['psnr']:.2f} | {found['psnr_y']:.2f} | {found['ssim_y']:.4f}"
            lines.append(f"| {row.degradation} | {row.scale}× | {row.n} | {method} | {told} |")
        for over, gains in row.gains.items():
            ssim_gain = gains["ssim_y"]
            told = f"{gains['psnr']} | {gains['psnr_y']} | {ssim_gain.value:+.4f} [{ssim_gain.low:+.4f}, {ssim_gain.high:+.4f}]"
            lines.append(f"| | | | over {over}, 95 % | {told} |")
    return "\n".join(lines)


def write_report(path: Path, rows: Sequence[Row], **facts: Any) -> None:
    """The rows as JSON, with facts such as what they were measured on."""
    write_json(path, {**facts, "rows": [asdict(row) for row in rows]})
