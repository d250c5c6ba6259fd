"""The file of probabilities per face, attribute and member."""

from pathlib import Path

import numpy as np
import pytest

from configs.errors import WorkspaceError
from labeling.predictions import Predictions, mutual_information


def some(n: int = 5) -> Predictions:
    rng = np.random.default_rng(0)
    told = {name: rng.dirichlet(np.ones(k), size=(n, 2)).astype(np.float32) for name, k in (("gender", 2), ("hair", 12))}
    faces = np.array([f"{i:064x}" for i in range(n)], dtype=object)
    even = {name: np.full(one.shape[2], 1 / one.shape[2]) for name, one in told.items()}
    shares = {name: rng.dirichlet(np.ones(one.shape[2])) for name, one in told.items()}
    return Predictions(faces, ("resnet", "densenet"), told, np.arange(n) % 2 == 0, even, shares)


def test_round_trip(tmp_path: Path) -> None:
    wrote = some()
    wrote.save(tmp_path / "predictions.npz")
    read = Predictions.load(tmp_path / "predictions.npz")
    assert read.faces.tolist() == wrote.faces.tolist()
    assert read.members == wrote.members
    assert read.out_of_fold.tolist() == wrote.out_of_fold.tolist()
    assert list(read.probabilities) == ["gender", "hair"]
    for name, told in wrote.probabilities.items():
        assert read.probabilities[name].dtype == np.float32
        np.testing.assert_allclose(read.probabilities[name], told, atol=5e-4)
        np.testing.assert_allclose(read.mean(name), told.mean(axis=1), atol=5e-4)
        np.testing.assert_allclose(read.decision[name], wrote.decision[name])
        np.testing.assert_allclose(read.natural(name), wrote.natural(name), atol=2e-3)
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.npz"]


def test_the_values_suggested_are_those_that_completion_fills_in() -> None:
    told = np.array([[[0.25, 0.75]], [[0.05, 0.95]]], np.float32)
    half, rare = np.array([0.5, 0.5]), np.array([0.9, 0.1])
    faces = np.array(["a" * 64, "b" * 64])
    predictions = Predictions(faces, ("one",), {"gender": told}, np.zeros(2, bool), {"gender": half}, {"gender": rare})
    suggested = predictions.suggestions("gender", ("female", "male"))
    assert suggested == {"a" * 64: ("female", 0.75), "b" * 64: ("male", round(0.19 / 0.28, 6))}
    assert predictions.suggestions("hair_color", ("female", "male")) == {}
    assert predictions.suggestions("gender", ("one", "of", "three")) == {}


@pytest.mark.parametrize("content", [None, b"", b"PK no archive", b"\x93NUMPY"])
def test_what_cannot_be_read_says_what_to_type(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "predictions.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WorkspaceError, match="sga complete"):
        Predictions.load(path)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    some(200).save(tmp_path / "whole.npz")
    whole = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WorkspaceError, match="sga complete"):
        Predictions.load(tmp_path / "cut.npz")
    flipped = bytearray(whole)
    for place in range(len(whole) // 2, len(whole) // 2 + 40):
        flipped[place] ^= 0xFF
    (tmp_path / "flipped.npz").write_bytes(flipped)
    with pytest.raises(WorkspaceError, match="sga complete"):
        Predictions.load(tmp_path / "flipped.npz")


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    with (tmp_path / "predictions.npz").open("wb") as handle:
        np.savez(handle, faces=np.array([{"a": 1}], dtype=object), members=["a"], out_of_fold=[True])
    with pytest.raises(WorkspaceError):
        Predictions.load(tmp_path / "predictions.npz")


def test_natural_probabilities_by_hand() -> None:
    told = np.array([[[0.2, 0.8], [0.5, 0.5]]], dtype=np.float32)
    one = Predictions(
        np.array(["a"]),
        ("x", "y"),
        {"gender": told},
        np.zeros(1, bool),
        {"gender": np.full(2, 0.5)},
        {"gender": np.array([0.9, 0.1])},
    )
    first, second = 0.08 / (0.18 + 0.08), 0.1  # 0.8·0.1 against 0.2·0.9; 0.5·0.1 against 0.5·0.9
    np.testing.assert_allclose(one.natural("gender"), [[1 - (first + second) / 2, (first + second) / 2]], rtol=1e-6)
    np.testing.assert_allclose(one.mean("gender"), [[0.35, 0.65]], rtol=1e-6)


def test_predictions_of_an_earlier_version_say_what_to_type(tmp_path: Path) -> None:
    some().save(tmp_path / "predictions.npz")
    with np.load(tmp_path / "predictions.npz") as stored:
        kept = {key: stored[key] for key in stored.files if not key.startswith("decision/")}
    np.savez(tmp_path / "predictions.npz", **kept)
    with pytest.raises(WorkspaceError, match="sga complete"):
        Predictions.load(tmp_path / "predictions.npz")


def test_mutual_information_is_zero_where_members_agree() -> None:
    agreed = np.array([[[0.5, 0.5], [0.5, 0.5]], [[0.9, 0.1], [0.9, 0.1]], [[1.0, 0.0], [1.0, 0.0]]])
    np.testing.assert_allclose(mutual_information(agreed), 0, atol=1e-6)


def test_mutual_information_is_one_where_members_are_sure_of_different_values() -> None:
    two = np.array([[[1.0, 0.0], [0.0, 1.0]]])
    three = np.eye(4)[None, :3]
    assert mutual_information(two)[0] == pytest.approx(1, abs=1e-6)
    assert mutual_information(three)[0] == pytest.approx(1, abs=1e-6)
    assert mutual_information(np.array([[[0.8, 0.2], [0.2, 0.8]]]))[0] == pytest.approx(0.2781, abs=1e-3)  # 1 - H(0.8) in bits


def test_disagreement_orders_faces() -> None:
    told = np.array([[[0.9, 0.1], [0.8, 0.2]], [[0.9, 0.1], [0.1, 0.9]]], dtype=np.float32)
    predictions = Predictions(np.array(["a", "b"]), ("x", "y"), {"gender": told}, np.zeros(2, bool))
    assert predictions.disagreement("gender")[0] < predictions.disagreement("gender")[1]
    assert predictions.disagreement("gender").dtype == np.float32
