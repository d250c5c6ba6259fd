"""What a user can do wrong: one sentence, exit code 2, and a workspace as it was before."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from configs.errors import ConfigError, InputError, UserError, WorkspaceError
from labeling.ingest import IngestSettings, ingest
from labeling.workspace import Workspace
from sga.cli.main import main

Folder = Callable[..., Path]
TableFile = Callable[..., Path]
Picture = Callable[..., Image.Image]
ROOT = Path(__file__).parents[2]


def fails(kind: type[UserError], *arguments: object, said: str, **options: object) -> None:
    with pytest.raises(kind) as caught:
        ingest(*arguments, **options)  # type: ignore[arg-type]
    text = str(caught.value)
    assert said in text
    assert "\n" not in text
    assert text.endswith((".", "?")) or "Type" in text


def test_paths_that_hold_nothing(tmp_path: Path, picture: Picture) -> None:
    space = tmp_path / "w"
    (tmp_path / "empty").mkdir()
    fails(InputError, [tmp_path / "nowhere"], space, said="nowhere, found nothing")
    fails(InputError, [tmp_path / "empty"], space, said="found no file")
    fails(InputError, [], space, said="found no file")
    (tmp_path / "text.png").write_text("I am text")
    fails(InputError, [tmp_path / "text.png"], space, said="text.png: not an image")
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    fails(InputError, [tmp_path / "dot.png"], space, said="1×1 px, under 16 px")
    assert not space.exists()


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_damaged_tar_files(tmp_path: Path, picture: Picture, suffix: str) -> None:
    archive = tmp_path / f"faces.{suffix}"
    with tarfile.open(archive, "w:" + suffix[4:]) as tar:
        for seed in range(12):
            buffer = io.BytesIO()
            picture(seed).save(buffer, "PNG")
            member = tarfile.TarInfo(f"{seed}.png")
            member.size = buffer.tell()
            buffer.seek(0)
            tar.addfile(member, buffer)
        header = tar.getmembers()[5].offset
    whole = archive.read_bytes()
    spoilt = (
        whole[:header] + b"x" * 512 + whole[header + 512 :] if suffix == "tar" else whole[:2000] + bytes(3000) + whole[5000:]
    )
    for data in (
        whole[: len(whole) // 2],
        whole[:300],
        b"",
        b"x" * 999,
        spoilt,
    ):
        archive.write_bytes(data)
        fails(InputError, [archive], tmp_path / "w", said="found a damaged one")
    assert not (tmp_path / "w").exists()


def test_labels_that_do_not_fit(tmp_path: Path, folder: Folder, table_file: TableFile) -> None:
    place, space = folder(range(2)), tmp_path / "w"
    header = ["file", "gender"]
    cases = {
        "column named file": table_file(["path", "gender"], ["000.png", "male"], name="a.csv"),
        "found 'remark'. Type --ignore remark": table_file(["file", "remark"], ["000.png", "x"], name="b.csv"),
        "rename it to hair_color": table_file(["file", "haircolor"], ["000.png", "blue"], name="c.csv"),
        "Row 3 of": table_file(header, ["000.png", "male"], ["001.png", "femal"], name="d.csv"),
        "Did you mean female?": table_file(header, ["001.png", "femal"], name="e.csv"),
        "male in row 2 and female in row 4": table_file(
            header, ["000.png", "male"], ["001.png", ""], ["./000.png", "female"], name="f.csv"
        ),
        "Expected 2 cells in row 2": table_file(header, ["000.png"], name="g.csv"),
        "under file in row 2": table_file(header, ["", "male"], name="h.csv"),
        "gender more than once": table_file(["file", "gender", "gender"], name="i.csv"),
        "no row fits": table_file(header, ["elsewhere/7.png", "male"], name="j.csv"),
        "an empty file": table_file([], name="k.csv"),
        "No such file": tmp_path / "none.csv",
    }
    (tmp_path / "latin.csv").write_bytes("file,gender\n000.png,männlich\n".encode("latin-1"))
    cases["Save it as CSV (UTF-8)"] = tmp_path / "latin.csv"
    for said, labels in cases.items():
        fails(InputError, [place], space, labels=labels, said=said)
    assert not space.exists()


def test_options_that_name_no_column(tmp_path: Path, folder: Folder, table_file: TableFile) -> None:
    place, labels = folder(range(2)), table_file(["file", "gender", "note"], ["000.png", "male", ""])
    for settings, said in (
        (IngestSettings(human=("hair_color",), ignore=("note",)), "hair_color that --human names"),
        (IngestSettings(human=("note",), ignore=("note",)), "Expected --human to name attributes"),
        (IngestSettings(drop=("remark=x",)), "remark that --drop names"),
        (IngestSettings(group="character"), "character that --group names"),
    ):
        fails(InputError, [place], tmp_path / "w", settings, labels=labels, said=said)
    fails(InputError, [place], tmp_path / "w", IngestSettings(human=("gender",)), said="Type --labels FILE")
    fails(ConfigError, [place], tmp_path / "w", IngestSettings(schema_name="face"), said="Did you mean faces?")


def test_one_row_for_two_pictures(tmp_path: Path, folder: Folder, table_file: TableFile) -> None:
    (tmp_path / "x").mkdir()
    places = [folder([1]), folder([1], "x/other")]
    fails(
        InputError,
        places,
        tmp_path / "w",
        labels=table_file(["file", "gender"], ["001.png", "male"]),
        said="Write the longer names",
    )


def test_a_workspace_of_another_kind(tmp_path: Path, folder: Folder) -> None:
    place, space = folder(range(2)), tmp_path / "w"
    ingest([place], space)
    before = (space / "labels.parquet").read_bytes()
    fails(WorkspaceError, [place], space, IngestSettings(schema_name="moe34"), said="type --schema faces")
    fails(WorkspaceError, [place], space, IngestSettings(size=64), said="type --size 96")
    (tmp_path / "file").write_text("x")
    fails(WorkspaceError, [place], tmp_path / "file", said="found a file")
    fails(InputError, [place], tmp_path / "file" / "below", said="Expected to write")
    (space / "labels.parquet").write_bytes(before[:100])
    fails(WorkspaceError, [place], space, said="damaged")
    (space / "labels.parquet").write_bytes(before)
    (space / Workspace(space).table().frame["file"][0]).unlink()
    fails(WorkspaceError, [place], space, said="found none that opens")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a limit on file sizes, which Windows lacks")
def test_a_disk_that_refuses_to_take_more(tmp_path: Path, folder: Folder) -> None:
    """The kernel refuses bytes beyond a limit: real failing writes, in PNGs first, in the table once PNGs fit."""
    place, space = folder(range(3)), tmp_path / "w"
    ingest([folder([7], "first")], space)
    before = (space / "labels.parquet").read_bytes()
    script = (
        "import resource, signal, sys; from sga.cli.main import main\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))\n"
        "main(['ingest', sys.argv[2], '--workspace', sys.argv[3]])"
    )
    for limit in (1_000, 6_000):
        done = subprocess.run(
            [sys.executable, "-c", script, str(limit), str(place), str(space)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith("sga: Expected to write")
        assert "Traceback" not in done.stderr
        assert (space / "labels.parquet").read_bytes() == before
        assert not list(space.rglob("*.tmp"))


def test_a_full_disk_is_named(tmp_path: Path, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    place, space = folder(range(2)), tmp_path / "w"

    def refuse(source: object, target: object, **_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)  # what Path.replace and atomic_path end in
    fails(InputError, [place], space, said="found a full disk")
    assert not [path for path in space.rglob("*") if path.is_file()]
    monkeypatch.undo()
    monkeypatch.setattr("shutil.disk_usage", lambda path: os.terminal_size((0, 0)) and type("Usage", (), {"free": 10})())
    fails(InputError, [place], space, said="MiB free")


def test_the_command_exits_with_2(tmp_path: Path, folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in (
        ([str(tmp_path / "nowhere")], "found nothing"),
        ([str(folder([1])), "--size", "7"], "size"),
        ([str(folder([1])), "--fit", "squash"], "fit"),
        ([str(folder([1])), "--drop", "remark"], "COLUMN=VALUE"),
    ):
        with pytest.raises(SystemExit) as caught:
            main(["ingest", *arguments, "--workspace", str(tmp_path / "w")])
        assert caught.value.code == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.startswith("sga: ")
    assert not (tmp_path / "w").exists()


def test_the_command(tmp_path: Path, folder: Folder, table_file: TableFile, capsys: pytest.CaptureFixture[str]) -> None:
    labels = table_file(["file", "gender", "note"], ["000.png", "male", "x"])
    arguments = ["ingest", str(folder(range(3))), "--labels", str(labels), "--human", "gender", "--ignore", "note"]
    with pytest.raises(SystemExit) as caught:
        main([*arguments, "--size", "64", "--workspace", str(tmp_path / "w")])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert "3 faces added" in out
    assert "gender (2 missing, 1 human)" in out
    assert "Next: sga complete --workspace" in out
    with Image.open(tmp_path / "w" / Workspace(tmp_path / "w").table().frame["file"][0]) as image:
        assert image.size == (64, 64)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_and_run_again_gives_the_same_workspace(tmp_path: Path, picture: Picture) -> None:
    place = tmp_path / "pictures"
    place.mkdir()
    for seed in range(300):
        picture(seed, 48).save(place / f"{seed}.bmp")
    script = (
        "import os, signal, sys; from labeling.ingest import IngestSettings, ingest\n"
        "def end(done, total): os.kill(os.getpid(), signal.SIGKILL)\n"
        "settings = IngestSettings(size=48, workers=2)\n"
        "ingest([sys.argv[1]], sys.argv[2], settings, **({'progress': end} if sys.argv[3:] else {}))"
    )
    command = [sys.executable, "-c", script, str(place), str(tmp_path / "killed")]
    process = subprocess.Popen([*command, "kill"], cwd=ROOT, start_new_session=True)
    assert process.wait(timeout=300) == -signal.SIGKILL
    assert list((tmp_path / "killed").glob("faces/*/*.png"))
    assert not (tmp_path / "killed/labels.parquet").exists()
    assert Workspace(tmp_path / "killed").state("faces") == "started"
    assert _ends(process.pid), "the decoding processes outlive the command"
    (tmp_path / "killed/faces/00").mkdir(exist_ok=True)
    (tmp_path / "killed/faces/00/.half.1.tmp").write_bytes(b"half")

    subprocess.run(command, cwd=ROOT, check=True)
    settings = IngestSettings(size=48, workers=1)
    ingest([place], tmp_path / "whole", settings)
    for name in ("killed", "whole"):
        assert not list((tmp_path / name).rglob("*.tmp"))
    killed, whole = (Workspace(tmp_path / name) for name in ("killed", "whole"))
    assert killed.table().frame.equals(whole.table().frame)
    assert killed.require("faces")["output"] == whole.require("faces")["output"]
    for file in np.array(whole.table().frame["file"]):
        assert (killed.root / file).read_bytes() == (whole.root / file).read_bytes()


def _ends(session: int) -> bool:
    """Whether every process of a session is gone within 120 s."""
    for _ in range(2400):
        try:
            os.killpg(session, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    os.killpg(session, signal.SIGKILL)
    return False
