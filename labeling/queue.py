"""From a workspace to questions: who may be asked about, what the models say, which faces are alike, what waits already."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from configs.errors import InputError, WorkspaceError
from configs.files import atomic_path
from labeling.answers import TABLE, Answer, resolve, store_of
from labeling.picking import NEED_PREDICTIONS, Picks, Pool, find_strategy, pick
from labeling.predictions import Predictions
from labeling.provenance import MISSING_CODE
from labeling.studio.tasks import Question
from labeling.table import LabelTable
from labeling.workspace import Workspace, fingerprint

__all__ = [
    "SPLITS_ASKED",
    "Standing",
    "face_features",
    "face_styles",
    "load_predictions",
    "questions",
    "standing",
    "thumbnails",
]

SPLITS_ASKED = ("train", "validation")
"""Test faces measure: they are asked about only when their split is named, and then only at random."""

_SIDE = 8  # pixels
_COMPONENTS = 16  # 81 % of the variance of 27,904 faces


@dataclass(frozen=True)
class Standing:
    """Where the keys of one attribute stand.

    settled: resolved, to a value or to UNCLEAR; disputed: people disagree, and nobody is being asked about it; waiting: on the
    server and not answered yet; again: skipped, left open or refused, so that they may be asked about anew; asked: the newest
    round of each key, on the server or in the answers.
    """

    settled: frozenset[str]
    disputed: frozenset[str]
    waiting: frozenset[str]
    again: frozenset[str]
    asked: Mapping[str, int]


def standing(answers: Iterable[Answer], attribute: str, asked: Mapping[str, int]) -> Standing:
    """answers: of a store; asked: the newest round of each key that is on the server."""
    mine = [answer for answer in answers if answer.attribute == attribute]
    seen: dict[str, int] = {}
    for answer in mine:
        if answer.server != TABLE and answer.state != "withdrawn":
            seen[answer.key] = max(answer.round, seen.get(answer.key, 0))
    told = resolve(mine, attribute)
    waiting = {key for key, round_ in asked.items() if round_ > seen.get(key, 0)}
    settled = {key for key, one in told.items() if one.value is not None}
    disputed = {key for key, one in told.items() if one.disputed} - waiting
    rounds = {key: max(asked.get(key, 0), seen.get(key, 0)) for key in asked.keys() | seen.keys()}
    again = seen.keys() - settled - disputed - waiting
    return Standing(frozenset(settled), frozenset(disputed), frozenset(waiting), frozenset(again), rounds)


def questions(
    space: Workspace,
    attribute: str,
    count: int,
    strategy: str = "combined",
    seed: int = 0,
    asked: Mapping[str, int] | None = None,
    *,
    reviews: Mapping[str, int] | None = None,
    predictions: Predictions | Literal["newest"] | None = "newest",
    split: str | None = None,
    random_share: float | None = None,
    on_note: Callable[[str], None] = lambda text: None,
) -> list[Question]:
    """What to push so that `count` questions about an attribute wait on the server: what people dispute first, then picks.

    asked, reviews: the newest round of each key that the server's projects for labels and for reviews have, answered or not;
    predictions: what the ensemble says (newest = as the workspace has it, None = nothing yet): the values chosen beforehand are
    those that completion fills in, while faces are picked under the prior of decisions; split: ask about faces of this one
    alone (None = train and validation; test by chance only, since picked faces would bias what is measured on them), of which
    `count` shall wait; random_share: as `pick`; on_note: told what stood in for what was asked for. Never two faces of one
    group, nor one beside another that waits. An empty list: enough wait already, or all that are left do.

    Raises:
        InputError: no such attribute, strategy or split, nothing left to ask, nothing predicted that the strategy needs, or a
            picked test set.
        WorkspaceError: the workspace has no faces, or one of its files is damaged.
    """
    table = space.table()
    name, values = attribute, table.schema[attribute].values
    find_strategy(strategy)
    eligible = _eligible(table, split, strategy)
    if count < 1:
        raise InputError(f"Expected a count of at least 1, found {count}.")
    asked, reviews = asked or {}, reviews or {}
    everywhere = {key: max(asked.get(key, 0), reviews.get(key, 0)) for key in asked.keys() | reviews.keys()}
    now = standing(store_of(space.root).all(), name, everywhere)
    labelling = [key for key in now.waiting if asked.get(key) == now.asked[key]]  # the others wait for a review
    waiting = int(eligible[_rows(table, labelling)].sum())
    room = count - waiting
    if room < 1:
        return []
    disputed, candidates, done = _open(table, name, now, eligible, seed)
    disputed = disputed[:room]
    said = load_predictions(space) if isinstance(predictions, str) else predictions
    told = _align(said, table, name)
    if told is None and strategy in NEED_PREDICTIONS:
        raise InputError(
            f"Expected what the ensemble says of {name} for the strategy {strategy}, found nothing. Type --strategy diverse or "
            f"--strategy random; genders and styles with labels are learnt by: sga complete --workspace {space.root}"
        )
    left = room - len(disputed)
    picks = Picks(np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.str_))
    if left and (candidates.any() or not (waiting or len(disputed))):
        alike = strategy in ("combined", "diverse") and candidates.any()
        features = face_features(space, table, on_note) if alike else None
        learnt = np.where(table.labelled(name) & table.trainable(), table.codes(name), MISSING_CODE)
        pool = Pool(told, features, learnt, candidates, table.schema[name].size, done)
        picks = pick(strategy, left, pool, seed, random_share=random_share)
        if picks.note:
            on_note(picks.note)
    first = [(row, "disputed", 1.0) for row in disputed.tolist()]
    picked = zip(picks.rows.tolist(), picks.strategy.tolist(), picks.utility.tolist(), strict=True)
    suggested = {} if said is None else said.suggestions(name, values)
    return [_question(space, table, suggested, now, *chosen) for chosen in (*first, *picked)]


def load_predictions(space: Workspace) -> Predictions | None:
    """What the ensemble says of all faces; None before the first `sga complete`.

    Raises:
        WorkspaceError: the file is damaged.
    """
    path = space.folder("ensemble") / "predictions.npz"
    return Predictions.load(path) if path.is_file() else None


def face_features(space: Workspace, table: LabelTable, on_note: Callable[[str], None] = lambda text: None) -> np.ndarray:
    """(n, d) float32, near where faces look alike: their styles, or before there are any the thumbnails' main components.

    Raises:
        WorkspaceError: the styles or a face file cannot be read.
    """
    stored = face_styles(space)
    if stored is not None:
        faces, styles = stored
        rows = table.rows(faces)
        if len(np.unique(rows[rows >= 0])) == len(table):
            aligned = np.empty((len(table), styles.shape[1]), dtype=np.float32)
            aligned[rows[rows >= 0]] = styles[rows >= 0]
            return aligned
    on_note("There are no styles of all faces yet (sga sfn makes them): faces are compared by their thumbnails' colours.")
    small = thumbnails(space, table).reshape(len(table), -1).astype(np.float32) / 255
    small -= small.mean(axis=0)
    _, axes = np.linalg.eigh(small.T @ small)  # by rising variance
    return small @ axes[:, -_COMPONENTS:]


def face_styles(space: Workspace) -> tuple[np.ndarray, np.ndarray] | None:
    """Faces (n,) text and their styles (n, d) float32, as `sga sfn` wrote them; None before it ran.

    Raises:
        WorkspaceError: the file is damaged.
    """
    path = space.folder("sfn") / "styles.npz"
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            return stored["face"], stored["style"].astype(np.float32)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise WorkspaceError(
            f"Expected the faces' styles in {path}, found none that can be read. Type: sga sfn --workspace {space.root}"
        ) from error


def thumbnails(space: Workspace, table: LabelTable) -> np.ndarray:
    """(n, 8, 8, 3) uint8 RGB of every face; kept in `labeling/thumbnails-*.npy`, named by the faces.

    Raises:
        WorkspaceError: a face file is missing or damaged.
    """
    path = space.root / "labeling" / f"thumbnails-{fingerprint(*table.faces)}.npy"
    try:
        kept: np.ndarray = np.load(path, allow_pickle=False)
        if kept.shape == (len(table), _SIDE, _SIDE, 3) and kept.dtype == np.uint8:
            return kept
    except (OSError, ValueError, EOFError):
        pass  # not there yet, or damaged: made from the faces
    made = np.empty((len(table), _SIDE, _SIDE, 3), dtype=np.uint8)
    for row, file in enumerate(table.frame["file"]):
        try:
            with Image.open(space.root / file) as image:
                made[row] = np.asarray(image.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BOX))
        except (OSError, UnidentifiedImageError) as error:
            raise WorkspaceError(
                f"Expected a face in {space.root / file}, found none that can be read. Ingest the faces again: "
                f"sga ingest PATH --workspace {space.root}"
            ) from error
    for old in path.parent.glob("thumbnails-*.npy"):
        old.unlink()
    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        np.save(handle, made)
    return made


def _open(
    table: LabelTable, name: str, now: Standing, eligible: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Disputed rows (k,) int64 and candidates (n,) bool, both eligible, and (n,) bool those that are answered or being asked
    about.

    Of a group one face alone, drawn by seed, and none where another of it waits or is disputed.
    """
    groups = table.frame["group"].to_numpy()
    busy = set(groups[_rows(table, now.waiting)])
    disputed = _rows(table, now.disputed)
    disputed = _one_a_group(disputed[eligible[disputed]], groups, busy)
    busy |= set(groups[disputed])
    done = np.zeros(len(table), dtype=bool)
    done[_rows(table, now.settled | now.waiting | now.disputed)] = True
    free = np.flatnonzero(eligible & ~table.labelled(name) & ~done)
    candidates = np.zeros(len(table), dtype=bool)
    candidates[_one_a_group(np.random.default_rng(seed).permutation(free), groups, busy)] = True
    return disputed, candidates, done


