"""What has been ingested: CSVs and models by their content, PATHs by the names, sizes and times of the files below them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from configs.errors import InputError
from labeling.ingest.sources import as_text
from labeling.workspace import Workspace, fingerprint

__all__ = ["labels_taken_in", "other_paths", "paths_taken_in", "taken_with"]


def taken_with(workspace: Workspace, paths: Sequence[str | Path], labels: Sequence[Path]) -> dict[str, Any]:
    """What the record of the stage faces says once these have been ingested too: `paths` and `label_files`.

    labels: CSVs of labels, and any other file whose content counts.

    Raises:
        InputError: a file cannot be read.
    """
    record = workspace.record("faces") or {}
    stamps = {_name(path): _stamp(Path(path), workspace.root) for path in paths}
    hashes = {_hash_of(path) for path in labels}
    return {
        "paths": {**record.get("paths", {}), **stamps},
        "label_files": sorted(hashes | set(record.get("label_files", []))),
    }


def labels_taken_in(workspace: Workspace, labels: Sequence[Path]) -> bool:
    """Whether every one of these files, as it is now, has been taken in.

    Raises:
        InputError: one cannot be read.
    """
    return {_hash_of(path) for path in labels} <= set((workspace.record("faces") or {}).get("label_files", []))


def paths_taken_in(workspace: Workspace, paths: Sequence[str | Path]) -> bool:
    """Whether every one of these PATHs, as it is now, has been ingested. One that was and is gone from the disk counts."""
    taken = (workspace.record("faces") or {}).get("paths", {})
    return all(
        _name(path) in taken and (not Path(path).exists() or taken[_name(path)] == _stamp(Path(path), workspace.root))
        for path in paths
    )


def other_paths(workspace: Workspace, paths: Sequence[str | Path]) -> list[str]:
    """PATHs that have been ingested and are not among these, sorted."""
    return sorted(set((workspace.record("faces") or {}).get("paths", {})) - {_name(path) for path in paths})


def _name(path: str | Path) -> str:
    return as_text(str(Path(path).resolve()))


def _hash_of(path: Path) -> str:
    try:
        return fingerprint(path.read_bytes())
    except OSError as error:
        raise InputError(f"Expected a file at {path}, found: {error.strerror}. Check the path.") from error


def _stamp(path: Path, workspace: Path) -> str:
    """Names the state of a file, or of all files below a folder but the workspace's own. Reads no file."""
    digest = hashlib.blake2b(digest_size=8)
    for name, file in sorted(_files(path, workspace.resolve())):
        try:
            state = file.stat()
        except OSError:  # a broken link: its name alone
            digest.update(f"{name}\0".encode())
        else:
            digest.update(f"{name}\0{state.st_size}\0{state.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def _files(path: Path, workspace: Path) -> Iterator[tuple[str, Path]]:
    if not path.is_dir():
        yield "", path
        return
    for folder, folders, files in os.walk(path):
        here = Path(folder)
        folders[:] = [name for name in folders if (here / name).resolve() != workspace]
        yield from ((as_text((here / name).relative_to(path).as_posix()), here / name) for name in files)
