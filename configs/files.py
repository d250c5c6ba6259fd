"""Files that are whole or absent: written beside the target, then moved over it in one step."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.errors import InputError, UserError

if TYPE_CHECKING:
    import pyarrow

__all__ = [
    "atomic_path",
    "atomic_write_text",
    "check_space",
    "explain_os_error",
    "hold",
    "read_json",
    "read_parquet",
    "write_json",
]


def explain_os_error(error: OSError, path: Path) -> UserError:
    """An operating system's refusal to write `path`, as one sentence with a way out."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return InputError(
            f"Expected room to write {path}, found a full disk ({error.strerror}). "
            "Free some space or name another folder, then type the same command again."
        )
    return InputError(
        f"Expected to write {path}, found: {error.strerror or error}. Name a folder that you can write to and try again."
    )


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path in the target's folder; moved over `path` when the block ends, removed when it raises.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as handle:  # the rename must not reach the disk before the bytes do
            os.fsync(handle.fileno())
        temporary.replace(path)
    except OSError as error:
        raise explain_os_error(error, path) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def atomic_write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 `text` to `path`, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all. NaN is refused: it is not JSON."""
    atomic_write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read one JSON file.

    Raises:
        InputError: the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"Expected a JSON file at {path}, found nothing. Check the path.") from error
    except (ValueError, OSError) as error:
        raise InputError(f"Expected JSON in {path}, found: {error}. Remove the file and make it again.") from error


def read_parquet(path: str | Path) -> pyarrow.Table:
    """Read one parquet file, also while another process moves a new one into its place.

    Raises:
        pyarrow.ArrowException: no parquet file, or a damaged one.
        OSError: no such file, or the same as above.
    """
    from pyarrow import parquet

    with Path(path).open("rb") as handle:  # by its path pyarrow opens a file twice: the index of one, the pages of the next
        return parquet.read_table(handle)


@contextmanager
def hold(path: str | Path, found: str = "") -> Iterator[None]:
    """Keep the lock of a file until the block ends or the process does.

    found: who else may hold it, and what to type then; "" = wait for whoever does.

    Raises:
        InputError: another process holds it, or the file cannot be opened.
    """
    path = Path(path)
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = path.open("ab")
        except OSError as error:
            raise explain_os_error(error, path) from error
        with handle:
            try:
                _lock(handle.fileno(), wait=not found)
            except OSError as error:
                raise InputError(f"Expected to be the only one at work in {path.parent}, found {found}") from error
            if _is_at(handle.fileno(), path):
                yield
                return


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file is the one at `path`: whoever held the lock before may have removed it."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _lock(descriptor: int, *, wait: bool) -> None:
    """Lock a file until it is closed, also by the end of the process.

    Raises:
        OSError: another process holds it, unless `wait`.
    """
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    else:
        import msvcrt

        while True:
            try:
                os.lseek(descriptor, 0, os.SEEK_SET)
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
                break
            except OSError:
                if not wait:
                    raise
                time.sleep(0.05)


def check_space(folder: str | Path, needed: int) -> None:
    """Refuse before the work starts when fewer than `needed` bytes are free where `folder` is or will be.

    Raises:
        InputError: too little room.
    """
    place = Path(folder).absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < needed:
        raise InputError(
            f"Expected {needed / 2**20:.0f} MiB free for {folder}, found {free / 2**20:.0f} MiB. "
            "Free some space or name another folder, then type the same command again."
        )
