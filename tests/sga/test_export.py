"""Networks as ONNX, and the model folder that a workspace becomes."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto

from classifiers.heads import probabilities
from classifiers.quality import QualitySettings, tune
from classifiers.runtime import LaunchSettings, launch, seed_step
from classifiers.sfn import describe, load_sfn
from configs.errors import InputError, WorkspaceError
from configs.files import hold
from labeling.workspace import Workspace
from sga import FaceModel
from sga.cli import main as cli
from sga.export.graphs import GeneratorGraph, export_generator, export_judge
from sga.export.model import ExportSettings, build_model_folder, export
from sga.model_folder import ModelFolder
from sga.models import make_network
from sga.training import GanSettings, load_generator, train


@pytest.fixture(scope="module")
def tuned(gan_workspace: Path, tiny_settings: dict[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    import shutil

    root = Path(shutil.copytree(gan_workspace, tmp_path_factory.mktemp("tuned") / "workspace"))
    wanted = {**tiny_settings["quality"], "fit": {**tiny_settings["quality"]["fit"], "images": 64}}
    tune(Workspace(root), QualitySettings.model_validate(wanted), progress=False)
    return root


@pytest.fixture(scope="module")
def exported(tuned: Path) -> Path:
    settings = ExportSettings(name="tiny", critic_samples=64, data="Drawn by a test.", notes="Blurs.", licence="Free")
    return export(Workspace(tuned), settings).path


def session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])


def latents(count: int, noise_size: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(count)
    return {
        "noise": rng.uniform(-1, 1, (count, noise_size)).astype(np.float32),
        "gender": np.arange(count) % 2,
        "style": rng.uniform(-1, 1, (count, 30)).astype(np.float32),
    }


@pytest.mark.parametrize("count", [1, 3, 8])
def test_the_generator_draws_what_torch_draws(count: int, exported: Path, tuned: Path) -> None:
    inputs = latents(count, 16)
    (image,) = session(exported / "generator.onnx").run(["image"], inputs)
    assert (image.dtype, image.shape) == (np.uint8, (count, 64, 64, 3))
    graph = GeneratorGraph(load_generator(tuned / "gan"))
    with torch.no_grad():
        expected = graph(*(torch.from_numpy(value) for value in inputs.values())).numpy()
    assert np.abs(image.astype(int) - expected.astype(int)).max() <= 2
    assert image.std() > 0


@pytest.mark.parametrize("count", [1, 3, 8])
def test_the_judge_says_what_torch_says(count: int, exported: Path, tuned: Path) -> None:
    images = np.random.default_rng(count).integers(0, 256, (count, 64, 64, 3), dtype=np.uint8)
    told, style, quality = session(exported / "judge.onnx").run(["probabilities", "style", "quality"], {"image": images})
    network, schema, _ = load_sfn(tuned / "quality" / "judge.safetensors")
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        views = network.judge(pixels), network.judge(pixels.flip(3))  # a face and its mirror image, averaged
    logits, expected = ((one + other) / 2 for one, other in zip(*views, strict=True))
    assert not torch.allclose(views[0][0], views[1][0])
    parts = [probabilities(schema, name, logits) for name in ("gender", "hair_color", "smile")]
    wanted = torch.cat([parts[0], parts[1], parts[2][:, 1:]], dim=1)  # an independent attribute has one column
    np.testing.assert_allclose(told, wanted.numpy(), atol=1e-2)
    np.testing.assert_allclose(style, expected.numpy(), atol=2e-2)
    np.testing.assert_allclose(quality, logits[:, -1].sigmoid().numpy(), atol=1e-2)
    assert {value.dtype for value in (told, style, quality)} == {np.dtype(np.float32)}
    assert (style.shape, quality.shape) == ((count, 30), (count,))


def test_quality_is_the_score_that_was_calibrated(exported: Path, tuned: Path) -> None:
    """Thresholds are set on what `describe` says of a face: the judge that ships must say the same."""
    model = FaceModel.load(exported)
    images = np.stack([face.image for face in model.generate(gender="any", count=12, seed=3, max_attempts=1)])
    network, schema, _ = load_sfn(tuned / "quality" / "judge.safetensors")
    logits, _ = describe(network, images, np.arange(12), launch(LaunchSettings(accelerator="cpu", precision="32", threads=1)))
    score = torch.from_numpy(logits[:, schema.logit_slices["quality"]])[:, 0].sigmoid().numpy()
    np.testing.assert_allclose(model.judge(images).quality, score, atol=5e-3)


def some_generator() -> torch.nn.Module:
    """Fresh weights behind batch norms that have met some noise: pixels of every brightness."""
    seed_step(0, 0)
    generator = make_network("generator", "srresnet", size=64, noise_size=16, style_size=30, channels=32, blocks=3)
    with torch.no_grad():
        for _ in range(40):
            generator(torch.randn(16, 16), torch.randint(2, (16,)), torch.randn(16, 30))
    return generator.eval()


def test_half_precision_halves_the_file(tmp_path: Path) -> None:
    generator = some_generator()
    export_generator(tmp_path / "generator.onnx", generator, 16, 30)
    floats = 4 * sum(value.numel() for value in generator.parameters())
    assert 0.45 < (tmp_path / "generator.onnx").stat().st_size / floats < 0.62
    stored = onnx.load(tmp_path / "generator.onnx").graph.initializer
    large = [one for one in stored if int(np.prod(one.dims)) >= 64]
    assert large
    assert all(one.data_type == TensorProto.FLOAT16 for one in large if one.data_type != TensorProto.INT64)


def test_an_sga_generator_agrees_pixel_by_pixel(tmp_path: Path) -> None:
    generator = some_generator()
    export_generator(tmp_path / "generator.onnx", generator, 16, 30)
    inputs = latents(5, 16)
    (image,) = session(tmp_path / "generator.onnx").run(["image"], inputs)
    with torch.no_grad():
        expected = GeneratorGraph(generator)(*(torch.from_numpy(value) for value in inputs.values())).numpy()
    assert expected.std() > 20
    assert np.mean((expected > 10) & (expected < 245)) > 0.5
    assert np.abs(image.astype(int) - expected.astype(int)).max() <= 2


def test_no_path_of_this_machine_is_inside(exported: Path) -> None:
    home = str(Path(__file__).parents[2])
    for name in ("generator.onnx", "judge.onnx"):
        content = (exported / name).read_bytes()
        for word in (home, "site-packages", "stack_trace", 'File "', "srresnet.py", "/tmp", "/home", "/root"):
            assert word.encode() not in content, (name, word)
        model = onnx.load(exported / name)
        assert not model.doc_string
        assert not model.metadata_props
        for node in model.graph.node:
            assert not node.doc_string
            assert not node.metadata_props
    text = (exported / "model.json").read_text() + (exported / "card.md").read_text()
    assert not re.search(r"/(tmp|home|root|usr)/", text)


def test_the_folder_says_what_it_is(exported: Path, tuned: Path) -> None:
    model = ModelFolder.load(exported)
    spec = json.loads((exported / "model.json").read_text())
    assert (model.spec.name, model.spec.size, model.spec.noise_size, model.spec.style_size) == ("tiny", 64, 16, 30)
    assert model.spec.style_prior == "empirical"
    calibration = json.loads((tuned / "quality" / "calibration.json").read_text())
    assert model.spec.thresholds.quality == calibration["threshold"]
    assert model.spec.thresholds.levels == calibration["levels"]
    assert model.spec.thresholds.levels_by_gender == calibration.get("levels_by_gender", {})
    assert set(spec["metrics"]) == {"classification", "judge_before_and_after", "quality", "critic"}
    assert set(spec["training"]["stages"]) == {"faces", "ensemble", "sfn", "gan", "quality"}
    assert spec["training"]["faces"] == len(Workspace(tuned).table())
    card = (exported / "card.md").read_text()
    for word in (
        "# tiny",
        "Drawn by a test.",
        "Blurs.",
        "balanced accuracy",
        "SFN",
        "gan: finished",
        "images as a GAN in",
        "precision",
        "critic",
    ):
        assert word in card, word
    record = Workspace(tuned).record("model")
    assert record is not None
    assert record["output"] == model.hash
    assert Workspace(tuned).state("model") == "done"


def test_the_styles_are_those_of_training_faces(exported: Path, tuned: Path) -> None:
    table = Workspace(tuned).table()
    train_rows = np.flatnonzero(~table.in_split("test"))
    assert table.in_split("validation").any()
    with np.load(exported / "styles.npz", allow_pickle=False) as stored:
        kept = {name: stored[name] for name in stored.files}
    with np.load(tuned / "sfn" / "styles.npz", allow_pickle=False) as stored:
        style = stored["style"]
    assert set(kept) == {"style", "gender", "hair_color", "smile"}
    assert kept["style"].dtype == np.float16
    np.testing.assert_allclose(kept["style"].astype(np.float32), style[train_rows], atol=2e-3)
    for name in ("gender", "hair_color", "smile"):
        assert kept[name].tolist() == table.codes(name)[train_rows].tolist()


def test_faces_are_drawn_and_judged_from_the_folder_alone(exported: Path) -> None:
    model = FaceModel.load(exported)
    faces = model.generate(gender="male", count=3, seed=1, max_attempts=2)
    assert [face.gender for face in faces] == ["male"] * 3
    assert faces[0].image.shape == (64, 64, 3)
    assert model.avatar("someone").image.tolist() == FaceModel.load(exported).avatar("someone").image.tolist()


def test_exporting_again_changes_nothing_that_draws(exported: Path, tuned: Path, tmp_path: Path) -> None:
    settings = ExportSettings(name="tiny", critic_samples=64, data="Drawn by a test.", notes="Blurs.", licence="Free")
    again = export(Workspace(tuned), settings, tmp_path / "out")
    assert again.hash == ModelFolder.load(exported).hash
    assert not list(tmp_path.glob(".*"))


def test_an_export_elsewhere_keeps_what_lies_there(
    tuned: Path, copy_of: Callable[[Path], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    space, out = Workspace(copy_of(tuned)), tmp_path / "shipped"
    shutil.rmtree(space.folder("model"), ignore_errors=True)
    (space.folder("quality") / "labels.csv").write_text("new labels")
    first = export(space, ExportSettings(name="one", critic_samples=64), out)
    assert space.state("model") == "missing"  # `sga run` still has to make the workspace's own
    beside = {"sheet.png": "sheet", "gender-labels.csv": "a,b", "quality-labels.csv": "old labels", "notes/x.txt": "x"}
    for name, text in beside.items():
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text(text)

    options = ["--out", str(out), "--set", "name=two", "--set", "critic=false"]
    with pytest.raises(SystemExit) as stop:
        cli.main(["export", "--workspace", str(space.root), *options])
    assert not stop.value.code
    assert "Kept as they were, beside the model: gender-labels.csv, notes, sheet.png" in capsys.readouterr().err
    second = ModelFolder.load(out)
    assert second.spec.name == "two"
    assert second.hash != first.hash
    assert {name: (out / name).read_text() for name in beside} == {**beside, "quality-labels.csv": "new labels"}
    assert not (out / "critic.npz").exists()  # a part of the former model, not something beside it
    assert not list(tmp_path.glob(".*"))
    assert space.state("model") == "missing"

    out.rename(tmp_path / ".shipped.former")  # an export killed between its two renames
    assert export(space, ExportSettings(name="three", critic=False), out).spec.name == "three"
    assert (out / "gender-labels.csv").read_text() == "a,b"

    (out / "model.json").unlink()
    before = sorted(out.rglob("*"))
    with pytest.raises(InputError, match=r"Expected a model folder or nothing at .*shipped.*--out"):
        export(space, ExportSettings(critic=False), out)
    assert sorted(out.rglob("*")) == before

    assert export(space, ExportSettings(critic=False), space.folder("model")).path == space.folder("model")
    assert space.state("model") == "done"


def test_two_exports_at_once_are_refused(tuned: Path, tmp_path: Path) -> None:
    building = tmp_path / ".out.building"
    building.mkdir()  # by the other one
    with (
        hold(tmp_path / ".out.lock"),
        pytest.raises(InputError, match=r"found another sga export that writes out\. Wait until it is done"),
    ):
        export(Workspace(tuned), ExportSettings(critic=False), tmp_path / "out")
    assert building.is_dir()


def test_few_styles_are_spread_evenly(tuned: Path, tmp_path: Path) -> None:
    network, _, _ = load_sfn(tuned / "quality" / "judge.safetensors")
    settings = ExportSettings(most_styles=10)
    build_model_folder(Workspace(tuned), tmp_path / "out", network, {"quality": 0.1, "gender": 0.2}, settings, {})
    with np.load(tmp_path / "out" / "styles.npz", allow_pickle=False) as stored:
        assert stored["style"].shape == (10, 30)


def test_a_generator_without_style_is_exported_and_drawn_from(
    sfn_workspace: Path, tiny_settings: dict[str, dict[str, Any]], copy_of: Callable[[Path], Path], tmp_path: Path
) -> None:
    """GA-GAN: gender alone."""
    space = Workspace(copy_of(sfn_workspace))
    wanted = {
        **tiny_settings["gan"],
        "style_size": 0,
        "style_prior": "truncated_normal",
        "weights": {"style": 0.0},
        "images": 8,
    }
    train(space, GanSettings.model_validate(wanted), progress=False)
    network, _, _ = load_sfn(space.folder("sfn") / "network.safetensors")
    build_model_folder(space, tmp_path / "ga", network, {"quality": 0.0, "gender": 0.0}, ExportSettings(name="ga"), {})
    assert {value.name for value in session(tmp_path / "ga" / "generator.onnx").get_inputs()} == {"noise", "gender"}
    model = FaceModel.load(tmp_path / "ga")
    assert model.spec.style_size == 0
    latent = model.draw(3, 0, 0, "female")
    drawn = model.render(latent.noise[None], [latent.gender])
    graph = GeneratorGraph(load_generator(space.folder("gan")))
    with torch.no_grad():
        expected = graph(torch.from_numpy(latent.noise[None]), torch.tensor([latent.gender])).numpy()
    assert np.abs(drawn.astype(int) - expected.astype(int)).max() <= 2
    assert model.generate(gender="female", count=2, seed=3)[1].style.shape == (0,)
    assert model.judge(drawn).style.shape == (1, 30)


def test_the_judge_alone(sfn_workspace: Path, tmp_path: Path) -> None:
    network, schema, _ = load_sfn(sfn_workspace / "sfn" / "network.safetensors")
    export_judge(tmp_path / "judge.onnx", network, schema, 64)
    outputs = {value.name: value.type for value in session(tmp_path / "judge.onnx").get_outputs()}
    assert outputs == dict.fromkeys(("probabilities", "style", "quality"), "tensor(float)")
    assert [value.type for value in session(tmp_path / "judge.onnx").get_inputs()] == ["tensor(uint8)"]


def test_stages_that_do_not_belong_together_are_refused(tuned: Path, copy_of: Callable[[Path], Path]) -> None:
    space = Workspace(copy_of(tuned))
    record = space.record("faces")
    assert record is not None
    space.finish("faces", "another", record["settings"])
    with pytest.raises(WorkspaceError, match=r"earlier inputs.*sga status"):
        export(space, ExportSettings())


def test_a_missing_stage_is_named(gan_workspace: Path) -> None:
    with pytest.raises(WorkspaceError, match="sga quality tune"):
        export(Workspace(gan_workspace), ExportSettings())
