"""Many faces in a folder, a tar or a parquet file: the same bytes however often the command was killed, and no face twice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from configs.errors import ExhaustedError, InputError
from configs.files import hold
from sga import FaceModel, Report
from sga.generation.face_stream import FaceStream
from sga.generation.sink import open_sink, read_back

ROOT = Path(__file__).parents[2]
COUNT, SEED = 60, 3
PLACES = ("folder", "faces.tar", "faces.parquet")


@pytest.fixture(scope="module")
def model(model_path: Path) -> FaceModel:
    return FaceModel.load(model_path, engine="onnxruntime", threads=2)


def name_of(index: int) -> str:
    return f"any-{SEED}-{index:04d}.png"


def fill(model: FaceModel, place: Path, count: int = COUNT, *, overwrite: bool = False, **options: Any) -> Report:
    """As `sga generate` does it."""
    report = Report()
    stream = model.stream("any", count, SEED, report=report, **options)
    with open_sink(place, stream.expected, overwrite=overwrite) as sink:
        for _ in stream.into(sink, name_of):
            pass
    return report


def faces(place: Path) -> dict[str, bytes]:
    """PNG by name, in the file's order."""
    if place.suffix == ".tar":
        with tarfile.open(place) as tar:
            return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    if place.suffix == ".parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
        table = parquet.read_table(place)
        return dict(zip(table["name"].to_pylist(), table["image"].to_pylist(), strict=True))
    return {path.name: path.read_bytes() for path in sorted(place.iterdir())}


def content(place: Path) -> Any:
    """All bytes of a place, and that nothing lies beside it."""
    assert place.is_dir() or [path.name for path in place.parent.iterdir()] == [place.name]
    return faces(place) if place.is_dir() else place.read_bytes()


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param.endswith(".parquet"):
        pytest.importorskip("pyarrow", reason="the extra tables writes parquet")
    (tmp_path / "out").mkdir()
    return Path(tmp_path / "out" / request.param)


@pytest.fixture(scope="module")
def whole(model: FaceModel, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], Any]:
    """`whole(kind, count)`: what a run that nobody disturbed writes."""
    made: dict[tuple[str, int], Any] = {}

    def get(kind: str, count: int = COUNT) -> Any:
        if (kind, count) not in made:
            folder = tmp_path_factory.mktemp("whole")
            fill(model, folder / kind, count)
            made[kind, count] = content(folder / kind)
        return made[kind, count]

    return get


def test_what_is_written(model: FaceModel, place: Path) -> None:
    report = fill(model, place)
    drawn = model.generate("any", COUNT, SEED)
    assert faces(place) == {name_of(face.index): face.png() for face in drawn}
    assert list(faces(place)) == [name_of(index) for index in range(COUNT)]
    assert (report.faces, report.attempts) == (COUNT, sum(face.attempts for face in drawn))
    content(place)


