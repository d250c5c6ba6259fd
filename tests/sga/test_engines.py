"""Both engines draw the same faces within 1/255, and each the same bits at any batch, number of threads and lane."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from configs.errors import InputError, MissingExtra, ModelError
from configs.machine import cores
from sga import FaceModel
from sga.generation import engines
from sga.generation.engines import ENGINES, Lanes, choose_engine
from sga.generation.sessions import Network
from sga.model_folder import DEFAULT_MODEL

ROWS = 40


def need_openvino() -> None:
    """Not by importing it here: see `test_openvino_tells_nobody`."""
    if find_spec("openvino") is None:
        pytest.skip("the extra openvino is not installed")


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    if request.param == "openvino":
        need_openvino()
    return str(request.param)


def latents(model: FaceModel, rows: int = ROWS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    drawn = [model.draw(5, index, gender="any") for index in range(rows)]
    gender = np.array([one.gender for one in drawn])
    return np.stack([one.noise for one in drawn]), gender, np.stack([one.style for one in drawn])


def told(model: FaceModel, images: np.ndarray) -> np.ndarray:
    """(n, values) of all that the judge says."""
    verdict = model.judge(images)
    rest = [values.reshape(len(images), -1) for values in verdict.probabilities.values()]
    return np.concatenate([verdict.quality[:, None], verdict.style, *rest], axis=1)


@pytest.mark.parametrize("folder", ["tiny", "shipped"])
def test_the_engines_agree(model_path: Path, folder: str) -> None:
    need_openvino()
    path = model_path if folder == "tiny" else DEFAULT_MODEL
    one, other = (FaceModel.load(path, engine=engine) for engine in ENGINES)
    assert (one.engine, other.engine) == ENGINES
    images = one.render(*latents(one))
    assert len(np.unique(images.reshape(ROWS, -1), axis=0)) == ROWS
    apart = np.abs(images.astype(int) - other.render(*latents(other)))
    assert apart.max() <= 1
    assert (apart > 0).mean() < 1e-3
    np.testing.assert_allclose(told(one, images), told(other, images), atol=1e-4)
    for first, second in zip(one.avatars(["a", "b", "c"]), other.avatars(["a", "b", "c"]), strict=True):
        assert first.attempt == second.attempt
        assert (first.style == second.style).all()
        assert np.abs(first.image.astype(int) - second.image).max() <= 1


@pytest.mark.parametrize("threads", [1, 3])
def test_rows_do_not_depend_on_threads_place_or_company(engine: str, threads: int) -> None:
    """On the networks that ship: theirs are the kernels that count."""
    model, other = (FaceModel.load(DEFAULT_MODEL, engine=engine, threads=number) for number in (2, threads))
    noise, gender, style = latents(model)
    images = model.render(noise, gender, style)
    order = np.random.default_rng(0).permutation(ROWS)
    assert (other.render(noise[order], gender[order], style[order]) == images[order]).all()
    verdict = told(model, images)
    assert (told(other, images[order]) == verdict[order]).all()
    for rows in (slice(0, 1), slice(3, 8), slice(5, 16)):
        assert (other.render(noise[rows], gender[rows], style[rows]) == images[rows]).all()
        assert (told(other, images[rows]) == verdict[rows]).all()


def test_callers_in_many_threads_get_their_own_rows(engine: str, model_path: Path) -> None:
    model = FaceModel.load(model_path, engine=engine, threads=2)
    noise, gender, style = latents(model)
    alone = model.render(noise, gender, style)
    rows = [slice(row, row + 1) for row in range(ROWS)]
    with ThreadPoolExecutor(8) as pool:
        each = list(pool.map(lambda row: model.render(noise[row], gender[row], style[row]), rows))
    assert (np.concatenate(each) == alone).all()


def test_the_same_files_from_the_same_seed(engine: str, model_path: Path) -> None:
    one, other = (FaceModel.load(model_path, engine=engine, threads=threads) for threads in (1, 4))
    assert one.rows == model_rows(one, 1)
    assert other.rows == model_rows(other, 4)
    faces = one.generate("any", 50, seed=9)
    assert [face.png() for face in other.generate("any", 50, seed=9)] == [face.png() for face in faces]
    assert [face.png() for face in other.generate("any", 7, seed=9)] == [face.png() for face in faces[:7]]


def model_rows(model: FaceModel, threads: int) -> int:
    return model.spec.micro_batch * threads


def test_lanes() -> None:
    assert Lanes.of(1) == Lanes(1, 1)
    assert Lanes.of(5) == Lanes(5, 1)
    assert Lanes.of(64) == Lanes(16, 4)
    assert Lanes.of(None).lanes == min(cores(), 16)
    with pytest.raises(InputError, match="at least 1 thread, found 0"):
        Lanes.of(0)


def test_which_engine_is_taken(model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_engine("onnxruntime") == "onnxruntime"
    monkeypatch.setattr(engines, "find_spec", lambda name: object())
    assert choose_engine("auto") == choose_engine("openvino") == choose_engine() == "openvino"
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    assert choose_engine("auto") == "onnxruntime"
    assert FaceModel.load(model_path).engine == "onnxruntime"
    with pytest.raises(MissingExtra, match=r"pip install 'sga-gan\[openvino\]'"):
        FaceModel.load(model_path, engine="openvino")
    with pytest.raises(InputError, match="Expected an engine"):
        FaceModel.load(model_path, engine="tensorrt")


def alone(code: str) -> str:
    """What a process of its own prints."""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root, timeout=300)
    return done.stdout


def test_openvino_is_not_imported_unless_it_runs(model_path: Path) -> None:
    load = f"from sga import FaceModel; FaceModel.load({str(model_path)!r}, 'onnxruntime')"
    assert alone(f"import sys; {load}; print('openvino' in sys.modules)") == "False\n"


def test_openvino_tells_nobody(model_path: Path, tmp_path: Path) -> None:
    """Its import alone would fork a process that reports to a server, and write into the home folder."""
    need_openvino()
    told = alone(
        f"import os; os.environ['HOME'] = {str(tmp_path)!r}; import multiprocessing.process as p; "
        "p.BaseProcess.start = lambda self: print('a process'); import urllib.request as u; "
        "u.urlopen = lambda *words, **more: print('a call'); "
        f"from sga import FaceModel; model = FaceModel.load({str(model_path)!r}, 'openvino'); model.avatar('a'); import sys; "
        "print([name for name in sys.modules if name.startswith('openvino_telemetry')], model.engine)"
    )
    assert told == "[] openvino\n"
    assert not list(tmp_path.iterdir())


def test_the_first_passes_may_come_together(engine: str, model_path: Path) -> None:
    """What the bindings of OpenVINO make at their first use, two threads must not make at the same time."""
    load = f"from sga import FaceModel; model = FaceModel.load({str(model_path)!r}, {engine!r}, 4)"
    assert alone(f"{load}; print(len(model.generate('any', 64)))") == "64\n"


def test_what_is_no_network_is_told(engine: str, model_path: Path) -> None:
    shape = {"image": (96, 96, 3)}
    with pytest.raises(ModelError, match=r"Expected an ONNX model in judge\.onnx"):
        Network(b"no network", "judge.onnx", 8, shape, {"quality"}, 1, engine)
    content = (model_path / "judge.onnx").read_bytes()
    with pytest.raises(ModelError, match=r"take image \(n, 64, 64, 3\)"):
        Network(content, "judge.onnx", 8, {"image": (64, 64, 3)}, {"quality"}, 1, engine)
    with pytest.raises(ModelError, match="give beauty"):
        Network(content, "judge.onnx", 8, shape, {"beauty"}, 1, engine)
    network = Network(content, "judge.onnx", 8, shape, {"quality"}, 1, engine)
    with pytest.raises(ModelError, match=r"Expected judge\.onnx to run"):
        network(image=np.zeros((8, 64, 64, 3), np.uint8))
