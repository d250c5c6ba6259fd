"""Generated faces for people to judge in Label Studio: drawn, looked at by the judge, picked and sent."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from configs.errors import InputError, StudioError
from configs.files import atomic_path
from labeling.answers import store_of
from labeling.queue import standing
from labeling.schema import Attribute
from labeling.studio.client import StudioClient
from labeling.studio.interface import build_interface
from labeling.studio.projects import Layout, Project, add_project, find_project
from labeling.studio.push import PushReport, asked_on, push, refresh_projects
from labeling.studio.tasks import Question, asked_in
from labeling.workspace import Workspace
from sga.generation.face_model import FaceModel
from sga.quality import draft_model, draw_faces
from sga.quality_asked import Asked, Sample
from sga.quality_faces import Key, face_key, face_of, generator_of
from sga.quality_judge import Judge, judge_version
from sga.quality_labels import gather
from sga.quality_picking import distances, pick_faces

__all__ = ["Pushed", "push_faces"]

_CANDIDATES = 8
"""Candidates that are drawn for a face that is sent."""
_LEAST_CANDIDATES = 64
_CHUNK = 64

Progress = Callable[[str, int, int], None]
"""What is being done, how much of it is done, how much there is."""


@dataclass(frozen=True)
class Pushed:
    """waiting: faces of this generator that waited on the server before; drawn: picked anew and sent; judged: near a tuned
    judge's threshold; refreshed: tasks that show a newer judge's answer now; others: waiting faces of other generators; report:
    None where nothing had to be sent."""

    waiting: int
    drawn: int
    judged: bool
    refreshed: int
    others: int
    report: PushReport | None

    def lines(self) -> list[str]:
        """One line a fact, for people."""
        lines = []
        if self.others:
            lines.append(
                f"{self.others} faces of another generator still wait. What is said of them is kept and not used: pull it, "
                "then delete their project in Label Studio."
            )
        if self.refreshed:
            lines.append(f"{self.refreshed} tasks that wait show the newest judge's answers now.")
        if self.report is None:
            return [*lines, f"{self.waiting} faces wait for an answer, as far as was pulled: nothing was sent."]
        by = "near the judge's threshold and of all styles" if self.judged else "of all styles (no tuned judge yet)"
        new = f"{self.drawn} of them picked anew: {by}, and some at random" if self.drawn else "none of them new"
        lines.append(f"{self.report.added} faces sent, {new}.")
        return [*lines, f"Label them at {self.report.url}"]


@dataclass(frozen=True)
class _Queue:
    """known: faces of this generator with a label; waiting: those that wait on the server; open: those to be asked about next:
    what people dispute, what an interrupted push left, what was skipped; others: how many of other generators wait; rounds: the
    newest of each key."""

    quality: Attribute
    sample: Sample
    known: set[Key]
    waiting: list[Key]
    open: list[Key]
    others: int
    rounds: Mapping[str, int]

    @classmethod
    def read(cls, client: StudioClient, space: Workspace) -> _Queue:
        """From the server, the answers and the files."""
        quality = space.table().schema.with_role("quality")[0]
        made = generator_of(space)
        answers = [answer for answer in store_of(space.root).all() if answer.purpose == "quality"]
        now = standing(answers, quality.name, asked_on(client, space, quality.name, "quality"))

        def mine(keys: frozenset[str]) -> list[Key]:
            named = (face_of(key) for key in sorted(keys))
            return [one[1] for one in named if one is not None and one[0] == made]

        sample, waiting = Sample.load(space, made), mine(now.waiting)
        known = {*gather(space), *mine(now.settled)}
        skipped = mine(now.again)
        sent = {*waiting, *skipped}
        unsent = [face for face in sample.faces if face not in sent]
        following = dict.fromkeys([*mine(now.disputed), *unsent, *skipped])
        others = len(now.waiting) - len(waiting)
        return cls(quality, sample, known, waiting, [face for face in following if face not in known], others, now.asked)


class _Faces:
    """The generator and the judge, loaded when the first face is drawn."""

    def __init__(self, space: Workspace) -> None:
        self._space = space

    @cached_property
    def model(self) -> FaceModel:
        return draft_model(self._space)

    @cached_property
    def judge(self) -> Judge:
        return Judge(self._space)


def push_faces(
    client: StudioClient,
    space: Workspace,
    count: int,
    seed: int = 0,
    layout: Layout = "single",
    on_progress: Progress = lambda what, done, total: None,
) -> Pushed:
    """Send faces until `count` of the workspace's generator wait for an answer; with that many there it sends nothing.

    First go those that people dispute, then those that an interrupted push left, then those that were skipped, then new ones:
    candidates drawn as they come, of which `pick_faces` takes one in eight. They are written down before they are sent. Faces
    that wait and show an earlier judge's answer get the newest.

    Raises:
        InputError: a count below 1, or a seed out of its range.
        WorkspaceError: there is no generator, or none whose faces can be drawn (see `draft_model`).
        StudioError: the server is gone or refuses; the same call again goes on.
    """
    if count < 1:
        raise InputError(f"Expected a count of at least 1, found {count}. Type, for example: --count 200")
    queue, faces = _Queue.read(client, space), _Faces(space)
    refreshed = _refresh(client, space, queue, faces, on_progress)
    room = count - len(queue.waiting)
    judged = judge_version(space) is not None
    if room < 1:
        return Pushed(len(queue.waiting), 0, judged, refreshed, queue.others, None)
    sample, chosen = queue.sample, queue.open[:room]
    fresh = room - len(chosen)
    if fresh:
        sample, more = _pick(faces, queue, fresh, seed, on_progress)
        sample.save(space)
        chosen += more
    _open_project(client, space, queue.quality, layout, sample.generator)
    report = push(
        client,
        space,
        queue.quality,
        _questions(faces, space, sample, chosen, queue.rounds),
        layout=layout,
        purpose="quality",
        model_version=faces.judge.version,
        on_progress=lambda done, total: on_progress("faces sent", done, total),
    )
    return Pushed(len(queue.waiting), fresh, judged, refreshed, queue.others, report)


def _open_project(client: StudioClient, space: Workspace, quality: Attribute, layout: Layout, generator: str) -> None:
    """Make a project of its own for a generator: whoever labels shall not meet faces whose labels are not used any more."""
    server = client.connection.server
    project = find_project(space, server, quality.name, "quality", layout)
    if project is not None:
        try:
            keys = [key for _, data in client.tasks(project.id) for key, _ in asked_in(data)]
        except StudioError as error:
            if error.gone:  # it was deleted there: `push` makes another
                return
            raise
        if not keys or any(key.startswith(f"{generator}/") for key in keys):
            return
    title = f"SGA {quality.name} of {generator[:8]} · {layout} · {space.root.resolve().name}"[:50].strip()
    number = client.create_project(title, build_interface(quality, layout))
    add_project(space, Project(server, number, quality.name, layout, "quality"))


def _refresh(client: StudioClient, space: Workspace, queue: _Queue, faces: _Faces, on_progress: Progress) -> int:
    """Let the faces that wait show what the judge says now. Returns how many tasks do."""
    version = judge_version(space)
    if version is None or not queue.waiting:
        return 0
    return refresh_projects(
        client,
        space,
        queue.quality,
        "quality",
        version,
        lambda: _questions(faces, space, queue.sample, queue.waiting, {}),
        lambda done, total: on_progress("tasks shown to the new judge", done, total),
    )


def _pick(faces: _Faces, queue: _Queue, count: int, seed: int, on_progress: Progress) -> tuple[Sample, list[Key]]:
    """The sample with `count` more faces in it, and those."""
    sample, judge = queue.sample, faces.judge
    values, first, taken = judge.gender.values, sample.drawn.get(seed, 0), {*queue.known, *sample.faces}
    behind = ((seed, index, values[index % len(values)]) for index in itertools.count(first))
    keys = list(itertools.islice((key for key in behind if key not in taken), max(_LEAST_CANDIDATES, _CANDIDATES * count)))
    seen = []
    for start in range(0, len(keys), _CHUNK):  # the pictures of all candidates at once could fill the memory
        on_progress("candidates drawn and judged", start, len(keys))
        seen.append(judge.look(draw_faces(faces.model, keys[start : start + _CHUNK])))
    on_progress("candidates drawn and judged", len(keys), len(keys))
    score, style = (np.concatenate(parts) for parts in zip(*seen, strict=True))
    gender = np.asarray([judge.gender.code(key[2]) for key in keys], dtype=np.int64)
    distance = None if judge.version is None else distances(score, gender, judge.thresholds)
    picked = pick_faces(gender, style, distance, count, seed + first)
    chosen = [keys[row] for row in picked.rows]
    columns = (picked.strategy.tolist(), picked.weight.tolist(), picked.utility.tolist())
    asked = [Asked(seed, index, sex, *why) for (_, index, sex), *why in zip(chosen, *columns, strict=True)]
    return sample.with_more(asked, seed, keys[-1][1] + 1), chosen


def _questions(
    faces: _Faces, space: Workspace, sample: Sample, keys: Sequence[Key], rounds: Mapping[str, int]
) -> list[Question]:
    """Questions about these faces, with what the judge says of them now; pictures that are not there are written."""
    judge, questions = faces.judge, []
    folder = space.folder("quality") / "faces" / sample.generator
    for start in range(0, len(keys), _CHUNK):
        part = keys[start : start + _CHUNK]
        images = draw_faces(faces.model, part)
        told: Sequence[tuple[str | None, float | None]] = [(None, None)] * len(part)
        if judge.version is not None:
            told = judge.levels(judge.look(images)[0], np.asarray([judge.gender.code(key[2]) for key in part]))
        for key, image, (level, sure) in zip(part, images, told, strict=True):
            path = folder / f"{key[0]}-{key[1]:05d}-{re.sub(r'[^A-Za-z0-9]+', '_', key[2])}.png"
            if not path.is_file():
                with atomic_path(path) as temporary:
                    Image.fromarray(image).save(temporary, format="PNG")
            name, face = face_key(sample.generator, key), sample.faces.get(key)
            questions.append(
                Question(
                    key=name,
                    image=path,
                    file=path.relative_to(space.root).as_posix(),
                    strategy="" if face is None else face.strategy,
                    utility=0.0 if face is None else face.utility,
                    predicted=level,
                    confidence=sure,
                    round=rounds.get(name, 0) + 1,
                )
            )
    return questions
