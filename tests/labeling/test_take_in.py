"""Answers into the label table: nothing that a person entered is overwritten or lost, whatever happens in between."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from configs.errors import WorkspaceError
from labeling import take_in as stage
from labeling.answers import TABLE, Answer, AnswerStore, resolve, store_of
from labeling.provenance import Source
from labeling.schema import Schema
from labeling.table import LabelTable
from labeling.take_in import Taken, take_in
from labeling.workspace import Workspace, table_fingerprint

Said = Callable[..., Answer]
FACES = [letter * 64 for letter in "0123456789ab"]
A, B, C, D = FACES[:4]


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    """Twelve faces nobody has said anything about, of which two stages were made."""
    place = Workspace(tmp_path / "workspace")
    splits = ["train", "validation", "test"] * 4
    table = LabelTable.empty(Schema.load("faces"), FACES, [f"faces/{face}.png" for face in FACES], splits, FACES)
    table.save(place.labels_path)
    place.finish("faces", table_fingerprint(table, completed=False), {"size": 96})
    place.finish("ensemble", "e", {})
    return place


def write(space: Workspace, face: str, value: str, source: Source, confidence: float = 1.0, name: str = "gender") -> None:
    """What `sga ingest` and `sga complete` do to a cell."""
    table = space.table()
    table.fill(name, table.rows([face]), np.array([table.schema[name].code(value)]), source, confidence)
    table.save(space.labels_path)


def cell(space: Workspace, face: str, name: str = "gender") -> tuple[str | None, str]:
    table = space.table()
    row = int(table.rows([face])[0])
    code = int(table.codes(name)[row])
    return (None if code < 0 else table.schema[name].values[code]), Source(table.sources(name)[row]).name.lower()


def answer(space: Workspace, *answers: Answer) -> Taken:
    store_of(space.root).append(answers)
    return take_in(space)


def files(space: Workspace) -> dict[str, tuple[bytes, int]]:
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in space.root.rglob("*") if path.is_file()}


def test_answers_become_human_labels_and_later_stages_stale(space: Workspace, said: Said) -> None:
    assert space.state("ensemble") == "done"
    taken = answer(space, said(A, "male"), said(B, "female"), said(C, "unclear"), said(D, None, state="skip"))
    assert [cell(space, face) for face in (A, B, C, D)] == [("male", "human"), ("female", "human"), *[(None, "missing")] * 2]
    assert taken.written["gender"] == {"male": 1, "female": 1}
    assert taken.changed
    assert "gender: cells written: female 1, male 1; 1 unclear" in taken.lines()
    assert (space.state("faces"), space.state("ensemble")) == ("done", "stale")
    record = space.require("faces")
    assert (record["output"], record["settings"]) == (table_fingerprint(space.table(), completed=False), {"size": 96})


def test_again_changes_no_byte(space: Workspace, said: Said) -> None:
    write(space, A, "female", Source.HUMAN)
    write(space, B, "female", Source.ORIGINAL, 0.7)
    answer(space, said(A, "male"), said(B, "male"), said(C, "male"), said(D, "unclear"))
    before = files(space)
    again = take_in(space)
    assert files(space) == before
    assert not again.changed
    assert not again.written["gender"]
    assert again.disputed("gender") == [A]


def test_nothing_to_take_in(space: Workspace) -> None:
    taken = take_in(space)
    assert not taken.changed
    assert taken.lines() == []
    assert space.state("ensemble") == "done"


def test_an_original_label_is_overruled_and_comes_back(space: Workspace, said: Said) -> None:
    write(space, A, "female", Source.ORIGINAL, 0.75)
    told = said(A, "male", purpose="review")
    answer(space, told)
    assert cell(space, A) == ("male", "human")
    taken = answer(space, replace(told, state="withdrawn"))
    assert cell(space, A) == ("female", "original")
    assert space.table().confidence("gender")[0] == np.float32(0.75)
    assert taken.restored["gender"] == 1
    answer(space, replace(told, updated="2027"))
    assert cell(space, A) == ("male", "human")


def test_a_withdrawn_answer_leaves_a_missing_cell_missing(space: Workspace, said: Said) -> None:
    told = said(A, "male")
    answer(space, told)
    answer(space, replace(told, state="withdrawn"))
    assert cell(space, A) == (None, "missing")
    assert np.isnan(space.table().confidence("gender")[0])
    assert next(iter(store_of(space.root).rows())) == told


def test_unclear_and_skips_leave_a_completed_cell_alone(space: Workspace, said: Said) -> None:
    write(space, A, "female", Source.COMPLETED, 0.6)
    taken = answer(space, said(A, "unclear"))
    assert cell(space, A) == ("female", "completed")
    assert not taken.changed
    answer(space, said(A, "male", 1, by="bob"), said(A, "male", 1, by="cat"))
    assert cell(space, A) == ("male", "human")


def test_one_contradiction_of_an_ingested_human_label_is_a_tie(space: Workspace, said: Said) -> None:
    write(space, A, "female", Source.HUMAN)
    taken = answer(space, said(A, "male"))
    assert cell(space, A) == ("female", "human")
    assert taken.disputed("gender") == [A]
    assert any("1 disputed" in line for line in taken.lines())
    assert resolve(store_of(space.root).all(), "gender")[A].votes == {"female": 1, "male": 1}


def test_a_review_settles_the_label_that_it_is_about(space: Workspace, said: Said) -> None:
    """It is a second question (round 2): as one vote against another it would only ever end in a tie."""
    write(space, A, "female", Source.HUMAN)
    write(space, B, "female", Source.HUMAN)
    answer(space, said(A, "male", purpose="review", round=2), said(B, "female", 1, by="bob"), said(B, "female", 1, by="cat"))
    assert cell(space, A) == ("male", "human")
    two = [said(B, value, 2, by=name, purpose="review", round=2) for value, name in (("male", "dan"), ("female", "eve"))]
    assert answer(space, *two).disputed("gender") == [B]  # two reviewers disagree: it stays as it was
    assert cell(space, B) == ("female", "human")
    answer(space, said(B, "male", 4, by="fay", purpose="review", round=3))
    assert cell(space, B) == ("male", "human")
    kept = [row for row in store_of(space.root).rows() if row.server == TABLE]
    assert {(row.key, row.value) for row in kept} == {(A, "female"), (B, "female")}


def test_a_majority_replaces_an_ingested_human_label_which_is_kept(space: Workspace, said: Said) -> None:
    write(space, A, "female", Source.HUMAN)
    answer(space, said(A, "male"))
    answer(space, said(A, "male", by="bob"))
    assert cell(space, A) == ("male", "human")
    kept = [row for row in store_of(space.root).rows() if row.server == TABLE]
    assert [(row.key, row.value, row.annotation) for row in kept] == [(A, "female", Source.HUMAN)]
    answer(space, said(A, "male", 5, by="bob", state="withdrawn"), said(A, None, 5, state="refused", reason="no choice"))
    assert cell(space, A) == ("female", "human")


def test_an_ingested_label_keeps_its_vote_when_an_agreeing_person_turns(space: Workspace, said: Said) -> None:
    write(space, A, "female", Source.HUMAN)
    answer(space, said(A, "female"))
    taken = answer(space, said(A, "male", 1))
    assert cell(space, A) == ("female", "human")
    assert taken.disputed("gender") == [A]


def test_a_person_who_turns_replaces_the_own_answer(space: Workspace, said: Said) -> None:
    answer(space, said(A, "female"))
    taken = answer(space, said(A, "male", 1))
    assert cell(space, A) == ("male", "human")
    assert taken.written["gender"] == {"male": 1}
    assert all(row.server != TABLE for row in store_of(space.root).rows())


def test_a_dispute_that_comes_up_later_takes_the_label_back(space: Workspace, said: Said) -> None:
    answer(space, said(A, "male"), said(B, "male"))
    write(space, C, "female", Source.ORIGINAL)
    answer(space, said(A, "female", by="bob"), said(C, "male"), said(C, "female", by="bob"))
    assert cell(space, A) == (None, "missing")
    assert cell(space, C) == ("female", "original")
    assert cell(space, B) == ("male", "human")


def test_a_label_ingested_over_answers_votes(space: Workspace, said: Said) -> None:
    answer(space, said(A, "male"), said(B, "male"), said(B, "female", by="bob"))
    write(space, A, "female", Source.HUMAN)
    write(space, B, "female", Source.HUMAN)  # somebody decided the dispute
    taken = take_in(space)
    assert cell(space, A) == ("female", "human")
    assert cell(space, B) == ("female", "human")
    assert taken.disputed("gender") == [A]


def test_ingesting_the_own_labels_again_is_no_vote(space: Workspace, said: Said, tmp_path: Path) -> None:
    answer(space, said(A, "male"))
    write(space, A, "male", Source.HUMAN)
    answer(space, said(A, "female", 1))
    assert cell(space, A) == ("female", "human")


def test_a_lost_ledger_loses_no_label(space: Workspace, said: Said) -> None:
    answer(space, said(A, "male"))
    (space.root / "labeling" / "taken.json").unlink()
    answer(space, said(A, "female", 1))
    assert cell(space, A) == ("male", "human")  # nobody knows where it came from: a tie
    (space.root / "labeling" / "taken.json").write_text('{"gender": ["male"]}')
    with pytest.raises(WorkspaceError, match=r"Expected the labels that came from answers in .*taken\.json"):
        take_in(space)


def test_quality_of_generated_faces_never_touches_the_table(space: Workspace, said: Said) -> None:
    before = space.labels_path.read_bytes()
    taken = answer(space, said("0a/1/2/male", "high", attribute="quality", purpose="quality"))
    assert taken.resolutions == {}
    assert taken.absent == 0
    assert space.labels_path.read_bytes() == before
    answer(space, said(A, "high", attribute="quality"))
    assert cell(space, A, "quality") == ("high", "human")


def test_faces_that_left_the_table_are_counted(space: Workspace, said: Said) -> None:
    answer(space, said(A, "male"), said("f" * 64, "male"))
    whole = space.table()
    whole.select(whole.faces != A).save(space.labels_path)
    taken = take_in(space)
    assert taken.absent == 2
    assert "2 answered faces are not in the table" in taken.lines()[-1]
    whole.save(space.labels_path)  # ingested again
    answer(space, said(A, "female", 1))
    assert cell(space, A) == ("female", "human")


def test_an_answer_that_is_no_value_of_this_schema_writes_nothing(space: Workspace, said: Said) -> None:
    answer(space, said(A, "robot"), said(B, "no", attribute="hat"))
    assert cell(space, A) == (None, "missing")


def test_relabelled_writes_only_what_changed(space: Workspace) -> None:
    before = files(space)
    assert not space.relabelled(space.table())
    assert files(space) == before
    write(space, A, "male", Source.ORIGINAL)
    table = space.table()
    assert space.relabelled(table)  # saved by another, recorded by nobody: a crash between the two files
    assert space.state("ensemble") == "stale"
    output = space.require("faces")["output"]
    table.fill("gender", np.array([0]), np.array([1]), Source.HUMAN)
    assert space.relabelled(table)
    assert (cell(space, A), space.require("faces")["output"]) == (("male", "human"), output)


# -- other commands at the same time ---------------------------------------------------------------------------------------


def test_a_table_that_changes_meanwhile_is_read_again(space: Workspace, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    write_ledger, times = stage._write_ledger, []

    def and_ingest(place: Workspace, ledger: Any) -> None:
        write_ledger(place, ledger)
        if not times:
            write(place, B, "female", Source.HUMAN)
            write(place, C, "male", Source.ORIGINAL)
        times.append(1)

    monkeypatch.setattr(stage, "_write_ledger", and_ingest)
    taken = answer(space, said(A, "male"), said(B, "male"))
    assert [cell(space, face) for face in (A, B, C)] == [("male", "human"), ("female", "human"), ("male", "original")]
    assert taken.disputed("gender") == [B]


def test_a_table_that_never_rests_is_an_error_and_the_answers_stay(
    space: Workspace, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_ledger = stage._write_ledger

    def and_complete(place: Workspace, ledger: Any) -> None:
        write_ledger(place, ledger)
        write(place, D, "female", Source.COMPLETED)

    monkeypatch.setattr(stage, "_write_ledger", and_complete)
    with pytest.raises(WorkspaceError, match="found other commands writing it again and again"):
        answer(space, said(A, "male"))
    monkeypatch.undo()
    take_in(space)
    assert cell(space, A) == ("male", "human")


# -- crashes ---------------------------------------------------------------------------------------------------------------


class Crash(Exception):  # noqa: N818
    """The process ends here."""


def crash_at(monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    """Let the next call of `point` end the process, before or after it did its work."""
    owner, name, when = {
        "store": (AnswerStore, "append", "before"),
        "stored": (AnswerStore, "append", "after"),
        "ledger": (stage, "_write_ledger", "after"),
        "table": (LabelTable, "save", "before"),
        "saved": (LabelTable, "save", "after"),
        "recorded": (Workspace, "relabelled", "after"),
    }[point]
    real = getattr(owner, name)

    def crash(*arguments: Any, **more: Any) -> Any:
        if when == "after":
            real(*arguments, **more)
        raise Crash

    monkeypatch.setattr(owner, name, crash)


POINTS = ("store", "stored", "ledger", "table", "saved", "recorded")


@pytest.mark.parametrize("point", POINTS)
def test_a_crash_is_made_good(space: Workspace, said: Said, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    write(space, A, "female", Source.HUMAN)
    write(space, B, "female", Source.ORIGINAL, 0.75)
    answer(space, said(A, "male"), said(C, "male"))
    store_of(space.root).append([said(A, "male", by="bob"), said(B, "male"), said(C, "female", 1), said(D, "female")])
    with monkeypatch.context() as patch:
        crash_at(patch, point)
        with pytest.raises(Crash):
            take_in(space)
    take_in(space)
    assert [cell(space, face)[0] for face in (A, B, C, D)] == ["male", "male", "female", "female"]
    kept = {(row.key, row.value, Source(row.annotation)) for row in store_of(space.root).rows() if row.server == TABLE}
    assert kept == {(A, "female", Source.HUMAN), (B, "female", Source.ORIGINAL)}
    assert space.require("faces")["output"] == table_fingerprint(space.table(), completed=False)
    before = files(space)
    take_in(space)
    assert files(space) == before


def test_any_history_with_crashes_ends_like_one_without(
    space: Workspace, said: Said, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Random answers, edits, withdrawals, ingested labels; now and then the process dies in take_in and is started again."""

    def live(place: Workspace, seed: int, crashing: bool) -> Any:
        rng, luck = random.Random(seed), random.Random(seed + 1000)
        table = LabelTable.empty(Schema.load("faces"), FACES, FACES, ["train"] * 12, FACES)
        for path in place.root.glob("labeling/*"):
            path.unlink()
        table.save(place.labels_path)
        said_so_far: list[Answer] = []
        for minute in range(12):
            for _ in range(3):
                face, value, kind = rng.choice(FACES[:3]), rng.choice(("male", "female", "unclear")), rng.random()
                if kind < 0.2 and value != "unclear":
                    write(place, face, value, rng.choice((Source.HUMAN, Source.ORIGINAL)))
                elif kind < 0.35 and said_so_far:
                    store_of(place.root).append([replace(rng.choice(said_so_far), state="withdrawn")])
                else:
                    said_so_far.append(said(face, value, minute, by=rng.choice(("ann", "bob", "cat"))))
                    store_of(place.root).append(said_so_far[-1:])
            while crashing and luck.random() < 0.7:
                with monkeypatch.context() as patch, suppress(Crash):
                    crash_at(patch, luck.choice(POINTS))
                    take_in(place)
            take_in(place)
        cells = [cell(place, face) for face in FACES[:3]]
        votes = {key: (told.value, told.votes) for key, told in resolve(store_of(place.root).all(), "gender").items()}
        return cells, votes, (place.root / "labeling" / "taken.json").read_text()

    ends = []
    for seed in range(8):
        straight, broken = live(space, seed, crashing=False), live(space, seed, crashing=True)
        assert straight == broken
        ends += [source for _, source in straight[0]]
    assert set(ends) >= {"human", "original"}  # the histories reach what they are to test
