"""Bodies of requests and answers, made from the schema of the model that is served."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model

from sga.generation.conditions import ANY
from sga.model_folder import ModelSpec
from sga.service.settings import ServiceSettings

__all__ = ["DrawnFace", "Generated", "Health", "generate_body", "literal", "size_told"]


def _whole(least: int, most: int) -> Any:
    """The type of an integer within bounds; 31.0 is one to JSON."""

    def as_integer(value: Any) -> Any:
        return int(value) if isinstance(value, float) and value.is_integer() else value

    return Annotated[int, Field(ge=least, le=most), BeforeValidator(as_integer)]


def literal(*values: str) -> Any:
    """The type of one of these texts."""
    return Literal[values]


def size_told(spec: ModelSpec, settings: ServiceSettings) -> str:
    """What OpenAPI says of a picture's size."""
    return f"edge in pixels, {settings.min_size} … {settings.max_size}; without it {spec.size}, as drawn"


class DrawnFace(BaseModel):
    """One face."""

    index: int = Field(description="its number under the seed")
    gender: str = Field(description="as asked, or as the face drew for itself")
    accepted: bool = Field(description="whether the judge accepted it; false: the best of its attempts")
    failed: list[str] = Field(description="names of the attributes by which the judge turned it down")
    attempt: int = Field(description="the attempt that was taken, from 0")
    attempts: int = Field(description="how many were judged")
    quality: float = Field(ge=0, le=1, description="the judge's")
    probabilities: dict[str, dict[str, float]] = Field(description="the judge's, by attribute and value")
    png: str = Field(description="the picture, base64", json_schema_extra={"contentEncoding": "base64"})


class Generated(BaseModel):
    """Faces of a seed. The same request draws them again, with any count."""

    model: str = Field(description="hash of the model")
    seed: int
    attempts: int = Field(description="as many as drawing one by one would have made")
    acceptance: float = Field(ge=0, le=1, description="share of them that the judge accepted")
    faces: list[DrawnFace]


class Health(BaseModel):
    """Whether faces can be drawn, and by what."""

    status: Literal["ready", "failed"]
    model: str = Field(description="name of the model")
    hash: str = Field(description="hash of the model folder with all its files")
    drawing_hash: str = Field(description="hash of what decides a face: the generator, its styles, the critic")
    algorithm: int
    size: int = Field(description="edge of a face as drawn, pixels")
    genders: list[str]
    queue: int = Field(description="faces taken on and not finished")
    version: str = Field(description="of sga-gan")


def generate_body(spec: ModelSpec, settings: ServiceSettings) -> type[BaseModel]:
    """The body of POST /generate: what this model knows, as far as the service allows it.

    Seeds end at 2**53 - 1, up to which every reader of JSON holds integers exactly.
    """
    strict = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    style = [attribute for attribute in spec.judged if attribute.role == "style"]
    wanted: dict[str, Any] = {one.name: (literal(*one.values) | None, None) for one in style}
    where = create_model("Where", __config__=strict, __doc__="Values that the judge must see.", **wanted)
    quality = literal(*spec.quality.values)
    together = f"those larger than drawn have at most {settings.max_pixels} pixels together, where there are several"
    fields: dict[str, Any] = {
        "gender": (literal(*spec.gender.values, ANY), Field(ANY, description="any: each face draws its own")),
        "count": (_whole(1, settings.max_count), 1),
        "seed": (_whole(0, 2**53 - 1) | None, Field(None, description="same seed, same faces; without it a new one")),
        "where": (where, Field(default_factory=where)),
        "min_quality": (
            quality | Annotated[float, Field(ge=0, le=1)] | None,
            Field(None, description="a number, or a level by name; without it as the model was calibrated"),
        ),
        "max_attempts": (_whole(1, settings.max_attempts) | None, Field(None, description="draws that a face may take")),
        "on_exhausted": (literal("best", "gap"), Field("best", description="a face that never passed: its best, or none")),
        "size": (
            _whole(settings.min_size, settings.max_size) | None,
            Field(None, description=f"{size_told(spec, settings)}; {together}"),
        ),
        "format": (literal("json", "zip"), Field("json", description="JSON with base64 pictures, or a zip of PNG files")),
    }
    return create_model("Generate", __config__=strict, __doc__="What to draw.", **fields)
