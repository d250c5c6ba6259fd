"""Faces drawn for people to judge, and their labels on the way back."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import classifiers.quality
from classifiers.quality import QualitySettings
from configs.errors import InputError
from labeling.workspace import Workspace
from sga.quality import draft_model, draw_faces, draw_for_labels, labels_taken_in, tune_judge
from sga.quality_labels import Label, gather, of_other_generators, put_aside

HEADER = ("seed", "index", "gender", "quality")


@pytest.fixture(scope="module")
def settings(tiny_settings: dict[str, dict[str, Any]]) -> QualitySettings:
    wanted = QualitySettings.model_validate(tiny_settings["quality"])
    return wanted.model_copy(update={"fit": wanted.fit.model_copy(update={"images": 32})})


@pytest.fixture(scope="module")
def drafted(gan_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with faces to label."""
    import shutil

    root = Path(shutil.copytree(gan_workspace, tmp_path_factory.mktemp("drafted") / "workspace"))
    draw_for_labels(Workspace(root), 52, 7)
    return root


def table_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def write(path: Path, *rows: tuple[Any, ...], header: tuple[str, ...] = HEADER) -> Path:
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows([header, *rows])
    return path


def test_faces_to_label(drafted: Path) -> None:
    folder = drafted / "quality"
    rows = table_of(folder / "to-label-7.csv")
    assert [(row["seed"], row["index"], row["gender"]) for row in rows] == [
        ("7", str(index), ("female", "male")[index % 2]) for index in range(52)
    ]
    assert {row["quality"] for row in rows} == {""}
    sheets = sorted((folder / "sheets").iterdir())
    assert [sheet.name for sheet in sheets] == ["7-00000.png", "7-00049.png"]
    with Image.open(sheets[0]) as image:
        assert min(image.size) > 7 * 2 * 64


def test_a_label_names_its_face_for_good(drafted: Path) -> None:
    model = draft_model(Workspace(drafted))
    keys = [(7, 5, "male"), (7, 0, "female")]
    first = draw_faces(model, keys)
    again = draw_faces(draft_model(Workspace(drafted)), keys[::-1])[::-1]
    assert np.array_equal(first, again)
    face = model.generate(gender="male", count=6, seed=7, max_attempts=1)[5]
    assert np.array_equal(first[0], face.image)


def test_the_draft_is_made_once(drafted: Path) -> None:
    path = drafted / "quality" / "draft" / "model.json"
    stamp = path.stat().st_mtime_ns
    draft_model(Workspace(drafted))
    assert path.stat().st_mtime_ns == stamp


def test_labels_are_kept_and_the_newest_wins(
    drafted: Path, settings: QualitySettings, copy_of: Callable[[Path], Path], tmp_path: Path
) -> None:
    space = Workspace(copy_of(drafted))
    first = write(tmp_path / "first.csv", (7, 0, "female", "low"), (7, 1, "male", "high"), (7, 2, "female", ""))
    assert not labels_taken_in(space, [first])
    report = tune_judge(space, settings, [first], progress=False)
    assert labels_taken_in(space, [first])
    kept = space.folder("quality") / "labels.csv"
    labels = {(row["index"], row["quality"]) for row in table_of(kept)}
    assert labels == {("0", "low"), ("1", "high")}
    without = {name: count - (name in ("low", "high")) for name, count in report.acceptance.labels.items()}
    second = write(tmp_path / "second.csv", (7, 0, "female", "median"), (7, 3, "male", "low"))
    again = tune_judge(space, settings, [second], progress=False).acceptance.labels
    assert {(row["index"], row["quality"]) for row in table_of(kept)} == {("0", "median"), ("1", "high"), ("3", "low")}
    assert again == {name: count + 1 for name, count in without.items()}
    assert tune_judge(space, settings, [], progress=False).acceptance.labels == again  # nothing new: all is still there


def test_labels_of_another_generator_are_put_aside(
    drafted: Path, settings: QualitySettings, copy_of: Callable[[Path], Path], tmp_path: Path
) -> None:
    space = Workspace(copy_of(drafted))
    tune_judge(space, settings, [write(tmp_path / "a.csv", (7, 0, "female", "low"))], progress=False)
    record = space.record("gan")
    assert record is not None
    space.finish("gan", "feedbeef", record["settings"], images=record["images"])
    report = tune_judge(space, settings, [], progress=False)
    folder = space.folder("quality")
    assert not (folder / "labels.csv").exists()
    assert table_of(folder / f"labels-{record['output']}.csv")[0]["quality"] == "low"
    assert sum(report.acceptance.labels.values()) == int(
        (space.table().labelled("quality") & ~space.table().in_split("test")).sum()
    )
    with pytest.raises(InputError, match="drew other faces"):
        tune_judge(space, settings, [folder / "to-label-7.csv"], progress=False)


ASKED = (*HEADER, "generator", "strategy", "weight")


