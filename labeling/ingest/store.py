"""Faces on disk: decode, hash and write PNGs in several processes, a bounded number of pictures in memory at a time."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread

import numpy as np
from PIL import Image

from configs.errors import InputError
from configs.files import explain_os_error
from labeling.ingest.decode import Rejected, decode_face
from labeling.ingest.groups import difference_hash
from labeling.ingest.settings import IngestSettings

__all__ = ["Decoded", "decode_all", "decode_with", "face_file", "face_identity", "write_face"]

_CHUNK = 128
_CHUNK_BYTES = 4 * 2**20
_IN_PROCESS = 256  # fewer pictures are done before a second process has started


@dataclass(frozen=True)
class Decoded:
    """One picture's outcome: its identity and 256-bit hash, or the reason why there is none."""

    name: str
    face: str = ""
    hash: bytes = b""
    reason: str = ""


def face_identity(pixels: np.ndarray) -> str:
    """SHA-256 (64 hex digits) of (h, w, 3) uint8 RGB pixels, row by row."""
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()


def face_file(face: str) -> str:
    """Where a face lies, relative to the workspace."""
    return f"faces/{face[:2]}/{face}.png"


def decode_with(data: bytes, settings: IngestSettings) -> np.ndarray:
    """`decode_face` with the settings of an ingest: (size, size, 3) uint8 RGB, or it raises Rejected."""
    return decode_face(
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


def _decode_chunk(root: Path, settings: IngestSettings, chunk: list[tuple[str, bytes | str]]) -> list[Decoded]:
    done = []
    for name, data in chunk:
        if isinstance(data, str):
            done.append(Decoded(name, reason=data))
            continue
        try:
            pixels = decode_with(data, settings)
        except Rejected as verdict:
            done.append(Decoded(name, reason=str(verdict)))
            continue
        face = face_identity(pixels)
        write_face(root, face, pixels)
        done.append(Decoded(name, face, difference_hash(pixels)))
    return done


def _chunks(pictures: Iterable[tuple[str, bytes | str]]) -> Iterator[list[tuple[str, bytes | str]]]:
    chunk: list[tuple[str, bytes | str]] = []
    held = 0
    for name, data in pictures:
        chunk.append((name, data))
        held += len(data)
        if len(chunk) >= _CHUNK or held >= _CHUNK_BYTES:
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
    """Decode (name, bytes or reason) pairs, write the faces below `root`, yield one `Decoded` each, in order.

    Raises:
        InputError: the disk is full, or a process was ended from outside (memory).
    """
    workers = 1 if total < _IN_PROCESS else settings.workers or _cores()
    work = partial(_decode_chunk, root, settings)
    done = 0
    with nullcontext() if workers == 1 else _pool(workers) as pool:
        results = map(work, _chunks(pictures)) if pool is None else _bounded(pool, work, _chunks(pictures), 3 * workers)
        try:
            for chunk in results:
                done += len(chunk)
                progress(done, total)
                yield from chunk
        except BrokenProcessPool as error:
            raise InputError(
                "Expected the decoding processes to run to the end, found one ended from outside (short of memory?). "
                "Type the same command with --workers 1; in a script of your own, call ingest under if __name__ == '__main__'."
            ) from error


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
    work: Callable[[list[tuple[str, bytes | str]]], list[Decoded]],
    chunks: Iterator[list[tuple[str, bytes | str]]],
    ahead: int,
) -> Iterator[list[Decoded]]:
    """`pool.map` in order, with at most `ahead` chunks read but not done."""
    waiting: deque[Future[list[Decoded]]] = deque()
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
