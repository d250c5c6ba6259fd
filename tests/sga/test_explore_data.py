"""Pictures of a workspace's data: what they count and average, where faces stand, that they are the same each time."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from configs.errors import InputError, WorkspaceError
from labeling.predictions import Predictions
from labeling.provenance import Source
from labeling.table import LEFT_OUT, LabelTable
from labeling.workspace import Workspace
from sga.cli import main as cli
from sga.explore.canvas import Canvas
from sga.explore.data import PARTS, Drawn, explore_data
from sga.explore.data.averages import year_groups
from sga.explore.data.drawing import Line, Series, bars, columns, rotated, round_step, wrapped
from sga.explore.data.embedding import embed, snap
from sga.explore.data.faces import DataFaces
from sga.explore.data.features import face_features_of
from sga.explore.data.samples import _shared
from sga.explore.data.together import together

COUNT = 60
LEFT = 7
CopyOf = Callable[[Path], Path]


def told_of(table: LabelTable) -> pd.DataFrame:
    """Metadata of faces that a detector found: years of most of them, edges of all."""
    rng = np.random.default_rng(4)
    edge = rng.integers(30, 400, len(table))
    edge[-1] = 4000
    year = np.where(rng.random(len(table)) < 0.2, np.nan, 2000 + rng.integers(0, 6, len(table)))
    frame = pd.DataFrame({"picture": [f"page-{row}.jpg" for row in range(len(table))], "left": 0, "top": 0}, index=table.faces)
    return frame.assign(width=edge, height=edge, short_edge=edge, detection=0.9, year=year).rename_axis("face")


@pytest.fixture(scope="module")
def space(faces_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Sample faces with metadata, of which cleaning left some out, a person named a few and completion some more."""
    space = Workspace(shutil.copytree(faces_workspace, tmp_path_factory.mktemp("data") / "workspace"))
    table = space.table()
    rows = np.flatnonzero(table.sources("gender") == Source.MISSING)
    table.fill("gender", rows[:10], np.arange(10) % 2, Source.HUMAN)
    table.fill("gender", rows[10:30], np.arange(20) % 2, Source.COMPLETED, np.linspace(0.5, 1, 20))
    table.frame.loc[: LEFT - 1, "split"] = LEFT_OUT
    table.save(space.labels_path)
    told_of(table).to_parquet(space.folder("faces") / "metadata.parquet")
    return space


