"""The model folder: all that drawing needs, verified as it is read. No torch here."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import ConfigDict, Field, ValidationError, model_validator

from configs.errors import ModelError
from configs.files import write_json
from configs.settings import Settings
from labeling.schema import Attribute, Schema
from sga.model_names import DEFAULT_MODEL, drawing_hash, find_model, model_hash

__all__ = ["ALGORITHM", "DEFAULT_MODEL", "FORMAT", "SMALL_JUDGE", "UPSCALER", "ModelFolder", "ModelSpec", "seal_model_folder"]

FORMAT = 1
"""Version of the folder's layout."""
ALGORITHM = 1
"""Version of the way from (seed or ID, index, attempt) to latents and the attempt taken. Another one draws other faces."""

REQUIRED = ("generator.onnx", "judge.onnx", "styles.npz")
SMALL_JUDGE = "judge-small.onnx"
"""A judge of the same inputs and outputs for where every byte is downloaded."""
UPSCALER = "upscaler.onnx"
"""Enlarges pictures by 2: image (n, h, w, 3) uint8 to large (n, 2h, 2w, 3) uint8. No face that is drawn depends on it."""
OPTIONAL = ("critic.npz", SMALL_JUDGE, UPSCALER, "card.md")


class _Open(Settings):
    """Unknown fields are kept: a folder may carry notes that drawing does not read."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)


class Thresholds(_Open):
    """What the judge accepts."""

    quality: float = Field(ge=0, le=1, description="accepted from this quality on")
    quality_by_gender: dict[str, float] = Field({}, description="the same for faces of a gender, where it has its own")
    gender: float = Field(ge=0, le=1, description="accepted from this probability of the asked gender on")
    levels: dict[str, float] = Field(
        {}, description="quality from which a face counts as a named level; midpoints where absent"
    )
    levels_by_gender: dict[str, dict[str, float]] = Field(
        {}, description="the same by level for faces of a gender, where it has its own"
    )


class Defaults(_Open):
    """What is done unless asked otherwise."""

    max_attempts: int = Field(16, ge=1, description="draws a face may take")


class ModelSpec(_Open):
    """The part of `model.json` that drawing reads."""

    algorithm: int
    name: str
    attributes: Schema = Field(alias="schema")
    size: int = Field(ge=8, description="edge of a face, pixels")
    noise_size: int = Field(ge=1)
    style_size: int = Field(ge=0, description="0: the generator takes no style (GA-GAN)")
    style_source: Literal["features", "tags"] = Field(
        "features", description="what a style is: features of the style feature network, or the schema's tags (-1 and 1)"
    )
    style_prior: Literal["empirical", "truncated_normal"]
    style_jitter: float = Field(0.0, ge=0, description="scale of the truncated normal added to an empirical style")
    thresholds: Thresholds
    defaults: Defaults = Defaults()
    micro_batch: int = Field(8, ge=1, le=256, description="rows of every pass through the networks")
    avatar_attempts: int = Field(64, ge=1, description="attempts among which the latent critic chooses an avatar's")
    licence: str = Field("", description="licence note written into every picture")
    files: dict[str, str] = Field(description="SHA-256 of each file, hexadecimal")

    @model_validator(mode="after")
    def _roles(self) -> ModelSpec:
        for role in ("gender", "quality"):
            if len(self.attributes.with_role(role)) != 1:
                raise ValueError(f"schema: exactly one attribute of role {role} is needed")
        if self.style_source == "tags":
            count = sum(attribute.logits for attribute in self.attributes.with_role("style"))
            if (self.style_size, self.style_prior, self.style_jitter) != (count, "empirical", 0):
                raise ValueError(f"style_source tags needs style_size {count}, style_prior empirical and style_jitter 0")
        if self.gender.kind != "exclusive":
            raise ValueError(f"schema: {self.gender.name} must be exclusive, found {self.gender.kind}")
        return self

    @property
    def gender(self) -> Attribute:
        """The attribute of role gender."""
        return self.attributes.with_role("gender")[0]

    @property
    def quality(self) -> Attribute:
        """The attribute of role quality."""
        return self.attributes.with_role("quality")[0]

    @property
    def judged(self) -> tuple[Attribute, ...]:
        """Every attribute but quality, in the order of the judge's probabilities."""
        return tuple(a for a in self.attributes if a.role != "quality")

    def columns(self) -> dict[str, slice]:
        """Where each judged attribute stands in the judge's `probabilities`."""
        slices, start = {}, 0
        for attribute in self.judged:
            slices[attribute.name] = slice(start, start + attribute.logits)
            start += attribute.logits
        return slices

    def accepted_from(self, gender: str) -> float:
        """The quality from which a face of a gender is accepted unless another is asked for."""
        return self.thresholds.quality_by_gender.get(gender, self.thresholds.quality)

    def level(self, name: str, gender: str) -> float:
        """The quality from which a face of a gender counts as level `name`: its own or the common one as calibrated, or else
        halfway from the level below. The highest level is never laxer than what is accepted when none is asked for.

        Raises:
            InputError: no such level.
        """
        code = self.quality.code(name)
        halfway = 0.0 if code == 0 else (self.quality.target(code) + self.quality.target(code - 1)) / 2
        common = self.thresholds.levels.get(name, halfway)
        limit = self.thresholds.levels_by_gender.get(name, {}).get(gender, common)
        return max(limit, self.accepted_from(gender)) if code == self.quality.size - 1 else limit


