"""Questions from a workspace: who is asked about, who never again, and what goes with each question."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from configs.errors import InputError, WorkspaceError
from labeling.answers import Answer, store_of
from labeling.picking import STRATEGIES
from labeling.predictions import Predictions
from labeling.provenance import Source
from labeling.queue import face_features, load_predictions, questions, standing, thumbnails
from labeling.studio.interface import UNCLEAR
from labeling.studio.tasks import Question
from labeling.workspace import Workspace

Said = Callable[..., Answer]


@pytest.fixture
def space(faces_workspace: Path, copy_of: Callable[[Path], Path]) -> Workspace:
    """160 sample faces; about 48 of them without a gender."""
    return Workspace(copy_of(faces_workspace))


def predict(space: Workspace, seed: int = 0, without: int = 0, men: float = 0.5) -> Predictions:
    """Predictions of three members about all faces but the last `without`, as if a completion had written them.

    men: their share of the unlabelled faces; decisions take them to be as frequent as women.
    """
    table, rng = space.table(), np.random.default_rng(seed)
    faces = table.faces[: len(table) - without]
    shares = rng.beta(0.5, 0.5, (len(faces), 3)).astype(np.float32)
    told = {"gender": np.stack([1 - shares, shares], axis=2)}
    half, real = {"gender": np.full(2, 0.5)}, {"gender": np.array([1 - men, men])}
    predictions = Predictions(faces.astype("U64"), ("a", "b", "c"), told, np.zeros(len(faces), bool), half, real)
    predictions.save(space.folder("ensemble") / "predictions.npz")
    return Predictions.load(space.folder("ensemble") / "predictions.npz")


def write_styles(space: Workspace, count: int | None = None) -> np.ndarray:
    faces = space.table().faces[:count]
    style = np.random.default_rng(1).standard_normal((len(faces), 30)).astype(np.float32)
    space.folder("sfn").mkdir(exist_ok=True)
    np.savez(space.folder("sfn") / "styles.npz", face=faces[::-1].astype("U64"), style=style[::-1])
    return style


def open_faces(space: Workspace, *splits: str) -> set[str]:
    table = space.table()
    return set(table.faces[~table.labelled("gender") & np.isin(table.frame["split"], splits or ("train", "validation"))])


def keys(asked: list[Question]) -> list[str]:
    return [question.key for question in asked]


def test_only_unlabelled_faces_outside_the_test_are_asked_about(space: Workspace) -> None:
    asked = questions(space, "gender", 1000, "random", 0)
    assert len(asked) > 20
    assert set(keys(asked)) <= open_faces(space)
    assert len(set(keys(asked))) == len(asked)
    files = dict(zip(space.table().faces, space.table().frame["file"], strict=True))
    for question in asked:
        assert question.image.is_file()
        assert question.image == space.root / question.file == space.root / files[question.key]
        assert (question.strategy, question.round, question.predicted, question.confidence) == ("random", 1, None, None)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_completion_would_fill_in_goes_along(space: Workspace, strategy: str) -> None:
    predictions = predict(space, men=0.2)
    write_styles(space)
    asked = questions(space, "gender", 12, strategy, 0)
    assert asked == questions(space, "gender", 12, strategy, 0)
    assert len(asked) == 12
    told = dict(zip(predictions.faces.tolist(), predictions.natural("gender"), strict=True))
    for question in asked:
        assert question.predicted == space.table().schema["gender"].values[int(told[question.key].argmax())]
        assert question.confidence == pytest.approx(float(told[question.key].max()), abs=1e-6)
        assert question.strategy in (strategy, "random")
        assert 0 <= question.utility <= 1


def test_a_face_that_came_after_the_predictions_is_asked_about_without_one(space: Workspace) -> None:
    predict(space, without=80)
    asked = questions(space, "gender", 1000, "uncertainty", 0)
    late = set(space.table().faces[-80:])
    assert any(question.key in late for question in asked)
    assert all((question.predicted is None) == (question.key in late) for question in asked)


def test_an_attribute_that_the_ensemble_does_not_judge(space: Workspace) -> None:
    predict(space)
    assert questions(space, "smile", 3, "random", 0)[0].predicted is None
    helps = f"--strategy diverse or --strategy random; .* sga complete --workspace {re.escape(str(space.root))}"
    with pytest.raises(InputError, match=f"says of smile for the strategy uncertainty, found nothing. Type {helps}"):
        questions(space, "smile", 3, "uncertainty", 0)


def test_what_is_handed_over_is_not_read_again(space: Workspace) -> None:
    older = predict(space, seed=1)
    predict(space, seed=2)
    told = older.suggestions("gender", space.table().schema["gender"].values)
    asked = questions(space, "gender", 9, "uncertainty", 0, predictions=older)
    assert [(question.predicted, question.confidence) for question in asked] == [told[key] for key in keys(asked)]
    assert questions(space, "gender", 9, "random", 0, predictions=None)[0].predicted is None


def test_uncertain_faces_come_first(space: Workspace) -> None:
    predictions = predict(space, men=0.2)  # by what is decided, whatever the shares are
    write_styles(space)
    doubt = dict(zip(predictions.faces.tolist(), -np.abs(predictions.mean("gender")[:, 1] - 0.5), strict=True))
    asked = keys(questions(space, "gender", 6, "uncertainty", 0))
    rest = open_faces(space) - set(asked) - _groups_of(space, asked)
    assert min(doubt[key] for key in asked) >= max(doubt[key] for key in rest)


def _groups_of(space: Workspace, keys: list[str]) -> set[str]:
    """All faces of these faces' groups."""
    table = space.table()
    groups = table.frame["group"]
    return set(table.faces[groups.isin(groups[table.rows(keys)])])


