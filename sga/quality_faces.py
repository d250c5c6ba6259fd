"""Generated faces that people judge: of which generator they are, how each is named, and what was ever answered about them."""

from __future__ import annotations

from typing import TypeAlias

from labeling.answers import store_of
from labeling.workspace import Workspace

__all__ = ["Key", "answered_keys", "face_key", "face_of", "generator_of", "outdated"]

Key: TypeAlias = tuple[int, int, str]
"""Seed, index and gender of a face."""


def face_key(generator: str, face: Key) -> str:
    """GENERATOR/SEED/INDEX/GENDER."""
    return "/".join((generator, *map(str, face)))


def face_of(key: str) -> tuple[str, Key] | None:
    """Generator and face of a key; None for the key of anything else."""
    generator, *rest = key.split("/", 3)
    if len(rest) != 3 or not (generator.isalnum() and rest[0].isdecimal() and rest[1].isdecimal() and rest[2]):
        return None
    return generator, (int(rest[0]), int(rest[1]), rest[2])


def generator_of(space: Workspace) -> str:
    """Names the generator that is there, whatever the label table says now: its faces do not change with it.

    Raises:
        WorkspaceError: none is there; says what to type.
    """
    return str((space.record("gan") or space.require("gan"))["output"])


def outdated(space: Workspace) -> str | None:
    """For people, where the generator was trained from other inputs than are here now; None where it was not."""
    if space.state("gan") != "stale":
        return None
    return (
        "Since the generator was trained, faces, labels or a stage before it changed, and sga export asks for it to be trained "
        f"again (sga status --workspace {space.root}). It then draws other faces: what people say of these is kept, not used."
    )


def answered_keys(space: Workspace) -> set[str]:
    """Keys of the generated faces about which the store of answers holds an answer, or held one before it was changed or
    withdrawn. It says nothing of the others: an answer that was lost is not one that was taken back."""
    return {row.key for row in store_of(space.root).rows() if row.purpose == "quality" and row.value is not None}
