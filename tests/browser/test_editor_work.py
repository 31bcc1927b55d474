"""Painting, results, files and kept work in the mask editor, in Chromium against a real server."""

from __future__ import annotations

import base64
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from editor_page import EditorPage, decode, encode
from live_server import serving
from playwright.sync_api import Page, expect
from test_editor import AXE, STROKE, assert_only_hole_changed, noisy_image, shown

SIZES = [(1440, 900), (1024, 768), (820, 1180), (768, 1024), (390, 844), (844, 390)]
SHOWN_RED = 40
"""Mean difference of a mark from what lies under it, in steps of 8 bits, from which on nobody misses it."""


def open_image(editor: EditorPage, source: np.ndarray | None = None, name: str = "waves.png") -> np.ndarray:
    source = noisy_image() if source is None else source
    editor.open(encode(source), name)
    return source


# -- painting ----------------------------------------------------------------------------------------------------------


def test_strokes_are_filled_on_release_unless_switched_off(page: Page, server: str) -> None:
    page.goto(server)
    expect(page.locator("#auto")).to_be_checked()
    editor = EditorPage(page, server, fill_on_release=True)
    source = open_image(editor)
    editor.drag(STROKE)
    expect(editor.status).to_contain_text("Filled in", timeout=30_000)
    assert_only_hole_changed(editor.result(), source, editor.mask())
    # Erasing leaves nothing to fill, and nobody complains.
    editor.choose("Eraser")
    editor.drag(STROKE)
    expect(editor.status).to_have_text("Eraser stroke.")
    editor.page.keyboard.press("a")
    editor.choose("Brush")
    editor.drag(STROKE)
    expect(editor.button("Fill")).to_be_enabled()
    assert editor.errors == []


def test_shift_click_draws_a_straight_line(editor: EditorPage) -> None:
    open_image(editor)
    editor.set_brush(4)
    editor.drag([(10, 10), (11, 10)])
    editor.page.keyboard.down("Shift")
    editor.page.mouse.move(*editor.to_screen(100, 70))
    editor.page.mouse.down()
    editor.page.mouse.up()
    editor.page.keyboard.up("Shift")
    hole = editor.mask()
    rows, columns = np.nonzero(hole)
    assert np.abs((rows + 0.5 - 10) - (columns + 0.5 - 11) * 60 / 89).max() < 4
    assert all(hole[:, column].any() for column in range(12, 98))


def test_the_brush_keeps_its_size_in_image_pixels(editor: EditorPage) -> None:
    open_image(editor)
    editor.set_brush(10)
    size = editor.page.get_by_label("Brush size in pixels")
    cursor = editor.page.locator("#cursor")
    editor.page.mouse.move(*editor.to_screen(56, 40))
    for expected in (30, 45):
        box = cursor.bounding_box()
        assert box is not None
        assert abs(box["width"] - expected) < 2
        for _ in range(2 if expected == 30 else 0):
            editor.page.keyboard.press("+")
        editor.page.wait_for_timeout(100)
    assert size.input_value() == "10"
    editor.page.keyboard.down("Alt")
    editor.page.mouse.wheel(0, -100)
    editor.page.keyboard.up("Alt")
    expect(size).to_have_value("12")
    editor.page.mouse.move(5, 5)
    expect(cursor).to_be_hidden()
    editor.page.get_by_role("slider", name="Brush size", exact=True).press("ArrowRight")
    expect(cursor).to_be_visible()


def test_one_notch_of_the_wheel_zooms_by_a_fifth(editor: EditorPage) -> None:
    open_image(editor)
    zoom = editor.page.locator("#zoom")
    expect(zoom).to_have_text("300 %")
    editor.page.mouse.move(*editor.to_screen(56, 40))
    editor.page.keyboard.down("Control")
    editor.page.mouse.wheel(0, -100)
    editor.page.keyboard.up("Control")
    expect(zoom).to_have_text("360 %")
    editor.page.mouse.wheel(0, 100)
    expect(zoom).to_have_text("300 %")