def test_count_is_what_shall_wait(space: Workspace) -> None:
    first = questions(space, "gender", 10, "random", 0)
    asked = dict.fromkeys(keys(first[:7]), 1)
    more = questions(space, "gender", 10, "random", 0, asked)
    assert len(more) == 3
    assert not set(keys(more)) & set(asked)
    assert questions(space, "gender", 10, "random", 0, dict.fromkeys(keys(first), 1)) == []
    everything = dict.fromkeys(keys(questions(space, "gender", 1000, "random", 0)), 1)
    assert questions(space, "gender", 1000, "random", 0, everything) == []


def test_each_split_has_a_queue_of_its_own(space: Workspace) -> None:
    measure = dict.fromkeys(keys(questions(space, "gender", 5, "random", 0, split="test")), 1)
    assert measure
    assert len(questions(space, "gender", 4, "random", 0, measure)) == 4
    others = dict.fromkeys(keys(questions(space, "gender", 5, "random", 0)), 1)
    assert len(questions(space, "gender", 1, "random", 0, others, split="test")) == 1


def test_what_waits_for_a_review_takes_no_place_and_is_not_asked_about(space: Workspace, said: Said) -> None:
    key = keys(questions(space, "gender", 1, "random", 0))[0]
    store = store_of(space.root)
    store.append([said(key, value, by=by) for value, by in (("male", "ann"), ("female", "ben"))])
    asked = questions(space, "gender", 3, "random", 0, {key: 1}, reviews={key: 2})
    assert len(asked) == 3
    assert key not in keys(asked)
    store.append([said(key, None, state="skip", purpose="review", project=2, round=2)])
    first, *_ = questions(space, "gender", 3, "random", 0, {key: 1}, reviews={key: 2})
    assert (first.key, first.round, first.strategy) == (key, 3, "disputed")  # above every round there is


