"""Every preset of every stage loads and prints, and a typo in one names the field."""

import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import yaml

import configs
from classifiers.ensemble import EnsembleSettings
from classifiers.oracle import OracleSettings
from classifiers.quality import QualitySettings
from classifiers.sfn import SfnSettings
from configs.errors import ConfigError
from configs.loader import load_settings, preset_names, read_preset
from configs.settings import Settings
from labeling.samples import SampleSettings
from labeling.schema import Schema
from labeling.tags.meaning import TagMap
from sga.cli.main import main
from sga.evaluation.settings import EvaluationSettings
from sga.export.model import ExportSettings
from sga.ladder import LadderSettings
from sga.pipeline import PipelineSettings, make_steps
from sga.training import GanSettings
from sga.upscale import UpscaleSettings

CLASSES: dict[str, type[Settings]] = {
    "attributes": Schema,
    "ensemble": EnsembleSettings,
    "evaluation": EvaluationSettings,
    "export": ExportSettings,
    "gan": GanSettings,
    "ladder": LadderSettings,
    "oracle": OracleSettings,
    "quality": QualitySettings,
    "run": PipelineSettings,
    "samples": SampleSettings,
    "sfn": SfnSettings,
    "upscale": UpscaleSettings,
    "tags": TagMap,
}
COMMANDS = {
    "ensemble": ("complete", "--preset"),
    "evaluation": ("evaluate", "--preset"),
    "export": ("export", "--preset"),
    "gan": ("train", "--preset"),
    "ladder": ("ladder", "--preset"),
    "oracle": ("label", "simulate", "--preset"),
    "quality": ("quality", "tune", "--preset"),
    "run": ("run",),
    "sfn": ("sfn", "--preset"),
    "upscale": ("upscale", "train", "--preset"),
}
FOLDERS = sorted(path.name for path in Path(configs.__file__).parent.iterdir() if path.is_dir() and any(path.glob("*.yaml")))
PRESETS = [(stage, name) for stage in FOLDERS for name in preset_names(stage)]


def command(*arguments: str) -> tuple[int, str]:
    out = io.StringIO()
    with redirect_stdout(out), pytest.raises(SystemExit) as end:
        main(arguments)
    return int(end.value.code or 0), out.getvalue()


def test_every_folder_of_presets_has_a_class() -> None:
    assert sorted(CLASSES) == FOLDERS


@pytest.mark.parametrize(("stage", "name"), PRESETS)
def test_every_preset_loads(stage: str, name: str) -> None:
    settings = load_settings(CLASSES[stage], stage, name)
    assert CLASSES[stage].model_validate(settings.model_dump(mode="json")) == settings


@pytest.mark.parametrize(("stage", "name"), [(stage, name) for stage, name in PRESETS if stage in COMMANDS])
def test_a_dry_run_prints_a_preset_of_ones_own(stage: str, name: str, tmp_path: Path) -> None:
    code, text = command(*COMMANDS[stage], name, "--dry-run")
    assert code == 0
    (tmp_path / "mine.yaml").write_text(text)
    assert load_settings(CLASSES[stage], stage, tmp_path / "mine.yaml") == load_settings(CLASSES[stage], stage, name)


@pytest.mark.parametrize("stage", sorted(COMMANDS))
def test_set_reaches_the_settings(stage: str) -> None:
    key, value = {
        "ensemble": ("fit.batch", 8),
        "evaluation": ("referee.fit.batch", 8),
        "export": ("max_attempts", 5),
        "gan": ("weights.gender", 0.7),
        "ladder": ("points", 4),
        "oracle": ("features.fit.batch", 8),
        "quality": ("folds", 3),
        "run": ("labels", "labels.csv"),
        "sfn": ("fit.augment.rotate", 3.0),
        "upscale": ("degradation.plain", 0.25),
    }[stage]
    name = preset_names(stage)[0]
    _, text = command(*COMMANDS[stage], name, "--dry-run", "--set", f"{key}={value}")
    found: Any = yaml.safe_load(text)
    for part in key.split("."):
        found = found[part]
    assert found == value


@pytest.mark.parametrize(("stage", "name"), PRESETS)
def test_a_typo_names_the_field(stage: str, name: str, tmp_path: Path) -> None:
    raw = read_preset(stage, name)
    key = sorted(raw)[0]
    raw[key[:-1] + "x" + key[-1]] = raw.pop(key)
    (tmp_path / "typo.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(ConfigError, match=rf"unknown field '{key[:-1]}x{key[-1]}'") as refused:
        load_settings(CLASSES[stage], stage, tmp_path / "typo.yaml")
    assert key in str(refused.value)


def test_a_typo_deep_inside_names_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"fit\.augment\.rotat"):
        load_settings(EnsembleSettings, "ensemble", "cpu", ["fit.augment.rotat=3"])
    with pytest.raises(ConfigError, match=r"members\.resnet\.backbon"):
        load_settings(EnsembleSettings, "ensemble", "cpu", ["members.resnet={backbon: resnet18}"])


def test_an_unknown_preset_tells_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("complete", "--preset", "cpus", "--dry-run")[0] == 2
    assert "Did you mean cpu?" in capsys.readouterr().err


@pytest.mark.parametrize("name", preset_names("run"))
def test_a_run_reads_all_of_its_presets_before_it_begins(name: str, tmp_path: Path) -> None:
    from labeling.workspace import STAGES, Workspace

    space = Workspace(tmp_path / "workspace")
    wanted = load_settings(PipelineSettings, "run", name)
    if wanted.samples is None and not wanted.paths:
        wanted = wanted.model_copy(update={"paths": ["faces"]})
    if wanted.illustrations:
        with pytest.raises(ConfigError, match=r"--set ingest\.detection\.cascade=FILE\.xml"):
            make_steps(space, wanted, progress=False)
        wanted = wanted.model_copy(update={"ingest": {**wanted.ingest, "detection": {"cascade": "faces.xml"}}})
    last = [] if wanted.evaluation is None else ["evaluation"]
    first, *rest = STAGES
    clean = [] if wanted.clean is None else ["clean"]
    assert list(make_steps(space, wanted, progress=False)) == [first, *clean, *rest, *last]
    for change, message in (
        ({"gan": "smok"}, "Did you mean smoke"),
        ({"export": "defaul"}, "Did you mean default"),
        ({"samples": {"cout": 3}}, "cout"),
        ({"ingest": {"schema": "faces"}}, "schema"),
        ({"overrides": {"sfn": ["hiden=3"]}}, "hiden"),
        ({"overrides": {"snf": ["hidden=3"]}}, "snf"),
        ({"samples": None, "paths": []}, "neither"),
    ):
        with pytest.raises(ConfigError, match=message):
            make_steps(space, wanted.model_copy(update=change), progress=False)
    assert not space.root.exists()
