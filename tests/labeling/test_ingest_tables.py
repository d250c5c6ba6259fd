"""Label tables as CSV: faces that a CSV drops keep their labels in one, and labels travel between workspaces in one."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from configs.errors import InputError
from labeling.ingest import IngestSettings, ingest
from labeling.ingest.store import face_identity
from labeling.provenance import Source
from labeling.table import LabelTable
from labeling.workspace import Workspace
from sga.cli.main import main

Folder = Callable[..., Path]
TableFile = Callable[..., Path]
Picture = Callable[..., Image.Image]
DROP = IngestSettings(drop=("remark=no_face",))


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.reader(handle))[1:]


def cells(table: LabelTable, face: str, name: str) -> tuple[int, int]:
    """(code, source)."""
    row = table.rows([face])[0]
    return int(table.codes(name)[row]), int(table.sources(name)[row])


@pytest.fixture
def face(picture: Picture) -> Callable[[int], str]:
    """The identity of the picture of a seed."""
    return lambda seed: face_identity(np.asarray(picture(seed)))


@pytest.fixture
def labelled(tmp_path: Path, folder: Folder, face: Callable[[int], str]) -> Workspace:
    """Five faces; a person said that 0 is male, 1 has an original hair colour, 2 a completed eye colour."""
    ingest([folder(range(5))], tmp_path / "w")
    space = Workspace(tmp_path / "w")
    table = space.table()
    table.fill("gender", table.rows([face(0)]), np.array([1]), Source.HUMAN)
    table.fill("hair_color", table.rows([face(1)]), np.array([2]), Source.ORIGINAL, 0.75)
    table.fill("eye_color", table.rows([face(2)]), np.array([3]), Source.COMPLETED, 0.5)
    table.save(space.labels_path)
    return space


@pytest.mark.parametrize("again", [[], ["pictures"]], ids=["labels alone", "with the PATH"])
def test_a_face_there_leaves_and_comes_back_with_its_labels(
    tmp_path: Path, labelled: Workspace, face: Callable[[int], str], table_file: TableFile, again: list[str]
) -> None:
    space, place = labelled, tmp_path / "pictures"
    ingest([place], space.root)
    before = space.require("faces")["output"]
    remarks = table_file(["file", "remark", "hair_color"], ["000.png", "no_face", "blue"], name="remarks.csv")
    paths = [tmp_path / name for name in again]
    report = ingest(paths, space.root, DROP, labels=remarks)
    assert (report.removed, report.rejected, report.faces, report.added, report.present) == (1, 1, 4, 0, 4)
    assert "1 faces dropped from the workspace" in report.text()
    assert space.table().rows([face(0)])[0] == -1
    assert space.require("faces")["output"] != before  # later stages are stale
    name, reason = rows(space.root / "faces/rejected.csv")[0]
    assert name == "pictures/000.png"
    assert reason.startswith("remark is no_face; it left the workspace")
    kept = LabelTable.from_csv(space.root / "faces/removed.csv", space.table().schema)
    assert cells(kept, face(0), "gender") == (1, Source.HUMAN)
    assert cells(kept, face(0), "hair_color") == (-1, Source.MISSING)  # a dropped row labels nothing

    report = ingest(paths, space.root, DROP, labels=remarks)  # the same command again
    assert (report.removed, report.faces) == (0, 4)
    assert (space.root / "faces/removed.csv").is_file()

    report = ingest([place], space.root, labels=table_file(["file", "gender"], ["000.png", "female"]))
    assert (report.added, report.faces, report.conflicts) == (1, 5, 1)
    assert cells(space.table(), face(0), "gender") == (1, Source.HUMAN)
    assert not (space.root / "faces/removed.csv").exists()


def test_another_picture_of_the_same_name_drops_nothing(
    tmp_path: Path, labelled: Workspace, picture: Picture, table_file: TableFile
) -> None:
    other = tmp_path / "other" / "pictures"
    other.mkdir(parents=True)
    picture(10).save(other / "000.png")
    picture(11).save(other / "001.png")
    report = ingest([other], labelled.root, DROP, labels=table_file(["file", "remark"], ["000.png", "no_face"]))
    assert (report.added, report.removed, report.rejected, report.faces) == (1, 0, 1, 6)


def test_a_face_stays_while_another_picture_of_it_is_taken(
    tmp_path: Path, labelled: Workspace, picture: Picture, face: Callable[[int], str], table_file: TableFile
) -> None:
    picture(0).save(tmp_path / "pictures/copy.bmp")
    remarks = table_file(["file", "remark"], ["000.png", "no_face"])
    report = ingest([tmp_path / "pictures"], labelled.root, DROP, labels=remarks)
    assert (report.removed, report.rejected, report.faces) == (0, 1, 5)
    assert cells(labelled.table(), face(0), "gender") == (1, Source.HUMAN)


def test_dropping_every_face_is_refused(labelled: Workspace, table_file: TableFile) -> None:
    before = labelled.labels_path.read_bytes()
    with pytest.raises(InputError, match="found every one dropped"):
        ingest([], labelled.root, DROP, labels=table_file(["file", "remark"], *([f"00{n}.png", "no_face"] for n in range(5))))
    assert labelled.labels_path.read_bytes() == before
    assert not (labelled.root / "faces/removed.csv").exists()


def test_labels_travel_to_another_workspace(tmp_path: Path, labelled: Workspace, face: Callable[[int], str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["status", "--workspace", str(labelled.root), "--labels-csv", str(tmp_path / "table.csv")])
    assert end.value.code == 0
    report = ingest([tmp_path / "pictures"], tmp_path / "v", IngestSettings(test=0.5), labels=tmp_path / "table.csv")
    table = Workspace(tmp_path / "v").table()
    assert cells(table, face(0), "gender") == (1, Source.HUMAN)
    assert cells(table, face(1), "hair_color") == (2, Source.ORIGINAL)
    assert table.confidence("hair_color")[table.rows([face(1)])[0]] == 0.75
    assert cells(table, face(2), "eye_color") == (-1, Source.MISSING)  # completed: inferred anew, never taken as a label
    assert sum(table.labelled(name).sum() for name in table.schema.names) == 2
    assert (report.added, report.conflicts, report.unmatched_rows, report.unlabelled) == (5, 0, 0, 0)


def test_a_table_corrects_equals_and_obeys_stronger_ones(
    tmp_path: Path, labelled: Workspace, face: Callable[[int], str], table_file: TableFile
) -> None:
    """Into the workspace it came from, after people have edited it; without PATHs, and even without the pictures' names."""
    table = labelled.table()
    table.fill("gender", table.rows([face(0)]), np.array([0]), Source.HUMAN)
    table.fill("hair_color", table.rows([face(1)]), np.array([4]), Source.HUMAN)
    table.save(labelled.labels_path)
    other = LabelTable.load(labelled.labels_path)
    row = other.rows([face(1)])
    other.frame.loc[row, ["hair_color", "hair_color_source"]] = [7, int(Source.ORIGINAL)]
    other.fill("gender", other.rows([face(0)]), np.array([1]), Source.HUMAN)
    other.to_csv(tmp_path / "table.csv")
    (labelled.root / "faces/index.csv").unlink()
    report = ingest([], labelled.root, labels=tmp_path / "table.csv")
    table = labelled.table()
    assert cells(table, face(0), "gender") == (1, Source.HUMAN)
    assert cells(table, face(1), "hair_color") == (4, Source.HUMAN)
    assert cells(table, face(2), "eye_color") == (3, Source.COMPLETED)
    assert report.conflicts == 1
    values = table.schema["hair_color"].values
    assert rows(labelled.root / "faces/conflicts.csv")[0][1:] == [face(1), "hair_color", values[4], values[7]]


