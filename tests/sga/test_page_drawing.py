"""The page in a real headless Chromium: it opens on any static host and draws and judges what Python does."""

from __future__ import annotations

import gzip
import json
import os
import runpy
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from sga import FaceModel
from sga.model_folder import DEFAULT_MODEL
from sga.web import write_page

SITE = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("page_site.py"))))
browser, written, url, tiny, opened, drawing = SITE.browser, SITE.written, SITE.url, SITE.tiny, SITE.opened, SITE.drawing


@pytest.mark.parametrize("host", ["isolated", "plain", "without workers"])
def test_it_opens_on_any_static_host(browser: Any, written: Path, host: str) -> None:
    """A host that sends no headers gets threads by the page's own service worker; where that is forbidden, one thread draws."""
    blocked = "block" if host == "without workers" else "allow"
    with SITE.site(written, isolated=host == "isolated") as address:
        context = browser.new_context(service_workers=blocked)
        page = context.new_page()
        page.set_default_timeout(SITE.PATIENCE)
        failed: list[Any] = []
        page.on("pageerror", lambda error: failed.append(error))
        page.goto(f"{address}/some/faces/?threads=2")
        SITE.when_ready(page)
        runs = page.evaluate("sga.runs()")
        assert runs["backend"] == "wasm"
        assert runs["difference"] <= SITE.FAITHFUL
        assert runs["isolated"] == (host != "without workers")
        assert runs["threads"] == (2 if runs["isolated"] else 1)
        if not runs["isolated"]:
            assert "this host does not allow more" in page.inner_text("footer")
        assert page.locator(".grid [role=option]:not([disabled])").count() == 16
        assert failed == []
        context.close()


def test_latents_are_those_of_python_bit_for_bit(drawing: Any, tiny: FaceModel) -> None:
    page = drawing
    seeds = [
        SITE.recipe(0),
        SITE.recipe(2**64 - 1, 12345, 63, 1),
        SITE.recipe(7, 3, 1, 0, hair_color=2),
        SITE.recipe(5, 2, 9, None, glasses=1),
    ]
    for asked in seeds:
        where = {name: tiny.spec.attributes[name].values[code] for name, code in asked["where"].items()}
        gender = None if asked["gender"] is None else tiny.spec.gender.values[asked["gender"]]
        expected = tiny.draw(int(asked["seed"]), asked["index"], asked["attempt"], gender, where)
        assert_same_latents(page.evaluate("one => sga.latents(one)", asked), expected)
    for name in ("Ada", "user-42", "はなこ", "😀 two words", "é", "e\u0301", "x" * 500):
        for gender, code in ((None, None), ("female", 0), ("male", 1)):
            found = page.evaluate("one => sga.latents(one)", SITE.identity(name, code))
            assert found["attempt"] == tiny.avatar_attempt(name, gender)
            assert_same_latents(found, tiny.avatar_latents(name, gender))


def assert_same_latents(found: dict[str, Any], expected: Any) -> None:
    assert found["gender"] == expected.gender
    assert np.array(found["noise"], np.float64).astype(np.float32).tobytes() == expected.noise.tobytes()
    assert np.array(found["style"], np.float64).astype(np.float32).tobytes() == expected.style.tobytes()
    assert (np.array(found["noise"]) == expected.noise.astype(np.float64)).all()  # nothing was rounded on the way


def test_the_model_that_ships_draws_and_judges_as_in_python(browser: Any, tmp_path: Path) -> None:
    if not DEFAULT_MODEL.is_dir():
        pytest.skip("no model ships")
    model = FaceModel.load()
    write_page(model.folder, tmp_path / "page")
    with SITE.site(tmp_path / "page", isolated=True) as address:
        page = browser.new_page()
        page.set_default_timeout(2 * SITE.PATIENCE)
        page.goto(f"{address}/#" + "s=3&i=0&a=0&g=female")
        SITE.when_ready(page, settled=False)
        header = page.evaluate("sga.header()")
        for asked in (
            SITE.recipe(7, 0, 0, 0),
            SITE.recipe(8, 1, 2, 1),
            SITE.recipe(9, 0, 0, 1, hair_color=3),
            SITE.identity("Ada"),
            SITE.identity("李", 1),
        ):
            gender = None if asked["gender"] is None else model.spec.gender.values[asked["gender"]]
            if asked["kind"] == "id":
                latents = model.avatar_latents(asked["identity"], gender)
            else:
                where = {name: model.spec.attributes[name].values[code] for name, code in asked["where"].items()}
                latents = model.draw(int(asked["seed"]), asked["index"], asked["attempt"], gender, where)
            face = page.evaluate("one => sga.draw(one)", asked)
            assert_same_latents({**face["latents"]}, latents)
            expected = model.render(latents.noise[None], [latents.gender], latents.style[None])
            assert np.abs(SITE.pixels(face, model.size) - expected[0]).max() <= SITE.FAITHFUL
            judge = onnxruntime.InferenceSession(model.folder.read(header["judge"]))  # that of the page, small or not
            told, quality = judge.run(["probabilities", "quality"], {"image": expected})
            assert face["verdict"]["quality"] == pytest.approx(float(quality[0]), abs=0.02)
            for name, columns in model.spec.columns().items():
                assert np.ravel(face["verdict"]["probabilities"][name]) == pytest.approx(told[0, columns], abs=0.02)
        page.close()
        if os.environ.get("SGA_SCREENSHOTS"):
            page = browser.new_page(viewport={"width": 1220, "height": 1240})
            page.set_default_timeout(5 * SITE.PATIENCE)
            page.goto(address)
            SITE.when_ready(page)
            page.locator(".grid [role=option]").nth(6).click()
            SITE.picture(page, "shipped")
            page.close()


