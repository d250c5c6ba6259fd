"""What people do on the page, in a real headless Chromium."""

from __future__ import annotations

import json
import runpy
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sga import FaceModel
from sga.cli import main as cli

SITE = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("page_site.py"))))
browser, written, url, tiny, opened, drawing = SITE.browser, SITE.written, SITE.url, SITE.tiny, SITE.opened, SITE.drawing


def test_a_link_redraws_the_face_for_somebody_else(opened: Any, tiny: FaceModel) -> None:
    page = opened(permissions=["clipboard-read", "clipboard-write"])
    page.locator(".grid [role=option]").nth(5).click()
    page.get_by_role("button", name="Copy link").click()
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == page.url
    assert tiny.folder.drawing_hash in link
    mine = SITE.shown(page)
    assert (SITE.shown(opened(link.partition("/faces/")[2], settled=True)) == mine).all()

    page.get_by_role("button", name="16 like this").click()
    SITE.until(page, "document.querySelector('.state').textContent.startsWith('16 faces')")
    page.locator(".grid [role=option]").nth(2).click()
    refined = page.url.partition("/faces/")[2]
    assert len(page.url) < 300
    theirs = opened(refined)
    assert (SITE.shown(theirs) == SITE.shown(page)).all()
    assert not (SITE.shown(theirs) == mine).all()

    theirs.evaluate("fragment => void (location.hash = fragment)", f"#m=0123456789abcdef&{link.partition('&')[2]}")
    SITE.until(theirs, "document.querySelector('.notice').innerText.includes('another model (0123456789abcdef)')")
    SITE.until(theirs, f"location.hash === '{link[link.index('#') :]}'")
    assert (SITE.shown(theirs) == mine).all()
    theirs.evaluate("location.hash = '#s=1&w.hair_color=plaid'")
    SITE.until(theirs, "document.querySelector('[role=alert]').innerText.includes('does not know')")


def test_a_name_gives_the_face_of_the_command_line(opened: Any, tiny: FaceModel) -> None:
    page = opened(settled=False)
    page.get_by_role("tab", name="By name").click()
    page.get_by_label("Your name").fill("Ada Lovelace")
    SITE.until(page, "location.hash.includes('id=Ada')")
    assert np.abs(SITE.shown(page).astype(int) - tiny.avatar("Ada Lovelace").image).max() <= SITE.FAITHFUL
    assert "sga generate --id 'Ada Lovelace'" in page.locator("code").inner_text()
    page.locator("[role=tabpanel]:not([hidden]) label:has(input[value=male])").click()
    SITE.until(page, "location.hash.includes('g=male')")
    assert np.abs(SITE.shown(page).astype(int) - tiny.avatar("Ada Lovelace", "male").image).max() <= SITE.FAITHFUL
    again = opened(page.url.partition("/faces/")[2])
    assert again.get_by_label("Your name").input_value() == "Ada Lovelace"
    assert (SITE.shown(again) == SITE.shown(page)).all()


