"""Faces drawn for people to judge, and their labels on the way back."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import classifiers.quality
from classifiers.quality import QualitySettings
from configs.errors import InputError, WorkspaceError
from configs.files import hold
from labeling.answers import Answer, store_of
from labeling.provenance import Source
from labeling.workspace import Workspace
from sga import quality
from sga.quality import draft_model, draw_faces, draw_for_labels, labels_taken_in, tune_judge
from sga.quality_asked import pulled, take_in_answers
from sga.quality_faces import outdated
from sga.quality_judge import judge_version
from sga.quality_labels import Label, gather, of_other_generators, put_aside, read_labels, write_labels

HEADER = ("seed", "index", "gender", "quality")
TIME = "2026-11-21T08:00:00.000000Z"


@pytest.fixture(scope="module")
def settings(tiny_settings: dict[str, dict[str, Any]]) -> QualitySettings:
    wanted = QualitySettings.model_validate(tiny_settings["quality"])
    return wanted.model_copy(update={"fit": wanted.fit.model_copy(update={"images": 32})})


@pytest.fixture(scope="module")
def drafted(gan_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with faces to label."""
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


def answer(key: str, level: str, state: Any = "answer") -> Answer:
    """What one annotator says of a generated face, or said before it was withdrawn."""
    whole: dict[str, Any] = {
        **{"server": "http://one", "project": 1, "task": 1, "annotation": 1, "key": key, "attribute": "quality"},
        **{"purpose": "quality", "state": state, "value": level, "reason": "", "annotator": "ann", "created": TIME},
        **{"updated": TIME, "lead_time": None, "predicted": None, "confidence": None, "model_version": None},
    }
    return Answer(**whole, strategy="random", round=1)


def relabel(space: Workspace) -> None:
    """As if a person had named the gender of a real face, and `sga label pull` had fetched it."""
    table = space.table()
    row = np.flatnonzero(~table.labelled("gender"))[:1]
    assert table.fill("gender", row, np.zeros(1, np.int64), Source.HUMAN) == 1
    assert space.relabelled(table)
    assert space.state("gan") == "stale"


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


def test_two_tunings_at_once_are_refused(drafted: Path, settings: QualitySettings, copy_of: Callable[[Path], Path]) -> None:
    space = Workspace(copy_of(drafted))
    with hold(space.folder("quality") / ".lock"), pytest.raises(InputError, match="found another sga quality tune"):
        tune_judge(space, settings, [space.folder("quality") / "none.csv"], progress=False)
    with pytest.raises(InputError, match=r"none\.csv"):
        tune_judge(space, settings, [space.folder("quality") / "none.csv"], progress=False)


