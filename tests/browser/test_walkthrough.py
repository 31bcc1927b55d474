"""A person removes a date stamp from an image: each step, as screenshots.

With WAVEPAINT_SCREENSHOTS=docs/screenshots the screenshots of the documentation are made anew.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from editor_page import EditorPage, decode, encode
from playwright.sync_api import Page, expect

STAMP = "22.11.2019"
STAMP_BOX = (285, 262, 440, 290)  # left, top, right, bottom
PHONE = {"width": 390, "height": 844}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(os.environ.get("WAVEPAINT_SCREENSHOTS", tmp_path))


def stamped_image() -> np.ndarray:
    """A cat (CC0, from scikit-image) with a camera's date stamp on it."""
    data = pytest.importorskip("skimage.data")
    image = pytest.importorskip("PIL.Image")
    draw = pytest.importorskip("PIL.ImageDraw")
    font = pytest.importorskip("PIL.ImageFont")
    stamped = image.fromarray(data.chelsea())
    position = (STAMP_BOX[0] + 4, STAMP_BOX[1])
    draw.Draw(stamped).text(position, STAMP, fill=(255, 170, 60), font=font.load_default(26))
    return np.asarray(stamped)


def shoot(page: Page, folder: Path, name: str) -> None:
    page.wait_for_timeout(300)
    page.screenshot(path=folder / f"{name}.png")


def paint_stamp(editor: EditorPage) -> None:
    """One stroke of a brush that is as wide as the stamp is high."""
    left, top, right, bottom = STAMP_BOX
    editor.set_brush(bottom - top)
    middle = (top + bottom) / 2
    editor.drag([(left, middle), (right, middle)])


def test_a_date_stamp_is_removed_step_by_step(page: Page, server: str, folder: Path) -> None:
    source = stamped_image()
    editor = EditorPage(page, server)
    shoot(page, folder, "1-start")

    editor.open(encode(source), "cat.png")
    shoot(page, folder, "2-opened")

    paint_stamp(editor)
    shoot(page, folder, "3-painted")
    mask = editor.mask()

    editor.fill()
    page.mouse.move(640, 20)
    shoot(page, folder, "4-filled")

    page.keyboard.press("c")
    divider = page.get_by_role("slider", name="Before and after")
    for _ in range(14):
        divider.press("ArrowRight")
    shoot(page, folder, "5-compared")
    page.keyboard.press("c")

    name, data = editor.download("Download", "Result as PNG")
    result = decode(data)
    assert name == "cat-filled.png"
    np.testing.assert_array_equal(result[~mask], source[~mask])
    orange = (source[..., 0] > 240) & (source[..., 2] < 90)
    assert orange.sum() > 200
    assert ((result[..., 0] > 240) & (result[..., 2] < 90)).sum() == 0
    editor.button("Download").click()
    shoot(page, folder, "6-downloaded")
    page.keyboard.press("Escape")

    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="How it works")).to_be_visible()
    shoot(page, folder, "7-help")
    page.keyboard.press("Escape")

    editor.choose_file("Image file", b"not an image", "notes.txt")
    expect(page.get_by_role("alert")).to_be_visible()
    shoot(page, folder, "8-refused")


def test_looks_right_in_the_dark_and_on_a_phone(page: Page, server: str, folder: Path) -> None:
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size(PHONE)
    editor = EditorPage(page, server)
    editor.open(encode(stamped_image()), "cat.png")
    paint_stamp(editor)
    shoot(page, folder, "9-phone")
    page.set_viewport_size({"width": 1280, "height": 800})
    shoot(page, folder, "10-dark")
    ground = decode(page.screenshot(clip={"x": 2, "y": 100, "width": 8, "height": 8}))[..., :3]
    assert ground.mean() < 60