@pytest.fixture(scope="module")
def drawn(space: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    return explore_data(space, tmp_path_factory.mktemp("drawn") / "out", count=COUNT, seed=3)


@pytest.fixture(scope="module")
def faces(space: Workspace) -> DataFaces:
    return DataFaces.load(space)


def record(drawn: Drawn, name: str) -> dict[str, Any]:
    """The JSON of one picture."""
    told: dict[str, Any] = json.loads((drawn.index.parent / f"{name}.json").read_text(encoding="utf-8"))
    return told


def test_everything_is_there_and_says_what_it_is(drawn: Drawn, faces: DataFaces) -> None:
    names = {path.name for path in drawn.index.parent.iterdir()}
    assert names == {path.name for path in drawn.files}
    pictures = [path for path in drawn.files if path.suffix == ".png"]
    assert len(pictures) == 13
    for path in pictures:
        told = record(drawn, path.stem)
        with Image.open(path) as image:
            assert image.text["Description"] == told["alt"]
        assert len(told["alt"]) > 60
        assert (told["faces_in_all"], told["left_out"]) == (len(faces), LEFT)
        assert "7 that cleaning left out" in told["alt"]
    index = json.loads((drawn.index.parent / "index.json").read_text(encoding="utf-8"))
    assert {one["file"] for one in index["pictures"]} == {path.name for path in pictures} | {"tsne-map.html"}
    assert drawn.sentences == []


def test_the_same_bytes_twice_and_others_by_another_seed(space: Workspace, drawn: Drawn, tmp_path: Path) -> None:
    again = explore_data(space, tmp_path / "again", count=COUNT, seed=3)
    for one, other in zip(drawn.files, again.files, strict=True):
        assert one.name == other.name
        assert one.read_bytes() == other.read_bytes(), one.name
    other = explore_data(space, tmp_path / "other", count=COUNT, seed=4, only=["tsne", "samples"])
    for name in ("tsne.png", "tsne-grid.png", "tsne-map.html", "samples-gender.png"):
        assert (drawn.index.parent / name).read_bytes() != (other.index.parent / name).read_bytes()


def test_left_out_faces_are_nowhere(space: Workspace, drawn: Drawn) -> None:
    table = space.table()
    out = set(table.faces[table.in_split(LEFT_OUT)])
    assert len(out) == LEFT
    shown = {one["face"] for path in drawn.files if path.suffix == ".json" for one in record(drawn, path.stem).get("faces", ())}
    assert len(shown) > COUNT
    assert not shown & out


def test_faces_stand_where_the_record_says(space: Workspace, drawn: Drawn) -> None:
    table = space.table()
    for name, edge in (("tsne", 48), ("tsne-grid", 56), ("samples-hair_color", 96)):
        told = record(drawn, name)["faces"]
        assert len(told) >= COUNT if name.startswith("tsne") else told
        with Image.open(drawn.index.parent / f"{name}.png") as picture:
            for one in told[::7]:
                file = table.frame["file"].iat[int(table.rows([one["face"]])[0])]
                face = Image.open(space.root / file).convert("RGB").resize((edge, edge), Image.Resampling.LANCZOS)
                assert (np.asarray(picture.crop(one["box"])) == np.asarray(face)).all()
        boxes = [tuple(one["box"]) for one in told]
        assert len(set(boxes)) == len(boxes)


def test_no_face_covers_another_and_none_is_far_from_its_place(drawn: Drawn) -> None:
    told = record(drawn, "tsne")["faces"]
    corners = np.array([one["box"][:2] for one in told])
    apart = np.abs(corners[:, None] - corners).max(axis=2)
    np.fill_diagonal(apart, 1000)
    assert apart.min() >= 48
    places = np.array([one["place"] for one in told])
    for axis in (0, 1):
        assert np.corrcoef(places[:, axis], corners[:, axis])[0, 1] > 0.9


def test_alike_vectors_stand_together() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(3), 30)
    places = embed((rng.normal(size=(90, 8)) + 12 * np.eye(3, 8)[groups]).astype(np.float32), 1)
    assert places.min() == 0
    assert places.max() == 1
    away = np.linalg.norm(places[:, None] - places, axis=2)
    np.fill_diagonal(away, 9)
    nearest = groups[np.argsort(away, axis=1)[:, :5]]
    assert (nearest == groups[:, None]).mean() > 0.95


def test_snapped_places_are_cells_of_their_own_at_the_least_distance() -> None:
    places = np.array([[0.1, 0.1], [0.12, 0.1], [0.9, 0.9], [0.5, 0.5]])
    cells = snap(places, 4)
    assert len({tuple(cell) for cell in cells.tolist()}) == 4
    assert cells[2].tolist() == [3, 3]
    assert {tuple(cell) for cell in cells[:2].tolist()} == {(0, 0), (1, 0)}
    full = snap(np.random.default_rng(1).random((9, 2)), 3)
    assert sorted(map(tuple, full.tolist())) == [(x, y) for x in range(3) for y in range(3)]


# -- features ------------------------------------------------------------------------------------------------------------------


