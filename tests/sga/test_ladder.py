"""A ladder of two tiny recipes: equal lengths, a killed rung goes on, what was measured is kept, and what the report says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from PIL import Image

from classifiers.runtime import Stopped, stop_after
from configs.errors import ConfigError
from configs.loader import load_settings, preset_names
from labeling.workspace import Workspace
from sga.cli.main import main
from sga.cli.options import duration
from sga.ladder import LadderSettings, climb
from sga.ladder.report import Measured, markdown, summary
from sga.training import GanSettings, load_generator

IMAGES, POINTS = 32, 2
EVALUATION = (
    *("count=8", "sheet=4", "kid_subsets=2", "diversity_conditions=0", "nearest=0", "table_faces=0"),
    *("referee.fit.images=64", "referee.fit.batch=16", "launch.accelerator=cpu", "launch.threads=1"),
)


@pytest.fixture(scope="module")
def space(sfn_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(shutil.copytree(sfn_workspace, tmp_path_factory.mktemp("ladder") / "workspace"))


@pytest.fixture(scope="module")
def rungs(tiny_settings: dict[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two recipes that differ in the loss."""
    folder, files = tmp_path_factory.mktemp("rungs"), []
    for name, adversarial in (("plain", "logistic"), ("hinged", "hinge")):
        file = folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump({**tiny_settings["gan"], "images": 1000, "adversarial": adversarial}))
        files.append(str(file))
    return files


def ladder(rungs: list[str], **changes: Any) -> LadderSettings:
    wanted = {"images": IMAGES, "points": POINTS, "evaluation": "smoke", "evaluation_overrides": list(EVALUATION), "strip": 3}
    return LadderSettings.model_validate({"rungs": rungs, **wanted, **changes})


@pytest.fixture(scope="module")
def report(space: Workspace, rungs: list[str]) -> dict[str, Any]:
    return climb(space, ladder(rungs), announce=lambda line: None, progress=False)


def places(space: Workspace) -> list[Path]:
    return sorted((space.root / "ladder").glob("*/seed0"), reverse=True)  # plain before hinged


def test_every_rung_is_trained_alike_and_measured(space: Workspace, report: dict[str, Any], rungs: list[str]) -> None:
    assert [rung["name"] for rung in report["rungs"]] == rungs
    assert report == json.loads((space.root / "ladder" / "report.json").read_text())
    for rung, place in zip(report["rungs"], places(space), strict=True):
        assert [(one["point"], one["images"]) for one in rung["curve"]] == [(1, IMAGES / 2), (2, IMAGES)]
        assert rung["curve"][0]["seconds"] < rung["curve"][1]["seconds"]
        for group in ("overall", "female", "male"):
            assert rung["result"]["fid"][group]["mean"] == rung["curve"][1]["fid"][group]
        assert 0 <= rung["result"]["gender"]["overall"]["mean"] <= 1
        early, late = (load_generator(place / "points" / number) for number in ("01", "02"))
        assert not early.last.weight.equal(late.last.weight)
        assert json.loads((place / "points" / "02" / "generator.json").read_text())["images"] == IMAGES
    base, other = report["rungs"]
    assert base["to_base"]["fid"] == {"overall": 1.0, "female": 1.0, "male": 1.0}
    ratio = other["result"]["fid"]["overall"]["mean"] / base["result"]["fid"]["overall"]["mean"]
    assert other["to_base"]["fid"]["overall"] == pytest.approx(ratio)
    assert Workspace(space.root).state("gan") == "missing"  # the workspace's own generator is another matter


def test_pictures_and_table(space: Workspace, report: dict[str, Any]) -> None:
    folder = space.root / "ladder"
    with Image.open(folder / "curves.png") as curves:
        assert curves.size == (900, 520)
        assert len(curves.convert("RGB").getcolors(1 << 20) or []) > 10
    with Image.open(folder / "strips.png") as strips:
        assert strips.height == 2 * 68 + 4  # two rungs of 64 px
    text = (folder / "report.md").read_text()
    assert text.startswith("# Recipes after 32 images")
    assert f"{report['floor']['female']['fid']:.2f} (n = " in text


def test_the_same_call_again_does_nothing(space: Workspace, report: dict[str, Any], rungs: list[str]) -> None:
    kept = {path: path.stat().st_mtime_ns for path in (space.root / "ladder").glob("*/seed0/**/*") if path.is_file()}
    said: list[str] = []
    assert climb(space, ladder(rungs), announce=said.append, progress=False) == report
    assert said == []
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    with pytest.raises(ConfigError, match=r"2 points over 32 images, .* found 2 points over 64 images, .*--out"):
        climb(space, ladder(rungs, images=64), progress=False)


def test_a_stopped_ladder_goes_on_and_ends_as_the_other(
    space: Workspace, report: dict[str, Any], rungs: list[str], tmp_path: Path
) -> None:
    """Time is up at every question: each call brings a rung one step further, or evaluates one snapshot."""
    calls = 0
    while True:
        calls += 1
        assert calls < 60
        try:
            with stop_after(0):
                found = climb(space, ladder(rungs), tmp_path / "out", lambda line: None, progress=False)
            break
        except Stopped:
            continue
    assert calls > 2 * IMAGES // 8  # a step each, and the evaluations
    for mine, other in zip(found["rungs"], report["rungs"], strict=True):
        for one, two in zip(mine["curve"], other["curve"], strict=True):
            assert {**one, "seconds": 0, "cpu_seconds": 0} == {**two, "seconds": 0, "cpu_seconds": 0}


