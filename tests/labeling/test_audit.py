"""Labels that look wrong are found, listed and sent to be reviewed; nothing is changed by that."""

import csv
import io
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from configs.errors import InputError, MissingExtra, WorkspaceError
from labeling.answers import Answer, resolve, store_of
from labeling.audit import Audit, Suspect, audit, find_suspects, review_questions
from labeling.predictions import Predictions
from labeling.provenance import Source
from labeling.studio.client import StudioClient
from labeling.studio.projects import read_projects
from labeling.workspace import Workspace
from sga.cli.main import main


def judged(n: int, size: int, skill: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """True codes (n,), the first class common, and (n, size) calibrated probabilities of a judge with some skill."""
    rng = np.random.default_rng(seed)
    share = np.r_[0.7, np.full(size - 1, 0.3 / (size - 1))]
    truth = rng.choice(size, n, p=share)
    seen = skill * np.eye(size)[truth] + rng.standard_normal((n, size))
    powers = share * np.exp(skill * seen)  # Bayes' rule for Gaussian evidence
    return truth, powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("size", [2, 8])
def test_flipped_labels_are_found_far_above_chance(size: int) -> None:
    truth, told = judged(1000, size, skill=3, seed=size)
    flipped = np.random.default_rng(1).permutation(1000)[:80]
    codes = truth.copy()
    codes[flipped] = (codes[flipped] + 1) % size
    rows, scores = find_suspects(codes, told)
    assert len(rows) >= 40
    assert np.isin(rows, flipped).mean() > 0.6  # chance: 0.08
    assert np.isin(flipped, rows).mean() > 0.6
    assert np.isin(rows[:30], flipped).mean() > 0.9
    assert (np.diff(scores[rows]) >= 0).all()
    assert scores.min() >= 0
    assert scores.max() <= 1
    assert len(find_suspects(truth, told)[0]) < len(rows) / 2  # without flips there is little to find


@pytest.fixture
def flipped(ensemble_workspace: Path, copy_of: Callable[[Path], Path]) -> tuple[Workspace, set[str]]:
    """Every tenth hair colour that the ensemble was trained on, turned into another after the training; and whose they are."""
    space = Workspace(copy_of(ensemble_workspace))
    table, predictions = space.table(), Predictions.load(space.folder("ensemble") / "predictions.npz")
    rows = table.rows(predictions.faces[predictions.out_of_fold])
    rows = rows[table.labelled("hair_color")[rows]][::10]
    other = (table.codes("hair_color")[rows] + 1) % table.schema["hair_color"].size
    table.fill("hair_color", rows, other, Source.HUMAN)
    table.save(space.labels_path)
    return space, set(table.faces[rows])


def test_a_real_ensemble_tells_flipped_labels_from_others(flipped: tuple[Workspace, set[str]]) -> None:
    space, wrong = flipped
    before = space.labels_path.read_bytes()
    found = audit(space, "hair_color")
    total, hits = sum(found.judged.values()), len({one.key for one in found.suspects} & wrong)
    assert found.suspects
    assert hits / len(found.suspects) > 1.5 * len(wrong) / total  # precision above chance
    assert space.labels_path.read_bytes() == before
    table = space.table()
    rows = table.rows(one.key for one in found.suspects)
    assert (rows >= 0).all()
    assert not table.in_split("test")[rows].any()
    for one, row in zip(found.suspects, rows, strict=True):
        assert one.given == table.schema["hair_color"].values[table.codes("hair_color")[row]]
        assert one.suggested != one.given
        assert one.source == ("human" if one.key in wrong else "original")
        assert (space.root / one.file).is_file()
    with found.path.open(encoding="utf-8", newline="") as handle:
        told = list(csv.DictReader(handle))
    assert [row["key"] for row in told] == [one.key for one in found.suspects]
    assert list(told[0]) == ["key", "file", "given", "source", "suggested", "score"]
    scores = [float(row["score"]) for row in told]
    assert scores == sorted(scores)
    assert found.path == space.root / "labeling" / "audit-hair_color.csv"
    assert sum(found.sources.values()) == total
    assert found.lines()[0].startswith(f"{len(found.suspects)} of {total} hair_color labels look wrong")


def test_a_review_shows_the_label_and_nothing_that_leads(flipped: tuple[Workspace, set[str]]) -> None:
    space, _ = flipped
    found = audit(space, "hair_color")
    first, *_ = questions = review_questions(space, found, 3, {})
    assert [one.key for one in questions] == [one.key for one in found.suspects[:3]]
    assert (first.current, first.predicted, first.confidence) == (found.suspects[0].given, None, None)
    assert first.image.is_file()
    assert first.utility == pytest.approx(1 - found.suspects[0].score)
    assert {question.round for question in questions} == {2}  # above the label


@pytest.fixture
def suspected(faces_workspace: Path, copy_of: Callable[[Path], Path]) -> tuple[Workspace, Audit]:
    """A workspace of which the first eight genders look wrong."""
    space = Workspace(copy_of(faces_workspace))
    table = space.table()
    named = zip(table.faces[:8], table.frame["file"], strict=False)
    suspects = tuple(Suspect(key, file, "male", "original", "female", 0.1) for key, file in named)
    path = space.root / "labeling" / "audit-gender.csv"
    return space, Audit(table.schema["gender"], suspects, path, {"male": 8, "female": 0}, {"original": 8})


def test_a_label_that_somebody_looked_at_is_not_sent_again(
    suspected: tuple[Workspace, Audit], said: Callable[..., Answer]
) -> None:
    space, found = suspected
    kept, skipped, refused, torn, labelled, other, waiting, last = (one.key for one in found.suspects)
    review: dict[str, Any] = {"purpose": "review", "round": 2}
    store_of(space.root).append(
        [
            said(kept, "male", **review),
            said(skipped, None, state="skip", **review),
            said(refused, None, state="refused", **review),
            said(torn, "male", state="withdrawn", **review),
            said(labelled, "male", round=4),
            said(other, "black", attribute="hair_color", **review),
        ]
    )
    asked = review_questions(space, found, 4, {waiting: 2, kept: 2, skipped: 2, refused: 2, labelled: 4})
    assert {one.key: one.round for one in asked} == {torn: 2, labelled: 5, other: 2, last: 2}
    # What waits, here and in a project for labels, takes no place of the count.
    asked = review_questions(space, found, 1, {waiting: 2, torn: 2, labelled: 5, other: 1})
    assert [one.key for one in asked] == [last]


def test_reviewers_who_disagree_are_asked_again(suspected: tuple[Workspace, Audit], said: Callable[..., Answer]) -> None:
    space, found = suspected
    first, second = (one.key for one in found.suspects[:2])
    store = store_of(space.root)
    for by, value in (("ann", "male"), ("ben", "female")):
        store.append([said(first, value, by=by, purpose="review", round=2)])
    (again,) = review_questions(space, found, 1, {first: 2})
    assert (again.key, again.round) == (first, 3)
    assert review_questions(space, found, 1, {first: 3})[0].key == second  # it waits
    store.append([said(first, "female", 3, "cem", purpose="review", round=3)])
    assert resolve(store.all(), "gender")[first].value == "female"
    assert review_questions(space, found, 1, {first: 3})[0].key == second


def test_each_review_goes_to_a_real_server_once(
    flipped: tuple[Workspace, set[str]], studio: StudioClient, capsys: pytest.CaptureFixture[str]
) -> None:
    space, _ = flipped
    found = audit(space, "hair_color")
    there = ["--workspace", str(space.root), "--url", studio.connection.url, "--token", studio.connection.token]

    def command(*arguments: str) -> str:
        with pytest.raises(SystemExit) as end:
            main([*arguments, *there])
        assert end.value.code == 0
        return capsys.readouterr().out

    send = ("label", "audit", "--attribute", "hair_color", "--push", "--count")
    assert "2 labels to review sent" in command(*send, "2")
    project = next(one for one in read_projects(space) if one.purpose == "review")
    tasks = dict(studio.tasks(project.id))
    by_key = {data["key"]: (task, data) for task, data in tasks.items()}
    assert list(by_key) == [one.key for one in found.suspects[:2]]
    assert {data["round"] for data in tasks.values()} == {2}
    assert by_key[found.suspects[0].key][1]["current"] == found.suspects[0].given
    assert all(not task["predictions"] for task in studio.export(project.id, list(tasks)))
    assert "1 labels to review sent" in command(*send, "1")  # the next one: those that wait take no place
    skipped, task = (by_key[one.key][0] for one in found.suspects[1::-1])
    choice = {"choices": [found.suspects[0].given]}  # it was right: no label changes, so the others stay as suspicious
    studio.annotate(task, [{"from_name": "label", "to_name": "image", "type": "choices", "value": choice}])
    studio.annotate(skipped, [], was_cancelled=True)
    command("label", "pull")
    command(*send, "1000")
    sent = Counter(data["key"] for _, data in studio.tasks(project.id))
    assert sent == Counter(one.key for one in found.suspects)
    assert "Nothing else is left to review" in command(*send, "1000")


def test_what_cannot_be_audited_says_what_to_type(
    ensemble_workspace: Path, faces_workspace: Path, copy_of: Callable[[Path], Path]
) -> None:
    with pytest.raises(WorkspaceError, match="sga complete"):
        audit(Workspace(faces_workspace), "gender")
    space = Workspace(copy_of(ensemble_workspace))
    with pytest.raises(InputError, match=r"gender, hair_color, smile\), found quality"):
        audit(space, "quality")
    with pytest.raises(InputError, match="Did you mean gender"):
        audit(space, "gendre")
    table = space.table()
    table.fill("gender", np.flatnonzero(table.labelled("gender")), np.zeros(int(table.labelled("gender").sum())), Source.HUMAN)
    table.save(space.labels_path)
    with pytest.raises(InputError, match="at least two values"):
        audit(space, "gender")


def test_without_cleanlab_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "cleanlab"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cleanlab", None)
    with pytest.raises(MissingExtra, match=r"sga-gan\[audit\]"):
        find_suspects(np.array([0, 1]), np.full((2, 2), 0.5))


def test_the_command_prints_and_says_what_comes_next(
    flipped: tuple[Workspace, set[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    space, _ = flipped
    out = io.StringIO()
    with redirect_stdout(out), pytest.raises(SystemExit) as end:
        main(["label", "audit", "--attribute", "hair_color", "--workspace", str(space.root)])
    assert end.value.code == 0
    assert "hair_color labels look wrong" in out.getvalue()
    assert "sga label audit --attribute hair_color --push" in out.getvalue()
    with pytest.raises(SystemExit) as end:
        main(["label", "audit", "--push", "--workspace", str(space.root)])
    assert end.value.code == 2
    assert "sga label studio" in capsys.readouterr().err
