"""Tags in an ingest: sidecars and files to original labels, who overrules whom, and what is reported."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from configs.errors import ConfigError, InputError
from labeling.detection import DetectionSettings
from labeling.ingest import IngestSettings, ingest
from labeling.ingest.labels import LabelRow
from labeling.ingest.merge import Found, rows_of_faces
from labeling.ingest.store import face_identity
from labeling.provenance import Source
from labeling.samples import SampleSettings, write_samples
from labeling.samples.illustrations import IllustrationSettings, write_illustrations
from labeling.schema import Schema
from labeling.tags.meaning import Meaning, TagMap
from labeling.workspace import Workspace
from sga.cli.main import main

Folder = Callable[..., Path]
TableFile = Callable[..., Path]
Picture = Callable[..., Image.Image]

SIDECAR = IngestSettings(tags=("sidecar",), schema_name="moe34")


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.reader(handle))[1:]


@pytest.fixture
def labels_of(tmp_path: Path, picture: Picture) -> Callable[[int], dict[str, str]]:
    """`labels_of(seed)`: the known labels of a picture's face in the workspace `w`."""

    def known(seed: int) -> dict[str, str]:
        table = Workspace(tmp_path / "w").table()
        row = table.rows([face_identity(np.asarray(picture(seed)))])[0]
        codes = {attribute: int(table.codes(attribute.name)[row]) for attribute in table.schema}
        return {attribute.name: attribute.values[code] for attribute, code in codes.items() if code >= 0}

    return known


Known = Callable[[int], dict[str, str]]


def test_sidecars_in_a_folder(tmp_path: Path, folder: Folder, labels_of: Known, picture: Picture) -> None:
    place = folder(range(5))
    (place / "000.txt").write_text("1girl, blonde_hair, smile, solo")
    (place / "001.png.txt").write_text("1boy\nblack hair")
    (place / "002.json").write_text(json.dumps({"general": [["red hair", 0.8], ["smile", 0.1]]}))
    (place / "003.TXT").write_text("blue_hair 1girl")
    (place / "deep").mkdir()
    picture(5).save(place / "deep" / "000.png")  # not the owner of the sidecar above it
    (place / "readme.txt").write_text("what this is")
    report = ingest([place], tmp_path / "w", SIDECAR)
    assert [labels_of(seed) for seed in range(6)] == [
        {"gender": "female", "hair_color": "blonde", "smile": "yes"},
        {"gender": "male", "hair_color": "black"},
        {"hair_color": "red", "smile": "no"},
        {"gender": "female", "hair_color": "blue"},
        {},
        {},
    ]
    assert (report.added, report.rejected, report.tagged, report.tag_conflicts) == (6, 0, 9, 0)
    assert (report.unknown_tags, report.commonest_unknown) == (1, (("solo", 1),))
    table = Workspace(tmp_path / "w").table()
    assert table.sources("hair_color").max() == Source.ORIGINAL
    row = table.rows([face_identity(np.asarray(picture(2)))])
    assert table.confidence("hair_color")[row] == pytest.approx(0.8)
    assert table.confidence("smile")[row] == pytest.approx(0.9)
    assert rows(tmp_path / "w/faces/unmatched.csv") == [
        ["pictures/readme.txt", "no picture of that name beside it"],
        ["pictures/004.png", "no row of labels"],
        ["pictures/deep/000.png", "no row of labels"],
    ]
    assert ["solo", "1", "(unknown)"] in rows(tmp_path / "w/faces/tags.csv")
    assert ["1girl", "2", "gender=female"] in rows(tmp_path / "w/faces/tags.csv")
    text = report.text()
    assert "9 labels follow from tags" in text
    assert "1 unknown tags, passed over: solo (1)" in text


