"""Faces on disk: decode, hash and write PNGs in several processes, a bounded number of pictures in memory at a time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext, suppress
from functools import lru_cache, partial
from multiprocessing import get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread
from typing import Literal, TypeAlias

import numpy as np
from PIL import Image

from configs.errors import InputError
from configs.files import explain_os_error
from configs.machine import cores
from labeling.detection.boxes import crop_square
from labeling.detection.detector import Detector, DetectorError, make_detector
from labeling.detection.find import find_faces
from labeling.detection.settings import DetectionSettings
from labeling.ingest.decode import Rejected, ShortOfMemory, decode_picture, decode_sized
from labeling.ingest.decoded import Decoded, face_file, face_identity
from labeling.ingest.groups import difference_hash
from labeling.ingest.journal import NO_FACE, Journal, Seen
from labeling.ingest.settings import IngestSettings

__all__ = ["Decoded", "decode_all", "decode_with", "face_file", "face_identity", "write_face"]

_CHUNK = 128
_CHUNK_BYTES = 4 * 2**20
_IN_PROCESS = 256  # fewer pictures are done before a second process has started
_CHUNK_FOUND, _IN_PROCESS_FOUND = 8, 24  # the same of illustrations, each of which takes a hundred times as long

Item: TypeAlias = "tuple[str, bytes | str | Seen]"
"""A picture's name; its bytes, or the reason why there are none, or what an earlier run saw in it."""


def decode_with(data: bytes, settings: IngestSettings) -> np.ndarray:
    """`decode_face` with the settings of an ingest: (size, size, 3) uint8 RGB, or it raises Rejected."""
    return _decode_sized(data, settings)[0]


def _decode_sized(data: bytes, settings: IngestSettings) -> tuple[np.ndarray, tuple[int, int], int]:
    return decode_sized(
        data,
        settings.size,
        min_size=settings.min_size,
        max_pixels=settings.max_pixels,
        max_aspect=settings.max_aspect,
        fit=settings.fit,
    )


