"""A tagger as an ONNX file: a real one, trained here on sample faces, in every form in which such files come."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from configs.errors import ConfigError, InputError
from configs.loader import make_settings
from labeling.ingest import IngestSettings, ingest
from labeling.provenance import Source
from labeling.samples import SampleSettings, write_samples
from labeling.tags.settings import TaggerSettings
from labeling.tags.tag_list import TagList
from labeling.tags.tagger import Tagger
from labeling.workspace import Workspace
from sga.cli.main import main

SIZE, CELLS = 32, 8
TAGS = ("1boy", "blonde_hair", "brown_hair", "black_hair", "blue_hair", "pink_hair", "twintails", "hat", "solo")
TRUTH = {
    **{"1boy": ("gender", "male"), "twintails": ("twintails", "yes"), "hat": ("hat", "yes")},
    **{f"{color}_hair": ("hair_color", color) for color in ("blonde", "brown", "black", "blue", "pink")},
}
Model = Callable[..., TaggerSettings]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sample faces and their truth."""
    return write_samples(SampleSettings(count=150, size=64, seed=2), tmp_path_factory.mktemp("drawn") / "samples").out


@pytest.fixture(scope="module")
def truth(drawn: Path) -> dict[str, dict[str, str]]:
    with (drawn / "truth.csv").open(encoding="utf-8") as handle:
        return {row["file"]: row for row in csv.DictReader(handle)}


def features(picture: np.ndarray) -> np.ndarray:
    """What the network's pooling gives: the mean of each field of a 32-px picture in 0 … 1, colour by colour."""
    small = np.asarray(Image.fromarray(picture).resize((SIZE, SIZE), Image.Resampling.BICUBIC)) / 255
    step = SIZE // CELLS
    return small.reshape(CELLS, step, CELLS, step, 3).mean(axis=(1, 3)).transpose(2, 0, 1).reshape(-1)


@pytest.fixture(scope="module")
def weights(drawn: Path, truth: dict[str, dict[str, str]]) -> tuple[np.ndarray, np.ndarray]:
    """A logistic regression a tag on the fields' colours: (features, tags) and (tags,) float32."""
    from sklearn.linear_model import LogisticRegression

    told = np.stack([features(np.asarray(Image.open(drawn / file))) for file in truth])
    columns = []
    for tag in TAGS:
        name, value = TRUTH.get(tag, ("gender", ""))
        yes = np.array([row[name] == value for row in truth.values()])
        if not yes.any():
            columns.append((np.zeros(told.shape[1]), -3.0))
            continue
        fitted = LogisticRegression(C=30, max_iter=500).fit(told, yes)
        columns.append((fitted.coef_[0], float(fitted.intercept_[0])))
    return np.stack([column for column, _ in columns], axis=1).astype(np.float32), np.float32([bias for _, bias in columns])