def test_without_the_option_they_are_pictures_that_cannot_be_read(tmp_path: Path, folder: Folder) -> None:
    place = folder(range(2))
    (place / "000.txt").write_text("1girl")
    report = ingest([place], tmp_path / "w", IngestSettings(schema_name="moe34"))
    assert (report.added, report.rejected, report.tagged) == (2, 1, 0)
    assert not (tmp_path / "w/faces/tags.csv").exists()
    assert [name for name, _ in rows(tmp_path / "w/faces/rejected.csv")] == ["pictures/000.txt"]
    report = ingest([place], tmp_path / "w", SIDECAR)
    assert (report.present, report.rejected, report.tagged) == (2, 0, 1)
    assert rows(tmp_path / "w/faces/rejected.csv") == []


def test_sidecars_in_a_tar_and_beside_a_single_picture(tmp_path: Path, picture: Picture, labels_of: Known) -> None:
    with tarfile.open(tmp_path / "faces.tar.gz", "w:gz") as tar:
        for name, data in (("a/0.txt", b"1boy"), ("a/0.png", picture(0)), ("a/1.png", picture(1)), ("b/1.txt", b"1girl")):
            content = io.BytesIO(data if isinstance(data, bytes) else b"")
            if not isinstance(data, bytes):
                data.save(content, "PNG")
            member = tarfile.TarInfo(name)
            member.size = len(content.getvalue())
            tar.addfile(member, io.BytesIO(content.getvalue()))
    picture(2).save(tmp_path / "single.png")
    (tmp_path / "single.txt").write_text("pink hair, smile")
    report = ingest([tmp_path / "faces.tar.gz", tmp_path / "single.png"], tmp_path / "w", SIDECAR)
    assert [labels_of(seed) for seed in range(3)] == [{"gender": "male"}, {}, {"hair_color": "pink", "smile": "yes"}]
    assert report.rejected == 0
    assert ["faces.tar.gz/b/1.txt", "no picture of that name beside it"] in rows(tmp_path / "w/faces/unmatched.csv")


@pytest.mark.parametrize("pictures", [("p.bmp", "p.png"), ("p.tif", "p.webp")])
def test_pictures_named_singly_share_a_sidecar(
    tmp_path: Path, picture: Picture, labels_of: Known, pictures: tuple[str, str]
) -> None:
    for seed, name in enumerate(pictures):
        picture(seed).save(tmp_path / name, lossless=True)
    (tmp_path / "p.txt").write_text("smile")
    (tmp_path / "p.json").write_text("{")
    (tmp_path / "q.txt").write_text("smile")
    named = [tmp_path / name for name in (*pictures, "p.txt", "p.json", "q.txt")]
    ingest(named, tmp_path / "w", SIDECAR)
    assert labels_of(0) == labels_of(1) == {"smile": "yes"}
    assert [file for file, _ in rows(tmp_path / "w/faces/unmatched.csv")] == ["p.json", "q.txt"]


def test_a_sidecar_of_one_of_two_pictures_of_a_name(tmp_path: Path, picture: Picture, labels_of: Known) -> None:
    for seed, name in enumerate(("x", "y")):
        (tmp_path / name).mkdir()
        picture(seed).save(tmp_path / name / "p.webp", lossless=True)
    (tmp_path / "y/p.txt").write_text("smile")
    ingest([tmp_path / name for name in ("x/p.webp", "y/p.webp", "y/p.txt")], tmp_path / "w", SIDECAR)
    assert (labels_of(0), labels_of(1)) == ({}, {"smile": "yes"})
    assert [file for file, _ in rows(tmp_path / "w/faces/unmatched.csv")] == ["x/p.webp"]


