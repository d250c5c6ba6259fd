"""The store of answers, which loses nothing, and the rule by which answers become a label."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from configs.errors import InputError, WorkspaceError
from labeling.answers import TABLE, Answer, AnswerStore, ballots, instant, quality_labels, random_sample, resolve
from labeling.provenance import Source

Said = Callable[..., Answer]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path: Path) -> AnswerStore:
    return AnswerStore(tmp_path / "labeling" / "answers.jsonl")


# -- the store -------------------------------------------------------------------------------------------------------------


def test_times_sort_as_texts() -> None:
    assert instant("2026-11-21T08:00:00Z") == "2026-11-21T08:00:00.000000Z"
    assert instant("2026-11-21T10:00:00.5+02:00") == "2026-11-21T08:00:00.500000Z"
    assert instant("2026-11-21T08:00:00.25") == "2026-11-21T08:00:00.250000Z"
    assert instant(datetime(2026, 11, 21, 9, tzinfo=timezone(timedelta(hours=1)))) == "2026-11-21T08:00:00.000000Z"
    moments = [datetime(2026, 11, 21, tzinfo=UTC) + timedelta(microseconds=step) for step in (0, 1, 10, 999_999, 1_000_000)]
    assert [instant(moment) for moment in moments] == sorted(instant(moment) for moment in moments)
    assert instant("") == ""
    with pytest.raises(InputError, match="Expected an ISO 8601 time, found 'yesterday'"):
        instant("yesterday")


def test_the_same_answers_twice_change_nothing(store: AnswerStore, said: Said) -> None:
    answers = [said("a", "male"), said("b", None, state="skip", reason="größer „als“ 1")]
    assert store.append(answers) == answers
    before = store.path.read_bytes()
    assert store.append(answers) == []
    assert store.path.read_bytes() == before
    assert AnswerStore(store.path).all() == answers


def test_the_newest_row_counts_and_all_are_kept(store: AnswerStore, said: Said) -> None:
    first, edited, gone = said("a", "male", 1), said("a", "female", 2), said("a", "female", 2, state="withdrawn")
    other = said("b", "male", 3, annotation=2)
    store.append([first, other])
    store.append([edited])
    assert store.all() == [edited, other]
    store.append([gone])
    store.append([gone])
    assert store.all() == [gone, other]
    assert list(store.rows()) == [first, other, edited, gone]


def test_faces_of_one_wall_and_attributes_are_apart(store: AnswerStore, said: Said) -> None:
    wall = [said(key, "male", annotation=7) for key in "abc"]
    store.append([*wall, said("a", "no", annotation=7, attribute="smile")])
    assert len(store.all()) == 4


@pytest.mark.parametrize("cut", [1, 2, 40], ids=["the newline", "a brace", "half a line"])
def test_a_torn_last_line_is_moved_away_and_fetched_again(store: AnswerStore, said: Said, cut: int) -> None:
    first, second = said("a", "male"), said("b", "female")
    store.append([first, second])
    whole = store.path.read_bytes()
    store.path.write_bytes(whole[:-cut])
    assert store.all() == [first]
    assert store.append([second]) == [second]
    assert store.path.read_bytes() == whole
    torn = store.path.with_name("answers.torn").read_bytes()
    assert torn == whole.splitlines(keepends=True)[1][:-cut] + b"\n"


def test_a_damaged_line_is_named(store: AnswerStore, said: Said) -> None:
    store.append([said("a", "male"), said("b", "male")])
    first, second = store.path.read_bytes().splitlines(keepends=True)
    for damage in (b"\x00\x00\n", b'{"key": "a"}\n', b"[1]\n", b"\xff\n"):
        store.path.write_bytes(first + damage + second)
        with pytest.raises(WorkspaceError, match=r"Expected an answer in line 2 of .*answers\.jsonl"):
            store.all()


def _python(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


WRITER = """
import sys
from dataclasses import replace
from labeling.answers import AnswerStore
store, name = AnswerStore(sys.argv[1]), sys.argv[2]
model = store.all()[0]
print("ready", flush=True)
for batch in range(20):
    store.append([replace(model, key=f"{name}-{batch}-{i}", reason="x" * 500) for i in range(20)])
"""


def test_processes_do_not_mix_their_rows(store: AnswerStore, said: Said) -> None:
    store.append([said("a", "male")])
    with store.locked():
        writers = [_python(WRITER, store.path, name) for name in "xyz"]
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        for writer in writers:
            with pytest.raises(subprocess.TimeoutExpired):  # they wait for the lock
                writer.wait(1)
        assert len(store.all()) == 1
    for writer in writers:
        _, errors = writer.communicate(timeout=300)
        assert not errors
    assert len(store.all()) == 1 + 3 * 400
    assert not store.path.with_name("answers.torn").exists()


FULL = """
import resource, sys
from dataclasses import replace
from configs.errors import InputError
from labeling.answers import AnswerStore
store = AnswerStore(sys.argv[1])
model = store.all()[0]
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    store.append([replace(model, key=str(i)) for i in range(20)])
except InputError as error:
    print(error)