def test_answers_decide_who_comes_back(space: Workspace, said: Said) -> None:
    value, skipped, unclear, twice, torn, refused, waiting, *_ = keys(questions(space, "gender", 20, "random", 0))
    asked = dict.fromkeys((value, skipped, unclear, twice, torn, refused, waiting), 1)
    store = store_of(space.root)
    store.append(
        [
            said(value, "male"),
            said(skipped, None, state="skip"),
            said(unclear, UNCLEAR),
            said(twice, "male", 1, "ann"),
            said(twice, "female", 2, "ben"),
            said(torn, "male", 3, state="withdrawn"),
            said(refused, None, state="refused", reason="two choices"),
        ]
    )
    now = standing(store.all(), "gender", asked)
    assert now.settled == {value, unclear}
    assert now.disputed == {twice}
    assert now.waiting == {torn, waiting}  # a deleted annotation leaves its task open
    assert now.again == {skipped, refused}
    back = questions(space, "gender", 1000, "random", 0, asked)
    assert (back[0].key, back[0].round, back[0].strategy) == (twice, 2, "disputed")
    rounds = {question.key: question.round for question in back}
    assert (rounds[skipped], rounds[refused]) == (2, 2)
    assert not {value, unclear, torn, waiting} & rounds.keys()
    assert {rounds[key] for key in rounds.keys() - {twice, skipped, refused}} == {1}
    # Asked again, they wait; answered again, they are settled or come a third time.
    asked |= {twice: 2, skipped: 2}
    assert standing(store.all(), "gender", asked).waiting == {torn, waiting, twice, skipped}
    assert not {twice, skipped} & set(keys(questions(space, "gender", 1000, "random", 0, asked)))
    store.append([said(twice, "male", 4, "cem", round=2), said(skipped, None, 5, state="skip", annotation=1, round=2)])
    now = standing(store.all(), "gender", asked)
    assert twice in now.settled
    assert {q.key: q.round for q in questions(space, "gender", 1000, "random", 0, asked)}[skipped] == 3


def test_disputes_fill_the_queue_before_picks(space: Workspace, said: Said) -> None:
    some = keys(questions(space, "gender", 4, "random", 0))
    store_of(space.root).append([said(key, value, by=by) for key in some for value, by in (("male", "ann"), ("female", "ben"))])
    asked = questions(space, "gender", 3, "random", 0, dict.fromkeys(some, 1))
    assert {question.strategy for question in asked} == {"disputed"}
    assert set(keys(asked)) < set(some)
    more = questions(space, "gender", 6, "random", 0, dict.fromkeys(some, 1))
    assert [question.strategy for question in more] == ["disputed"] * 4 + ["random"] * 2
    # Another server knows nothing of the first one's rounds.
    assert {question.round for question in questions(space, "gender", 4, "random", 0)} == {2}


def test_near_duplicates_are_never_asked_about_together(space: Workspace) -> None:
    table = space.table()
    some = np.flatnonzero(table.frame["face"].isin(open_faces(space)))[:12]
    table.frame.loc[some, "group"] = np.repeat([f"group {i}" for i in range(4)], 3)
    table.save(space.labels_path)
    one_each = set(table.faces[some])
    for seed in range(3):
        asked = questions(space, "gender", 1000, "random", seed)
        mine = [table.frame["group"][table.rows([key])[0]] for key in keys(asked) if key in one_each]
        assert sorted(mine) == [f"group {i}" for i in range(4)]
    first = str(table.faces[some[0]])
    asked = questions(space, "gender", 1000, "random", 0, {first: 1})
    assert len({*keys(asked)} & one_each) == 3  # nor beside one that waits


def test_the_test_split_is_asked_about_at_random_only(space: Workspace) -> None:
    write_styles(space)
    asked = questions(space, "gender", 1000, "random", 0, split="test")
    assert asked
    assert set(keys(asked)) <= open_faces(space, "test")
    assert set(keys(questions(space, "gender", 1000, "diverse", 0, split="validation"))) <= open_faces(space, "validation")
    with pytest.raises(InputError, match="--strategy random beside --split test, found combined"):
        questions(space, "gender", 5, "combined", 0, split="test")
    with pytest.raises(InputError, match="found 'tests'"):
        questions(space, "gender", 5, "random", 0, split="tests")


def test_a_dispute_about_a_test_face_is_asked_again_with_its_split_alone(space: Workspace, said: Said) -> None:
    key = keys(questions(space, "gender", 1, "random", 0, split="test"))[0]
    store_of(space.root).append([said(key, value, by=by) for value, by in (("male", "ann"), ("female", "ben"))])
    assert key not in keys(questions(space, "gender", 5, "random", 0, {key: 1}))
    first, *_ = questions(space, "gender", 5, "random", 0, {key: 1}, split="test")
    assert (first.key, first.round, first.strategy) == (key, 2, "disputed")


