"""The schema: an ordered list of attributes. Everything positional (tag vectors, head slices, page controls) derives from
it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from configs.errors import ConfigError, InputError, did_you_mean
from configs.loader import load_settings
from configs.settings import Settings

__all__ = ["Attribute", "Schema"]


class Attribute(Settings):
    """One attribute of a face.

    `exclusive`: one of `values`. `independent`: no or yes. `ordinal`: ordered `values`, regressed to 0 … 1 in equal steps.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    kind: Literal["exclusive", "independent", "ordinal"]
    role: Literal["gender", "style", "quality"]
    values: tuple[str, ...] = ("no", "yes")

    @model_validator(mode="after")
    def _consistent(self) -> Attribute:
        if len(set(self.values)) != len(self.values) or len(self.values) < 2:
            raise ValueError(f"{self.name}: at least two different values are needed, found {list(self.values)}")
        if {"unknown", ""} & set(self.values):
            raise ValueError(f"{self.name}: 'unknown' and the empty text mean no label and cannot be values")
        if (self.role == "quality") != (self.kind == "ordinal"):
            raise ValueError(f"{self.name}: quality is ordinal and nothing else is, found role {self.role}, kind {self.kind}")
        if self.role == "gender" and self.kind != "exclusive":
            raise ValueError(f"{self.name}: gender is exclusive, found kind {self.kind}")
        if self.kind == "independent" and self.values != ("no", "yes"):
            raise ValueError(f"{self.name}: an independent attribute has the values no and yes, found {list(self.values)}")
        return self

    @property
    def size(self) -> int:
        """Number of values; codes run from 0 to size - 1."""
        return len(self.values)

    @property
    def logits(self) -> int:
        """Width of this attribute's head: `size` for exclusive, 1 for independent and ordinal."""
        return self.size if self.kind == "exclusive" else 1

    def code(self, value: str) -> int:
        """The code of a value's name.

        Raises:
            InputError: no such value; names the nearest.
        """
        try:
            return self.values.index(value)
        except ValueError:
            raise InputError(
                f"Expected {self.name} to be one of {', '.join(self.values)}, or empty for unknown; found {value!r}."
                f"{did_you_mean(value, self.values)}"
            ) from None

    def target(self, code: int) -> float:
        """Regression target in [0, 1] of an ordinal code (low 0, median 0.5, high 1)."""
        return code / (self.size - 1)


class Schema(Settings):
    """Attributes in order."""

    name: str
    attributes: tuple[Attribute, ...]

    @model_validator(mode="after")
    def _unique(self) -> Schema:
        names = [attribute.name for attribute in self.attributes]
        if len(set(names)) != len(names) or not names:
            raise ValueError(f"attribute names must be different and at least one, found {names}")
        reserved = {"face", "file", "split", "group"} & set(names)
        if reserved:
            raise ValueError(f"{', '.join(sorted(reserved))}: a column of the label table has that name already")
        return self

    @classmethod
    def load(cls, name: str | Path) -> Schema:
        """A schema that ships (`faces`, `moe34`) or a YAML file.

        Raises:
            ConfigError: no such schema, or the file contradicts itself.
        """
        return load_settings(cls, "attributes", name)

    @classmethod
    def from_json(cls, text: str) -> Schema:
        """The inverse of `to_json`."""
        try:
            return cls.model_validate_json(text)
        except ValueError as error:
            raise ConfigError(f"Expected a schema as JSON, found: {' '.join(str(error).split())}") from error

    def to_json(self) -> str:
        """Canonical JSON: equal schemas give equal text."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))

    @cached_property
    def hash(self) -> str:
        """12 hex digits that name this schema; stages that belong together carry the same."""
        return hashlib.blake2b(self.to_json().encode(), digest_size=6).hexdigest()

    @cached_property
    def _by_name(self) -> dict[str, Attribute]:
        return {attribute.name: attribute for attribute in self.attributes}

    def __getitem__(self, name: str) -> Attribute:
        try:
            return self._by_name[name]
        except KeyError:
            hint = did_you_mean(name, self.names)
            raise InputError(f"Expected an attribute ({', '.join(self.names)}), found {name!r}.{hint}") from None

    def __iter__(self) -> Iterator[Attribute]:  # type: ignore[override]
        return iter(self.attributes)

    def __len__(self) -> int:
        return len(self.attributes)

    def __contains__(self, name: Any) -> bool:
        return name in self._by_name

    @property
    def names(self) -> tuple[str, ...]:
        """Attribute names in order."""
        return tuple(attribute.name for attribute in self.attributes)

    def with_role(self, *roles: str) -> tuple[Attribute, ...]:
        """The attributes of the given roles, in order."""
        return tuple(attribute for attribute in self.attributes if attribute.role in roles)

    @cached_property
    def logit_slices(self) -> dict[str, slice]:
        """Where each attribute's logits stand in the concatenated heads (width: `logit_width`)."""
        slices, start = {}, 0
        for attribute in self.attributes:
            slices[attribute.name] = slice(start, start + attribute.logits)
            start += attribute.logits
        return slices

    @property
    def logit_width(self) -> int:
        """Summed width of all heads."""
        return sum(attribute.logits for attribute in self.attributes)
