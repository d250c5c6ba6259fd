"""Where generated faces come from: a trained generator as it draws, and a model folder whose judge has accepted them.

Each latent is a function of (seed, position), so batches and counts change no face.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from classifiers.data import to_uint8
from configs.errors import InputError, WorkspaceError
from labeling.provenance import MISSING_CODE
from labeling.schema import Attribute, Schema
from labeling.workspace import Workspace
from sga.export.provenance import chosen_rows
from sga.generation.face_model import FaceModel
from sga.generation.rng import Position, below, truncated_normal
from sga.generation.until_good import Report as Attempts
from sga.tags import tag_columns
from sga.training import GanSettings, load_training_faces
from sga.training.data import training_rows
from sga.training.snapshot import read_generator

__all__ = ["AcceptedFaces", "Faces", "GeneratorFaces", "StyleBank"]


class Faces(Protocol):
    """A source of generated faces."""

    def stream(self, gender: int, count: int) -> Iterator[np.ndarray]:
        """Batches (k, size, size, 3) uint8 of faces 0 … count - 1 of a gender, each batch drawn when it is asked for."""
        ...


@dataclass(frozen=True)
class StyleBank:
    """Styles of real training faces: style (m, style_size) float32, gender (m,) int64, and of each attribute the codes (m,)
    int64 that people or the data said, -1 where nobody did."""

    style: np.ndarray
    gender: np.ndarray
    codes: dict[str, np.ndarray]

    @classmethod
    def load(cls, workspace: Workspace, settings: GanSettings, folder: Path) -> StyleBank:
        """Of the faces that the adversarial training of the run in `folder` saw.

        Raises:
            WorkspaceError: as `load_training_faces`, or the training chose among other faces than are here now.
        """
        faces = load_training_faces(workspace, settings)
        table = workspace.table()
        table = table.select(training_rows(table))
        rows = chosen_rows(workspace, settings, folder)
        usable = faces.gender_weight > 0
        if settings.style_source == "tags":
            usable &= (faces.style != 0).all(axis=1)
        rows = rows[usable[rows]]
        codes = {
            one.name: np.where(table.labelled(one.name), table.codes(one.name), MISSING_CODE)[rows]
            for one in table.schema.with_role("style")
        }
        return cls(faces.style[rows].astype(np.float32), faces.gender[rows], codes)

    def rows(self, gender: int) -> np.ndarray:
        """(k,) int64 rows of a gender."""
        return np.flatnonzero(self.gender == gender)


@dataclass(frozen=True)
class _Asked:
    """What one pass of the generator is asked for: noise (n, noise_size), gender (n,), style (n, style_size)."""

    noise: np.ndarray
    gender: np.ndarray
    style: np.ndarray


class GeneratorFaces:
    """A generator's faces as they come, from its sampling prior."""

    def __init__(self, workspace: Workspace, folder: Path, seed: int, device: torch.device, batch: int = 64) -> None:
        """folder: generator.json and generator.safetensors.

        Raises:
            WorkspaceError: no generator there, one of another schema, or as `StyleBank.load`.
        """
        stored = read_generator(folder)
        self.settings = GanSettings.model_validate(stored.described["settings"])
        self.schema = workspace.table().schema
        made = Schema.model_validate(stored.described["schema"])
        if made.hash != self.schema.hash:
            raise WorkspaceError(
                f"Expected a generator of schema {self.schema.name} in {folder}, found one of another schema, {made.name}. "
                f"Train it on these faces: sga train --workspace {workspace.root}"
            )
        self.images = int(stored.described["images"])
        """Images that its training has seen."""
        self.hash = stored.hash
        self._network: nn.Module = stored.network(device)
        self.bank = StyleBank.load(workspace, self.settings, folder)
        self.seed, self.batch, self.device = seed, batch, device

    def stream(self, gender: int, count: int) -> Iterator[np.ndarray]:
        """As `Faces.stream`."""
        positions = (Position(f"seed:{self.seed}", index, 0) for index in range(count))
        yield from self._draw(positions, lambda position: (gender, self._style(gender, position)))

    def varied(self, gender: int, condition: int, draws: int) -> np.ndarray:
        """(draws, size, size, 3) uint8 of one gender and style, each with a noise of its own."""
        subject = f"seed:{self.seed}/varied"
        style = self._style(gender, Position(subject, condition, 0))
        positions = (Position(subject, condition, draw) for draw in range(draws))
        return np.concatenate([*self._draw(positions, lambda position: (gender, style))])

    def with_value(self, attribute: Attribute, code: int, count: int) -> tuple[np.ndarray, np.ndarray] | None:
        """(count, size, size, 3) uint8 faces that are asked to have a value, and their genders (count,); all else is random.

        Style features are those of a real training face that is labelled so. Of tags a real face's own are taken and those of
        the attribute set. Gender is that of the real face. None: no training face is labelled so.
        """
        tags = self.settings.style_source == "tags"
        rows = np.arange(len(self.bank.gender)) if tags else np.flatnonzero(self.bank.codes[attribute.name] == code)
        if not len(rows):
            return None
        subject = f"seed:{self.seed}/{attribute.name}={attribute.values[code]}"
        positions = [Position(subject, index, 0) for index in range(count)]
        picked = [rows[below("row", position, len(rows))] for position in positions]

        def ask(position: Position) -> tuple[int, np.ndarray]:
            row = picked[position.index]
            style = self._jittered(row, position)
            if tags:
                columns = tag_columns(self.schema)[attribute.name]
                style[columns] = np.where(np.arange(attribute.logits) == code, 1, -1) if attribute.logits > 1 else 2 * code - 1
            return int(self.bank.gender[row]), style

        images = np.concatenate([*self._draw(iter(positions), ask)])
        return images, self.bank.gender[np.asarray(picked)]

    def _style(self, gender: int, position: Position) -> np.ndarray:
        """(style_size,) float32 of the sampling prior: that of a real face of the gender, or a truncated normal."""
        if self.settings.style_size == 0:
            return np.zeros(0, dtype=np.float32)
        if self.settings.style_source == "features" and self.settings.style_prior == "truncated_normal":
            return truncated_normal("style", position, self.settings.style_size)
        rows = self.bank.rows(gender)
        if not len(rows):
            raise InputError(
                "Expected training faces of every gender to draw styles from, found none of one. Label or complete the gender."
            )
        return self._jittered(rows[below("row", position, len(rows))], position)

    def _jittered(self, row: int, position: Position) -> np.ndarray:
        style: np.ndarray = self.bank.style[row].copy()
        if self.settings.style_source == "features" and self.settings.style_prior == "empirical":
            style += np.float32(self.settings.style_jitter) * truncated_normal("style", position, len(style))
        return style

    def _draw(self, positions: Iterator[Position], ask: Callable[[Position], tuple[int, np.ndarray]]) -> Iterator[np.ndarray]:
        """Batches of faces, drawn when they are asked for."""
        while part := list(islice(positions, self.batch)):
            noise = [truncated_normal("noise", position, self.settings.noise_size) for position in part]
            gender, style = zip(*(ask(position) for position in part), strict=True)
            yield self._render(_Asked(np.stack(noise), np.asarray(gender), np.stack(style)))

    @torch.inference_mode()
    def _render(self, asked: _Asked) -> np.ndarray:
        n = len(asked.noise)
        rows = np.arange(self.batch) % n  # a pass of always the same size: a face does not depend on its company
        style = torch.from_numpy(asked.style[rows]).to(self.device) if self.settings.style_size else None
        noise, gender = (torch.from_numpy(part[rows]).to(self.device) for part in (asked.noise, asked.gender))
        return to_uint8(self._network(noise, gender, style))[:n]