def test_the_table_has_what_the_pngs_say(model: FaceModel, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra tables writes parquet")
    fill(model, tmp_path / "faces.parquet", 20)
    rows = parquet.read_table(tmp_path / "faces.parquet").to_pylist()
    for row, face in zip(rows, model.generate("any", 20, SEED), strict=True):
        told = (row["seed"], row["index"], row["attempt"], row["gender"], row["accepted"], row["model"])
        assert told == (SEED, face.index, face.attempt, face.gender, face.accepted, model.hash)
        assert row["quality"] == pytest.approx(face.quality, abs=1e-4)
        assert row["style"] == face.style.tolist()
        assert row["image"] == face.png()


CHILD = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from sga import FaceModel
from sga.generation.sink import open_sink

def die(): os.kill(os.getpid(), signal.SIGKILL)

where, place = {where!r}, Path({place!r})
if where == "finishing":
    import sga.generation.sink_archive as archive, sga.generation.sink_parquet as table
    read, calls = archive._read, []
    def counted(handle, place):
        calls.append(1)
        if len(calls) == 30: die()
        return read(handle, place)
    archive._read = counted
stream = FaceModel.load({model!r}, engine="onnxruntime", threads=2).stream("any", {count}, {seed})
sink = open_sink(place, stream.expected)
write, written = sink.sink.write, []
def counted_write(face, name):
    write(face, name)
    written.append(name)
    if len(written) == where: die()
sink.sink.write = counted_write
with sink:
    for _ in stream.into(sink, lambda index: f"any-{seed}-{{index:04d}}.png"): pass
"""


def killed(model: FaceModel, place: Path, where: int | str, count: int = COUNT) -> None:
    """Draw in a process of its own, which kills itself when it has written some faces, or while it writes the finished file."""
    arguments = {"root": str(ROOT), "where": where, "place": str(place), "model": str(model.folder.path)}
    script = CHILD.format(**arguments, count=count, seed=SEED)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr


def already(model: FaceModel, place: Path, **options: Any) -> set[str]:
    """Names that an interrupted run has written or left out."""
    stream = model.stream("any", COUNT, SEED, **options)
    sink = open_sink(place, stream.expected)
    sink.__enter__()
    kept = {name_of(index) for index in range(COUNT) if sink.has(name_of(index))}
    sink.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    return kept


@pytest.mark.parametrize("kills", [(2, 9), (30,)])
def test_a_killed_run_goes_on(model: FaceModel, place: Path, kills: tuple[int, ...], whole: Callable[..., Any]) -> None:
    for where in kills:
        killed(model, place, where)
    kept = already(model, place)
    assert 0 < len(kept) < COUNT
    before = {name: (place / name).stat().st_mtime_ns for name in kept} if place.suffix == "" else {}
    report = fill(model, place)
    assert report.faces == COUNT - len(kept)
    assert content(place) == whole(place.name, COUNT)
    assert all((place / name).stat().st_mtime_ns == stamp for name, stamp in before.items())
    assert fill(model, place).faces == 0
    assert content(place) == whole(place.name, COUNT)


def test_killed_while_it_finished(model: FaceModel, place: Path, whole: Callable[..., Any]) -> None:
    if place.suffix == "":
        pytest.skip("a folder has no end to write")
    killed(model, place, "finishing")
    assert not place.exists()
    assert len(list(place.parent.iterdir())) >= 2  # the hidden tar and half of the file
    assert fill(model, place).faces == 0
    assert content(place) == whole(place.name, COUNT)


@pytest.mark.parametrize("harm", [1, 511, 900, 30_000, "zeros", "middle"])
def test_a_torn_end_is_cut_off(model: FaceModel, tmp_path: Path, harm: int | str, whole: Callable[..., Any]) -> None:
    place = tmp_path / "out" / "faces.tar"
    killed(model, place, 20)
    part = place.with_name(".faces.tar.part")
    size, before = part.stat().st_size, len(already(model, place))
    with part.open("r+b") as handle:
        if isinstance(harm, int):
            handle.truncate(size - harm)
        else:
            handle.seek(size - 8192 if harm == "zeros" else size // 2)
            handle.write(bytes(4096))
    report = fill(model, place)
    assert COUNT - before < report.faces < COUNT
    assert content(place) == whole(place.name, COUNT)


def test_more_faces_later(model: FaceModel, place: Path, whole: Callable[..., Any]) -> None:
    fill(model, place, 25)
    assert fill(model, place, COUNT).faces == COUNT - 25
    assert content(place) == whole(place.name, COUNT)
    assert fill(model, place, 10).faces == 0
    assert content(place) == whole(place.name, COUNT)


def test_more_faces_later_and_killed(model: FaceModel, place: Path, whole: Callable[..., Any]) -> None:
    fill(model, place, 25)
    killed(model, place, 5)
    assert len(faces(place)) >= 25
    assert fill(model, place, COUNT).faces <= COUNT - 25
    assert content(place) == whole(place.name, COUNT)


def test_faces_that_are_not_asked_for_this_time_stay(model: FaceModel, place: Path) -> None:
    fill(model, place, 25)
    killed(model, place, 5)
    fill(model, place, 10)
    names = [name_of(index) for index in range(25)]
    assert list(faces(place))[:25] == names
    assert faces(place).items() >= {name_of(face.index): face.png() for face in model.generate("any", 25, SEED)}.items()


def test_faces_of_other_ids_stay(model: FaceModel, tmp_path: Path) -> None:
    for identity in ("ada", "bob"):
        (face,) = model.avatars([identity])
        stream = FaceStream(lambda skip, _, face=face: iter([] if skip(0) else [face]), {"made": "avatar"})
        with open_sink(tmp_path / "faces.tar", stream.expected) as sink:
            list(stream.into(sink, lambda _, identity=identity: f"{identity}.png"))
    assert list(faces(tmp_path / "faces.tar")) == ["bob.png", "ada.png"]


def test_gaps_are_filled_where_they_are_not_wanted(model: FaceModel, place: Path) -> None:
    options: dict[str, Any] = {"max_attempts": 2}
    gaps = fill(model, place, on_exhausted="gap", **options)
    assert gaps.exhausted
    stream = model.stream("any", COUNT, SEED, on_exhausted="best", **options)
    with open_sink(place, stream.expected, gaps=False) as sink:
        drawn = [face.index for face in stream.into(sink, name_of)]
    assert sorted(drawn) == sorted(gaps.exhausted)
    assert faces(place) == {name_of(face.index): face.png() for face in model.generate("any", COUNT, SEED, **options)}


def test_what_is_being_written_can_be_read(model: FaceModel, tmp_path: Path) -> None:
    fill(model, tmp_path / "faces.tar", 25)
    stream = model.stream("any", 26, SEED)
    with open_sink(tmp_path / "faces.tar", stream.expected) as sink:
        for face in stream.into(sink, name_of):
            assert sink.read(name_of(face.index)) == face.png()
            assert sink.read(name_of(0)) == model.generate("any", 1, SEED)[0].png()


def test_a_mix_of_the_other_gender_is_another_face(model: FaceModel, tmp_path: Path) -> None:
    one, other = (model.generate("any", 1, seed)[0].save(tmp_path / f"{seed}.png") for seed in (1, 2))
    genders = [model.mix(one, other, gender=gender) for gender in ("female", "male")]
    with open_sink(tmp_path / "out", genders[0].expected) as sink:
        list(genders[0].into(sink, lambda _: "mix.png"))
    with pytest.raises(InputError, match="gender"), open_sink(tmp_path / "out", genders[1].expected) as sink:
        list(genders[1].into(sink, lambda _: "mix.png"))


def test_a_lock_whose_file_was_removed_is_none(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with hold(path, "another"):
        path.unlink()
        with hold(path, "another"):
            assert path.exists()
            with pytest.raises(InputError, match="found another"), hold(path, "another"):
                pass


def test_gaps_are_not_drawn_again(model: FaceModel, place: Path) -> None:
    options: dict[str, Any] = {"max_attempts": 2, "on_exhausted": "gap"}
    drawn = model.generate("any", COUNT, SEED, **options)
    assert 0 < len(drawn) < COUNT
    stream = model.stream("any", COUNT, SEED, **options)
    sink = open_sink(place, stream.expected)
    with suppress(KeyboardInterrupt), sink:
        for number, _ in enumerate(stream.into(sink, name_of)):
            if number == len(drawn) // 2:
                raise KeyboardInterrupt
    there = already(model, place, **options)
    names = {name_of(face.index) for face in drawn}
    assert len(there & names) == len(drawn) // 2 + 1
    assert there - names
    assert fill(model, place, **options).faces == COUNT - len(there)
    assert faces(place) == {name_of(face.index): face.png() for face in drawn}
    if place.suffix:
        assert fill(model, place, **options).faces == 0


def other_runs(model: FaceModel) -> Iterator[tuple[dict[str, Any], str]]:
    yield {"min_quality": 0.1}, "criterion"
    yield {"max_attempts": 3}, "criterion"
    yield {"truncation": 0.5}, "truncation"
    yield {"where": {"glasses": "yes"}}, "where"


def kept(folder: Path) -> dict[Path, bytes]:
    """Every file but what a killed process had not finished, and its lock."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix not in (".tmp", ".lock")}


@pytest.mark.parametrize("state", ["finished", "interrupted"])
def test_another_run_is_refused(model: FaceModel, place: Path, state: str, make_model: Callable[..., Path]) -> None:
    if state == "finished":
        fill(model, place, 12)
    else:
        killed(model, place, 12)
    before = kept(place.parent)
    for options, named in other_runs(model):
        with pytest.raises(InputError, match=named) as refused:
            fill(model, place, **options)
        assert "--overwrite" in str(refused.value)
        assert ("--out" in str(refused.value)) == (place.suffix == "")
    with pytest.raises(InputError, match="model"):
        fill(FaceModel.load(make_model(contrast=3.3), engine="onnxruntime"), place)
    assert kept(place.parent) == before
    fill(model, place, 12, overwrite=True, min_quality=0.1)
    names = [name_of(index) for index in range(12)]
    assert {name: faces(place)[name] for name in names} == {
        name_of(face.index): face.png() for face in model.generate("any", 12, SEED, 0.1)
    }
    if place.suffix:
        assert list(faces(place)) == names


def test_other_files_are_refused(model: FaceModel, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="the extra tables writes parquet")
    (tmp_path / "folder.tar").mkdir()
    for name in ("faces.tar", "faces.parquet"):
        (tmp_path / name).write_bytes(b"something of yours")
        with pytest.raises(InputError, match=f"Expected no other file at .*{name}, found one that sga did not write"):
            fill(model, tmp_path / name)
        assert (tmp_path / name).read_bytes() == b"something of yours"
    with pytest.raises(InputError, match="found a folder"):
        fill(model, tmp_path / "folder.tar")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name_of(3)).write_bytes(b"something of yours")
    with pytest.raises(InputError, match="no PNG or is damaged"):
        fill(model, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["faces.parquet", "faces.tar", "folder.tar", "out"]


@pytest.mark.parametrize(
    "note", [["faces"], 5, {"faces": 5}, {"faces": {}}, {"faces": {}, "left_out": [[1]]}, {"left_out": []}]
)
def test_a_note_of_another_shape_is_another_file(model: FaceModel, tmp_path: Path, note: Any) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="the extra tables writes parquet")
    parquet = pytest.importorskip("pyarrow.parquet")
    with tarfile.open(tmp_path / "faces.tar", "w", format=tarfile.PAX_FORMAT, pax_headers={"comment": json.dumps(note)}):
        pass
    table = pyarrow.table({"name": ["a"]}).replace_schema_metadata({"sga": json.dumps(note)})
    parquet.write_table(table, tmp_path / "faces.parquet")
    for place in (tmp_path / "faces.tar", tmp_path / "faces.parquet"):
        with pytest.raises(InputError, match="found one that sga did not write"):
            fill(model, place, 1)
        fill(model, place, 1, overwrite=True)
        assert list(faces(place)) == [name_of(0)]