def test_thumbnails_then_the_ensemble_then_styles(space: Workspace, copy_of: CopyOf) -> None:
    copied = Workspace(copy_of(space.root))
    faces = DataFaces.load(copied)
    made = face_features_of(faces, COUNT, 0)
    assert (made.name, made.vectors.shape) == ("thumbnails", (COUNT, 30))
    assert "sga sfn" in made.note
    table = copied.table()
    sizes = {"gender": 2, "hair_color": 13}
    rng = np.random.default_rng(0)
    chances = {name: rng.dirichlet(np.ones(size), (len(table), 2)).astype(np.float32) for name, size in sizes.items()}
    copied.folder("ensemble").mkdir()
    prior = {name: np.full(size, 1 / size, np.float32) for name, size in sizes.items()}
    said = Predictions(table.faces.astype("U64"), ("a", "b"), chances, np.ones(len(table), bool), prior, prior)
    said.save(copied.folder("ensemble") / "predictions.npz")
    made = face_features_of(faces, COUNT, 0)
    assert made.name == "probabilities of the ensemble"
    rows = table.rows(faces.table.faces[made.rows])
    expected = np.sqrt(np.concatenate([chances[name].mean(axis=1)[rows] for name in sizes], axis=1))
    assert made.vectors == pytest.approx(expected, abs=5e-3)
    copied.folder("sfn").mkdir()
    style, order = rng.normal(size=(len(table), 30)).astype(np.float32), rng.permutation(len(table))[:-3]
    np.savez(copied.folder("sfn") / "styles.npz", face=table.faces.astype("U64")[order], style=style[order])
    made = face_features_of(faces, 10_000, 0)
    assert made.name == "styles of the style feature network"
    assert (made.vectors == style[table.rows(faces.table.faces[made.rows])]).all()
    newer = len(faces) - len(made.rows)
    assert 0 < newer <= 3
    assert made.note == f"{newer} newer faces have no style yet."


def test_a_damaged_style_file_is_a_sentence(space: Workspace, copy_of: CopyOf, tmp_path: Path) -> None:
    copied = Workspace(copy_of(space.root))
    copied.folder("sfn").mkdir()
    (copied.folder("sfn") / "styles.npz").write_bytes(b"PK no arrays")
    with pytest.raises(WorkspaceError, match="sga sfn --workspace"):
        explore_data(copied, tmp_path / "out", only=["tsne"])


# -- averages ------------------------------------------------------------------------------------------------------------------


def test_averages_are_means_of_known_faces(space: Workspace, drawn: Drawn, faces: DataFaces) -> None:
    table = faces.table
    counts = record(drawn, "average-labels")["counts"]
    for name in table.schema.names:
        codes = np.where(table.labelled(name), table.codes(name), -1)
        for code, value in enumerate(table.schema[name].values):
            named = {"smile": ("no smile", "smile")}.get(name)
            key = named[code] if named else f"{name.replace('_', ' ')}: {value}"
            assert counts[key] == (codes == code).sum()
    female = np.flatnonzero(table.labelled("gender") & (table.codes("gender") == 0))
    pixels = [np.asarray(Image.open(space.root / table.frame["file"].iat[row]).convert("RGB")) for row in female]
    groups = np.zeros((2, len(faces)), bool)
    groups[0, female] = True
    told: list[int] = []
    sums = faces.sums(groups, lambda done, total: told.append(done))
    assert (sums[0] == np.sum(pixels, axis=0, dtype=np.int64)).all()
    assert sums[1].max() == 0
    assert told[-1] == len(female)  # no other face was read


def test_completed_labels_count_when_asked(space: Workspace, tmp_path: Path, drawn: Drawn) -> None:
    whole = explore_data(space, tmp_path / "out", only=["labels", "together"], completed=True)
    before, after = (record(one, "average-labels")["counts"] for one in (drawn, whole))
    assert sum(after[f"gender: {value}"] - before[f"gender: {value}"] for value in ("female", "male")) > 10
    assert after["hair color: blonde"] == before["hair color: blonde"]
    assert "completion" in record(whole, "average-labels")["alt"]


