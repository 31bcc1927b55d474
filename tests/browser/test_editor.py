"""The mask editor in Chromium, against a real server with the packaged network."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from editor_page import EditorPage, decode, encode
from live_server import serving
from playwright.sync_api import Page, Route, expect

from serving import MODEL, HalfInpainter
from standin import write_detector
from wavepaint import Inpainter
from wavepaint.fill.dilation import dilate
from wavepaint.find import Finder
from wavepaint.server.app import create_app
from wavepaint.server.connections import ConnectionLimits
from wavepaint.server.filling import Filler
from wavepaint.server.run import configure, listen
from wavepaint.server.settings import Settings

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
VECTORS = Path(__file__).parents[1] / "vectors" / "masks"
STROKE = [(30, 30), (70, 40), (60, 55)]


def noisy_image(channels: int = 3, dtype: type = np.uint8, height: int = 80, width: int = 112) -> np.ndarray:
    """(H, W, C) waves with noise on them: every sample its own."""
    rng = np.random.default_rng(7)
    rows, columns = np.mgrid[:height, :width]
    phases = np.arange(channels)
    waves = 0.5 + 0.3 * np.sin(columns[..., None] / 17 + phases) * np.cos(rows[..., None] / 11 + phases)
    scale = np.iinfo(dtype).max
    return (np.clip(waves + rng.normal(0, 0.05, waves.shape), 0.05, 1) * scale).astype(dtype)


def assert_only_hole_changed(result: np.ndarray, source: np.ndarray, hole: np.ndarray) -> None:
    assert result.shape == source.shape
    assert result.dtype == source.dtype
    np.testing.assert_array_equal(result[~hole], source[~hole])
    assert (result[hole] != source[hole]).any(axis=-1).mean() > 0.8


# -- exactness ---------------------------------------------------------------------------------------------------------


def test_fills_the_hole_and_nothing_else(editor: EditorPage) -> None:
    source = noisy_image()
    editor.open(encode(source), "waves.png")
    editor.drag(STROKE)
    editor.fill()
    hole = editor.mask()
    assert 200 < hole.sum() < 2000
    assert hole[35, 50]
    assert_only_hole_changed(editor.result(), source, hole)


@pytest.mark.parametrize(
    ("source", "options"),
    [
        (noisy_image(1), {}),
        (noisy_image(2, np.uint16), {}),
        (noisy_image(3, np.uint16), {"interlace": True}),
        (noisy_image(4), {"interlace": True}),
        (noisy_image(4, np.uint16), {}),
    ],
    ids=["grey8", "grey-alpha16", "rgb16-interlaced", "rgba8-interlaced", "rgba16"],
)
def test_keeps_every_kind_of_png(editor: EditorPage, source: np.ndarray, options: dict[str, bool]) -> None:
    editor.open(encode(source, **options), "kind.png")
    editor.drag(STROKE)
    editor.fill()
    assert_only_hole_changed(editor.result(), source, editor.mask())


@pytest.mark.parametrize("options", [{"palette": True}, {"bitdepth": 1}, {"bitdepth": 4, "interlace": True}], ids=str)
def test_reads_palettes_and_low_depths_as_libvips_does(editor: EditorPage, options: dict[str, object]) -> None:
    data = encode(noisy_image(1) if "bitdepth" in options else noisy_image(4), **options)
    editor.open(data, "few-colours.png")
    editor.drag([(3, 3), (6, 3)])
    editor.fill()
    hole, result = editor.mask(), editor.result()
    assert hole.mean() < 0.1
    np.testing.assert_array_equal(result[~hole], decode(data)[~hole])


def test_keeps_a_jpegs_metadata_and_turns_it_upright(editor: EditorPage) -> None:
    image = pytest.importorskip("PIL.Image")
    exif = image.Exif()
    exif[0x0112] = 6
    exif[0x013B] = "A. Photographer"
    stream = io.BytesIO()
    image.fromarray(noisy_image(3, height=60, width=100)).save(stream, "JPEG", quality=88, exif=exif, dpi=(300, 300))
    editor.open(stream.getvalue(), "tilted.jpg")
    assert editor.size == (60, 100)
    editor.drag([(20, 40), (35, 50)])
    editor.fill()
    name, jpeg = editor.download("Download", "Result as JPEG")
    assert name == "tilted-filled.jpg"
    hole = editor.mask()
    lossless = image.open(io.BytesIO(editor.download("Download", "Result as PNG")[1]))
    written = image.open(io.BytesIO(jpeg))
    source = np.asarray(image.open(stream).rotate(-90, expand=True))
    assert np.abs(np.asarray(lossless).astype(int) - source)[~hole].mean() < 1
    assert np.abs(np.asarray(written).astype(int) - np.asarray(lossless)).mean() < 4
    for result in (written, lossless):
        assert result.size == (60, 100)
        assert result.getexif()[0x0112] == 1
        assert result.getexif()[0x013B] == "A. Photographer"
        assert round(result.info["dpi"][0]) == 300


def test_keeps_the_samples_of_a_translucent_webp(editor: EditorPage) -> None:
    source = noisy_image(4)
    data = encode(source, ".webp", lossless=True, exact=True)
    editor.open(data, "glass.webp")
    editor.drag(STROKE)
    editor.fill()
    assert_only_hole_changed(editor.result(), source, editor.mask())
    name, webp = editor.download("Download", "Result as WebP")
    assert name == "glass-filled.webp"
    assert_only_hole_changed(decode(webp), source, editor.mask())


def test_fills_a_region_as_it_would_the_whole_image(editor: EditorPage) -> None:
    source = np.tile(noisy_image(height=180, width=210), (6, 6, 1))
    editor.open(encode(source), "large.png")
    # The pattern of the grain depends on the position, and so it is left out.
    editor.page.evaluate(
        """() => {
            const send = fetch;
            window.fetch = (url, options) => {
                options.body.append("grain", "off");
                return send(url, options);
            };
        }"""
    )
    editor.drag([(500, 400), (900, 620), (700, 800)])
    editor.fill()
    whole = Inpainter(runtime="onnxruntime", threads=1)(source, editor.mask(), grain="off")
    np.testing.assert_array_equal(editor.result(), whole)


# -- painting ----------------------------------------------------------------------------------------------------------


def test_undo_redo_and_eraser(editor: EditorPage) -> None:
    source = noisy_image()
    editor.open(encode(source), "waves.png")
    assert editor.button("Undo").is_disabled()
    editor.drag(STROKE)
    editor.fill()
    filled, hole = editor.result(), editor.mask()

    editor.page.keyboard.press("Control+z")
    expect(editor.status).to_have_text("Undid: fill.")
    np.testing.assert_array_equal(editor.result(), source)
    np.testing.assert_array_equal(editor.mask(), hole)
    editor.button("Redo").click()
    np.testing.assert_array_equal(editor.result(), filled)

    editor.choose("Eraser")
    editor.drag([(20, 20), (50, 36)])
    remaining = editor.mask()
    assert 0 < remaining.sum() < hole.sum()
    result = editor.result()
    np.testing.assert_array_equal(result[remaining], filled[remaining])
    np.testing.assert_array_equal(result[~remaining], source[~remaining])

    for _ in range(3):
        editor.page.keyboard.press("Control+z")
    np.testing.assert_array_equal(editor.result(), source)
    assert editor.button("Undo").is_disabled()


def test_strokes_filled_on_release_build_on_each_other(editor: EditorPage) -> None:
    source = noisy_image()
    editor.open(encode(source), "waves.png")
    editor.fill_on_release(True)
    editor.drag([(20, 20), (60, 20)])
    expect(editor.status).to_contain_text("Filled in", timeout=30_000)
    first, first_hole = editor.result(), editor.mask()
    editor.drag([(40, 25), (80, 60)])
    expect(editor.status).to_contain_text("Filled in", timeout=30_000)
    hole = editor.mask()
    second_only = hole & ~first_hole
    assert second_only.sum() > 50
    assert_only_hole_changed(editor.result(), source, hole)
    editor.page.keyboard.press("Control+z")  # the stroke together with its result
    np.testing.assert_array_equal(editor.result(), first)
    np.testing.assert_array_equal(editor.mask(), first_hole)


def test_rectangle_lasso_and_start_over(editor: EditorPage) -> None:
    editor.open(encode(noisy_image()), "waves.png")
    editor.choose("Rectangle")
    editor.drag([(20, 10), (50, 30)])
    expected = np.zeros((80, 112), bool)
    expected[10:30, 20:50] = True
    np.testing.assert_array_equal(editor.mask(), expected)
    editor.choose("Lasso")
    editor.drag([(60, 40), (100, 40), (100, 70), (60, 70)])
    hole = editor.mask()
    assert hole[55, 80]
    assert hole[40:70, 60:100].mean() > 0.95
    editor.button("Mask").click()
    editor.page.get_by_role("button", name="Start over").click()
    assert editor.button("Fill").is_disabled()


def test_mask_can_be_loaded_and_must_fit(editor: EditorPage) -> None:
    source = noisy_image()
    hole = np.zeros((80, 112), bool)
    hole[20:40, 30:70] = True
    editor.open(encode(source), "waves.png")

    def load(samples: np.ndarray) -> None:
        editor.choose_file("Mask file", encode(samples.astype(np.uint8) * 255), "hole.png")

    load(hole[:, :100])
    expect(editor.page.get_by_role("alert")).to_contain_text("it is 100 × 80 pixels, the image 112 × 80")
    load(hole)
    expect(editor.status).to_have_text("Added the mask hole.png.")
    editor.fill()
    np.testing.assert_array_equal(editor.mask(), hole)
    assert_only_hole_changed(editor.result(), source, hole)


@pytest.mark.parametrize("vector", ["red-on-black", "black-on-nothing", "label-map", "copy-marker", "copy-jpeg-75"])
def test_mask_files_mean_what_they_mean_everywhere(editor: EditorPage, vector: str) -> None:
    row = next(row for row in json.loads((VECTORS / "vectors.json").read_text()) if row["name"] == vector)
    editor.open((VECTORS / row["image"]).read_bytes(), row["image"])
    editor.choose_file("Mask file", (VECTORS / row["mask"]).read_bytes(), row["mask"])
    expect(editor.status).to_contain_text(f"Added the mask {row['mask']}.")
    if row["warnings"] == ["copy"]:
        expect(editor.status).to_contain_text("It is a copy of the image with")
    hole, expected = editor.mask(), decode((VECTORS / row["hole"]).read_bytes())[..., 0] > 0
    # Browsers decode JPEG each in their own way.
    assert (hole != expected).mean() <= (0.002 if row["mask"].endswith(".jpg") else 0)


def test_a_mask_that_marks_nothing_adds_nothing(editor: EditorPage) -> None:
    editor.open(encode(noisy_image()), "waves.png")
    editor.choose_file("Mask file", encode(np.zeros((80, 112), np.uint8)), "empty.png")
    expect(editor.page.get_by_role("alert")).to_contain_text("empty.png adds nothing. It marks nothing")
    assert editor.button("Fill").is_disabled()
    editor.choose_file("Mask file", encode(np.full((80, 112), 255, np.uint8)), "all.png")
    expect(editor.page.get_by_role("alert")).to_contain_text(
        "all.png cannot be used as a mask: it marks the whole image"
    )


def test_pen_pressure_widens_the_stroke(editor: EditorPage) -> None:
    editor.open(encode(noisy_image()), "waves.png")
    start, stop = editor.to_screen(20, 40), editor.to_screen(90, 40)
    editor.stage.evaluate(
        """(stage, [start, stop]) => {
            const send = (type, share) => stage.dispatchEvent(new PointerEvent(type, {
                pointerId: 1, pointerType: "pen", button: type === "pointermove" ? -1 : 0, buttons: 1, bubbles: true,
                pressure: share, clientX: start[0] + share * (stop[0] - start[0]), clientY: start[1],
            }));
            stage.setPointerCapture = () => {};
            send("pointerdown", 0);
            for (let step = 0; step <= 10; step++) send("pointermove", step / 10);
            send("pointerup", 1);
        }""",
        [start, stop],
    )
    widths = editor.mask().sum(axis=0)
    assert 0 < widths[25] < widths[55] < widths[88]


def test_keyboard_alone(editor: EditorPage) -> None:
    source = noisy_image()
    keyboard = editor.page.keyboard
    editor.open(encode(source), "waves.png")
    expect(editor.stage).to_be_focused()
    keyboard.press("ArrowLeft")
    expect(editor.status).to_have_text("53, 40")
    keyboard.press("Enter")
    for _ in range(3):
        keyboard.press("Shift+ArrowRight")
    keyboard.press("Enter")
    expect(editor.status).to_have_text("Brush stroke.")
    keyboard.press("f")
    expect(editor.status).to_contain_text("Filled in", timeout=30_000)
    hole = editor.mask()
    assert hole[40, 60]
    assert hole[40, 100]
    assert not hole[40, 20]
    assert_only_hole_changed(editor.result(), source, hole)

    keyboard.press("Tab")
    editor.stage.focus()
    keyboard.press("ArrowUp")
    keyboard.press("Enter")
    keyboard.press("ArrowUp")
    keyboard.press("Escape")
    keyboard.press("Enter")
    keyboard.press("Escape")
    np.testing.assert_array_equal(editor.mask(), hole)


# -- view --------------------------------------------------------------------------------------------------------------


def test_compares_before_and_after(editor: EditorPage) -> None:
    editor.open(encode(noisy_image()), "waves.png")
    before = shown(editor)
    editor.choose("Rectangle")
    editor.drag([(0, 0), (112, 20)])
    editor.fill()
    after = shown(editor)
    assert (before[:100] != after[:100]).any(axis=-1).mean() > 0.1

    editor.page.keyboard.press("c")
    divider = editor.page.get_by_role("slider", name="Before and after")
    expect(divider).to_have_attribute("aria-valuenow", "50")
    split = shown(editor)
    middle = split.shape[1] // 2
    np.testing.assert_array_equal(split[60:, : middle - 40], before[60:, : middle - 40])
    np.testing.assert_array_equal(split[60:, middle + 40 :], after[60:, middle + 40 :])

    box = divider.bounding_box()
    assert box is not None
    editor.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 300)
    editor.page.mouse.down()
    editor.page.mouse.move(box["x"] + 200, box["y"] + 300, steps=5)
    editor.page.mouse.up()
    dragged = int(divider.get_attribute("aria-valuenow") or 0)
    assert dragged > 55
    divider.press("ArrowLeft")
    expect(divider).to_have_attribute("aria-valuenow", str(dragged - 2))
    divider.press("End")
    expect(divider).to_have_attribute("aria-valuetext", "100 % before, 0 % after")
    assert not editor.mask()[60].any()


def shown(editor: EditorPage) -> np.ndarray:
    """The part of the screen that shows the opened image, without the pointer in it."""
    editor.page.mouse.move(640, 20)
    editor.page.wait_for_timeout(100)
    left, top = editor.to_screen(0, 0)
    right, bottom = editor.to_screen(*editor.size)
    clip = {"x": left, "y": top, "width": right - left, "height": bottom - top}
    return decode(editor.page.screenshot(clip=clip))[..., :3]


def test_zooms_and_pans(editor: EditorPage) -> None:
    editor.open(encode(noisy_image()), "waves.png")
    zoom = editor.page.locator("#zoom")
    expect(zoom).to_have_text("300 %")
    keyboard, mouse = editor.page.keyboard, editor.page.mouse
    keyboard.press("1")
    expect(zoom).to_have_text("100 %")
    mouse.move(*editor.to_screen(56, 40))
    mouse.wheel(0, -300)
    expect(zoom).not_to_have_text("100 %")
    keyboard.press("0")
    expect(zoom).to_have_text("300 %")
    keyboard.down("Space")
    mouse.down()
    mouse.move(*editor.to_screen(86, 40), steps=3)
    mouse.up()
    keyboard.up("Space")
    editor.drag([(86, 40), (87, 40)])  # where the middle of the image is now
    rows, columns = np.nonzero(editor.mask())
    assert abs(columns.mean() - 56) < 2
    assert abs(rows.mean() - 40) < 2


def test_two_fingers_zoom_and_draw_nothing(page: Page, server: str) -> None:
    editor = EditorPage(page, server)
    editor.open(encode(noisy_image()), "waves.png")
    x, y = editor.to_screen(56, 40)
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *spread: float) -> None:
        points = [{"x": x + offset, "y": y, "id": index} for index, offset in enumerate(spread)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", -20)
    touch("touchStart", -20, 20)
    for spread in range(25, 85, 10):
        touch("touchMove", -spread, spread)
    touch("touchEnd")
    percent = int(page.locator("#zoom").inner_text().removesuffix(" %"))
    assert 700 < percent < 1500
    assert editor.button("Undo").is_disabled()

    touch("touchStart", 0)
    touch("touchMove", 30)
    touch("touchEnd")
    expect(editor.status).to_have_text("Brush stroke.")
    assert editor.errors == []


def test_only_the_surroundings_of_a_stroke_travel(editor: EditorPage) -> None:
    source = np.tile(noisy_image(height=200, width=250), (20, 24, 1))  # 24 megapixels
    editor.open(encode(source, compression=1), "large.png")
    assert editor.size == (6000, 4000)
    editor.page.evaluate(
        """() => {
            const send = fetch;
            window.fetch = async (url, options) => {
                const { width, height } = await createImageBitmap(options.body.get("image"));
                window.sent = [...(window.sent ?? []), [width, height]];
                return send(url, options);
            };
        }"""
    )
    editor.drag([(3000, 2000), (3060, 2000)])
    editor.fill()
    sent = editor.page.evaluate("window.sent")
    assert len(sent) == 1
    assert max(sent[0]) < 1000
    editor.page.keyboard.press("Control+z")
    expect(editor.status).to_have_text("Undid: fill.")


# -- files, messages, help ---------------------------------------------------------------------------------------------


def test_takes_dropped_and_pasted_images(editor: EditorPage) -> None:
    send = """([kind, name, data]) => {
        const transfer = new DataTransfer();
        const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
        transfer.items.add(new File([bytes], name, { type: "image/png" }));
        document.body.dispatchEvent(kind === "drop"
            ? new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true })
            : new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true }));
    }"""
    data = base64.b64encode(encode(noisy_image())).decode()
    for kind in ("drop", "paste"):
        editor.page.evaluate(send, [kind, f"{kind}.png", data])
        expect(editor.page.locator("#image-name")).to_have_text(f"{kind}.png")


@pytest.mark.parametrize("way", ["Open", "Open an image", "Control+o"])
def test_opens_the_file_chooser(editor: EditorPage, way: str) -> None:
    with editor.page.expect_file_chooser() as chooser:
        if "+" in way:
            editor.page.locator("body").press(way)
        else:
            editor.button(way).click()
    chooser.value.set_files({"name": "waves.png", "mimeType": "image/png", "buffer": encode(noisy_image())})
    expect(editor.page.locator("#image-name")).to_have_text("waves.png")


def test_refused_files_are_named_with_the_reason(editor: EditorPage) -> None:
    alert = editor.page.get_by_role("alert")
    for name, data, words in [
        ("notes.txt", b"not an image", "notes.txt cannot be opened: it is not an image that this browser can read."),
        ("half.png", encode(noisy_image())[:3000], "half.png cannot be opened: it is cut short."),
    ]:
        editor.choose_file("Image file", data, name)
        expect(alert).to_have_text(words)
        editor.button("Close the message").click()
        expect(alert).to_be_hidden()


def test_shows_the_servers_reason_and_keeps_the_mask(page: Page, server: str) -> None:
    editor = EditorPage(page, server)
    source = noisy_image()
    editor.open(encode(source), "waves.png")
    editor.choose("Rectangle")
    editor.drag([(-5, -5), (120, 90)])
    editor.button("Fill").click()
    expect(page.get_by_role("alert")).to_contain_text("The server says: the mask covers")
    assert editor.mask().all()
    np.testing.assert_array_equal(editor.result(), source)


def test_asks_for_a_token(page: Page, tmp_path: Path) -> None:
    with serving(tmp_path / "log.txt", "--token", "right") as server:
        ask_for_token(page, server)


def ask_for_token(page: Page, server: str) -> None:
    editor = EditorPage(page, server)
    editor.open(encode(noisy_image()), "waves.png")
    editor.drag(STROKE)
    editor.button("Fill").click()
    dialog = page.get_by_role("dialog", name="Access token")
    field = dialog.get_by_label("This server asks for a token")
    field.fill("wrong")
    editor.button("Continue").click()
    expect(dialog).to_contain_text("did not accept")
    field.fill("right")
    field.press("Enter")
    expect(editor.status).to_contain_text("Filled in", timeout=30_000)


def test_can_be_stopped(page: Page, server: str) -> None:
    page.route("**/v1/inpaint", lambda route: None)  # never answered
    editor = EditorPage(page, server)
    editor.open(encode(noisy_image()), "waves.png")
    editor.drag(STROKE)
    editor.button("Fill").click()
    expect(editor.button("Stop")).to_be_enabled()
    page.keyboard.press("Escape")
    expect(editor.status).to_have_text("Stopped.")
    expect(editor.button("Fill")).to_be_enabled()
    assert editor.mask().any()


def test_asks_before_a_result_is_lost(editor: EditorPage) -> None:
    editor.open(encode(noisy_image()), "waves.png")
    editor.drag(STROKE)
    editor.fill()
    editor.choose_file("Image file", encode(noisy_image(1)), "other.png")
    editor.button("Keep this one").click()
    expect(editor.page.locator("#image-name")).to_have_text("waves.png")


def test_shortcuts_and_help_sheet(editor: EditorPage) -> None:
    keyboard = editor.page.keyboard
    editor.open(encode(noisy_image()), "waves.png")
    for key, tool in {"e": "Eraser", "r": "Rectangle", "l": "Lasso", "h": "Move", "b": "Brush"}.items():
        keyboard.press(key)
        expect(editor.page.get_by_role("radio", name=tool)).to_be_checked()
    size = editor.page.get_by_label("Brush size in pixels")
    before = int(size.input_value())
    keyboard.press("]")
    assert int(size.input_value()) > before
    keyboard.press("[")
    assert int(size.input_value()) == before
    keyboard.press("a")
    expect(editor.page.locator("#auto")).to_be_checked()
    keyboard.press("?")
    sheet = editor.page.get_by_role("dialog", name="How it works")
    expect(sheet).to_contain_text("Larger brush")
    keyboard.press("e")  # belongs to the dialog now
    sheet.get_by_role("switch", name="Keys without Ctrl").uncheck()
    keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    expect(editor.page.get_by_role("radio", name="Brush")).to_be_checked()
    editor.button("Help and shortcuts").focus()
    keyboard.press("e")
    expect(editor.page.get_by_role("radio", name="Brush")).to_be_checked()
    editor.stage.focus()
    keyboard.press("e")
    expect(editor.page.get_by_role("radio", name="Eraser")).to_be_checked()


def test_the_cursor_shows_the_brush(editor: EditorPage) -> None:
    editor.open(encode(noisy_image()), "waves.png")
    editor.set_brush(14)
    editor.page.mouse.move(*editor.to_screen(30, 30))
    cursor = editor.page.locator("#cursor")
    box = cursor.bounding_box()
    assert box is not None
    x, y = editor.to_screen(30, 30)
    assert (box["width"], box["height"]) == (42, 42)
    assert abs(box["x"] + 21 - x) < 1
    assert abs(box["y"] + 21 - y) < 1
    editor.page.mouse.down()
    editor.page.mouse.up()
    assert abs(editor.mask().sum() - np.pi * 7**2) < 12


def test_narrow_screen(editor: EditorPage) -> None:
    page = editor.page
    page.set_viewport_size({"width": 320, "height": 568})
    source = noisy_image()
    editor.open(encode(source), "an-image-with-really-quite-a-long-name.png")
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    boxes = [control.bounding_box() for control in page.locator("button:visible, input:visible:not([type=file])").all()]
    edges = [(box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]) for box in boxes if box]
    assert len(edges) == len(boxes)
    for left, top, right, bottom in edges:
        assert left >= 0
        assert right <= 320
        assert bottom <= 568
        overlapping = [e for e in edges if e[0] < right and e[2] > left and e[1] < bottom and e[3] > top]
        assert overlapping == [(left, top, right, bottom)]
    stage = editor.stage.bounding_box()
    assert stage is not None
    assert stage["height"] > 300
    editor.drag(STROKE)
    editor.fill()
    assert_only_hole_changed(editor.result(), source, editor.mask())


@pytest.mark.skipif(not AXE.is_file(), reason="needs axe-core: npm --prefix web ci")
@pytest.mark.parametrize("colors", ["light", "dark"])
def test_axe_finds_nothing_serious(editor: EditorPage, colors: str) -> None:
    page = editor.page
    page.emulate_media(color_scheme=colors, reduced_motion="reduce")
    page.evaluate(AXE.read_text())

    def check(where: str) -> None:
        results = page.evaluate("axe.run()")
        serious = [
            f"{where}: {violation['id']}: {violation['nodes'][0]['html']}"
            for violation in results["violations"]
            if violation["impact"] in {"serious", "critical"}
        ]
        assert serious == []

    check("empty page")
    editor.open(encode(noisy_image()), "waves.png")
    editor.drag(STROKE)
    editor.fill()
    page.keyboard.press("c")
    page.keyboard.press("t")
    expect(page.get_by_role("button", name="Result 2")).to_be_visible(timeout=30_000)
    check("opened image with results")
    editor.button("Download").click()
    check("menu")
    page.keyboard.press("Escape")
    for menu in ("Painting options", "History"):
        editor.button(menu).click()
        check(menu)
        page.keyboard.press("Escape")
    page.keyboard.press("?")
    check("help")


# -- damage ------------------------------------------------------------------------------------------------------------


def test_finds_damage_on_the_server_as_one_step(editor: EditorPage) -> None:
    source, damage = noisy_image(), np.zeros((80, 112), np.uint8)
    damage[40, 20:90] = 255
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.post_data_buffer.decode("latin-1"))
        route.fulfill(content_type="image/png", body=encode(damage))

    editor.page.route("**/v1/find", answer)
    editor.open(encode(source), "waves.png")
    editor.button("Mask").click()
    editor.page.get_by_role("switch", name="Dates and captions").click()
    editor.page.get_by_role("button", name="Find damage").click()
    expect(editor.status).to_contain_text("Damage is marked")
    mask = editor.mask()
    assert mask[38:43, 20:90].all()
    assert not mask[:37].any()
    assert "scratches,dust" in asked[0]
    assert "stamps" not in asked[0]
    editor.fill()
    assert_only_hole_changed(editor.result(), source, mask)
    editor.button("Undo").click()
    editor.button("Undo").click()
    expect(editor.button("Fill")).to_be_disabled()


@pytest.fixture
def stand_in_detector(tmp_path: Path) -> Iterator[str]:
    """The address of a server whose detector finds pure red, green and blue."""
    settings = Settings()
    finder = Finder(write_detector(tmp_path / "detector.onnx"))
    app = create_app(Filler(HalfInpainter().fill, settings.limits, finder.find), MODEL, settings)
    with listen("127.0.0.1", 0) as listener:
        server = uvicorn.Server(configure(app, settings, ConnectionLimits()))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            server.force_exit = server.should_exit = True
            thread.join(10)


def test_the_server_understands_what_the_editor_asks(page: Page, stand_in_detector: str) -> None:
    editor = EditorPage(page, stand_in_detector)
    source = noisy_image() // 2
    source[40, 20:90] = 255, 0, 0
    source[60:63, 30:33] = 0, 255, 0
    source[20:24, 60:64] = 0, 0, 255
    editor.open(encode(source), "waves.png")
    editor.button("Mask").click()
    page.get_by_role("switch", name="Dates and captions").click()
    page.get_by_role("button", name="Find damage").click()
    expect(editor.status).to_contain_text("Damage is marked")
    expected = dilate((source == (255, 0, 0)).all(axis=2) | (source == (0, 255, 0)).all(axis=2), 2)
    np.testing.assert_array_equal(editor.mask(), expected)
    expect(editor.button("Fill")).to_be_enabled()
    editor.button("Undo").click()
    expect(editor.button("Fill")).to_be_disabled()
    assert editor.errors == []


def test_says_why_damage_cannot_be_looked_for(editor: EditorPage) -> None:
    problem = '{"title": "Unprocessable", "detail": "it is too odd"}'
    editor.page.route("**/v1/find", lambda route: route.fulfill(status=422, body=problem))
    editor.open(encode(noisy_image()), "waves.png")
    editor.button("Mask").click()
    editor.page.get_by_role("button", name="Find damage").click()
    expect(editor.page.get_by_role("alert")).to_contain_text("The server says: it is too odd.")
    editor.errors.clear()  # the browser reports the status in its console