"""


def test_a_full_disk_leaves_whole_rows(store: AnswerStore, said: Said) -> None:
    model = said("a", "male")
    store.append([model])
    out, errors = _python(FULL, store.path).communicate(timeout=300)
    assert "Expected to write" in out
    assert not errors
    assert store.path.stat().st_size == 2000
    keys = [answer.key for answer in store.all()]
    assert keys == ["a", *map(str, range(len(keys) - 1))]
    assert 1 < len(keys) < 21
    store.append([replace(model, key=str(i)) for i in range(20)])
    assert len(store.all()) == 21


# -- the rule --------------------------------------------------------------------------------------------------------------


def test_the_majority_of_the_annotators_wins(said: Said) -> None:
    answers = [said("k", "male", by="a"), said("k", "female", by="b"), said("k", "male", by="c")]
    told = resolve(answers, "gender")["k"]
    assert (told.value, told.votes, told.annotators, told.disputed) == ("male", {"male": 2, "female": 1}, 3, False)
    assert told.updated == max(answer.updated for answer in answers)


def test_a_tie_stays_open(said: Said) -> None:
    told = resolve([said("k", "male", by="a"), said("k", "female", by="b")], "gender")["k"]
    assert (told.value, told.disputed) == (None, True)
    three = [said("k", value, by=value) for value in ("blue", "red", "pink")]
    assert resolve(three, "gender")["k"].disputed
    assert resolve([*three, said("k", "red", by="d")], "gender")["k"].value == "red"


def test_an_annotator_has_one_vote_the_newest(said: Said) -> None:
    answers = [said("k", "male", minute, annotation=minute, by="a") for minute in range(3)]
    answers.append(said("k", "female", 9, annotation=9, by="a"))
    for order in (answers, answers[::-1]):
        assert resolve(order, "gender")["k"].votes == {"female": 1}


def test_what_is_no_answer_is_no_vote_and_takes_none_back(said: Said) -> None:
    answer = said("k", "male", 1, annotation=1)
    for state in ("skip", "open", "refused"):
        later = said("k", None, 2, annotation=2, state=state)
        assert resolve([answer, later], "gender")["k"].votes == {"male": 1}
        assert not resolve([later], "gender")
    withdrawn = said("k", "female", 3, annotation=3, state="withdrawn")
    assert resolve([answer, withdrawn], "gender")["k"].value == "male"


def test_unclear_is_an_answer(said: Said) -> None:
    answers = [said("k", "unclear", by="a"), said("k", "unclear", by="b"), said("k", "male", by="c")]
    assert resolve(answers, "gender")["k"].value == "unclear"


def test_the_tables_own_label_votes_and_its_original_does_not(said: Said) -> None:
    human = said("k", "female", server=TABLE, project=0, annotation=int(Source.HUMAN), by=TABLE, purpose=TABLE)
    original = said("k", "female", server=TABLE, project=0, annotation=int(Source.ORIGINAL), by=TABLE, purpose=TABLE)
    person = said("k", "male", by="a")
    assert resolve([human, person], "gender")["k"].disputed
    assert resolve([original, person], "gender")["k"].votes == {"male": 1}


def test_a_face_that_is_asked_about_again_is_decided_by_the_last_answers(said: Said) -> None:
    """Otherwise two people who disagree would be asked for ever."""
    human = said("k", "female", server=TABLE, project=0, annotation=int(Source.HUMAN), by=TABLE, purpose=TABLE, round=0)
    first = [said("k", "male", by="a"), said("k", "female", by="b")]
    again = said("k", "male", 5, annotation=9, by="a", strategy="disputed", round=2)
    assert resolve([*first, again], "gender")["k"].value == "male"
    assert resolve([human, said("k", "male", by="a"), again], "gender")["k"].votes == {"male": 1}
    tied = [*first, again, said("k", "female", 6, annotation=8, by="b", round=2)]
    assert resolve(tied, "gender")["k"].disputed
    review = said("k", "female", 7, annotation=10, by="c", purpose="review", round=3)
    assert resolve([*tied, review], "gender")["k"].value == "female"
    assert resolve([*tied, said("k", None, 7, annotation=10, state="skip", round=3)], "gender")["k"].disputed
    assert ballots(tied, "gender", first=True)["k"].keys() == {"a", "b"}
    assert [one.round for one in ballots(tied, "gender", first=True)["k"].values()] == [1, 1]


def test_a_random_sample_leaves_out_what_was_picked_and_half_marked_walls(said: Said) -> None:
    answers = [
        *(said(f"r{i}", "male" if i < 3 else "female", annotation=i) for i in range(10)),
        said("u", "unclear", annotation=20),
        said("p", "male", annotation=21, strategy="combined"),
        *(said(f"w{i}", "male", annotation=30) for i in range(2)),
        said("w2", None, annotation=30, state="open"),
        said("q", "low", annotation=40, attribute="quality", purpose="quality"),
    ]
    assert random_sample(answers, "gender") == {"male": 3, "female": 7, "unclear": 1}


def test_attributes_and_the_order_of_rows_do_not_matter(said: Said) -> None:
    rng = random.Random(0)
    answers = [
        said(key, rng.choice(["male", "female", "unclear"]), rng.randrange(5), annotation=number, by=rng.choice("abc"))
        for number, key in enumerate("kkkkkkllllllmmmmmm")
    ]
    expected = resolve(answers, "gender")
    assert set(expected) == {"k", "l", "m"}
    for _ in range(20):
        rng.shuffle(answers)
        assert resolve([*answers, said("k", "no", attribute="smile")], "gender") == expected
    assert set(ballots(answers, "gender")["k"]) <= set("abc")
    assert resolve(answers, "smile") == {}


def test_labels_of_generated_faces(store: AnswerStore, said: Said) -> None:
    one, two = "0a/1/2/male", "0a/1/3/female"
    store.append(
        [
            said(one, "high", by="a", purpose="quality", attribute="quality"),
            said(one, "high", by="b", purpose="quality", attribute="quality", annotation=2),
            said(two, "low", by="a", purpose="quality", attribute="quality", annotation=3),
            said(two, "high", by="b", purpose="quality", attribute="quality", annotation=4),
            said("a" * 64, "low", by="a", purpose="label", attribute="quality", annotation=5),
        ]
    )
    assert quality_labels(store) == {one: "high"}
