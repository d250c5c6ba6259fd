"""Sample faces on disk: pictures, the labels that were told, the whole truth."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from PIL import Image

from configs.errors import InputError
from configs.files import atomic_path, atomic_write_text, check_space
from labeling.samples.render import render_face
from labeling.samples.settings import SampleSettings
from labeling.samples.truth import draw_hidden, draw_truth, sample_schema

__all__ = ["SampleReport", "claim", "csv_text", "draw_all", "put", "write_samples"]

_SETTINGS = "samples.json"
_TABLES = ("labels.csv", "truth.csv")
UNKNOWN = "unknown"


@dataclass(frozen=True)
class SampleReport:
    """What `write_samples` wrote. `histograms[attribute][value]` counts the labels told, the last key is `unknown`."""

    out: Path
    count: int
    histograms: dict[str, dict[str, int]]

    @property
    def labels(self) -> Path:
        return self.out / "labels.csv"

    @property
    def faces(self) -> Path:
        return self.out / "faces"


def write_samples(settings: SampleSettings, out: str | Path, progress: Callable[[int], None] | None = None) -> SampleReport:
    """Write `out/samples.json`, `out/faces/NNNNN.png`, `out/labels.csv` (hidden cells empty) and `out/truth.csv`.

    The same settings again give the same bytes. `progress` is called with the number of faces drawn since the last call.

    Raises:
        InputError: `out` holds something else, or the disk is full or cannot be written.
        MissingExtra: skia-python is not installed.
    """
    out = Path(out)
    marker = settings.model_dump_json(exclude={"workers"}, indent=1) + "\n"
    claim(out, _SETTINGS, marker, _TABLES, "faces", (face_name(index, settings.count) for index in range(settings.count)))
    check_space(out, settings.count * settings.size * settings.size * 3)
    if not (out / _SETTINGS).is_file():
        atomic_write_text(out / _SETTINGS, marker)
    for drawn in draw_all(partial(_draw_chunk, settings, out / "faces"), settings.count, 64, settings.workers):
        if progress is not None:
            progress(drawn)
    truths = [draw_truth(settings.seed, index, settings) for index in range(settings.count)]
    told = [_tell(truth, draw_hidden(settings.seed, index, settings)) for index, truth in enumerate(truths)]
    atomic_write_text(out / "labels.csv", _table(told, settings.count))
    atomic_write_text(out / "truth.csv", _table(truths, settings.count))
    return SampleReport(out, settings.count, _histograms(told))


def face_name(index: int, count: int) -> str:
    """File name of face `index`: five digits, more where the count needs them."""
    return f"{index:0{max(5, len(str(count - 1)))}d}.png"


def claim(out: Path, settings: str, marker: str, tables: Collection[str], folder: str, names: Iterable[str]) -> None:
    """Refuse a folder that holds anything but samples of these very settings.

    settings: name of the file that holds `marker`, the settings as text; tables: further files; names: of files in `folder`.

    Raises:
        InputError: it does.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise InputError(f"Expected a folder at {out}, found a file. Name another folder.")
    path = out / settings
    if not path.is_file():
        if any(out.iterdir()):
            raise InputError(f"Expected {out} to be empty or absent, found other files in it. Name another folder.")
        return
    if path.read_text(encoding="utf-8") != marker:
        raise InputError(f"Expected samples of the same settings in {out}, found others (see {path}). Name another folder.")
    strange = {p.name for p in out.iterdir() if not _is_temporary(p)} - {settings, folder, *tables}
    if (out / folder).is_dir():
        strange |= {p.name for p in (out / folder).iterdir() if not _is_temporary(p)} - set(names)
    if strange:
        raise InputError(f"Expected nothing but samples in {out}, found {sorted(strange)[0]}. Name another folder.")


def _is_temporary(path: Path) -> bool:
    return path.name.startswith(".") and path.name.endswith(".tmp")


def draw_all(draw: Callable[[int, int], int], count: int, chunk: int, workers: int) -> Iterator[int]:
    """`draw(start, end)` of all chunks of 0 … count, in `workers` processes; yields what each returns, in order."""
    chunks = [(start, min(start + chunk, count)) for start in range(0, count, chunk)]
    workers = min(workers, len(chunks), 4 * (os.cpu_count() or 1))
    if workers <= 1:
        for start, end in chunks:
            yield draw(start, end)
        return
    # spawn, not fork: the caller may run threads
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(draw, start, end) for start, end in chunks]
        try:
            for future in futures:
                yield future.result()
        finally:
            for future in futures:
                future.cancel()


def _draw_chunk(settings: SampleSettings, faces: Path, start: int, end: int) -> int:
    for index in range(start, end):
        image = render_face(draw_truth(settings.seed, index, settings), (settings.seed, index), settings.size)
        data = io.BytesIO()
        Image.fromarray(image).save(data, format="PNG")
        put(faces / face_name(index, settings.count), data.getvalue())
    return end - start


def put(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all, unless it holds these very bytes."""
    with suppress(OSError):
        if path.read_bytes() == data:
            return
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def _tell(truth: Mapping[str, str], hidden: frozenset[str]) -> dict[str, str]:
    return {name: "" if name in hidden else value for name, value in truth.items()}


def _table(rows: Iterable[Mapping[str, str]], count: int) -> str:
    named = ({"file": f"faces/{face_name(index, count)}", **row} for index, row in enumerate(rows))
    return csv_text(("file", *sample_schema().names), named)


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    """A CSV of these columns."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _histograms(told: list[dict[str, str]]) -> dict[str, dict[str, int]]:
    result = {}
    for attribute in sample_schema():
        counts = Counter(row[attribute.name] for row in told)
        result[attribute.name] = {value: counts[value] for value in attribute.values} | {UNKNOWN: counts[""]}
    return result
