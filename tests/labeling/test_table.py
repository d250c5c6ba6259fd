"""The label table: one order of who overrules whom, one definition of missing, and files that keep both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from configs.errors import InputError, WorkspaceError
from labeling.histograms import format_histograms
from labeling.provenance import MISSING_CODE, Source
from labeling.schema import Schema
from labeling.table import LabelTable, encode

SCHEMA = Schema.load("faces")
ALL = np.arange(6)


@pytest.fixture
def table() -> LabelTable:
    faces = [f"{number:064x}" for number in range(6)]
    splits = ["train", "train", "train", "train", "validation", "test"]
    return LabelTable.empty(SCHEMA, faces, [f"faces/{face}.png" for face in faces], splits, faces)


def test_an_empty_table_knows_nothing(table: LabelTable) -> None:
    assert len(table) == 6
    assert (table.codes("gender") == MISSING_CODE).all()
    assert np.isnan(table.confidence("gender")).all()
    assert not table.labelled("gender").any()
    assert table.in_split("train").sum() == 4
    assert table.rows([table.faces[3], "nobody"]).tolist() == [3, -1]


@pytest.mark.parametrize("standing", list(Source))
@pytest.mark.parametrize("coming", [Source.COMPLETED, Source.ORIGINAL, Source.HUMAN])
def test_a_higher_or_equal_source_overrules(table: LabelTable, standing: Source, coming: Source) -> None:
    if standing is not Source.MISSING:
        table.fill("gender", ALL, np.zeros(6, int), standing, 0.5)
    wrote = table.fill("gender", ALL, np.ones(6, int), coming, 0.75)
    wins = coming >= standing
    assert wrote == (6 if wins else 0)
    assert (table.codes("gender") == (1 if wins else 0)).all()
    assert (table.confidence("gender") == (0.75 if wins else 0.5)).all()
    assert (table.sources("gender") == max(standing, coming)).all()


def test_completion_touches_missing_and_completed_cells_only(table: LabelTable) -> None:
    table.fill("gender", np.array([0]), np.array([1]), Source.HUMAN)
    table.fill("gender", np.array([1]), np.array([1]), Source.ORIGINAL)
    assert table.fill("gender", ALL, np.zeros(6, int), Source.COMPLETED, np.linspace(0, 1, 6)) == 4
    assert table.codes("gender").tolist() == [1, 1, 0, 0, 0, 0]
    np.testing.assert_allclose(table.confidence("gender"), [1, 1, 0.4, 0.6, 0.8, 1.0], rtol=1e-6)
    assert table.labelled("gender").tolist() == [True, True, False, False, False, False]
    table.fill("gender", ALL, np.full(6, MISSING_CODE), Source.MISSING)
    assert table.codes("gender").tolist() == [1, 1, -1, -1, -1, -1]
    assert np.isnan(table.confidence("gender")[2:]).all()


def test_an_unknown_value_erases_nothing(table: LabelTable) -> None:
    table.fill("hair_color", ALL, np.arange(6), Source.ORIGINAL)
    assert table.fill("hair_color", ALL, np.full(6, MISSING_CODE), Source.HUMAN) == 0
    assert table.codes("hair_color").tolist() == list(range(6))


@pytest.mark.parametrize("code", [2, -2])
def test_a_code_that_is_none_is_refused(table: LabelTable, code: int) -> None:
    with pytest.raises(InputError, match="codes of gender in 0 … 1"):
        table.fill("gender", ALL, np.full(6, code), Source.HUMAN)


def fill_some(table: LabelTable) -> None:
    table.fill("gender", np.array([0, 1]), np.array([0, 1]), Source.HUMAN)
    table.fill("hair_color", np.array([2, 3]), np.array([11, 0]), Source.ORIGINAL)
    table.fill("hair_color", ALL, np.array([4, 4, 4, 4, -1, 4]), Source.COMPLETED, np.array([0.1, 0.25, 0.3, 0.4, 0.5, 1 / 3]))


def test_parquet_and_csv_round_trips(table: LabelTable, tmp_path: Path) -> None:
    fill_some(table)
    table.save(tmp_path / "labels.parquet")
    loaded = LabelTable.load(tmp_path / "labels.parquet")
    loaded.to_csv(tmp_path / "labels.csv")
    back = LabelTable.from_csv(tmp_path / "labels.csv", SCHEMA)
    back.to_csv(tmp_path / "again.csv")
    back.save(tmp_path / "again.parquet")
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "labels.csv").read_bytes()
    for other in (loaded, back, LabelTable.load(tmp_path / "again.parquet")):
        assert other.schema == SCHEMA
        assert other.faces.tolist() == table.faces.tolist()
        for column in ("file", "split", "group"):
            assert other.frame[column].tolist() == table.frame[column].tolist()
        for name in SCHEMA.names:
            np.testing.assert_array_equal(other.codes(name), table.codes(name))
            np.testing.assert_array_equal(other.sources(name), table.sources(name))
            np.testing.assert_allclose(other.confidence(name), table.confidence(name), rtol=1e-5)
    text = (tmp_path / "labels.csv").read_text().splitlines()
    assert "gender,gender_confidence,gender_source" in text[0]
    assert ",unknown,,missing,gray,1,original," in text[3]


def test_an_empty_table_round_trips(tmp_path: Path) -> None:
    LabelTable.empty(SCHEMA, [], [], [], []).save(tmp_path / "labels.parquet")
    loaded = LabelTable.load(tmp_path / "labels.parquet")
    loaded.to_csv(tmp_path / "labels.csv")
    assert len(loaded) == len(LabelTable.from_csv(tmp_path / "labels.csv", SCHEMA)) == 0


def test_histograms_count_the_unknown(table: LabelTable) -> None:
    fill_some(table)
    gender, hair, *_ = table.histograms()
    assert gender.counts == {"female": 1, "male": 1, "unknown": 4}
    assert gender.sources == {"missing": 4, "completed": 0, "original": 0, "human": 2}
    assert (hair.counts["pink"], hair.counts["gray"], hair.counts["blonde"], hair.counts["unknown"]) == (3, 1, 1, 1)
    text = format_histograms(table.histograms())
    assert "gender (4 missing, 2 human)" in text
    assert [line.split()[:2] for line in text.splitlines()[1:4]] == [["female", "1"], ["male", "1"], ["unknown", "4"]]
    assert format_histograms(LabelTable.empty(SCHEMA, [], [], [], []).histograms()).startswith("gender (no faces)")


def test_selected_rows_are_a_table_of_their_own(table: LabelTable) -> None:
    part = table.select(table.in_split("train"))
    part.fill("gender", np.array([0]), np.array([1]), Source.HUMAN)
    assert len(part) == 4
    assert part.rows([table.faces[3]]).tolist() == [3]
    assert (table.codes("gender") == MISSING_CODE).all()
    assert table.select(np.array([5, 0])).faces.tolist() == [table.faces[5], table.faces[0]]


def test_values_to_codes() -> None:
    assert encode("gender", ["male", "", "unknown", "female"], SCHEMA).tolist() == [1, -1, -1, 0]
    with pytest.raises(InputError, match=r"Did you mean male\?"):
        encode("gender", ["mail"], SCHEMA)


def test_files_that_are_no_table(table: LabelTable, tmp_path: Path) -> None:
    path = tmp_path / "labels.parquet"
    with pytest.raises(WorkspaceError, match="Type first: sga ingest"):
        LabelTable.load(path)
    path.write_bytes(b"PAR1 damaged")
    with pytest.raises(WorkspaceError, match="damaged file"):
        LabelTable.load(path)
    pd.DataFrame({"face": ["a"]}).to_parquet(path)
    with pytest.raises(WorkspaceError, match="another program"):
        LabelTable.load(path)
    with pytest.raises(WorkspaceError, match="found none named"):
        LabelTable(Schema.load("moe34"), table.frame)
    with pytest.raises(WorkspaceError, match="every face once"):
        LabelTable(SCHEMA, pd.concat([table.frame, table.frame]))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (",unknown,,missing,gray", ",male,,missing,gray", "found 'male' with 'missing'"),
        (",gray,1,original", ",unknown,1,original", "found 'unknown' with 'original'"),
        (",gray,1,original", ",gray,1.5,original", "in 0 … 1"),
        (f"{5:064x},", f"{4:064x},", "Expected every face once in"),
        ("gender_source", "source_of_gender", "Expected the columns"),
        (",human,", ",person,", "found 'person'"),
        (",gray,", ",grey,", "Did you mean gray?"),
    ],
)
def test_a_csv_with_a_mistake(table: LabelTable, tmp_path: Path, before: str, after: str, said: str) -> None:
    fill_some(table)
    table.to_csv(tmp_path / "labels.csv")
    text = (tmp_path / "labels.csv").read_text()
    assert before in text
    (tmp_path / "labels.csv").write_text(text.replace(before, after))
    with pytest.raises(InputError) as caught:
        LabelTable.from_csv(tmp_path / "labels.csv", SCHEMA)
    assert said in str(caught.value)


def test_saving_fails_whole(table: LabelTable, tmp_path: Path) -> None:
    (tmp_path / "labels.parquet").mkdir()
    with pytest.raises(InputError, match="Expected to write"):
        table.save(tmp_path / "labels.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["labels.parquet"]
