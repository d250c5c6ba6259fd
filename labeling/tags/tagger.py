"""Any tagger as an ONNX file: how it wants its pictures, and what its outputs are. ONNX Runtime alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from configs.errors import InputError
from labeling.tags.settings import TaggerSettings
from labeling.tags.tag_list import TagList

__all__ = ["InputFormat", "Tagger"]

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
_SCALES = {"0..1": (0, 255), "-1..1": (-1, 127.5), "0..255": (0, 1)}
"""Range → (its least value, levels a unit)."""
_PIXELS = {"Rgb8": "rgb", "Bgr8": "bgr"}
_RANGES = {"Normalized_0_1": "0..1", "Normalized_1_1": "-1..1", "NominalRange_0_255": "0..255"}


@dataclass(frozen=True)
class InputFormat:
    """A batch of pictures as a model wants them. mean, std: a colour each, in the order of `channels`."""

    layout: Literal["nchw", "nhwc"]
    size: int
    channels: str
    values: str
    dtype: np.dtype
    batch: int | None  # None = any
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)

    @classmethod
    def of(
        cls, shape: Sequence[Any], kind: str, declared: Mapping[str, str], wd14: bool, settings: TaggerSettings, where: str
    ) -> InputFormat:
        """What the settings say; else what the model's input and its metadata declare (`Image.BitmapPixelFormat` and
        `Image.NominalPixelRange` of the ONNX standard); else RGB in 0 … 1, for WD14 BGR in 0 … 255, for bytes 0 … 255.

        shape, kind: of the input, as ONNX Runtime tells them; where: names the model in errors.

        Raises:
            InputError: no picture input, or its layout or size is open and the settings leave it so too.
        """
        if len(shape) != 4 or kind not in _TYPES:
            raise InputError(f"Expected {where} to take pictures (4 axes, float or uint8), found {kind} {list(shape)}.")
        layout = settings.layout or ("nchw" if shape[1] == 3 else "nhwc" if shape[3] == 3 else None)
        if layout is None:
            raise InputError(
                f"Expected three colours among the axes of the input of {where}, found {list(shape)}. "
                "Type --set tagger.layout=nchw or nhwc."
            )
        height, width = (shape[2], shape[3]) if layout == "nchw" else (shape[1], shape[2])
        known = [side for side in (height, width) if isinstance(side, int) and side > 0]
        size = known[0] if known else settings.size
        if size is None or len(set(known)) > 1 or settings.size not in (None, size):
            raise InputError(
                f"Expected {where} to take square pictures of a known size, found {list(shape)}"
                + (f" and size {settings.size}" if settings.size else "")
                + ". Type --set tagger.size=PIXELS, or leave it out where the model has its own."
            )
        dtype = np.dtype(_TYPES[kind])
        fallback = "0..255" if wd14 or dtype == np.uint8 else "0..1"
        values = settings.values or _RANGES.get(declared.get("Image.NominalPixelRange", "")) or fallback
        if dtype == np.uint8 and (values != "0..255" or settings.mean or settings.std):
            raise InputError(
                f"Expected pixels of 0..255 as {where} takes bytes, found other settings. Leave out tagger.values."
            )
        return cls(
            layout,
            size,
            settings.channels or _PIXELS.get(declared.get("Image.BitmapPixelFormat", "")) or ("bgr" if wd14 else "rgb"),
            values,
            dtype,
            shape[0] if isinstance(shape[0], int) and shape[0] > 0 else None,
            settings.mean or cls.mean,
            settings.std or cls.std,
        )

    def __str__(self) -> str:
        return f"{self.size} px, {self.layout.upper()}, {self.channels.upper()}, {self.values}, {self.dtype}"

    def prepare(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """(n, h, w, 3) uint8 RGB, or a list of such pictures → the model's input of n rows."""
        fitted = np.stack([self._fit(picture) for picture in pictures])
        if self.channels == "bgr":
            fitted = fitted[..., ::-1]
        if self.dtype != np.uint8:
            low, levels = _SCALES[self.values]
            mean, std = (np.array(colours, dtype=np.float32) for colours in (self.mean, self.std))
            fitted = (fitted / np.float32(levels) + np.float32(low) - mean) / std
        if self.layout == "nchw":
            fitted = fitted.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(fitted, dtype=self.dtype)

    def _fit(self, picture: np.ndarray) -> np.ndarray:
        if picture.shape[:2] == (self.size, self.size):
            return picture
        return np.asarray(Image.fromarray(picture).resize((self.size, self.size), Image.Resampling.BICUBIC))


