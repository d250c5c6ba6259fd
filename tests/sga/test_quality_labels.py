"""Faces drawn for people to judge, and their labels on the way back."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import sga.quality
from classifiers.quality import QualitySettings
from configs.errors import InputError
from labeling.workspace import Workspace
from sga.quality import draft_model, draw_for_labels, labels_taken_in, tune_judge

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
    first = sga.quality._draw(model, keys)
    again = sga.quality._draw(draft_model(Workspace(drafted)), keys[::-1])[::-1]
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
