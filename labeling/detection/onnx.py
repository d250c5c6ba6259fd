"""Any face detector as an ONNX file: one picture in, boxes and scores out, in the layouts that detectors are exported with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from configs.errors import InputError
from labeling.detection.detector import DetectorError
from labeling.detection.settings import DetectionSettings

__all__ = ["OnnxDetector"]

_GRAY = 114  # of the margins that a letterboxed picture gets, as YOLO's
_FEW = 1000  # rows of six numbers up to which one output holds detections, not a grid of guesses
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
_SET = "sga ingest --dry-run shows the settings detection.layout, box_format and box_unit, and --set changes them."


class OnnxDetector:
    """`Detector` by an ONNX model with one picture input, (1, 3, h, w) or (1, h, w, 3), float or uint8.

    The picture is shrunk or enlarged into the upper left corner of the input, its ratio kept. Outputs, told apart by shape
    unless the settings say which:
    yolo   (1, 4 + classes, n) or (1, n, 5): box, class scores
    yolo5  (1, n, 5 + classes): box, objectness, class scores; a score is their product
    rows   (1, n ≤ 1000, 6): box, score, class, as models that merge their boxes themselves
    boxes  (1, n, 4) and (1, n) or (1, n, classes): of two classes the first is the background
    """

    min_score = 0.4

    def __init__(self, settings: DetectionSettings) -> None:
        import onnxruntime

        self._settings = settings
        path = Path(settings.detector)
        if not path.is_file():
            raise InputError(f"Expected a face detector at {path}, found nothing. Name an ONNX file with --detector.")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # ingest runs a process a core
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime has an exception a cause
            said = " ".join(str(error).split())[:200]
            raise InputError(f"Expected an ONNX model at {path}, found: {said}. Name another with --detector.") from error
        self._name, self._type, self._first, self._size = self._input(path)

    def _input(self, path: Path) -> tuple[str, type, bool, tuple[int, int]]:
        """Name, type, whether channels come first, (width, height) of the input."""
        inputs = self._session.get_inputs()
        found = ", ".join(f"{one.name} {one.type}{one.shape}" for one in inputs)
        for one in inputs:
            if len(inputs) == 1 and len(one.shape) == 4 and one.type in _TYPES and 3 in (one.shape[1], one.shape[3]):
                first = one.shape[1] == 3
                high, wide = one.shape[2:] if first else one.shape[1:3]
                open_size = self._settings.input_size
                size = (wide if isinstance(wide, int) else open_size, high if isinstance(high, int) else open_size)
                return one.name, _TYPES[one.type], first, size
        raise InputError(
            f"Expected one input (1, 3, h, w) or (1, h, w, 3) of float or uint8 in {path}, found {found}. "
            "Export the detector so, and name it with --detector."
        )

    def detect(self, pixels: np.ndarray, longest: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """See `Detector`.

        Raises:
            DetectorError: it does not run, or numbers that are not finite, or scores outside [0, 1] come out.
            InputError: outputs of shapes that are not understood.
        """
        inputs, scale = self._letterbox(pixels)
        try:
            outputs = self._session.run(None, {self._name: inputs})
        except Exception as error:  # as above
            said = " ".join(str(error).split())[:200]
            raise DetectorError(
                f"Expected {self._settings.detector} to run on an input of {'×'.join(map(str, inputs.shape))}, found: {said}. "
                "Type --set detection.input_size=SIDE where the model wants another size."
            ) from error
        boxes, scores, layout = self._understand([np.asarray(output) for output in outputs])
        return self._pixel_boxes(boxes, layout) / scale, scores

    def _letterbox(self, pixels: np.ndarray) -> tuple[np.ndarray, float]:
        """The input, and what a px of the picture is long there."""
        wide, high = self._size
        scale = min(wide / pixels.shape[1], high / pixels.shape[0])
        size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
        image = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
        canvas: np.ndarray = np.full((high, wide, 3), _GRAY, dtype=np.uint8)
        canvas[: size[1], : size[0]] = np.asarray(image)
        if self._settings.channels == "bgr":
            canvas = canvas[..., ::-1]
        values: Any = canvas
        if self._type is not np.uint8:
            values = (canvas.astype(np.float32) - self._settings.input_mean) / self._settings.input_scale
        values = values.transpose(2, 0, 1) if self._first else values
        return np.ascontiguousarray(values[None], dtype=self._type), scale

    def _understand(self, outputs: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, str]:
        """Boxes (n, 4) as the model means them, scores (n,) in [0, 1], and the layout."""
        tables = [output[0] if output.ndim > 1 and output.shape[0] == 1 else output for output in outputs]
        layout = self._guess(tables, outputs) if self._settings.layout == "auto" else self._settings.layout
        if layout == "boxes":
            boxes, scores = self._two(tables, outputs)
        else:
            table = self._table(tables[0], layout, outputs)
            boxes, rest = table[:, :4], table[:, 4:]
            if layout == "rows":
                scores = rest[:, 0] if self._settings.face_class < 0 else rest[:, 0] * (rest[:, 1] == self._settings.face_class)
            elif layout == "yolo5":
                scores = self._as_share(rest[:, 0]) * self._class(self._as_share(rest[:, 1:]), background=False)
            else:
                scores = self._class(rest, background=False)
        scores = scores if layout == "yolo5" else self._as_share(scores)
        if not np.isfinite(scores).all() or not np.isfinite(boxes).all():
            raise DetectorError(str(self._strange(outputs, "numbers that are not finite")))
        if len(scores) and not (scores.min() >= 0 and scores.max() <= 1 + 1e-4):
            found = f"scores of {scores.min():.3g} … {scores.max():.3g}, --set detection.logits=true may be missing"
            raise DetectorError(str(self._strange(outputs, found)))
        return boxes.astype(np.float64), np.clip(scores, 0, 1).astype(np.float64), layout

    def _guess(self, tables: list[np.ndarray], outputs: list[np.ndarray]) -> str:
        if len(tables) > 1:
            return "boxes"
        table = tables[0]
        if table.ndim == 2 and min(table.shape) >= 5:
            if table.shape[1] == 6 and table.shape[0] <= _FEW:
                return "rows"
            return "yolo" if table.shape[0] < table.shape[1] or table.shape[1] == 5 else "yolo5"
        if table.ndim == 2 and table.shape[0] == 0 and table.shape[1] in (5, 6):
            return "rows"
        raise self._strange(outputs, "no table of boxes")

    def _table(self, table: np.ndarray, layout: str, outputs: list[np.ndarray]) -> np.ndarray:
        """(n, 5 …): detections in rows."""
        if table.ndim != 2:
            raise self._strange(outputs, "no table of boxes")
        rows = table.T if layout == "yolo" and table.shape[0] < table.shape[1] and table.shape[1] != 5 else table
        if rows.shape[1] < (5 if layout == "yolo" else 6):
            raise self._strange(outputs, f"rows of {rows.shape[1]} numbers")
        return rows.astype(np.float32)

    def _two(self, tables: list[np.ndarray], outputs: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Boxes and scores of outputs of their own, whatever their names; integers (classes, counts) are passed over."""
        floats = [table for table in tables if table.dtype.kind == "f"]
        boxes = next((table for table in floats if table.ndim == 2 and table.shape[1] == 4), None)
        if boxes is None:
            raise self._strange(outputs, "no output of boxes (n, 4)")
        scores = next((t for t in floats if t is not boxes and t.ndim in (1, 2) and len(t) == len(boxes)), None)
        if scores is None:
            raise self._strange(outputs, f"no output of {len(boxes)} scores beside the boxes")
        return boxes, scores if scores.ndim == 1 else self._class(scores, background=scores.shape[1] == 2)

    def _class(self, scores: np.ndarray, background: bool) -> np.ndarray:
        """(n,) of (n, classes)."""
        chosen = self._settings.face_class
        if chosen >= scores.shape[1]:
            raise InputError(
                f"Expected a class below {scores.shape[1]}, found --set detection.face_class={chosen}. Correct it."
            )
        picked = scores[:, chosen] if chosen >= 0 else scores[:, int(background) :].max(axis=1)
        return np.asarray(picked)

    def _as_share(self, scores: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-scores.astype(np.float64))) if self._settings.logits else scores

    def _pixel_boxes(self, boxes: np.ndarray, layout: str) -> np.ndarray:
        """Left, top, width, height in px of the input."""
        form, unit = self._settings.box_format, self._settings.box_unit
        if form == "auto":
            form = "cxcywh" if layout in ("yolo", "yolo5") else "xyxy"
        if unit == "share" or (unit == "auto" and len(boxes) and np.abs(boxes).max() <= 2):
            boxes = boxes * np.array([*self._size, *self._size], dtype=np.float64)
        left, size = boxes[:, :2], boxes[:, 2:]
        if form == "xyxy":
            size = size - left
        elif form == "cxcywh":
            left = left - size / 2
        return np.concatenate([left, np.maximum(size, 0)], axis=1)

    def _strange(self, outputs: list[np.ndarray], found: str) -> InputError:
        shapes = ", ".join(
            f"{one.name} {'×'.join(map(str, output.shape))}"
            for one, output in zip(self._session.get_outputs(), outputs, strict=True)
        )
        return InputError(
            f"Expected outputs of a face detector from {self._settings.detector}, found {found} in {shapes}. {_SET}"
        )