def test_a_table_beside_a_csv_of_pictures(
    tmp_path: Path, labelled: Workspace, face: Callable[[int], str], table_file: TableFile
) -> None:
    labelled.table().to_csv(tmp_path / "table.csv")
    (tmp_path / "pictures/001.png").unlink()
    remarks = table_file(["file", "remark", "gender"], ["004.png", "no_face", ""], ["003.png", "", "male"])
    report = ingest([tmp_path / "pictures"], tmp_path / "v", DROP, labels=[tmp_path / "table.csv", remarks])
    table = Workspace(tmp_path / "v").table()
    assert cells(table, face(0), "gender") == (1, Source.HUMAN)
    assert cells(table, face(3), "gender") == (1, Source.ORIGINAL)
    assert (report.added, report.rejected) == (3, 1)
    unmatched = rows(tmp_path / "v/faces/unmatched.csv")  # 1 is labelled and not there; 4 is not there and has no label
    assert unmatched == [[f"faces/{face(1)[:2]}/{face(1)}.png", "no such face here, labelled in table.csv"]]


def test_a_table_and_a_csv_that_contradict_each_other(
    tmp_path: Path, labelled: Workspace, face: Callable[[int], str], table_file: TableFile
) -> None:
    labelled.table().to_csv(tmp_path / "table.csv")
    contrary = table_file(["file", "gender"], ["000.png", "female"])
    settings = IngestSettings(human=("gender",))
    report = ingest([tmp_path / "pictures"], tmp_path / "v", settings, labels=[contrary, tmp_path / "table.csv"])
    assert report.conflicts == 1
    assert rows(tmp_path / "v/faces/conflicts.csv") == [["pictures/000.png", face(0), "gender", "male", "female"]]
    assert cells(Workspace(tmp_path / "v").table(), face(0), "gender") == (1, Source.HUMAN)


def test_tables_that_do_not_fit(tmp_path: Path, labelled: Workspace, folder: Folder, face: Callable[[int], str]) -> None:
    table = labelled.table()
    table.to_csv(tmp_path / "table.csv")
    text = (tmp_path / "table.csv").read_text()
    table.fill("gender", table.rows([face(0)]), np.array([0]), Source.HUMAN)
    table.to_csv(tmp_path / "contrary.csv")
    for paths, files, settings, said in (
        ([], ["table.csv"], IngestSettings(human=("gender",)), "found label tables alone"),
        ([], ["table.csv", "contrary.csv"], IngestSettings(), f"Expected one gender for the face {face(0)}"),
        ([folder([9], "others")], ["table.csv"], IngestSettings(), "found none of its 5 here"),
    ):
        space = tmp_path / "v" if paths else labelled.root
        with pytest.raises(InputError) as refused:
            ingest(paths, space, settings, labels=[tmp_path / name for name in files])
        assert said in str(refused.value)
    header, *lines = text.splitlines()
    (tmp_path / "wide.csv").write_text("\n".join([f"{header},smile", *(f"{line},yes" for line in lines)]))
    with pytest.raises(InputError, match="Type --ignore smile"):
        ingest([], labelled.root, labels=tmp_path / "wide.csv")
    ingest([], labelled.root, IngestSettings(ignore=("smile",)), labels=tmp_path / "wide.csv")


def test_an_attribute_of_a_table_can_be_left_out(tmp_path: Path, labelled: Workspace) -> None:
    labelled.table().to_csv(tmp_path / "table.csv")
    settings = IngestSettings(ignore=("gender",))
    ingest([tmp_path / "pictures"], tmp_path / "v", settings, labels=tmp_path / "table.csv")
    table = Workspace(tmp_path / "v").table()
    assert not table.labelled("gender").any()
    assert table.labelled("hair_color").sum() == 1
