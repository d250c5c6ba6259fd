"""The page in a real headless Chromium: it opens on any static host, draws what Python draws, and works for everybody.

SGA_SCREENSHOTS names a folder that takes pictures of the page.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import runpy
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sga import FaceModel
from sga.model_folder import DEFAULT_MODEL, ModelFolder
from sga.web import write_page

SITE = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("page_site.py"))))
AXE = Path(__file__).parents[2] / "sga/web/source/node_modules/axe-core/axe.min.js"
PATIENCE = 60_000  # milliseconds
FAITHFUL = 2  # of 255
GPU = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"]

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    program = SITE.chromium()
    if program is None:
        pytest.skip("Chromium is not installed. Type, on Debian: apt-get install chromium")
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=program, args=["--no-sandbox", *GPU])  # root has no sandbox
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def written(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A host's folder; the page of the tiny model is below it, as on many hosts."""
    root = tmp_path_factory.mktemp("host")
    write_page(ModelFolder.load(model_path), root / "some" / "faces")
    return root


@pytest.fixture(scope="module")
def url(written: Path) -> Iterator[str]:
    with SITE.site(written, isolated=True) as address:
        yield f"{address}/some/faces/"


@pytest.fixture(scope="module")
def tiny(model_path: Path) -> FaceModel:
    return FaceModel.load(model_path)


@pytest.fixture(scope="module")
def drawing(browser: Any, url: str) -> Iterator[Any]:
    """A page whose `window.sga` several tests ask; nobody clicks on it."""
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{url}#s=4&i=0&a=0&g=male")
    when_ready(page)
    yield page
    page.close()


