"""What tests of all packages share: the real faces where there are some, a small workspace taken through every stage, and a
real Label Studio.

The stages are real and tiny: 64-px sample faces, networks of a few thousand weights, a handful of steps. A stage's fixture is
a folder that several tests read: whoever changes one copies it first, with `copy_of`.
"""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from labeling.studio.client import StudioClient
    from labeling.studio.server import LocalServer

BESIDE = Path(__file__).parents[2] / "shared" / "data"
SIZE, COUNT = 64, 160
YOURS = (
    *("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY", "SGA_WORKSPACE", "SGA_MODELS"),
    *("FORCE_COLOR", "NO_COLOR", "PY_COLORS", "CLICOLOR_FORCE", "GITHUB_ACTIONS", "TTY_COMPATIBLE", "TERMINAL_WIDTH"),
)
ATTRIBUTES = ("gender", "hair_color", "smile", "quality")
LAUNCH = {"accelerator": "cpu", "precision": "32", "threads": 1}
BACKBONES: dict[str, dict[str, Any]] = {
    "resnet": {"backbone": "resnet10t", "arguments": {"channels": [16, 32, 64, 64]}},
    "densenet": {"backbone": "densenet121", "arguments": {"growth_rate": 8, "block_config": [2, 2, 2, 2]}},
}
ENSEMBLE = {
    "members": BACKBONES,
    "folds": 2,
    "dropout": 0.1,
    "fit": {"images": 512, "batch": 16, "learning_rate": 4e-3},
    "launch": LAUNCH,
}
SFN = {"backbone": BACKBONES["resnet"], "fit": {"images": 768, "batch": 16, "learning_rate": 4e-3}, "launch": LAUNCH}
GAN = {
    "size": SIZE,
    "noise_size": 16,
    "images": 32,
    "batch": 8,
    "style_prior": "empirical",
    "generator": {"name": "srresnet", "arguments": {"channels": 16, "blocks": 1, "up_channels": [16, 8, 8], "last_kernel": 5}},
    "discriminator": {"name": "srresnet_discriminator", "arguments": {"widths": [8, 16, 16], "blocks": [0, 0, 0]}},
    "preview_columns": 3,
    "launch": LAUNCH,
}
QUALITY = {"folds": 2, "fit": {"images": 480, "batch": 16, "learning_rate": 2e-3, "loss": {"quality": 2.0}}, "launch": LAUNCH}


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Whoever runs the tests may have a Label Studio, a workspace and models of their own named in the environment, colours
    forced and a narrow terminal: no test knows. Done before a test is imported, for typer reads some of it when it is."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:  # what pytest itself prints is as wide as your terminal
        writer = config.get_terminal_writer()
        writer.fullwidth = writer.fullwidth
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    for name in YOURS:
        patch.delenv(name, raising=False)
    patch.setenv("COLUMNS", "200")
    patch.setenv("TERM", "dumb")


