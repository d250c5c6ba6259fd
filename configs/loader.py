"""A preset's name or a YAML file, and `key=value` overrides, to frozen settings."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from configs.errors import ConfigError, did_you_mean
from configs.settings import Settings

__all__ = ["load_settings", "make_settings", "preset_names", "read_preset"]

ROOT = Path(__file__).parent
S = TypeVar("S", bound=Settings)


def preset_names(stage: str) -> list[str]:
    """The presets that ship for `stage` (a folder of this package), sorted."""
    return sorted(path.stem for path in (ROOT / stage).glob("*.yaml"))


def read_preset(stage: str, name: str | Path, _below: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The raw mapping behind a preset's name or a YAML file's path; `extends: NAME` is resolved, nearest wins (see `_merge`).

    Raises:
        ConfigError: no such preset or file, or it is not a YAML mapping.
    """
    path = ROOT / stage / f"{name}.yaml"
    if not path.is_file():
        path = Path(name)
    if not path.is_file():
        known = preset_names(stage)
        hint = did_you_mean(str(name), known)
        raise ConfigError(f"Expected a preset of {stage} ({', '.join(known)}) or a YAML file, found {str(name)!r}.{hint}")
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"Expected YAML in {path}, found: {' '.join(str(error).split())}. Correct that line.") from error
    raw = {} if raw is None else raw
    if not isinstance(raw, dict):
        raise ConfigError(f"Expected a mapping (key: value) in {path}, found a {type(raw).__name__}.")
    parent = raw.pop("extends", None)
    if path.resolve() in _below:
        raise ConfigError(
            f"Expected `extends` to come to an end, found files that extend each other, {path} among them. Remove one."
        )
    return raw if parent is None else _merge(read_preset(stage, parent, (*_below, path.resolve())), raw)


def load_settings(cls: type[S], stage: str, name: str | Path, overrides: Sequence[str] = ()) -> S:
    """Settings of class `cls` from a preset or file, with `key=value` overrides (dots reach nested fields, values are YAML).

    Raises:
        ConfigError: an unknown field, a value of the wrong type, or a contradiction; the message names the field.
    """
    return make_settings(cls, read_preset(stage, name), str(name), overrides)


def make_settings(
    cls: type[S], values: Mapping[str, Any], origin: str = "the command line", overrides: Sequence[str] = ()
) -> S:
    """Settings of class `cls` from values, with `key=value` overrides; `origin` names in the error where the values come from.

    Raises:
        ConfigError: an unknown field, a value of the wrong type, or a contradiction; the message names the field.
    """
    for item in overrides:
        key, separator, text = item.partition("=")
        if not separator or not key:
            raise ConfigError(f"Expected key=value, found {item!r}. Type, for example: --set images=10000")
        try:
            nested: Any = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"Expected a YAML value behind {key}=, found {text!r}. Quote it.") from error
        for part in reversed(key.split(".")):
            nested = {part: nested}
        values = _merge(values, nested)
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(error, cls, origin)) from error


def _merge(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """`top` over `base`, mapping by mapping. One that names something else, such as another network, begins anew: what stood
    beside the old name was said of that."""
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping) and value.get("name") in (None, below.get("name")):
            value = _merge(below, value)
        merged[key] = value
    return merged


def _explain(error: ValidationError, cls: type[Settings], name: str) -> str:
    lines = []
    for item in error.errors():
        field = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            close = difflib.get_close_matches(field, list(cls.model_fields), n=1)
            hint = f"did you mean {close[0]}?" if close else f"the fields are {', '.join(cls.model_fields)}"
            lines.append(f"unknown field {field!r}: {hint}")
        else:
            lines.append(f"{field or cls.__name__}: {item['msg']}")
    return f"Expected settings of {cls.__name__} in {name!r}, found " + "; ".join(lines) + "."