def test_faces_are_drawn_until_they_are_good_as_in_python(drawing: Any, tiny: FaceModel) -> None:
    page = drawing
    plans = [
        {"kind": "fresh", "seed": "11", "index": i, "gender": 0, "where": {}, "locks": {"noise": False, "style": False}}
        for i in range(8)
    ]
    order = {"plans": plans, "strictness": "usual", "maxAttempts": 12, "judged": True, "where": {}}
    found = page.evaluate("order => sga.until(order)", order)
    expected = tiny.generate("female", 8, seed=11)
    assert max(face.attempts for face in expected) > 1
    assert [face["attempt"] for face in found] == [face.attempt for face in expected]
    assert [face["attempts"] for face in found] == [face.attempts for face in expected]
    assert [not face["failed"] for face in found] == [face.accepted for face in expected]
    for mine, theirs in zip(found, expected, strict=True):
        assert np.abs(SITE.pixels(mine, tiny.size) - theirs.image).max() <= SITE.FAITHFUL
    none = page.evaluate("order => sga.until(order)", {**order, "strictness": "off"})
    assert {face["attempts"] for face in none} == {1}
    assert all(face["verdict"] for face in none)


def test_locks_keep_their_part_and_variations_stay_near(drawing: Any, tiny: FaceModel) -> None:
    page = drawing
    base = tiny.draw(4, gender="male")
    keep = {"noise": list(map(float, base.noise)), "style": list(map(float, base.style)), "gender": 1}
    script = """async ({base, plan}) => {
        const typed = {gender: base.gender, noise: Float32Array.from(base.noise), style: Float32Array.from(base.style)};
        const order = {strictness: 'off', maxAttempts: 1, judged: false, where: {}};
        const faces = await sga.until({...order, plans: [0, 1, 2].map((index) => ({...plan, index, base: typed}))});
        return faces.map((face) => face.latents);
    }"""
    plan = {"kind": "fresh", "seed": "1", "gender": 1, "where": {}, "locks": {"noise": False, "style": True}}
    for found in page.evaluate(script, {"base": keep, "plan": plan}):
        assert found["style"] == pytest.approx(base.style, abs=1 / 2048)
        assert np.abs(np.array(found["noise"]) - base.noise).max() > 0.5
    near = {"kind": "near", "seed": "1", "strength": 0.3, "locks": {"noise": False, "style": False}}
    for index, found in enumerate(page.evaluate(script, {"base": keep, "plan": near})):
        expected = list(tiny.variations(base, count=3, seed=1, strength=0.3, max_attempts=1))[index].latents
        assert expected is not None
        assert found["noise"] == pytest.approx(expected.noise, abs=1 / 250)  # rounded, so that a link is short
        assert found["style"] == pytest.approx(expected.style, abs=1 / 2000)


def test_webgpu_draws_the_same_face_or_gives_way_and_says_so(opened: Any, tiny: FaceModel) -> None:
    page = opened(settled=False)
    switch = page.get_by_role("switch")
    if switch.is_disabled():
        pytest.skip("this Chromium offers no WebGPU")
    switch.click()
    SITE.until(page, "sga.runs().then((runs) => runs.backend === 'webgpu' || runs.refused !== '')")
    runs = page.evaluate("sga.runs()")
    words = page.inner_text("footer")
    if runs["backend"] == "webgpu":
        assert runs["difference"] <= SITE.FAITHFUL
        assert "Drawn by the graphics card" in words
    else:
        assert "WebGPU did not pass" in words
        assert "Drawn by the processor" in words
        assert not switch.is_checked()
    latents = tiny.draw(1, gender="female")
    face = page.evaluate("one => sga.draw(one)", SITE.recipe(1, gender=0))
    assert (
        np.abs(SITE.pixels(face, tiny.size) - tiny.render(latents.noise[None], [0], latents.style[None])[0]).max()
        <= SITE.FAITHFUL
    )


def test_a_runtime_that_draws_other_pixels_is_not_used(opened: Any, written: Path, tmp_path: Path, browser: Any) -> None:
    """The self-check compares with faces that the exporter drew: damage them, and the page says that it cannot draw."""
    copy = Path(shutil.copytree(written, tmp_path / "host"))
    header = copy / "some/faces/model.json"
    told = json.loads(header.read_text())
    entry, check = told["files"]["arrays"], told["arrays"]["check"]
    path = copy / "some/faces" / entry["path"]
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[check["offset"] + 5] ^= 0x40
    path.write_bytes(gzip.compress(bytes(content)))
    entry["bytes"] = path.stat().st_size
    header.write_text(json.dumps(told))
    with SITE.site(copy, isolated=True) as address:
        page = browser.new_page()
        page.goto(f"{address}/some/faces/")
        page.wait_for_selector("[role=alert]", timeout=SITE.PATIENCE)
        assert "self-check" in page.inner_text("[role=alert]")
        page.close()
