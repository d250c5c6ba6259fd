"""A person at the page: a real headless Chromium logs in, looks, clicks and types, and what it entered is pulled.

SGA_SCREENSHOTS names a folder that takes pictures of the pages.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from labeling.answers import store_of
from labeling.provenance import Source
from labeling.queue import load_predictions, questions
from labeling.studio.pull import projects_to_pull, pull, take_in
from labeling.studio.push import PushReport, asked_on, push
from labeling.studio.tasks import Question
from labeling.workspace import Workspace

if TYPE_CHECKING:
    from labeling.studio.client import StudioClient
    from labeling.studio.server import LocalServer

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 60_000  # milliseconds
FACE = "document.querySelector('img[alt=image]')?.src ?? null"
CHOSEN = "[...document.querySelectorAll('.lsf-choice input:checked')].map(one => one.name).join()"
OTHERS = {"male": "female", "female": "male"}


@pytest.fixture(scope="module")
def page(studio_server: LocalServer) -> Iterator[Any]:
    """A page of the server, logged in as its user."""
    playwright = pytest.importorskip("playwright.sync_api")
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        pytest.skip("Chromium is not installed. Type, on Debian: apt-get install chromium")
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=program, args=["--no-sandbox"])  # root has no sandbox
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(PATIENCE)
        page.goto(f"{studio_server.connection.url}/user/login/")
        page.fill("input[name=email]", studio_server.username)
        page.fill("input[name=password]", studio_server.password)
        page.click("button[type=submit]")
        page.wait_for_url(lambda url: "/user/login" not in url)
        yield page
        browser.close()


@pytest.fixture
def space(ensemble_workspace: Path, copy_of: Callable[[Path], Path]) -> Workspace:
    """Sample faces with predictions; no gender is known of some."""
    return Workspace(copy_of(ensemble_workspace))


def ask(client: StudioClient, space: Workspace, count: int, layout: Any) -> tuple[PushReport, list[Question]]:
    predictions = load_predictions(space)
    assert predictions is not None
    asked = questions(space, "gender", count, "random", 0, asked_on(client, space, "gender"))
    attribute = space.table().schema["gender"]
    return push(client, space, attribute, asked, layout=layout, model_version=predictions.version), asked


def picture(page: Any, name: str) -> None:
    folder = os.environ.get("SGA_SCREENSHOTS")
    if folder:
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def shown(page: Any, faces: int = 1) -> None:
    """Wait until the faces of a task are there, each really drawn."""
    drawn = "[...document.querySelectorAll('img[alt=image]')].filter(one => one.naturalWidth > 0).length"
    page.wait_for_function(f"{drawn} === {faces}")


def changed(page: Any, expression: str, before: Any) -> None:
    """Wait until an expression of JavaScript is something else than it was."""
    page.wait_for_function(f"({expression}) !== {json.dumps(before)}")


def sent(page: Any, send: Callable[[], None]) -> None:
    """Do what sends an answer, and wait until the server has taken it and the next task is asked for."""
    with page.expect_response(lambda told: told.request.method == "POST" and "/annotations" in told.url) as taken:
        send()
    assert taken.value.status == 201


def test_a_person_labels_by_click_and_by_key(page: Any, space: Workspace, studio: StudioClient) -> None:
    report, asked = ask(studio, space, 6, "single")
    assert len(asked) == 6
    guessed = [str(one.predicted) for one in asked]  # the ensemble's answer is chosen beforehand
    page.goto(report.url)
    shown(page)
    picture(page, "single")
    page.locator(f".lsf-choice input[name={OTHERS[guessed[0]]}]").click()
    face = page.evaluate(FACE)
    sent(page, lambda: page.click("button[name=submit]"))
    steps = [
        (OTHERS[guessed[1]][0], "Control+Enter"),  # its first letter is the key of a value
        (guessed[2][0] * 2, "Control+Enter"),  # the guess is right: its key takes it back, and chooses it again
        ("c", "Control+Enter"),
        ("", "Control+Space"),
    ]
    for (key, send), guess in zip(steps, guessed[1:], strict=False):
        changed(page, FACE, face)
        shown(page)
        changed(page, f"{CHOSEN} === '{guess}'", False)  # it is chosen when the page is ready for keys
        for one in key:
            chosen = page.evaluate(CHOSEN)
            page.keyboard.press(one)
            changed(page, CHOSEN, chosen)
        face = page.evaluate(FACE)
        sent(page, lambda send=send: page.keyboard.press(send))

    fetched = pull(studio, space, projects_to_pull(space, studio.connection))
    found = {answer.key: (answer.state, answer.value) for answer in fetched.answers}
    said = [OTHERS[guessed[0]], OTHERS[guessed[1]], guessed[2]]
    expected = [*(("answer", value) for value in said), ("answer", "unclear"), ("skip", None)]
    assert found == dict(zip([one.key for one in asked[:5]], expected, strict=True))
    assert [answer.predicted for answer in fetched.answers[:4]] == guessed[:4]
    assert all((answer.lead_time or 0) > 0 for answer in fetched.answers if answer.state == "answer")
    assert {answer.annotator for answer in fetched.answers} == {studio.me()}
    take_in(space)
    table = space.table()
    rows = table.rows([one.key for one in asked[:5]])
    names = table.schema["gender"].values
    assert [names[code] for code in table.codes("gender")[rows[:3]]] == said
    assert (table.sources("gender")[rows[:3]] == Source.HUMAN).all()
    assert (table.sources("gender")[rows[3:]] < Source.ORIGINAL).all()  # unclear and skipped: no label


def test_a_person_marks_the_rare_ones_on_a_wall(page: Any, space: Workspace, studio: StudioClient) -> None:
    report, asked = ask(studio, space, 24, "wall")
    assert len(asked) == 24
    page.goto(report.url)
    shown(page, 24)
    picture(page, "wall")
    for number in (0, 23):
        page.locator(".cell").nth(number).locator(f"input[name={OTHERS[str(asked[number].predicted)]}]").click()
    page.keyboard.press("a")  # no key may change a wall
    sent(page, lambda: page.click("button[name=submit]"))

    pull(studio, space, projects_to_pull(space, studio.connection))
    found = {answer.key: answer.value for answer in store_of(space.root).all()}
    expected = {one.key: str(one.predicted) for one in asked}
    for number in (0, 23):
        expected[asked[number].key] = OTHERS[expected[asked[number].key]]
    assert found == expected
