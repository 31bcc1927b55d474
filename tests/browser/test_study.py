"""The page of a preference study in Chromium: keys, clicks, touch, a reload, an answer that could not be kept."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from images import png, soft
from lab.study.votes import Vote, read_votes
from wavepaint.data.images import find_images
from wavepaint.evaluation.testset import make_test_set

pytest.importorskip("cv2")

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
METHODS = ("opencv-telea", "opencv-ns")
START_SECONDS = 60


@contextmanager
def serving_study(test_set: Path, votes: Path) -> Iterator[str]:
    """`python -m lab study serve`, as its users start it; ended by a kill, which no vote may mind."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "lab", "study", "serve", str(test_set), "--methods", ",".join(METHODS)]
    log = votes.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen([*command, "-o", str(votes), "--port", str(port)], stdout=output, stderr=output)
    try:
        url = f"http://127.0.0.1:{port}/"
        deadline = time.monotonic() + START_SECONDS
        while not answers(url):
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError(f"the study did not start: {log.read_text()}")
            time.sleep(0.1)
        yield url
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def test_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    (folder / "images").mkdir()
    for number in range(3):
        stripes = np.tile((np.arange(96) // 6 % 2 * 60).astype(np.uint8)[:, None, None], (1, 96, 3))
        image = np.clip(soft(96, 96) + stripes.astype(int) * (number % 2), 0, 255).astype(np.uint8)
        (folder / "images" / f"{number}.png").write_bytes(png(np.roll(image, 17 * number, axis=1)))
    list(make_test_set(find_images(folder / "images"), folder / "set", ("box",), size=96))
    return folder / "set"


@pytest.fixture
def votes(tmp_path: Path) -> Path:
    return tmp_path / "votes.sqlite"


@pytest.fixture
def study(page: Page, test_set: Path, votes: Path) -> Iterator[str]:
    """The opened page; afterwards nothing may have gone wrong in it, and no request may have left the server."""
    errors: list[str] = []
    requests: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    with serving_study(test_set, votes) as url:
        page.goto(url)
        yield url
        assert errors == []
        assert [address for address in requests if not address.startswith((url, "data:"))] == []


def expect_question(page: Page, number: int) -> None:
    expect(page.get_by_role("status")).to_contain_text(f"Question {number} of 3.")
    expect(page.locator("#left")).to_have_attribute("aria-disabled", "false")


def choices(votes: Path) -> list[str]:
    return [vote.choice for vote in read_votes(votes)[1]]


def test_keys_answer_and_go_back(page: Page, study: str, votes: Path) -> None:
    expect_question(page, 1)
    page.keyboard.press("ArrowLeft")
    expect_question(page, 2)
    page.keyboard.press("ArrowDown")
    expect_question(page, 3)
    assert choices(votes) == ["left", "tie"]
    page.keyboard.press("Backspace")
    expect_question(page, 2)
    page.keyboard.press("ArrowRight")
    expect_question(page, 3)
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    expect(page.get_by_role("heading", name="Thank you")).to_be_focused()
    assert choices(votes) == ["left", "right", "right"]
    recorded: list[Vote] = read_votes(votes)[1]
    assert all({vote.left_method, vote.right_method} == set(METHODS) for vote in recorded)
    assert all(0 < vote.milliseconds < 60_000 for vote in recorded)
    assert len({vote.name for vote in recorded}) == 3


def test_a_reload_resumes_with_the_first_question_without_an_answer(page: Page, study: str, votes: Path) -> None:
    expect_question(page, 1)
    page.get_by_role("button", name="Right is better").click()
    expect_question(page, 2)
    page.reload()
    expect_question(page, 2)
    page.get_by_role("button", name="No difference").click()
    expect_question(page, 3)
    assert choices(votes) == ["right", "tie"]


def test_an_answer_that_could_not_be_kept_is_asked_for_again(page: Page, study: str, votes: Path) -> None:
    expect_question(page, 1)
    page.route("**/participants/*/0", lambda route: route.abort())
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("alert")).to_contain_text("could not be kept")
    assert choices(votes) == []
    page.unroute_all()
    page.keyboard.press("ArrowLeft")
    expect_question(page, 2)
    expect(page.get_by_role("alert")).to_be_hidden()
    assert choices(votes) == ["left"]


def test_touch_on_a_phone_reaches_everything_without_scrolling(browser: Browser, test_set: Path, votes: Path) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 780}, has_touch=True, is_mobile=True)
    with serving_study(test_set, votes) as url:
        page = context.new_page()
        page.goto(url)
        expect_question(page, 1)
        for name in ("Left is better", "Right is better", "No difference"):
            box = page.get_by_role("button", name=name).bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 390
            assert box["y"] + box["height"] <= 780
            assert box["height"] >= 44
        page.locator("#right-image").tap()
        expect_question(page, 2)
        context.close()
    assert choices(votes) == ["right"]


def test_votes_survive_a_kill_of_the_server(page: Page, test_set: Path, votes: Path) -> None:
    for number in (1, 2):
        with serving_study(test_set, votes) as url:
            page.goto(url)
            # Another port is another origin: the participant is a new one, the votes of the first are still there.
            expect_question(page, 1)
            page.keyboard.press("ArrowLeft")
            expect_question(page, 2)
        assert choices(votes) == ["left"] * number


@pytest.mark.skipif(not AXE.is_file(), reason="needs axe-core: npm --prefix web ci")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_accessible(page: Page, study: str, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    expect_question(page, 1)
    page.evaluate(AXE.read_text())
    violations = page.evaluate("async () => (await axe.run()).violations.map((found) => [found.id, found.help])")
    assert violations == []
