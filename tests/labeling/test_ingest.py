"""Ingest on real files: folders and tars in, a workspace out; nothing is lost silently."""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from labeling.ingest import IngestSettings, ingest
from labeling.ingest.store import face_identity
from labeling.provenance import Source
from labeling.schema import Schema
from labeling.table import LabelTable
from labeling.workspace import Workspace, table_fingerprint
from sga.cli.main import main

Folder = Callable[..., Path]
TableFile = Callable[..., Path]
Picture = Callable[..., Image.Image]


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.reader(handle))[1:]


def tar_of(path: Path, pictures: dict[str, Image.Image | bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:
        for name, image in pictures.items():
            buffer = io.BytesIO()
            if isinstance(image, bytes):
                buffer.write(image)
            else:
                image.save(buffer, "PNG")
            member = tarfile.TarInfo(name)
            member.size = buffer.tell()
            buffer.seek(0)
            tar.addfile(member, buffer)
    return path


def value(table: LabelTable, face: str, name: str) -> str:
    code = int(table.codes(name)[table.rows([face])[0]])
    return "unknown" if code < 0 else table.schema[name].values[code]


def contents(workspace: Path) -> dict[str, bytes]:
    """Every file but the stage's record, which holds the time, and the table, which is compared by its cells."""
    files = {path.relative_to(workspace).as_posix(): path.read_bytes() for path in workspace.rglob("*") if path.is_file()}
    table = LabelTable.load(workspace / "labels.parquet")
    files["labels.parquet"] = table.frame.to_csv().encode()
    del files["faces/stage.json"]
    return files


def test_a_folder_becomes_a_workspace(tmp_path: Path, folder: Folder, table_file: TableFile, picture: Picture) -> None:
    place = folder(range(6))
    (place / "deep").mkdir()
    picture(6, 200).convert("RGBA").save(place / "deep" / "006.webp", lossless=True)
    labels = table_file(["file", "gender", "hair_color"], ["000.png", "male", "blue"], ["deep/006.webp", "", "red"])
    report = ingest([place], tmp_path / "w", labels=labels)
    table = Workspace(tmp_path / "w").table()
    assert (report.added, report.rejected, report.unlabelled) == (7, 0, 5)
    for face, file in zip(table.faces, table.frame["file"], strict=True):
        with Image.open(tmp_path / "w" / file) as image:
            pixels = np.asarray(image)
        assert pixels.shape == (96, 96, 3)
        assert face_identity(pixels) == face
        assert file == f"faces/{face[:2]}/{face}.png"
    first = face_identity(np.asarray(picture(0)))
    assert (value(table, first, "gender"), value(table, first, "hair_color")) == ("male", "blue")
    assert table.labelled("hair_color").sum() == 2
    assert set(table.sources("gender")) == {Source.MISSING, Source.ORIGINAL}
    assert [row[1] for row in rows(tmp_path / "w/faces/unmatched.csv")] == ["no row of labels"] * 5
    record = Workspace(tmp_path / "w").require("faces")
    assert record["output"] == table_fingerprint(table, completed=False)
    assert record["settings"]["radius"] == 52
    assert "unknown" in report.text()


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tar.xz"])
def test_a_tar_file_is_streamed(tmp_path: Path, table_file: TableFile, picture: Picture, suffix: str) -> None:
    pictures: dict[str, Image.Image | bytes] = {f"./faces/{seed}.png": picture(seed) for seed in range(4)}
    pictures["../../escape.png"] = picture(9)
    pictures["faces/notes.txt"] = b"no picture"
    archive = tar_of(tmp_path / f"all.{suffix}", pictures, "w:" + suffix[4:])
    labels = table_file(["file", "gender"], ["faces/2.png", "female"], ["all.tar/faces/none.png", "male"])
    before = set(tmp_path.parent.rglob("*.png"))
    report = ingest([archive], tmp_path / "w", labels=labels)
    assert (report.added, report.rejected, report.unmatched_rows) == (5, 1, 1)
    assert rows(tmp_path / "w/faces/rejected.csv")[0][0] == f"all.{suffix}/faces/notes.txt"
    table = Workspace(tmp_path / "w").table()
    assert value(table, face_identity(np.asarray(picture(2))), "gender") == "female"
    new = set(tmp_path.parent.rglob("*.png")) - before
    assert all((tmp_path / "w/faces") in path.parents for path in new)
    assert rows(tmp_path / "w/faces/unmatched.csv")[0] == ["all.tar/faces/none.png", "row 3: no such picture"]


def test_links_in_a_tar_and_a_later_member_of_the_same_name(tmp_path: Path, picture: Picture) -> None:
    archive = tar_of(tmp_path / "a.tar", {"x.png": picture(1), "y.png": picture(2)})
    with tarfile.open(archive, "a") as tar:
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        buffer = io.BytesIO()
        picture(3).save(buffer, "PNG")
        member = tarfile.TarInfo("x.png")
        member.size = buffer.tell()
        buffer.seek(0)
        tar.addfile(member, buffer)
    report = ingest([archive], tmp_path / "w")
    assert set(Workspace(tmp_path / "w").table().faces) == {face_identity(np.asarray(picture(seed))) for seed in (2, 3)}
    assert rows(tmp_path / "w/faces/rejected.csv") == [["a.tar/link.png", "a link or device in a tar, not a file"]]
    assert report.pictures == 3


def test_joined_tars_are_not_cut_silently(tmp_path: Path, picture: Picture) -> None:
    one, other = (tar_of(tmp_path / f"{seed}.tar", {f"{seed}.png": picture(seed)}) for seed in (1, 2))
    joined = tmp_path / "joined.tar"
    joined.write_bytes(one.read_bytes() + other.read_bytes())
    assert ingest([joined], tmp_path / "w").added == 1
    assert rows(tmp_path / "w/faces/rejected.csv") == [
        ["joined.tar", "data behind the end of the tar (several joined?), not read"]
    ]


def test_order_of_files_and_paths_does_not_matter(tmp_path: Path, picture: Picture, folder: Folder) -> None:
    pictures = {f"{seed}.png": picture(seed) for seed in range(12)}
    pictures["12.png"] = picture(3).resize((50, 50))
    first = tar_of(tmp_path / "a.tar", dict(pictures))
    second = folder(range(20, 25), "b")
    ingest([first, second], tmp_path / "w1")
    tar_of(tmp_path / "a.tar", dict(reversed(pictures.items())))
    ingest([second, first, second], tmp_path / "w2")
    assert contents(tmp_path / "w1") == contents(tmp_path / "w2")


def test_near_duplicates_share_a_split_also_when_they_come_later(tmp_path: Path, folder: Folder, picture: Picture) -> None:
    place = folder(range(40))
    ingest([place], tmp_path / "w")
    before = Workspace(tmp_path / "w").table().frame.set_index("face")
    assert set(before["split"]) == {"train", "validation", "test"}
    later = folder([], "later")
    for seed in range(40):
        picture(seed).save(later / f"{seed}.jpg", quality=40)
    report = ingest([later], tmp_path / "w")
    after = Workspace(tmp_path / "w").table().frame.set_index("face")
    assert (report.added, report.faces, report.groups, report.grouped) == (40, 80, 40, 80)
    assert (after.loc[before.index, ["split", "group"]] == before[["split", "group"]]).all(axis=None)
    assert (after.groupby("group")["split"].nunique() == 1).all()


def test_a_column_can_say_what_shares_a_split(tmp_path: Path, folder: Folder, table_file: TableFile, picture: Picture) -> None:
    """As pictures of one character: known ones keep their split, later ones follow them."""
    place = folder(range(40))
    lines = [[f"{seed:03}.png", f"c{seed // 8}" if seed < 32 else ""] for seed in range(40)]
    settings = IngestSettings(group="character")
    ingest([place], tmp_path / "w", settings, labels=table_file(["file", "character"], *lines))
    faces = [face_identity(np.asarray(picture(seed))) for seed in range(42)]
    groups = Workspace(tmp_path / "w").table().frame.set_index("face")["group"]
    assert [groups[faces[8 * c : 8 * c + 8]].nunique() for c in range(4)] == [1, 1, 1, 1]
    assert groups.nunique() == 4 + 8
    folder(range(40, 42))
    ingest(
        [place],
        tmp_path / "w",
        settings,
        labels=table_file(["file", "character"], *lines, ["040.png", "c2"], ["041.png", "c9"]),
    )
    table = Workspace(tmp_path / "w").table()
    later = table.frame.set_index("face")["group"]
    assert later[groups.index].equals(groups)
    assert later[faces[40]] == later[faces[16]]
    assert later[faces[41]] == faces[41]
    assert (table.frame.groupby("group")["split"].nunique() == 1).all()


def test_the_same_command_again_changes_nothing(
    tmp_path: Path, folder: Folder, table_file: TableFile, picture: Picture
) -> None:
    place = folder(range(5))
    picture(0).save(place / "copy.bmp")
    (place / "bad.png").write_bytes(b"nothing")
    labels = table_file(["file", "gender"], ["001.png", "male"], ["none.png", "female"], ["copy.bmp", "male"])
    first = ingest([place], tmp_path / "w", labels=labels)
    state = contents(tmp_path / "w")
    again = ingest([place], tmp_path / "w", labels=labels)
    assert contents(tmp_path / "w") == state
    assert (first.added, again.added, again.present, again.duplicates, again.rejected) == (5, 0, 5, 1, 1)


def test_everything_in_a_folder_is_accounted_for(
    tmp_path: Path, folder: Folder, table_file: TableFile, picture: Picture
) -> None:
    place = folder(range(2))
    buffer = io.BytesIO()
    picture(7).save(buffer, "JPEG")
    (place / "cut.jpg").write_bytes(buffer.getvalue()[:500])
    Image.new("RGB", (1, 1)).save(place / "dot.png")
    (place / ".hidden").write_bytes(b"x")
    (place / "linked").symlink_to(tmp_path)
    (place / "broken").symlink_to(tmp_path / "nowhere")
    (place / "again.png").symlink_to(place / "000.png")
    Path(f"{place}/b\udcff\n.txt").write_bytes(b"odd name")
    report = ingest([place], tmp_path / "w")
    assert report.added == 2
    assert [name for name, _ in rows(tmp_path / "w/faces/rejected.csv")] == sorted(
        f"pictures/{name}" for name in ("cut.jpg", "dot.png", ".hidden", "linked", "broken", "b\\xff\n.txt")
    )


def test_a_workspace_inside_the_folder_is_no_input(tmp_path: Path, folder: Folder) -> None:
    place = folder(range(3))
    first = ingest([place], place / "workspace")
    second = ingest([place], place / "workspace")
    assert (first.pictures, second.pictures, second.duplicates) == (3, 3, 0)


def test_folders_of_one_name_stay_apart(tmp_path: Path, folder: Folder, table_file: TableFile, picture: Picture) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, other = folder([1], "a/faces"), folder([], "b/faces")
    picture(2).save(other / "001.png")
    labels = table_file(["file", "gender"], ["a/faces/001.png", "female"], ["b/faces/001.png", "male"])
    ingest([one, other], tmp_path / "w", labels=labels)
    table = Workspace(tmp_path / "w").table()
    assert [value(table, face_identity(np.asarray(picture(seed))), "gender") for seed in (1, 2)] == ["female", "male"]


def test_several_processes_make_the_same_workspace(tmp_path: Path, picture: Picture) -> None:
    archive = tar_of(tmp_path / "a.tar", {f"{seed}.png": picture(seed, 24) for seed in range(300)} | {"bad.png": b"bad"})
    seen: list[tuple[int, int]] = []
    settings = IngestSettings(size=24)
    ingest([archive], tmp_path / "w2", settings.model_copy(update={"workers": 2}), progress=lambda *at: seen.append(at))
    ingest([archive], tmp_path / "w1", settings.model_copy(update={"workers": 1}))
    assert contents(tmp_path / "w1") == contents(tmp_path / "w2")
    assert seen[-1] == (301, 301)


def test_set_reaches_every_setting(tmp_path: Path, folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = {"test": 0.4, "validation": 0.0, "min_size": 64, "max_pixels": 9999, "max_aspect": 1.5, "fit": "pad", "size": 32}
    items = [word for name, value in wanted.items() for word in ("--set", f"{name}={value}")]
    arguments = ["ingest", str(folder(range(3))), "--size", "48", *items, "--workspace", str(tmp_path / "w")]
    for end in (["--dry-run"], []):
        with pytest.raises(SystemExit) as caught:
            main([*arguments, *end])
        assert caught.value.code == 0
        out = capsys.readouterr().out
        assert (tmp_path / "w").exists() != bool(end)
        if end:
            shown = yaml.safe_load(out)
            assert set(shown) == set(IngestSettings.model_fields)
            assert {name: shown[name] for name in wanted} == wanted
    settings = Workspace(tmp_path / "w").require("faces")["settings"]
    assert {name: settings[name] for name in wanted} == wanted
    with pytest.raises(SystemExit) as caught:
        main([*arguments, "--set", "min_sise=3"])
    assert caught.value.code == 2
    assert "did you mean min_size?" in capsys.readouterr().err


def test_a_lost_index_is_made_again(tmp_path: Path, folder: Folder) -> None:
    place = folder(range(5))
    ingest([place], tmp_path / "w")
    state = contents(tmp_path / "w")
    (tmp_path / "w/faces/index.csv").write_text("face,file,hash\nbroken,row\n")
    ingest([place], tmp_path / "w")
    assert contents(tmp_path / "w") == state


def test_real_faces(tmp_path: Path, real_data: Path) -> None:
    """The first 600 members of a real shard, with their labels."""
    names = []
    with tarfile.open(real_data / "faces-0.tar") as source, tarfile.open(tmp_path / "some.tar", "w") as target:
        for member in source:
            target.addfile(member, source.extractfile(member))
            names.append(member.name)
            if len(names) == 600:
                break
    lines = (real_data / "faces.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "faces.csv").write_text(
        "\n".join([lines[0], *(x for x in lines if x.split(",")[0] in names)]), encoding="utf-8"
    )
    settings = IngestSettings(human=("gender",), ignore=("remark",), drop=("remark=no_face",), workers=1)
    report = ingest([tmp_path / "some.tar"], tmp_path / "w", settings, labels=tmp_path / "faces.csv")
    table = Workspace(tmp_path / "w").table()
    assert table.schema == Schema.load("faces")
    assert report.faces + report.rejected + report.duplicates == 600
    assert report.faces > 590
    assert report.histograms[1].counts["unknown"] < 550
    assert set(np.unique(table.sources("gender"))) <= {Source.MISSING, Source.HUMAN}
