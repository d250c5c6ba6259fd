"""Who said it: the one order of who overrules whom, and the one definition of missing."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["MISSING_CODE", "Source"]

MISSING_CODE = -1
"""The code of a cell nobody has filled, in every integer array of labels."""


class Source(IntEnum):
    """Where a cell's value comes from. A higher source overrules a lower one; an equal one replaces it."""

    MISSING = 0
    COMPLETED = 1  # inferred by the ensemble
    ORIGINAL = 2  # came with the pictures
    HUMAN = 3  # a person looked and said so
