"""Counts and times on the card are those of the records; what lies beside a model is told from it. Nothing is trained."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from configs.errors import InputError, WorkspaceError
from configs.files import read_json, write_json
from labeling.provenance import Source
from labeling.schema import Schema
from labeling.table import LabelTable
from labeling.workspace import Workspace
from sga.export.card import model_card
from sga.export.model import ExportSettings, _thresholds, files_beside
from sga.export.provenance import generator_faces, provenance
from sga.training import GanSettings, load_training_faces


@pytest.fixture
def space(tmp_path: Path, tiny_settings: dict[str, dict[str, Any]]) -> Workspace:
    """40 faces, of which 12 women and 4 men were labelled by people, with the records of stages that took known times."""
    count = 40
    names = [f"{number:064x}" for number in range(count)]
    splits = ["train"] * 30 + ["validation"] * 4 + ["test"] * 6
    table = LabelTable.empty(Schema.load("faces"), names, [f"{name}.png" for name in names], splits, names)
    table.fill("gender", np.arange(16), np.repeat([0, 1], [12, 4]), Source.HUMAN)
    table.fill("gender", np.arange(16, 36), np.repeat([0, 1], [19, 1]), Source.COMPLETED)
    table.fill("hair_color", np.arange(5), np.arange(5), Source.ORIGINAL)
    space = Workspace(tmp_path / "workspace")
    table.save(space.labels_path)
    fit = {"images": 4000}
    read = {"paths": {"/somewhere/faces.tar": "0123"}, "files": ["/somewhere/labels.csv"]}
    space.finish("faces", "f", {"schema_name": "somewhere/faces.yaml", "fit": "crop"}, **read)
    space.finish("ensemble", "e", {"members": {"a": {}, "b": {}, "c": {}}, "folds": 3, "fit": fit}, **times(51))
    space.finish("sfn", "s", {"fit": fit})
    space.finish("gan", "g", {"warm_start": {"images": 64_000}}, images=52_000, **times(600))
    space.finish("quality", "q", {"folds": 4, "fit": fit}, **times(150))
    for name in names:
        Image.new("RGB", (64, 64)).save(space.root / f"{name}.png")
    np.savez(space.folder("sfn") / "styles.npz", face=np.array(names), style=np.zeros((count, 30), np.float32))
    settings = GanSettings.model_validate({**tiny_settings["gan"], "selection": 0.5, "warm_start": {"images": 64_000}})
    write_json(space.folder("gan") / "generator.json", {"settings": settings.model_dump(mode="json")})
    among = load_training_faces(space, settings).fingerprint()
    np.savez(space.folder("gan") / "selection.npz", rows=np.arange(10, 30), faces=np.array(among))
    return space


def times(minutes: int) -> dict[str, str]:
    begun = 1_700_000_000
    texts = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(begun + 60 * after)) for after in (0, minutes)]
    return dict(zip(("started", "finished"), texts, strict=True))


def ticks(path: Path, *calls: tuple[int, int, float]) -> None:
    """stats.jsonl of calls (first image, last image, images a second), as a run writes it, a tick every 400 images."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        for first, last, speed in calls:
            for images in range(first + 400, last + 1, 400):
                hours = (images - first) / speed / 3600
                line = {"images": images, "D/adversarial": 1.0, "time/hours": hours, "time/images_per_second": speed}
                handle.write(json.dumps(line) + "\n")
        handle.write('{"images": 9')  # torn by a kill


def card(space: Workspace) -> str:
    attributes = [attribute.model_dump(mode="json") for attribute in space.table().schema]
    spec = {"name": "tiny", "size": 96, "schema": {"attributes": attributes}, "metrics": {}, "training": provenance(space)}
    return model_card(spec, "Drawn by a test.", "")


def test_labels_are_counted(space: Workspace) -> None:
    text = card(space)
    assert "- 40 faces. Labels: gender 4 missing, 20 completed, 16 human" in text
    assert "(31 female, 19 of them completed; 5 male, 1 of them completed; 4 unknown)" in text
    assert "hair_color 35 missing, 5 original;" in text
    assert "- Adversarial training saw 20 of them: 16 female, 14 of them completed; 4 male.\n" in text
    made = provenance(space)
    assert made["labels"]["gender"]["labelled"] == {"female": 12, "male": 4}
    assert made["generator"]["faces"] == 20


def test_no_folder_is_told(space: Workspace) -> None:
    made = provenance(space)["stages"]["faces"]
    assert made["settings"]["schema_name"] == "faces.yaml"
    assert (made["paths"], made["files"]) == ({"faces.tar": "0123"}, ["labels.csv"])
    assert "somewhere" not in json.dumps(made)


def test_the_generator_saw_all_but_the_test_split(space: Workspace) -> None:
    assert len(generator_faces(space)) == 20
    write_json(space.folder("gan") / "generator.json", {"settings": {"selection": 1}})
    assert len(generator_faces(space)) == 34


