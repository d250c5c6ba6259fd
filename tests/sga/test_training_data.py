import hashlib
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from configs import load_settings
from configs.errors import ConfigError, WorkspaceError
from labeling.provenance import Source
from labeling.schema import Attribute, Schema
from labeling.table import LabelTable
from labeling.workspace import Workspace
from sga.training import GanSettings, load_training_faces

gan = runpy.run_path(str(Path(__file__).with_name("gan_run.py")))
SOURCES = (Source.MISSING, Source.COMPLETED, Source.ORIGINAL, Source.HUMAN)


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with faces, labels of every source and styles, written as the stages before write them."""
    root = tmp_path_factory.mktemp("ingested")
    drawn = gan["draw_faces"](24)
    faces = [hashlib.sha256(image.tobytes()).hexdigest() for image in drawn.images]
    files = [f"faces/{face[:2]}/{face}.png" for face in faces]
    for image, file in zip(drawn.images, files, strict=True):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(root / file)
    splits = ["train"] * 20 + ["validation"] * 2 + ["test"] * 2
    table = LabelTable.empty(gan["SCHEMA"], faces, files, splits, faces)
    for number, source in enumerate(SOURCES[1:], start=1):
        rows = np.arange(number, 24, len(SOURCES))
        table.fill("gender", rows, rows // 4 % 2, source)
    table.save(root / "labels.parquet")
    workspace = Workspace(root)
    for stage in ("faces", "ensemble", "sfn"):
        workspace.finish(stage, stage, {})
    order = np.random.default_rng(0).permutation(24)
    np.savez(workspace.folder("sfn") / "styles.npz", face=np.array(faces)[order], style=drawn.style[order])
    return root


@pytest.fixture
def root(ingested: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(ingested, tmp_path / "copy"))


def test_training_faces_are_all_but_the_test_split(ingested: Path) -> None:
    faces = load_training_faces(Workspace(ingested), gan["settings"]())
    drawn = gan["draw_faces"](24)
    assert len(faces) == 22  # 20 of the split train, 2 of validation
    assert np.array_equal(faces.images[np.arange(22)], drawn.images[:22])
    assert np.array_equal(faces.style, drawn.style[:22])
    assert faces.gender[:8].tolist() == [-1, 0, 0, 0, -1, 1, 1, 1]
    np.testing.assert_allclose(faces.gender_weight[:8], [0, 0.2, 1, 1, 0, 0.2, 1, 1])
    assert faces.schema == gan["SCHEMA"]
    other = load_training_faces(Workspace(ingested), gan["settings"]("completed_weight=0.5"))
    assert other.gender_weight[1] == 0.5
    assert other.fingerprint() != faces.fingerprint()
    none = load_training_faces(
        Workspace(ingested), gan["settings"]("style_size=0", "weights.style=0", "style_prior=truncated_normal")
    )
    assert none.style.shape == (22, 0)


def test_the_command_trains_a_workspace(ingested: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from sga.cli.train import train

    overrides = [*gan["TINY"], "images=8"]
    train(ingested, preset="smoke", overrides=overrides, dry_run=True)
    assert "noise_size: 8" in capsys.readouterr().out
    assert not (ingested / "gan").exists()
    train(ingested, preset="smoke", overrides=overrides, dry_run=False, accept_changes=False)
    assert "sga quality draw" in capsys.readouterr().out
    assert Workspace(ingested).state("gan") == "done"


@pytest.mark.parametrize(("has_gpu", "wanted"), [(False, "sga96-cpu"), (True, "sga96")])
def test_the_default_preset_is_one_for_this_machine(
    has_gpu: bool, wanted: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from sga.cli.train import train

    monkeypatch.setattr("torch.cuda.is_available", lambda: has_gpu)
    train(tmp_path, dry_run=True)
    text = capsys.readouterr().out
    assert text.startswith(f"# preset {wanted}: {'a' if has_gpu else 'no'} GPU was found\n")
    assert yaml.safe_load(text) == load_settings(GanSettings, "gan", wanted).model_dump(mode="json")
    train(tmp_path, preset="smoke", dry_run=True)
    assert "# preset" not in capsys.readouterr().out


def test_a_workspace_that_does_not_fit_is_explained(root: Path) -> None:
    workspace, settings = Workspace(root), gan["settings"]()
    with pytest.raises(WorkspaceError, match=r"16 px.*--set size=16"):
        load_training_faces(workspace, gan["settings"]("size=32"))
    with pytest.raises(WorkspaceError, match=r"4, found 5.*--set style_size=4"):
        load_training_faces(workspace, gan["settings"]("style_size=5"))
    styles = workspace.folder("sfn") / "styles.npz"
    with np.load(styles) as stored:
        np.savez(styles, face=stored["face"][:5], style=stored["style"][:5])
    with pytest.raises(WorkspaceError, match=r"of 22\. Type again: sga sfn"):
        load_training_faces(workspace, settings)
    styles.write_bytes(b"nothing")
    with pytest.raises(WorkspaceError, match="none that can be read"):
        load_training_faces(workspace, settings)
    (workspace.folder("sfn") / "stage.json").unlink()
    with pytest.raises(WorkspaceError, match="Type first: sga sfn"):
        load_training_faces(workspace, settings)


def test_a_schema_without_gender_is_refused(root: Path) -> None:
    workspace = Workspace(root)
    old = workspace.table()
    schema = Schema(name="none", attributes=(Attribute(name="hat", kind="independent", role="style"),))
    columns = (list(old.frame[name]) for name in ("face", "file", "split", "group"))
    LabelTable.empty(schema, *columns).save(workspace.labels_path)
    with pytest.raises(ConfigError, match="role gender"):
        load_training_faces(workspace, gan["settings"]())
