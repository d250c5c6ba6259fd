"""Tags as a condition (Jin et al. 2017, 3.2 and 4.3): an entry a logit of the attributes of role style, in the schema's
order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labeling.provenance import MISSING_CODE, Source
from labeling.schema import Schema

if TYPE_CHECKING:
    from labeling.table import LabelTable

__all__ = ["tag_columns", "tag_count", "tag_names", "tag_vectors"]


def tag_columns(schema: Schema) -> dict[str, slice]:
    """Where each attribute of role style stands in a tag vector: exclusive ones one-hot, independent ones in one entry."""
    columns, start = {}, 0
    for attribute in schema.with_role("style"):
        columns[attribute.name] = slice(start, start + attribute.logits)
        start += attribute.logits
    return columns


def tag_count(schema: Schema) -> int:
    """Width of a tag vector; 34 for moe34."""
    return sum(attribute.logits for attribute in schema.with_role("style"))


def tag_names(schema: Schema) -> list[str]:
    """What each entry says, such as hair_color=blonde or smile."""
    names: list[str] = []
    for attribute in schema.with_role("style"):
        exclusive = attribute.kind == "exclusive"
        names += [f"{attribute.name}={value}" for value in attribute.values] if exclusive else [attribute.name]
    return names


def tag_vectors(table: LabelTable, completed_weight: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """The tags of every face and how much each counts.

    Returns (n, tags) float32, 1 on, -1 off, 0 where the label is missing; and (n, tags) float32 in [0, 1]: 1 for original and
    human labels, `completed_weight` for completed ones, 0 where missing.
    """
    schema = table.schema
    tags = np.zeros((len(table), tag_count(schema)), dtype=np.float32)
    weight = np.zeros_like(tags)
    for name, columns in tag_columns(schema).items():
        codes, known = table.codes(name), table.codes(name) != MISSING_CODE
        wanted = np.arange(schema[name].size) if schema[name].kind == "exclusive" else np.ones(1)
        tags[:, columns] = np.where(codes[:, None] == wanted, 1, -1) * known[:, None]
        trusted = np.where(table.sources(name) >= Source.ORIGINAL, 1.0, completed_weight) * known
        weight[:, columns] = trusted[:, None]
    return tags, weight
