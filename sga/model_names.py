"""Which models are there by name: the one that ships, former ones beside it, and those in folders that SGA_MODELS names."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from configs.errors import ModelError

__all__ = ["DEFAULT_MODEL", "FORMER_MODELS", "drawing_hash", "find_model", "known_models", "model_hash", "name_of"]

DEFAULT_MODEL = Path(__file__).parent / "default_model"
"""The model that ships."""
FORMER_MODELS = Path(__file__).parent / "former_models"
"""Models that shipped before, each in a folder of its name: what they drew stays as it was."""
_DRAWS = ("generator.onnx", "styles.npz", "critic.npz")
_SHAPES = ("algorithm", "noise_size", "style_size", "style_source", "style_prior", "style_jitter", "avatar_attempts", "schema")
VARIABLE = "SGA_MODELS"
"""Environment variable: folders that hold model folders, separated as in PATH."""


def known_models() -> dict[str, Path]:
    """Model folders by name, the one that ships first. It has the name in its model.json, the others that of their folder; of
    two with one name the first counts: shipped, former, then SGA_MODELS from left to right."""
    models = {}
    raw = _raw(DEFAULT_MODEL)
    if raw is not None:
        models[str(raw.get("name"))] = DEFAULT_MODEL
    places = [FORMER_MODELS, *(Path(place) for place in os.environ.get(VARIABLE, "").split(os.pathsep) if place)]
    for place in places:
        with suppress(OSError):  # what cannot be read holds no model for this user
            for path in sorted(place.iterdir()):
                with suppress(OSError):
                    if (path / "model.json").is_file():
                        models.setdefault(path.name, path)
    return models


def find_model(named: str | Path | None = None) -> Path:
    """The folder of a model: None = the one that ships; a name or a hash of `known_models`; else a path.

    Raises:
        ModelError: neither a model's name nor its folder.
    """
    if named is None:
        return DEFAULT_MODEL
    text, path = str(named), Path(named)
    if path.name != text or text in ("", ".", ".."):
        return path
    models = known_models()
    if text in models:
        return models[text]
    if path.is_dir():
        return path
    for one in models.values():
        if text in _hashes(one):
            return one
    raise ModelError(
        f"Expected a model folder or the name of a model ({', '.join(models)}), found {text!r}. "
        f"Name another with --model, or put its folder into one that {VARIABLE} names."
    )


def name_of(digest: str) -> str | None:
    """The name of the known model that has this hash or drawing hash, None where none has."""
    return next((name for name, path in known_models().items() if digest in _hashes(path)), None)


def model_hash(raw: Mapping[str, Any]) -> str:
    """16 hex digits over the canonical JSON of a model.json."""
    return _digest(raw)


def drawing_hash(raw: Mapping[str, Any]) -> str:
    """16 hex digits over what decides a face in a model.json: generator, styles, critic and how latents are drawn. Another
    judge, card or threshold leaves it as it is."""
    files = raw.get("files")
    pinned = {name: files.get(name) for name in _DRAWS} if isinstance(files, Mapping) else {}
    return _digest({**{name: raw.get(name) for name in _SHAPES}, "files": pinned})


def _digest(value: Mapping[str, Any]) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _raw(path: Path) -> dict[str, Any] | None:
    """A model.json, None where there is none to read: who only looks for a name is not to fail over another's damage."""
    try:
        raw = json.loads((path / "model.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return raw if isinstance(raw, dict) else None


def _hashes(path: Path) -> tuple[str, ...]:
    raw = _raw(path)
    try:
        return () if raw is None else (model_hash(raw), drawing_hash(raw))
    except ValueError:
        return ()
