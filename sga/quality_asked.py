"""Generated faces that people are asked about in Label Studio, and what they said: from answers to labels for the judge."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from configs.errors import WorkspaceError
from configs.files import read_json, write_json
from labeling.agreement import Agreement, measure
from labeling.answers import Answer, quality_labels, store_of
from labeling.queue import standing
from labeling.workspace import Workspace
from sga.quality_faces import Key, answered_keys, face_key, face_of
from sga.quality_labels import STUDIO_LABELS, Label, read_labels, write_labels

__all__ = ["Asked", "Pulled", "Sample", "pulled", "take_in_answers"]


@dataclass(frozen=True)
class Asked:
    """A face that was picked. strategy, weight, utility: as `Picked`."""

    seed: int
    index: int
    gender: str
    strategy: str
    weight: float
    utility: float

    @property
    def key(self) -> Key:
        """Its name among the faces of its generator."""
        return self.seed, self.index, self.gender


@dataclass(frozen=True)
class Sample:
    """The faces of one generator that were picked, kept in `quality/asked-GENERATOR.json` before they are sent.

    drawn: by seed, how many candidates there were: the next ones are drawn behind them, so that those picked at random are an
    honest sample of what the generator draws.
    """

    generator: str
    faces: dict[Key, Asked] = field(default_factory=dict)
    drawn: dict[int, int] = field(default_factory=dict)

    @classmethod
    def load(cls, space: Workspace, generator: str) -> Sample:
        """What `save` wrote; an empty one where nothing was picked yet.

        Raises:
            WorkspaceError: the file is damaged.
        """
        path = _path(space, generator)
        if not path.is_file():
            return cls(generator)
        try:
            stored = read_json(path)
            faces = [Asked(**row) for row in stored["faces"]]
            drawn = {int(seed): int(count) for seed, count in stored["drawn"].items()}
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise WorkspaceError(
                f"Expected the faces that people are asked about in {path}, found other JSON. Restore it, or move it "
                "away: labels then count as those of faces as they come."
            ) from error
        return cls(generator, {face.key: face for face in faces}, drawn)

    def with_more(self, faces: Iterable[Asked], seed: int, drawn: int) -> Sample:
        """And these faces, picked from the candidates of `seed` below the index `drawn`."""
        return replace(self, faces=self.faces | {face.key: face for face in faces}, drawn=self.drawn | {seed: drawn})

    def save(self, space: Workspace) -> None:
        """Write it, whole or not at all."""
        drawn = {str(seed): count for seed, count in self.drawn.items()}
        write_json(_path(space, self.generator), {"drawn": drawn, "faces": [asdict(face) for face in self.faces.values()]})


def _path(space: Workspace, generator: str) -> Path:
    return space.folder("quality") / f"asked-{generator}.json"


@dataclass(frozen=True)
class Pulled:
    """What people have said so far of the faces of the workspace's generator.

    counts: by gender and level; disputed: faces on which people disagree, again: those skipped or left empty, all of which are
    asked about anew; others: labels of other generators, kept and not used; agreement: of people, and of the judge with them;
    file: where the labels are.
    """

    counts: dict[str, dict[str, int]]
    disputed: int
    again: int
    others: int
    agreement: Agreement
    file: Path

    @property
    def labels(self) -> int:
        """Labels of this generator."""
        return sum(sum(levels.values()) for levels in self.counts.values())

    def lines(self) -> list[str]:
        """For people: how many faces of which gender are of which level, and how well all agree."""
        lines = [
            f"{self.labels} generated faces labelled, in {self.file}." if self.labels else "No generated face is labelled yet."
        ]
        for gender, levels in self.counts.items():
            lines.append(f"{gender}: " + ", ".join(f"{level} {count}" for level, count in levels.items()))
        if self.disputed or self.again:
            lines.append(
                f"Open: {self.disputed} on which people disagree, {self.again} skipped or left empty; the next push asks again."
            )
        if self.others:
            lines.append(f"{self.others} labels are of another generator: kept, not used.")
        return lines + self.agreement.lines()


def take_in_answers(space: Workspace) -> dict[str, dict[Key, Label]]:
    """Write what all answers in the store come to into `quality/labels-studio.csv`; returns it, by generator and face.

    Always from the whole store, so that the next call mends what an interrupted one left. Labels in that file of which the
    store knows nothing stay in it: their answers were lost or moved away, nobody took them back.

    Raises:
        InputError: somebody wrote something else into the file.
    """
    schema, store = space.table().schema, store_of(space.root)
    quality, gender = schema.with_role("quality")[0], schema.with_role("gender")[0]
    path = space.folder("quality") / STUDIO_LABELS
    labels = _labels_without_answers(space, path)
    samples: dict[str, Sample] = {}
    for key, level in quality_labels(store).items():
        named = face_of(key)
        if named is None or level not in quality.values or named[1][2] not in gender.values:
            continue  # of another schema, or put there by hand
        generator, face = named
        if generator not in samples:
            samples[generator] = Sample.load(space, generator)
        asked = samples[generator].faces.get(face)
        strategy, weight = ("studio", 1.0) if asked is None else (asked.strategy, asked.weight)
        labels.setdefault(generator, {})[face] = Label(level, strategy, weight, "studio")
    if store.path.is_file() and (labels or path.is_file()):
        write_labels(path, quality, labels)
    return labels


def _labels_without_answers(space: Workspace, path: Path) -> dict[str, dict[Key, Label]]:
    """The labels in the file of which the store of answers knows nothing."""
    if not path.is_file():
        return {}
    labels: dict[str, dict[Key, Label]] = {}
    answered = answered_keys(space)
    for generator, faces in read_labels(path, space.table().schema, "").items():
        kept = {face: one for face, one in faces.items() if one.level and face_key(generator, face) not in answered}
        if kept:
            labels[generator] = kept
    return labels


def pulled(space: Workspace) -> Pulled:
    """Take the answers in, and tell what they come to. Without a generator, all labels are of others."""
    labels, schema = take_in_answers(space), space.table().schema
    made = str((space.record("gan") or {}).get("output", ""))
    quality, gender = schema.with_role("quality")[0], schema.with_role("gender")[0]
    mine = labels.pop(made, {})
    counts = {name: dict.fromkeys(quality.values, 0) for name in gender.values}
    for face, label in mine.items():
        counts[face[2]][label.level] += 1
    answers = _answers_about(store_of(space.root).all(), quality.name, made)
    now = standing(answers, quality.name, {})
    others = sum(len(faces) for faces in labels.values())
    path = space.folder("quality") / STUDIO_LABELS
    return Pulled(counts, len(now.disputed), len(now.again), others, measure(answers, quality.name), path)


def _answers_about(answers: Iterable[Answer], attribute: str, generator: str) -> list[Answer]:
    """Those about generated faces of one generator."""

    def fits(answer: Answer) -> bool:
        return answer.purpose == "quality" and answer.attribute == attribute and answer.key.startswith(f"{generator}/")

    return [answer for answer in answers if fits(answer)]
