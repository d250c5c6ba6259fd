"""A registry keeps its avatars apart, whoever writes to it, and an ID its attempt."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from configs.errors import InputError, MissingExtra, ModelError
from configs.files import hold
from sga import FaceModel
from sga.generation.registry import AvatarRegistry, Pair, fingerprint, squared_distances

parquet = pytest.importorskip("pyarrow.parquet")
MakeModel = Callable[..., Path]
ROOT = Path(__file__).parents[2]
DISTANCE = 4.3
IDS: list[Pair] = [(f"user-{number}", None) for number in range(40)]


@pytest.fixture(scope="module")
def model(model_path: Path) -> FaceModel:
    return FaceModel.load(model_path, threads=1)


def nearest(path: Path) -> float:
    """The least distance of two registered avatars."""
    prints = np.stack([np.frombuffer(one, np.uint8) for one in parquet.read_table(path)["fingerprint"].to_pylist()])
    squares = squared_distances(prints, prints)
    np.fill_diagonal(squares, np.iinfo(np.int64).max)
    return float(np.sqrt(squares.min() / prints.shape[1]))


def attempts(registry: AvatarRegistry, pairs: list[Pair]) -> list[int]:
    return [one.attempt for one in registry.register(pairs)]


def test_no_two_are_nearer_than_the_minimum(model: FaceModel, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "avatars.parquet"
    registry = AvatarRegistry(model, path, DISTANCE)
    taken = [*attempts(registry, IDS[:25]), *attempts(registry, IDS[25:])]
    own = [model.avatar_attempt(*pair) for pair in IDS]
    assert nearest(path) >= DISTANCE
    assert len(registry) == 40
    assert registry.min_distance == DISTANCE
    moved = [row for row, (one, other) in enumerate(zip(taken, own, strict=True)) if one != other]
    assert 0 < len(moved) < 30  # some had to give way, and the first in line kept their own
    for row in moved:  # every better attempt is too near to those registered before
        order = model.avatar_order(*IDS[row])
        better = order[: order.index(taken[row])]
        before = model.draw_avatars([(*pair, attempt) for pair, attempt in zip(IDS[:row], taken, strict=False)])
        tried = model.draw_avatars([(*IDS[row], attempt) for attempt in better])
        one, other = (np.stack([fingerprint(face.image) for face in faces]) for faces in (tried, before))
        assert (squared_distances(one, other).min(axis=1) < DISTANCE**2 * other.shape[1]).all()


def test_the_same_again_is_the_registered_attempt(model: FaceModel, tmp_path: Path) -> None:
    path = tmp_path / "avatars.parquet"
    first = AvatarRegistry(model, path, DISTANCE).register(IDS)
    content = path.read_bytes()
    again = AvatarRegistry(model, path)
    assert attempts(again, IDS[::-1]) == [one.attempt for one in first][::-1]
    assert path.read_bytes() == content  # nothing new, nothing written
    for pair, one in zip(IDS, first, strict=True):
        assert one.face is not None
        redrawn = model.draw_avatars([(*pair, one.attempt)], how=again.how)[0]
        assert redrawn.png() == one.face.png()
        assert one.face.metadata()["made"] == "registered"


def test_one_by_one_as_in_one_call(model: FaceModel, tmp_path: Path) -> None:
    one, other = (AvatarRegistry(model, tmp_path / f"{name}.parquet", DISTANCE) for name in "ab")
    assert [attempts(one, [pair])[0] for pair in IDS[:12]] == attempts(other, IDS[:12])


def test_no_attempt_is_drawn_twice(model: FaceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[str, str | None, int]] = []
    draw = FaceModel.draw_avatars
    monkeypatch.setattr(FaceModel, "draw_avatars", lambda self, chosen: drawn.extend(chosen) or draw(self, chosen))
    registry = AvatarRegistry(model, tmp_path / "avatars.parquet", DISTANCE)
    taken = [*attempts(registry, IDS[:20]), *attempts(registry, IDS[20:])]  # too near to one of the file, or of the same call
    assert taken != [model.avatar_attempt(*pair) for pair in IDS]
    assert len(drawn) > len(IDS)
    assert len(set(drawn)) == len(drawn)


def test_the_own_face_is_taken_where_the_file_went_meanwhile(model: FaceModel, tmp_path: Path) -> None:
    class Emptied(AvatarRegistry):
        def _lock(self) -> AbstractContextManager[None]:
            self.path.unlink()
            return super()._lock()

    path = tmp_path / "avatars.parquet"
    attempts(AvatarRegistry(model, path, DISTANCE), IDS[:1])
    assert attempts(Emptied(model, path, DISTANCE), IDS[:1]) == [model.avatar_attempt(*IDS[0])]
    assert len(AvatarRegistry(model, path)) == 1


def test_the_gender_drawn_is_what_counts(model: FaceModel, tmp_path: Path) -> None:
    registry = AvatarRegistry(model, tmp_path / "avatars.parquet", 1.0)
    own = model.avatar("a").gender
    other = "male" if own == "female" else "female"
    taken = attempts(registry, [("a", None), ("a", own), ("a", "any"), ("a", other)])
    assert taken[0] == taken[1] == taken[2]
    assert len(registry) == 2


def test_nothing_of_the_id_is_kept(model: FaceModel, tmp_path: Path) -> None:
    path = tmp_path / "avatars.parquet"
    AvatarRegistry(model, path, 1.0).register([("alice@example.com", None)])
    assert b"alice" not in path.read_bytes()
    assert set(parquet.read_table(path).column_names) == {"id", "gender", "attempt", "fingerprint"}


WRITER = """
import sys
from sga import FaceModel
from sga.generation.registry import AvatarRegistry
path, folder, start = sys.argv[1:]
registry = AvatarRegistry(FaceModel.load(folder, threads=1), path, 4.3)
print("ready", flush=True)
for number in range(int(start), int(start) + 12, 3):
    registry.register([(f"user-{one}", None) for one in range(number, number + 3)])
