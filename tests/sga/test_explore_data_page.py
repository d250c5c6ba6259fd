"""The zoomable map and the index in a real browser, opened as files: offline, by wheel, fingers, mouse and keys."""

from __future__ import annotations

import json
import re
import runpy
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from labeling.provenance import Source
from labeling.workspace import Workspace
from sga.explore.data import Drawn, explore_data
from sga.explore.data.pages import index_page, page

SITE = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("page_site.py"))))
browser = SITE.browser
COUNT = 40
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def drawn(faces_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    space = Workspace(shutil.copytree(faces_workspace, tmp_path_factory.mktemp("page") / "workspace"))
    table = space.table()
    missing = np.flatnonzero(table.sources("gender") == Source.MISSING)
    table.fill("gender", missing, np.arange(len(missing)) % 2, Source.COMPLETED, 0.62)
    table.save(space.labels_path)
    return explore_data(space, tmp_path_factory.mktemp("shown") / "out", count=COUNT, only=["tsne", "labels", "years"])


@pytest.fixture
def opened(browser: Any, drawn: Drawn) -> Iterator[Open]:
    """`opened(name, **context)`: a page as a file in a fresh profile; what it asks for and complains of stands in `heard`."""
    contexts = []

    def open_page(name: str = "tsne-map.html", **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        shown = context.new_page()
        shown.set_default_timeout(SITE.PATIENCE)
        shown.heard = []

        def heard(text: str) -> None:
            if not text.startswith(("file:", "data:", "Canvas2D: Multiple readback")):  # the last is what `colours` does
                shown.heard.append(text)

        shown.on("console", lambda message: heard(message.text))
        shown.on("pageerror", lambda error: heard(str(error)))
        shown.on("request", lambda request: heard(request.url))
        shown.goto((drawn.index.parent / name).as_uri())
        if name == "tsne-map.html":
            shown.evaluate("sga.ready")
            settled(shown)
        return shown

    yield open_page
    for context in contexts:
        context.close()


def settled(shown: Any) -> None:
    """Two frames later everything that was asked for is drawn."""
    shown.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def view(shown: Any) -> dict[str, Any]:
    settled(shown)
    told: dict[str, Any] = shown.evaluate("sga.view()")
    return told


def spot(shown: Any, face: int) -> tuple[float, float]:
    """Where a face stands on the screen."""
    x, y = shown.evaluate(
        """(face) => { const box = document.getElementById('map').getBoundingClientRect(), [x, y] = sga.centre(face);
            return [x + box.left, y + box.top]; }""",
        face,
    )
    return x, y


def colours(shown: Any, face: int) -> np.ndarray:
    """(16, 16, 4) uint8 in the middle of a face, as the canvas shows it."""
    data = shown.evaluate(
        """(face) => { const dots = devicePixelRatio, [x, y] = sga.centre(face);
            const pen = document.getElementById('map').getContext('2d');
            return [...pen.getImageData(x * dots - 8, y * dots - 8, 16, 16).data]; }""",
        face,
    )
    return np.array(data, np.uint8).reshape(16, 16, 4)


def test_all_faces_are_drawn_where_they_should(opened: Open, drawn: Drawn) -> None:
    shown = opened()
    now = view(shown)
    places = np.array(shown.evaluate("sga.places().map((_, face) => sga.centre(face))"))
    assert len(places) == COUNT
    assert ((places > 0) & (places < [now["width"], now["height"]])).all()
    record = json.loads((drawn.index.parent / "tsne.json").read_text(encoding="utf-8"))["faces"]
    pixels = json.loads(re.search(r'id="data">(.*?)</script>', shown.content(), re.DOTALL)[1])
    assert [one["face"] for one in pixels["facts"]] == [one["face"][:12] for one in record]
    shades = [colours(shown, face).reshape(-1, 4)[:, :3].mean(axis=0) for face in range(COUNT)]
    assert np.ptp(shades, axis=0).min() > 40  # faces, and not one of them everywhere
    assert shown.heard == []


def test_the_wheel_zooms_at_the_pointer_and_the_mouse_moves(opened: Open) -> None:
    shown = opened()
    before, at = view(shown), spot(shown, 5)
    shown.mouse.move(*at)
    shown.mouse.wheel(0, -240)
    SITE.until(shown, f"sga.view().scale > {1.5 * before['scale']}")
    assert spot(shown, 5) == pytest.approx(at, abs=2)
    shown.mouse.down()
    shown.mouse.move(at[0] - 60, at[1] + 30, steps=4)
    shown.mouse.up()
    assert spot(shown, 5) == pytest.approx((at[0] - 60, at[1] + 30), abs=2)
    assert view(shown)["chosen"] == -1  # a drag is no click
    shown.mouse.wheel(0, 9000)
    shown.get_by_role("button", name="All").click()
    assert view(shown)["scale"] == pytest.approx(before["scale"])


def test_a_face_tells_its_labels_source_and_confidence(opened: Open) -> None:
    shown = opened()
    data = json.loads(shown.locator("#data").text_content())
    gender = data["attributes"][0]
    face = gender["sources"].index(data["sources"].index("completed"))
    shown.mouse.move(*spot(shown, face))
    SITE.until(shown, "!document.getElementById('tip').hidden")
    assert f"{gender['values'][gender['codes'][face]]} (completed 0.62)" in shown.inner_text("#tip")
    assert data["facts"][face]["face"] in shown.inner_text("#tip")
    shown.mouse.click(*spot(shown, face))
    assert view(shown)["chosen"] == face
    assert "gender: " in shown.inner_text("[role=status]")
    shown.mouse.move(2, 2)
    settled(shown)
    assert shown.locator("#tip").is_visible()  # a chosen face keeps its label
    box, area = shown.locator("#tip").bounding_box(), shown.locator("#map").bounding_box()
    for start, length in (("x", "width"), ("y", "height")):
        assert area[start] <= box[start] <= area[start] + area[length] - box[length]


def test_all_of_it_by_keyboard(opened: Open) -> None:
    shown = opened()
    for _ in range(12):
        shown.keyboard.press("Tab")
        assert shown.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
        if shown.evaluate("document.activeElement.id") == "map":
            break
    else:
        pytest.fail("the tab key does not reach the map")
    before = view(shown)
    shown.keyboard.press("ArrowRight")
    first = view(shown)["chosen"]
    assert first >= 0
    visited = {first}
    for key, axis, sign in (("ArrowRight", 0, 1), ("ArrowDown", 1, 1), ("ArrowLeft", 0, -1), ("ArrowUp", 1, -1)):
        here = shown.evaluate("sga.places()[sga.view().chosen]")
        shown.keyboard.press(key)
        face = view(shown)["chosen"]
        there = shown.evaluate("sga.places()[sga.view().chosen]")
        assert face in visited or (there[axis] - here[axis]) * sign > 0
        visited.add(face)
    assert len(visited) > 2
    shown.keyboard.press("+")
    assert view(shown)["scale"] == pytest.approx(1.4 * before["scale"])
    shown.keyboard.press("Shift+ArrowRight")
    shown.keyboard.press("Escape")
    assert view(shown)["chosen"] == -1
    shown.keyboard.press("0")
    assert view(shown)["scale"] == pytest.approx(before["scale"])


def test_frames_legend_and_layouts(opened: Open) -> None:
    shown = opened()
    data = json.loads(shown.locator("#data").text_content())
    gender = data["attributes"][0]
    shown.select_option("#attribute", label="gender")
    texts = shown.locator("#legend button").all_inner_texts()
    counts = [gender["codes"].count(code) for code in range(2)]
    assert texts == [f"female {counts[0]}", f"male {counts[1]}", "unknown 0"]
    unframed = colours(shown, gender["codes"].index(1)).copy()
    shown.locator("#legend button").first.click()
    assert view(shown)["kept"] == [0]
    dimmed = colours(shown, gender["codes"].index(1))
    assert dimmed[..., :3].mean() > unframed[..., :3].mean()  # nearer to the white paper
    shown.locator("#completed").uncheck()
    told = int(shown.locator("#legend button").last.inner_text().split()[-1])
    assert told == gender["sources"].count(data["sources"].index("completed")) > 0
    for name in ("Square", "Exact", "Apart"):
        shown.select_option("#layout", label=name)
        assert np.allclose(shown.evaluate("sga.places()"), data["layouts"][name])
    assert shown.heard == []


def test_on_a_phone_by_finger(opened: Open) -> None:
    shown = opened(**PHONE)
    assert shown.evaluate("document.documentElement.scrollWidth") == 360
    shown.select_option("#attribute", label="hair color")
    small = shown.evaluate(
        """() => [...document.querySelectorAll('button, select')].filter((one) => one.getBoundingClientRect().height < 44)
            .map((one) => one.outerHTML.slice(0, 80))"""
    )
    assert small == []
    assert shown.locator("#map").bounding_box()["height"] > 370
    assert shown.evaluate("document.documentElement.scrollWidth") == 360
    SITE.picture(shown, "data-phone")
    shown.touchscreen.tap(*spot(shown, 7))
    SITE.until(shown, "!document.getElementById('tip').hidden")
    assert view(shown)["chosen"] == 7
    settled(shown)
    tip = shown.locator("#tip").bounding_box()
    assert tip["width"] == pytest.approx(360, abs=2)
    assert spot(shown, 7)[1] < tip["y"] - 20  # the labels do not cover the face
    before, (x, y) = view(shown)["scale"], spot(shown, 7)
    tools = shown.context.new_cdp_session(shown)

    def fingers(kind: str, away: int) -> None:
        points = [] if kind == "touchEnd" else [{"x": x - away, "y": y, "id": 1}, {"x": x + away, "y": y, "id": 2}]
        tools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    fingers("touchStart", 20)
    for away in (30, 40, 50, 60):
        fingers("touchMove", away)
    fingers("touchEnd", 0)
    assert view(shown)["scale"] == pytest.approx(3 * before, rel=0.05)
    assert spot(shown, 7) == pytest.approx((x, y), abs=4)
    assert view(shown)["chosen"] == 7


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(opened: Open, scheme: str) -> None:
    for name in ("index.html", "tsne-map.html"):
        shown = opened(name, color_scheme=scheme)
        ground = shown.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", ground))) < 100) == (scheme == "dark")
        if name == "tsne-map.html":
            corner = shown.evaluate("[...document.getElementById('map').getContext('2d').getImageData(1, 1, 1, 1).data]")
            assert corner[:3] == list(map(int, re.findall(r"\d+", ground)))[:3]
        SITE.picture(shown, f"data-{name.partition('.')[0]}-{scheme}")


def test_the_index_shows_everything_offline(opened: Open, drawn: Drawn) -> None:
    shown = opened("index.html", offline=True)
    count = shown.evaluate("document.images.length")
    assert count == sum(path.suffix == ".png" for path in drawn.files) == 4
    for place in range(count):
        image = shown.locator("img").nth(place)
        image.scroll_into_view_if_needed()
        SITE.until(shown, f"document.images[{place}].complete && document.images[{place}].naturalWidth > 0")
        assert image.get_attribute("alt")
    assert "No face has a year" in shown.inner_text("main")
    assert [one.count() for one in (shown.locator("h1"), shown.locator("h2"), shown.locator("nav a"))] == [1, 7, 7]
    assert shown.heard == []
    for name in ("index.html", "tsne-map.html"):
        text = (drawn.index.parent / name).read_text(encoding="utf-8")
        assert not re.search(r"(?:src|href)=\"(?:https?:)?//", text)
    shown.get_by_role("link", name="Open the map").click()
    shown.wait_for_url("**/tsne-map.html")
    assert shown.evaluate("sga.ready.then(() => sga.places().length)") == COUNT


def test_names_from_outside_are_text(browser: Any, tmp_path: Path) -> None:
    evil = "</script><img src=x onerror=document.title='hit'>"
    data = {
        "columns": 1,
        "edge": 8,
        "layouts": {"Apart": [[0.5, 0.5]]},
        "attributes": [
            {"name": evil, "values": [evil, "b"], "unknown": "unknown", "codes": [0], "sources": [2], "confidence": [100]}
        ],
        "sources": ["missing", "completed", "original", "human"],
        "facts": [{"face": "ab", "picture": evil}],
    }
    pixel = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
    (tmp_path / "map.html").write_bytes(page(evil, evil, "map", data, pixel))
    entry = {"name": "a", "title": evil, "made_from": "", "sentence": evil}
    (tmp_path / "index.html").write_bytes(index_page(evil, evil, [entry]))
    context = browser.new_context()
    shown = context.new_page()
    for name in ("map.html", "index.html"):
        shown.goto((tmp_path / name).as_uri())
        assert evil in shown.inner_text("h1")
        assert shown.locator("img[onerror]").count() == 0
        assert shown.title() == evil
    context.close()
