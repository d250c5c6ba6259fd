"""What is small enough to be downloaded: weights in 8 bits, and a small judge that says what the big one says."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from configs.files import read_json
from labeling.schema import Schema
from sga import FaceModel
from sga.export.attempts import judged_attempts
from sga.export.graphs import GeneratorGraph, export_generator
from sga.export.small_judge import SmallJudgeSettings, add_small_judge, distillation_losses
from sga.export.weights import store_weights
from sga.model_folder import ModelFolder, seal_model_folder
from sga.models import make_network

MakeModel = Callable[..., Path]


def affine(weight: np.ndarray, bias: np.ndarray) -> onnx.ModelProto:
    """y = x · weightᵀ + bias."""
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", None]) for name in ("x", "y")]
    constants = [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")]
    node = helper.make_node("Gemm", ["x", "weight", "bias"], ["y"], transB=1)
    graph = helper.make_graph([node], "affine", ports[:1], ports[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["y"], {"x": x})[0])


@pytest.mark.parametrize("axis", [0, 1])
def test_8_bits_are_exact_where_the_weight_is_a_multiple_of_a_scale_a_channel(axis: int) -> None:
    rng = np.random.default_rng(axis)
    whole = rng.integers(-127, 128, (24, 80)).astype(np.float32)
    np.moveaxis(whole, axis, 0)[:, 0] = 127  # every channel reaches its largest
    scale = 2.0 ** rng.integers(-9, 2, (24, 1) if axis == 0 else (1, 80))
    weight, bias, x = (whole * scale).astype(np.float32), rng.normal(size=24).astype(np.float32), rng.normal(size=(5, 80))
    model = affine(weight, bias)
    expected = run(model, x.astype(np.float32))
    store_weights(model, "int8")
    stored = {one.name: one for one in model.graph.initializer}
    assert stored["weight_int8"].data_type == TensorProto.INT8
    assert stored["weight_scale"].dims == ([24, 1] if axis == 0 else [1, 80])
    np.testing.assert_array_equal(run(model, x.astype(np.float32)), expected)


def test_a_rounded_weight_is_off_by_half_a_step_at_most_and_zeros_stay() -> None:
    rng = np.random.default_rng(3)
    weight = rng.normal(size=(16, 32)).astype(np.float32)
    weight[4] = 0
    model = affine(weight, np.zeros(16, np.float32))
    store_weights(model, "int8")
    again = run(model, np.eye(32, dtype=np.float32)).T
    assert (again[4] == 0).all()
    steps = np.minimum(np.abs(weight).max(axis=0, keepdims=True), 1e9) / 127, np.abs(weight).max(axis=1, keepdims=True) / 127
    error = np.abs(again - weight)
    assert any((error <= 0.5001 * step).all() for step in steps)
    assert error.max() > 0


def test_a_generator_in_8_bits_is_a_quarter_and_draws_the_same_faces(tmp_path: Path) -> None:
    torch.manual_seed(0)
    generator = make_network("generator", "srresnet", size=64, noise_size=16, style_size=30, channels=32, blocks=3)
    with torch.no_grad():
        for _ in range(20):
            generator(torch.randn(16, 16), torch.randint(2, (16,)), torch.randn(16, 30))
    generator.eval()
    export_generator(tmp_path / "half.onnx", generator, 16, 30)
    export_generator(tmp_path / "int8.onnx", generator, 16, 30, "int8")
    sizes = [(tmp_path / f"{name}.onnx").stat().st_size for name in ("half", "int8")]
    assert sizes[1] < 0.58 * sizes[0]
    inputs = torch.randn(4, 16).clamp(-1, 1), torch.tensor([0, 1, 0, 1]), torch.randn(4, 30).clamp(-1, 1)
    with torch.no_grad():
        expected = GeneratorGraph(generator)(*inputs).numpy().astype(int)
    session = onnxruntime.InferenceSession(tmp_path / "int8.onnx", providers=["CPUExecutionProvider"])
    feed = {name: value.numpy() for name, value in zip(("noise", "gender", "style"), inputs, strict=True)}
    found = session.run(["image"], feed)[0].astype(int)
    assert expected.std() > 15
    assert 0 < np.abs(found - expected).mean() < 2


def test_distillation_is_zero_at_the_big_judges_answer_and_known_elsewhere() -> None:
    schema = Schema.load("faces")
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(6, schema.logit_width, generator=rng)
    style = torch.randn(6, 30, generator=rng)
    targets: dict[str, Any] = {"style": style.clone()}
    for attribute in schema:
        out = logits[:, schema.logit_slices[attribute.name]]
        if attribute.kind == "exclusive":
            targets[attribute.name] = out.softmax(dim=1)
        else:
            targets["quality" if attribute.role == "quality" else attribute.name] = out[:, 0].sigmoid()
    losses = distillation_losses(schema, logits, style, targets)
    assert losses.keys() == {"style", *schema.names}
    assert max(loss.abs().item() for loss in losses.values()) < 1e-6

    quality = schema.with_role("quality")[0].name
    shifted = logits.clone()
    shifted[:, schema.logit_slices[quality]] = 0.0  # says 1/2
    chance = targets["quality"].double()
    expected = (chance * (2 * chance).log() + (1 - chance) * (2 - 2 * chance).log()).mean()
    assert distillation_losses(schema, shifted, style, targets)[quality].item() == pytest.approx(expected.item(), rel=1e-5)
    assert distillation_losses(schema, logits, style + 2, targets)["style"].item() == pytest.approx(4, rel=1e-5)


def test_the_small_judge_learns_what_the_big_one_says(make_model: MakeModel, tmp_path: Path) -> None:
    folder = make_model()
    attempts = judged_attempts(FaceModel.load(folder), 1024)
    settings = SmallJudgeSettings.model_validate(
        {
            "backbone": {"backbone": "resnet10t", "arguments": {"channels": [8, 16, 24, 32]}},
            "hidden": 32,
            "samples": 1024,
            "images": 6_400,
            "batch": 32,
            "learning_rate": 4e-3,
            "launch": {"accelerator": "cpu"},
        }
    )
    before = ModelFolder.load(folder)
    report = add_small_judge(folder, attempts, settings, progress=False)
    after = ModelFolder.load(folder)
    assert report.samples == 128
    assert min(report.attributes[name] for name in ("gender", "hair_color", "glasses")) > 0.8
    assert after.hash != before.hash
    assert "judge-small.onnx" in after.spec.files
    # Same inputs and outputs as the big one.
    sessions = [
        onnxruntime.InferenceSession(after.read(name), providers=["CPUExecutionProvider"])
        for name in ("judge.onnx", "judge-small.onnx")
    ]
    shapes = [[(port.name, port.shape[1:]) for port in [*one.get_inputs(), *one.get_outputs()]] for one in sessions]
    assert shapes[0] == shapes[1]

    # The report is what a model with the small judge in the big one's place finds.
    swapped = Path(shutil.copytree(folder, tmp_path / "swapped"))
    shutil.copyfile(folder / "judge-small.onnx", swapped / "judge.onnx")
    seal_model_folder(swapped, read_json(folder / "model.json"))
    held = np.arange(0, 1024, 8)
    told = FaceModel.load(swapped, engine="onnxruntime").judge(attempts.images[held])
    assert report.quality == pytest.approx(np.corrcoef(told.quality, attempts.verdict.quality[held])[0, 1], rel=1e-3)
    same = np.array(told.gender) == np.array(attempts.verdict.gender)[held]
    assert report.attributes["gender"] == pytest.approx(same.mean(), abs=0.01)


def test_attempts_are_of_both_genders_and_the_same_each_time(make_model: MakeModel) -> None:
    model = FaceModel.load(make_model())
    one, other = judged_attempts(model, 70), judged_attempts(model, 300).first(70)
    np.testing.assert_array_equal(one.images, other.images)
    np.testing.assert_array_equal(one.verdict.quality, other.verdict.quality)
    assert one.gender.tolist() == [index % 2 for index in range(70)]
    assert len(other) == len(other.verdict.gender) == 70
