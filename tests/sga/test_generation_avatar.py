"""One ID, one face, on every machine: the choice of the attempt reads no pixel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from configs.errors import InputError, ModelError
from sga import FaceModel
from sga.generation.conditions import Latents
from sga.generation.critic import LatentCritic, quantise
from sga.generation.registry import fingerprint, squared_distances
from sga.generation.sessions import Network

MakeModel = Callable[..., Path]
GOLDEN_ATTEMPTS = {"user-42": 10, "user-43": 18, "ß日本": 58}


@pytest.fixture(scope="module")
def model(model_path: Path) -> FaceModel:
    return FaceModel.load(model_path)


def test_golden_attempts(model: FaceModel) -> None:
    assert {identity: model.avatar_attempt(identity, "female") for identity in GOLDEN_ATTEMPTS} == GOLDEN_ATTEMPTS


def test_an_id_is_one_face(model: FaceModel, model_path: Path) -> None:
    face = model.avatar("user-42")
    model.generate("male", 11, seed=1)
    assert FaceModel.load(model_path, threads=1).avatar("user-42").png() == face.png()
    assert face.seed is None
    assert model.avatar("user-42", face.gender).png() == face.png()
    other = model.avatar("user-42", "male" if face.gender == "female" else "female")
    assert other.png() != face.png()


def test_many_at_once_are_the_same_faces(model: FaceModel) -> None:
    ids = [f"id-{number}" for number in range(11)]
    assert [face.png() for face in model.avatars(ids)] == [model.avatar(identity).png() for identity in ids]
    assert model.avatars([]) == []
    assert len({face.image.tobytes() for face in model.avatars([f"id-{number}" for number in range(100)])}) == 100


def test_scores_of_pixels_do_not_change_the_choice(model: FaceModel, make_model: MakeModel) -> None:
    """Judges that differ by far more than two machines do, so that every acceptance flips: the same latents are taken."""
    ids = [f"id-{number}" for number in range(20)]
    strict, lenient = (FaceModel.load(make_model(critic=True, contrast=contrast)) for contrast in (8.0, -2.0))
    for identity in ids:
        faces = [one.avatar(identity, "female", judged=True) for one in (model, strict, lenient)]
        assert len({face.attempt for face in faces}) == 1
        assert (faces[1].image == faces[2].image).all()
        assert faces[1].quality < 0.1
        assert faces[2].quality > 0.9
    verdicts = {(one.avatar(i, "female", judged=True).accepted) for one in (strict, lenient) for i in ids}
    assert verdicts == {False, True}


class Trembling:
    """A network whose outputs differ by as much as those of two machines may, and for the judge by far more."""

    def __init__(self, network: Network, seed: int, levels: int, scores: float) -> None:
        self.network, self.levels, self.scores = network, levels, scores
        self.rng = np.random.default_rng(seed)

    def __call__(self, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        told = self.network(**inputs)
        for name, values in told.items():
            if values.dtype == np.uint8:
                moved = values.astype(int) + self.rng.integers(-self.levels, self.levels + 1, values.shape)
                told[name] = moved.clip(0, 255).astype(np.uint8)
            else:
                told[name] = (values + self.scores * self.rng.standard_normal(values.shape)).astype(np.float32)
        return told


def test_trembling_pixels_and_scores_do_not_change_the_choice(model: FaceModel, model_path: Path) -> None:
    ids = [f"id-{number}" for number in range(12)]
    steady = model.avatars(ids, judged=True)
    attempts = 0
    for seed in range(3):
        other = FaceModel.load(model_path, threads=1)
        other._generator = Trembling(other._generator, seed, 2, 0)  # type: ignore[assignment]
        other._judge = Trembling(other._judge, seed, 0, 0.3)  # type: ignore[assignment]
        for one, face in zip(steady, other.avatars(ids, judged=True), strict=True):
            assert one.latents is not None
            assert face.latents is not None
            assert (face.attempt, face.gender, face.latents.digest) == (one.attempt, one.gender, one.latents.digest)
            assert 0 < np.abs(face.image.astype(int) - one.image).max() <= 2
            assert face.quality != one.quality
            attempts += one.accepted != face.accepted
    assert attempts > 0  # scores did fall on the other side


def test_no_network_runs_before_the_attempt_is_chosen(model_path: Path, model: FaceModel) -> None:
    def run(**_: np.ndarray) -> dict[str, np.ndarray]:
        raise AssertionError("a network ran")

    blind = FaceModel.load(model_path)
    blind._generator = blind._judge = run  # type: ignore[assignment]
    for number in range(5):
        identity = f"id-{number}"
        assert blind.avatar_order(identity) == model.avatar_order(identity)
        assert blind.avatar_latents(identity).digest == model.avatar_latents(identity).digest
    blind._generator = model._generator
    assert blind.avatar("id-1").png() == model.avatar("id-1").png()  # drawn, and the judge not asked


def test_an_avatar_is_judged_only_when_asked(model: FaceModel) -> None:
    face, judged = model.avatar("user-42"), model.avatar("user-42", judged=True)
    assert face.quality is None
    assert not face.judged
    assert face.accepted
    assert face.probabilities == {}
    assert not {"quality", "accepted", "failed"} & face.metadata().keys()
    assert judged.quality is not None
    assert set(judged.probabilities) == {"gender", "hair_color", "glasses"}
    assert (face.image == judged.image).all()
    assert model.judge(judged.image[None]).quality[0] == np.float32(judged.quality)


def test_a_gender_for_each_id(model: FaceModel) -> None:
    faces = model.avatars(["a", "a", "b"], ["female", "male", None])
    assert [face.gender for face in faces[:2]] == ["female", "male"]
    one_by_one = [model.avatar("a", "female"), model.avatar("a", "male"), model.avatar("b")]
    assert [face.png() for face in faces] == [face.png() for face in one_by_one]
    streamed = model.stream_avatars(iter([("a", "female"), ("a", "male"), ("b", "any")]))
    assert [face.png() for face in streamed] == [face.png() for face in faces]
    with pytest.raises(InputError, match="Expected one gender for each of 2 IDs, found 1"):
        model.avatars(["a", "b"], ["female"])
    with pytest.raises(InputError, match="Expected a gender"):
        model.avatars(["a", "b"], ["female", "woman"])
    with pytest.raises(InputError, match="Expected a list of IDs, found the text 'user-42'"):
        model.avatars("user-42")


def test_the_order_begins_with_the_own_attempt(model: FaceModel, make_model: MakeModel) -> None:
    for number in range(5):
        order = model.avatar_order(f"id-{number}")
        assert order[0] == model.avatar_attempt(f"id-{number}")
        assert sorted(order) == list(range(64))
    assert FaceModel.load(make_model()).avatar_order("a") == list(range(64))


def test_300_ids_are_300_faces(model: FaceModel) -> None:
    """Exact duplicates none; IDs that differ in the last digit alone are as far apart as any others."""
    ids = [f"user-{number}" for number in range(300)]
    prints = np.stack([fingerprint(face.image) for face in model.stream_avatars((one, None) for one in ids)])
    apart = np.sqrt(squared_distances(prints, prints) / prints.shape[1])
    assert len(np.unique(prints, axis=0)) == 300
    neighbours = np.array([apart[row, row + 1] for row in range(299)])
    others = apart[np.triu_indices(300, 2)]
    assert 0.8 < np.median(neighbours) / np.median(others) < 1.25


def test_a_thousand_ids_are_a_thousand_latents(model: FaceModel) -> None:
    from sga.generation.conditions import draw, resolve
    from sga.generation.rng import Position, id_subject

    conditions = resolve(model.spec, "female")
    chosen = set()
    for number in range(1000):
        identity = f"user-{number}"
        attempt = model.avatar_attempt(identity, "female")
        latents = draw(model._prior, conditions, Position(id_subject(identity), 0, attempt))
        chosen.add(latents.noise.tobytes() + latents.style.tobytes())
    assert len(chosen) == 1000


def test_ids_decide_the_gender_too(model: FaceModel) -> None:
    genders = [model.avatar(f"user-{number}").gender for number in range(60)]
    assert 15 < genders.count("male") < 45


def test_without_a_critic_attempt_0_is_taken(make_model: MakeModel) -> None:
    model = FaceModel.load(make_model())
    assert {model.avatar(f"user-{number}").attempt for number in range(5)} == {0}


def test_the_earliest_of_equals_is_taken(model: FaceModel, make_model: MakeModel) -> None:
    flat = FaceModel.load(make_model(critic=True))
    assert flat._critic is not None
    critic = flat._critic
    zeros = [np.zeros_like(weight) if k == len(critic.shifts) else weight for k, weight in enumerate(critic.weights)]
    arrays = {f"weight{k}": weight for k, weight in enumerate(zeros)} | {
        f"bias{k}": bias for k, bias in enumerate(critic.biases)
    }
    flat._critic = LatentCritic({**arrays, "shift": np.array(critic.shifts)}, zeros[0].shape[1])
    assert flat.avatar_attempt("user-42") == 0
    assert len({model.avatar_attempt(f"user-{number}") for number in range(20)}) > 5


def test_the_score_is_that_of_plain_integers() -> None:
    """Against Python's integers, at the largest weights and inputs there can be."""
    rng = np.random.default_rng(0)
    arrays = {
        "weight0": rng.integers(-32768, 32768, (16, 160)).astype(np.int16),
        "bias0": rng.integers(-(2**40), 2**40, 16),
        "weight1": rng.integers(-32768, 32768, (1, 16)).astype(np.int16),
        "bias1": rng.integers(-(2**40), 2**40, 1),
        "shift": np.array([9]),
    }
    inputs = rng.integers(-1023, 1024, (20, 160))
    expected = []
    for row in inputs.tolist():
        hidden = []
        for weights, bias in zip(arrays["weight0"].tolist(), arrays["bias0"].tolist(), strict=True):
            total = sum(w * x for w, x in zip(weights, row, strict=True)) + bias
            hidden.append(min(max(total >> 9, 0), 32767))
        expected.append(
            sum(w * x for w, x in zip(arrays["weight1"].tolist()[0], hidden, strict=True)) + int(arrays["bias1"][0])
        )
    assert LatentCritic(arrays, 160)(inputs).tolist() == expected