def set_range(editor: EditorPage, name: str, value: int) -> None:
    editor.page.evaluate(
        "([id, to]) => { const e = document.getElementById(id); e.value = to; e.dispatchEvent(new Event('input')) }",
        [name, value],
    )


def test_marks_grow_and_shrink(editor: EditorPage) -> None:
    open_image(editor)
    editor.choose("Rectangle")
    for pixels in (3, -3):
        set_range(editor, "grow", pixels)
        editor.drag([(30, 30), (60, 50)])
        rows, columns = np.nonzero(editor.mask())
        box = (rows.min(), rows.max(), columns.min(), columns.max())
        assert box == (30 - pixels, 49 + pixels, 30 - pixels, 59 + pixels)
        editor.page.keyboard.press("Control+z")


def test_the_magic_wand_marks_a_colour(editor: EditorPage) -> None:
    source = np.full((80, 112, 3), 90, np.uint8)
    letters = np.zeros((80, 112), bool)
    letters[20:30, 20:30] = letters[50:60, 60:90] = True
    source[letters] = (210, 30, 30)
    open_image(editor, source, "letters.png")
    editor.choose("Magic wand")
    editor.page.mouse.click(*editor.to_screen(25, 25))
    connected = editor.mask()
    np.testing.assert_array_equal(connected[:40], letters[:40])
    assert not connected[40:].any()
    editor.page.keyboard.press("Control+z")
    editor.button("Painting options").click()
    editor.page.get_by_role("switch", name="Magic wand marks its colour everywhere").check()
    editor.page.keyboard.press("Escape")
    editor.page.mouse.click(*editor.to_screen(25, 25))
    np.testing.assert_array_equal(editor.mask(), letters)


@pytest.mark.parametrize("colour", [(244, 63, 94), (255, 255, 255), (0, 0, 0), (128, 128, 128), (250, 160, 175)])
def test_marks_are_seen_on_any_colour(editor: EditorPage, colour: tuple[int, int, int]) -> None:
    open_image(editor, np.full((80, 112, 3), colour, np.uint8), "plain.png")
    editor.choose("Rectangle")
    editor.drag([(20, 20), (90, 60)])
    screen = shown(editor).astype(int)
    marked = screen[90:150, 90:240].reshape(-1, 3)
    assert np.abs(marked - colour).max(axis=1).mean() > SHOWN_RED


# -- results -----------------------------------------------------------------------------------------------------------


def test_try_again_offers_results_to_choose_from(editor: EditorPage) -> None:
    source = open_image(editor)
    editor.drag(STROKE)
    editor.fill()
    hole, results = editor.mask(), [editor.result()]
    for number in range(2, 6):
        editor.button("Try again").click()
        expect(editor.page.locator("#result-list button")).to_have_count(min(number, 4), timeout=30_000)
        expect(editor.button("Try again")).to_be_enabled(timeout=30_000)
        results.append(editor.result())
        assert_only_hole_changed(results[-1], source, hole)
    assert any((results[0] != result).any() for result in results[1:])
    np.testing.assert_array_equal(editor.mask(), hole)
    editor.button("Result 1").click()  # of the last four: the second that was made
    np.testing.assert_array_equal(editor.result(), results[1])
    editor.page.keyboard.press("Control+z")
    np.testing.assert_array_equal(editor.result(), source)
    expect(editor.button("Try again")).to_be_hidden()
    editor.button("Redo").click()
    np.testing.assert_array_equal(editor.result(), results[1])


def test_stopping_another_try_brings_the_result_back(editor: EditorPage) -> None:
    open_image(editor)
    editor.drag(STROKE)
    editor.fill()
    before = editor.result()
    editor.page.route("**/v1/inpaint", lambda route: None)  # never answered
    editor.page.keyboard.press("t")
    expect(editor.button("Stop")).to_be_enabled()
    editor.drag([(10, 70), (60, 70)])  # nothing may be drawn meanwhile
    editor.page.keyboard.press("Escape")
    expect(editor.status).to_have_text("Stopped.")
    np.testing.assert_array_equal(editor.result(), before)
    assert not editor.mask()[70].any()


