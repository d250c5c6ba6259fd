"""The page as files: what is in it, that it belongs to its model, and that nothing in it names another host."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from configs.errors import InputError, ModelError
from sga import FaceModel
from sga.generation.rng import quantiles
from sga.model_folder import DEFAULT_MODEL, SMALL_JUDGE, ModelFolder, read_arrays, seal_model_folder
from sga.web import DIST, HEADERS, POLICY, immutable, page_files, write_page
from sga.web.arrays import exact_sums, pack

SOURCE = Path(__file__).parents[2] / "sga" / "web" / "source"  # an installed package has none
ROOT = Path(__file__).parents[2]
LANGUAGES = ("en", "ja", "zh")


@pytest.fixture(scope="module")
def folder(model_path: Path) -> ModelFolder:
    return ModelFolder.load(model_path)


@pytest.fixture(scope="module")
def files(folder: ModelFolder) -> dict[str, bytes]:
    return page_files(folder)


def header_of(files: dict[str, bytes]) -> dict[str, Any]:
    return dict(json.loads(files["model.json"]))


def array(files: dict[str, bytes], name: str) -> np.ndarray:
    header = header_of(files)
    content, entry = gzip.decompress(files[header["files"]["arrays"]["path"]]), header["arrays"][name]
    dtype = np.dtype(entry["dtype"]).newbyteorder("<")
    return np.frombuffer(content, dtype, int(np.prod(entry["shape"])), entry["offset"]).reshape(entry["shape"])


def test_the_networks_are_those_of_the_model_folder(files: dict[str, bytes], folder: ModelFolder) -> None:
    header = header_of(files)
    assert (header["hash"], header["drawing"]) == (folder.hash, folder.drawing_hash)
    for name in ("generator", "judge"):
        entry = header["files"][name]
        packed = files[entry["path"]]
        assert len(packed) == entry["bytes"]
        assert gzip.decompress(packed) == folder.read(f"{name}.onnx")
    assert header["attributes"] == [one.model_dump(mode="json") for one in folder.spec.attributes]
    assert header["accepted"]["usual"] == [0.4, 0.4]


def test_the_arrays_are_exact(files: dict[str, bytes], folder: ModelFolder) -> None:
    bank = read_arrays(folder.read("styles.npz"), "styles.npz")
    assert array(files, "style").dtype == np.float16
    assert array(files, "style").tobytes() == bank["style"].tobytes()
    assert (array(files, "codes.hair_color") == bank["hair_color"]).all()
    assert (array(files, "quantiles") == quantiles()).all()
    model = FaceModel(folder)
    for code, gender in enumerate(folder.spec.gender.values):
        one = model.draw(0, gender=gender)
        assert (array(files, "check")[code] == model.render(one.noise[None], [code], one.style[None])[0]).all()


def test_the_same_folder_gives_the_same_page(files: dict[str, bytes], folder: ModelFolder) -> None:
    assert page_files(folder, FaceModel(folder)) == files


def test_what_may_be_cached_for_ever_is_named_by_its_content(files: dict[str, bytes]) -> None:
    assert {name for name in files if not immutable(name)} == {
        "index.html",
        "model.json",
        "sw.js",
        "icon.svg",
        "THIRD_PARTY.txt",
    }
    assert all(re.search(r"-[\w-]{8,}\.[a-z]+$", name) for name in files if immutable(name))


def test_a_small_judge_is_taken_where_there_is_one(model_path: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(model_path, tmp_path / "model"))
    raw = json.loads((copy / "model.json").read_text())
    (copy / SMALL_JUDGE).write_bytes((copy / "judge.onnx").read_bytes())
    files = page_files(seal_model_folder(copy, raw))
    assert header_of(files)["judge"] == SMALL_JUDGE
    assert header_of(files)["files"]["judge"]["path"].startswith("assets/judge-small-")


@pytest.mark.parametrize("changes", [{"style_size": 0}, {"style_prior": "truncated_normal"}, {"schema": "moe34"}])
def test_other_models_have_pages_too(make_model: Any, changes: dict[str, Any]) -> None:
    from labeling.schema import Schema

    if "schema" in changes:  # its styles carry no label of most of the tags
        changes = {"schema": Schema.load("moe34").model_dump(mode="json")}
    files = page_files(ModelFolder.load(make_model(**changes)))
    assert ("style" in header_of(files)["arrays"]) == ("schema" in changes)
    assert not any(name.startswith("critic") for name in header_of(files)["arrays"])


def test_a_critic_whose_sums_could_round_is_refused() -> None:
    large = {
        "weight0": np.full((2, 5), 32767, np.int16),
        "bias0": np.zeros(2, np.int64),
        "weight1": np.full((1, 2), 32767, np.int16),
        "bias1": np.array([2**53], np.int64),
        "shift": np.array([1], np.int64),
    }
    with pytest.raises(ModelError, match="below 2\\*\\*53"):
        exact_sums(large, 5)
    fine = exact_sums({**large, "bias1": np.array([2**52], np.int64)}, 5)
    assert fine["bias1"].dtype == np.float64
    assert fine["bias1"][0] == 2**52


def test_packed_arrays_are_aligned() -> None:
    content, table = pack({"a": np.arange(3, dtype=np.uint8), "b": np.array([1.5], ">f8")})
    assert table["b"]["offset"] == 8
    assert np.frombuffer(content, "<f8", 1, 8)[0] == 1.5


def test_writing_twice_leaves_one_page_and_other_folders_alone(folder: ModelFolder, tmp_path: Path) -> None:
    sizes = write_page(folder, tmp_path / "page")
    stale = tmp_path / "page" / "assets" / "generator-000000000000.bin"
    stale.write_bytes(b"of an earlier model")
    assert write_page(folder, tmp_path / "page") == sizes
    assert not stale.exists()
    found = {path.relative_to(tmp_path / "page").as_posix() for path in (tmp_path / "page").rglob("*") if path.is_file()}
    assert found == set(page_files(folder))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "diary.txt").write_text("mine")
    with pytest.raises(InputError, match="empty or new folder"):
        write_page(folder, tmp_path / "other")
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["diary.txt"]
    copied = Path(shutil.copytree(folder.path, tmp_path / "model"))
    with pytest.raises(InputError, match="empty or new folder"):
        write_page(folder, copied)
    assert ModelFolder.load(copied).read_all() == folder.read_all()


def test_a_page_that_was_half_written_is_written_again(folder: ModelFolder, tmp_path: Path) -> None:
    whole = page_files(folder)
    for name in ("sw.js", "THIRD_PARTY.txt"):
        (tmp_path / name).write_bytes(whole[name])
    write_page(folder, tmp_path)
    assert (tmp_path / "index.html").read_bytes() == whole["index.html"]


def test_the_command_writes_it_without_torch_or_a_workspace(model_path: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from sga.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: code = end.code\n"
        "assert not {'torch', 'timm', 'pandas', 'onnx'} & set(sys.modules); sys.exit(code)"
    )
    words = [sys.executable, "-c", script, "export", "--page", str(tmp_path / "page"), "--model", str(model_path)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    assert re.search(r"A visitor downloads \d+\.\d\d MB of networks", done.stdout)
    assert (tmp_path / "page" / "index.html").is_file()
    lone = subprocess.run([*words[:4], "--model", str(model_path)], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert lone.returncode == 2
    assert "--page" in lone.stderr


def test_no_other_host_is_asked_and_every_url_is_relative() -> None:
    page = (DIST / "index.html").read_text(encoding="utf-8")
    assert POLICY in page
    assert POLICY in (DIST / "sw.js").read_text(encoding="utf-8")
    assert HEADERS["Content-Security-Policy"] == POLICY
    assert "'unsafe" not in POLICY
    links = re.findall(r"""(?:src|href)="([^"]+)\"""", page)
    assert links
    assert all(link.startswith("./") for link in links)
    assert "style=" not in page
    for path in DIST.rglob("*.css"):
        assert "url(" not in path.read_text(encoding="utf-8")


def test_every_string_is_there_in_every_language() -> None:
    tables = {}
    for name in LANGUAGES:
        text = (SOURCE / "src" / "words" / f"{name}.ts").read_text(encoding="utf-8")
        tables[name] = dict(re.findall(r'^  "([^"]+)": "(.*)",$', text, flags=re.MULTILINE))
    english = tables["en"]
    assert len(english) > 100
    sources = [path.read_text(encoding="utf-8") for path in SOURCE.rglob("src/**/*.ts")]
    used = {key for text in sources for key in re.findall(r'"([a-z]+(?:\.[a-z_]+)*)"', text)}
    for name, table in tables.items():
        assert table.keys() == english.keys(), name
        assert all(table.values())
        for key, words in table.items():
            assert sorted(re.findall(r"\{\w+\}", words)) == sorted(re.findall(r"\{\w+\}", english[key])), key
        if name != "en":
            own = {key: re.sub(r"\{\w+\}|WebGPU|Enter", "", words) for key, words in table.items()}
            assert [key for key, words in own.items() if re.search(r"[a-z]{3}", words)] == [], name
    built = {"attribute", "value", "says", "theme", "tristate", "keep", "runs"}  # keys that are put together at run time
    assert {key for key in english if key.partition(".")[0] not in built} <= used


def test_what_is_bundled_is_named_and_the_lock_names_no_host() -> None:
    told = (DIST / "THIRD_PARTY.txt").read_text(encoding="utf-8")
    package = json.loads((SOURCE / "package.json").read_text())
    for name in package["dependencies"]:
        assert re.search(rf"^{re.escape(name)} \d", told, flags=re.MULTILINE)
    lock = json.loads((SOURCE / "package-lock.json").read_text())
    assert [name for name, one in lock["packages"].items() if "resolved" in one] == []


def test_the_networks_of_the_model_that_ships_stay_small() -> None:
    """Five megabytes for generator and judge, where the judge is the one made for the page."""
    if not (DEFAULT_MODEL / SMALL_JUDGE).is_file():
        pytest.skip("the model that ships has no small judge")
    entries = header_of(page_files(ModelFolder.load()))["files"]
    assert entries["generator"]["bytes"] + entries["judge"]["bytes"] <= 5_000_000