@pytest.fixture
def opened(browser: Any, url: str) -> Iterator[Open]:
    """`opened(fragment, settled=True, **context)`: the page in a fresh browser profile, when its first faces are drawn."""
    contexts = []

    def open_page(fragment: str = "", address: str = url, settled: bool = True, **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(address + fragment)
        when_ready(page, settled)
        return page

    yield open_page
    for context in contexts:
        context.close()


def when_ready(page: Any, settled: bool = True) -> None:
    """Wait until the page draws; it may reload itself once before."""
    page.wait_for_selector(".ways")
    page.evaluate("sga.settled" if settled else "sga.ready")


@contextmanager
def requests_of(page: Any) -> Iterator[list[str]]:
    seen: list[str] = []
    page.context.on("request", lambda request: seen.append(request.url))
    yield seen


def until(page: Any, expression: str) -> None:
    """Wait until an expression of JavaScript is true; Playwright's own wait needs an `eval` that the page's policy forbids."""
    deadline = time.monotonic() + PATIENCE / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"{expression} never became true; the page says {page.inner_text('.ways')[:300]!r}"
        page.wait_for_timeout(50)


def picture(page: Any, name: str) -> None:
    folder = os.environ.get("SGA_SCREENSHOTS")
    if folder:
        page.screenshot(path=str(Path(folder) / f"page-{name}.png"))


def pixels(face: Any, size: int) -> np.ndarray:
    return np.array(face["pixels"], np.int64).reshape(size, size, 3)


def recipe(seed: int, index: int = 0, attempt: int = 0, gender: int | None = None, **where: int) -> dict[str, Any]:
    return {"kind": "seed", "seed": str(seed), "index": index, "attempt": attempt, "gender": gender, "where": where}


def identity(name: str, gender: int | None = None) -> dict[str, Any]:
    return {"kind": "id", "identity": name, "gender": gender}


# -- what is drawn ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["isolated", "plain", "without workers"])
def test_it_opens_on_any_static_host(browser: Any, written: Path, host: str) -> None:
    """A host that sends no headers gets threads by the page's own service worker; where that is forbidden, one thread draws."""
    blocked = "block" if host == "without workers" else "allow"
    with SITE.site(written, isolated=host == "isolated") as address:
        context = browser.new_context(service_workers=blocked)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        failed: list[Any] = []
        page.on("pageerror", lambda error: failed.append(error))
        page.goto(f"{address}/some/faces/")
        when_ready(page)
        runs = page.evaluate("sga.runs()")
        assert runs["backend"] == "wasm"
        assert runs["difference"] <= FAITHFUL
        assert runs["isolated"] == (host != "without workers")
        assert (runs["threads"] > 1) == (runs["isolated"] and (os.cpu_count() or 1) > 1)
        if not runs["isolated"]:
            assert "one thread" in page.inner_text("footer")
        assert page.locator(".grid [role=option]:not([disabled])").count() == 16
        assert failed == []
        context.close()


def test_latents_are_those_of_python_bit_for_bit(drawing: Any, tiny: FaceModel) -> None:
    page = drawing
    seeds = [recipe(0), recipe(2**64 - 1, 12345, 63, 1), recipe(7, 3, 1, 0, hair_color=2), recipe(5, 2, 9, None, glasses=1)]
    for asked in seeds:
        where = {name: tiny.spec.attributes[name].values[code] for name, code in asked["where"].items()}
        gender = None if asked["gender"] is None else tiny.spec.gender.values[asked["gender"]]
        expected = tiny.draw(int(asked["seed"]), asked["index"], asked["attempt"], gender, where)
        assert_same_latents(page.evaluate("one => sga.latents(one)", asked), expected)
    for name in ("Ada", "user-42", "はなこ", "😀 two words", "é", "e\u0301", "x" * 500):
        for gender, code in ((None, None), ("female", 0), ("male", 1)):
            found = page.evaluate("one => sga.latents(one)", identity(name, code))
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
        page.set_default_timeout(2 * PATIENCE)
        page.goto(f"{address}/#" + "s=3&i=0&a=0&g=female")
        when_ready(page, settled=False)
        header = page.evaluate("sga.header()")
        for asked in (recipe(7, 0, 0, 0), recipe(8, 1, 2, 1), recipe(9, 0, 0, 1, hair_color=3), identity("Ada"), identity("李", 1)):
            gender = None if asked["gender"] is None else model.spec.gender.values[asked["gender"]]
            if asked["kind"] == "id":
                latents = model.avatar_latents(asked["identity"], gender)
            else:
                where = {name: model.spec.attributes[name].values[code] for name, code in asked["where"].items()}
                latents = model.draw(int(asked["seed"]), asked["index"], asked["attempt"], gender, where)
            face = page.evaluate("one => sga.draw(one)", asked)
            assert_same_latents({**face["latents"]}, latents)
            expected = model.render(latents.noise[None], [latents.gender], latents.style[None])
            assert np.abs(pixels(face, model.size) - expected[0]).max() <= FAITHFUL
            if header["judge"] == "judge.onnx":
                verdict = model.judge(expected)
                assert face["verdict"]["quality"] == pytest.approx(float(verdict.quality[0]), abs=0.02)
                for name, told in verdict.probabilities.items():
                    assert np.ravel(face["verdict"]["probabilities"][name]) == pytest.approx(told[0], abs=0.02)
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
        assert np.abs(pixels(mine, tiny.size) - theirs.image).max() <= FAITHFUL
    none = page.evaluate("order => sga.until(order)", {**order, "strictness": "off"})
    assert {face["attempts"] for face in none} == {1}
    assert all(face["verdict"] for face in none)


# -- what people do --------------------------------------------------------------------------------------------------------------


def test_a_link_redraws_the_face_for_somebody_else(opened: Open, tiny: FaceModel) -> None:
    page = opened(permissions=["clipboard-read", "clipboard-write"])
    page.locator(".grid [role=option]").nth(5).click()
    page.get_by_role("button", name="Copy link").click()
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == page.url
    assert tiny.folder.drawing_hash in link
    mine = shown(page)
    assert (shown(opened(link.partition("/faces/")[2], settled=True)) == mine).all()

    page.get_by_role("button", name="16 like this").click()
    until(page, "document.querySelector('.state').textContent.startsWith('16 faces')")
    page.locator(".grid [role=option]").nth(2).click()
    refined = page.url.partition("/faces/")[2]
    assert len(page.url) < 300
    theirs = opened(refined)
    assert (shown(theirs) == shown(page)).all()
    assert not (shown(theirs) == mine).all()

    theirs.evaluate("fragment => void (location.hash = fragment)", f"#m=0123456789abcdef&{link.partition('&')[2]}")
    until(theirs, "document.querySelector('.notice').innerText.includes('another model (0123456789abcdef)')")
    until(theirs, f"location.hash === '{link[link.index('#') :]}'")
    assert (shown(theirs) == mine).all()
    theirs.evaluate("location.hash = '#s=1&w.hair_color=plaid'")
    until(theirs, "document.querySelector('[role=alert]').innerText.includes('does not know')")


def shown(page: Any) -> np.ndarray:
    """The chosen face as it would be downloaded."""
    with Image.open(io.BytesIO(bytes(page.evaluate("sga.png()")))) as image:
        return np.asarray(image).copy()


def test_a_name_gives_the_face_of_the_command_line(opened: Open, tiny: FaceModel) -> None:
    page = opened(settled=False)
    page.get_by_role("tab", name="From a name").click()
    page.get_by_label("Your name").fill("Ada Lovelace")
    until(page, "location.hash.includes('id=Ada')")
    assert np.abs(shown(page).astype(int) - tiny.avatar("Ada Lovelace").image).max() <= FAITHFUL
    assert "sga generate --id 'Ada Lovelace'" in page.locator("code").inner_text()
    page.get_by_role("tabpanel").get_by_text("Man", exact=False).last.click()
    until(page, "location.hash.includes('g=male')")
    assert np.abs(shown(page).astype(int) - tiny.avatar("Ada Lovelace", "male").image).max() <= FAITHFUL
    again = opened(page.url.partition("/faces/")[2])
    assert again.get_by_label("Your name").input_value() == "Ada Lovelace"
    assert (shown(again) == shown(page)).all()


def test_the_download_says_what_the_command_line_says(opened: Open, tiny: FaceModel, tmp_path: Path) -> None:
    page = opened("#s=11&i=2&a=0&g=female")
    with page.expect_download() as taken:
        page.get_by_role("button", name="Download").click()
    path = tmp_path / "face.png"
    taken.value.save_as(path)
    assert taken.value.suggested_filename == "female-11-2-0.png"
    with Image.open(path) as image:
        image.verify()
    with Image.open(path) as image:
        found, array = dict(image.text), np.asarray(image)
    latents = tiny.draw(11, 2, 0, "female")
    assert np.abs(array.astype(int) - tiny.render(latents.noise[None], [0], latents.style[None])[0]).max() <= FAITHFUL
    face = tiny.generate("female", 3, seed=11, max_attempts=1)[2]
    expected = face.metadata()
    free = {"made", "criterion", "asked", "quality"}
    assert {k: v for k, v in found.items() if k not in free} == {k: v for k, v in expected.items() if k not in free}
    assert float(found["quality"]) == pytest.approx(face.quality, abs=0.02)
    assert np.abs(tiny.again(path).image.astype(int) - array).max() <= FAITHFUL
    with page.expect_download() as taken:
        page.get_by_role("button", name="Large").click()
    with Image.open(taken.value.path()) as image:
        assert image.size == (4 * tiny.size, 4 * tiny.size)


def test_controls_follow_the_schema_and_what_styles_there_are(opened: Open, tiny: FaceModel) -> None:
    page = opened()
    hair = tiny.spec.attributes["hair_color"].values
    assert [page.get_by_role("radio", name=value).count() for value in hair] == [1] * len(hair)
    glasses = page.get_by_role("checkbox", name="glasses")
    assert glasses.get_attribute("aria-checked") == "mixed"
    glasses.click()
    assert glasses.get_attribute("aria-checked") == "true"
    until(page, "document.querySelector('input[value=blue]').disabled")  # no blue-haired face wears any
    page.get_by_text("Woman").first.click()
    page.get_by_role("button", name="Shuffle 16").click()
    until(page, "/^16 faces/.test(document.querySelector('.state').textContent)")
    page.locator(".grid [role=option]").nth(7).click()
    assert "g=female" in page.url
    assert "w.glasses=yes" in page.url
    glasses.click()
    assert glasses.get_attribute("aria-checked") == "false"


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


def test_a_slider_goes_from_one_face_to_another(opened: Open) -> None:
    page = opened()
    page.locator(".grid [role=option]").nth(0).click()
    page.get_by_role("tab", name="Between two").click()
    first = shown(page)
    slider = page.get_by_role("slider", name="From the first")
    assert slider.is_enabled()
    slider.focus()
    for key in ("Home", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    until(page, "location.hash.includes('l=')")
    until(page, "document.querySelector('input[type=range].wide, .slider.wide input').ariaValueText === '6 %'")
    page.wait_for_timeout(500)
    near = np.abs(shown(page).astype(int) - first).mean()
    page.keyboard.press("End")
    page.wait_for_timeout(500)
    assert 0 < near < np.abs(shown(page).astype(int) - first).mean()


def test_history_survives_a_reload(opened: Open) -> None:
    page = opened()
    page.locator(".grid [role=option]").nth(3).click()
    page.locator(".grid [role=option]").nth(9).click()
    kept = page.locator(".strip [role=option]")
    until(page, "document.querySelectorAll('.strip [role=option]').length >= 2")
    mine, link, count = shown(page), page.url, kept.count()
    page.goto(page.url.partition("#")[0])
    page.reload()
    when_ready(page)
    assert kept.count() == count
    kept.first.click()
    assert page.url == link
    assert (shown(page) == mine).all()
    page.get_by_role("button", name="Forget them").click()
    until(page, "document.querySelectorAll('.strip [role=option]').length === 0")
    page.reload()
    when_ready(page)
    assert kept.count() <= 1  # the address still names one


def test_drawing_can_be_stopped(opened: Open) -> None:
    page = opened(settled=False)
    page.get_by_text("Strict").click()
    page.get_by_role("button", name="Shuffle 16").click()
    until(page, "/attempt \\d/.test(document.querySelector('.state').textContent)")
    page.get_by_role("button", name="Stop").click()
    until(page, "/^(Stopped|16 faces)/.test(document.querySelector('.state').textContent)")
    attempts = page.inner_text(".state")
    page.wait_for_timeout(600)
    assert page.inner_text(".state") == attempts
    assert page.get_by_role("button", name="Stop").count() == 0


# -- for everybody ---------------------------------------------------------------------------------------------------------------


def test_all_of_it_by_keyboard(opened: Open) -> None:
    page = opened()
    for _ in range(60):
        page.keyboard.press("Tab")
        outline = page.evaluate(
            """() => { const one = document.activeElement; const at = one.closest('label.segment, label.swatch') ?? one;
                return one === document.body ? '' : getComputedStyle(at).outlineStyle; }"""
        )
        assert outline != "none"
        if page.evaluate("document.activeElement.closest('.grid') !== null"):
            break
    else:
        pytest.fail("the tab key does not reach the faces")
    place = "[...document.querySelectorAll('.grid [role=option]')].indexOf(document.activeElement)"
    visited = []
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "End", "ArrowUp", "Home"):
        page.keyboard.press(key)
        visited.append(page.evaluate(place))
    assert visited[-1] == 0
    assert [b - a for a, b in zip(visited[:-1], visited[1:], strict=True)][:2] == [4, -1]
    assert visited[3:5] == [15, 11]
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    option = page.locator(".grid [role=option][aria-selected=true]")
    assert option.count() == 1
    assert re.fullmatch(r"(woman|man), (blue|gray|green) hair(, glasses)?( \(best of \d+ attempts\))?", option.get_attribute("aria-label"))
    until(page, "document.querySelector('[role=status]').textContent.startsWith('Chosen: ')")
    assert page.get_by_role("img").last.get_attribute("aria-label")
    page.get_by_role("tab", name="Create").focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("tab", name="From a name").get_attribute("aria-selected") == "true"
    assert page.get_by_label("Your name").is_visible()


@pytest.mark.parametrize(("locale", "title", "word"), [("en-GB", "drawn here", "Shuffle"), ("ja-JP", "描かれる", "シャッフル"), ("zh-CN", "绘制", "随机")])
def test_three_languages_on_a_phone(opened: Open, locale: str, title: str, word: str) -> None:
    page = opened(locale=locale, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True, device_scale_factor=2)
    assert page.evaluate("document.documentElement.lang").startswith(locale[:2])
    assert title in page.inner_text("h1")
    assert page.get_by_role("button", name=word).count() >= 1
    picture(page, f"phone-{locale[:2]}")
    for place in (1, 2, 0):
        page.locator("[role=tab]").nth(place).tap()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        small = page.evaluate(
            """() => [...document.querySelectorAll('button, select, input[type=text]')].filter((one) => one.checkVisibility())
                .filter((one) => one.getBoundingClientRect().height < 40).map((one) => one.outerHTML.slice(0, 80))"""
        )
        assert small == []
    if locale != "en-GB":
        latin = page.evaluate(LATIN)
        assert latin == []
    page.locator("select").first.select_option("en")
    assert "drawn here" in page.inner_text("h1")
    assert "Shuffle 16" in page.inner_text("body")
    page.reload()
    when_ready(page, settled=False)
    assert "drawn here" in page.inner_text("h1")


LATIN = """() => {
    const seen = [];
    const foreign = (text) => /[a-z]{4,}/i.test(text.replace(/English|WebGPU|Enter|license.*|licence.*|Drawn by a test: free/g, ''));
    for (const one of document.body.querySelectorAll('*')) {
        if (one.closest('code, footer, select, details')) continue;
        for (const name of ['aria-label', 'title', 'placeholder', 'aria-valuetext', 'alt']) {
            const value = one.getAttribute(name);
            if (value && foreign(value)) seen.push(name + ': ' + value);
        }
        const own = [...one.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data).join('');
        if (foreign(own)) seen.push(own);
    }
    return seen;
}"""


def test_nothing_leaves_the_origin(browser: Any, url: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    with requests_of(page) as seen:
        page.goto(url)
        when_ready(page)
        page.get_by_role("tab", name="From a name").click()
        page.get_by_label("Your name").fill("Ada")
        until(page, "location.hash.includes('id=Ada')")
        page.get_by_role("link", name="Parts of others").click()
        page.wait_for_load_state()
        assert "MIT License" in page.content()
    origin = url.partition("/some")[0]
    assert len(seen) > 8
    assert {one for one in seen if not one.startswith((origin, "blob:" + origin, "data:"))} == set()
    page.goto(url)
    when_ready(page, settled=False)
    refused = page.evaluate("fetch('https://example.org/').then(() => 'fetched', (error) => error.name)")
    assert refused == "TypeError"
    policy = page.locator("meta[http-equiv=Content-Security-Policy]").get_attribute("content")
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    context.close()


def test_it_is_accessible_by_the_rules_of_axe(opened: Open) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not there. Type: npm ci --prefix sga/web/source")
    for scheme in ("light", "dark"):
        page = opened(color_scheme=scheme, bypass_csp=True)
        page.add_script_tag(path=str(AXE))
        for place in range(3):
            page.locator("[role=tab]").nth(place).click()
            found = page.evaluate("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})")
            told = [(one["id"], [node["html"][:120] for node in one["nodes"]][:3]) for one in found["violations"]]
            assert told == []
        picture(page, f"desktop-{scheme}")


def test_dark_light_and_calm(opened: Open) -> None:
    page = opened(settled=False, color_scheme="dark", reduced_motion="reduce")
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(23, 22, 28)"
    moving = "[...document.querySelectorAll('*')].filter((one) => getComputedStyle(one).animationName !== 'none').length"
    page.get_by_role("button", name="Shuffle 16").click()
    assert page.evaluate(moving) == 0
    page.locator(".theme").click()
    assert page.evaluate(ground) == "rgb(250, 248, 245)"
    page.reload()
    when_ready(page, settled=False)
    assert page.evaluate(ground) == "rgb(250, 248, 245)"


def test_webgpu_draws_the_same_face_or_gives_way_and_says_so(opened: Open, tiny: FaceModel) -> None:
    page = opened(settled=False)
    switch = page.get_by_role("switch")
    if switch.is_disabled():
        pytest.skip("this Chromium offers no WebGPU")
    switch.click()
    until(page, "sga.runs().then((runs) => runs.backend === 'webgpu' || runs.refused !== '')")
    runs = page.evaluate("sga.runs()")
    words = page.inner_text("footer")
    if runs["backend"] == "webgpu":
        assert runs["difference"] <= FAITHFUL
        assert "Drawn by the graphics card" in words
    else:
        assert "WebGPU did not pass" in words
        assert "Drawn by the processor" in words
        assert not switch.is_checked()
    latents = tiny.draw(1, gender="female")
    face = page.evaluate("one => sga.draw(one)", recipe(1, gender=0))
    assert np.abs(pixels(face, tiny.size) - tiny.render(latents.noise[None], [0], latents.style[None])[0]).max() <= FAITHFUL


def test_a_runtime_that_draws_other_pixels_is_not_used(opened: Open, written: Path, tmp_path: Path, browser: Any) -> None:
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
        page.wait_for_selector("[role=alert]", timeout=PATIENCE)
        assert "self-check" in page.inner_text("[role=alert]")
        page.close()