def test_neighbouring_years_are_pooled_until_they_hold_enough() -> None:
    years = np.repeat([1999, 2001, 2004, 2005, 2006, -1], [2, 3, 30, 4, 1, 9])
    groups = year_groups(years, 5)
    assert [(label, int(mask.sum())) for label, mask in groups] == [("1999-2001", 5), ("2004", 30), ("2005-2006", 5)]
    assert [(label, int(mask.sum())) for label, mask in year_groups(years, 6)] == [("1999-2006", 40)]
    assert [label for label, _ in year_groups(np.array([2003, 2003, -1]), 20)] == ["2003"]
    assert year_groups(np.array([-1, -1]), 5) == []


# -- counts --------------------------------------------------------------------------------------------------------------------


def test_counts_are_those_of_the_table(drawn: Drawn, faces: DataFaces) -> None:
    years = record(drawn, "count-years")
    told = faces.metadata["year"].dropna().astype(int)
    assert dict(zip(years["labels"], years["counts"], strict=True)) == {
        str(year): (told == year).sum() for year in range(2000, 2006)
    }
    assert years["unknown"] == len(faces) - len(told)
    edges = record(drawn, "count-edges")
    assert sum(edges["counts"]) == len(faces)
    assert edges["labels"][-1].endswith("+")
    starts = [int(label.rstrip("+")) for label in edges["labels"]]
    assert {b - a for a, b in pairwise(starts)} == {10}
    short = faces.metadata["short_edge"].to_numpy()
    assert edges["counts"][3] == ((short >= starts[3]) & (short < starts[4])).sum()
    labels = record(drawn, "count-labels")["counts"]["gender"]
    codes, sources = faces.table.codes("gender"), faces.table.sources("gender")
    for code, name in enumerate(("female", "male")):
        for source in Source:
            assert labels[name][source.name.lower()] == ((codes == code) & (sources == source)).sum()
    assert labels["unknown"]["missing"] == (codes < 0).sum()


def test_without_metadata_and_labels_there_are_sentences(space: Workspace, copy_of: CopyOf, tmp_path: Path) -> None:
    copied = Workspace(copy_of(space.root))
    (copied.folder("faces") / "metadata.parquet").unlink()
    table = copied.table()
    empty = LabelTable.empty(table.schema, *(table.frame[name].tolist() for name in ("face", "file", "split", "group")))
    empty.save(copied.labels_path)
    drawn = explore_data(copied, tmp_path / "out", only=[part for part in PARTS if part != "tsne"])
    assert {path.name for path in drawn.files if path.suffix == ".png"} == {"average-labels.png", "count-labels.png"}
    assert len(drawn.sentences) == 8
    assert sum("--metadata FILE.csv" in one for one in drawn.sentences) == 2
    assert any("short edge" in one for one in drawn.sentences)
    page = drawn.index.read_text(encoding="utf-8")
    for sentence in drawn.sentences:
        assert sentence.replace("'", "&#x27;") in page


def test_steps_are_round() -> None:
    assert [round_step(span, 10) for span in (1, 10, 11, 21, 51, 101, 999, 50_000)] == [1, 1, 2, 5, 10, 20, 100, 5000]


# -- labels that come together -------------------------------------------------------------------------------------------------


def test_frequency_and_lift_look_at_faces_that_know_both(faces: DataFaces) -> None:
    told = together(faces)
    names = [value.full_name for value in told.values]
    assert "smile" in names
    assert "no smile" not in names
    smile, female = names.index("smile"), names.index("gender: female")
    table = faces.table
    knows = {name: table.labelled(name) for name in ("smile", "gender")}
    smiles, women = knows["smile"] & (table.codes("smile") == 1), knows["gender"] & (table.codes("gender") == 0)
    either = knows["smile"] & knows["gender"]
    assert told.both[smile, female] == (smiles & women).sum()
    share = (smiles & women).sum() / (smiles & either).sum()
    assert told.frequency[smile, female] == pytest.approx(share)
    assert told.lift[smile, female] == pytest.approx(share / ((women & either).sum() / either.sum()))
    assert told.lift == pytest.approx(told.lift.T, nan_ok=True)
    same = [place for place, value in enumerate(told.values) if value.attribute.name == "hair_color"]
    assert np.isnan(told.lift[np.ix_(same, same)]).all()
    assert (told.both[np.ix_(same, same)] == np.diag(np.diag(told.both)[same])).all()