def test_places_to_avoid_are_sent_along(editor: EditorPage) -> None:
    open_image(editor)
    editor.choose("Avoid")
    editor.drag([(10, 70), (100, 70)])
    assert editor.button("Fill").is_disabled()
    editor.choose("Brush")
    editor.drag(STROKE)
    editor.page.evaluate(
        """() => {
            const send = fetch;
            window.fetch = async (url, options) => {
                const bytes = await options.body.get("exclude").arrayBuffer();
                window.excluded = btoa(String.fromCharCode(...new Uint8Array(bytes)));
                return send(url, options);
            };
        }"""
    )
    editor.fill()
    exclude = decode(base64.b64decode(editor.page.evaluate("window.excluded")))[..., 0]
    assert exclude.shape == (80, 112)
    assert exclude[70, 20] == exclude[70, 90] == 255
    assert exclude[35, 50] == 0
    assert not editor.mask()[70, 20]


def test_space_shows_the_original_while_it_is_held(editor: EditorPage) -> None:
    open_image(editor)
    before = shown(editor)
    editor.drag(STROKE)
    editor.fill()
    after = shown(editor)
    assert (before != after).any()
    editor.stage.focus()
    editor.page.keyboard.down("Space")
    expect(editor.status).to_have_text("The original.")
    held = shown(editor)
    editor.page.keyboard.up("Space")
    expect(editor.status).to_have_text("The result.")
    np.testing.assert_array_equal(held[100:140, 100:300], before[100:140, 100:300])
    np.testing.assert_array_equal(shown(editor)[100:140, 100:300], after[100:140, 100:300])


def test_history_goes_to_any_step(editor: EditorPage) -> None:
    open_image(editor)
    masks = []
    for row in (15, 40, 65):
        editor.drag([(20, row), (90, row)])
        masks.append(editor.mask())
    editor.button("History").click()
    menu = editor.page.get_by_role("group", name="History")
    expect(menu.get_by_role("button")).to_have_count(4)
    expect(menu.locator("canvas")).to_have_count(3)
    menu.get_by_role("button").nth(2).click()
    np.testing.assert_array_equal(editor.mask(), masks[0])
    editor.button("History").click()
    menu.get_by_role("button").first.click()
    np.testing.assert_array_equal(editor.mask(), masks[2])


# -- files -------------------------------------------------------------------------------------------------------------


def images(*names: str) -> list[dict[str, object]]:
    files = []
    for number, name in enumerate(names):
        data = encode(noisy_image(height=60 + 10 * number), Path(name).suffix)
        files.append({"name": name, "mimeType": "image/png", "buffer": data})
    return files


def test_several_images_become_a_strip_and_an_archive(editor: EditorPage) -> None:
    files = images("a.png", "b.png", "c.jpg")
    editor.page.get_by_label("Image file").set_input_files(files)
    name, strip = editor.page.locator("#image-name"), editor.page.get_by_role("group", name="Images", exact=True)
    expect(name).to_have_text("a.png")
    expect(strip.get_by_role("button", name=".")).to_have_count(3)
    editor.button("Next image").click()
    expect(name).to_have_text("b.png")
    editor.size = (112, 70)
    editor.drag(STROKE)
    editor.fill()
    hole, result = editor.mask(), editor.result()
    editor.page.keyboard.press("PageDown")
    expect(name).to_have_text("c.jpg")
    with editor.page.expect_download(timeout=30_000) as download:
        editor.button("Download all").click()
    archive = zipfile.ZipFile(io.BytesIO(Path(download.value.path()).read_bytes()))
    assert archive.namelist() == ["a.png", "b-filled.png", "c.jpg"]
    assert archive.read("a.png") == files[0]["buffer"]
    assert archive.read("c.jpg") == files[2]["buffer"]
    np.testing.assert_array_equal(decode(archive.read("b-filled.png")), result)
    editor.button("Previous image").click()
    expect(name).to_have_text("b.png")
    np.testing.assert_array_equal(editor.mask(), hole)
    editor.page.keyboard.press("Control+z")  # the history is still there
    expect(editor.status).to_have_text("Undid: fill.")


