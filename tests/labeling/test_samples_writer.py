"""Sample faces on disk: whole, the same again, never over something else."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from configs.errors import InputError
from labeling.samples import SampleSettings, draw_hidden, draw_truth, render_face, sample_schema, write_samples

pytest.importorskip("skia")


def digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def test_what_is_written(tmp_path: Path) -> None:
    settings = SampleSettings(count=6, seed=3, hidden=0.5)
    report = write_samples(settings, tmp_path / "out")
    labels, truth = rows(report.labels), rows(tmp_path / "out" / "truth.csv")
    assert tuple(labels[0]) == tuple(truth[0]) == ("file", *sample_schema().names)
    for index, (told, whole) in enumerate(zip(labels, truth, strict=True)):
        expected, hidden = draw_truth(3, index, settings), draw_hidden(3, index, settings)
        assert whole == {"file": f"faces/{index:05d}.png", **expected}
        assert told == {"file": f"faces/{index:05d}.png", **{k: "" if k in hidden else v for k, v in expected.items()}}
        with Image.open(tmp_path / "out" / told["file"]) as image:
            assert image.mode == "RGB"
            assert np.array_equal(np.asarray(image), render_face(expected, (3, index)))
    for name, counts in report.histograms.items():
        assert sum(counts.values()) == 6
        assert counts["unknown"] == sum(row[name] == "" for row in labels)


def test_the_same_bytes_again_whatever_the_workers(tmp_path: Path) -> None:
    one = write_samples(SampleSettings(count=70, size=64), tmp_path / "one")
    first = digest(one.out)
    (one.faces / "00003.png").write_bytes(b"half a picture")
    (one.faces / "00004.png").unlink()
    write_samples(SampleSettings(count=70, size=64), tmp_path / "one")
    two = write_samples(SampleSettings(count=70, size=64, workers=2), tmp_path / "two")
    assert digest(one.out) == first == digest(two.out)
    assert len(first) == 73


def test_a_larger_count_starts_with_the_same_faces(tmp_path: Path) -> None:
    few = write_samples(SampleSettings(count=2, size=64), tmp_path / "few")
    more = write_samples(SampleSettings(count=4, size=64), tmp_path / "more")
    for index in range(2):
        name = f"{index:05d}.png"
        assert (few.faces / name).read_bytes() == (more.faces / name).read_bytes()
    assert rows(few.labels) == rows(more.labels)[:2]


def test_it_refuses_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(b"mine")
    with pytest.raises(InputError, match="empty or absent"):
        write_samples(SampleSettings(count=1), tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["photo.png"]
    with pytest.raises(InputError, match="found a file"):
        write_samples(SampleSettings(count=1), tmp_path / "photo.png")


def test_it_refuses_other_samples_and_strangers_among_its_own(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_samples(SampleSettings(count=1, size=64), out)
    before = digest(out)
    with pytest.raises(InputError, match="same settings"):
        write_samples(SampleSettings(count=1, size=64, seed=1), out)
    assert digest(out) == before
    (out / "faces" / "mine.png").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"mine\.png"):
        write_samples(SampleSettings(count=1, size=64), out)


def test_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills in mid-picture leaves no half picture and no table; the same command again completes."""
    settings, real, calls = SampleSettings(count=3, size=64), Path.write_bytes, []

    def full(path: Path, data: bytes) -> int:
        calls.append(path)
        if len(calls) == 2:
            real(path, data[:10])
            raise OSError(28, "No space left on device")
        return real(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(InputError, match="full disk"):
            write_samples(settings, tmp_path / "out")
    assert [p.name for p in sorted((tmp_path / "out" / "faces").iterdir())] == ["00000.png"]
    assert not (tmp_path / "out" / "labels.csv").exists()
    assert digest(write_samples(settings, tmp_path / "out").out) == digest(write_samples(settings, tmp_path / "again").out)