def test_a_tag_whose_absence_nobody_told_has_no_frequency(space: Workspace, copy_of: CopyOf, tmp_path: Path) -> None:
    copied = Workspace(copy_of(space.root))
    table = copied.table()
    table.clear("smile", np.flatnonzero(table.codes("smile") == 0))
    table.save(copied.labels_path)
    told = together(DataFaces.load(copied))
    smile = [value.full_name for value in told.values].index("smile")
    assert np.isnan(told.frequency[smile]).all()
    assert np.isnan(told.frequency[:, smile]).all()
    assert told.both[smile].sum() > 0
    drawn = explore_data(copied, tmp_path / "out", only=["together"])
    assert record(drawn, "together-lift")["lift"][smile] == [None] * len(told.values)


# -- samples -------------------------------------------------------------------------------------------------------------------


def test_samples_run_from_people_to_the_least_sure(drawn: Drawn) -> None:
    told = record(drawn, "samples-gender")
    for value in ("gender: female", "gender: male"):
        mine = [one for one in told["faces"] if one["value"] == value]
        assert len(mine) == told["shown"][value] == 12
        order = ["human", "original", "completed"]
        assert [one["source"] for one in mine] == sorted((one["source"] for one in mine), key=order.index)
        assert {one["source"] for one in mine} == set(order)
        for source in order:
            sure = [one["confidence"] for one in mine if one["source"] == source]
            assert sure == sorted(sure, reverse=True)
        lefts = [one["box"][0] for one in mine]
        assert lefts == sorted(lefts)
    completed = [one["confidence"] for one in told["faces"] if one["source"] == "completed"]
    assert min(completed) < 0.6
    assert max(completed) > 0.9


def test_places_are_dealt_in_turns() -> None:
    assert _shared(12, [100, 100, 100]) == [4, 4, 4]
    assert _shared(12, [1, 0, 100]) == [1, 0, 11]
    assert _shared(12, [2, 3, 1]) == [2, 3, 1]


# -- long names ----------------------------------------------------------------------------------------------------------------


def test_long_names_are_wrapped_not_cut() -> None:
    canvas = Canvas(96)
    name = "a very long value name with averyveryveryveryveryveryverylongword in it"
    lines = wrapped(canvas, name, 96)
    assert all(canvas.font().getlength(line) <= 96 for line in lines)
    assert "".join(lines).replace(" ", "") == name.replace(" ", "")
    assert wrapped(canvas, "", 10) == [""]
    series = [Series("human", "#0072b2")]
    block = bars(canvas, "title", [Line(name, [5], "5"), Line("short", [1], "1")], series, 600)
    assert (np.asarray(block)[:, 599] == 255).all()
    assert np.asarray(rotated(canvas, lines)).min() < 128
    chart = columns(canvas, [f"{year}" for year in range(1900, 2020)], list(range(120)), 500, "year")
    assert (np.asarray(chart)[:, 499] == 255).all()


# -- the folder and the command ------------------------------------------------------------------------------------------------


def test_some_pictures_renew_and_the_others_stay(space: Workspace, copy_of: CopyOf, tmp_path: Path) -> None:
    copied = Workspace(copy_of(space.root))
    out = tmp_path / "out"
    explore_data(copied, out, only=["years", "edges"])
    table = copied.table()
    table.frame.loc[LEFT : LEFT + 20, "split"] = LEFT_OUT
    table.save(copied.labels_path)
    before = (out / "count-edges.png").read_bytes()
    drawn = explore_data(copied, out, only=["years"])
    assert (out / "count-edges.png").read_bytes() == before
    pictures = json.loads((out / "index.json").read_text(encoding="utf-8"))["pictures"]
    assert [one["name"] for one in pictures] == ["average-years", "count-years", "count-edges"]
    assert drawn.index.read_text(encoding="utf-8").count("Drawn earlier") == 1
    (copied.folder("faces") / "metadata.parquet").unlink()
    explore_data(copied, out, only=["years"])
    assert not (out / "count-years.png").exists()
    assert not (out / "count-years.json").exists()


