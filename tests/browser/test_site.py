"""The static site in Chromium, below a sub-path of a plain file server: no server computes anything here."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import CHROMIUM
from editor_page import EditorPage, decode, encode
from playwright.sync_api import Browser, Page, expect
from static_server import ISOLATION, StaticServer

from parity.make import CASES
from standin import write_detector
from wavepaint import Inpainter
from wavepaint.fill.dilation import dilate
from wavepaint.runtime import packaged_network
from wavepaint.server.page import STATIC
from wavepaint.server.site import write_site

DOCS = Path(__file__).parents[2] / "docs" / "site.md"
PARITY = Path(__file__).parents[1] / "parity"
STROKE = [(30, 30), (70, 40), (60, 55)]
TOLERANCE = 2
SLOW = 180_000
"""Milliseconds that loading and filling may take on a busy machine."""
SOFTWARE_MILLISECONDS = 90_000
"""How long a graphics processor that is played by the processor may take before the test is given up."""
LOADED = "Ready: works without a connection from now on."
HOST_PAGE = """\
<!doctype html><title>host</title>
<script type="module" src="site/wavepaint.js"></script>
<wavepaint-editor label="Retouching"></wavepaint-editor>
"""
BLOCKED_PAGE = """\
<!doctype html><title>blocked</title>
<meta http-equiv="Content-Security-Policy" content="frame-src 'none'">
<script type="module" src="site/wavepaint.js"></script>
"""


SOFTWARE_WEBGPU = [
    "--no-sandbox",
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
    "--enable-features=Vulkan",
    "--use-vulkan=swiftshader",
]


def documented_policy() -> str:
    """The content security policy that a host needs, according to the documentation."""
    policy = re.search(r"content security policy needs `([^`]*)`", DOCS.read_text())
    assert policy
    return policy[1].replace("\n", " ")


def noisy_image(channels: int = 3, dtype: type = np.uint8, height: int = 80, width: int = 112) -> np.ndarray:
    """(H, W, C) waves with noise on them."""
    rng = np.random.default_rng(7)
    rows, columns = np.mgrid[:height, :width]
    waves = 0.5 + 0.3 * np.sin(columns[..., None] / 17 + np.arange(channels)) * np.cos(rows[..., None] / 11)
    scale = np.iinfo(dtype).max
    return (np.clip(waves + rng.normal(0, 0.02, waves.shape), 0.05, 1) * scale).astype(dtype)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StaticServer]:
    """A host that isolates its pages and has a content security policy, with the site below a sub-path."""
    folder = tmp_path_factory.mktemp("host")
    detector = write_detector(tmp_path_factory.mktemp("detector") / "detector.onnx").read_bytes()

    def network(name: str = "default") -> bytes:
        return detector if name == "damage" else packaged_network(name)

    with pytest.MonkeyPatch.context() as patch:  # it finds pure red, green and blue
        patch.setattr("wavepaint.server.page.packaged_network", network)
        write_site(folder / "site")
    (folder / "empty.html").write_text("<!doctype html><title>empty</title>")
    (folder / "host.html").write_text(HOST_PAGE)
    (folder / "blocked.html").write_text(BLOCKED_PAGE)
    headers = {**ISOLATION, "Content-Security-Policy": documented_policy()}
    with StaticServer(folder, headers).running() as server:
        yield server


@pytest.fixture(scope="module")
def visited(browser: Browser, host: StaticServer) -> Iterator[EditorPage]:
    """A tab in which the site has been visited and kept for offline use."""
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(SLOW)
    page.on("dialog", lambda dialog: dialog.accept())
    editor = EditorPage(page, f"{host.url}site/")
    expect(editor.status).to_have_text(LOADED, timeout=SLOW)
    assert f"{host.url}site/sw.js" in editor.requests, "the requests of the service worker are not recorded"
    yield editor
    context.close()


@pytest.fixture
def site(visited: EditorPage, host: StaticServer) -> Iterator[EditorPage]:
    visited.errors.clear()
    yield visited
    assert visited.errors == []
    assert [url for url in visited.requests if not url.startswith((host.url, "blob:"))] == []


def fill(editor: EditorPage) -> None:
    editor.button("Fill").click()
    expect(editor.status).to_contain_text("Filled in", timeout=SLOW)


@contextmanager
def offline(editor: EditorPage, host: StaticServer) -> Iterator[None]:
    editor.page.context.set_offline(True)
    host.down = True
    try:
        yield
    finally:
        host.down = False
        editor.page.context.set_offline(False)


def open_and_fill(editor: EditorPage) -> None:
    source = noisy_image()
    editor.open(encode(source), "waves.png")
    editor.drag(STROKE)
    fill(editor)
    hole, result = editor.mask(), editor.result()
    np.testing.assert_array_equal(result[~hole], source[~hole])
    assert (result != source)[hole].any()


@pytest.mark.parametrize("source", [noisy_image(), noisy_image(2, np.uint16)], ids=["rgb8", "grey-alpha16"])
def test_fills_as_python_does_and_changes_nothing_else(site: EditorPage, source: np.ndarray) -> None:
    site.open(encode(source), "waves.png")
    site.drag(STROKE)
    fill(site)
    hole, result = site.mask(), site.result()
    assert result.dtype == source.dtype
    np.testing.assert_array_equal(result[~hole], source[~hole])
    assert (result != source)[hole].mean() > 0.5
    check_detail(source, hole, result)


def check_detail(source: np.ndarray, hole: np.ndarray, result: np.ndarray) -> None:
    """The browser's default against Python's: the guides differ by a step here and there, and so do a few matches."""
    expected = Inpainter(runtime="onnxruntime", threads=1)(source, hole)
    step = 1 if source.dtype == np.uint8 else 257
    steps = np.abs(result.astype(int) - expected)[hole] / step
    assert (steps > TOLERANCE).mean() < 0.1
    assert steps.mean() < 1


def test_finds_damage_on_the_device(site: EditorPage) -> None:
    source = noisy_image() // 2
    source[40, 20:90] = 255, 0, 0
    source[60:63, 30:33] = 0, 255, 0
    site.open(encode(source), "waves.png")
    site.button("Mask").click()
    site.page.get_by_role("button", name="Find damage").click()
    expect(site.status).to_contain_text("Damage is marked", timeout=SLOW)
    mask = site.mask()
    expected = dilate((source == (255, 0, 0)).all(axis=2) | (source == (0, 255, 0)).all(axis=2), 2)
    np.testing.assert_array_equal(mask, expected)
    site.fill()
    # What was filled is no damage any more.
    site.button("Mask").click()
    site.page.get_by_role("button", name="Find damage").click()
    expect(site.status).to_contain_text("No damage found", timeout=SLOW)
    expect(site.button("Fill")).to_be_disabled()
    np.testing.assert_array_equal(site.result()[~mask], source[~mask])


def test_says_what_it_runs_on(site: EditorPage) -> None:
    expect(site.page.locator("#where-open")).to_be_hidden()  # one place is no choice
    site.page.keyboard.press("?")
    threads = site.page.evaluate("Math.min(navigator.hardwareConcurrency, 8)")
    note = site.page.locator("#help-device-note")
    expect(note).to_have_text(
        f"with {'one core' if threads == 1 else f'{threads} cores'} of the processor · 6.3 MB loaded once"
    )
    expect(note).to_be_visible()
    site.page.keyboard.press("Escape")
    assert site.page.evaluate("crossOriginIsolated")


def test_can_be_stopped_and_resumed(site: EditorPage) -> None:
    source = noisy_image(1, height=200, width=900)
    site.open(encode(source), "long.png")
    site.choose("Rectangle")
    site.drag([(10, 90), (890, 110)])
    site.button("Fill").click()
    expect(site.status).to_contain_text("Filling", timeout=SLOW)
    site.page.keyboard.press("Escape")
    expect(site.status).to_have_text("Stopped.")
    np.testing.assert_array_equal(site.result(), source)
    fill(site)
    assert (site.result() != source).any()


def test_what_this_browser_cannot_read_is_named(site: EditorPage) -> None:
    site.choose_file("Image file", encode(noisy_image(3, np.uint16), ".tif"), "scan.tif")
    expect(site.page.get_by_role("alert")).to_have_text(
        "scan.tif cannot be opened: it is TIFF, which this browser cannot read: "
        '"wavepaint serve" on a computer opens it.'
    )


def test_opened_from_the_disk_it_says_how_to_serve_it(fresh: Page, tmp_path: Path) -> None:
    write_site(tmp_path / "site")
    fresh.goto((tmp_path / "site" / "index.html").as_uri())
    expect(fresh.get_by_role("alert").last).to_contain_text("python3 -m http.server")


def test_a_whole_image_is_refused(site: EditorPage) -> None:
    site.open(encode(noisy_image()), "waves.png")
    site.choose("Rectangle")
    site.drag([(-5, -5), (120, 90)])
    site.button("Fill").click()
    expect(site.page.get_by_role("alert")).to_contain_text("nothing is left to fill from")


def test_works_offline_after_the_first_visit(site: EditorPage, host: StaticServer) -> None:
    asked = len(host.requests)
    with offline(site, host):
        site.page.reload()
        open_and_fill(site)
    # The browser itself looks for a new version of the service worker, in vain.
    assert set(host.requests[asked:]) <= {"/site/sw.js"}


# -- the package -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def package(browser: Browser, host: StaticServer) -> Iterator[Page]:
    """A page of the same site that is empty."""
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(SLOW)
    page.goto(f"{host.url}empty.html")
    page.evaluate("localStorage.wavepaint = JSON.stringify({ fillOnRelease: false })")
    requests: list[str] = []
    context.on("request", lambda request: requests.append(request.url))
    yield page
    assert requests
    assert [url for url in requests if not url.startswith((host.url, "blob:"))] == []
    context.close()


RUN_CASE = """async ([module, image, mask]) => {
    const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const { inpaint } = await import(module);
    const { wide, detail, ...rest } = image;
    const raw = bytes(image.data);
    const data = wide ? new Uint16Array(raw.buffer) : raw;
    const before = data.slice();
    const shares = [];
    const onProgress = ({ share }) => shares.push(share);
    const filled = await inpaint({ ...rest, data }, { ...mask, data: bytes(mask.data) }, { detail, onProgress });
    if (data.some((value, i) => value !== before[i])) throw new Error("the argument was changed");
    if (shares.length === 0) throw new Error("no progress was reported");
    const out = new Uint8Array(filled.data.buffer);
    let text = "";
    for (let i = 0; i < out.length; i += 32768) text += String.fromCharCode(...out.subarray(i, i + 32768));
    return btoa(text);
}"""


@pytest.mark.parametrize("case", [case for case in CASES if case.channels], ids=lambda case: case.name)
def test_parity_cases(package: Page, host: StaticServer, case: Any) -> None:
    description = json.loads((PARITY / f"{case.name}.json").read_text())
    source, expected = (decode((PARITY / description[key]).read_bytes()) for key in ("image", "expected"))
    hole = case.mask()
    size = {"width": case.width, "height": case.height}
    image = {
        **size,
        "channels": case.channels,
        "data": base64.b64encode(source.tobytes()).decode(),
        "wide": source.dtype == np.uint16,
        "detail": case.detail,
    }
    mask = {**size, "data": base64.b64encode(hole.astype(np.uint8).tobytes()).decode()}
    answer = package.evaluate(RUN_CASE, [f"{host.url}site/wavepaint.js", image, mask])
    result = np.frombuffer(base64.b64decode(answer), source.dtype).reshape(source.shape)
    np.testing.assert_array_equal(result[~hole], source[~hole])
    step = 1 if source.dtype == np.uint8 else 257
    assert np.abs(result.astype(int) - expected)[hole].max() <= TOLERANCE * step


def test_package_takes_image_data(package: Page, host: StaticServer) -> None:
    answers = package.evaluate(
        """async (module) => {
            const { inpaint, load } = await import(module);
            const samples = new Uint8ClampedArray(48 * 32 * 4).map((_, i) => (i % 4 < 3 ? i % 191 : 255));
            const image = new ImageData(samples, 48);
            const mask = new ImageData(48, 32);
            for (let i = 0; i < 4 * 48 * 4; i++) mask.data[4 * 48 * 10 + i] = 255;
            const failure = (promise) => promise.then(() => null, (error) => `${error.name}: ${error.message}`);
            const stop = new AbortController();
            stop.abort(new Error("enough"));
            const filled = await inpaint(image, mask);
            return {
                engine: await load(),
                kind: filled.constructor.name,
                changed: [...filled.data].flatMap((value, i) => (value === image.data[i] ? [] : [i >> 2])),
                size: await failure(inpaint(image, new ImageData(8, 8))),
                avoided: await failure(inpaint(image, mask, { exclude: new ImageData(8, 8) })),
                all: await failure(inpaint(image, new ImageData(mask.data.map(() => 255), 48))),
                aborted: await failure(inpaint(image, mask, { signal: stop.signal })),
            };
        }""",
        f"{host.url}site/wavepaint.js",
    )
    assert answers["engine"]["backend"] == "wasm"
    assert answers["kind"] == "ImageData"
    assert answers["changed"]
    assert {pixel // 48 for pixel in answers["changed"]} <= {10, 11, 12, 13}
    assert answers["size"] == "RangeError: the mask is 8x8 pixels, but the image is 48x32"
    assert answers["avoided"] == "RangeError: the exclude mask is 8x8 pixels, but the image is 48x32"
    assert answers["all"].startswith("RangeError: the mask cannot be used: it marks the whole image")
    assert answers["aborted"] == "Error: enough"


# Not `wait_for_function`, which the content security policy of the host forbids.
CHANGED = """(count) => new Promise((resolve, reject) => {
    const end = Date.now() + 30_000;
    const look = () => {
        if (window.changes === count) resolve(null);
        else if (Date.now() > end) reject(new Error(`${window.changes} changes, not ${count}`));
        else setTimeout(look, 20);
    };
    look();
})"""
RESULT = """async () => {
    const blob = await document.querySelector("wavepaint-editor").result();
    const reader = new FileReader();
    reader.readAsDataURL(blob);
    await new Promise((resolve) => (reader.onload = resolve));
    return reader.result.split(",")[1];
}"""


def test_element_embeds_the_editor(package: Page, host: StaticServer) -> None:
    page, source = package, noisy_image()
    page.goto(f"{host.url}host.html")
    answers = page.evaluate(
        """async (png) => {
            const editor = document.querySelector("wavepaint-editor");
            const failure = (promise) => promise.then(() => null, (error) => error.message);
            const empty = await failure(editor.result());
            const bytes = Uint8Array.from(atob(png), (c) => c.charCodeAt(0));
            const damaged = await failure(editor.open(new Blob([bytes.subarray(0, 900)]), "half.png"));
            await editor.open(new Blob([bytes], { type: "image/png" }), "waves.png");
            window.changed = new Promise((resolve) => editor.addEventListener("change", resolve, { once: true }));
            return { empty, damaged, type: (await editor.mask()).type };
        }""",
        base64.b64encode(encode(source)).decode(),
    )
    assert answers == {"empty": "no image is open", "damaged": "it is cut short", "type": "image/png"}
    frame = page.frame_locator("iframe[title=Retouching]")
    stage = frame.get_by_role("application", name="Image")
    stage.focus()
    for key in ("ArrowRight", "Enter", "ArrowRight", "ArrowDown", "Enter", "f"):
        page.keyboard.press(key)
    expect(frame.get_by_role("status")).to_contain_text("Filled in", timeout=SLOW)
    texts = page.evaluate(
        """async () => {
            await window.changed;
            const editor = document.querySelector("wavepaint-editor");
            const read = (blob) => new Promise((resolve) => {
                const reader = new FileReader();
                reader.onload = () => resolve(reader.result.split(",")[1]);
                reader.readAsDataURL(blob);
            });
            return [await read(await editor.result()), await read(await editor.mask())];
        }"""
    )
    page.wait_for_timeout(3500)  # longer than the element waits for a page that says nothing
    expect(frame.get_by_role("status")).to_be_visible()
    assert page.get_by_role("alert").count() == 0
    result, mask = (decode(base64.b64decode(text)) for text in texts)
    hole = mask[..., 0] == 255
    assert hole.any()
    np.testing.assert_array_equal(result[~hole], source[~hole])
    assert (result != source).any()


def test_element_reports_fills_that_were_stopped_half_way(package: Page, host: StaticServer) -> None:
    page, source = package, noisy_image(1, height=64, width=1400)
    hole = np.zeros((64, 1400), np.uint8)
    hole[20:40, 30:60] = hole[20:40, 1300:1330] = 255
    page.goto(f"{host.url}host.html")
    page.evaluate(
        """async (png) => {
            const editor = document.querySelector("wavepaint-editor");
            const bytes = Uint8Array.from(atob(png), (c) => c.charCodeAt(0));
            await editor.open(new Blob([bytes], { type: "image/png" }), "waves.png");
            window.changes = 0;
            editor.addEventListener("change", () => window.changes++);
        }""",
        base64.b64encode(encode(source)).decode(),
    )
    frame = page.frame_locator("iframe[title=Retouching]")
    mask = {"name": "mask.png", "mimeType": "image/png", "buffer": encode(hole)}
    frame.get_by_label("Mask file").set_input_files(mask)
    frame.locator("#status").evaluate(
        """(status) => new MutationObserver(() => {
            if (status.textContent.startsWith("Filling 2 of 2")) document.getElementById("fill").click();
        }).observe(status, { childList: true, characterData: true, subtree: true })"""
    )
    frame.get_by_role("button", name="Fill", exact=True).click()
    expect(frame.get_by_role("status")).to_have_text("Stopped.", timeout=SLOW)
    page.evaluate(CHANGED, 1)
    result = decode(base64.b64decode(page.evaluate(RESULT)))
    changed = (result != source).any(axis=(0, 2))
    assert changed[30:60].any() != changed[1300:1330].any()
    np.testing.assert_array_equal(result[hole == 0], source[hole == 0])


def test_element_reports_every_change_of_the_result_and_follows_its_attributes(
    package: Page, host: StaticServer
) -> None:
    page = package
    page.goto(f"{host.url}host.html")
    page.evaluate(
        """async (png) => {
            const editor = document.querySelector("wavepaint-editor");
            window.changes = 0;
            editor.addEventListener("change", () => window.changes++);
            const bytes = Uint8Array.from(atob(png), (c) => c.charCodeAt(0));
            await editor.open(new Blob([bytes], { type: "image/png" }), "opened-by-the-host.png");
        }""",
        base64.b64encode(encode(noisy_image(1))).decode(),
    )
    frame = page.frame_locator("iframe[title=Retouching]")
    status = frame.get_by_role("status")
    assert page.evaluate("window.changes") == 0
    file = {"name": "inside.png", "mimeType": "image/png", "buffer": encode(noisy_image())}
    frame.get_by_label("Image file").set_input_files(file)
    page.evaluate(CHANGED, 1)
    frame.get_by_role("application", name="Image").focus()
    for key in ("ArrowRight", "Enter", "ArrowRight", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    assert page.evaluate("window.changes") == 1  # a mask alone is no result
    page.keyboard.press("f")
    expect(status).to_contain_text("Filled in", timeout=SLOW)
    page.evaluate(CHANGED, 2)
    page.keyboard.press("Control+z")
    page.evaluate(CHANGED, 3)
    np.testing.assert_array_equal(decode(base64.b64decode(page.evaluate(RESULT))), noisy_image())
    page.keyboard.press("Control+Shift+z")
    page.evaluate(CHANGED, 4)
    page.keyboard.press("Control+z")
    page.evaluate(CHANGED, 5)
    page.keyboard.press("Control+z")
    expect(status).to_contain_text("Undid: ")
    assert page.evaluate("window.changes") == 5

    page.evaluate("document.querySelector('wavepaint-editor').setAttribute('label', 'Second')")
    expect(page.locator("iframe[title=Second]")).to_be_visible()
    answers = page.evaluate(
        """async () => {
            const editor = document.querySelector("wavepaint-editor");
            const ready = new Promise((resolve) => editor.addEventListener("ready", resolve, { once: true }));
            editor.setAttribute("src", "./site/");
            await ready;
            return editor.result().catch((error) => error.message);
        }"""
    )
    assert answers == "no image is open"


FAIL = """async (src) => {
    const editor = document.createElement("wavepaint-editor");
    if (src) editor.setAttribute("src", src);
    const failed = new Promise((resolve) => editor.addEventListener("error", resolve, { once: true }));
    const asked = editor.open(new Blob([])).catch((error) => error.message);
    document.body.append(editor);
    const { message } = await failed;
    const later = editor.result().catch((error) => error.message);
    return { message, asked: await asked, later: await later };
}"""


@pytest.mark.parametrize(("name", "src"), [("empty.html", "nowhere/"), ("blocked.html", None)])
def test_element_says_where_it_cannot_be_loaded(package: Page, host: StaticServer, name: str, src: str | None) -> None:
    package.goto(host.url + name)
    package.evaluate("(module) => import(module).then(() => null)", f"{host.url}site/wavepaint.js")
    answers = package.evaluate(FAIL, src)
    reason = f"the editor cannot be loaded from {host.url}{src or 'site/'}index.html"
    assert answers == {"message": reason, "asked": reason, "later": reason}
    expect(package.get_by_role("alert")).to_have_text("The editor cannot be loaded.")
    expect(package.locator("iframe")).to_be_hidden()
    if src is None:
        return
    # Put in again, with another folder, it starts anew.
    package.evaluate(
        """() => {
            const editor = document.querySelector("wavepaint-editor");
            editor.setAttribute("src", "site/");
            const ready = new Promise((resolve) => editor.addEventListener("ready", resolve, { once: true }));
            editor.remove();
            document.body.append(editor);
            return ready.then(() => null);
        }"""
    )
    expect(package.get_by_role("alert")).to_be_hidden()
    expect(package.locator("iframe")).to_be_visible()


# -- other hosts -------------------------------------------------------------------------------------------------------


@pytest.fixture
def fresh(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(SLOW)
    page.on("dialog", lambda dialog: dialog.accept())  # leaving with a result that was not downloaded
    yield page
    context.close()


CACHED = """async () => {
    const kept = async () => {
        const opened = await Promise.all((await caches.keys()).map((name) => caches.open(name)));
        const requests = await Promise.all(opened.map((cache) => cache.keys()));
        return requests.flat().map(({ url }) => url.split("/").pop());
    };
    const isDone = (names) => names.filter((name) => name.startsWith("ort-wasm-")).length === 2;
    for (let i = 0; i < 600 && !(navigator.serviceWorker.controller && isDone(await kept())); i++)
        await new Promise((resolve) => setTimeout(resolve, 100));
    return [navigator.serviceWorker.controller !== null, await kept()];
}"""


def test_two_tabs_of_a_first_visit_and_a_reload_in_its_middle(fresh: Page, host: StaticServer) -> None:
    other = fresh.context.new_page()
    for page in (fresh, other):
        page.goto(f"{host.url}site/", wait_until="commit")
    fresh.reload(wait_until="commit")
    for page in (fresh, other):
        page.wait_for_load_state()
        served, cached = page.evaluate(CACHED)
        assert served
        assert {"index.html", "model.onnx"} <= set(cached)
        assert len([name for name in cached if name.startswith("ort-wasm-")]) == 2


UPDATE = """async () => {
    const registration = await navigator.serviceWorker.getRegistration();
    // Held from the start: a worker that fails at once is gone from the registration when the update is answered.
    const found = new Promise((resolve, reject) => {
        registration.addEventListener("updatefound", () => resolve(registration.installing), { once: true });
        setTimeout(() => reject(new Error("no update was found for 60 s")), 60_000);
    });
    await registration.update();
    const worker = await found;
    while (worker.state === "installing") await new Promise((resolve) => setTimeout(resolve, 50));
    return worker.state;
}"""


def test_an_update_leaves_the_site_working_offline(fresh: Page, tmp_path: Path) -> None:
    built, folder = tmp_path / "built", tmp_path / "site"
    shutil.copytree(STATIC, built)
    index = (built / "index.html").read_text()

    def publish(title: str) -> None:
        (built / "index.html").write_text(index.replace("<title>WavePaint<", f"<title>{title}<"))
        write_site(folder, page=built)

    def reopen(url: str, title: str) -> None:
        """Until the new version is used, which happens once no page uses the old one."""
        for _ in range(10):
            fresh.goto("about:blank")
            fresh.wait_for_timeout(500)
            fresh.goto(url)
            if fresh.title() == title:
                return
        raise AssertionError(f"the title is still {fresh.title()}")

    write_site(folder, page=built)
    with StaticServer(folder, ISOLATION).running() as host:
        editor = EditorPage(fresh, host.url)
        expect(editor.status).to_have_text(LOADED, timeout=SLOW)

        publish("Second")
        second = (folder / "index.html").read_text()
        (folder / "index.html").write_text(index)
        # Half of the new version is there: the old one stays as it was.
        assert fresh.evaluate(UPDATE) == "redundant"
        with offline(editor, host):
            fresh.reload()
            assert fresh.title() == "WavePaint"
        (folder / "index.html").write_text(second)
        asked = len(host.requests)
        assert fresh.evaluate(UPDATE) == "installed"
        fetched = host.requests[asked:]
        assert [path for path in fetched if "/assets/" in path or "model.onnx" in path] == []
        with offline(editor, host):
            reopen(host.url, "Second")
            open_and_fill(editor)

        # Another version of ONNX Runtime: the build that was kept is fetched, and that one only.
        for path in [*built.glob("assets/*.js"), *built.glob("*.js")]:
            path.write_text(re.sub(r"(ort-\w+)-1\.", r"\1-9.", path.read_text()))
        for path in built.glob("assets/ort-*-1.*"):
            path.rename(path.with_name(path.name.replace("-1.", "-9.")))
        publish("Third")
        asked = len(host.requests)
        assert fresh.evaluate(UPDATE) == "installed"
        fetched = host.requests[asked:]
        assert sorted({path.split("-9.")[0] for path in fetched if "ort-" in path}) == ["/assets/ort-wasm"]
        assert "/model.onnx" not in fetched
        with offline(editor, host):
            reopen(host.url, "Third")
            open_and_fill(editor)
    assert editor.errors == []


def test_keeps_what_it_needs_once_the_graphics_processor_is_gone(fresh: Page, host: StaticServer) -> None:
    # The page finds one; the worker, in this browser, does not.
    fresh.add_init_script(
        "Object.defineProperty(navigator, 'gpu', { value: { requestAdapter: async () => ({ info: {} }) } })"
    )
    editor = EditorPage(fresh, f"{host.url}site/")
    expect(editor.status).to_have_text(LOADED, timeout=SLOW)
    note = fresh.locator("#where-device-note")
    expect(note).to_contain_text("with the graphics processor · 12.9 MB loaded once")
    with offline(editor, host):
        fresh.reload()
        open_and_fill(editor)
    expect(note).to_contain_text("of the processor · 6.3 MB loaded once")


def test_webgpu_in_software_fills_as_webassembly_does(browser: Browser, host: StaticServer) -> None:
    """No hardware: Chromium plays the graphics processor, slowly."""
    launched = browser.browser_type.launch(executable_path=CHROMIUM, args=SOFTWARE_WEBGPU)
    try:
        page = launched.new_page()
        page.goto(f"{host.url}empty.html")
        adapter = "navigator.gpu?.requestAdapter().then((adapter) => adapter !== null, () => false) ?? false"
        if not page.evaluate(adapter):
            pytest.skip("this Chromium has no WebGPU, not even in software")
        answers = page.evaluate(
            """async ([folder, milliseconds]) => {
                const side = 32;
                const data = Uint8Array.from({ length: side * side }, (_, i) => 60 + 3 * (i % side) + (i >> 6));
                const mask = { width: side, height: side, data: new Uint8Array(side * side) };
                for (let y = 12; y < 20; y++) mask.data.fill(1, y * side + 12, y * side + 20);
                const signal = AbortSignal.timeout(milliseconds);
                const results = [];
                for (const backend of ["wasm", "webgpu"]) {
                    const { inpaint, load } = await import(`${folder}wavepaint.js?backend=${backend}`);
                    try {
                        const image = { width: side, height: side, channels: 1, data };
                        const filled = await inpaint(image, mask, { detail: "network", signal });
                        results.push({ ran: (await load()).backend, data: [...filled.data] });
                    } catch (error) {
                        if (!signal.aborted) throw error;
                    }
                }
                return { source: [...data], hole: [...mask.data], results };
            }""",
            [f"{host.url}site/", SOFTWARE_MILLISECONDS],
        )
    finally:
        launched.close()
    if len(answers["results"]) < 2:
        pytest.skip(f"this machine is too slow: no answer for {SOFTWARE_MILLISECONDS / 1000:.0f} s")
    assert [result["ran"] for result in answers["results"]] == ["wasm", "webgpu"]
    wasm, webgpu = (np.array(result["data"]) for result in answers["results"])
    hole, source = np.array(answers["hole"], np.bool_), np.array(answers["source"])
    np.testing.assert_array_equal(webgpu[~hole], source[~hole])
    assert np.abs(webgpu - wasm)[hole].max() <= TOLERANCE


def test_one_thread_without_headers_and_more_from_the_second_visit_on(fresh: Page, tmp_path: Path) -> None:
    write_site(tmp_path / "site")
    with StaticServer(tmp_path / "site", {}).running() as host:
        editor = EditorPage(fresh, host.url)
        assert not fresh.evaluate("crossOriginIsolated")
        editor.open(encode(noisy_image()), "waves.png")
        editor.drag(STROKE)
        fill(editor)
        expect(fresh.locator("#help-device-note")).to_contain_text("with one core of the processor")
        fresh.wait_for_function("navigator.serviceWorker.controller !== null")
        fresh.goto("about:blank")
        fresh.goto(host.url)
        assert fresh.evaluate("crossOriginIsolated")
    assert editor.errors == []
    assert [url for url in editor.requests if not url.startswith((host.url, "blob:"))] == []


def test_the_servers_page_offers_both_places(editor: EditorPage) -> None:
    page = editor.page
    source = noisy_image()
    editor.open(encode(source), "waves.png")
    editor.drag(STROKE)
    editor.button("On the server").click()
    menu = page.get_by_role("radiogroup", name="Where holes are filled")
    server, device = (menu.get_by_role("radio", name=name) for name in ("On the server", "On this device"))
    expect(server).to_be_checked()
    expect(page.locator("#where-device-note")).to_contain_text("6.3 MB to load once")
    device.check()
    page.keyboard.press("Escape")
    del editor.requests[:]
    fill(editor)
    assert [url for url in editor.requests if "v1/" in url] == []
    hole = editor.mask()
    np.testing.assert_array_equal(editor.result()[~hole], source[~hole])
    editor.button("On this device").click()
    expect(page.locator("#where-device-note")).to_contain_text("6.3 MB loaded once")
    server.check()
    page.keyboard.press("Escape")
    editor.drag([(20, 60), (40, 65)])
    editor.fill()
    assert [url for url in editor.requests if "v1/inpaint" in url]
