"""The files of a way from one face to another: a strip, animations and the JSON that says what they show."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from configs.errors import InputError
from sga.explore.animation import FORMATS, encode
from sga.explore.morph import Motion, end, frames, strip
from sga.explore.path import Way
from sga.explore.picture import json_bytes, save_all
from sga.generation import FaceModel

__all__ = ["write_way"]


def write_way(
    model: FaceModel,
    faces: Sequence[str],
    motion: Motion,
    *,
    genders: Sequence[str] = (),
    steps: int = 9,
    way: Way = "spherical",
    size: int | None = None,
    folder: str | Path = ".",
    paths: Sequence[Path] = (),
    overwrite: bool = False,
) -> list[Path]:
    """Write the way through `faces` to each of `paths` (.png, .gif, .webp, .mp4) and a JSON beside the first of them.

    faces: as `end` reads them; genders: none, one for all or one for each; paths: none = PNG, GIF and WebP in `folder`, named
    after the faces. Returns what was written.

    Raises:
        InputError: faces, numbers or endings that do not fit, or files that stand there already.
        MissingExtra: an MP4 without OpenCV.
    """
    if len(genders) not in (0, 1, len(faces)):
        raise InputError(f"Expected one --gender for all or one for each of {len(faces)} faces, found {len(genders)}.")
    _check_endings(paths)
    each = genders if len(genders) == len(faces) else [*genders, None][:1] * len(faces)
    ends = [end(model, face, gender) for face, gender in zip(faces, each, strict=True)]
    picture = strip(model, ends, steps=steps, way=way, size=size)
    if not paths:
        name = "-to-".join(re.sub(r"\W+", "-", name) for _, name in ends)
        paths = [Path(folder) / f"{name}{ending}" for ending in (".png", ".gif", ".webp")]
    contents = {path: picture.png() for path in paths if path.suffix.lower() == ".png"}
    record: dict[str, Any] = dict(picture.record)
    moving = [path for path in paths if path not in contents]
    if moving:
        shown = frames(model, [source for source, _ in ends], motion, way=way, size=size)
        timing = motion.timing(len(ends))
        contents |= {path: encode(path.suffix.lower(), shown, timing) for path in moving}
        record["animation"] = {
            "files": [path.name for path in moving],
            "size": shown[0].width,
            "pictures": len(shown),
            "seconds": round(sum(timing.stands) * timing.step / 1000, 3),
            "frames": motion.frames,
            "hold": motion.hold,
            "ping_pong": motion.ping_pong,
            "loop": motion.loop,
        }
    contents[paths[0].with_suffix(".json")] = json_bytes(record)
    return save_all(contents, overwrite=overwrite)


def _check_endings(paths: Sequence[Path]) -> None:
    """Before anything is drawn."""
    for path in paths:
        if path.suffix.lower() not in (".png", *FORMATS):
            raise InputError(
                f"Expected file names that end in .png, {', '.join(FORMATS)}, found {path.name!r}. "
                "Type, for example: --out way.webp"
            )
    if len(set(paths)) != len(paths):
        raise InputError("Expected different files, found one of them twice. Leave one --out out.")
