"""Frames as an animated GIF or WebP (Pillow) or an MP4 (OpenCV, where it is installed)."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, features

from configs.errors import InputError, MissingExtra

__all__ = ["FORMATS", "Timing", "encode"]

FORMATS = (".gif", ".webp", ".mp4")
"""Endings of files that move."""

_THUMB = 48
_CODECS = ("vp09", "mp4v")
"""VP9, which browsers play; MPEG-4 part 2 where OpenCV was built without it."""


@dataclass(frozen=True)
class Timing:
    """step: milliseconds; stands: how many steps each frame is shown; loop: begin again for ever (GIF and WebP)."""

    step: float
    stands: Sequence[int]
    loop: bool = True

    def durations(self, unit: int = 1) -> list[int]:
        """Milliseconds of each frame in whole units; their sum is off by half a unit at most."""
        ends = [round(steps * self.step / unit) * unit for steps in accumulate(self.stands, initial=0)]
        return [end - start for start, end in pairwise(ends)]


def encode(ending: str, frames: Sequence[Image.Image], timing: Timing) -> bytes:
    """The file of frames of one size, the same bytes each time.

    Raises:
        InputError: no such ending, frames too short or of odd edges for it.
        MissingExtra: an MP4 without OpenCV.
    """
    writers = {".gif": _gif, ".webp": _webp, ".mp4": _mp4}
    if ending not in writers:
        raise InputError(f"Expected a file that ends in .png, {', '.join(FORMATS)}, found {ending or 'none'!r}. Name it anew.")
    return writers[ending](frames, timing)


def _gif(frames: Sequence[Image.Image], timing: Timing) -> bytes:
    """256 colours a frame, of its own, dithered; times in hundredths of a second."""
    durations = timing.durations(10)
    if min(durations) < 20:
        raise InputError("Expected at most 50 frames a second in a GIF. Lower --frames, raise --seconds, or write a .webp.")
    shown = [frame.quantize(palette=_palette(frame), dither=Image.Dither.FLOYDSTEINBERG) for frame in frames]
    buffer = io.BytesIO()
    loop = {"loop": 0} if timing.loop else {}
    shown[0].save(
        buffer, format="GIF", save_all=True, append_images=shown[1:], duration=durations, disposal=1, optimize=False, **loop
    )
    return buffer.getvalue()


def _palette(frame: Image.Image) -> Image.Image:
    """256 colours, found on a small copy: of the whole frame it takes 50 times as long and is no better."""
    small = frame.resize((_THUMB, _THUMB), Image.Resampling.NEAREST)
    return small.quantize(256, Image.Quantize.MEDIANCUT, kmeans=1)


def _webp(frames: Sequence[Image.Image], timing: Timing) -> bytes:
    if not features.check("webp"):
        raise InputError("Expected a Pillow that writes WebP, found one without. Type: pip install --force-reinstall pillow")
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        format="WEBP",
        save_all=True,
        append_images=list(frames[1:]),
        duration=timing.durations(),
        loop=0 if timing.loop else 1,
        quality=90,
        method=4,
        minimize_size=False,
    )
    return buffer.getvalue()


def _mp4(frames: Sequence[Image.Image], timing: Timing) -> bytes:
    """One picture a step: a frame that stands longer is written several times."""
    try:
        import cv2
    except ImportError as error:
        raise MissingExtra("opencv-python-headless", "video") from error
    width, height = frames[0].size
    if width % 2 or height % 2:
        raise InputError(f"Expected an even edge for an MP4, found {width} pixels. Type, for example: --size {width + 1}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frames.mp4"
        writer = _video_writer(path, 1000 / timing.step, (width, height))
        for frame, stands in zip(frames, timing.stands, strict=True):
            pixels = cv2.cvtColor(np.asarray(frame), cv2.COLOR_RGB2BGR)
            for _ in range(stands):
                writer.write(pixels)
        writer.release()
        return path.read_bytes()


def _video_writer(path: Path, rate: float, size: tuple[int, int]) -> Any:
    import cv2

    before = cv2.getLogLevel()
    cv2.setLogLevel(0)  # that a codec is absent is no news
    try:
        for codec in _CODECS:
            writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), rate, size)
            if writer.isOpened():
                return writer
    finally:
        cv2.setLogLevel(before)
    raise InputError("Expected an OpenCV that writes MP4, found one without. Write a .webp or a .gif instead.")
