"""Tags in an ingest: gathered from files and sidecars, inferred by a tagger, written as original labels with their
confidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from labeling.ingest.index import Index
from labeling.ingest.labels import LabelRow, Labels, match, normal_file
from labeling.ingest.merge import Found, rows_of_faces, write_labels
from labeling.ingest.report import Conflict, write_csv
from labeling.ingest.settings import IngestSettings
from labeling.ingest.sources import Listing
from labeling.provenance import Source
from labeling.schema import Schema
from labeling.table import LabelTable
from labeling.tags.faces import FaceTagger
from labeling.tags.meaning import Meaning, TagMap
from labeling.tags.reading import Tags, join, read_tags
from labeling.tags.sidecars import read_sidecars
from labeling.workspace import Workspace

__all__ = ["TagIngest"]

_MOST = np.float32(1 - 1e-6)
"""The most confidence of a label that follows from tags: below 1, that of a label which somebody gave as such, so that a later
ingest can tell them apart. Given tags and a tagger's differ in the last bit of the float32, which is set in the former's (a
change of 6e-8 at most). So the order of ingests does not matter: a tagger corrects what a tagger said, given tags both."""


def _of_tags(confidence: np.ndarray) -> np.ndarray:
    """Whether labels follow from tags, by their confidence: (n,) bool of (n,) float32."""
    return confidence < 1


def _of_tagger(confidence: np.ndarray) -> np.ndarray:
    """Whether labels follow from a tagger, likewise."""
    return _of_tags(confidence) & ((confidence.view(np.uint32) & 1) == 0)


def _marked(probability: float, inferred: bool) -> float:
    """The confidence of a label of this probability: of a tagger's if `inferred`, else of given tags."""
    bits = np.minimum(np.float32(probability), _MOST).view(np.uint32) & ~np.uint32(1) | np.uint32(not inferred)
    return float(bits.view(np.float32))


