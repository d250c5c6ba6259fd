"""One training at a time in a folder: two would write each other's checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from classifiers.runtime.stopping import agree
from configs.errors import InputError
from configs.files import hold

if TYPE_CHECKING:
    from lightning.fabric import Fabric

__all__ = ["alone"]


@contextmanager
def alone(fabric: Fabric, folder: Path, command: str) -> Iterator[None]:
    """Keep other trainings out of `folder` until the block ends or the process does, however it ends.

    The main process holds the lock for all of a training's own. command: whose lock it is, such as `sga train`.

    Raises:
        InputError: another one is at work there, or the folder cannot be written; on every process of this one.
    """
    refused: InputError | None = None
    with ExitStack() as held:
        if fabric.is_global_zero:
            try:
                found = f"another {command}. Wait until it is done, then type the same command again."
                held.enter_context(hold(folder / ".lock", found))
            except InputError as error:
                refused = error
        if any(agree(fabric, refused is not None)):
            raise refused or InputError(f"Expected the main process to work in {folder}, found it refused. See its message.")
        yield