def test_no_draft_is_made_of_a_generator_that_trains_meanwhile(
    drafted: Path, copy_of: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    space, build = Workspace(copy_of(drafted)), quality.build_model_folder
    (space.folder("quality") / "draft.txt").unlink()

    def meanwhile(*arguments: Any) -> Any:
        made = build(*arguments)
        space.begin("gan")
        return made

    monkeypatch.setattr(quality, "build_model_folder", meanwhile)
    with pytest.raises(WorkspaceError, match=r"found it in training\. Wait until sga train is done"):
        draft_model(space)
    assert not (space.folder("quality") / "draft.txt").exists()


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
    store_of(space.root).append([answer(f"{made}/0/3/male", "low", "withdrawn")])  # somebody took the other answer back
    assert not labels_taken_in(space, [])
    assert tune_judge(space, settings, [], progress=False).acceptance.labels == without
    assert len(table_of(folder / "labels.csv")) == 2
    (folder / "labels-studio.csv").unlink()
    assert labels_taken_in(space, [])


def test_a_correction_by_hand_stays(
    drafted: Path, settings: QualitySettings, copy_of: Callable[[Path], Path], tmp_path: Path
) -> None:
    """A copy of labels.csv holds Label Studio's labels too: those that are not corrected go on following the answers."""
    space = Workspace(copy_of(drafted))
    made, folder = space.require("gan")["output"], space.folder("quality")
    told = [(0, 3, "male", "low", made, "threshold", 0.25), (0, 5, "male", "high", made, "random", 3.5)]
    write(folder / "labels-studio.csv", *told, header=ASKED)
    tune_judge(space, settings, [], progress=False)
    first, second = table_of(folder / "labels.csv")
    assert (first["source"], second["source"]) == ("studio", "studio")
    copy = write(
        tmp_path / "corrected.csv", tuple({**first, "quality": "median"}.values()), tuple(second.values()), header=tuple(first)
    )
    tune_judge(space, settings, [copy], progress=False)
    tune_judge(space, settings, [], progress=False)
    corrected = Label("median", "threshold", 0.25, "file")
    assert gather(space) == {(0, 3, "male"): corrected, (0, 5, "male"): Label("high", "random", 3.5, "studio")}
    [kept] = read_labels(folder / "labels.csv", space.table().schema, made).values()
    assert kept == gather(space)
    keys = [f"{made}/0/{index}/male" for index in (3, 5)]
    store_of(space.root).append([answer(key, "low", "withdrawn") for key in keys])
    take_in_answers(space)
    assert gather(space) == {(0, 3, "male"): corrected}
    write(folder / "labels-studio.csv", *told, header=ASKED)
    assert gather(space, [write(tmp_path / "as-told.csv", told[0], header=ASKED)])[0, 3, "male"].source == "studio"


def test_labels_whose_answers_were_lost_stay(drafted: Path, copy_of: Callable[[Path], Path]) -> None:
    space = Workspace(copy_of(drafted))
    made, folder, store = space.require("gan")["output"], space.folder("quality"), store_of(space.root)
    told = [(0, 3, "male", "low", made, "threshold", 0.25), (0, 9, "male", "high", "feedbeef", "random", 1)]
    write(folder / "labels-studio.csv", *told, header=ASKED)
    kept = [(0, 5, "male", "high", made, "styles", 2, "studio"), (0, 7, "female", "low", made, "styles", 2, "studio")]
    write(folder / "labels.csv", *kept, header=(*ASKED, "source"))
    with store.locked():  # a pull that finds nothing leaves an empty store
        pass
    assert store.path.stat().st_size == 0
    assert (pulled(space).labels, pulled(space).others) == (1, 1)
    stays = {(0, 3, "male"): Label("low", "threshold", 0.25, "studio"), (0, 5, "male"): Label("high", "styles", 2, "studio")}
    assert gather(space) == {**stays, (0, 7, "female"): Label("low", "styles", 2, "studio")}
    store.append([answer(f"{made}/0/7/female", "low", "withdrawn"), answer(f"{made}/0/11/female", "high")])
    told_now = pulled(space)
    assert (told_now.labels, told_now.others) == (2, 1)
    assert gather(space) == {**stays, (0, 11, "female"): Label("high", "studio", 1, "studio")}
    store.append([answer(f"{made}/0/3/male", "median")])
    take_in_answers(space)
    assert gather(space)[0, 3, "male"].level == "median"


def test_the_last_label_is_taken_back(drafted: Path, settings: QualitySettings, copy_of: Callable[[Path], Path]) -> None:
    space = Workspace(copy_of(drafted))
    made, store = space.require("gan")["output"], store_of(space.root)
    store.append([answer(f"{made}/0/3/male", "low")])
    tune_judge(space, settings, [], progress=False)
    store.append([answer(f"{made}/0/3/male", "low", "withdrawn")])
    assert not labels_taken_in(space, [])
    tune_judge(space, settings, [], progress=False)
    assert labels_taken_in(space, [])
    assert table_of(space.folder("quality") / "labels.csv") == []


def test_weights_without_a_strategy_are_kept(
    drafted: Path, settings: QualitySettings, copy_of: Callable[[Path], Path], tmp_path: Path
) -> None:
    space = Workspace(copy_of(drafted))
    weighted = [(7, 0, "female", "low", 0.25), (7, 1, "male", "high", 1 / 3)]
    labels = write(tmp_path / "weighted.csv", *weighted, header=(*HEADER, "weight"))
    tune_judge(space, settings, [labels], progress=False)
    assert labels_taken_in(space, [labels])
    assert {key: one.weight for key, one in gather(space).items()} == {(7, 0, "female"): 0.25, (7, 1, "male"): 0.333333}


def test_plain_labels_have_plain_columns(drafted: Path, tmp_path: Path) -> None:
    schema = Workspace(drafted).table().schema
    for label, more in ((Label("low"), ()), (Label("low", weight=2), ("strategy", "weight", "source"))):
        write_labels(tmp_path / "labels.csv", schema["quality"], {"made": {(7, 0, "female"): label}})
        [row] = table_of(tmp_path / "labels.csv")
        assert tuple(row) == (*HEADER, "generator", *more)
        assert read_labels(tmp_path / "labels.csv", schema, "") == {"made": {(7, 0, "female"): label}}


def test_a_generator_keeps_its_faces_when_labels_change(
    drafted: Path, settings: QualitySettings, copy_of: Callable[[Path], Path], tmp_path: Path
) -> None:
    space = Workspace(copy_of(drafted))
    faces = draw_faces(draft_model(space), [(7, 5, "male"), (7, 0, "female")])
    assert outdated(space) is None
    relabel(space)
    note = outdated(space)
    assert note is not None
    assert f"sga status --workspace {space.root}" in note
    assert np.array_equal(faces, draw_faces(draft_model(space), [(7, 5, "male"), (7, 0, "female")]))
    assert draw_for_labels(space, 3, 8).count == 3
    labels = write(tmp_path / "a.csv", (7, 0, "female", "low"))
    tune_judge(space, settings, [labels], progress=False)
    assert labels_taken_in(space, [labels])
    assert space.state("quality") == "stale"  # an export wants the generator trained again
    record = space.record("quality")
    assert record is not None
    assert judge_version(space) == f"judge-{record['output'][:8]}"  # yet it is the judge of the generator that is there
    sfn = space.record("sfn")
    assert sfn is not None
    space.finish("sfn", "another", sfn["settings"])
    assert np.array_equal(faces, draw_faces(draft_model(space), [(7, 5, "male"), (7, 0, "female")]))
    with pytest.raises(WorkspaceError, match=r"stage gan.*run the stale stages again"):
        tune_judge(space, settings, [], progress=False)


def test_faces_of_a_stale_generator_are_not_drawn_for_the_first_time(drafted: Path, copy_of: Callable[[Path], Path]) -> None:
    """With other labels other styles belong to the keys."""
    space = Workspace(copy_of(drafted))
    shutil.rmtree(space.folder("quality") / "draft")
    relabel(space)
    with pytest.raises(WorkspaceError, match=r"stage gan.*run the stale stages again"):
        draft_model(space)


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
