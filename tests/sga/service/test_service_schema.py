"""The service keeps to its own description, whatever is sent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sga.model_folder import ModelFolder

pytest.importorskip("schemathesis", reason="the extra test brings schemathesis")


def test_schemathesis_finds_nothing(server, tmp_path: Path) -> None:
    """Every operation, positive and negative data, all checks: as people run it, in a folder without settings of theirs."""
    words = [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json", "--checks", "all", "--no-color"]
    words += ["--max-examples", "25", "--generation-deterministic", "--request-timeout", "30"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    assert "4 selected / 4 total" in done.stdout
    assert "No issues found" in done.stdout


def test_the_description_follows_the_model(server, model_path: Path) -> None:
    told, spec = server.get("/openapi.json").json(), ModelFolder.load(model_path).spec
    schemas = told["components"]["schemas"]
    assert schemas["Generate"]["properties"]["gender"]["enum"] == [*spec.gender.values, "any"]
    assert set(schemas["Where"]["properties"]) == {"hair_color", "glasses"}
    assert set(told["paths"]) == {"/avatar/{id}.png", "/generate", "/health", "/metrics"}


def test_no_third_party_is_asked(server) -> None:
    """FastAPI's own pages load scripts from elsewhere: they are not there."""
    for path in ("/docs", "/redoc", "/docs/oauth2-redirect"):
        assert server.get(path).status == 404