def test_latents_are_rounded_half_to_even() -> None:
    halves = np.array([0.5, 1.5, 2.5, -0.5, -1.5], np.float64) / 127
    noise = np.array([1.0, -1.0, 0.5, 100.0], np.float32)
    out = quantise([Latents(noise, 1, halves.astype(np.float32))], 2)
    assert out.dtype == np.int64
    assert out[0, :4].tolist() == [127, -127, 64, 1023]  # 63.5 goes to the even 64
    exact = [int(np.rint(float(np.float32(value)) * 127)) for value in halves]
    assert out[0, 4:9].tolist() == exact
    assert out[0, 9:].tolist() == [0, 127]


@pytest.mark.parametrize("broken", ["float", "width", "missing"])
def test_a_broken_critic_is_refused(broken: str) -> None:
    arrays = {
        "weight0": np.zeros((1, 5), np.float32 if broken == "float" else np.int16),
        "bias0": np.zeros(1, np.int64),
        "shift": np.zeros(0, np.int64),
    }
    if broken == "missing":
        del arrays["bias0"]
    with pytest.raises(ModelError, match=r"critic\.npz"):
        LatentCritic(arrays, 6 if broken == "width" else 5)


def test_an_empty_id_is_refused(model: FaceModel) -> None:
    with pytest.raises(InputError, match="Expected an ID"):
        model.avatar("")


def test_an_id_is_text(model: FaceModel) -> None:
    for identity in (5, None, b"user-42", ["a"]):
        with pytest.raises(InputError, match=r"Expected an ID as text, found .*. Write it in quotes"):
            model.avatar(identity)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="Expected an ID as text"):
            model.avatars(["a", identity])  # type: ignore[list-item]
        with pytest.raises(InputError, match="Expected an ID as text"):
            model.avatar_order(identity)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="Expected a list of IDs, found 5"):
        model.avatars(5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"Expected a gender .*, found 5"):
        model.avatars(["a"], 5)  # type: ignore[arg-type]
    assert [face.identity for face in model.avatars(iter("ab"))] == [model.avatar(one).identity for one in "ab"]