def _question(
    space: Workspace,
    table: LabelTable,
    suggested: Mapping[str, tuple[str, float]],
    now: Standing,
    row: int,
    by: str,
    utility: float,
) -> Question:
    key, file = str(table.faces[row]), str(table.frame["file"].iat[row])
    value, confidence = suggested.get(key, (None, None))
    return Question(key, space.root / file, file, by, utility, value, confidence, now.asked.get(key, 0) + 1)


def _eligible(table: LabelTable, split: str | None, strategy: str) -> np.ndarray:
    if split is None:
        return np.isin(table.frame["split"].to_numpy(), SPLITS_ASKED)
    if split not in (*SPLITS_ASKED, "test"):
        raise InputError(f"Expected a split (train, validation, test), found {split!r}.")
    if split == "test" and strategy != "random":
        raise InputError(
            f"Expected --strategy random beside --split test, found {strategy}: what is measured on picked faces does not hold "
            "for the others."
        )
    return table.in_split(split)


def _rows(table: LabelTable, keys: Iterable[str]) -> np.ndarray:
    """(k,) int64 rows of the keys that are in the table, in the table's order."""
    rows = np.sort(table.rows(keys))
    return rows[rows >= 0]


def _one_a_group(rows: np.ndarray, groups: np.ndarray, busy: set[Any]) -> np.ndarray:
    """The first row of each group that is not busy, in the order given."""
    _, first = np.unique(groups[rows], return_index=True)
    kept = rows[np.sort(first)]
    return kept[[group not in busy for group in groups[kept]]] if len(kept) else kept


def _align(predictions: Predictions | None, table: LabelTable, name: str) -> np.ndarray | None:
    """(n, members, size) float32 by the table's rows, NaN for faces that came later; None where nothing is predicted."""
    if predictions is None or name not in predictions.probabilities:
        return None
    told, rows = predictions.probabilities[name], table.rows(predictions.faces)
    aligned = np.full((len(table), *told.shape[1:]), np.nan, dtype=np.float32)
    aligned[rows[rows >= 0]] = told[rows >= 0]
    return aligned
