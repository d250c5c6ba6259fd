"""Imports run one way, configs ← labeling ← classifiers ← sga, and drawing never meets the training code."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ORDER = ("configs", "labeling", "classifiers", "sga")
HEAVY = {"torch", "torchvision", "timm", "lightning", "pandas", "pyarrow", "sklearn", "scipy", "cv2", "skia", "onnx"}
DRAWING = [*ROOT.glob("sga/generation/**/*.py"), *ROOT.glob("sga/model_*.py"), ROOT / "sga/__init__.py"]
CLI_TOP = [ROOT / "sga/cli" / name for name in ("__init__.py", "main.py", "lazy.py", "options.py")]
FILES = [path for package in ORDER for path in sorted((ROOT / package).rglob("*.py"))]


def imported(path: Path, *, top_only: bool = False) -> Iterator[str]:
    """Dotted names of the modules that a file imports, those inside functions too unless `top_only`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in _at_import(tree) if top_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            yield node.module or ""


def _at_import(node: ast.AST) -> Iterator[ast.AST]:
    """What runs when the module is imported: no function bodies, no TYPE_CHECKING blocks."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        yield child
        yield from _at_import(child)


def tops(names: Iterator[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def test_the_list_of_files_is_not_empty() -> None:
    assert len(FILES) > 20
    assert all(path.is_file() for path in (*DRAWING, *CLI_TOP))
    assert "typer" in tops(imported(ROOT / "sga/cli/main.py", top_only=True))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    later = set(ORDER[ORDER.index(package) + 1 :])
    found = tops(imported(path))
    assert not found & later
    if package in ("configs", "labeling"):
        assert not found & {"torch", "torchvision", "timm", "lightning"}


@pytest.mark.parametrize("path", DRAWING, ids=lambda path: path.name)
def test_drawing_reads_only_the_model_folder(path: Path) -> None:
    names = set(imported(path))
    assert not tops(imported(path)) & {*HEAVY - {"pyarrow"}, "classifiers"}
    assert "pyarrow" not in tops(imported(path, top_only=True))  # a file of many faces, a registry: asked for when it is used
    ours = {name for name in names if name.partition(".")[0] == "sga"}
    assert all(name.startswith(("sga.generation", "sga.model_", "sga.version")) for name in ours)


@pytest.mark.parametrize("path", sorted(ROOT.glob("sga/explore/*.py")), ids=lambda path: path.name)
def test_pictures_need_the_base_install_alone(path: Path) -> None:
    assert not tops(imported(path, top_only=True)) & {*HEAVY, "classifiers"}
    assert not {name for name in imported(path) if name.startswith("sga.training")}


@pytest.mark.parametrize("path", CLI_TOP, ids=lambda path: path.name)
def test_the_command_line_is_light(path: Path) -> None:
    assert not tops(imported(path, top_only=True)) & {*HEAVY, "pydantic", "numpy", "onnxruntime", "yaml", "PIL"}


@pytest.mark.parametrize("path", sorted((ROOT / "sga/cli").glob("*.py")), ids=lambda path: path.name)
def test_a_command_imports_what_is_heavy_when_it_runs(path: Path) -> None:
    assert not tops(imported(path, top_only=True)) & {*HEAVY, "classifiers", "onnxruntime"}


def loaded_after(code: str) -> set[str]:
    """Top-level modules in a fresh interpreter after `code`."""
    script = f"{code}\nimport json, sys\nprint(json.dumps(sorted({{name.partition('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT, timeout=120)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_face_model_leaves_the_training_code_out() -> None:
    loaded = loaded_after("import sga; sga.FaceModel.load(engine='onnxruntime')")
    assert "onnxruntime" in loaded
    assert not loaded & {*HEAVY, "openvino"}


def test_import_sga_is_light() -> None:
    assert not loaded_after("import sga; sga.__version__") & {*HEAVY, "onnxruntime", "numpy", "pydantic", "yaml", "PIL"}


def test_help_is_light() -> None:
    code = "from sga.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    loaded = loaded_after(code)
    assert "typer" in loaded
    assert not loaded & {*HEAVY, "onnxruntime", "numpy", "pydantic", "yaml", "PIL"}