def test_sidecars_that_cannot_be_read_are_named(tmp_path: Path, folder: Folder, labels_of: Known) -> None:
    place = folder(range(8))
    (place / "000.txt").write_bytes(b"\xff\xfe\x00smile")
    (place / "001.json").write_text('{"tags": ')
    (place / "002.txt").write_text("a, " * 600_000)
    (place / "003.json").write_text('{"width": 900}')
    (place / "004.txt").write_text("smile")
    (place / "005.json").write_text('[["smile", null]]')
    (place / "006.json").write_text('{"smile": 1' + "0" * 400 + "}")
    (place / "007.json").write_text('["smile", "half a \\ud800 character"]')
    ingest([place], tmp_path / "w", SIDECAR)
    why = dict(rows(tmp_path / "w/faces/unmatched.csv"))
    assert "not text" in why["pictures/000.txt"]
    assert "no list of tags" in why["pictures/001.json"]
    assert "over 1 MiB" in why["pictures/002.txt"]
    assert "no list of tags" in why["pictures/003.json"]
    assert "None as the probability of smile" in why["pictures/005.json"]
    assert "as the probability of smile" in why["pictures/006.json"]
    assert labels_of(4) == labels_of(7) == {"smile": "yes"}
    assert labels_of(5) == labels_of(6) == {}


def test_contradictions_are_reported_and_left_unknown(
    tmp_path: Path, folder: Folder, table_file: TableFile, labels_of: Known, picture: Picture
) -> None:
    place = folder(range(3))
    tags = table_file(
        ["file", "tags"],
        ["000.png", "1girl, blonde hair, brown hair"],
        ["001.png", "1girl 1boy red_hair"],
        ["002.png", "smile"],
        name="tags.csv",
    )
    settings = IngestSettings(tags=(str(tags),), schema_name="moe34")
    report = ingest([place], tmp_path / "w", settings)
    assert [labels_of(seed) for seed in range(3)] == [{"gender": "female"}, {"hair_color": "red"}, {"smile": "yes"}]
    faces = [face_identity(np.asarray(picture(seed))) for seed in range(2)]
    conflicts = [
        ["pictures/000.png", faces[0], "hair_color", "unknown", "blonde and brown"],
        ["pictures/001.png", faces[1], "gender", "unknown", "female and male"],
    ]
    assert sorted(rows(tmp_path / "w/faces/conflicts.csv")) == conflicts
    assert (report.conflicts, report.tag_conflicts, report.tagged) == (2, 2, 3)
    again = ingest([place], tmp_path / "w", settings)
    assert (again.conflicts, again.tagged) == (2, 3)
    assert sorted(rows(tmp_path / "w/faces/conflicts.csv")) == conflicts


def test_labels_outweigh_tags_and_people_outweigh_all(
    tmp_path: Path, folder: Folder, table_file: TableFile, labels_of: Known
) -> None:
    place = folder(range(3))
    labels = table_file(["file", "gender", "hair_color"], ["000.png", "male", "red"], ["001.png", "female", ""])
    tags = table_file(
        ["file", "tags"],
        ["000.png", "1girl, blue hair, smile"],
        ["001.png", "1boy, blue hair"],
        ["002.png", "1boy"],
        ["gone.png", "1boy"],
        name="tags.csv",
    )
    settings = IngestSettings(tags=(str(tags),), schema_name="moe34", human=("gender",))
    for _ in range(2):  # the same again changes nothing
        report = ingest([place], tmp_path / "w", settings, labels=labels)
        assert labels_of(0) == {"gender": "male", "hair_color": "red", "smile": "yes"}
        assert labels_of(1) == {"gender": "female", "hair_color": "blue"}
        assert labels_of(2) == {"gender": "male"}
        table = Workspace(tmp_path / "w").table()
        assert (table.sources("gender") == Source.HUMAN).sum() == 2  # a tag is never a person's word
        assert report.tag_conflicts == report.conflicts == 3
        assert report.unmatched_rows == 1
    ingest([place], tmp_path / "w", IngestSettings(tags=(str(tags),), schema_name="moe34", size=96), labels=())
    assert labels_of(0) == {"gender": "male", "hair_color": "red", "smile": "yes"}  # nor do they alone
    assert labels_of(1) == {"gender": "female", "hair_color": "blue"}


