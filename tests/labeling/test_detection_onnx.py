"""Real small ONNX detectors: a convolution finds bright red squares, in each layout that detectors are exported with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from configs.errors import InputError
from labeling.detection import DetectionSettings, find_faces, make_detector, overlap

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

SIDE, CELL = 128, 8
BLOB = 32
"""px of the input: what the network answers to."""
COUNT = (SIDE // CELL - 3) ** 2

Boxes = list[tuple[int, int, int]]


def network(path: Path, layout: str, **how: Any) -> Path:
    """A detector whose score is how red a window of 32×32 px is, over that of its surroundings.

    It averages red minus half of green and blue over cells of 8 px, sums 4×4 cells, and gives the squares in `layout`.
    """
    first, size = how.get("first", True), how.get("size", SIDE)
    cells = SIDE // CELL - 3
    kernel = np.zeros((1, 3, CELL, CELL), np.float32)
    kernel[0, 0], kernel[0, 1:] = 1 / CELL**2, -0.5 / CELL**2
    weights = {"kernel": kernel, "sum": np.full((1, 1, 4, 4), 1 / 16, np.float32), "flat": np.array([1, COUNT, 1], np.int64)}
    nodes = []
    source = "image"
    if how.get("kind", "FLOAT") != "FLOAT":
        nodes.append(helper.make_node("Cast", [source], ["float"], to=TensorProto.FLOAT))
        weights["byte"] = np.array(255.0 if how["kind"] == "UINT8" else 1.0, np.float32)
        nodes.append(helper.make_node("Div", ["float", "byte"], ["scaled"]))
        source = "scaled"
    if not first:
        nodes.append(helper.make_node("Transpose", [source], ["channels"], perm=[0, 3, 1, 2]))
        source = "channels"
    nodes += [
        helper.make_node("Conv", [source, "kernel"], ["red"], strides=[CELL, CELL]),
        helper.make_node("Conv", ["red", "sum"], ["window"]),
        helper.make_node("Clip", ["window", "low", "high"], ["clipped"]),
        helper.make_node("Reshape", ["clipped", "flat"], ["score"]),
    ]
    weights |= {"low": np.array(0.0, np.float32), "high": np.array(1.0, np.float32)}
    y, x = (axis.reshape(-1) * CELL for axis in np.meshgrid(np.arange(cells), np.arange(cells), indexing="ij"))
    corner = np.stack([x, y, x + BLOB, y + BLOB], axis=1).astype(np.float32)[None]
    centre = np.stack([x + BLOB / 2, y + BLOB / 2, *np.full((2, COUNT), BLOB)], axis=1).astype(np.float32)[None]
    weights |= {"corner": corner, "centre": centre, "share": corner / SIDE, "one": np.ones((1, COUNT, 1), np.float32)}
    outputs = {
        "yolo": [("Concat", ["centre", "score"], {"axis": 2}), ("Transpose", ["v0"], {"perm": [0, 2, 1]})],
        "rows5": [("Concat", ["centre", "score"], {"axis": 2})],
        "yolo5": [("Concat", ["centre", "score", "one", "one"], {"axis": 2})],
        "rows": [("Concat", ["corner", "score", "one"], {"axis": 2})],
        "boxes": [("Identity", ["share"], {}), ("Identity", ["score"], {})],
        "background": [("Sub", ["one", "score"], {}), ("Concat", ["v0", "score"], {"axis": 2}), ("Identity", ["corner"], {})],
        "scores": [("Identity", ["score"], {})],
        "big": [("Mul", ["score", "hundred"], {}), ("Concat", ["centre", "v0"], {"axis": 2})],
    }[layout]
    weights["hundred"] = np.array(100.0, np.float32)
    nodes += [helper.make_node(kind, inputs, [f"v{i}"], **extra) for i, (kind, inputs, extra) in enumerate(outputs)]
    last = {"boxes": ["v0", "v1"], "background": ["v2", "v1"]}.get(layout, [f"v{len(outputs) - 1}"])
    shape = [1, 3, size, size] if first else [1, size, size, 3]
    kind = getattr(TensorProto, how.get("kind", "FLOAT"))
    graph = helper.make_graph(
        nodes,
        "red",
        [helper.make_tensor_value_info("image", kind, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in last],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def scene(boxes: Boxes, width: int = 512, height: int = 384) -> Image.Image:
    """A gray-blue picture with red squares (left, top, side)."""
    pixels = np.full((height, width, 3), (90, 100, 120), dtype=np.uint8)
    for left, top, side in boxes:
        pixels[top : top + side, left : left + side] = (250, 20, 20)
    return Image.fromarray(pixels)


def found(path: Path, image: Image.Image, **settings: Any) -> np.ndarray:
    chosen = DetectionSettings(detector=str(path), rotate="never", min_score=0.7, **settings)
    return np.array([one.box for one in find_faces(image, make_detector(chosen), chosen)]).reshape(-1, 4)


TWO: Boxes = [(64, 32, 128), (320, 192, 128)]  # 128 px in a picture four times as large as the input


@pytest.mark.parametrize("layout", ["yolo", "rows5", "rows", "boxes", "background"])
def test_layouts_tell_themselves(tmp_path: Path, layout: str) -> None:
    boxes = found(network(tmp_path / "d.onnx", layout), scene(TWO))
    assert len(boxes) == 2
    expected = np.array([(left, top, side, side) for left, top, side in TWO], dtype=float)
    assert (np.diag(overlap(boxes, expected)[0]) > 0.95).all()


def test_objectness_is_told_by_a_setting_where_the_shape_is_that_of_rows(tmp_path: Path) -> None:
    path = network(tmp_path / "d.onnx", "yolo5")
    assert len(found(path, scene(TWO))) == 2  # seven columns: box, objectness, two classes
    assert len(found(path, scene(TWO), layout="yolo5", face_class=1)) == 2
    with pytest.raises(InputError, match="Expected a class below 2"):
        found(path, scene(TWO), face_class=2)


@pytest.mark.parametrize(
    ("first", "kind", "size"),
    [(False, "FLOAT", SIDE), (True, "UINT8", SIDE), (False, "FLOAT16", SIDE), (True, "FLOAT", "side")],
)
def test_inputs(tmp_path: Path, first: bool, kind: str, size: int | str) -> None:
    path = network(tmp_path / "d.onnx", "yolo", first=first, kind=kind, size=size)
    assert len(found(path, scene(TWO), input_size=SIDE)) == 2


def test_blue_first(tmp_path: Path) -> None:
    path = network(tmp_path / "d.onnx", "yolo")
    swapped = Image.fromarray(np.asarray(scene(TWO))[..., ::-1].copy())
    assert len(found(path, swapped)) == 0
    assert len(found(path, swapped, channels="bgr")) == 2


def test_a_tall_picture_keeps_its_ratio(tmp_path: Path) -> None:
    boxes = found(network(tmp_path / "d.onnx", "yolo"), scene([(40, 400, 160)], 240, 640))
    assert overlap(boxes, np.array([[40, 400, 160, 160]]))[0].max() > 0.9


def test_neighbours_of_one_face_are_merged_and_small_ones_left_out(tmp_path: Path) -> None:
    path = network(tmp_path / "d.onnx", "yolo")
    assert len(found(path, scene(TWO[:1]), min_face=32)) == 1  # the four windows beside it score above 0.7 too
    assert len(found(path, scene(TWO[:1]), min_face=129)) == 0


@pytest.mark.parametrize(
    ("layout", "settings", "said"),
    [
        ("scores", {}, "no table of boxes"),
        ("big", {}, "logits"),
        ("yolo", {"layout": "boxes"}, "no output of boxes"),
        ("rows5", {"layout": "rows"}, "rows of 5 numbers"),
    ],
)
def test_outputs_that_are_not_understood(tmp_path: Path, layout: str, settings: dict[str, str], said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        found(network(tmp_path / "d.onnx", layout), scene(TWO), **settings)
    assert "detection.layout" in str(caught.value)


def test_files_that_are_no_detector(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"found nothing\. Name an ONNX file"):
        make_detector(DetectionSettings(detector=str(tmp_path / "none.onnx")))
    (tmp_path / "text.onnx").write_text("I am text")
    with pytest.raises(InputError, match="Expected an ONNX model"):
        make_detector(DetectionSettings(detector=str(tmp_path / "text.onnx")))
    graph = helper.make_graph(
        [helper.make_node("Identity", ["a"], ["b"])],
        "g",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, [1, 7])],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, [1, 7])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "flat.onnx")
    with pytest.raises(InputError, match="Expected one input"):
        make_detector(DetectionSettings(detector=str(tmp_path / "flat.onnx")))


def test_a_model_that_wants_another_size_says_so(tmp_path: Path) -> None:
    path = network(tmp_path / "d.onnx", "yolo", size="side")
    with pytest.raises(InputError, match=r"detection\.input_size"):
        found(path, scene(TWO), input_size=96)


def test_cascade_and_detector_are_not_both_named() -> None:
    with pytest.raises(ValueError, match="not both"):
        DetectionSettings(cascade="a.xml", detector="b.onnx")