@pytest.fixture
def model(tmp_path: Path, weights: tuple[np.ndarray, np.ndarray]) -> Model:
    """`model(layout="nchw", …)`: the same tagger, its file wanting its pictures in this or that form."""

    def make(
        name: str = "tagger",
        *,
        layout: str = "nchw",
        channels: str = "rgb",
        values: str = "0..1",
        kind: int = TensorProto.FLOAT,
        batch: int | str = "n",
        sides: tuple[int | str, int | str] = (SIZE, SIZE),
        logits: bool = False,
        both: bool = False,
        metadata: dict[str, str] | None = None,
        tags: str = "",
        settings: dict[str, Any] | None = None,
    ) -> TaggerSettings:
        matrix, bias = weights
        if channels == "bgr":
            matrix = matrix.reshape(3, -1, matrix.shape[1])[::-1].reshape(matrix.shape)
        scale = {"0..1": (1.0, 0.0), "-1..1": (0.5, 0.5), "0..255": (1 / 255, 0.0)}[values]
        shape = [batch, 3, *sides] if layout == "nchw" else [batch, *sides, 3]
        constants = {"W": matrix, "b": bias, "scale": np.float32(scale[0]), "shift": np.float32(scale[1])}
        nodes = [
            helper.make_node("Cast", ["pictures"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["float", "scale"], ["scaled"]),
            helper.make_node("Add", ["scaled", "shift"], ["unit"]),
            helper.make_node("Transpose", ["unit"], ["planes"], perm=[0, 1, 2, 3] if layout == "nchw" else [0, 3, 1, 2]),
            helper.make_node("AveragePool", ["planes"], ["pooled"], kernel_shape=[4, 4], strides=[4, 4]),
            helper.make_node("Flatten", ["pooled"], ["flat"]),
            helper.make_node("Gemm", ["flat", "W", "b"], ["logits"]),
            helper.make_node("Sigmoid", ["logits"], ["probabilities"]),
        ]
        given = ["logits", "probabilities"] if both else ["logits" if logits else "probabilities"]
        graph = helper.make_graph(
            nodes,
            "tagger",
            [helper.make_tensor_value_info("pictures", kind, shape)],
            [helper.make_tensor_value_info(one, TensorProto.FLOAT, [batch, len(TAGS)]) for one in given],
            [numpy_helper.from_array(np.ascontiguousarray(value), key) for key, value in constants.items()],
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        helper.set_model_props(made, metadata or {})
        onnx.checker.check_model(made)
        onnx.save(made, tmp_path / f"{name}.onnx")
        listed = tmp_path / f"{name}-{tags or 'tags.txt'}"
        if tags == "selected_tags.csv":
            listed.write_text("tag_id,name,category,count\n" + "".join(f"{at},{tag},0,9\n" for at, tag in enumerate(TAGS)))
        else:
            listed.write_text("\n".join(TAGS))
        return TaggerSettings(model=str(tmp_path / f"{name}.onnx"), tags=str(listed), **(settings or {}))

    return make


def pictures(drawn: Path) -> list[np.ndarray]:
    return [np.asarray(Image.open(path)) for path in sorted((drawn / "faces").glob("*.png"))[:21]]


def expected(drawn: Path, weights: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    told = np.stack([features(picture) for picture in pictures(drawn)]) @ weights[0] + weights[1]
    return 1 / (1 + np.exp(-told))


def tagger(settings: TaggerSettings) -> Tagger:
    return Tagger(settings, TagList.read(Path(settings.tags)), threads=1)


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"batch": 1},
        {"batch": 8},
        {"batch": 5, "layout": "nhwc"},
        {"settings": {"batch": 4}},
        {"logits": True},
        {"both": True},
        {"kind": TensorProto.UINT8, "values": "0..255"},
        {"kind": TensorProto.FLOAT16, "tolerance": 0.02},
        {"layout": "nhwc", "channels": "bgr", "values": "0..255", "tags": "selected_tags.csv"},  # as WD14's
        {"layout": "nhwc", "tags": "selected_tags.csv", "settings": {"channels": "rgb", "values": "0..1"}},
        {"values": "-1..1", "settings": {"values": "-1..1"}},
        {"values": "-1..1", "settings": {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}},
        {"channels": "bgr", "settings": {"channels": "bgr"}},
        {
            "channels": "bgr",
            "values": "-1..1",
            "metadata": {"Image.BitmapPixelFormat": "Bgr8", "Image.NominalPixelRange": "Normalized_1_1"},
        },
        {"sides": ("h", "w"), "settings": {"size": SIZE}},
        {"sides": (SIZE, "w")},
    ],
    ids=str,
)
def test_every_form_of_the_same_tagger_says_the_same(
    form: dict[str, Any], model: Model, drawn: Path, weights: tuple[np.ndarray, np.ndarray]
) -> None:
    form = dict(form)
    tolerance = form.pop("tolerance", 1e-4)
    found = tagger(model(**form))(pictures(drawn))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected(drawn, weights), atol=tolerance)


