"""What a PNG of ours says of itself, read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from configs.errors import InputError, ModelError
from sga.generation.latents import Latents
from sga.generation.pictures import open_picture
from sga.model_folder import ModelFolder
from sga.model_names import name_of

__all__ = ["HOW", "Metadata", "read_metadata"]

HOW = (
    *("made", "asked", "criterion", "registry", "where", "truncation", "like"),
    *("style_of", "noise_of", "blend_of", "variation_of", "strength"),
    *("size", "upscaler"),
)
"""Keys of a face's `how`."""


@dataclass(frozen=True)
class Metadata:
    """The text of a PNG that sga wrote, by key as in `Face.metadata`."""

    path: Path
    text: Mapping[str, str]

    @property
    def how(self) -> dict[str, str]:
        """The notes of how the face was made, in the order of the text: so it becomes the same file again."""
        return {key: value for key, value in self.text.items() if key in HOW}

    def number(self, key: str) -> int:
        """A whole number.

        Raises:
            InputError: no such key, or no number.
        """
        try:
            return int(self.text[key])
        except (KeyError, ValueError) as error:
            raise _damaged(self.path, key, self.text.get(key)) from error

    def drawn_by(self, folder: ModelFolder) -> bool:
        """Whether a model draws this face: the one that it names, or one that draws the same faces."""
        return folder.hash == self.text.get("model") or folder.drawing_hash == self.text.get("drawing", "none")

    def check_model(self, folder: ModelFolder) -> None:
        """Refuse another model's face.

        Raises:
            ModelError: names the model to load, where it is known here.
        """
        if self.drawn_by(folder):
            return
        text = self.text
        name = name_of(text.get("drawing", "")) or name_of(text.get("model", ""))
        called = f"{text.get('model_name') or 'model'} ({text.get('model', 'no hash')})"
        way = f"Type: --model {name}" if name else "Name the folder of that model with --model."
        raise ModelError(
            f"Expected a face that the model {folder.spec.name} ({folder.hash}) drew, "
            f"found one of {called} at {self.path}. {way}"
        )

    def latents(self, folder: ModelFolder) -> Latents | None:
        """What the generator read, None where the text does not hold it, as before the format had it.

        Raises:
            InputError: the text is damaged.
        """
        if "latents" not in self.text:
            return None
        spec = folder.spec
        gender = self.text.get("gender")
        if gender not in spec.gender.values:
            raise _damaged(self.path, "gender", gender)
        return Latents.from_text(self.text["latents"], spec.gender.code(gender), spec.noise_size, spec.style_size)

    def style(self) -> np.ndarray:
        """(style_size,) float32 as the text has it."""
        return np.array(self.text.get("style", "").split(), dtype=np.float32)


def read_metadata(path: str | Path) -> Metadata | None:
    """The metadata of a picture, None where it is not one that sga wrote.

    Raises:
        InputError: the file is missing or no picture.
    """
    with open_picture(path) as picture:
        text = picture.text if isinstance(picture, Image.Image) and hasattr(picture, "text") else {}
    return Metadata(Path(path), dict(text)) if text.get("Software") == "sga-gan" else None


def _damaged(path: Path, key: str, found: str | None) -> InputError:
    return InputError(f"Expected {path} to say its {key}, found {found!r}. Take the picture as sga wrote it.")
