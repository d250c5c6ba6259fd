"""What one run shows: pictures and pages with their names, or the sentence that stands where there is nothing to draw."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from sga.explore.data.faces import DataFaces
from sga.explore.picture import Picture, json_bytes

__all__ = ["Exhibit", "picture_of"]


@dataclass(frozen=True, eq=False)
class Exhibit:
    """name: of its files, without an ending; title: its heading; picture, or page: a whole HTML file with `record`, or neither,
    and then `sentence` says why."""

    name: str
    title: str
    picture: Picture | None = None
    page: bytes = b""
    record: dict[str, Any] | None = None
    sentence: str = ""

    def files(self, folder: Path) -> dict[Path, bytes]:
        """Its files with their content: PNG and JSON, HTML and JSON, or none."""
        path = folder / self.name
        if self.picture is not None:
            return {path.with_suffix(".png"): self.picture.png(), path.with_suffix(".json"): self.picture.json()}
        if self.page:
            return {path.with_suffix(".html"): self.page, path.with_suffix(".json"): json_bytes(self.record or {})}
        return {}

    def entry(self, made_from: str) -> dict[str, Any]:
        """What the index keeps of it. made_from: names the labels it was drawn from."""
        told: dict[str, Any] = {"name": self.name, "title": self.title, "made_from": made_from}
        if self.picture is not None:
            size = {"width": self.picture.image.width, "height": self.picture.image.height}
            return {**told, "file": f"{self.name}.png", "alt": self.picture.record["alt"], **size}
        if self.page:
            return {**told, "file": f"{self.name}.html", "alt": (self.record or {})["alt"]}
        return {**told, "sentence": self.sentence}


def picture_of(data: DataFaces, image: Image.Image, kind: str, alt: str, **facts: Any) -> Picture:
    """A picture of the data. facts: further fields of its record, ready for JSON."""
    record = {"kind": kind, "alt": alt, **data.facts(), **facts}
    return Picture(image, record, {"Software": "sga-gan", "Description": alt})