def write_face(root: Path, face: str, pixels: np.ndarray) -> None:
    """Write a face's PNG unless it is there; whole or not at all. One sync at the end of ingest stands for one a file.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    path = root / face_file(face)
    temporary = path.with_name(f".{face}.{os.getpid()}.tmp")
    try:
        if path.is_file() and path.stat().st_size:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(temporary, format="PNG", compress_level=1)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise explain_os_error(error, path) from error


def _decode_chunk(root: Path, settings: IngestSettings, chunk: list[Item]) -> list[list[Decoded]]:
    """The faces of each picture; one `Decoded` with a reason where there are none."""
    return [_outcome(root, settings, name, data) for name, data in chunk]


def _outcome(root: Path, settings: IngestSettings, name: str, data: bytes | str | Seen) -> list[Decoded]:
    if isinstance(data, str):
        return [Decoded(name, reason=data, picture=name)]
    try:
        if isinstance(data, bytes):
            return _faces(root, settings, name, data) if settings.detection.on else [_face(root, settings, name, data)]
        return data.named(name)
    except MemoryError:
        return [Decoded(name, reason=str(ShortOfMemory()), picture=name, fault="memory")]
    except Rejected as verdict:
        fault: Literal["", "memory"] = "memory" if isinstance(verdict, ShortOfMemory) else ""
        return [Decoded(name, reason=str(verdict), picture=name, fault=fault)]
    except DetectorError as error:
        return [Decoded(name, reason=str(error), picture=name, fault="detector")]


def _face(root: Path, settings: IngestSettings, name: str, data: bytes) -> Decoded:
    """The picture itself as a face."""
    pixels, (width, height), frames = _decode_sized(data, settings)
    face = face_identity(pixels)
    write_face(root, face, pixels)
    box = (0.0, 0.0, float(width), float(height))
    short = min(width, height)
    return Decoded(name, face, difference_hash(pixels), picture=name, box=box, short_edge=short, frames=frames)


def _faces(root: Path, settings: IngestSettings, name: str, data: bytes) -> list[Decoded]:
    """The faces that are found in the picture."""
    how, done = settings.detection, []
    image, frames = decode_picture(data, min_size=settings.min_size, max_pixels=settings.max_pixels)
    found = find_faces(image, _detector(how), how)
    if not found:
        raise Rejected(NO_FACE + (f" in the first of {frames:,} frames" if frames > 1 else ""))
    if len(found) > how.max_faces:
        raise Rejected(f"{len(found):,} faces found, over {how.max_faces:,}: raise --max-faces to take them")
    for number, one in enumerate(found):
        pixels = crop_square(image, one.square, settings.size, how.pad)
        face = face_identity(pixels)
        write_face(root, face, pixels)
        left, top, side = one.square
        box = (float(left), float(top), float(side), float(side))
        done.append(Decoded(f"{name}#{number}", face, difference_hash(pixels), "", name, box, side, one.score, frames))
    return done


@lru_cache(maxsize=1)
def _detector(settings: DetectionSettings) -> Detector:
    """One a process."""
    return make_detector(settings)


def _chunks(pictures: Iterable[Item], most: int) -> Iterator[list[Item]]:
    chunk: list[Item] = []
    held = 0
    for name, data in pictures:
        chunk.append((name, data))
        held += len(data) if isinstance(data, bytes) else 0
        if len(chunk) >= most or held >= _CHUNK_BYTES:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk


def decode_all(
    pictures: Iterable[tuple[str, bytes | str]],
    total: int,
    root: Path,
    settings: IngestSettings,
    progress: Callable[[int, int], None],
) -> Iterator[Decoded]:
    """Decode (name, bytes or reason) pairs, write the faces below `root`, yield a `Decoded` for each face, in order.

    Where faces are looked for, what is seen in a picture is kept in a journal: the same bytes are not searched twice with the
    same settings, neither after an interruption nor in a later ingest.

    Raises:
        InputError: the disk is full, the detector cannot be used or gives nonsense from the first picture on, or a process was
            ended from outside (memory).
    """
    if settings.detection.on:
        _detector(settings.detection)  # whatever is wrong with it is said before the first picture
        with Journal(root, settings) as journal:
            yield from _decode(journal.looked_up(pictures), total, root, settings, progress, journal)
    else:
        yield from _decode(pictures, total, root, settings, progress, None)


def _decode(
    pictures: Iterable[Item],
    total: int,
    root: Path,
    settings: IngestSettings,
    progress: Callable[[int, int], None],
    journal: Journal | None,
) -> Iterator[Decoded]:
    few, most = (_IN_PROCESS, _CHUNK) if journal is None else (_IN_PROCESS_FOUND, _CHUNK_FOUND)
    workers = 1 if total < few else settings.workers or cores()
    work = partial(_decode_chunk, root, settings)
    done, understood = 0, journal is None or journal.understood
    with nullcontext() if workers == 1 else _pool(workers) as pool:
        chunks = _chunks(pictures, most)
        results = map(work, chunks) if pool is None else _bounded(pool, work, chunks, 3 * workers)
        try:
            for chunk in results:
                done += len(chunk)
                progress(done, total)
                for faces in chunk:
                    understood = understood or not faces[0].reason or faces[0].reason.startswith(NO_FACE)
                    if faces[0].fault == "detector" and not understood:
                        raise InputError(f"{faces[0].reason} It was looking at {faces[0].name}.")
                    if journal is not None:
                        journal.keep(faces)
                    yield from faces
        except BrokenProcessPool as error:
            raise InputError(
                "Expected the decoding processes to run to the end, found one ended from outside (short of memory?). "
                "Type the same command with --workers 1; in a script of your own, call ingest under if __name__ == '__main__'."
            ) from error


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_end_with_parent)


def _end_with_parent() -> None:
    """A pool's process waits for work for ever when its parent is killed; this one ends with it."""
    parent = parent_process()
    if parent is not None:
        Thread(target=_wait_and_end, args=(parent,), daemon=True).start()


def _wait_and_end(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _bounded(
    pool: Executor,
    work: Callable[[list[Item]], list[list[Decoded]]],
    chunks: Iterator[list[Item]],
    ahead: int,
) -> Iterator[list[list[Decoded]]]:
    """`pool.map` in order, with at most `ahead` chunks read but not done."""
    waiting: deque[Future[list[list[Decoded]]]] = deque()
    try:
        for chunk in chunks:
            waiting.append(pool.submit(work, chunk))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
