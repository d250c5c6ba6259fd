"""Settings of `sga ingest`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from configs.settings import Settings
from labeling.detection.settings import DetectionSettings
from labeling.tags.settings import TaggerSettings

__all__ = ["IngestSettings"]

SIDECAR = "sidecar"


class IngestSettings(Settings):
    """How pictures and a CSV of labels become faces. `radius`, `test` and `validation` decide the splits of new faces."""

    schema_name: str = Field("faces", description="a schema that ships, or a YAML file")
    size: int = Field(96, ge=16, le=512, description="side of the stored faces, px")
    fit: Literal["crop", "pad"] = Field(
        "crop", description="a picture that is not square: cut its longer side, or white margins"
    )
    min_size: int = Field(16, ge=2, description="smallest side of a picture, px")
    max_pixels: int = Field(64_000_000, ge=1, description="largest picture, px")
    max_aspect: float = Field(2.0, ge=1, description="longest side over shortest")
    source: Literal["original", "human"] = Field("original", description="who said what the CSV says")
    human: tuple[str, ...] = Field((), description="columns of the CSV that a person filled by looking at each picture")
    ignore: tuple[str, ...] = Field((), description="columns of the CSV that are no attribute")
    group: str = Field("", description="column of the CSV whose equal values share a split, as one character's pictures should")
    drop: tuple[str, ...] = Field((), description="COLUMN=VALUE: rows whose faces are left out, and leave the workspace")
    test: float = Field(0.15, ge=0, lt=1, description="share of the groups")
    validation: float = Field(0.10, ge=0, lt=1, description="share of the groups")
    radius: int = Field(
        52, ge=0, le=60, description="near duplicates: differing bits of the 256-bit hash; 0 = equal hashes only"
    )
    workers: int = Field(0, ge=0, description="processes; 0 = one a core")
    detection: DetectionSettings = Field(
        default_factory=DetectionSettings, description="pictures are illustrations in which faces are looked for"
    )
    metadata: str = Field("", description="CSV: a column file, any others, such as year")
    where: tuple[str, ...] = Field((), description="conditions on the metadata: others are left out, and leave the workspace")
    tags: tuple[str, ...] = Field((), description="files of tags; sidecar = those beside the pictures")
    tag_map: str = Field("booru", description="what tags mean: a map that ships, or a YAML file")
    tag_threshold: float = Field(0.25, gt=0, le=1, description="least probability of a tag (Jin et al. 2017, section 3.2)")
    tag_thresholds: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(
        default_factory=dict, description="another threshold for single attributes"
    )
    tags_complete: bool = Field(False, description="a tag that a picture's list lacks is absent: no smile among them is no")
    tagger: TaggerSettings = Field(default_factory=TaggerSettings, description="infers tags of the faces")

    @model_validator(mode="after")
    def _consistent(self) -> IngestSettings:
        if self.test + self.validation >= 1:
            raise ValueError(f"test + validation must leave something to train on, found {self.test} + {self.validation}")
        for item in self.drop:
            if not all(item.partition("=")):
                raise ValueError(f"drop: expected COLUMN=VALUE, found {item!r}")
        return self

    @property
    def tagging(self) -> bool:
        """Whether tags are taken in, given or inferred."""
        return bool(self.tags or self.tagger.model)

    @property
    def sidecars(self) -> bool:
        """Whether text files beside the pictures are their tags."""
        return SIDECAR in self.tags

    @property
    def tag_files(self) -> tuple[Path, ...]:
        """The files among `tags`."""
        return tuple(Path(name) for name in self.tags if name != SIDECAR)

    @property
    def other_files(self) -> tuple[Path, ...]:
        """Files that decide which faces and tags are found: of the detector, the tagger, and a tag map of one's own."""
        named = (self.detection.cascade, self.detection.detector, self.tagger.model, self.tagger.tags)
        own = self.tagging and Path(self.tag_map).is_file()
        return tuple(Path(name) for name in (*named, self.tag_map if own else "") if name)

    @property
    def drops(self) -> tuple[tuple[str, str], ...]:
        """`drop` as pairs (column, value)."""
        return tuple((item.partition("=")[0], item.partition("=")[2]) for item in self.drop)