def test_a_run_that_was_broken_off_goes_on(space: Workspace, copy_of: CopyOf, tmp_path: Path) -> None:
    copied = Workspace(copy_of(space.root))
    file = copied.root / DataFaces.load(copied).table.frame["file"].iat[5]
    content = file.read_bytes()
    file.write_bytes(b"no picture")
    out = tmp_path / "out"
    with pytest.raises(WorkspaceError, match="Expected a face at"):
        explore_data(copied, out, only=["labels"])
    file.write_bytes(content)
    assert (explore_data(copied, out, only=["labels"]).index).is_file()


def test_another_folder_is_left_alone(space: Workspace, tmp_path: Path) -> None:
    (tmp_path / "diary.txt").write_text("mine")
    with pytest.raises(InputError, match="new or empty folder"):
        explore_data(space, tmp_path, only=["edges"])
    (tmp_path / "index.json").write_text("[]")
    with pytest.raises(InputError, match="new or empty folder"):
        explore_data(space, tmp_path, only=["edges"])
    with pytest.raises(InputError, match="new or empty folder"):
        explore_data(space, tmp_path / "diary.txt", only=["edges"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["diary.txt", "index.json"]


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        cli.main(["explore", "data", *arguments])
    told = capsys.readouterr()
    return int(stop.value.code or 0), told.out, told.err


def test_the_command(space: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    code, told, _ = run(["--workspace", str(space.root), "--out", str(out), "--only", "edges,years"], capsys)
    assert code == 0
    assert told.splitlines()[-1] == str(out / "index.html")
    assert {Path(line) for line in told.splitlines()} == set(out.iterdir())


def test_what_people_get_wrong_is_a_sentence(space: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = ["--workspace", str(space.root), "--out", str(tmp_path / "out")]
    code, _, told = run([*there, "--only", "tsnee"], capsys)
    assert (code, "tsne, years, edges, labels, together, samples" in told, "'tsnee'" in told) == (2, True, True)
    code, _, told = run([*there, "--count", "3"], capsys)
    assert (code, "count from 12 to 4000" in told) == (2, True)
    code, _, told = run(["--workspace", str(tmp_path / "nowhere")], capsys)
    assert (code, "sga ingest PATH --workspace" in told) == (2, True)
    assert not (tmp_path / "nowhere").exists()
    assert not (tmp_path / "out").exists()


def test_too_few_faces_for_a_t_sne(space: Workspace, copy_of: CopyOf, tmp_path: Path) -> None:
    copied = Workspace(copy_of(space.root))
    table = copied.table()
    table.frame.loc[9:, "split"] = LEFT_OUT
    table.save(copied.labels_path)
    with pytest.raises(InputError, match=r"at least 12 faces .* found 2"):
        explore_data(copied, tmp_path / "some", only=["tsne"])
    drawn = explore_data(copied, tmp_path / "all")
    assert drawn.sentences[0] == "A t-SNE needs at least 12 faces; there are 2."
    assert (tmp_path / "all" / "count-labels.png").is_file()
    table.frame["split"] = LEFT_OUT
    table.save(copied.labels_path)
    with pytest.raises(WorkspaceError, match="all 160 left out by cleaning"):
        explore_data(copied, tmp_path / "none")


def test_torch_is_not_needed(space: Workspace, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from labeling.workspace import Workspace;"
        "from sga.explore.data import explore_data;"
        f"explore_data(Workspace({str(space.root)!r}), Path({str(tmp_path / 'out')!r}), count=20);"
        "print([name for name in ('torch', 'timm', 'cv2') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
