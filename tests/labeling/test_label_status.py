"""`sga label status`: who said how much, what waits, the learning curve and its outlook."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labeling.answers import Answer, store_of
from labeling.history import Round, append_rounds
from labeling.provenance import Source
from labeling.queue import questions
from labeling.studio.client import StudioClient
from labeling.studio.interface import UNCLEAR
from labeling.studio.projects import Project, add_project
from labeling.studio.push import push
from labeling.studio.status import Queue, curve_of, format_status, read_status
from labeling.workspace import Workspace
from sga.cli.main import main

Said = Callable[..., Answer]


@pytest.fixture
def space(faces_workspace: Path, copy_of: Callable[[Path], Path]) -> Workspace:
    return Workspace(copy_of(faces_workspace))


def run(space: Workspace, *arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["label", "status", "--workspace", str(space.root), *arguments])
    return int(stop.value.code or 0)


def rounds(labels: tuple[int, ...], a: float = 0.95, drop: float = 0.25, c: float = 0.4, half: float = 0.02) -> list[Round]:
    values = [a - drop * (n / labels[0]) ** -c for n in labels]
    return [
        Round("gender", n, n // 4, "balanced", value, value - half, value + half, 900, time=f"2026-11-{20 + i}T08:00:00Z")
        for i, (n, value) in enumerate(zip(labels, values, strict=True))
    ]


def test_labels_are_counted_by_source_and_value(space: Workspace) -> None:
    table = space.table()
    missing = np.flatnonzero(~table.labelled("gender"))
    table.fill("gender", missing[:5], np.ones(5), Source.HUMAN)
    table.fill("gender", missing[5:9], np.zeros(4), Source.COMPLETED, 0.9)
    table.save(space.labels_path)
    gender = read_status(space).progress[0]
    assert gender.attribute == "gender"
    assert gender.cells == {
        "human": 5,
        "completed": 4,
        "original": len(table) - len(missing),
        "missing": len(missing) - 9,
    }
    assert sum(gender.labels.values()) == 5 + gender.cells["original"]  # what the ensemble filled in is no label
    male = table.labelled("gender") & (table.codes("gender") == table.schema["gender"].code("male"))
    assert gender.labels["male"] == male.sum()
    assert (gender.chance, gender.pace, gender.rounds) == (None, None, ())


def test_a_new_workspace_says_what_to_type(space: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(space) == 0
    said = capsys.readouterr().out
    assert f"sga label push --attribute NAME --workspace {space.root}" in said
    lines = said.splitlines()
    assert lines[0].split() == ["attribute", "human", "original", "completed", "missing", "labels"]
    assert [line.split()[0] for line in lines[1:5]] == ["gender", "hair_color", "smile", "quality"]


def test_the_queue_is_told_without_the_server(
    space: Workspace, said: Said, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LABEL_STUDIO_URL", raising=False)
    monkeypatch.delenv("LABEL_STUDIO_API_KEY", raising=False)
    add_project(space, Project("http://one", 1, "gender", "single", "label"))
    add_project(space, Project("http://one", 2, "gender", "wall", "label"))
    store_of(space.root).append(
        [
            *(said(f"{i:064x}", "male") for i in range(4)),
            *(said(f"{i:064x}", "male", 3, "a", annotation=90 + i) for i in (4, 5)),
            said(f"{4:064x}", "female", 4, "ben"),
            said("u" * 64, UNCLEAR),
            said("s" * 64, None, state="skip"),
            said("r" * 64, None, state="refused", reason="two choices"),
            said("w" * 64, "male", state="withdrawn"),
            # Skipped by one and answered by another is answered.
            said("b" * 64, None, 1, state="skip"),
            said("b" * 64, "male", 0, "ben"),
            said("o" * 64, None, state="open", project=2),
        ]
    )
    first, second = read_status(space).queues
    assert first == Queue(first.project, None, answered=7, unclear=1, skipped=1, open=0, refused=1, disputed=1)
    assert second == Queue(second.project, None, answered=0, unclear=0, skipped=0, open=1, refused=0, disputed=0)
    assert run(space) == 0
    lines = capsys.readouterr().out.splitlines()
    assert next(line for line in lines if line.startswith("1 gender label, single")).split()[4:] == [*"?711011"]
    (reason,) = [line for line in lines if "is not known" in line]
    assert reason.startswith("How much waits in project 1, 2 is not known: Expected a running Label Studio")


def test_a_server_that_is_not_there_does_not_hide_the_rest(
    space: Workspace, said: Said, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("label_studio_sdk")
    add_project(space, Project("http://127.0.0.1:9", 1, "gender", "single", "label"))
    store_of(space.root).append([said("a" * 64, "male", server="http://127.0.0.1:9")])
    assert run(space, "--url", "http://127.0.0.1:9", "--token", "0123456789abcdef") == 0
    told = capsys.readouterr().out
    assert "How much waits in project 1 is not known: " in told
    assert "0123456789abcdef" not in told
    assert re.search(r"1 gender label, single +\? +1 +0", told)


def test_what_waits_is_asked_of_the_server(space: Workspace, said: Said, studio: StudioClient) -> None:
    server, gender = studio.connection.server, space.table().schema["gender"]
    asked = questions(space, "gender", 30, "random", 0)[:26]
    single = push(studio, space, gender, asked[:2], layout="single").project
    wall = push(studio, space, gender, asked[2:], layout="wall").project
    base = {"server": server, "project": wall.id}
    store_of(space.root).append(
        [
            said(asked[2].key, "male", **base),
            said(asked[3].key, None, **base, state="open"),
            said(asked[4].key, UNCLEAR, **base),
        ]
    )
    store_of(space.root).append([said(asked[0].key, "male", **{**base, "project": single.id}, state="withdrawn")])
    add_project(space, Project("http://elsewhere", 7, "gender", "single", "label"))
    status = read_status(space, studio)
    assert [queue.waiting for queue in status.queues] == [2, 21, None]
    assert status.queues[2].problem == "on another server, http://elsewhere"
    # Asked again, in the next round, what was left open waits once more.
    push(studio, space, gender, [replace(asked[3], round=2)], layout="wall")
    assert read_status(space, studio).queues[1].waiting == 22
    studio.delete_project(single.id)
    gone = read_status(space, studio).queues[0]
    assert (gone.waiting, gone.problem) == (None, "deleted on the server")
    assert "is not known: deleted on the server" in format_status(read_status(space, studio))


def test_random_picks_tell_the_shares_and_others_do_not(space: Workspace, said: Said) -> None:
    answers = [said(f"{i:064x}", "male" if i < 3 else "female") for i in range(50)]
    answers += [said(f"{i:064x}", UNCLEAR) for i in range(50, 54)]
    answers += [said(f"{i:064x}", "male", strategy="combined") for i in range(60, 90)]
    answers += [said(f"{i:064x}", None, state="skip") for i in range(90, 95)]
    answers += [said("r" * 64, "male", purpose="review")]
    store_of(space.root).append(answers)
    chance = read_status(space).progress[0].chance
    assert chance is not None
    assert (chance.decided, chance.unclear) == (50, 4)
    male = chance.shares["male"]
    assert (male.value, male.low, male.high) == pytest.approx((0.06, 0.0206, 0.1622), abs=1e-4)  # Wilson's interval of 3 of 50
    assert "50 random picks decided, 4 unclear" in format_status(read_status(space))
    assert "male 6.0 % [2.1, 16.2]" in format_status(read_status(space))


def test_the_pace_comes_from_the_lead_times(space: Workspace, said: Said) -> None:
    store_of(space.root).append([said(f"{i:064x}", "male", lead_time=seconds) for i, seconds in enumerate((2, 3, 400))])
    assert "20.0 faces a minute (median of 3 faces)" in format_status(read_status(space))


def test_the_learning_curve_and_what_more_labels_bring(space: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    told = rounds((200, 400, 800, 1600))
    append_rounds(space, [*told, replace(told[0], attribute="hair_color", metric="accuracy")])
    assert run(space) == 0
    out = capsys.readouterr().out
    assert re.search(r"1,600 +400 +84\.1 \[82\.1, 86\.1\]  2026-11-23  █+", out)
    curve = curve_of(told)
    gain = curve.worth(1000)
    assert f"1,000 more labels {gain.value:+.1f} points [{gain.low:.1f}, {gain.high:.1f}]" in out
    until = curve.pays_until(0.1).labels
    assert until is not None
    assert f"{until - 1600:,} more labels" in out
    needed = curve.labels_needed(0.85).labels  # the next step above 84.1 %
    assert needed is not None
    assert re.search(rf"  {needed - 1600:,} more labels \[.*\] are likely to bring it to 85 %\.", out)
    assert "Not counted" not in out
    assert "found 1. Label more and type: sga complete" in out  # of hair_color


def test_a_flat_curve_is_told_in_words(space: Workspace) -> None:
    append_rounds(space, rounds((200, 400, 800, 1600), drop=0.001))
    told = format_status(read_status(space))
    assert "Expected scores that rise beyond their errors" in told
    assert "pay off" not in told


def test_what_was_measured_in_another_way_is_no_point(space: Workspace) -> None:
    told = [replace(one, settings="a", test="b") for one in rounds((200, 400, 800, 1600))]
    mixed = [
        replace(told[0], metric="accuracy", labels=50),
        replace(told[0], labels=60, n=0),
        replace(told[0], labels=70, settings="quick"),
        replace(told[0], labels=80, test="fewer faces"),
        *told,
    ]
    append_rounds(space, mixed)
    assert "Not counted, being of other settings or held-out labels than the newest: 4." in format_status(read_status(space))
    assert [point.labels for point in curve_of(mixed).points] == [200, 400, 800, 1600]
    certain = curve_of([*told, replace(told[3], labels=3200, value=1.0, low=1.0, high=1.0, n=50)])
    assert certain.points[-1].error == 0.01


def test_a_score_that_reaches_no_target_says_so(space: Workspace) -> None:
    append_rounds(space, rounds((200, 400, 800, 1600), a=0.92, drop=0.2, c=1.2, half=0.001))
    assert re.search(r"  ∞ more labels \[.*∞\] are likely to bring it to 95 %\.", format_status(read_status(space)))