@pytest.mark.parametrize(
    "order", [("labels", "tags"), ("tags", "labels"), ("both",), ("tags", "both"), ("tags", "labels", "tags")]
)
def test_the_order_of_ingests_does_not_matter(
    tmp_path: Path, folder: Folder, table_file: TableFile, labels_of: Known, picture: Picture, order: tuple[str, ...]
) -> None:
    place = folder(range(1))
    (place / "000.txt").write_text("pink_hair, smile")
    labels = table_file(["file", "hair_color"], ["000.png", "black"])
    for one in order:
        settings = IngestSettings(schema_name="moe34") if one == "labels" else SIDECAR
        report = ingest([place / "000.png"], tmp_path / "w", settings, labels=() if one == "tags" else labels)
    assert labels_of(0) == {"hair_color": "black", "smile": "yes"}
    face = face_identity(np.asarray(picture(0)))
    assert rows(tmp_path / "w/faces/conflicts.csv") == [["000.png", face, "hair_color", "black", "pink"]]
    assert report.conflicts == 1


def test_corrected_tags_replace_what_tags_said(tmp_path: Path, folder: Folder, labels_of: Known) -> None:
    place = folder(range(1))
    for written, hair, smile in (
        ("pink_hair, smile", "pink", "yes"),
        ("black_hair, smile", "black", "yes"),
        ('{"blue hair": 0.6, "smile": 0.1}', "blue", "no"),
        ("red_hair, smile", "red", "yes"),
    ):
        (place / "000.txt").unlink(missing_ok=True)
        (place / f"000.{'json' if written.startswith('{') else 'txt'}").write_text(written)
        report = ingest([place], tmp_path / "w", SIDECAR)
        assert (labels_of(0), report.conflicts) == ({"hair_color": hair, "smile": smile}, 0)
        (place / "000.json").unlink(missing_ok=True)


def test_what_is_probable_never_replaces_what_is_certain(
    tmp_path: Path, folder: Folder, table_file: TableFile, labels_of: Known
) -> None:
    place = folder(range(1))
    sure = table_file(["file", "hair_color"], ["000.png", "red"])
    ingest([place], tmp_path / "w", IngestSettings(schema_name="moe34"), labels=sure)
    wide = table_file(["file", "blue hair", "smile"], ["000.png", "0.9", "0.9"], name="wide.csv")
    report = ingest([], tmp_path / "w", IngestSettings(tags=(str(wide),), schema_name="moe34"))
    assert labels_of(0) == {"hair_color": "red", "smile": "yes"}
    assert report.tag_conflicts == 1
    changed = table_file(["file", "blue hair", "smile"], ["000.png", "0.9", "0.1"], name="wide.csv")
    ingest([], tmp_path / "w", IngestSettings(tags=(str(changed),), schema_name="moe34"))
    assert labels_of(0) == {"hair_color": "red", "smile": "no"}  # another estimate replaces an estimate
    ingest([], tmp_path / "w", IngestSettings(schema_name="moe34"), labels=table_file(["file", "smile"], ["000.png", "yes"]))
    assert labels_of(0)["smile"] == "yes"
    table = Workspace(tmp_path / "w").table()
    assert table.confidence("smile").tolist() == [1.0]


def test_several_sources_of_tags_are_put_together(
    tmp_path: Path, folder: Folder, table_file: TableFile, labels_of: Known
) -> None:
    place = folder(range(1))
    (place / "000.txt").write_text("1girl, blonde hair")
    wide = table_file(["file", "brown hair", "smile"], ["000.png", "0.9", "0.7"], name="wide.csv")
    ingest([place], tmp_path / "w", IngestSettings(tags=("sidecar", str(wide)), schema_name="moe34"))
    assert labels_of(0) == {"gender": "female", "hair_color": "blonde", "smile": "yes"}