def test_labels_from_label_studio_are_taken_in_unnamed(
    drafted: Path, settings: QualitySettings, copy_of: Callable[[Path], Path], tmp_path: Path
) -> None:
    space = Workspace(copy_of(drafted))
    made, folder = space.require("gan")["output"], space.folder("quality")
    drawn = write(tmp_path / "drawn.csv", (7, 0, "female", "low"), (7, 1, "male", "high"))
    without = tune_judge(space, settings, [drawn], progress=False).acceptance.labels
    told = [(0, 3, "male", "low", made, "threshold", 0.25), (7, 0, "female", "high", made, "random", 3.5)]
    write(folder / "labels-studio.csv", *told, (0, 9, "male", "high", "feedbeef", "random", 1), header=ASKED)
    assert of_other_generators(space) == 1
    assert not labels_taken_in(space, [])
    report = tune_judge(space, settings, [], progress=False)
    assert labels_taken_in(space, [])
    assert report.acceptance.labels == {**without, "low": without["low"] + 1}
    kept = {(row["seed"], row["index"]): row for row in table_of(folder / "labels.csv")}
    assert len(kept) == 3
    assert (kept["0", "3"]["strategy"], float(kept["0", "3"]["weight"])) == ("threshold", 0.25)
    assert (kept["7", "0"]["quality"], kept["7", "0"]["strategy"]) == ("low", "")  # that of a file counts before it
    write(folder / "labels-studio.csv", told[1], header=ASKED)  # somebody took the other answer back
    assert not labels_taken_in(space, [])
    assert tune_judge(space, settings, [], progress=False).acceptance.labels == without
    (folder / "labels-studio.csv").unlink()
    assert labels_taken_in(space, [])


def test_weights_reach_the_calibration(
    drafted: Path, settings: QualitySettings, copy_of: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    space = Workspace(copy_of(drafted))
    made, folder = space.require("gan")["output"], space.folder("quality")
    write(folder / "labels-studio.csv", (0, 3, "male", "low", made, "threshold", 0.25), header=ASKED)
    seen, real = {}, classifiers.quality.calibrate

    def spy(*arguments: Any) -> Any:
        seen["weight"] = arguments[-1]
        return real(*arguments)

    monkeypatch.setattr(classifiers.quality, "calibrate", spy)
    tune_judge(space, settings, [], progress=False)
    weight = seen["weight"]
    assert (weight[-1], set(weight[:-1])) == (0.25, {1.0})  # real faces before the generated one


def test_labels_come_back_with_their_generator(drafted: Path, copy_of: Callable[[Path], Path]) -> None:
    space = Workspace(copy_of(drafted))
    record = space.record("gan")
    assert record is not None
    made, kept = record["output"], space.folder("quality") / "labels.csv"
    write(kept, (7, 0, "female", "low", made), header=ASKED[:5])
    space.finish("gan", "feedbeef", record["settings"], images=record["images"])
    assert gather(space) == {}
    put_aside(space)
    write(kept, (7, 0, "female", "high", "feedbeef"), header=ASKED[:5])
    assert gather(space) == {(7, 0, "female"): Label("high")}
    space.finish("gan", made, record["settings"], images=record["images"])
    put_aside(space)
    assert gather(space) == {(7, 0, "female"): Label("low")}
    assert table_of(space.folder("quality") / "labels-feedbeef.csv")[0]["quality"] == "high"


def test_drawing_again_does_not_overwrite_labels(drafted: Path, copy_of: Callable[[Path], Path]) -> None:
    space = Workspace(copy_of(drafted))
    path = draw_for_labels(space, 3, 7).csv  # no labels in it yet
    rows = table_of(path)
    assert len(rows) == 3
    write(path, *((row["seed"], row["index"], row["gender"], "high") for row in rows))
    with pytest.raises(InputError, match="--seed"):
        draw_for_labels(space, 3, 7)
    assert {row["quality"] for row in table_of(path)} == {"high"}


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        (("seed", "index", "gender"), (0, 0, "female"), "quality.*sga quality draw"),
        (HEADER, (0, 0, "female", "god"), "low, median, high.*row 2"),
        (HEADER, (0, 0, "femal", "low"), "female.*row 2"),
        (HEADER, ("x", 0, "female", "low"), "whole numbers.*row 2.*'x'"),
        (HEADER, (0, "1.5", "female", "low"), "whole numbers"),
        (HEADER, (-1, 0, "female", "low"), "whole numbers"),
        (HEADER, (2**64, 0, "female", "low"), "whole numbers"),
        (HEADER, ("²", 0, "female", "low"), "whole numbers"),
        (HEADER, (0,), "whole numbers"),
        ((*HEADER, "weight"), (0, 0, "female", "low", 0), "weight above 0.*row 2"),
        ((*HEADER, "weight"), (0, 0, "female", "low", "much"), "weight above 0.*'much'"),
    ],
)
def test_wrong_labels_are_refused_and_not_kept(
    header: tuple[str, ...], row: tuple[Any, ...], message: str, drafted: Path, settings: QualitySettings, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        tune_judge(Workspace(drafted), settings, [write(tmp_path / "labels.csv", row, header=header)], progress=False)
    assert not (drafted / "quality" / "labels.csv").exists()


def test_no_csv_at_all(drafted: Path, settings: QualitySettings, tmp_path: Path) -> None:
    (tmp_path / "picture.csv").write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    for name in ("absent.csv", "picture.csv"):
        with pytest.raises(InputError, match=name):
            tune_judge(Workspace(drafted), settings, [tmp_path / name], progress=False)


def test_no_faces_to_draw(drafted: Path) -> None:
    with pytest.raises(InputError, match="--count"):
        draw_for_labels(Workspace(drafted), 0, 0)
