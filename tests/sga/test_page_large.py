"""Larger pictures on the page: made in a real headless Chromium, they are those of the command line."""

from __future__ import annotations

import gzip
import json
import re
import runpy
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sga import FaceModel
from sga.cli import main as cli
from sga.generation.metadata import read_metadata
from sga.model_folder import DEFAULT_MODEL, UPSCALER, ModelFolder
from sga.web import download_sizes, page_files, write_page

SITE = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("page_site.py"))))
EVERYBODY = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("test_page_everybody.py"))))
browser, opened = SITE.browser, SITE.opened
LISTEN = """() => {
    window.told = [];
    const note = document.querySelector('.shown .note');
    new MutationObserver(() => told.push(note.textContent)).observe(note, {childList: true});
}"""
NOTE = "document.querySelector('.shown .note').textContent"


@pytest.fixture(scope="module")
def written(sharp: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A host's folder with the page of the tiny model that has an upscaler."""
    root = tmp_path_factory.mktemp("host")
    write_page(ModelFolder.load(sharp), root / "some" / "faces")
    return root


@pytest.fixture(scope="module")
def url(written: Path) -> Iterator[str]:
    with SITE.site(written, isolated=True) as address:
        yield f"{address}/some/faces/"


@pytest.fixture(scope="module")
def tiny(sharp: Path) -> FaceModel:
    return FaceModel.load(sharp)


def save(page: Any, button: str, path: Path) -> str:
    """Press a button and keep what it gives. The name that the page proposes."""
    with page.expect_download() as taken:
        page.get_by_role("button", name=button).click()
    taken.value.save_as(path)
    return str(taken.value.suggested_filename)


def image_of(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture).copy()


def differences(path: Path, image: np.ndarray) -> np.ndarray:
    found = image_of(path)
    assert found.shape == image.shape
    return np.abs(found.astype(int) - image)


def apart(path: Path, image: np.ndarray) -> int:
    return int(differences(path, image).max())


def again(path: Path, model: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What `sga generate --again` says of a picture."""
    with pytest.raises(SystemExit) as stop:
        cli.main(["generate", "--again", str(path), "--model", str(model), "--out", str(out)])
    assert not stop.value.code
    return capsys.readouterr().out


def test_the_page_brings_the_upscaler_of_the_folder(sharp: Path, tiny: FaceModel, model_path: Path) -> None:
    files = page_files(tiny.folder)
    entries = json.loads(files["model.json"])["files"]
    entry = entries["upscaler"]
    assert gzip.decompress(files[entry["path"]]) == (sharp / UPSCALER).read_bytes()
    assert (entry["name"], entry["factors"]) == (tiny.enlarger.name, [2, 4])
    assert download_sizes(files)["upscaler"] == entry["bytes"]
    assert "upscaler" not in json.loads(page_files(ModelFolder.load(model_path))["model.json"])["files"]


def test_only_factors_without_tiles_are_offered(tiny: FaceModel) -> None:
    sizes = {96: [2, 4], 128: [2, 4], 208: [2, 4], 209: [2], 416: [2], 417: []}
    assert {size: tiny.enlarger.untiled(size) for size in sizes} == sizes


def test_the_model_that_ships_enlarges_as_the_command_line(
    browser: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The upscaler differs by 2 of 255 at most. Some values of the face that it is given differ by 1, as in test_page_drawing,
    which two passes may make more of: at 4x one value in 10,000 may be further off.
    """
    if not (DEFAULT_MODEL / UPSCALER).is_file():
        pytest.skip("no model with an upscaler ships")
    model = FaceModel.load()
    sizes = write_page(model.folder, tmp_path / "page")
    assert sizes["upscaler"] <= 750_000
    with SITE.site(tmp_path / "page", isolated=True, paused="upscaler") as address:
        page = browser.new_page()
        page.set_default_timeout(2 * SITE.PATIENCE)
        asked: list[str] = []
        page.context.on("request", lambda request: asked.append(request.url))
        page.goto(f"{address}/#id=Ada")
        SITE.when_ready(page)
        assert not [one for one in asked if "upscaler" in one]
        drawn = SITE.shown(page)
        page.evaluate(LISTEN)
        for times in (2, 4):
            edge, path = times * model.size, tmp_path / f"{times}.png"
            assert save(page, f"{times}×", path) == f"Ada-{edge}.png"
            assert apart(path, model.enlarger.times(drawn, times)) <= SITE.FAITHFUL
            expected = model.avatar("Ada", size=edge)
            off = differences(path, expected.image)
            assert off.max() <= (SITE.FAITHFUL if times == 2 else 2 * SITE.FAITHFUL)
            assert (off > SITE.FAITHFUL).mean() <= 1e-4
            found = read_metadata(path)
            assert found is not None
            assert list(found.text.items()) == list(expected.metadata().items())
            assert "again, avatar: " in again(path, DEFAULT_MODEL, tmp_path / "again", capsys)
        part = rf"Loading the upscaler: 0\.\d\d of {sizes['upscaler'] / 1e6:.2f} MB"
        assert any(re.fullmatch(part, words) for words in page.evaluate("told"))
        assert len([one for one in asked if "upscaler" in one]) == 1
        timed = "async (times) => { const begun = performance.now(); await sga.png(times); return performance.now() - begun; }"
        told = ", ".join(f"{times}x {min(page.evaluate(timed, times) for _ in range(3)):.0f} ms" for times in (1, 2, 4))
        with capsys.disabled():
            print(f"\na PNG of the page, {page.evaluate('sga.runs()')['threads']} thread(s): {told}")
        page.close()


def test_a_larger_face_of_a_seed_is_drawn_again(
    opened: Any, tiny: FaceModel, sharp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = opened("#s=11&i=2&a=0&g=female")
    face = tiny.generate("female", 3, seed=11, max_attempts=1)[2]
    for times in (1, 2, 4):
        path = tmp_path / f"{times}.png"
        edge = times * tiny.size
        name = save(page, "Download" if times == 1 else f"{times}×", path)
        assert name == ("female-11-2-0.png" if times == 1 else f"female-11-2-0-{edge}.png")
        assert apart(path, tiny.resized(face, edge).image) <= SITE.FAITHFUL
        found = read_metadata(path)
        assert found is not None
        assert {key: found.text.get(key) for key in ("size", "upscaler")} == {
            key: tiny.size_notes(edge).get(key) for key in ("size", "upscaler")
        }
        redrawn = tiny.again(path)
        assert redrawn.metadata() == found.text
        assert apart(path, redrawn.image) <= SITE.FAITHFUL
        assert "again, page: " in again(path, sharp, tmp_path / "again", capsys)


def test_a_model_without_an_upscaler_offers_no_factors(browser: Any, model_path: Path, tmp_path: Path) -> None:
    write_page(ModelFolder.load(model_path), tmp_path / "page")
    with SITE.site(tmp_path / "page", isolated=True) as address:
        page = browser.new_page()
        page.set_default_timeout(SITE.PATIENCE)
        page.goto(address)
        SITE.when_ready(page)
        assert page.get_by_role("button", name="×").count() == 0
        refused = "sga.header().then((header) => header.files.upscaler === undefined)"
        assert page.evaluate(refused)
        page.close()


def test_the_keyboard_keeps_its_place_and_all_is_told(opened: Any) -> None:
    page = opened()
    group = page.get_by_role("group", name="Download", exact=True)
    assert [one.inner_text() for one in group.get_by_role("button").all()] == ["Download", "2×", "4×"]
    button = page.get_by_role("button", name="2×: 192 × 192 pixels", exact=True)
    button.focus()
    page.evaluate(LISTEN)
    with page.expect_download():
        page.keyboard.press("Enter")
    SITE.until(page, f"{NOTE} === 'Saved: 192 × 192 pixels'")
    SITE.until(page, "document.querySelector('[role=status]').textContent === 'Saved: 192 × 192 pixels'")
    assert page.evaluate("told[0]") == "Drawing it larger …"
    assert page.evaluate("document.activeElement.textContent") == "2×"
    assert button.get_attribute("aria-disabled") == "false"
    page.locator("select").first.select_option("ja")
    note = page.locator(".shown .note")
    assert note.is_visible()
    assert "192 × 192" in note.inner_text()
    assert "保存" in note.inner_text()
    page.locator(".grid [role=option]").nth(3).click()
    assert note.is_hidden()


def test_an_upscaler_that_does_not_come_or_was_changed_is_told(
    opened: Any, written: Path, tmp_path: Path, tiny: FaceModel
) -> None:
    copy = Path(shutil.copytree(written, tmp_path / "host")) / "some" / "faces"
    entry = json.loads((copy / "model.json").read_text())["files"]["upscaler"]
    path = copy / entry["path"]
    whole = path.read_bytes()
    raw = bytearray(gzip.decompress(whole))
    raw[len(raw) // 2] ^= 1
    with SITE.site(copy, isolated=True) as address:
        page = opened("/#s=11&i=2&a=0&g=female", address=address)
        for content, reason in ((None, "404"), (bytes(raw), f"instead of {entry['name']}")):
            path.unlink() if content is None else path.write_bytes(content)
            page.get_by_role("button", name="4×").click()
            SITE.until(page, f"{NOTE}.includes({reason!r})")
            assert page.locator(".shown .note").inner_text().startswith("It could not be drawn larger: ")
        page.get_by_role("button", name="16 like this").click()
        SITE.until(page, "document.querySelector('.state').textContent.startsWith('16 faces')")
        path.write_bytes(whole)
        face = tiny.generate("female", 3, seed=11, max_attempts=1)[2]
        save(page, "4×", tmp_path / "large.png")
        assert apart(tmp_path / "large.png", tiny.resized(face, 4 * tiny.size).image) <= SITE.FAITHFUL


def test_faces_are_drawn_while_the_upscaler_travels(opened: Any) -> None:
    """And what is saved is the face that was chosen when the button was pressed."""
    page = opened("#s=11&i=2&a=0&g=female")
    held: list[Any] = []
    page.context.route("**/assets/upscaler-*", lambda route: held.append(route))
    page.get_by_role("button", name="2×").click()
    SITE.until(page, f"{NOTE} === 'Drawing it larger …'")
    page.get_by_role("button", name="4×").click(force=True)  # one at a time
    page.get_by_role("button", name="16 like this").click()
    SITE.until(page, "document.querySelector('.state').textContent.startsWith('16 faces')")
    page.locator(".grid [role=option]").nth(3).click()
    assert page.locator(".shown .note").is_visible()
    assert len(held) == 1
    with page.expect_download() as taken:
        held[0].continue_()
    assert taken.value.suggested_filename == "female-11-2-0-192.png"


@pytest.mark.parametrize("locale", ["en-GB", "ja-JP", "zh-CN"])
def test_the_factors_fit_on_a_phone(opened: Any, locale: str) -> None:
    phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}
    page = opened(locale=locale, **phone)
    with page.expect_download():
        page.locator(".save button").last.tap()
    SITE.until(page, f"{NOTE}.includes('384 × 384')")
    SITE.picture(page, f"large-phone-{locale[:2]}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    boxes = [one.bounding_box() for one in page.locator(".actions button").all()]
    assert all(box["height"] >= 40 and box["width"] >= 40 for box in boxes)
    assert page.evaluate(EVERYBODY.LATIN) == [] or locale == "en-GB"


def test_it_is_accessible_by_the_rules_of_axe(opened: Any) -> None:
    if not EVERYBODY.AXE.is_file():
        pytest.skip("axe-core is not there. Type: npm ci --prefix sga/web/source")
    for scheme in ("light", "dark"):
        page = opened(color_scheme=scheme, bypass_csp=True)
        with page.expect_download():
            page.get_by_role("button", name="4×").click()
        SITE.until(page, f"{NOTE}.startsWith('Saved')")
        page.add_script_tag(path=str(EVERYBODY.AXE))
        found = page.evaluate("rules => axe.run({runOnly: rules})", EVERYBODY.RULES)
        assert [(one["id"], [node["html"][:120] for node in one["nodes"]][:3]) for one in found["violations"]] == []
        SITE.picture(page, f"large-desktop-{scheme}")