@dataclass(frozen=True)
class ModelFolder:
    """A model folder whose `model.json` was read and checked. `read` checks each file's hash."""

    path: Path
    spec: ModelSpec
    hash: str
    """First 16 hex digits of SHA-256 over the canonical JSON of model.json, which pins every file."""
    drawing_hash: str
    """16 hex digits over what decides a face: generator, styles, critic, how latents are drawn; not the judge or the card."""

    @classmethod
    def load(cls, path: str | Path | None = None) -> ModelFolder:
        """Read the `model.json` of a folder, or of a model by its name or hash (None: the model that ships).

        Raises:
            ModelError: no such model, no or a damaged model.json, or one of another version.
        """
        path = find_model(path)
        raw = _read_json(path)
        for key, mine in (("format", FORMAT), ("algorithm", ALGORITHM)):
            if raw.get(key) != mine:
                raise ModelError(
                    f"Expected {key} {mine} in {path / 'model.json'}, found {raw.get(key)!r}. "
                    "Use the version of sga-gan that wrote the folder, or export the model anew: sga export --help"
                )
        try:
            spec = ModelSpec.model_validate(raw)
        except ValidationError as error:
            found = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
            raise ModelError(f"Expected a complete {path / 'model.json'}, found: {found}. Export the model anew.") from error
        for name in (*REQUIRED, *spec.files):
            if name not in spec.files or Path(name).name != name:
                raise ModelError(
                    f"Expected {path / 'model.json'} to pin plain file names ({', '.join(REQUIRED)} among them), "
                    f"found trouble with {name!r}. Export the model anew."
                )
        return cls(path, spec, model_hash(raw), drawing_hash(raw))

    def read(self, name: str) -> bytes:
        """The bytes of a file, which are those that model.json pins. They are hashed and handed out in one piece.

        Raises:
            ModelError: the file is missing or is not the one that was exported.
        """
        path = self.path / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ModelError(
                f"Expected {name} in the model folder {self.path}, found: {error.strerror}. Copy the whole folder again."
            ) from error
        found, pinned = hashlib.sha256(content).hexdigest(), self.spec.files[name]
        if found != pinned:
            raise ModelError(
                f"Expected {path} to have the SHA-256 {pinned[:16]}… that model.json pins, found {found[:16]}…: it was changed "
                "or damaged. Copy the whole folder again."
            )
        return content

    def read_all(self) -> dict[str, bytes]:
        """The bytes of every file by name, each verified as in `read`."""
        return {name: self.read(name) for name in self.spec.files}


def read_arrays(content: bytes, name: str) -> dict[str, np.ndarray]:
    """The arrays of an npz file; nothing in it is executed.

    Raises:
        ModelError: no npz.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}
    except Exception as error:  # numpy and zipfile raise a dozen kinds on damaged files
        raise ModelError(f"Expected arrays in {name}, found: {error}. Export the model anew.") from error


def seal_model_folder(path: str | Path, spec: Mapping[str, Any]) -> ModelFolder:
    """Hash the files that stand in `path`, write `model.json` last, and return the folder as a reader sees it.

    spec: what model.json holds; `format`, `algorithm` and `files` are set here. The files themselves are written before, by the
    exporter: generator.onnx, judge.onnx and styles.npz, and what is optional where there is such.

    Raises:
        ModelError: a file is missing or the spec is incomplete; no model.json is left then.
    """
    path = Path(path)
    missing = [name for name in REQUIRED if not (path / name).is_file()]
    if missing:
        raise ModelError(f"Expected {', '.join(REQUIRED)} in {path}, found no {', '.join(missing)}. Export the model anew.")
    present = [name for name in (*REQUIRED, *OPTIONAL) if (path / name).is_file()]
    files = {name: hashlib.sha256((path / name).read_bytes()).hexdigest() for name in present}
    raw = {**spec, "format": FORMAT, "algorithm": ALGORITHM, "files": files}
    write_json(path / "model.json", raw)
    try:
        return ModelFolder.load(path)
    except ModelError:
        (path / "model.json").unlink()
        raise


def _read_json(path: Path) -> dict[str, Any]:
    if not (path / "model.json").is_file():
        hint = "Name another with --model DIR, or make one: sga export" if path != DEFAULT_MODEL else "Install sga-gan again."
        raise ModelError(f"Expected a model folder with a model.json at {path}, found none. {hint}")
    try:
        raw = json.loads((path / "model.json").read_text(encoding="utf-8"))
        json.dumps(raw, allow_nan=False)  # loads takes NaN and infinity, which are not JSON and have no canonical text
    except (ValueError, OSError, RecursionError) as error:
        raise ModelError(f"Expected JSON in {path / 'model.json'}, found: {error}. Copy the whole folder again.") from error
    if not isinstance(raw, dict):
        raise ModelError(f"Expected a JSON object in {path / 'model.json'}, found a {type(raw).__name__}. Copy it again.")
    return raw