class AcceptedFaces:
    """Faces of a model folder that its judge accepted, each drawn again until it did."""

    def __init__(self, model: FaceModel, schema: Schema, seed: int, max_attempts: int | None = None, batch: int = 64) -> None:
        """Raises WorkspaceError: the model is of another schema."""
        if model.spec.attributes.hash != schema.hash:
            raise WorkspaceError(
                f"Expected a model folder of schema {schema.name}, found one of another schema, {model.spec.attributes.name}. "
                "Name another with --model."
            )
        self.model, self.seed, self.batch = model, seed, batch
        self.max_attempts = max_attempts or model.spec.defaults.max_attempts
        self.attempts: dict[str, Attempts] = {}
        """What drawing took, by gender, of the faces of `stream`."""

    def stream(self, gender: int, count: int) -> Iterator[np.ndarray]:
        """As `Faces.stream`; a face that never passes is left out."""
        name = self.model.spec.gender.values[gender]
        self.attempts[name] = report = Attempts()
        yield from self._accepted(name, count, self.seed, {}, report)

    def with_value(self, attribute: Attribute, code: int, genders: Sequence[int]) -> np.ndarray:
        """(k, size, size, 3) uint8 accepted faces of the given genders with a value asked for, which the judge must see too;
        fewer where some never pass, or no real face of the model has gender and value."""
        value = attribute.values[code]
        digest = hashlib.blake2b(f"{self.seed}/{attribute.name}={value}".encode(), digest_size=7).digest()
        found = [np.zeros((0, self.model.size, self.model.size, 3), dtype=np.uint8)]
        for gender, name in enumerate(self.model.spec.gender.values):
            count = sum(one == gender for one in genders)
            if count:
                seed = int.from_bytes(digest, "little")
                try:
                    found += self._accepted(name, count, seed, {attribute.name: value}, Attempts())
                except InputError:  # no style of a real face has both: nothing that could be drawn
                    continue
        return np.concatenate(found)

    def _accepted(self, gender: str, count: int, seed: int, where: Mapping[str, str], report: Attempts) -> Iterator[np.ndarray]:
        waiting: list[Any] = []
        arguments: dict[str, Any] = {"max_attempts": self.max_attempts, "on_exhausted": "gap", "where": where, "report": report}
        for face in self.model.stream(gender, count, seed, **arguments):
            waiting.append(face.image)
            if len(waiting) == self.batch:
                yield np.stack(waiting)
                waiting = []
        if waiting:
            yield np.stack(waiting)
