"""`sga clean`, its place in `sga run`, and stages that do not learn from faces that are left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from configs.errors import ConfigError
from labeling.cleaning.record import LEAVE_OUT, read_record
from labeling.cleaning.review import Verdict, set_verdicts
from labeling.table import LEFT_OUT, SPLITS, LabelTable
from labeling.workspace import Workspace
from sga.cli.main import main
from sga.pipeline import PipelineSettings, make_steps

Copy = Callable[[Path], Path]


def leave_out(space: Workspace, share: int = 4) -> np.ndarray:
    """Leave out every fourth face, labelled ones of all splits among them; returns their rows."""
    faces = space.table().faces[::share]
    set_verdicts(space, {face: Verdict(LEAVE_OUT, "ann", "2026-01-01T00:00:00.000000Z") for face in faces})
    table = space.table()
    rows = np.flatnonzero(table.in_split(LEFT_OUT))
    assert len(rows) == len(faces)
    return rows


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return int(end.value.code or 0)


def test_the_command_marks_shows_and_puts_back(
    faces_workspace: Path, copy_of: Copy, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    root = str(copy_of(faces_workspace))
    space = Workspace(root)
    before = space.labels_path.read_bytes()
    assert command("clean", "mark", "--workspace", root, "--dry-run", "--set", "near_duplicate=0.5") == 0
    assert "near_duplicate: 0.5" in capsys.readouterr().out
    assert space.labels_path.read_bytes() == before
    only = [part for name in ("flat=40", "blur=null", "gray=null", "duplicates=false") for part in ("--set", name)]
    assert command("clean", "mark", "--workspace", root, *only) == 0
    out = capsys.readouterr().out
    assert "flat" in out
    assert "index.html" in out
    assert (space.folder("faces") / "cleaning" / "index.html").is_file()
    marked = read_record(space).frame
    some = marked["face"][marked["reason"] == "flat"].iloc[0]
    assert command("status", "--workspace", root) == 0
    assert "faces left out" in capsys.readouterr().out
    assert command("clean", "keep", some, "--workspace", root) == 0
    assert "1 faces were put back by people" in capsys.readouterr().out
    assert command("clean", "show", "--workspace", root) == 0
    assert "1 faces were put back by people" in capsys.readouterr().out
    assert command("clean", "keep", "--reason", "flat", "--workspace", root) == 0
    assert not space.table().in_split(LEFT_OUT).any()
    assert command("clean", "keep", "--workspace", root) == 2
    assert command("clean", "keep", "--reason", "ugly", "--workspace", root) == 2
    assert command("clean", "mark", "--workspace", str(tmp_path / "none")) == 2
    assert command("clean", "mark", "--workspace", root, "--cascade", str(tmp_path / "none.xml")) == 2
    assert "none.xml" in capsys.readouterr().err


@pytest.mark.real
def test_a_cascade_finds_no_face_where_there_is_none(
    faces_workspace: Path, copy_of: Copy, real_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On pictures that hold no face, and on sample faces."""
    from labeling.cleaning.finder import make_finder

    finder = make_finder(cascade=str(real_data / "lbpcascade_animeface.xml"))
    assert finder is not None
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (20, 96, 96, 3), dtype=np.uint8)
    assert max(finder.best(one) for one in noise) < 0.3
    from PIL import Image

    space = Workspace(copy_of(faces_workspace))
    faces = [np.asarray(Image.open(space.root / file).convert("RGB")) for file in space.table().frame["file"][:40]]
    assert np.mean([finder.best(face) > 0 for face in faces]) > 0.8


def test_the_run_cleans_after_the_faces_and_only_once(faces_workspace: Path, copy_of: Copy) -> None:
    space = Workspace(copy_of(faces_workspace))
    plain = PipelineSettings(paths=["faces"])
    assert "clean" not in make_steps(space, plain, False)
    settings = PipelineSettings(paths=["faces"], clean={"flat": 40, "duplicates": False})
    steps = make_steps(space, settings, False)
    assert list(steps)[:3] == ["faces", "clean", "ensemble"]
    step = steps["clean"]
    assert not step.done()
    step.do()
    assert step.done()
    assert space.table().in_split(LEFT_OUT).any()
    assert (space.folder("faces") / "cleaning" / "index.html").is_file()
    other = make_steps(space, PipelineSettings(paths=["faces"], clean={"flat": 20, "duplicates": False}), False)["clean"]
    assert not other.done()
    with pytest.raises(ConfigError, match="blurr"):
        make_steps(space, PipelineSettings(paths=["faces"], clean={"blurr": 1}), False)
    with pytest.raises(ConfigError, match="sga clean mark --features sfn"):
        make_steps(space, PipelineSettings(paths=["faces"], clean={"features": "sfn"}), False)
    assert step.done()
    one = space.table().faces[space.table().kept()][0]
    set_verdicts(space, {one: Verdict(LEAVE_OUT, "ann", "2026-01-01T00:00:00.000000Z")})
    assert not step.done()  # what people say of a face may bring its duplicates back
    step.do()
    assert step.done()
    assert not space.table().kept()[space.table().rows([one])].any()