def test_what_the_pictures_are_made_of_matters(model: Model, drawn: Path, weights: tuple[np.ndarray, np.ndarray]) -> None:
    """The test above can fail: fed wrongly, the tagger says something else."""
    for settings in ({"channels": "bgr"}, {"values": "-1..1"}, {"mean": (0.5, 0.5, 0.5)}, {"std": (0.5, 0.5, 0.5)}):
        found = tagger(model(settings=settings))(pictures(drawn))
        assert np.abs(found - expected(drawn, weights)).max() > 0.2


@pytest.mark.parametrize(
    ("form", "settings", "message"),
    [
        ({"sides": ("h", "w")}, {}, r"tagger\.size"),
        ({}, {"size": 64}, "size 64"),
        ({"kind": TensorProto.UINT8, "values": "0..255"}, {"values": "0..1"}, "takes bytes"),
        ({"logits": True}, {"output": "probabilities"}, r"tagger\.output=logits"),
        ({}, {"layout": "nhwc"}, "square pictures"),
    ],
)
def test_a_tagger_that_cannot_be_fed_so(
    form: dict[str, Any], settings: dict[str, Any], message: str, model: Model, drawn: Path
) -> None:
    with pytest.raises(InputError, match=message):
        tagger(model(**form, settings=settings))(pictures(drawn))


def test_files_that_are_no_tagger_or_do_not_belong_together(model: Model, tmp_path: Path) -> None:
    good = model()
    (tmp_path / "no.onnx").write_text("no model")
    for path, message in (("no.onnx", "ONNX model"), ("gone.onnx", "no file")):
        with pytest.raises(InputError, match=message):
            tagger(good.model_copy(update={"model": str(tmp_path / path)}))
    (tmp_path / "short.txt").write_text("1boy\n1girl\n")
    with pytest.raises(InputError, match=r"2 numbers a picture.*short\.txt.*\[n, 9\]|2 numbers a picture.*short\.txt.*9\]"):
        tagger(good.model_copy(update={"tags": str(tmp_path / "short.txt")}))
    with pytest.raises(ConfigError, match="both files"):
        make_settings(TaggerSettings, {"model": "a.onnx"})
    judge = Path(__file__).parents[2] / "sga/default_model/generator.onnx"  # an ONNX file that takes no pictures
    with pytest.raises(InputError, match=r"take pictures|alone"):
        tagger(good.model_copy(update={"model": str(judge)}))


def test_lists_of_tags(tmp_path: Path) -> None:
    path = tmp_path / "tags"
    for text, wd14 in (
        ("1girl\nlong_hair\n:d\n", False),
        (json.dumps(["1girl", "long hair", ":d"]), False),
        ("tag_id,name,category,count\n1,1girl,0,9\n2,long_hair,0,9\n3,:d,0,1\n", True),
        ("name\n1girl\nlong_hair\n:d\n", False),
    ):
        path.write_text(text)
        listed = TagList.read(path)
        assert (listed.tags, listed.wd14) == (("1girl", "long hair", ":d"), wd14)
    for text in ("", "[1, 2]", "[", "tag_id,name\n1,\n"):
        path.write_text(text)
        with pytest.raises(InputError, match="--tag-list"):
            TagList.read(path)
    with pytest.raises(InputError, match="--tag-list"):
        TagList.read(tmp_path / "none")


