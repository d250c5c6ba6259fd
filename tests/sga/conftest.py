"""A small real model folder: ONNX networks that compute something, run by the real runtime."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sga.model_folder import UPSCALER, seal_model_folder

SIZE, NOISE, STYLE = 96, 16, 30
SCHEMA = {
    "name": "tiny",
    "attributes": [
        {"name": "gender", "kind": "exclusive", "role": "gender", "values": ["female", "male"]},
        {"name": "hair_color", "kind": "exclusive", "role": "style", "values": ["blue", "gray", "green"]},
        {"name": "glasses", "kind": "independent", "role": "style"},
        {"name": "quality", "kind": "ordinal", "role": "quality", "values": ["low", "median", "high"]},
    ],
}


def _model(nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: dict[str, np.ndarray]) -> bytes:
    from onnx import checker, helper, numpy_helper

    weights = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model, full_check=True)
    return model.SerializeToString()


def tiny_generator(*, style: bool = True) -> bytes:
    """A linear layer to 12x12, three deconvolutions to 96x96; gender and style[1] tint red and blue, style[0] green."""
    from onnx import TensorProto, helper

    make, rng = helper.make_node, np.random.Generator(np.random.PCG64(1))

    def normal(*shape: int, scale: float) -> np.ndarray:
        return (rng.standard_normal(shape) * scale).astype(np.float32)

    style_tint = np.zeros((STYLE, 3), dtype=np.float32)
    style_tint[0, 1], style_tint[1] = 0.3, (0.12, 0, -0.12)
    constants = {
        "fc": normal(NOISE + STYLE if style else NOISE, 16 * 144, scale=0.35 if style else 0.6),
        "start": np.array([0, 16, 12, 12], dtype=np.int64),
        "up1": normal(16, 16, 4, 4, scale=0.12),
        "up2": normal(16, 12, 4, 4, scale=0.12),
        "up3": normal(12, 3, 4, 4, scale=0.14),
        "tints": np.array([[0.32, 0.22, 0.12], [0.12, 0.22, 0.32]], dtype=np.float32),
        "spread": np.array([0, 3, 1, 1], dtype=np.int64),
        "style_tint": style_tint,
        "half": np.array(127.5, dtype=np.float32),
    }
    up = {"strides": [2, 2], "pads": [1, 1, 1, 1]}
    nodes = [
        make("Concat", ["noise", "style"], ["latent"], axis=1),
        make("MatMul", ["latent", "fc"], ["flat"]),
        make("Reshape", ["flat", "start"], ["grid"]),
        make("ConvTranspose", ["grid", "up1"], ["c1"], **up),
        make("Relu", ["c1"], ["r1"]),
        make("ConvTranspose", ["r1", "up2"], ["c2"], **up),
        make("Relu", ["c2"], ["r2"]),
        make("ConvTranspose", ["r2", "up3"], ["c3"], **up),
        make("Gather", ["tints", "gender"], ["tint"], axis=0),
        make("MatMul", ["style", "style_tint"], ["shift"]),
        make("Add", ["tint", "shift"], ["shade"]),
        make("Reshape", ["shade", "spread"], ["shade4"]),
        make("Add", ["c3", "shade4"], ["sum"]),
        make("Tanh", ["sum"], ["signed"]),
        make("Mul", ["signed", "half"], ["scaled"]),
        make("Add", ["scaled", "half"], ["shifted"]),
        make("Round", ["shifted"], ["rounded"]),
        make("Cast", ["rounded"], ["bytes"], to=TensorProto.UINT8),
        make("Transpose", ["bytes"], ["image"], perm=[0, 2, 3, 1]),
    ]
    inputs = [
        helper.make_tensor_value_info("noise", TensorProto.FLOAT, ["b", NOISE]),
        helper.make_tensor_value_info("gender", TensorProto.INT64, ["b"]),
        helper.make_tensor_value_info("style", TensorProto.FLOAT, ["b", STYLE]),
    ]
    if not style:
        del inputs[2], constants["style_tint"]
        nodes[0] = make("Identity", ["noise"], ["latent"])
        nodes = [node for node in nodes if node.output[0] not in ("shift", "shade")]
        next(node for node in nodes if node.output[0] == "shade4").input[0] = "tint"
    return _model(nodes, inputs, [helper.make_tensor_value_info("image", TensorProto.UINT8, ["b", SIZE, SIZE, 3])], constants)


def tiny_judge(contrast: float = 3.4) -> bytes:
    """Red against blue is gender, green hair colour and glasses, a projection of pooled pixels style, contrast quality."""
    from onnx import TensorProto, helper

    make, rng = helper.make_node, np.random.Generator(np.random.PCG64(2))
    colours = np.zeros((3, 6), dtype=np.float32)
    colours[:, 0], colours[:, 1] = (12, 0, -12), (-12, 0, 12)  # female, male
    colours[1, 2:5], colours[1, 5] = (-30, 0, 30), 12  # blue, gray, green; glasses
    constants = {
        "scale": np.array(1 / 255, dtype=np.float32),
        "colours": colours,
        "offsets": np.array([0, 0, 13.5, 0, -16.5, -6], dtype=np.float32),
        "genders": np.array([0, 1], dtype=np.int64),
        "hairs": np.array([2, 3, 4], dtype=np.int64),
        "glass": np.array([5], dtype=np.int64),
        "flat": np.array([0, 108], dtype=np.int64),
        "style_fc": (rng.standard_normal((108, STYLE)) * 0.5).astype(np.float32),
        "gain": np.array(60, dtype=np.float32),
        "bias": np.array(contrast, dtype=np.float32),
    }
    nodes = [
        make("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        make("Mul", ["float", "scale"], ["unit"]),
        make("Transpose", ["unit"], ["planes"], perm=[0, 3, 1, 2]),
        make("ReduceMean", ["planes"], ["mean"], axes=[2, 3], keepdims=0),
        make("MatMul", ["mean", "colours"], ["product"]),
        make("Add", ["product", "offsets"], ["logits"]),
        make("Gather", ["logits", "genders"], ["gender_logits"], axis=1),
        make("Gather", ["logits", "hairs"], ["hair_logits"], axis=1),
        make("Gather", ["logits", "glass"], ["glass_logit"], axis=1),
        make("Softmax", ["gender_logits"], ["gender_p"], axis=1),
        make("Softmax", ["hair_logits"], ["hair_p"], axis=1),
        make("Sigmoid", ["glass_logit"], ["glass_p"]),
        make("Concat", ["gender_p", "hair_p", "glass_p"], ["probabilities"], axis=1),
        make("AveragePool", ["planes"], ["pooled"], kernel_shape=[16, 16], strides=[16, 16]),
        make("Reshape", ["pooled", "flat"], ["pixels"]),
        make("MatMul", ["pixels", "style_fc"], ["style"]),
        make("ReduceMean", ["planes"], ["centre"], axes=[2, 3], keepdims=1),
        make("Sub", ["planes", "centre"], ["apart"]),
        make("Mul", ["apart", "apart"], ["square"]),
        make("ReduceMean", ["square"], ["variance"], axes=[1, 2, 3], keepdims=0),
        make("Mul", ["variance", "gain"], ["gained"]),
        make("Sub", ["gained", "bias"], ["quality_logit"]),
        make("Sigmoid", ["quality_logit"], ["quality"]),
    ]
    outputs = [
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["b", 6]),
        helper.make_tensor_value_info("style", TensorProto.FLOAT, ["b", STYLE]),
        helper.make_tensor_value_info("quality", TensorProto.FLOAT, ["b"]),
    ]
    return _model(nodes, [helper.make_tensor_value_info("image", TensorProto.UINT8, ["b", SIZE, SIZE, 3])], outputs, constants)


def tiny_styles() -> dict[str, np.ndarray]:
    """60 styles; hair colour follows style[0], as the judge will see it in the green."""
    style = (_bytes("styles", 60, STYLE) / 128).astype(np.float16)
    hair = np.digitize(style[:, 0].astype(np.float32), [-0.3, 0.3]).astype(np.int8)
    glasses = (style[:, 0] > 0).astype(np.int8)
    return {"style": style, "gender": (np.arange(60) % 2).astype(np.int8), "hair_color": hair, "glasses": glasses}


def tiny_critic(inputs: int = NOISE + STYLE + 2) -> dict[str, np.ndarray]:
    """Integer weights without a meaning."""
    return {
        "weight0": _bytes("weight0", 8, inputs),
        "bias0": _bytes("bias0", 8).astype(np.int64) * 40,
        "weight1": _bytes("weight1", 1, 8),
        "bias1": np.array([17], dtype=np.int64),
        "shift": np.array([7], dtype=np.int64),
    }


def _bytes(name: str, *shape: int) -> np.ndarray:
    """Signed bytes as int16 that no version of NumPy can change."""
    content = hashlib.shake_256(name.encode()).digest(int(np.prod(shape)))
    return np.frombuffer(content, np.int8).reshape(shape).astype(np.int16)


def tiny_spec(**changes: Any) -> dict[str, Any]:
    """What model.json holds."""
    spec = {
        "name": "tiny",
        "schema": SCHEMA,
        "size": SIZE,
        "noise_size": NOISE,
        "style_size": STYLE,
        "style_prior": "empirical",
        "style_jitter": 0.25,
        "thresholds": {"quality": 0.4, "gender": 0.6},
        "defaults": {"max_attempts": 12},
        "micro_batch": 8,
        "avatar_attempts": 64,
        "licence": "Drawn by a test: free",
        "training": {},
        "metrics": {},
    }
    return {**spec, **changes}


MakeModel = Callable[..., Path]


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory) -> MakeModel:
    """A function that writes a tiny model folder.

    critic adds a latent critic, contrast shifts what the judge says of quality, the rest changes model.json.
    """
    pytest.importorskip("onnx", reason="the extra train writes the networks of the test model")
    generators = {style: tiny_generator(style=style) for style in (True, False)}

    def make(*, critic: bool = False, contrast: float = 3.4, **changes: Any) -> Path:
        folder = tmp_path_factory.mktemp("model")
        (folder / "generator.onnx").write_bytes(generators[changes.get("style_size", STYLE) > 0])
        (folder / "judge.onnx").write_bytes(tiny_judge(contrast))
        np.savez(folder / "styles.npz", **tiny_styles())
        if critic:
            np.savez(folder / "critic.npz", **tiny_critic())
        seal_model_folder(folder, tiny_spec(**changes))
        return folder

    return make


@pytest.fixture(scope="session")
def model_path(make_model: MakeModel) -> Path:
    """The tiny model folder, with a critic. Read only: copy it before changing it."""
    return make_model(critic=True)


@pytest.fixture(scope="session")
def sharp(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with an upscaler that learnt nothing. Read only."""
    torch = pytest.importorskip("torch", reason="the extra train writes the upscaler of the test model")
    from sga.upscale.graph import export_upscaler
    from sga.upscale.network import UpscaleNetwork

    folder = Path(shutil.copytree(model_path, tmp_path_factory.mktemp("sharp") / "model"))
    torch.manual_seed(3)
    export_upscaler(folder / UPSCALER, UpscaleNetwork(8, 1))
    seal_model_folder(folder, json.loads((folder / "model.json").read_text()))
    return folder


@pytest.fixture(scope="session")
def vivid_workspace(gan_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained workspace whose generator draws patterns that differ: the few steps of its training leave them all grey."""
    from labeling.workspace import Workspace
    from sga.training import GanSettings
    from sga.training.snapshot import read_generator, save_generator

    root = Path(shutil.copytree(gan_workspace, tmp_path_factory.mktemp("vivid") / "workspace"))
    stored = read_generator(root / "gan")
    network, settings = stored.network(), GanSettings.model_validate(stored.described["settings"])
    for name, factor in (("fc.weight", 20.0), ("last.weight", 60.0)):
        network.get_parameter(name).mul_(factor)
    save_generator(root / "gan", network, settings, Workspace(root).table().schema, stored.described["images"])
    return root
