"""A real browser in front of a real server."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from wavepaint.server.page import INDEX, STATIC

ROOT = Path(__file__).parents[2]
MISSING_PACKAGES = [name for name in ("playwright", "fastapi", "uvicorn", "hatchling") if find_spec(name) is None]
collect_ignore_glob = ["test_*.py"] if MISSING_PACKAGES else []
if not MISSING_PACKAGES:
    from editor_page import EditorPage
    from live_server import serving
    from playwright.sync_api import Browser, Page, sync_playwright

OTHER_ENGINES = "test_engines.py"
CHROMIUM = shutil.which("chromium")
BROWSER_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Last: Playwright keeps an event loop in this thread until the session ends; other tests run loops of their own.
    items.sort(key=_in_browser)
    for item in items:
        if not _in_browser(item):
            continue
        if not (STATIC / INDEX).is_file():
            item.add_marker(pytest.mark.skip("needs the built page: npm --prefix web ci && npm --prefix web run build"))
        elif CHROMIUM is None and item.path.name != OTHER_ENGINES:
            item.add_marker(pytest.mark.skip("needs Chromium"))


def _in_browser(item: pytest.Item) -> bool:
    return Path(__file__).parent in item.path.parents


def pytest_runtest_setup() -> None:
    if page_is_stale():
        pytest.fail("the built page is older than what it is built from: npm --prefix web run build", pytrace=False)


@cache
def page_is_stale() -> bool:
    """Whether a test would speak of a page that is no more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        return not import_module("hatch_build").is_current(ROOT / "web", STATIC)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    # Older versions of Playwright tell of a service worker's requests only if asked.
    os.environ.setdefault("PW_EXPERIMENTAL_SERVICE_WORKER_NETWORK_EVENTS", "1")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=BROWSER_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with the packaged network."""
    with serving(tmp_path_factory.mktemp("server") / "log.txt") as url:
        yield url


@pytest.fixture(scope="session")
def tab(browser: Browser) -> Page:
    """One tab for all tests: to open one takes longer than most tests."""
    page = browser.new_context().new_page()
    page.set_default_timeout(15_000)
    page.on("dialog", lambda dialog: dialog.accept())  # leaving with a result that was not downloaded
    return page


@pytest.fixture
def page(tab: Page) -> Iterator[Page]:
    """The tab as if it were new."""
    tab.set_viewport_size({"width": 1280, "height": 800})
    tab.emulate_media(color_scheme="light", reduced_motion="reduce")
    yield tab
    tab.unroute_all()
    tab.evaluate("localStorage.clear()")
    tab.goto("about:blank")


@pytest.fixture
def editor(page: Page, server: str) -> Iterator[EditorPage]:
    """The opened page; afterwards nothing may have gone wrong in it, and no request may have left the server."""
    editor = EditorPage(page, server)
    yield editor
    assert editor.errors == []
    assert [url for url in editor.requests if not url.startswith((server, "blob:"))] == []