def test_a_selection_may_follow_a_cleaning(space: Workspace, tiny_settings: dict[str, dict[str, Any]]) -> None:
    folder, whole = space.folder("gan"), space.table()
    asked = {**tiny_settings["gan"], "cleaning": 0.1, "selection": 0.5, "warm_start": {"images": 64_000}}
    settings = GanSettings.model_validate(asked)
    write_json(folder / "generator.json", {"settings": settings.model_dump(mode="json")})
    faces, clean = load_training_faces(space, settings), np.arange(4, 34)
    np.savez(folder / "cleaning.npz", rows=clean, faces=np.array(faces.fingerprint()))
    with pytest.raises(WorkspaceError, match=r"training chose in .*selection\.npz"):  # made among faces that were not clean
        generator_faces(space)
    among = np.array(faces.select(clean).fingerprint())
    np.savez(folder / "selection.npz", rows=np.array([0, 5, 29]), faces=among)
    assert generator_faces(space).faces.tolist() == whole.faces[[4, 9, 33]].tolist()


def test_a_selection_among_other_faces_is_refused(space: Workspace) -> None:
    """Its rows would name other faces: a split that changed moves them all."""
    table = space.table()
    table.frame.loc[3, "split"] = "test"
    table.save(space.labels_path)
    with pytest.raises(WorkspaceError, match=r"training chose in .*selection\.npz, found other faces.* sga train --workspace"):
        provenance(space)


def test_times_are_those_of_the_records(space: Workspace) -> None:
    lines = {line.split(":")[0]: line for line in card(space).splitlines() if ": finished 20" in line}
    assert lines["- ensemble"].endswith(", 51 min after it was last begun: 9 networks, 4,000 images each.")
    assert lines["- quality"].endswith(", 2.5 h after it was last begun: 5 networks, 4,000 images each.")
    assert "after it was last begun" not in lines["- sfn"]  # its record does not say
    assert lines["- sfn"].endswith("Z: 4,000 images.")
    assert lines["- gan"].endswith(": 64,000 images as a decoder, then 52,000 images as a GAN.")
    assert lines["- faces"].endswith("Z.")


def test_hours_of_a_run_are_those_of_all_its_calls(space: Workspace) -> None:
    """One call of 24 minutes and, from its checkpoint at 48,000 images, one of 1: the night between them does not count."""
    ticks(space.folder("gan") / "stats.jsonl", (0, 48_000, 100 / 3), (48_000, 48_400, 20 / 3), (48_400, 52_000, 120.0))
    ticks(space.folder("gan") / "warm_start" / "stats.jsonl", (0, 64_000, 64_000 / 720))
    hours = provenance(space)["stages"]["gan"]["hours"]
    assert hours["adversarial"] == pytest.approx((24 + 1 + 0.5) / 60)
    assert hours["decoder"] == pytest.approx(0.2)
    line = next(line for line in card(space).splitlines() if line.startswith("- gan"))
    assert line.endswith("Z: 64,000 images as a decoder in 12 min, then 52,000 images as a GAN in 26 min.")
    (space.folder("gan") / "warm_start" / "stats.jsonl").write_text('{"images": 64, "W/pixel": 0.3}\n')
    assert set(provenance(space)["stages"]["gan"]["hours"]) == {"adversarial"}


def test_a_stage_notes_when_it_began(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    space.finish("faces", "f", {})
    assert "started" not in read_json(tmp_path / "faces" / "stage.json")
    space.begin("ensemble")
    space.finish("faces", "later", {})  # an earlier stage is done again meanwhile
    space.finish("ensemble", "e", {})
    record = space.record("ensemble")
    assert record is not None
    assert record["started"] <= record["finished"]
    assert record["inputs"] == {"faces": "f"}
    assert space.state("ensemble") == "stale"
    space.finish("ensemble", "e", {})
    assert "started" not in (space.record("ensemble") or {})


def test_levels_of_a_gender_are_passed_on(space: Workspace) -> None:
    found: dict[str, Any] = {"threshold": 0.5, "by_gender": {"female": 0.6}, "levels": {"high": 0.55}}
    path = space.folder("quality") / "calibration.json"
    write_json(path, found)
    assert _thresholds(space, ExportSettings())["levels_by_gender"] == {}
    write_json(path, {**found, "levels_by_gender": {"high": {"female": 0.7}}})
    thresholds = _thresholds(space, ExportSettings(gender_threshold=0.4))
    assert thresholds == {
        "quality": 0.5,
        "quality_by_gender": {"female": 0.6},
        "gender": 0.4,
        "levels": {"high": 0.55},
        "levels_by_gender": {"high": {"female": 0.7}},
    }


def test_what_lies_beside_a_model(model_path: Path, tmp_path: Path) -> None:
    import shutil

    folder = Path(shutil.copytree(model_path, tmp_path / "model"))
    assert files_beside(folder) == []
    assert files_beside(tmp_path / "absent") == []
    for name in ("sheet.png", "gender-labels.csv", "stage.json"):
        (folder / name).write_text(name)
    (folder / "notes").mkdir()
    assert [path.name for path in files_beside(folder)] == ["gender-labels.csv", "notes", "sheet.png"]
    for text in ("{half", "[1]", '{"name": "something else"}'):
        (folder / "model.json").write_text(text)
        with pytest.raises(InputError, match=r"Expected a model folder or nothing at .*Name another with --out"):
            files_beside(folder)
    with pytest.raises(InputError, match="found something else"):
        files_beside(folder / "sheet.png")