def test_the_command_that_is_shown_draws_the_face_of_this_model(
    opened: Any, tiny: FaceModel, model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = opened("#id=Ada+O'Neil&g=male")
    command = page.locator("code").inner_text()
    assert command == rf"sga generate --id 'Ada O'\''Neil' --gender male --model {tiny.folder.drawing_hash}"
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny").symlink_to(model_path)
    monkeypatch.setenv("SGA_MODELS", str(tmp_path / "models"))
    with pytest.raises(SystemExit) as stop:
        cli.main([*shlex.split(command)[1:], "--out", str(tmp_path / "out")])
    assert not stop.value.code
    (path,) = (tmp_path / "out").glob("*.png")
    assert path.read_bytes() == tiny.avatar("Ada O'Neil", "male").png()


def test_a_link_of_the_same_name_sets_the_gender(opened: Any) -> None:
    page = opened("#id=Ada")
    panel = page.locator("[role=tabpanel]:not([hidden])")
    for fragment, value in (("#id=Ada&g=male", "male"), ("#id=Ada&g=female", "female"), ("#id=Ada", "")):
        page.evaluate("fragment => void (location.hash = fragment)", fragment)
        SITE.until(page, f"document.querySelector('input[type=radio][value=\"{value}\"][name^=name-gender]').checked")
        assert panel.locator("input[type=radio]:checked").count() == 1
        assert (f"--gender {value}" in page.locator("code").inner_text()) == bool(value)


def test_the_download_says_what_the_command_line_says(opened: Any, tiny: FaceModel, tmp_path: Path) -> None:
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
    assert np.abs(array.astype(int) - tiny.render(latents.noise[None], [0], latents.style[None])[0]).max() <= SITE.FAITHFUL
    face = tiny.generate("female", 3, seed=11, max_attempts=1)[2]
    expected = face.metadata()
    free = {"made", "criterion", "asked", "quality"}
    assert {k: v for k, v in found.items() if k not in free} == {k: v for k, v in expected.items() if k not in free}
    assert float(found["quality"]) == pytest.approx(face.quality, abs=0.02)
    assert np.abs(tiny.again(path).image.astype(int) - array).max() <= SITE.FAITHFUL
    with page.expect_download() as taken:
        page.get_by_role("button", name="Large").click()
    with Image.open(taken.value.path()) as image:
        assert image.size == (4 * tiny.size, 4 * tiny.size)


def test_controls_follow_the_schema_and_what_styles_there_are(opened: Any, tiny: FaceModel) -> None:
    page = opened()
    hair = tiny.spec.attributes["hair_color"].values
    assert [page.get_by_role("radio", name=value).count() for value in hair] == [1] * len(hair)
    glasses = page.get_by_role("checkbox", name="glasses")
    assert glasses.get_attribute("aria-checked") == "mixed"
    glasses.click()
    assert glasses.get_attribute("aria-checked") == "true"
    SITE.until(page, "document.querySelector('input[value=blue]').disabled")  # no blue-haired face wears any
    page.locator(".controls label:has(input[value=female])").click()
    page.get_by_role("button", name="Shuffle 16").click()
    SITE.until(page, "/^16 faces/.test(document.querySelector('.state').textContent)")
    page.locator(".grid [role=option]").nth(7).click()
    assert "g=female" in page.url
    assert "w.glasses=yes" in page.url
    glasses.click()
    assert glasses.get_attribute("aria-checked") == "false"


def test_a_slider_goes_from_one_face_to_another(opened: Any) -> None:
    page = opened()
    page.locator(".grid [role=option]").nth(0).click()
    page.get_by_role("tab", name="Between").click()
    first = SITE.shown(page)
    slider = page.get_by_role("slider", name="From the first")
    assert slider.is_enabled()
    slider.focus()

    def press(key: str) -> None:
        """And wait until its face is shown: the address names it then."""
        before = page.evaluate("location.hash")
        page.keyboard.press(key)
        SITE.until(page, f"location.hash !== {json.dumps(before)}")

    for key in ("Home", "ArrowRight", "ArrowRight"):
        press(key)
    assert "l=" in page.evaluate("location.hash")
    assert slider.get_attribute("aria-valuetext") == "6 %"
    near = np.abs(SITE.shown(page).astype(int) - first).mean()
    press("End")
    assert 0 < near < np.abs(SITE.shown(page).astype(int) - first).mean()


def test_history_survives_a_reload(opened: Any) -> None:
    page = opened()
    page.locator(".grid [role=option]").nth(3).click()
    page.locator(".grid [role=option]").nth(9).click()
    kept = page.locator(".strip [role=option]")
    SITE.until(page, "document.querySelectorAll('.strip [role=option]').length >= 2")
    mine, link, count = SITE.shown(page), page.url, kept.count()
    page.goto(page.url.partition("#")[0])
    page.reload()
    SITE.when_ready(page)
    assert kept.count() == count
    kept.first.click()
    assert page.url == link
    assert (SITE.shown(page) == mine).all()
    page.get_by_role("button", name="Forget them").click()
    SITE.until(page, "document.querySelectorAll('.strip [role=option]').length === 0")
    page.reload()
    SITE.when_ready(page)
    assert kept.count() <= 1  # the address still names one


def test_drawing_can_be_stopped(opened: Any) -> None:
    page = opened()
    page.get_by_text("Strict").click()
    page.evaluate(
        """async () => {
            const named = (words) => [...document.querySelectorAll('button')].find((one) => one.textContent === words);
            named('Shuffle 16').click();
            while (!/attempt \\d/.test(document.querySelector('.state').textContent)) await new Promise(requestAnimationFrame);
            named('Stop').click();
        }"""
    )
    SITE.until(page, "document.querySelector('.state').textContent.startsWith('Stopped after')")
    told, drawn = page.inner_text(".state"), page.locator(".grid [role=option]:not([disabled])").count()
    page.wait_for_timeout(600)
    assert page.inner_text(".state") == told
    assert page.locator(".grid [role=option]:not([disabled])").count() == drawn
    assert page.get_by_role("button", name="Stop").count() == 0


def test_another_backend_lets_a_drawing_end(opened: Any) -> None:
    """What the worker says of the shuffle reaches the page only when another worker has taken over."""
    page = opened()
    page.evaluate(
        """async () => {
            const [runs, held, post] = [await sga.runs(), [], Worker.prototype.postMessage];
            const frame = () => new Promise(requestAnimationFrame);
            let worker = null;
            Worker.prototype.postMessage = function (order) {
                if (order.order === 'draw' && !worker) {
                    worker = this;
                    worker.hear = worker.onmessage;
                    worker.onmessage = (event) => held.push(event);
                }
                post.call(this, order);
            };
            [...document.querySelectorAll('button')].find((one) => one.textContent === 'Shuffle 16').click();
            while (!worker) await frame();
            document.querySelector('[role=switch]').dispatchEvent(new Event('change'));  // the processor, in a new worker
            while (await sga.runs() === runs) await frame();
            worker.onmessage = worker.hear;
            held.forEach((event) => worker.hear(event));
        }"""
    )
    SITE.until(page, "document.querySelector('.state').textContent.startsWith('16 faces')")
    assert page.locator(".grid [role=option]:not([disabled])").count() == 16
    assert page.locator(".notice").is_hidden()
    page.get_by_role("button", name="16 like this").click()
    SITE.until(page, "document.querySelectorAll('.grid [role=option]:not([disabled])').length === 16")
    assert page.locator(".notice").is_hidden()


def test_as_many_as_twenty_grids_are_kept(opened: Any) -> None:
    page = opened()
    page.locator("label:has(input[value=off])").click()
    back = page.get_by_role("button", name="Back", exact=True)
    for _ in range(22):
        page.evaluate("document.querySelector('.grid').firstChild.dataset.former = ''")
        page.get_by_role("button", name="Shuffle 16").click()
        SITE.until(page, "!document.querySelector('[data-former]') && !document.querySelector('[aria-busy]')")
    count = 0
    while back.is_enabled():
        back.click()
        count += 1
    assert count == 20
    assert page.locator(".grid [role=option]:not([disabled])").count() == 16