@pytest.fixture(scope="session")
def alive() -> Callable[[int], bool]:
    """`alive(pid)`: whether a process runs; one that ended and that nobody has asked about yet does not."""

    def runs(pid: int) -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        if Path("/proc/self/stat").exists():
            try:
                return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
            except OSError:
                return False
        told = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout
        return bool(told.strip()) and not told.strip().startswith("Z")

    return runs


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real faces: SGA_REAL_DATA, or `../shared/data` beside a checkout. Absent: the test is skipped."""
    folder = Path(os.environ.get("SGA_REAL_DATA", BESIDE))
    if not (folder / "faces.csv").is_file():
        pytest.skip(f"no real faces in {folder}: set SGA_REAL_DATA to the folder that holds faces.csv")
    return folder


@pytest.fixture(scope="session")
def tiny_settings() -> dict[str, dict[str, Any]]:
    """Settings of each stage that take seconds on one core, as its Settings class reads them."""
    return {"launch": LAUNCH, "ensemble": ENSEMBLE, "sfn": SFN, "gan": GAN, "quality": QUALITY}


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[Path], Path]:
    """`copy_of(workspace)`: the same workspace, to be changed at will."""

    def copy(workspace: Path) -> Path:
        return Path(shutil.copytree(workspace, tmp_path / "workspace"))

    return copy


@pytest.fixture(scope="session")
def faces_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sample faces with 30 % of the labels hidden, ingested: gender, hair colour, smile and quality."""
    import yaml

    from labeling.ingest import IngestSettings, ingest
    from labeling.samples import SampleSettings, write_samples
    from labeling.schema import Schema

    folder = tmp_path_factory.mktemp("samples")
    whole = Schema.load("moe34")
    chosen = {"name": "tiny", "attributes": [whole[name].model_dump(mode="json") for name in ATTRIBUTES]}
    (folder / "schema.yaml").write_text(yaml.safe_dump(chosen))
    report = write_samples(SampleSettings(count=COUNT, size=SIZE, hidden=0.3, male=0.4), folder / "drawn")
    rest = tuple(name for name in whole.names if name not in ATTRIBUTES)
    settings = IngestSettings(schema_name=str(folder / "schema.yaml"), size=SIZE, ignore=rest, workers=1)
    ingest([report.faces], folder / "workspace", settings, report.labels)
    return folder / "workspace"


@pytest.fixture(scope="session")
def ensemble_workspace(faces_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """And its labels completed by two members in two folds."""
    from classifiers.complete import complete
    from classifiers.ensemble import EnsembleSettings
    from labeling.workspace import Workspace

    root = _copy(faces_workspace, tmp_path_factory)
    complete(Workspace(root), EnsembleSettings.model_validate(ENSEMBLE), progress=False)
    return root


@pytest.fixture(scope="session")
def sfn_workspace(ensemble_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """And a style for every face."""
    from classifiers.sfn import SfnSettings, train_sfn
    from labeling.workspace import Workspace

    root = _copy(ensemble_workspace, tmp_path_factory)
    train_sfn(Workspace(root), SfnSettings.model_validate(SFN), progress=False)
    return root


@pytest.fixture(scope="session")
def gan_workspace(sfn_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """And a generator that took four steps."""
    from labeling.workspace import Workspace
    from sga.training import GanSettings, train

    root = _copy(sfn_workspace, tmp_path_factory)
    assert train(Workspace(root), GanSettings.model_validate(GAN), progress=False).finished
    return root


@pytest.fixture(scope="session")
def studio_executable() -> Path:
    """The program label-studio, installed into a cache folder if need be; without it, tests are skipped."""
    install = runpy.run_path(str(Path(__file__).with_name("studio_install.py")))
    try:
        return Path(install["executable"]())
    except install["NotInstalledError"] as error:
        pytest.skip(f"Label Studio is not installed and cannot be: {error}")


@pytest.fixture(scope="session")
def studio_template(studio_executable: Path) -> Path:
    """A migrated data folder to hand to `LocalServer.start`, which spares a minute."""
    install = runpy.run_path(str(Path(__file__).with_name("studio_install.py")))
    try:
        return Path(install["template"](studio_executable))
    except install["NotInstalledError"] as error:
        pytest.skip(f"Label Studio cannot make its database: {error}")


@pytest.fixture(scope="session")
def studio_server(
    studio_executable: Path, studio_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalServer]:
    """A Label Studio that may read the pictures of every test's folder. Each test makes projects of its own."""
    pytest.importorskip("label_studio_sdk")
    from labeling.studio.server import LocalServer
    from labeling.workspace import Workspace

    space = Workspace(tmp_path_factory.getbasetemp())
    with LocalServer.start(space, executable=studio_executable, template=studio_template) as server:
        yield server


@pytest.fixture
def studio(studio_server: LocalServer) -> Iterator[StudioClient]:
    """A client of the shared server."""
    from labeling.studio.client import StudioClient

    with StudioClient(studio_server.connection) as client:
        yield client


def _copy(workspace: Path, factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(workspace, factory.mktemp("stage") / "workspace"))