def test_what_cannot_be_asked_is_said(space: Workspace) -> None:
    with pytest.raises(InputError, match="Did you mean gender"):
        questions(space, "gendr", 5, "random", 0)
    with pytest.raises(InputError, match="Did you mean diverse"):
        questions(space, "gender", 5, "divers", 0)
    with pytest.raises(InputError, match="at least 1, found 0"):
        questions(space, "gender", 0, "random", 0)
    with pytest.raises(InputError, match="sga complete"):
        questions(space, "gender", 5, "uncertainty", 0)
    table = space.table()
    table.fill("gender", np.arange(len(table)), np.zeros(len(table)), Source.HUMAN)
    table.save(space.labels_path)
    with pytest.raises(InputError, match="without a label or an answer, found none"):
        questions(space, "gender", 5, "combined", 0)


def test_combined_without_models_starts_by_the_faces_colours(space: Workspace) -> None:
    notes: list[str] = []
    asked = questions(space, "gender", 20, on_note=notes.append)
    assert "thumbnails" in notes[0]
    assert "diverse stands in for combined" in notes[1]
    assert [question.strategy for question in asked].count("random") == 3
    assert {question.strategy for question in asked} == {"random", "diverse"}
    assert all(question.strategy == "random" for question in questions(space, "gender", 9, "combined", 0, random_share=1))


def test_the_version_names_what_is_predicted(space: Workspace) -> None:
    def version() -> str:
        found = load_predictions(space)
        assert found is not None
        return found.version

    assert load_predictions(space) is None
    one = predict(space)
    first = version()
    assert re.fullmatch(r"ensemble-[0-9a-f]{8}", first)
    one.save(space.folder("ensemble") / "predictions.npz")
    assert version() == first  # whenever it was written
    predict(space, seed=1)
    assert version() != first


def test_styles_are_the_features_where_all_faces_have_one(space: Workspace) -> None:
    table, notes = space.table(), list[str]()
    style = write_styles(space)
    np.testing.assert_array_equal(face_features(space, table, notes.append), style)
    assert notes == []
    write_styles(space, 100)
    assert face_features(space, table, notes.append).shape == (len(table), 16)
    assert "sga sfn" in notes[0]
    (space.folder("sfn") / "styles.npz").write_bytes(b"PK nothing")
    with pytest.raises(WorkspaceError, match=re.escape(f"Type: sga sfn --workspace {space.root}")):
        face_features(space, table)


def test_thumbnails_are_kept_by_the_faces_names(space: Workspace) -> None:
    table = space.table()
    made = thumbnails(space, table)
    assert (made.shape, made.dtype) == ((len(table), 8, 8, 3), np.uint8)
    with Image.open(space.root / table.frame["file"][5]) as face:
        pixels = np.asarray(face.convert("RGB"), dtype=np.float64)
    side = len(pixels) // 8
    np.testing.assert_allclose(made[5], pixels.reshape(8, side, 8, side, 3).mean(axis=(1, 3)), atol=1)
    (path,) = (space.root / "labeling").glob("thumbnails-*.npy")
    np.save(path, made[::-1])
    np.testing.assert_array_equal(thumbnails(space, table), made[::-1])  # read, not made again
    path.write_bytes(path.read_bytes()[:300])
    np.testing.assert_array_equal(thumbnails(space, table), made)
    fewer = table.select(np.arange(50))
    np.testing.assert_array_equal(thumbnails(space, fewer), made[:50])
    assert [*(space.root / "labeling").glob("thumbnails-*.npy")] != [path]
    (space.root / table.frame["file"][7]).unlink()
    with pytest.raises(WorkspaceError, match="Ingest the faces again"):
        thumbnails(space, table)


def test_faces_of_like_colours_are_near(space: Workspace) -> None:
    table = space.table()
    for row, shade in ((0, 40), (1, 42), (2, 230)):
        Image.new("RGB", (64, 64), (shade, shade, shade)).save(space.root / table.frame["file"][row])
    a, b, c = face_features(space, table)[:3]
    assert np.linalg.norm(a - b) < 0.05 * np.linalg.norm(a - c)