def test_wrong_tags_are_refused_before_any_picture_is_read(
    tmp_path: Path, folder: Folder, table_file: TableFile, capsys: pytest.CaptureFixture[str]
) -> None:
    place, workspace = folder(range(1)), tmp_path / "w"
    other = table_file(["file", "tags"], ["elsewhere.png", "smile"], name="tags.csv")
    with pytest.raises(InputError, match="no row fits"):
        ingest([place], workspace, IngestSettings(tags=(str(other),)))
    with pytest.raises(InputError, match="word sidecar"):
        ingest([place], workspace, IngestSettings(tags=("sidecars",)))
    with pytest.raises(ConfigError, match="Did you mean booru"):
        ingest([place], workspace, IngestSettings(tags=("sidecar",), tag_map="boro"))
    assert not (workspace / "labels.parquet").exists()
    ingest([place], workspace)
    with pytest.raises(InputError, match="PATHs with --tags sidecar"):
        ingest([], workspace, IngestSettings(tags=("sidecar",)), labels=table_file(["file", "gender"], ["000.png", "male"]))
    with pytest.raises(SystemExit) as ended:
        main(["ingest", str(place), "--workspace", str(workspace), "--tagger", "model.onnx"])
    assert ended.value.code == 2
    assert "--tag-list" in capsys.readouterr().err


def test_a_schema_of_ones_own_needs_no_tag_map(tmp_path: Path, folder: Folder) -> None:
    schema = tmp_path / "own.yaml"
    schema.write_text("name: own\nattributes: [{name: tail, kind: independent, role: style}]\n")
    place = folder(range(1))
    assert ingest([place], tmp_path / "w", IngestSettings(schema_name=str(schema))).added == 1
    (place / "000.txt").write_text("fluffy tail, 1girl")
    with pytest.raises(ConfigError, match="tag map of schema own"):
        ingest([place], tmp_path / "w", IngestSettings(schema_name=str(schema), tags=("sidecar",)))
    (tmp_path / "map.yaml").write_text("meaning: {tail: {yes: [fluffy tail]}}")
    settings = IngestSettings(schema_name=str(schema), tags=("sidecar",), tag_map=str(tmp_path / "map.yaml"))
    assert ingest([place], tmp_path / "w", settings).tagged == 1


# -- which face of a picture -----------------------------------------------------------------------------------------------


def found_in(**pictures: list[str]) -> Found:
    """Faces f0, f1 … by picture."""
    found = Found()
    for picture, names in pictures.items():
        for name in names:
            found.copies[f"f{len(found.copies)}"] = [name]
            found.pictures[name] = picture
    return found


def test_rows_go_to_a_face_only_where_it_is_clear_which() -> None:
    found = found_in(one=["one#0"], two=["two#0", "two#1"])
    given, loose = rows_of_faces(
        {
            "one": LabelRow("one.jpg", 2, {"smile": 1}),
            "two": LabelRow("two.jpg", 3, {"smile": 0}, group="ann"),
            "two#1": LabelRow("two.jpg#1", 4, {"hat": 1}),
            "two#2": LabelRow("two.jpg#2", 5, {"hat": 0}),
            "none": LabelRow("none.jpg", 6, {"hat": 0}),
        },
        found,
    )
    assert {name: row.codes for name, row in given.items()} == {"one#0": {"smile": 1}, "two#0": {}, "two#1": {"hat": 1}}
    assert given["two#0"].group == given["two#1"].group == "ann"
    assert loose == [
        ("two.jpg", "2 faces: which one is meant? Name it two.jpg#0, #1 … in a CSV"),
        ("two.jpg#2", "no such face: its picture has 2"),
    ]


def test_a_row_of_a_face_outweighs_that_of_its_picture() -> None:
    whole = LabelRow("a.jpg", 2, {"smile": 1, "hat": 1, "blush": 1}, confidence={"hat": 0.4, "smile": 0.5})
    own = LabelRow("a.jpg#0", 3, {"smile": 0}, clashes={"blush": ("no", "yes")})
    for given in ({"a": whole, "a#0": own}, {"a#0": own, "a": whole}):
        row = rows_of_faces(given, found_in(a=["a#0"]))[0]["a#0"]
        assert (row.codes, row.confidence) == ({"smile": 0, "hat": 1}, {"hat": 0.4})


