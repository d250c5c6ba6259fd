"""What tags mean: a map as YAML, bound to a schema; and the labels that follow from the tags of one picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from configs.errors import ConfigError
from configs.loader import load_settings
from configs.settings import Settings
from labeling.schema import Attribute, Schema
from labeling.tags.spelling import spell

__all__ = ["Meaning", "Said", "TagMap"]


class TagMap(Settings):
    """`meaning[attribute][value]`: the tags that mean it. Attributes and values that a schema does not have are passed over."""

    name: str = Field("", description="for people")
    meaning: dict[str, dict[str, tuple[str, ...]]] = Field(description="tags by attribute and value")

    @field_validator("meaning", mode="before")
    @classmethod
    def _words(cls, raw: Any) -> Any:
        """YAML reads a bare `yes` or `no` as a truth value."""
        if not isinstance(raw, dict):
            return raw
        word = {True: "yes", False: "no"}
        return {
            name: {word[value] if isinstance(value, bool) else value: tags for value, tags in values.items()}
            if isinstance(values, dict)
            else values
            for name, values in raw.items()
        }

    @classmethod
    def load(cls, name: str | Path) -> TagMap:
        """A map that ships (`booru`) or a YAML file.

        Raises:
            ConfigError: no such map, or it is none.
        """
        return load_settings(cls, "tags", name)


@dataclass(frozen=True)
class Said:
    """What tags say of a picture. codes, confidence: by attribute, known ones only; clashes: attribute → values that exclude
    each other and are equally probable: neither is taken."""

    codes: dict[str, int]
    confidence: dict[str, float]
    clashes: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Meaning:
    """A tag map bound to a schema. thresholds: by attribute; complete: a tag that is not listed is absent from the picture."""

    schema: Schema
    tags: dict[str, dict[str, int]]
    """attribute → tag → code."""
    own: dict[tuple[str, int], str]
    """(attribute, code) → the tag whose absence means absence."""
    known: frozenset[str]
    """Every tag of the map, those too that the schema has no place for."""
    thresholds: dict[str, float]
    complete: bool = False

    @classmethod
    def of(
        cls,
        tag_map: TagMap,
        schema: Schema,
        threshold: float = 0.25,
        thresholds: Mapping[str, float] | None = None,
        *,
        complete: bool = False,
    ) -> Meaning:
        """Bind a map to a schema; `thresholds` overrides `threshold` (Jin et al. 2017, section 3.2) for single attributes.

        Raises:
            ConfigError: the map says nothing about the schema, or a threshold names no attribute of it.
        """
        tags: dict[str, dict[str, int]] = {}
        own: dict[tuple[str, int], str] = {}
        for name, values in tag_map.meaning.items():
            for value, spellings in values.items() if name in schema else ():
                if value not in schema[name].values:
                    continue
                code = schema[name].code(value)
                for tag in map(spell, spellings):
                    tags.setdefault(name, {}).setdefault(tag, code)
                    own.setdefault((name, code), tag)
        if not tags:
            raise ConfigError(
                f"Expected a tag map of schema {schema.name} ({', '.join(schema.names)}), found one of "
                f"{', '.join(tag_map.meaning) or 'nothing'}. Name another with --tag-map."
            )
        wrong = sorted(set(thresholds or ()) - set(schema.names))
        if wrong:
            raise ConfigError(f"Expected attributes of schema {schema.name} under tag_thresholds, found {wrong[0]!r}.")
        known = {spell(tag) for values in tag_map.meaning.values() for spellings in values.values() for tag in spellings}
        cut = {name: (thresholds or {}).get(name, threshold) for name in schema.names}
        return cls(schema, tags, own, frozenset(known), cut, complete)

    @classmethod
    def nothing(cls, schema: Schema) -> Meaning:
        """No tag means anything."""
        return cls(schema, {}, {}, frozenset(), {})

    @cached_property
    def useful(self) -> frozenset[str]:
        """The tags that say something of the schema."""
        return frozenset(tag for tags in self.tags.values() for tag in tags)

    def of_tag(self, tag: str) -> str:
        """A tag's meaning as text: `hair_color=blonde`, several joined by `; `; empty where it has none."""
        told = [(name, codes[tag]) for name, codes in self.tags.items() if tag in codes]
        return "; ".join(f"{name}={self.schema[name].values[code]}" for name, code in told)

    def labels(self, tags: Mapping[str, float]) -> Said:
        """The labels that the tags of a picture amount to.

        tags: spelled as `spell` does → probability in [0, 1], 1 for a tag that is simply there. Of an exclusive attribute the
        most probable value counts; an independent one is "yes" from its threshold on, and "no" where the own tag of "yes" is
        listed below it, or where a tag says so. Nothing is known below the threshold, and where two exclude each other.
        """
        said = Said({}, {}, {})
        for name, meant in self.tags.items():
            chances: dict[int, float] = {}
            for tag, code in meant.items():
                if tag in tags:
                    chances[code] = max(tags[tag], chances.get(code, 0.0))
            attribute = self.schema[name]
            if attribute.kind == "independent" and self._absent(name, chances, tags):
                said.codes[name], said.confidence[name] = 0, max(chances.get(0, 0.0), 1 - chances.get(1, 0.0))
            else:
                self._decide(attribute, chances, said)
        return said

    def _absent(self, name: str, chances: Mapping[int, float], tags: Mapping[str, float]) -> bool:
        """Whether an independent attribute (0 no, 1 yes) is "no", since the own tag of "yes" is listed and improbable."""
        listed = self.own.get((name, 1)) in tags or (self.complete and bool(tags))
        return listed and chances.get(1, 0.0) < self.thresholds[name]

    def _decide(self, attribute: Attribute, chances: Mapping[int, float], said: Said) -> None:
        best = max(chances.values(), default=0.0)
        if not chances or best < self.thresholds[attribute.name]:
            return
        codes = sorted(code for code, chance in chances.items() if chance == best)
        if len(codes) > 1:
            said.clashes[attribute.name] = tuple(attribute.values[code] for code in codes)
        else:
            said.codes[attribute.name], said.confidence[attribute.name] = codes[0], best
