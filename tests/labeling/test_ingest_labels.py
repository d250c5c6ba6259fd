"""CSVs of labels: how they name pictures, who overrules whom, and several in one ingest."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from configs.errors import InputError, WorkspaceError
from labeling.ingest import IngestSettings, ingest, labels_taken_in
from labeling.ingest.store import face_identity
from labeling.provenance import Source
from labeling.table import LabelTable
from labeling.workspace import Workspace

Folder = Callable[..., Path]
TableFile = Callable[..., Path]
Picture = Callable[..., Image.Image]


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.reader(handle))[1:]


def value(table: LabelTable, face: str, name: str) -> str:
    code = int(table.codes(name)[table.rows([face])[0]])
    return "unknown" if code < 0 else table.schema[name].values[code]


def test_every_way_to_name_a_file_in_the_csv(tmp_path: Path, folder: Folder, table_file: TableFile) -> None:
    place = folder(range(4))
    names = ["000.png", "pictures/001.png", ".\\pictures\\002.png", str(place / "003.png")]
    report = ingest([place], tmp_path / "w", labels=table_file(["file", "gender"], *([name, "male"] for name in names)))
    assert report.unmatched_rows == 0
    assert report.histograms[0].counts == {"female": 0, "male": 4, "unknown": 0}


def test_duplicates_merge_their_labels_and_report_contradictions(
    tmp_path: Path, folder: Folder, table_file: TableFile, picture: Picture
) -> None:
    place = folder(range(2))
    picture(0).save(place / "copy.bmp")
    picture(0).save(place / "zcopy.tiff")
    labels = table_file(
        ["file", "gender", "hair_color", "eye_color"],
        ["000.png", "male", "", ""],
        ["copy.bmp", "female", "blue", ""],
        ["zcopy.tiff", "", "red", "green"],
    )
    report = ingest([place], tmp_path / "w", labels=labels)
    assert (report.added, report.duplicates, report.conflicts) == (2, 2, 2)
    face = face_identity(np.asarray(picture(0)))
    table = Workspace(tmp_path / "w").table()
    assert [value(table, face, name) for name in ("gender", "hair_color", "eye_color")] == ["male", "blue", "green"]
    kept = "pictures/000.png"
    assert rows(tmp_path / "w/faces/duplicates.csv") == [[f"pictures/{n}", face, kept] for n in ("copy.bmp", "zcopy.tiff")]
    assert rows(tmp_path / "w/faces/conflicts.csv") == [
        ["pictures/copy.bmp", face, "gender", "male", "female"],
        ["pictures/zcopy.tiff", face, "hair_color", "blue", "red"],
    ]


def test_a_second_ingest_adds_faces_and_keeps_what_people_said(
    tmp_path: Path, folder: Folder, table_file: TableFile, picture: Picture
) -> None:
    place = folder(range(3))
    labels = table_file(["file", "gender", "hair_color"], ["000.png", "male", "blue"], ["001.png", "", "red"])
    ingest([place], tmp_path / "w", IngestSettings(human=("gender",)), labels=labels)
    space = Workspace(tmp_path / "w")
    table = space.table()
    faces = [face_identity(np.asarray(picture(seed))) for seed in range(4)]
    table.fill("eye_color", table.rows(faces[:3]), np.array([1, 2, 3]), Source.COMPLETED, 0.7)
    table.save(space.labels_path)
    folder([3])
    labels = table_file(
        ["file", "gender", "hair_color", "eye_color"],
        ["000.png", "female", "green", "red"],
        ["001.png", "female", "", ""],
        ["003.png", "male", "", ""],
    )
    report = ingest([place], tmp_path / "w", labels=labels)
    table = space.table()
    assert (report.added, report.present, report.conflicts) == (1, 3, 1)
    assert value(table, faces[0], "gender") == "male"  # a person said so
    assert value(table, faces[0], "hair_color") == "green"  # the CSV was corrected
    assert value(table, faces[0], "eye_color") == "red"  # original overrules completed
    assert value(table, faces[1], "gender") == "female"
    assert value(table, faces[1], "eye_color") == "brown"  # completed stays where nothing is said
    assert table.sources("eye_color")[table.rows(faces[1:2])[0]] == Source.COMPLETED
    assert rows(tmp_path / "w/faces/conflicts.csv") == [["pictures/000.png", faces[0], "gender", "male", "female"]]


def test_labels_alone_for_faces_that_are_there(tmp_path: Path, folder: Folder, table_file: TableFile, picture: Picture) -> None:
    place = folder(range(3))
    ingest([place], tmp_path / "w")
    labels = table_file(["file", "quality"], ["002.png", "high"], ["pictures/000.png", "low"], ["gone.png", "low"])
    report = ingest([], tmp_path / "w", IngestSettings(source="human"), labels=labels)
    table = Workspace(tmp_path / "w").table()
    assert (report.added, report.faces, report.unmatched_rows) == (0, 3, 1)
    assert [value(table, face_identity(np.asarray(picture(s))), "quality") for s in range(3)] == ["low", "unknown", "high"]
    assert table.labelled("quality").sum() == (table.sources("quality") == Source.HUMAN).sum() == 2


def test_rows_can_be_dropped_and_columns_ignored(tmp_path: Path, folder: Folder, table_file: TableFile) -> None:
    place = folder(range(3))
    labels = table_file(
        ["file", "gender", "remark", "artist"], ["000.png", "male", "no_face", "x"], ["001.png", "unknown", "unclear", "y"]
    )
    report = ingest([place], tmp_path / "w", IngestSettings(ignore=("artist",), drop=("remark=no_face",)), labels=labels)
    assert (report.added, report.rejected) == (2, 1)
    assert rows(tmp_path / "w/faces/rejected.csv") == [["pictures/000.png", "remark is no_face"]]


def test_labels_made_while_an_ingest_runs_are_not_overwritten(tmp_path: Path, folder: Folder) -> None:
    place = folder(range(2))
    ingest([place], tmp_path / "w")
    space = Workspace(tmp_path / "w")

    def label(done: int, total: int) -> None:
        table = space.table()
        table.fill("gender", np.array([0]), np.array([1]), Source.HUMAN)
        table.save(space.labels_path)

    with pytest.raises(WorkspaceError, match="changed by another command"):
        ingest([folder([5])], tmp_path / "w", progress=label)
    assert space.table().codes("gender")[0] == 1


def test_rows_of_several_files_are_put_together(tmp_path: Path, folder: Folder, table_file: TableFile) -> None:
    place = folder(range(4))
    first = table_file(["file", "gender", "hair_color"], ["000.png", "male", "blue"], ["001.png", "", "red"], name="first.csv")
    second = table_file(["file", "gender"], ["001.png", "female"], ["000.png", "male"], ["gone.png", "male"], name="second.csv")
    report = ingest([place], tmp_path / "w", IngestSettings(human=("gender",)), labels=[first, second])
    table = Workspace(tmp_path / "w").table()
    assert table.labelled("gender").sum() == (table.sources("gender") == Source.HUMAN).sum() == 2
    assert table.labelled("hair_color").sum() == (table.sources("hair_color") == Source.ORIGINAL).sum() == 2
    assert (report.unmatched_rows, report.unlabelled) == (1, 2)


def test_a_file_may_drop_what_another_labels(tmp_path: Path, folder: Folder, table_file: TableFile) -> None:
    first = table_file(["file", "gender", "remark"], ["000.png", "male", ""], name="first.csv")
    second = table_file(["file", "remark"], ["000.png", "no_face"], name="second.csv")
    report = ingest([folder(range(2))], tmp_path / "w", IngestSettings(drop=("remark=no_face",)), labels=[first, second])
    assert (report.added, report.rejected) == (1, 1)


def test_files_that_contradict_each_other_are_named(tmp_path: Path, folder: Folder, table_file: TableFile) -> None:
    first = table_file(["file", "gender"], ["000.png", "male"], name="first.csv")
    second = table_file(["file", "gender"], ["001.png", "male"], ["000.png", "female"], name="second.csv")
    with pytest.raises(InputError, match=r"(?s)one gender for .*000\.png.*male in row 2 of .*first\.csv.*female in row 3 of"):
        ingest([folder(range(2))], tmp_path / "w", labels=[first, second])
    assert not (tmp_path / "w/labels.parquet").exists()


def test_a_file_counts_as_taken_in_until_it_changes(tmp_path: Path, folder: Folder, table_file: TableFile) -> None:
    place, space = folder(range(2)), Workspace(tmp_path / "w")
    first = table_file(["file", "gender"], ["000.png", "male"], name="first.csv")
    second = table_file(["file", "gender"], ["001.png", "male"], name="second.csv")
    ingest([place], space.root, labels=first)
    assert labels_taken_in(space, [first])
    assert not labels_taken_in(space, [first, second])
    ingest([], space.root, labels=second)
    assert labels_taken_in(space, [first, second])
    table_file(["file", "gender"], ["001.png", "female"], name="second.csv")
    assert labels_taken_in(space, [first])
    assert not labels_taken_in(space, [second])


def test_an_option_names_a_column_of_one_file(tmp_path: Path, folder: Folder, table_file: TableFile) -> None:
    first = table_file(["file", "hair_color", "artist"], ["000.png", "blue", "x"], ["003.png", "red", "y"], name="first.csv")
    second = table_file(
        ["file", "gender", "remark", "who"], ["000.png", "male", "", "a"], ["001.png", "", "no_face", ""], name="second.csv"
    )
    settings = IngestSettings(human=("gender",), ignore=("artist",), drop=("remark=no_face",), group="who")
    report = ingest([folder(range(4))], tmp_path / "w", settings, labels=[first, second])
    table = Workspace(tmp_path / "w").table()
    assert (report.added, report.rejected) == (3, 1)
    assert (table.sources("gender") == Source.HUMAN).sum() == 1
    assert (table.sources("hair_color") == Source.ORIGINAL).sum() == 2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (IngestSettings(human=("eye_color",)), "eye_color that --human"),
        (IngestSettings(drop=("remark=x",)), "remark that --drop"),
        (IngestSettings(group="who"), "who that --group"),
        (IngestSettings(ignore=("artist",)), "artist that --ignore"),
    ],
)
def test_an_option_that_names_no_column_of_any_file(
    tmp_path: Path, folder: Folder, table_file: TableFile, settings: IngestSettings, said: str
) -> None:
    first = table_file(["file", "hair_color"], ["000.png", "blue"], name="first.csv")
    second = table_file(["file", "gender"], ["000.png", "male"], name="second.csv")
    with pytest.raises(InputError) as refused:
        ingest([folder(range(2))], tmp_path / "w", settings, labels=[first, second])
    assert said in str(refused.value)
    assert "first.csv or " in str(refused.value)
    assert "found file, hair_color, gender" in str(refused.value)


def test_labels_alone_need_the_names_of_the_pictures(
    tmp_path: Path, folder: Folder, table_file: TableFile, picture: Picture
) -> None:
    place, labels = folder(range(2)), table_file(["file", "gender"], ["000.png", "male"])
    ingest([place], tmp_path / "w")
    (tmp_path / "w/faces/index.csv").unlink()
    with pytest.raises(InputError, match=r"Name their PATHs again: sga ingest PATH --labels .*labels\.csv --workspace"):
        ingest([], tmp_path / "w", labels=labels)
    ingest([place], tmp_path / "w", labels=labels)
    assert value(Workspace(tmp_path / "w").table(), face_identity(np.asarray(picture(0))), "gender") == "male"


def test_labels_alone_cannot_group(tmp_path: Path, folder: Folder, table_file: TableFile) -> None:
    ingest([folder(range(2))], tmp_path / "w")
    labels = table_file(["file", "who"], ["000.png", "a"], ["001.png", "a"])
    with pytest.raises(InputError, match="or type --ignore who"):
        ingest([], tmp_path / "w", IngestSettings(group="who"), labels=labels)
