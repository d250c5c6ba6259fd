"""`sga ingest` on illustrations, with a real small ONNX detector: several faces a picture, bad input, stops, any order."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from configs.errors import InputError
from labeling.detection import DetectionSettings
from labeling.ingest import IngestSettings, ingest
from labeling.metadata import COLUMNS, read_metadata
from labeling.workspace import Workspace
from sga.cli.main import main

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

ROOT = Path(__file__).parents[2]
INPUT, CELL = 256, 16
Spots = Sequence[tuple[int, int]]


@pytest.fixture(scope="session")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finds magenta squares of 64 px in pictures whose longer side is 512 px."""
    return network(tmp_path_factory.mktemp("detector") / "spots.onnx", INPUT)


def network(path: Path, side: int) -> Path:
    """A detector whose score is how magenta a square of 32 px of its input is; the squares stand 16 px apart.

    It is not perfect: the box of the last square is far larger than any picture, and white pictures score NaN.
    """
    kernel = np.zeros((1, 3, 2 * CELL, 2 * CELL), np.float32)
    kernel[0, (0, 2)], kernel[0, 1] = 0.5 / (2 * CELL) ** 2, -1 / (2 * CELL) ** 2
    cells = side // CELL - 1
    y, x = (axis.reshape(-1) * CELL for axis in np.meshgrid(np.arange(cells), np.arange(cells), indexing="ij"))
    boxes = np.stack([x, y, x + 2 * CELL, y + 2 * CELL], axis=1).astype(np.float32)[None]
    boxes[0, -1] += np.array([-1e5, -1e5, 1e5, 1e5], np.float32)
    weights = {"kernel": kernel, "boxes": boxes, "most": np.array(0.95, np.float32), "shape": np.array([1, cells**2], np.int64)}
    weights |= {"low": np.array(0, np.float32), "high": np.array(1, np.float32)}
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["spot"], strides=[CELL, CELL]),
        helper.make_node("Clip", ["spot", "low", "high"], ["clipped"]),
        helper.make_node("ReduceMin", ["image"], ["darkest"], keepdims=0),
        helper.make_node("Sub", ["most", "darkest"], ["left"]),
        helper.make_node("Sqrt", ["left"], ["root"]),  # not a number where even the darkest is white
        helper.make_node("Mul", ["root", "low"], ["nothing"]),
        helper.make_node("Add", ["clipped", "nothing"], ["sum"]),
        helper.make_node("Reshape", ["sum", "shape"], ["scores"]),
        helper.make_node("Identity", ["boxes"], ["places"]),
    ]
    graph = helper.make_graph(
        nodes,
        "spots",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("places", "scores")],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def draw(spots: Spots, seed: int = 0, size: tuple[int, int] = (512, 384)) -> Image.Image:
    """Magenta squares of 64 px, each with a pattern of its own about it, on a dull picture."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(60, 140, (size[1] // 32 + 1, size[0] // 32 + 1, 3), dtype=np.uint8)
    coarse[..., 1] = 150
    pixels = coarse.repeat(32, 0).repeat(32, 1)[: size[1], : size[0]].copy()
    for left, top in spots:
        pixels[top : top + 64, left : left + 64] = (250, 10, 250)
    return Image.fromarray(pixels)


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """Pictures with two, one, one and no faces."""
    folder = tmp_path / "pages"
    folder.mkdir()
    draw([(320, 64), (64, 64)], 1).save(folder / "two.png")
    draw([(128, 192)], 2).save(folder / "one.png")
    draw([(0, 320)], 3).save(folder / "corner.png")
    draw([], 4).save(folder / "none.png")
    return folder


def settings(detector: Path, **other: Any) -> IngestSettings:
    how = DetectionSettings(detector=str(detector), rotate="never", min_score=0.75, **other.pop("detection", {}))
    return IngestSettings(detection=how, **{"workers": 1, **other})


def rejected(space: Path) -> dict[str, str]:
    with (space / "faces" / "rejected.csv").open(encoding="utf-8", newline="") as handle:
        return {row["file"]: row["reason"] for row in csv.DictReader(handle)}


def state(space: Path) -> dict[str, bytes]:
    """What an ingest leaves, but for times, and lines that are added in the order in which pictures are done."""
    kept = {path.relative_to(space).as_posix(): path for path in space.rglob("*") if path.is_file()}
    skip = ("stage.json", ".lock", ".jsonl", "labels.parquet")
    left = {name: path.read_bytes() for name, path in sorted(kept.items()) if not name.endswith(skip)}
    return left | {"labels": Workspace(space).table().frame.to_csv().encode()}


def test_faces_of_illustrations(tmp_path: Path, pages: Path, detector: Path) -> None:
    report = ingest([pages], tmp_path / "w", settings(detector))
    assert (report.pictures, report.added, report.rejected) == (4, 4, 1)
    assert rejected(tmp_path / "w") == {"pages/none.png": "no face found"}
    space = Workspace(tmp_path / "w")
    told = read_metadata(space)
    assert list(told.columns) == list(COLUMNS)
    assert list(told.index) == list(space.table().faces)
    with (tmp_path / "w/faces/index.csv").open(encoding="utf-8", newline="") as handle:
        names = {row["face"]: row["file"] for row in csv.DictReader(handle)}
    by_name = {names[face]: told.loc[face] for face in told.index}
    assert sorted(by_name) == ["pages/corner.png#0", "pages/one.png#0", "pages/two.png#0", "pages/two.png#1"]
    first, second, corner = (by_name[f"pages/{name}"] for name in ("two.png#0", "two.png#1", "corner.png#0"))
    assert (first.left, first.top, first.width, first.height) == (48, 48, 96, 96)  # 64 px zoomed 1.5× about (96, 96)
    assert (second.left, second.picture, second.short_edge) == (304, "pages/two.png", 96)
    assert (corner.left, corner.top, corner.width) == (0, 288, 96)  # shifted inside
    assert 0.75 < first.detection <= 1
    stored = np.asarray(Image.open(space.root / space.table().frame.set_index("face")["file"][first.name]))
    np.testing.assert_array_equal(stored, np.asarray(Image.open(pages / "two.png"))[48:144, 48:144])


def test_cropped_faces_have_metadata_too(
    tmp_path: Path, folder: Callable[..., Path], picture: Callable[..., Image.Image]
) -> None:
    place = folder([1])
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    picture(2, 100).resize((120, 90)).save(place / "wide.jpg", exif=exif)
    ingest([place], tmp_path / "w", IngestSettings(workers=1))
    told = read_metadata(Workspace(tmp_path / "w")).set_index("picture")
    assert told.loc["pictures/001.png", ["left", "top", "width", "height", "short_edge"]].tolist() == [0, 0, 96, 96, 96]
    assert told.loc["pictures/wide.jpg", ["width", "height", "short_edge"]].tolist() == [90, 120, 90]
    assert told["detection"].isna().all()


def test_a_workspace_of_an_earlier_version(tmp_path: Path, folder: Callable[..., Path]) -> None:
    place = folder([1, 2])
    ingest([place], tmp_path / "w", IngestSettings(workers=1))
    (tmp_path / "w/faces/metadata.parquet").unlink()
    told = read_metadata(Workspace(tmp_path / "w"))
    assert (told["picture"] == "").all()
    assert told["short_edge"].isna().all()
    ingest([place], tmp_path / "w", IngestSettings(workers=1))
    assert (read_metadata(Workspace(tmp_path / "w"))["short_edge"] == 96).all()
    (tmp_path / "w/faces/metadata.parquet").write_bytes(b"PAR1 but no")
    with pytest.raises(Exception, match="found a damaged file"):
        read_metadata(Workspace(tmp_path / "w"))


def test_bad_pictures_are_named_and_the_others_taken(tmp_path: Path, pages: Path, detector: Path) -> None:
    good = draw([(256, 128)], 9)
    good.save(pages / "good.jpg", quality=95)
    data = (pages / "good.jpg").read_bytes()
    (pages / "corrupt.jpg").write_bytes(data[:200] + bytes(400) + data[900 : len(data) // 2])
    (pages / "text.png").write_text("no picture")
    (pages / "empty.png").touch()
    Image.new("1", (9000, 9000)).save(pages / "huge.png")
    good.save(pages / "animated.gif", save_all=True, append_images=[draw([], 10)])
    good.convert("CMYK").save(pages / "cmyk.jpg", quality=95)
    clear = good.convert("RGBA")
    clear.putalpha(255)
    clear.save(pages / "alpha.png")
    Image.fromarray(np.asarray(good.convert("L")).astype(np.uint16) * 257).save(pages / "sixteen.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    good.rotate(90, expand=True).save(pages / "turned.jpg", exif=exif, quality=95)
    draw([(0, 1024)], 11, (200, 2048)).resize((50, 512)).save(pages / "tall.png")
    spots = [(x, y) for x in range(0, 512, 128) for y in range(0, 384, 128)]
    draw(spots, 12).save(pages / "many.png")
    report = ingest([pages], tmp_path / "w", settings(detector, detection={"max_faces": 5}, max_pixels=10_000_000))
    reasons = rejected(tmp_path / "w")
    assert set(reasons) == {
        f"pages/{name}"
        for name in ("none.png", "corrupt.jpg", "text.png", "empty.png", "huge.png", "sixteen.png", "tall.png", "many.png")
    }
    assert "megapixels" in reasons["pages/huge.png"]
    assert reasons["pages/many.png"] == "12 faces found, over 5: raise --max-faces to take them"
    assert reasons["pages/sixteen.png"] == reasons["pages/tall.png"] == "no face found"  # gray: nothing magenta in it
    told = read_metadata(Workspace(tmp_path / "w"))
    with (tmp_path / "w/faces/duplicates.csv").open(encoding="utf-8", newline="") as handle:
        copies = {row["file"].rpartition("#")[0] for row in csv.DictReader(handle)}  # some formats keep every pixel
    same = {"good.jpg", "cmyk.jpg", "turned.jpg", "animated.gif", "alpha.png"}
    taken = {f"pages/{name}" for name in same}
    assert {*told["picture"], *copies} == taken | {f"pages/{name}" for name in ("one.png", "two.png", "corner.png")}
    assert {(row.left, row.top) for row in told.itertuples() if row.picture in taken} == {(240, 112)}
    assert report.added + report.duplicates == 9


def test_a_thousand_faces(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    spots = [(x, y) for x in range(32, 4096, 128) for y in range(32, 4096, 128)]
    draw(spots, 2, (4096, 4096)).save(tmp_path / "pages/crowd.png", compress_level=1)
    draw([(64, 64)], 3, (4096, 1024)).save(tmp_path / "pages/one.png", compress_level=1)
    path = network(tmp_path / "large.onnx", 2048)
    report = ingest([tmp_path / "pages"], tmp_path / "w", settings(path))
    assert (report.added, report.rejected) == (1, 1)
    assert rejected(tmp_path / "w")["pages/crowd.png"].startswith("1,024 faces found, over 200")
    report = ingest([tmp_path / "pages"], tmp_path / "w", settings(path, detection={"max_faces": 2000}))
    assert report.added + report.duplicates == 1024
    told = read_metadata(Workspace(tmp_path / "w"))
    assert (told["width"] == 96).all()


@pytest.mark.parametrize("workers", [1, 2])
def test_neither_order_nor_workers_nor_a_second_time_change_anything(
    tmp_path: Path, pages: Path, detector: Path, workers: int
) -> None:
    for seed in range(24):
        draw([(32 * (seed % 9), 64)], 50 + seed).save(pages / f"{seed:02}.png")
    ingest([pages], tmp_path / "w", settings(detector))
    other = tmp_path / "other"
    other.mkdir()
    for path in sorted(pages.iterdir(), reverse=True):
        shutil.copy(path, other / path.name)
    (tmp_path / "moved").mkdir()
    other.rename(tmp_path / "moved/pages")
    for _ in range(2):
        ingest([tmp_path / "moved/pages"], tmp_path / "w2", settings(detector, workers=workers))
        assert state(tmp_path / "w") == state(tmp_path / "w2")


def test_what_was_searched_is_not_searched_again(tmp_path: Path, pages: Path, detector: Path) -> None:
    space = tmp_path / "w"
    ingest([pages], space, settings(detector))
    (journal,) = (space / "faces/detections").iterdir()
    lines = journal.read_bytes().splitlines()
    assert len(lines) == 4
    draw([(200, 200)], 77).save(pages / "new.png")
    ingest([pages], space, settings(detector))
    assert journal.read_bytes().splitlines()[:4] == lines
    assert len(journal.read_bytes().splitlines()) == 5
    ingest([pages], space, settings(detector, detection={"zoom": 1.2}))
    assert len(list((space / "faces/detections").iterdir())) == 2  # other settings see something else


def test_a_torn_line_and_a_lost_face_are_made_good(tmp_path: Path, pages: Path, detector: Path) -> None:
    space = tmp_path / "w"
    ingest([pages], space, settings(detector))
    before = state(space)
    (journal,) = (space / "faces/detections").iterdir()
    journal.write_bytes(journal.read_bytes()[:-40])
    face = next(line for line in map(json.loads, journal.read_bytes().splitlines()[:2]) if line["faces"])["faces"][0][0]
    (space / f"faces/{face[:2]}/{face}.png").unlink()
    (space / "labels.parquet").unlink()
    ingest([pages], space, settings(detector))
    assert state(space) == before
    torn = [line for line in journal.read_bytes().splitlines() if not line.endswith(b"}")]
    assert len(torn) == 1  # left as it was; what follows stands on lines of its own


@pytest.mark.skipif(sys.platform == "win32", reason="kills a process")
def test_killed_and_typed_again(tmp_path: Path, detector: Path) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    for seed in range(60):
        draw([(32 * (seed % 9), 64)], seed, (512, 384)).resize((2048, 1536)).save(pages / f"{seed:02}.jpg")
    command = [
        *(
            sys.executable,
            "-c",
            "from sga.cli.main import main; main()",
            "ingest",
            str(pages),
            "--workspace",
            str(tmp_path / "w"),
        ),
        *("--detector", str(detector), "--rotate", "never", "--min-score", "0.75", "--workers", "1"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and not done_lines(tmp_path / "w"):
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    first = done_lines(tmp_path / "w")
    assert 0 < len(first) < 60
    assert not (tmp_path / "w/labels.parquet").exists()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    again = done_lines(tmp_path / "w")
    assert again[: len(first)] == first
    assert len(again) == 60  # each picture once
    ingest([pages], tmp_path / "w2", settings(detector))
    assert state(tmp_path / "w") == state(tmp_path / "w2")


def done_lines(space: Path) -> list[bytes]:
    lines = [path.read_bytes().splitlines(keepends=True) for path in (space / "faces/detections").glob("*.jsonl")]
    return [line for file in lines for line in file if line.endswith(b"\n")]


def test_labels_of_one_face_and_of_several(
    tmp_path: Path, pages: Path, detector: Path, table_file: Callable[..., Path]
) -> None:
    labels = table_file(
        ["file", "gender"], ["one.png", "male"], ["two.png", "female"], ["two.png#1", "male"], ["corner.png#4", "male"]
    )
    ingest([pages], tmp_path / "w", settings(detector), labels)
    space = Workspace(tmp_path / "w")
    told = read_metadata(space)
    gender = dict(zip(zip(told["picture"], told["left"], strict=True), space.table().codes("gender"), strict=True))
    male = space.table().schema["gender"].code("male")
    assert gender == {
        ("pages/corner.png", 0): -1,
        ("pages/one.png", 112): male,
        ("pages/two.png", 48): -1,
        ("pages/two.png", 304): male,
    }
    unmatched = (tmp_path / "w/faces/unmatched.csv").read_text()
    assert "two.png,2 faces: which one is meant?" in unmatched.replace('"', "")
    assert "corner.png#4,no such face" in unmatched.replace('"', "")


def test_metadata_and_conditions(tmp_path: Path, pages: Path, detector: Path, table_file: Callable[..., Path]) -> None:
    sheet = table_file(
        ["file", "year", "artist"],
        *(["one.png", "2003", "ann"], ["two.png", "2011", "bob"], ["none.png", "", "cy"], ["lost.png", "1999", ""]),
        name="metadata.csv",
    )
    space = tmp_path / "w"
    ingest([pages], space, settings(detector, metadata=str(sheet)))
    told = read_metadata(Workspace(space))
    assert told["year"].dtype == np.float64
    years = dict(zip(told["picture"], told["year"], strict=True))
    assert years["pages/one.png"] == 2003
    assert np.isnan(years["pages/corner.png"])
    assert sorted(told["artist"]) == ["", "ann", "bob", "bob"]
    assert "lost.png,row 5 of metadata.csv: no such picture" in (space / "faces/unmatched.csv").read_text()
    report = ingest([pages], space, settings(detector, where=("year>2005",)))  # what is known of them already
    assert (report.removed, report.present) == (2, 2)
    reasons = rejected(space)
    assert reasons["pages/one.png"].startswith("year is 2003, not year>2005; it left the workspace")
    assert reasons["pages/corner.png"].startswith("no year, so not year>2005")
    assert set(read_metadata(Workspace(space))["picture"]) == {"pages/two.png"}
    report = ingest([pages], space, settings(detector, metadata=str(sheet), where=("artist!=bob", "year>=2000")))
    assert (report.removed, report.added) == (2, 1)
    assert set(read_metadata(Workspace(space))["picture"]) == {"pages/one.png"}


def test_metadata_of_faces_that_are_there(tmp_path: Path, pages: Path, detector: Path, table_file: Callable[..., Path]) -> None:
    ingest([pages], tmp_path / "w", settings(detector))
    sheet = table_file(["file", "year"], ["pages/two.png", "2011"], ["pages/one.png", "2001"], name="metadata.csv")
    ingest([], tmp_path / "w", IngestSettings(metadata=str(sheet), workers=1))
    assert sorted(read_metadata(Workspace(tmp_path / "w"))["year"].dropna()) == [2001, 2011, 2011]
    report = ingest([], tmp_path / "w", IngestSettings(where=("year<2010",), workers=1))
    assert report.removed == 3


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("year", "Expected COLUMN, one of"),
        ("year>", "Expected COLUMN, one of"),
        ("yaer>2005", "there are year, artist"),
        ("year>old", "Expected a number for year"),
        ("artist>b", "Expected a number for artist"),
    ],
)
def test_conditions_that_make_no_sense(
    tmp_path: Path, pages: Path, detector: Path, table_file: Callable[..., Path], where: str, said: str
) -> None:
    sheet = table_file(["file", "year", "artist"], ["one.png", "2003", "ann"], name="metadata.csv")
    with pytest.raises(InputError, match=said):
        ingest([pages], tmp_path / "w", settings(detector, metadata=str(sheet), where=(where,)))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([["name", "year"], ["one.png", "1"]], "Expected a column file"),
        ([["file", "left"], ["one.png", "1"]], "'left', which is ingest's own"),
        ([["file", "year"], ["one.png"]], "Expected 2 cells in row 2"),
        ([["file", "year"], ["one.png", "1"], ["./one.png", "2"]], "found one.png again in row 3"),
        ([["file", "year"], ["elsewhere.png", "1"]], "no row fits"),
    ],
)
def test_tables_of_metadata_that_are_wrong(
    tmp_path: Path, pages: Path, detector: Path, table_file: Callable[..., Path], rows: list[list[str]], said: str
) -> None:
    sheet = table_file(*rows, name="metadata.csv")
    with pytest.raises(InputError, match=said):
        ingest([pages], tmp_path / "w", settings(detector, metadata=str(sheet)))


def test_a_condition_without_metadata_says_what_to_type(tmp_path: Path, pages: Path, detector: Path) -> None:
    with pytest.raises(InputError, match="--metadata FILE"):
        ingest([pages], tmp_path / "w", settings(detector, where=("year>2005",)))


def test_dropped_pictures_leave_with_all_their_faces(
    tmp_path: Path, pages: Path, detector: Path, table_file: Callable[..., Path]
) -> None:
    ingest([pages], tmp_path / "w", settings(detector))
    labels = table_file(["file", "gender", "remark"], ["two.png", "", "bad"], ["one.png", "male", ""])
    report = ingest([pages], tmp_path / "w", settings(detector, drop=("remark=bad",)), labels)
    assert (report.removed, report.present) == (2, 2)
    assert rejected(tmp_path / "w")["pages/two.png"].startswith("remark is bad; it left the workspace")


def test_a_box_beyond_all_measure_is_no_face(tmp_path: Path, pages: Path, detector: Path) -> None:
    draw([(448, 448)], 8, (512, 512)).save(pages / "wide.png")
    report = ingest([pages], tmp_path / "w", settings(detector, detection={"zoom": 4.0}))
    assert report.added == 4
    assert rejected(tmp_path / "w")["pages/wide.png"] == "no face found"


@pytest.mark.parametrize("workers", [1, 2])
def test_nonsense_about_one_picture(tmp_path: Path, pages: Path, detector: Path, workers: int) -> None:
    for seed in range(24):
        draw([(32 * (seed % 9), 64)], 50 + seed).save(pages / f"{seed:02}.png")
    Image.new("RGB", (512, 512), "white").save(pages / "white.png")
    report = ingest([pages], tmp_path / "w", settings(detector, workers=workers))
    assert report.rejected == 2
    assert "numbers that are not finite" in rejected(tmp_path / "w")["pages/white.png"]
    assert len(done_lines(tmp_path / "w")) == 28  # it is searched again next time
    ingest([pages / "white.png", pages / "one.png"], tmp_path / "w", settings(detector))  # the detector is known by now
    (pages / "white.png").rename(pages / "0.png")
    with pytest.raises(InputError, match=r"not finite.* It was looking at pages/0\.png"):
        ingest([pages], tmp_path / "w2", settings(detector, workers=workers))


SHORT = """
import json, resource, sys
from pathlib import Path
from labeling.detection import DetectionSettings
from labeling.ingest import IngestSettings
from labeling.ingest.store import decode_all
how = DetectionSettings(detector=sys.argv[2], rotate="never", min_score=0.75)
settings = IngestSettings(detection=how if sys.argv[3] == "find" else DetectionSettings(), workers=1)
files = [Path(path) for path in sys.argv[4:]]
root = Path(sys.argv[1])
run = lambda: [one.reason for one in decode_all([(f.name, f.read_bytes()) for f in files], 2, root, settings, lambda *_: None)]
first = list(decode_all([(files[0].name, files[0].read_bytes())], 1, root / "other", settings, lambda *_: None))
pages = int(Path("/proc/self/statm").read_text().split()[0])
most = resource.getrlimit(resource.RLIMIT_AS)[1]
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 60 * 2**20, most))
short = run()
resource.setrlimit(resource.RLIMIT_AS, (most, most))
print(json.dumps([short, run()]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the memory of a process")
@pytest.mark.parametrize("how", ["find", "crop"])
def test_a_passing_lack_of_memory_is_not_kept(tmp_path: Path, pages: Path, detector: Path, how: str) -> None:
    draw([(64, 64)], 1).resize((8192, 6144), Image.Resampling.NEAREST).save(tmp_path / "large.png", compress_level=1)
    command = [sys.executable, "-c", SHORT, tmp_path / "w", detector, how, pages / "one.png", tmp_path / "large.png"]
    done = subprocess.run(
        [*map(str, command)], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, capture_output=True, text=True
    )
    short, later = json.loads(done.stdout)
    assert short[0] == ""
    assert short[1].startswith("not enough memory for it now")
    assert later == ["", ""]


@pytest.mark.parametrize("found", [True, False])
def test_animations_and_pages_are_told(tmp_path: Path, detector: Path, found: bool) -> None:
    (tmp_path / "pages").mkdir()
    first, second = draw([(128, 192)], 2), draw([], 3)
    for name in ("a.gif", "b.webp", "c.tif"):
        first.save(tmp_path / "pages" / name, save_all=True, append_images=[second])
    second.save(tmp_path / "pages/empty.tif", save_all=True, append_images=[first, second])
    draw([(256, 64)], 5).save(tmp_path / "pages/still.png")
    how = settings(detector) if found else IngestSettings(workers=1)
    told = {"pages/a.gif": "2", "pages/b.webp": "2", "pages/c.tif": "2"} | ({} if found else {"pages/empty.tif": "3"})
    for _ in range(2):  # from the journal too
        report = ingest([tmp_path / "pages"], tmp_path / "w", how)
        assert report.framed == len(told)
        assert "of which the first frame was taken: " in report.text()
        with (tmp_path / "w/faces/frames.csv").open(encoding="utf-8", newline="") as handle:
            assert {row["file"]: row["frames"] for row in csv.DictReader(handle)} == told
        if found:
            assert rejected(tmp_path / "w") == {"pages/empty.tif": "no face found in the first of 3 frames"}


@pytest.mark.parametrize(
    ("paths", "options", "said"),
    [
        (True, ["--zoom", "2"], "Expected --cascade or --detector with --zoom"),
        (True, ["--min-face", "40"], "Expected --cascade or --detector with --min-face"),
        (True, ["--rotate", "never"], "Expected --cascade or --detector with --rotate"),
        (True, ["--min-score", "0.5"], "Expected --cascade or --detector with --min-score"),
        (False, ["--detector", "d.onnx"], "Expected PATHs of illustrations with --detector"),
        (False, ["--cascade", "c.xml", "--zoom", "2"], "Expected PATHs of illustrations with --cascade"),
    ],
)
def test_options_without_effect(
    tmp_path: Path, pages: Path, capsys: pytest.CaptureFixture[str], paths: bool, options: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["ingest", *([str(pages)] if paths else []), "--workspace", str(tmp_path / "w"), *options])
    assert end.value.code == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--illustrations", "--size", "128"], "Expected --page with --illustrations, found --size"),
        (["--page", "512"], "Expected --size without --illustrations, found --page"),
    ],
)
def test_sizes_of_samples(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str) -> None:
    with pytest.raises(SystemExit) as end:
        main(["samples", str(tmp_path / "out"), "--count", "2", *options])
    assert end.value.code == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_the_command_line(tmp_path: Path, pages: Path, detector: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["ingest", str(pages), "--workspace", str(tmp_path / "w"), "--workers", "1"]
    with pytest.raises(SystemExit) as end:
        main([*base, "--detector", str(detector), "--rotate", "never", "--min-score", "0.75", "--min-face", "40"])
    assert not end.value.code
    assert "4 faces added" in capsys.readouterr().out
    for arguments, said in (
        (["--cascade", str(tmp_path / "no.xml")], "Name an OpenCV cascade XML with --cascade"),
        (["--cascade", str(pages / "one.png")], "Expected an OpenCV cascade (XML)"),
        (["--cascade", "a.xml", "--detector", "b.onnx"], "not both"),
        (["--detector", str(pages / "one.png")], "Expected an ONNX model"),
    ):
        with pytest.raises(SystemExit) as end:
            main([*base, *arguments])
        assert end.value.code == 2
        assert said in " ".join(capsys.readouterr().err.split())
