"""How fast the page draws in a real Chromium. Not part of the tests; type:

pytest tests/benchmarks/test_page_speed.py -o addopts=--import-mode=importlib

Measured inside the worker: a face of the generator, and a judged one, with one thread and with two, in one run. Then the chosen
face as a larger PNG, encoding included. Other work on the cores shows in all of them.
"""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sga.model_folder import ModelFolder
from sga.web import write_page

SITE = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "sga" / "page_site.py")))
FACES, WARM = 40, 8
Figure = Callable[[str], None]

DRAW = """async ({faces, judged}) => {
    const recipe = (index) => ({kind: 'seed', seed: '1', index, attempt: 0, gender: index % 2, where: {}});
    const plans = Array.from({length: faces}, (_, index) => ({kind: 'recipe', recipe: recipe(index)}));
    const begun = performance.now();
    const drawn = await sga.until({plans, strictness: 'off', maxAttempts: 1, judged, where: {}});
    return {wall: performance.now() - begun, spent: drawn.map((face) => face.spent)};
}"""


LARGER = "async (times) => { const begun = performance.now(); await sga.png(times); return performance.now() - begun; }"


def test_time_of_a_face(figure: Figure, measured_model: Path, tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    program = SITE.chromium()
    if program is None:
        pytest.skip("Chromium is not installed. Type, on Debian: apt-get install chromium")
    sizes = write_page(ModelFolder.load(measured_model), tmp_path / "page")
    told = ", ".join(f"{name} {size / 1e6:.2f}" for name, size in sizes.items())
    figure(f"page, MB: generator and judge {(sizes['generator'] + sizes['judge']) / 1e6:.2f} (aim 5); {told}")
    with SITE.site(tmp_path / "page", isolated=True) as url, playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=program, args=["--no-sandbox"])
        plain = {threads: _measure(browser, f"{url}/?threads={threads}#s=1&g=female", threads, figure) for threads in (1, 2)}
        browser.close()
    figure(f"page: one thread over two, a face of the generator: {plain[1] / plain[2]:.2f}")


def _larger(page: Any) -> str:
    factors = (page.evaluate("sga.header()")["files"].get("upscaler") or {"factors": []})["factors"]
    return ", ".join(f"{times}x as PNG {min(page.evaluate(LARGER, times) for _ in range(4)):.0f} ms" for times in factors)


def _measure(browser: Any, url: str, threads: int, figure: Figure) -> float:
    page = browser.new_page()
    page.set_default_timeout(300_000)
    page.goto(url)
    page.wait_for_selector(".ways")
    page.evaluate("sga.settled")
    assert page.evaluate("sga.runs()")["threads"] == threads
    page.evaluate(DRAW, {"faces": WARM, "judged": True})
    told = {judged: page.evaluate(DRAW, {"faces": FACES, "judged": judged}) for judged in (False, True)}
    larger = _larger(page)
    drawn = [one["draw"] for one in told[False]["spent"]]
    both = [one["draw"] + one["judge"] for one in told[True]["spent"]]
    page.close()
    plain, judged = float(np.median(drawn)), float(np.median(both))
    aim = " (aim 60)" if threads == 2 else ""
    walls = " and ".join(f"{told[one]['wall'] / FACES:.0f}" for one in (False, True))
    figure(f"page, {threads} thread(s): {larger or 'no upscaler'}")
    figure(f"page, {threads} thread(s): {plain:.0f} ms a face{aim}, {judged:.0f} ms judged; with the worker's loop {walls} ms")
    return plain