def test_a_tiff_is_opened_and_written_by_the_server(editor: EditorPage) -> None:
    source = noisy_image(3, np.uint16)
    data = encode(source, ".tif")
    editor.open(data, "scan.tif")
    expect(editor.status).to_contain_text("16 bit, RGB. The server has read it")
    editor.drag(STROKE)
    editor.fill()
    name, tiff = editor.download("Download", "Result as TIFF, like the original")
    assert name == "scan-filled.tif"
    assert tiff[:4] in (b"II*\0", b"MM\0*")
    assert_only_hole_changed(decode(tiff), source, editor.mask())


def test_the_result_can_be_copied_and_pasted(page: Page, server: str) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    editor = EditorPage(page, server)
    open_image(editor)
    editor.drag(STROKE)
    editor.fill()
    page.keyboard.press("Control+c")
    expect(editor.status).to_have_text("Copied the result.", timeout=20_000)
    size = page.evaluate(
        """async () => {
            const [item] = await navigator.clipboard.read();
            const { width, height } = await createImageBitmap(await item.getType("image/png"));
            return [width, height];
        }"""
    )
    assert size == [112, 80]


def test_a_file_that_the_server_was_started_with(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "my cat #1.png"
    path.write_bytes(encode(noisy_image()))
    with serving(tmp_path / "log.txt", str(path)) as url:
        page.goto(f"{url}?open=opened%2F0%2Fmy%2520cat%2520%25231.png")
        expect(page.locator("#image-name")).to_have_text("my cat #1.png", timeout=20_000)


# -- first visit, kept work, layout ------------------------------------------------------------------------------------


def test_samples_open_at_a_click(editor: EditorPage) -> None:
    for name in ("Scratches", "A date", "A mast"):
        expect(editor.button(name)).to_be_visible()
    editor.button("A date").click()
    expect(editor.page.locator("#image-name")).to_have_text("coffee.jpg")
    expect(editor.button("Download")).to_be_disabled()
    expect(editor.button("Compare before and after")).to_be_disabled()


def test_work_survives_a_reload_and_can_be_removed(page: Page, server: str) -> None:
    editor = EditorPage(page, server)
    source = open_image(editor)
    editor.drag(STROKE)
    editor.fill()
    hole, result = editor.mask(), editor.result()
    page.wait_for_timeout(1500)
    page.reload()
    expect(page.locator("#kept-name")).to_have_text("waves.png", timeout=15_000)
    editor.button("Resume").click()
    expect(page.locator("#image-name")).to_have_text("waves.png")
    np.testing.assert_array_equal(editor.result(), result)
    np.testing.assert_array_equal(editor.mask(), hole)
    page.keyboard.press("Control+z")
    np.testing.assert_array_equal(editor.result(), source)
    page.keyboard.press("Control+Shift+z")
    page.wait_for_timeout(1500)
    page.reload()
    editor.button("Remove it").click()
    page.wait_for_timeout(1000)  # the browser removes it from its storage after the click
    page.reload()
    expect(editor.button("Open an image")).to_be_visible()
    page.wait_for_timeout(300)
    expect(page.locator("#kept")).to_be_hidden()


def test_forbidden_storage_costs_only_that(page: Page, server: str) -> None:
    page.goto(server)
    page.context.add_init_script(
        "if (sessionStorage.forbidden) indexedDB.constructor.prototype.open = () => { throw new Error('forbidden') }"
    )
    page.evaluate("sessionStorage.forbidden = 1")
    try:
        editor = EditorPage(page, server)
        source = open_image(editor)
        editor.drag(STROKE)
        editor.fill()
        assert_only_hole_changed(editor.result(), source, editor.mask())
        expect(editor.status).to_contain_text("does not keep your work", timeout=20_000)
        assert editor.errors == []
    finally:
        page.evaluate("sessionStorage.clear()")


def test_a_busy_server_says_so_at_once(page: Page, server: str) -> None:
    def busy(route: object) -> None:
        route.fulfill(status=429, headers={"Retry-After": "30"}, body="{}")  # type: ignore[attr-defined]

    page.route("**/v1/inpaint", busy)
    editor = EditorPage(page, server)
    open_image(editor)
    editor.drag(STROKE)
    editor.button("Fill").click()
    expect(editor.status).to_have_text("The server is busy, trying again…")
    editor.button("Stop").click()
    expect(editor.status).to_have_text("Stopped.")


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_nothing_overlaps_or_wraps(page: Page, server: str, size: tuple[int, int]) -> None:
    width, height = size
    page.set_viewport_size({"width": width, "height": height})
    editor = EditorPage(page, server)
    open_image(editor, name="an-image-with-quite-a-long-name-indeed.png")
    editor.drag(STROKE)
    editor.fill()
    page.wait_for_timeout(200)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    boxes = page.evaluate(
        """() => [...document.querySelectorAll("header button, header .title, .dock button, .dock input")]
            .filter((e) => e.offsetParent && getComputedStyle(e).visibility !== "hidden")
            .map((e) => [e.id, e.getBoundingClientRect()])
            .filter(([, r]) => r.width > 1)
            .map(([id, r]) => [id, r.left, r.top, r.right, r.bottom])"""
    )
    for name, left, top, right, bottom in boxes:
        assert left >= 0, name
        assert right <= width, name
        assert bottom <= height, name
        meets = [b[0] for b in boxes if b[0] != name and b[1] < right and b[3] > left and b[2] < bottom and b[4] > top]
        assert meets == [], name
    dock = page.locator(".dock").bounding_box()
    stage = editor.stage.bounding_box()
    assert dock is not None
    assert stage is not None
    assert dock["height"] < (170 if width < 768 else 80)
    assert stage["height"] * stage["width"] > 2 / 3 * width * height


@pytest.mark.skipif(not AXE.is_file(), reason="needs axe-core: npm --prefix web ci")
def test_axe_finds_nothing_serious_on_a_phone_with_several_images(page: Page, server: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    editor = EditorPage(page, server)
    page.get_by_label("Image file").set_input_files(images("a.png", "b.png"))
    expect(page.get_by_role("group", name="Images", exact=True)).to_be_visible()
    editor.choose("Magic wand")
    page.evaluate(AXE.read_text())
    violations = page.evaluate("axe.run()")["violations"]
    assert [v["id"] for v in violations if v["impact"] in {"serious", "critical"}] == []


@pytest.mark.parametrize("has_decoder", [True, False], ids=["WebCodecs", "server"])
def test_samples_are_kept_where_a_canvas_adds_noise(page: Page, server: str, has_decoder: bool) -> None:
    page.add_init_script(
        """const read = OffscreenCanvasRenderingContext2D.prototype.getImageData;
        OffscreenCanvasRenderingContext2D.prototype.getImageData = function (...box) {
            const image = read.apply(this, box);
            for (let at = 0; at < image.data.length; at += 7) image.data[at] ^= 1;
            return image;
        };"""
    )
    if not has_decoder:
        page.add_init_script("delete globalThis.ImageDecoder;")
    page.goto(server)
    editor = EditorPage(page, server)
    source = noisy_image()
    editor.open(encode(source, ".webp", lossless=True), "waves.webp")
    editor.drag(STROKE)
    editor.fill()
    assert_only_hole_changed(decode(editor.download("Download", "Result as PNG")[1]), source, editor.mask())