class Tagger:
    """A model and its tags. `format` says how it is fed, `logits` whether its outputs go through a sigmoid."""

    def __init__(self, settings: TaggerSettings, tag_list: TagList, threads: int = 0) -> None:
        """threads: 0 = one a core.

        Raises:
            InputError: no ONNX model, one without a picture input, or without one output a tag.
        """
        import onnxruntime

        self.path, self.tag_list = Path(settings.model), tag_list
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        try:
            self._session = onnxruntime.InferenceSession(str(self.path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime's own exceptions share no base below Exception
            found = " ".join(str(error).split()) if self.path.is_file() else "no file"
            raise InputError(f"Expected a tagger as an ONNX model at {self.path}, found: {found}. Correct --tagger.") from error
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            names = ", ".join(one.name for one in inputs)
            raise InputError(f"Expected {self.path} to take pictures alone, found the inputs {names}. Name another --tagger.")
        declared = self._session.get_modelmeta().custom_metadata_map
        where = str(self.path)
        self.format = InputFormat.of(inputs[0].shape, inputs[0].type, declared, tag_list.wd14, settings, where)
        self.batch = self.format.batch or settings.batch
        self._input = inputs[0].name
        self._output, beyond = self._find_output()
        self.logits = beyond if settings.output is None else settings.output == "logits"

    def _find_output(self) -> tuple[str, bool]:
        """The output with a number a tag, and whether its numbers for a few pictures, always the same, leave 0 … 1; one whose
        numbers do not, where there are several."""
        noise = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
        plain = [np.full((32, 32, 3), level, dtype=np.uint8) for level in (0, 128, 255)]
        outputs = self._session.get_outputs()
        parts = [self._run([one.name for one in outputs], [picture]) for picture in (*plain, *noise)]
        found = []
        for place, one in enumerate(outputs):
            if parts[0][place].size == len(self.tag_list.tags):
                numbers = np.stack([part[place] for part in parts])
                found.append((one.name, bool(numbers.min() < 0 or numbers.max() > 1)))
        if not found:
            shapes = ", ".join(f"{one.name} {list(one.shape)}" for one in outputs)
            raise InputError(
                f"Expected {self.path} to give {len(self.tag_list.tags)} numbers a picture, one a tag of {self.tag_list.path}; "
                f"found {shapes}. Name the list that belongs to the model with --tag-list."
            )
        return min(found, key=lambda one: one[1])

    def _run(self, outputs: list[str], pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The outputs of at most `batch` pictures, a row each. A fixed batch is filled up with the first."""
        fixed = self.format.batch or len(pictures)
        batch = self.format.prepare([*pictures, *[pictures[0]] * (fixed - len(pictures))])
        try:
            told = self._session.run(outputs, {self._input: batch})
        except Exception as error:
            raise InputError(
                f"Expected {self.path} to run on pictures of {self.format}, found: {' '.join(str(error).split())}. "
                "Correct --set tagger.size or tagger.layout."
            ) from error
        return [np.asarray(one)[: len(pictures)] for one in told]

    def __call__(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """(n, tags) float32 probabilities of n pictures, (h, w, 3) uint8 RGB each.

        Raises:
            InputError: the outputs are not finite, or are no probabilities although the settings or the first pictures say so.
        """
        rows: list[np.ndarray] = []
        for start in range(0, len(pictures), self.batch):
            part = pictures[start : start + self.batch]
            rows.append(self._run([self._output], part)[0].reshape(len(part), -1).astype(np.float32))
        numbers: np.ndarray = np.concatenate(rows)
        if self.logits:
            numbers = 1 / (1 + np.exp(-np.clip(numbers, -80, 80)))
        if not ((numbers >= -1e-3) & (numbers <= 1 + 1e-3)).all():
            low, high = float(np.min(numbers)), float(np.max(numbers))
            raise InputError(
                f"Expected probabilities in 0 … 1 from {self.path}, found {low:.3g} … {high:.3g}. "
                "Type --set tagger.output=logits, if that is what it gives."
            )
        return np.clip(numbers, 0, 1)
