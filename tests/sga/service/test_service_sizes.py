"""Avatars at another size over HTTP: the bytes that the library and the command write, with an upscaler and without."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sga import FaceModel
from sga.model_folder import UPSCALER, seal_model_folder


@pytest.fixture(scope="module")
def sharp(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with an upscaler."""
    torch = pytest.importorskip("torch")
    from sga.upscale.graph import export_upscaler
    from sga.upscale.network import UpscaleNetwork

    folder = Path(shutil.copytree(model_path, tmp_path_factory.mktemp("sharp") / "model"))
    torch.manual_seed(3)
    export_upscaler(folder / UPSCALER, UpscaleNetwork(8, 1))
    seal_model_folder(folder, json.loads((folder / "model.json").read_text()))
    return folder


@pytest.mark.parametrize("size", [40, 96, 130, 384, 900])
def test_the_service_sends_what_the_library_draws(server: Any, model_path: Path, size: int) -> None:
    assert server.avatar("user-42", f"?size={size}").body == FaceModel.load(model_path).avatar("user-42", size=size).png()


def test_so_it_does_with_an_upscaler(serve: Callable[..., Any], sharp: Path) -> None:
    server, model = serve("--no-page", model=sharp), FaceModel.load(sharp)
    for size in (64, 96, 150, 384, 1000):
        assert server.avatar("ä/b", f"?size={size}").body == model.avatar("ä/b", size=size).png(), size
    # A picture of the upscaler is for ever as long as the whole folder is the same; one as drawn, as long as the drawing is.
    drawing, whole = model.folder.drawing_hash, model.hash
    assert drawing != whole
    for query, named, kept in (
        ("", drawing, "immutable"),
        ("size=64&", drawing, "immutable"),
        ("size=384&", whole, "immutable"),
    ):
        answer = server.avatar("x", f"?{query}model={named}")
        assert kept in answer.headers["Cache-Control"]
        assert answer.headers["Content-Location"].endswith(f"model={named}")
    assert "immutable" not in server.avatar("x", f"?size=384&model={drawing}").headers["Cache-Control"]