def test_the_state_of_labels_counts_the_faces_that_stay(faces_workspace: Path, copy_of: Copy) -> None:
    from labeling.studio.status import read_status

    space = Workspace(copy_of(faces_workspace))
    rows = leave_out(space)
    assert space.table().labelled("gender")[rows].any()
    for one in read_status(space).progress:
        assert sum(one.labels.values()) == one.cells["original"] + one.cells["human"]


def test_no_network_learns_from_a_face_that_is_left_out(
    faces_workspace: Path, copy_of: Copy, tiny_settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the ensemble to the training faces of the GAN; what completes still looks at every face."""
    from classifiers.complete import complete
    from classifiers.ensemble import EnsembleSettings
    from classifiers.sfn import SfnSettings, train_sfn
    from classifiers.train import FitData
    from labeling.predictions import Predictions
    from sga.evaluation.reality import OVERALL, group_rows
    from sga.export.provenance import _labels
    from sga.training.data import training_rows

    space = Workspace(copy_of(faces_workspace))
    rows = leave_out(space)
    seen: list[np.ndarray] = []
    drawing = FitData.drawing.__func__  # type: ignore[attr-defined]

    def watched(cls: type[FitData], pixels: Any, chosen: np.ndarray, *rest: Any) -> FitData:
        seen.append(chosen)
        made: FitData = drawing(cls, pixels, chosen, *rest)
        return made

    monkeypatch.setattr(FitData, "drawing", classmethod(watched))
    complete(space, EnsembleSettings.model_validate(tiny_settings["ensemble"]), progress=False)
    train_sfn(space, SfnSettings.model_validate(tiny_settings["sfn"]), progress=False)
    assert len(seen) >= 5  # two members in two folds, and the style feature network
    assert all(len(part) and not np.isin(part, rows).any() for part in seen)

    table = space.table()
    predictions = Predictions.load(space.folder("ensemble") / "predictions.npz")
    assert len(predictions.faces) == len(table)  # completed predictions cover them
    assert not predictions.out_of_fold[rows].any()
    assert not training_rows(table)[rows].any()
    for split in ("test", "all"):
        assert not np.isin(group_rows(table, split, 0)[OVERALL], rows).any()
    held = np.flatnonzero(table.in_split("test"))
    assert sorted(group_rows(table, "test", 0)[OVERALL]) == sorted(held)
    assert sum(_labels(table)["gender"]["values"].values()) == len(table) - len(rows)
    assert space.state("sfn") == "done"
    set_verdicts(space, {face: Verdict("", "", "") for face in table.faces[rows]})
    assert space.state("ensemble") == "stale"
    assert space.state("sfn") == "stale"
    assert set(space.table().frame["split"]) <= set(SPLITS)


def test_the_style_bank_has_no_face_that_is_left_out(sfn_workspace: Path, copy_of: Copy, tiny_settings: dict[str, Any]) -> None:
    from classifiers.sfn import SfnSettings, train_sfn
    from sga.training import GanSettings
    from sga.training.data import load_training_faces

    space = Workspace(copy_of(sfn_workspace))
    gan = GanSettings.model_validate(tiny_settings["gan"])
    whole = len(load_training_faces(space, gan))
    rows = leave_out(space)
    assert space.state("sfn") == "stale"
    from classifiers.complete import complete
    from classifiers.ensemble import EnsembleSettings

    complete(space, EnsembleSettings.model_validate(tiny_settings["ensemble"]), progress=False)
    train_sfn(space, SfnSettings.model_validate(tiny_settings["sfn"]), progress=False)
    faces = load_training_faces(space, gan)
    table: LabelTable = space.table()
    assert len(faces) == int(table.trainable().sum()) < whole
    with np.load(space.folder("sfn") / "styles.npz") as stored:
        style = dict(zip(stored["face"], stored["style"], strict=True))
    left = np.stack([style[face] for face in table.faces[rows]])
    assert not (faces.style[:, None] == left[None]).all(axis=2).any()


def test_an_audit_passes_over_faces_that_are_left_out(ensemble_workspace: Path, copy_of: Copy) -> None:
    pytest.importorskip("cleanlab")
    from labeling.audit import audit

    space = Workspace(copy_of(ensemble_workspace))
    before = audit(space, "gender")
    rows = leave_out(space)
    after = audit(space, "gender")
    gone = set(space.table().faces[rows])
    assert sum(after.judged.values()) < sum(before.judged.values())
    assert not {one.key for one in after.suspects} & gone
