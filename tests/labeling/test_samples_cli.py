"""`sga samples`: what it writes, says and refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from sga.cli.main import main

pytest.importorskip("skia")


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["samples", *arguments])
    return int(stop.value.code or 0)


def test_it_writes_and_says_what_to_type_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert run(str(out), "--count", "3", "--size", "64", "--hidden", "1", "--set", "hidden_by_attribute.quality=0") == 0
    said = capsys.readouterr().out
    assert f"sga ingest {out / 'faces'} --labels {out / 'labels.csv'}" in said
    assert "unknown 3" in said
    header, *lines = (out / "labels.csv").read_text().splitlines()
    assert header.startswith("file,gender,hair_color")
    assert all(line.rpartition(",")[2] in ("low", "median", "high") and ",,,," in line for line in lines)
    assert sorted(path.name for path in (out / "faces").iterdir()) == ["00000.png", "00001.png", "00002.png"]


def test_dry_run_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(tmp_path / "out"), "--dry-run", "--count", "7") == 0
    assert "count: 7" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("wrong", [("--count", "0"), ("--size", "32"), ("--hidden", "1.5"), ("--set", "mail=0.5")])
def test_wrong_values_exit_with_2_and_write_nothing(tmp_path: Path, wrong: tuple[str, str]) -> None:
    assert run(str(tmp_path / "out"), *wrong) == 2
    assert not (tmp_path / "out").exists()