"""


def test_several_processes_at_a_time(model: FaceModel, model_path: Path, tmp_path: Path) -> None:
    """Three writers with overlapping IDs: none is lost, each has one attempt, and the distance holds."""
    path = tmp_path / "avatars.parquet"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-c", WRITER, str(path), str(model_path)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    writers = [subprocess.Popen([*words, start], env=environment, **pipes) for start in ("0", "8", "16")]
    errors = [writer.communicate(timeout=120)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0], errors
    assert not any(b"Traceback" in error for error in errors)  # a native library may print a line of its own
    table = parquet.read_table(path)
    assert len(set(table["id"].to_pylist())) == table.num_rows == 28
    assert nearest(path) >= DISTANCE
    assert not list(tmp_path.glob("*.tmp"))


def test_a_writer_waits_for_the_lock(model: FaceModel, model_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "avatars.parquet"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with hold(tmp_path / ".avatars.parquet.lock"):
        words = [sys.executable, "-c", WRITER, str(path), str(model_path), "0"]
        writer = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE)
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"  # all is imported, the model is read
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(1.5)
        assert not path.exists()
    assert writer.wait(60) == 0
    writer.stdout.close()
    assert len(AvatarRegistry(model, path)) == 12


def test_another_model_is_refused(
    model: FaceModel, make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "avatars.parquet"
    AvatarRegistry(model, path, 1.0).register(IDS[:1])
    other = FaceModel.load(make_model(critic=True, style_jitter=0.5))
    with pytest.raises(ModelError, match=r"Expected a registry of the model tiny .* Name that model's folder with --model"):
        AvatarRegistry(other, path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "faces-old").symlink_to(model.folder.path)
    monkeypatch.setenv("SGA_MODELS", str(tmp_path / "models"))
    with pytest.raises(ModelError, match="Type: --model faces-old"):
        AvatarRegistry(other, path)
    judge_alone = FaceModel.load(make_model(critic=True, contrast=5.0))  # draws the same faces
    assert attempts(AvatarRegistry(judge_alone, path), IDS[:1]) == attempts(AvatarRegistry(model, path), IDS[:1])


def test_what_is_no_registry_and_other_distances(model: FaceModel, tmp_path: Path) -> None:
    path = tmp_path / "avatars.parquet"
    AvatarRegistry(model, path, 2.0).register(IDS[:2])
    with pytest.raises(InputError, match=r"which is 2, found 6"):
        AvatarRegistry(model, path, 6.0)
    for distance in (0.0, -1.0, 256.0, float("nan")):
        with pytest.raises(InputError, match="Expected a minimum distance"):
            AvatarRegistry(model, tmp_path / "new.parquet", distance)
    (tmp_path / "text.parquet").write_text("no parquet")
    parquet.write_table(parquet.read_table(path).replace_schema_metadata({}), tmp_path / "plain.parquet")
    for name in ("text", "plain"):
        with pytest.raises(InputError, match="Expected a registry of avatars"):
            AvatarRegistry(model, tmp_path / f"{name}.parquet")


def test_a_distance_that_none_can_keep(model: FaceModel, tmp_path: Path) -> None:
    registry = AvatarRegistry(model, tmp_path / "avatars.parquet", 200.0)
    registry.register(IDS[:1])
    with pytest.raises(InputError, match="Expected an attempt of 'user-1' at least 200 away from 1 registered avatars"):
        registry.register([IDS[1]])
    assert len(registry) == 1


def test_fingerprints_are_exact_means() -> None:
    rng = np.random.default_rng(0)
    for size in (96, 100):
        image = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
        edges = [*(np.arange(8) * size // 8), size]
        expected = [
            (int(part.astype(int).sum()) + part.size // 2) // part.size
            for y in range(8)
            for x in range(8)
            for part in np.moveaxis(image[edges[y] : edges[y + 1], edges[x] : edges[x + 1]], 2, 0)
        ]
        assert fingerprint(image).tolist() == expected
    one, other = rng.integers(0, 256, (2, 5, 192), dtype=np.uint8)
    other[0], one[0] = 255, 0
    difference = one.astype(int)[:, None] - other.astype(int)[None]
    assert (squared_distances(one, other) == (difference**2).sum(axis=2)).all()


def test_without_pyarrow(model: FaceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"pip install 'sga-gan\[tables\]'"):
        AvatarRegistry(model, tmp_path / "avatars.parquet")