def test_rungs_may_begin_with_one_warm_start(space: Workspace, rungs: list[str], tmp_path: Path) -> None:
    warm = {"images": 16, "batch": 8, "channels": 8, "layers": 1}
    files = []
    for rung in rungs:
        path = tmp_path / Path(rung).name
        path.write_text(yaml.safe_dump({**yaml.safe_load(Path(rung).read_text()), "warm_start": warm}))
        files.append(str(path))
    first = ladder(files[:1], images=8, points=1, evaluation_overrides=[*EVALUATION, "seed=3"])
    climb(space, first, tmp_path / "first", lambda line: None, progress=False)
    (source,) = (tmp_path / "first").glob("*/seed0/gan")
    shared = first.model_copy(update={"rungs": files, "warm_start_from": str(source)})
    climb(space, shared, tmp_path / "shared", lambda line: None, progress=False)
    begun = sorted((tmp_path / "shared").glob("*/seed0/gan/warm_start.safetensors"))
    assert len(begun) == 2
    assert {path.read_bytes() for path in begun} == {(source / "warm_start.safetensors").read_bytes()}
    with pytest.raises(ConfigError, match=r"begun with .* warm_start_from .*gan\), found .* warm_start_from None"):
        climb(space, shared.model_copy(update={"warm_start_from": None}), tmp_path / "shared", progress=False)


def test_time_is_the_loops_own(space: Workspace, rungs: list[str], tmp_path: Path) -> None:
    """A length in CPU time: a rung stops within a step of it, whatever loading took."""
    wanted = ladder(rungs[:1], images=None, minutes=0.01, clock="cpu", points=1, evaluation_overrides=[*EVALUATION, "seed=3"])
    found = climb(space, wanted, tmp_path / "out", lambda line: None, progress=False)
    (one,) = found["rungs"][0]["curve"]
    assert 0.6 <= one["cpu_seconds"] < 2
    assert one["images"] % 8 == 0 < one["images"] < 1000
    assert "0.01 minutes of CPU time" in (tmp_path / "out" / "report.md").read_text()


def test_the_command(space: Workspace, report: dict[str, Any], rungs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    file = Path(rungs[0]).with_name("ladder.yaml")
    file.write_text(yaml.safe_dump({**ladder(rungs).model_dump(mode="json"), "images": None}))
    words = ["ladder", "--workspace", str(space.root), "--preset", str(file), "--images", str(IMAGES)]
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 0
    assert "FID overall" in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        main([*words, "--seeds", "2", "--stop-after", "0.001"])
    assert end.value.code == 75
    assert "Type the same command to go on" in capsys.readouterr().err


def measured(rung: str, seed: int, fid: float, images: int = 100) -> Measured:
    kid = {"value": fid / 1000, "low": 0.0, "high": 1.0}
    group = {"fid": fid, "kid": kid, "precision": 0.5, "recall": 0.5, "coverage": 0.5, "n": 10}
    facts = {"features": {"name": "referee", "width": 8}, "split": "test", "count": 10}
    told = {"groups": {"overall": group, "male": None}, "gender": {"overall": {"value": 0.9}}}
    told["spectrum"] = {"female": {"locked": 3.0}, "male": {"locked": 12.0}}
    evaluation = {"facts": facts, "floor": {"overall": group, "male": None}, "unselected": told}
    return Measured(rung, seed, 1, {"images": images, "seconds": 10.0, "cpu_seconds": 20.0}, evaluation)


def test_seeds_are_averaged_and_compared_with_the_base() -> None:
    settings = LadderSettings(rungs=["a", "b", "c"], seeds=2, points=1, minutes=5)
    found = [measured("a", 0, 20.0), measured("a", 1, 30.0), measured("b", 0, 5.0, 200), measured("b", 1, 15.0, 200)]
    report = summary(found, settings)
    a, b, c = report["rungs"]
    assert a["result"]["fid"] == {"overall": {"mean": 25.0, "low": 20.0, "high": 30.0, "seeds": 2}, "male": None}
    assert a["result"]["spectrum"]["overall"]["mean"] == 12.0  # the worse of the genders
    assert b["to_base"]["fid"] == {"overall": pytest.approx(0.4), "male": None}
    assert (b["to_base"]["images_per_second"], b["result"]["images_per_cpu_second"]["mean"]) == (2.0, 10.0)
    assert (c["curve"], c["result"]["images"], c["to_base"]["images"]) == ([], None, None)
    rows = [line.split(" | ") for line in markdown(report).splitlines() if line.startswith("| b")]
    assert "12.0" in rows[0]
    assert rows[0][1:5] == ["200", "20.0", "2.00", "10.00 (5.00 to 15.00)"]


@pytest.mark.parametrize("name", preset_names("ladder"))
def test_every_rung_of_a_preset_is_there(name: str) -> None:
    settings = load_settings(LadderSettings, "ladder", name)
    for rung in settings.rungs:
        preset = f"ladder/{rung}" if rung in preset_names("gan/ladder") else rung
        load_settings(GanSettings, "gan", preset, settings.overrides)


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("9m", 540), ("1h30m", 5400), ("0.5s", 0.5)])
def test_a_time_is_told_as_people_say_it(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "0m", "9 minutes", "-3"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="such as 9m"):
        duration(text)


def test_a_rung_is_named_once() -> None:
    with pytest.raises(ConfigError, match="once, found base"):
        load_settings(LadderSettings, "ladder", "smoke", ["rungs=[base, base]"])
