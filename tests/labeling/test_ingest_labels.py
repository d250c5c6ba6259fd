"""Several CSVs of labels in one ingest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from configs.errors import InputError
from labeling.ingest import IngestSettings, ingest, labels_taken_in
from labeling.provenance import Source
from labeling.workspace import Workspace

Folder = Callable[..., Path]
TableFile = Callable[..., Path]


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
