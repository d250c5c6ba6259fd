"""The page for everybody: by keyboard, in three languages, on a phone, for screen readers; and for nobody else."""

from __future__ import annotations

import re
import runpy
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

SITE = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("page_site.py"))))
browser, written, url, tiny, opened, drawing = SITE.browser, SITE.written, SITE.url, SITE.tiny, SITE.opened, SITE.drawing
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
AXE = Path(__file__).parents[2] / "sga/web/source/node_modules/axe-core/axe.min.js"


@contextmanager
def requests_of(page: Any) -> Iterator[list[str]]:
    seen: list[str] = []
    page.context.on("request", lambda request: seen.append(request.url))
    yield seen


def test_all_of_it_by_keyboard(opened: Any) -> None:
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
    assert [b - a for a, b in pairwise(visited)][:2] == [4, -1]
    assert visited[3:5] == [15, 11]
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    option = page.locator(".grid [role=option][aria-selected=true]")
    assert option.count() == 1
    told = r"(woman|man), (blue|gray|green) hair(, glasses)?( \(best of \d+ attempts\))?"
    assert re.fullmatch(told, option.get_attribute("aria-label"))
    SITE.until(page, "document.querySelector('[role=status]').textContent.startsWith('Chosen: ')")
    assert page.get_by_role("img").last.get_attribute("aria-label")
    page.get_by_role("tab", name="Create").focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("tab", name="By name").get_attribute("aria-selected") == "true"
    assert page.get_by_label("Your name").is_visible()


LANGUAGES = [("en-GB", "drawn here", "Shuffle"), ("ja-JP", "描かれる", "シャッフル"), ("zh-CN", "绘制", "随机")]


@pytest.mark.parametrize(("locale", "title", "word"), LANGUAGES, ids=["English", "Japanese", "Chinese"])
def test_three_languages_on_a_phone(opened: Any, locale: str, title: str, word: str) -> None:
    page = opened(locale=locale, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True, device_scale_factor=2)
    assert page.evaluate("document.documentElement.lang").startswith(locale[:2])
    assert title in page.inner_text("h1")
    assert page.get_by_role("button", name=word).count() >= 1
    SITE.picture(page, f"phone-{locale[:2]}")
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
    SITE.when_ready(page, settled=False)
    assert "drawn here" in page.inner_text("h1")


LATIN = """() => {
    const seen = [];
    const foreign = (text) => /[a-z]{4,}/i.test(text.replace(/English|WebGPU|Enter/g, ''));
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
    page.set_default_timeout(SITE.PATIENCE)
    with requests_of(page) as seen:
        page.goto(url)
        SITE.when_ready(page)
        page.get_by_role("tab", name="By name").click()
        page.get_by_label("Your name").fill("Ada")
        SITE.until(page, "location.hash.includes('id=Ada')")
        page.get_by_role("link", name="Parts of others").click()
        page.wait_for_load_state()
        assert "MIT License" in page.content()
    origin = url.partition("/some")[0]
    assert len(seen) > 8
    assert {one for one in seen if not one.startswith((origin, "blob:" + origin, "data:"))} == set()
    page.goto(url)
    SITE.when_ready(page, settled=False)
    refused = page.evaluate("fetch('https://example.org/').then(() => 'fetched', (error) => error.name)")
    assert refused == "TypeError"
    policy = page.locator("meta[http-equiv=Content-Security-Policy]").get_attribute("content")
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    context.close()


def test_it_is_accessible_by_the_rules_of_axe(opened: Any) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not there. Type: npm ci --prefix sga/web/source")
    for scheme in ("light", "dark"):
        page = opened(color_scheme=scheme, bypass_csp=True)
        page.add_script_tag(path=str(AXE))
        for place in range(3):
            page.locator("[role=tab]").nth(place).click()
            found = page.evaluate("rules => axe.run({runOnly: rules})", RULES)
            told = [(one["id"], [node["html"][:120] for node in one["nodes"]][:3]) for one in found["violations"]]
            assert told == []
        SITE.picture(page, f"desktop-{scheme}")


def test_dark_light_and_calm(opened: Any) -> None:
    page = opened(settled=False, color_scheme="dark", reduced_motion="reduce")
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(23, 22, 28)"
    moving = "[...document.querySelectorAll('*')].filter((one) => getComputedStyle(one).animationName !== 'none').length"
    page.get_by_role("button", name="Shuffle 16").click()
    assert page.evaluate(moving) == 0
    page.locator(".theme").click()
    assert page.evaluate(ground) == "rgb(250, 248, 245)"
    page.reload()
    SITE.when_ready(page, settled=False)
    assert page.evaluate(ground) == "rgb(250, 248, 245)"
