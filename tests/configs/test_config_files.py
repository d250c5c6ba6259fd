"""Files are whole or absent."""

from __future__ import annotations

import errno
import json
import threading
import time
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from configs.errors import InputError, MissingExtra, UserError
from configs.files import atomic_path, atomic_write_text, check_space, explain_os_error, read_json, read_parquet, write_json


def test_a_file_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    atomic_write_text(path, "gänz")
    assert path.read_text(encoding="utf-8") == "gänz"
    atomic_write_text(path, "new")
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def write_half() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_operating_systems_refusal_is_a_users_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="Expected to write"):
        atomic_write_text(tmp_path / "file" / "below.txt", "x")
    with pytest.raises(InputError, match="found a full disk"), atomic_path(tmp_path / "a"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert "full disk" not in str(explain_os_error(OSError(errno.EACCES, "Permission denied"), tmp_path))


def test_json(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"ü": [1, 2.5, None]})
    assert read_json(path) == {"ü": [1, 2.5, None]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"x": float("nan")})
    assert json.loads(path.read_text(encoding="utf-8")) == {"ü": [1, 2.5, None]}
    with pytest.raises(InputError, match="found nothing"):
        read_json(tmp_path / "none.json")
    path.write_text("{")
    with pytest.raises(InputError, match="Expected JSON in"):
        read_json(path)


def test_space(tmp_path: Path) -> None:
    check_space(tmp_path / "not" / "yet" / "there", 1)
    with pytest.raises(InputError, match="MiB free for"):
        check_space(tmp_path / "not" / "yet" / "there", 2**60)


def test_a_missing_package_says_what_to_type() -> None:
    error = MissingExtra("torch", "train")
    assert isinstance(error, UserError)
    assert "pip install 'sga-gan[train]'" in str(error)


def test_a_parquet_file_is_read_while_it_is_replaced(tmp_path: Path) -> None:
    """What is read is one of the tables that were written, never the index of one with the pages of another."""
    path, over = tmp_path / "a.parquet", threading.Event()

    def write(rows: int) -> None:
        with atomic_path(path) as temporary:
            parquet.write_table(pyarrow.table({"n": range(rows), "b": [b"x" * 192] * rows}), temporary)

    def keep_writing() -> None:
        rows = 0
        while not over.is_set():
            rows = (rows + 37) % 301 + 1  # meets each number to 301
            write(rows)

    write(1)
    writer, deadline, lengths, reads = threading.Thread(target=keep_writing), time.monotonic() + 120, set[int](), 0
    writer.start()
    try:
        while (reads < 500 or len(lengths) < 20) and time.monotonic() < deadline:
            table = read_parquet(path)
            assert table["n"].to_pylist() == list(range(table.num_rows))
            lengths.add(table.num_rows)
            reads += 1
    finally:
        over.set()
        writer.join()
    assert len(lengths) >= 20
    path.write_bytes(b"x")
    with pytest.raises(pyarrow.ArrowInvalid):
        read_parquet(path)