def test_one_command_at_a_time(model: FaceModel, tmp_path: Path) -> None:
    with (
        hold(tmp_path / ".faces.tar.lock", "a test."),
        pytest.raises(InputError, match=r"another command that writes faces\.tar"),
    ):
        fill(model, tmp_path / "faces.tar")


def test_an_error_leaves_nothing_of_a_file(model: FaceModel, tmp_path: Path) -> None:
    with pytest.raises(ExhaustedError):
        fill(model, tmp_path / "faces.tar", min_quality=1.0, max_attempts=2, on_exhausted="error")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_told_and_the_run_goes_on(model: FaceModel, place: Path, whole: Callable[..., Any]) -> None:
    """No file may grow beyond a limit, until it may."""
    import resource

    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limit = 300_000 if place.suffix else 15_000
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        with pytest.raises(InputError, match="Expected to write"):
            fill(model, place)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert not place.suffix or not place.exists()
    fill(model, place)
    assert content(place) == whole(place.name, COUNT)


def test_names_of_any_length_and_letters(model: FaceModel, tmp_path: Path) -> None:
    names = ["a" * 200 + ".png", "顔~1.png", "b.png"]
    drawn = model.avatars(["x", "y", "z"])
    expected = {"model": model.hash, "made": "avatar"}
    for _ in range(2):
        with open_sink(tmp_path / "faces.tar", expected) as sink:
            for name, face in zip(names, drawn, strict=True):
                if not sink.has(name):
                    sink.write(face, name)
    assert faces(tmp_path / "faces.tar") == dict(zip(names, (face.png() for face in drawn), strict=True))


def test_read_back(model: FaceModel) -> None:
    face = model.generate("any", 1)[0]
    png = face.png()
    assert read_back(png) == face.metadata()
    assert read_back(png[:-5]) is None
    assert read_back(png[:2000] + b"\0\0" + png[2002:]) is None
    assert read_back(b"") is None
