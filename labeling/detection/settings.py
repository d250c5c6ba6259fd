"""Settings of the face detection in `sga ingest`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from configs.settings import Settings

__all__ = ["DetectionSettings"]


class DetectionSettings(Settings):
    """How faces are found in illustrations and cut out. Off while neither `cascade` nor `detector` is named."""

    cascade: str = Field("", description="OpenCV cascade (XML)")
    detector: str = Field("", description="face detector (ONNX)")
    zoom: float = Field(
        1.5, ge=1, le=4, description="side of the crop over that of the face's box (Jin et al. 2017, section 3)"
    )
    shift: float = Field(0.0, ge=-0.5, le=0.5, description="the crop moved down (above 0) or up, in its sides")
    pad: Literal["edge", "white"] = Field("edge", description="what fills a crop that the picture cannot hold")
    min_face: int = Field(
        32,
        ge=8,
        description="smallest side of a face's box, px; a cascade in effect sees those of 1.25 times it, none under half "
        "its window (12 px)",
    )
    max_faces: int = Field(200, ge=1, description="a picture with more is not taken")
    min_score: float | None = Field(None, ge=0, le=1, description="least score of a face; None = the detector's own default")
    iou: float = Field(0.3, gt=0, le=1, description="boxes that overlap more are one face")
    inside: float = Field(
        0.6, gt=0, le=1, description="a box that lies in a better one by more than this share is the same face"
    )
    rotations: tuple[float, ...] = Field((-30.0, 30.0), description="degrees in which leaning faces are looked for")
    rotate: Literal["never", "empty", "always"] = Field(
        "empty", description="when to look in the rotations: never, where no upright face was found, always"
    )
    working_size: int = Field(
        608,
        ge=64,
        le=8192,
        description="cascade: longer side of what is searched at once, px; a picture too large for its "
        "smallest faces to show is searched in tiles of it too",
    )
    scale_factor: float = Field(1.22, gt=1, le=2, description="cascade: step between the sizes that are searched")
    neighbors: int = Field(1, ge=1, description="cascade: windows that must agree before a place is looked at again")
    input_size: int = Field(640, ge=16, le=4096, description="ONNX: side of the input where the model leaves it open, px")
    layout: Literal["auto", "yolo", "yolo5", "rows", "boxes"] = Field(
        "auto",
        description="ONNX: one output of boxes and class scores (yolo), with an objectness between them (yolo5), of boxes, "
        "score and class (rows), or an output for boxes and one for scores (boxes)",
    )
    box_format: Literal["auto", "cxcywh", "xywh", "xyxy"] = Field("auto", description="ONNX: what a box's four numbers are")
    box_unit: Literal["auto", "pixel", "share"] = Field("auto", description="ONNX: boxes in px of the input, or shares of it")
    input_scale: float = Field(255.0, gt=0, description="ONNX: pixels are divided by this, after `input_mean` is taken off")
    input_mean: float = Field(0.0, description="ONNX: taken off pixels of 0 … 255")
    channels: Literal["rgb", "bgr"] = Field("rgb", description="ONNX: order of the colours")
    face_class: int = Field(-1, ge=-1, description="ONNX: number of the class face; -1 = any, but for a background")
    logits: bool = Field(False, description="ONNX: scores are logits")

    @model_validator(mode="after")
    def _one(self) -> DetectionSettings:
        if self.cascade and self.detector:
            raise ValueError("name a cascade or a detector, not both")
        return self

    @property
    def on(self) -> bool:
        """Whether faces are looked for at all."""
        return bool(self.cascade or self.detector)
