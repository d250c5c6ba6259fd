"""What people are asked about in Label Studio: the schema's attributes, and whether a face that cleaning marked shall stay."""

from __future__ import annotations

from labeling.schema import Attribute, Schema
from labeling.studio.projects import Project

__all__ = ["CLEANING", "attribute_of"]

CLEANING = Attribute(name="cleaning", kind="exclusive", role="style", values=("keep", "leave_out"))
"""`keep`: a false positive. It is no attribute of a face, so no schema has it."""


def attribute_of(project: Project, schema: Schema) -> Attribute:
    """What a project asks.

    Raises:
        InputError: the schema has no such attribute.
    """
    return CLEANING if project.purpose == "cleaning" else schema[project.attribute]