class TagIngest:
    """What an ingest does with tags. Made before any picture is read, so that a wrong file or setting costs no time.

    rows: labels by the name of their picture, or `<picture>#<k>`, once `gather` has run; loose: (file, why) of the tags that
    belong to no picture or face.
    """

    def __init__(self, schema: Schema, settings: IngestSettings) -> None:
        """Read the tag map, the files and the tagger that the settings name.

        Raises:
            ConfigError: no such tag map, or it says nothing about the schema.
            InputError: a file of tags, the tagger or its list; see `read_tags` and `FaceTagger`.
        """
        self.schema, self.settings = schema, settings
        self.rows: dict[str, LabelRow] = {}
        self.loose: list[tuple[str, str]] = []
        self._meaning = _meaning(schema, settings) if settings.tagging else Meaning.nothing(schema)
        self._files = {path: read_tags(path) for path in settings.tag_files}
        self._tagger = FaceTagger(settings.tagger, self._meaning, settings.workers) if settings.tagger.model else None
        self._pictures: Counter[str] = Counter()
        self._labelled = self._conflicts = 0

    def gather(self, listing: Listing) -> None:
        """Match files and sidecars to the listed pictures and turn their tags into labels.

        Raises:
            InputError: none of a file's lines names a picture, or one line fits several; see `match`.
        """
        tags: dict[str, Tags] = {}
        if self.settings.sidecars:
            tags, self.loose = read_sidecars(listing)
        lines: dict[str, LabelRow] = {}
        for path, told in self._files.items():
            by_file: dict[str, Tags] = {}
            rows: dict[str, LabelRow] = {}
            for file, (line, one) in told.items():
                key = normal_file(file)
                join(by_file.setdefault(key, {}), one.items())
                rows.setdefault(key, LabelRow(key, line))
            found, unused = match(Labels(path, rows, {}), listing.pictures)
            self.loose += [(row.file, f"row {row.line} of {path.name}: no such picture") for row in unused]
            for name, row in found.items():
                join(tags.setdefault(name, {}), by_file[row.file].items())
                lines.setdefault(name, row)
        for name in sorted(tags):
            row = lines.get(name, LabelRow(name, 0))
            self.rows[name] = self._row(row.file, row.line, tags[name])
            self._pictures.update(tag for tag, probability in tags[name].items() if probability >= self.settings.tag_threshold)

    def write(
        self,
        table: LabelTable,
        found: Found,
        rows: Mapping[str, LabelRow],
        index: Index,
        beside: Collection[LabelTable],
        space: Workspace,
        progress: Callable[[int, int], None],
    ) -> list[Conflict]:
        """Write what tags say into the table, then what the tagger says of the stored faces; returns the refused labels.

        rows, beside: the rows by face's name and the label tables of the same ingest, which outweigh tags; tags outweigh the
        tagger. Faces that the tagger has seen are not shown to it again.
        """
        if not self.settings.tagging:
            return []
        sources = dict.fromkeys(self.schema.names, Source.ORIGINAL)
        given, ambiguous = rows_of_faces(self.rows, found)
        self.loose += ambiguous
        conflicts = write_labels(table, found, given, sources, index, beside, rows, _of_tags)
        cells = {
            (face, name) for face, names in found.copies.items() for one in names if one in given for name in given[one].codes
        }
        if self._tagger is not None:
            inferred = self._infer(space, list(found.copies), progress)
            cells |= {(face, name) for face, row in inferred.items() for name in row.codes}
            # Its word is about the face itself, whatever its pictures are called.
            faces = Found(copies={face: [face, *names] for face, names in found.copies.items()})
            itself = {face: (face, b"") for face in faces.copies}
            refused = write_labels(table, faces, inferred, sources, itself, beside, {**given, **rows}, _of_tagger)
            conflicts += [(found.copies[one[1]][0] or one[0], *one[1:]) for one in refused]
        self._labelled, self._conflicts = len(cells), len(conflicts)
        return conflicts

    def _infer(self, space: Workspace, faces: list[str], progress: Callable[[int, int], None]) -> dict[str, LabelRow]:
        assert self._tagger is not None
        told = self._tagger(space, faces, progress)
        rows = {}
        for face, probabilities in zip(faces, told.tolist(), strict=True):
            rows[face] = self._row(face, 0, join({}, zip(self._tagger.tags, probabilities, strict=True)), inferred=True)
        return rows

    def _row(self, file: str, line: int, tags: Tags, inferred: bool = False) -> LabelRow:
        said = self._meaning.labels(tags)
        confidence = {name: _marked(value, inferred) for name, value in said.confidence.items()}
        return LabelRow(file, line, codes=said.codes, confidence=confidence, clashes=said.clashes)

    @property
    def unknown(self) -> list[tuple[str, int]]:
        """(tag, pictures) of the tags that the map does not have, commonest first."""
        return [(tag, count) for tag, count in _sorted(self._pictures) if tag not in self._meaning.known]

    def facts(self) -> dict[str, Any]:
        """What an IngestReport says of tags."""
        return {
            "tagged": self._labelled,
            "tag_conflicts": self._conflicts,
            "unknown_tags": len(self.unknown),
            "commonest_unknown": tuple(self.unknown[:8]),
            "tagger": "" if self._tagger is None else self._tagger.text(),
        }

    def save(self, folder: Path) -> None:
        """Write `tags.csv`: every tag met, in how many pictures, and what it says."""
        if not self.settings.tags:
            return
        rows = []
        for tag, count in _sorted(self._pictures):
            elsewhere = f"(no place in schema {self.schema.name})" if tag in self._meaning.known else "(unknown)"
            rows.append((tag, str(count), self._meaning.of_tag(tag) or elsewhere))
        write_csv(folder / "tags.csv", ("tag", "pictures", "means"), rows)


def _meaning(schema: Schema, settings: IngestSettings) -> Meaning:
    cut = settings.tag_threshold, settings.tag_thresholds
    return Meaning.of(TagMap.load(settings.tag_map), schema, *cut, complete=settings.tags_complete)


def _sorted(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
