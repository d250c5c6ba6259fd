"""What tests of all packages share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

BESIDE = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real faces: SGA_REAL_DATA, or `../shared/data` beside a checkout. Absent: the test is skipped."""
    folder = Path(os.environ.get("SGA_REAL_DATA", BESIDE))
    if not (folder / "faces.csv").is_file():
        pytest.skip(f"no real faces in {folder}: set SGA_REAL_DATA to the folder that holds faces.csv")
    return folder