def test_cropped_faces_keep_their_rows() -> None:
    rows = {"a": LabelRow("a", 2, {"smile": 1}), "gone": LabelRow("gone", 3)}
    assert rows_of_faces(rows, Found(copies={"f0": ["a", "copy-of-a"]})) == ({"a": rows["a"]}, [])


@pytest.mark.real
def test_sidecars_of_illustrations(tmp_path: Path, real_data: Path) -> None:
    """A real cascade finds the faces; the tags of a picture with one go to it, and say what is true of it."""
    settings = IllustrationSettings(count=14, size=600, seed=3)
    drawn = write_illustrations(settings, tmp_path / "drawn")
    pictures = drawn.out / "illustrations"
    with (drawn.out / "boxes.csv").open(encoding="utf-8") as handle:
        truth: dict[str, list[dict[str, str]]] = {}
        for row in csv.DictReader(handle):
            truth.setdefault(row["file"], []).append(row)
    several = next(file for file, faces in truth.items() if len(faces) > 1)
    (drawn.out / several).with_suffix(".txt").write_text("2girls, blonde_hair")
    cascade = DetectionSettings(cascade=str(real_data / "lbpcascade_animeface.xml"))
    ingest([pictures], tmp_path / "w", SIDECAR.model_copy(update={"detection": cascade, "workers": 1}))
    table = Workspace(tmp_path / "w").table()
    names = {face: name for face, name, _ in rows(tmp_path / "w/faces/index.csv")}
    found = Counter(name.rpartition("#")[0] for name in names.values())
    tagged = 0
    for row, face in enumerate(table.faces):
        picture = names[face].rpartition("#")[0]
        alone = found[picture] == len(truth.get(picture, [])) == 1
        for name in ("gender", "hair_color", "eye_color", "smile") if alone else ():
            code, true = int(table.codes(name)[row]), truth[picture][0][name]
            assert true == (table.schema[name].values[code] if code >= 0 else "no")
            tagged += code >= 0
        if found[picture] > 1:
            assert not any(table.labelled(name)[row] for name in table.schema.names)
    assert tagged > 12
    assert found[several] > 1
    assert "which one is meant" in dict(rows(tmp_path / "w/faces/unmatched.csv"))[several]


# -- there and back --------------------------------------------------------------------------------------------------------


def test_sample_faces_with_sidecars_from_their_truth(tmp_path: Path) -> None:
    drawn = write_samples(SampleSettings(count=48, size=64, seed=5), tmp_path / "drawn")
    with (drawn.out / "truth.csv").open(encoding="utf-8") as handle:
        truth = {row.pop("file"): row for row in csv.DictReader(handle)}
    schema = Schema.load("moe34")
    own = Meaning.of(TagMap.load("booru"), schema).own
    for file, values in truth.items():
        tags = [
            own[name, schema[name].code(value)] for name, value in values.items() if (name, schema[name].code(value)) in own
        ]
        tags = [tag for tag in tags if tag not in ("closed mouth", "no headwear", "no eyewear")]  # what boorus seldom say
        (drawn.out / file).with_suffix(".txt").write_text(", ".join(tag.replace(" ", "_") for tag in tags))
    command = ["ingest", str(drawn.faces), "--schema", "moe34", "--size", "64", "--workers", "1", "--tags", "sidecar"]
    for name, options in (("there", []), ("complete", ["--tags-complete"])):
        with pytest.raises(SystemExit) as ended:
            main([*command, "--workspace", str(tmp_path / name), *options])
        assert ended.value.code == 0
        table = Workspace(tmp_path / name).table()
        files = {face: f"faces/{Path(file).name}" for face, file, _ in rows(tmp_path / name / "faces/index.csv")}
        for attribute in schema:
            for row, code in enumerate(table.codes(attribute.name)):
                expected = truth[files[table.faces[row]]][attribute.name]
                said = "unknown" if code < 0 else attribute.values[code]
                silent = attribute.role == "quality" or (expected == "no" and name == "there")
                assert said == ("unknown" if silent else expected), (attribute.name, files[table.faces[row]])