def test_the_faces_of_an_ingest_are_tagged(
    model: Model, drawn: Path, truth: dict[str, dict[str, str]], weights: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    named = model()
    command = ["ingest", str(drawn / "faces"), "--schema", "moe34", "--size", "64", "--workspace", str(tmp_path / "w")]
    with pytest.raises(SystemExit) as ended:
        main([*command, "--workers", "1", "--tagger", named.model, "--tag-list", named.tags, "--tag-threshold", "0.5"])
    assert ended.value.code == 0
    space = Workspace(tmp_path / "w")
    table = space.table()
    with (tmp_path / "w/faces/index.csv").open(encoding="utf-8") as handle:
        files = {row["face"]: f"faces/{Path(row['file']).name}" for row in csv.DictReader(handle)}
    told = [truth[files[face]] for face in table.faces]
    stored = [np.asarray(Image.open(space.root / file)) for file in table.frame["file"]]
    chances = 1 / (1 + np.exp(-(np.stack([features(picture) for picture in stored]) @ weights[0] + weights[1])))
    hat = chances[:, TAGS.index("hat")]
    assert table.codes("hat").tolist() == (hat >= 0.5).astype(int).tolist()
    np.testing.assert_allclose(table.confidence("hat"), np.where(hat >= 0.5, hat, 1 - hat), atol=1e-4)
    assert (table.confidence("hat") < 1).all()
    assert set(table.sources("hat")) == {Source.ORIGINAL}
    hair = chances[:, 1:6]
    known = hair.max(axis=1) >= 0.5
    assert 20 < known.sum() < len(known)  # of eight colours it knows nothing
    assert (table.codes("hair_color") >= 0).tolist() == known.tolist()
    assert table.codes("hair_color")[known].tolist() == hair[known].argmax(axis=1).tolist()  # the schema's own order
    names = np.array(table.schema["hair_color"].values)
    right = names[table.codes("hair_color")] == [row["hair_color"] for row in told]
    assert right[known].mean() > 0.9
    assert (table.sources("smile") == Source.MISSING).all()  # the tagger has no such tag
    assert "8 of its 9 tags count" in (text := _report(drawn, tmp_path / "w", named).text()), text


def _report(drawn: Path, workspace: Path, named: TaggerSettings, **more: Any) -> Any:
    settings = IngestSettings(schema_name="moe34", size=64, workers=1, tagger=named, tag_threshold=0.5, **more)
    return ingest([drawn / "faces"], workspace, settings)


def test_a_stopped_tagger_goes_on_and_a_later_one_asks_about_new_faces_alone(
    model: Model, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, seen = model(batch=4), []
    real = Tagger.__call__

    def watch(self: Tagger, asked: list[np.ndarray]) -> np.ndarray:
        if len(seen) == 2:
            seen.append(0)
            raise KeyboardInterrupt
        seen.append(len(asked))
        return real(self, asked)

    monkeypatch.setattr(Tagger, "__call__", watch)
    with pytest.raises(KeyboardInterrupt):
        _report(drawn, tmp_path / "w", named)
    assert not (tmp_path / "w/labels.parquet").exists()
    first = _report(drawn, tmp_path / "w", named)
    assert seen == [32, 32, 0, 32, 32, 22]
    again = _report(drawn, tmp_path / "w", named)
    assert len(seen) == 6
    assert again.histograms == first.histograms
    monkeypatch.undo()
    assert _report(drawn, tmp_path / "fresh", named).histograms == first.histograms
    (kept,) = (tmp_path / "w/faces").glob("tagger-*.npz")
    kept.write_bytes(b"damaged")
    assert _report(drawn, tmp_path / "w", named).histograms == first.histograms


def test_given_tags_and_labels_outweigh_the_tagger(model: Model, drawn: Path, tmp_path: Path) -> None:
    files = sorted((drawn / "faces").glob("*.png"))
    labels, tags = tmp_path / "labels.csv", tmp_path / "tags.csv"
    labels.write_text("file,hat\n" + "".join(f"{file.name},yes\n" for file in files[:40]))
    tags.write_text("file,tags\n" + "".join(f"{file.name},black_hair\n" for file in files))
    settings = IngestSettings(schema_name="moe34", size=64, workers=1, tagger=model(), tags=(str(tags),))
    report = ingest([drawn / "faces"], tmp_path / "w", settings, labels=labels)
    alone = IngestSettings(schema_name="moe34", size=64, workers=1, tagger=model())
    assert ingest([], tmp_path / "w", alone).histograms == report.histograms  # nor does it by itself, later
    table = Workspace(tmp_path / "w").table()
    assert set(table.codes("hair_color")) == {table.schema["hair_color"].code("black")}
    assert table.confidence("hair_color").min() > 0.999998  # nearly sure: a label may correct them, the tagger may not
    assert (table.confidence("hat") == 1).sum() == 40
    assert ((table.confidence("hat") == 1) <= (table.codes("hat") == 1)).all()
    assert report.tag_conflicts > 40
    with (tmp_path / "w/faces/conflicts.csv").open(encoding="utf-8") as handle:
        named = {row["file"] for row in csv.DictReader(handle)}
    assert named <= {f"faces/{file.name}" for file in files}


def test_given_probabilities_outweigh_the_tagger_in_any_order(model: Model, drawn: Path, tmp_path: Path) -> None:
    """A given probability of 0.3 stays though the tagger is surer, and comes in after the tagger as before it."""
    files = sorted((drawn / "faces").glob("*.png"))
    tags = tmp_path / "tags.csv"
    tags.write_text("file,hat\n" + "".join(f"{file.name},0.3\n" for file in files[:75]))
    given = IngestSettings(schema_name="moe34", size=64, workers=1, tags=(str(tags),), tag_threshold=0.25)
    told = IngestSettings(schema_name="moe34", size=64, workers=1, tagger=model(), tag_threshold=0.25)
    ends = []
    for name, order in (("before", (given, told)), ("after", (told, given))):
        for settings in order:
            ingest([drawn / "faces"], tmp_path / name, settings)
        ends.append(Workspace(tmp_path / name).table())
    assert ends[0].frame.equals(ends[1].frame)
    sure = ends[0].confidence("hat")
    assert (np.abs(sure - 0.3) < 1e-6).sum() >= 75
    assert (ends[0].codes("hat")[np.abs(sure - 0.3) < 1e-6] == 1).all()
    again = ingest([], tmp_path / "before", told.model_copy(update={"tag_threshold": 0.9}))
    strict = Workspace(tmp_path / "before").table()
    assert (np.abs(strict.confidence("hat") - 0.3) < 1e-6).sum() >= 75  # while what the tagger said follows its threshold
    assert again.faces == len(files)
    assert (strict.codes("hat") == 1).sum() < (ends[0].codes("hat") == 1).sum()
    ends[0].to_csv(tmp_path / "labels.csv")  # a copy of the labels, in which who said what is still known
    plain = IngestSettings(schema_name="moe34", size=64, workers=1)
    ingest([drawn / "faces"], tmp_path / "copy", plain, labels=tmp_path / "labels.csv")
    ingest([], tmp_path / "copy", told)
    copy = Workspace(tmp_path / "copy").table()
    for name in copy.schema.names:
        assert np.array_equal(copy.codes(name), ends[0].codes(name))
        assert np.array_equal(copy.confidence(name), ends[0].confidence(name), equal_nan=True)


def test_faces_that_are_there_can_be_tagged_later(model: Model, drawn: Path, tmp_path: Path) -> None:
    ingest([drawn / "faces"], tmp_path / "w", IngestSettings(schema_name="moe34", size=64, workers=1))
    settings = IngestSettings(schema_name="moe34", size=64, workers=1, tagger=model(), tag_threshold=0.5)
    report = ingest([], tmp_path / "w", settings)
    assert (report.added, report.faces) == (0, 150)
    assert report.tagged == _report(drawn, tmp_path / "other", settings.tagger).tagged > 300


def test_a_tagger_that_says_nothing_of_the_schema(model: Model, drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "map.yaml").write_text("meaning: {smile: {yes: [happy]}}")
    with pytest.raises(InputError, match=r"found none among 9.*--tag-map"):
        _report(drawn, tmp_path / "w", model(), tag_map=str(tmp_path / "map.yaml"))
